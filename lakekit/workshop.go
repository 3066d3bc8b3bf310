package lakekit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"taxilake/lakekit/api"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

// Workshop is a connection to the workshop server.
type Workshop struct {
	settings *settings.Settings
	ctx      context.Context
}

// Connect finds the workshop that this repository's services make up. It fails,
// saying what to do, when they are not running; if only the server is missing, as
// after Kill, it succeeds, and Up brings the server back.
func Connect() (*Workshop, error) {
	s, err := settings.Load()
	if err != nil {
		return nil, err
	}
	w := &Workshop{settings: s, ctx: context.Background()}
	var health api.Health
	if err := w.get("/health", nil, &health); err != nil && !w.Services().anyRunning() {
		return nil, err
	}
	if health.Topic != "" && (health.Topic != s.Topic || health.Table != s.Table) {
		return nil, fmt.Errorf("the workshop server was started for topic %s and table %s, and the settings now say %s and %s: `lakekit down`, then `lakekit up`",
			health.Topic, health.Table, s.Topic, s.Table)
	}
	return w, nil
}

// WithContext returns a Workshop whose calls end with ctx.
func (w *Workshop) WithContext(ctx context.Context) *Workshop {
	return &Workshop{settings: w.settings, ctx: ctx}
}

// Settings are the addresses and names of the workshop, for code that talks to
// the services itself.
func (w *Workshop) Settings() *settings.Settings { return w.settings }

// Services asks every service how it is.
func (w *Workshop) Services() Services { return services.Statuses(w.settings) }

// Services are the states of the workshop's processes.
type Services []services.Status

// Kill ends a service ("broker", "oss" or "server") as a crash would. Up brings
// it back.
func (w *Workshop) Kill(service string) error {
	for _, role := range settings.AllRoles {
		if service == string(role) {
			return services.Kill(w.settings, role)
		}
	}
	return fmt.Errorf("there is no service %q; they are: broker, oss, server", service)
}

// Up starts the services that are not running.
func (w *Workshop) Up() (Services, error) {
	if err := services.Up(w.ctx, w.settings, func(string) {}); err != nil {
		return nil, err
	}
	found, err := settings.Load()
	if err != nil {
		return nil, err
	}
	*w.settings = *found
	return w.Services(), nil
}

func (w *Workshop) get(path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return w.call(http.MethodGet, path, nil, into)
}

func (w *Workshop) post(path string, request, into any) error {
	data, err := json.Marshal(request)
	if err != nil {
		return err
	}
	return w.call(http.MethodPost, path, data, into)
}

func (w *Workshop) call(method, path string, data []byte, into any) error {
	if w.settings.Server.URL == "" {
		return errNotRunning(w.settings)
	}
	request, err := http.NewRequestWithContext(w.ctx, method, w.settings.Server.URL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+w.settings.Server.Token.Reveal())
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		if w.ctx.Err() != nil {
			return w.ctx.Err()
		}
		return fmt.Errorf("%w (%v)", errNotRunning(w.settings), errors.Unwrap(err))
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return readError(answer)
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		return fmt.Errorf("reading the server's answer to %s: %w; the server may have ended, its log is %s",
			path, err, settings.LogFile(w.settings.State, settings.Workshop))
	}
	return nil
}

func errNotRunning(s *settings.Settings) error {
	return fmt.Errorf("the workshop server is not running: type `make up` in a terminal in %s, or `.bin/lakekit up` if it is set up", s.Home)
}

func readError(answer *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	var problem api.Error
	if err := json.Unmarshal(text, &problem); err == nil && problem.Message != "" {
		return &problem
	}
	return fmt.Errorf("the workshop server answered %s: %s", answer.Status, strings.TrimSpace(string(text)))
}
