package lakekit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/text"
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
func Connect() (*Workshop, error) { return ConnectContext(context.Background()) }

// ConnectContext is Connect for a Workshop whose calls, the first included, end
// with ctx.
func ConnectContext(ctx context.Context) (*Workshop, error) {
	s, err := settings.Load()
	if err != nil {
		return nil, err
	}
	w := &Workshop{settings: s, ctx: ctx}
	var health api.Health
	if err := w.get("/health", nil, &health); err != nil && (ctx.Err() != nil || !w.Services().anyRunning()) {
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

// View lists the services.
func (list Services) View() api.View {
	return api.Table("services", "service|state|address|process|up for|memory|log", api.Each(list, func(s services.Status) []any {
		row := []any{s.Role, s.State, s.Address, "", "", "", s.Log}
		if s.PID != 0 { // a process of this kit, which runs
			row[3], row[4], row[5] = s.PID, s.Uptime, text.Size(s.Memory)
		}
		if s.Problem != "" {
			row[1] = s.State + ": " + s.Problem
		}
		return row
	})...)
}

func (list Services) anyRunning() bool { return slices.ContainsFunc(list, services.Status.Running) }

// Healthy reports whether every service runs.
func (list Services) Healthy() bool {
	return !slices.ContainsFunc(list, func(s services.Status) bool { return !s.Running() })
}

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

// client goes straight to the server, which is on this machine, and nowhere else
// with its token.
var client = &http.Client{
	Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// call waits for the answer as long as the server lives: what it is asked for may
// take its time, but whether it answers at all it says on the side.
func (w *Workshop) call(method, path string, data []byte, into any) error {
	if w.settings.Server.URL == "" {
		return errNotRunning(w.settings)
	}
	ctx, cancel := context.WithCancelCause(w.ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, method, w.settings.Server.URL+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+w.settings.Server.Token.Reveal())
	if data != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	go w.watch(ctx, cancel)
	answer, err := client.Do(request)
	if err != nil {
		switch {
		case w.ctx.Err() != nil:
			return w.ctx.Err()
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w (%v)", errNotRunning(w.settings), errors.Unwrap(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, api.MaxAnswer+1))
	if err == nil && len(body) > api.MaxAnswer {
		return fmt.Errorf("the workshop server's answer to %s is longer than %d MiB, which it never is: is it another program at %s?", path, api.MaxAnswer>>20, w.settings.Server.URL)
	}
	if err == nil && answer.StatusCode != http.StatusOK {
		return errorIn(answer.Status, body)
	}
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	switch {
	case err == nil:
		return nil
	case w.ctx.Err() != nil:
		return w.ctx.Err()
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	}
	return fmt.Errorf("reading the server's answer to %s: %w; the server may have ended, its log is %s",
		path, err, settings.LogFile(w.settings.State, settings.Workshop))
}

const (
	// watchEvery is how often a call that waits asks whether the server is there,
	// aliveWithin how long the server may take to say so, on a busy machine.
	watchEvery  = 30 * time.Second
	aliveWithin = time.Minute
)

// watch ends a call when the server does not answer any more, not even that it is
// there: as when it was stopped, or hangs.
func (w *Workshop) watch(ctx context.Context, end context.CancelCauseFunc) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if err := w.alive(ctx); err != nil && ctx.Err() == nil {
			end(fmt.Errorf("the workshop server at %s has stopped answering (%w): `lakekit down`, then `lakekit up`; its log is %s",
				w.settings.Server.URL, err, settings.LogFile(w.settings.State, settings.Workshop)))
			return
		}
	}
}

func (w *Workshop) alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, aliveWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.settings.Server.URL+"/health", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

func errNotRunning(s *settings.Settings) error {
	return fmt.Errorf("the workshop server is not running: type `make up` in a terminal in %s, or `.bin/lakekit up` if it is set up", s.Home)
}

func errorIn(status string, body []byte) error {
	var problem api.Error
	if err := json.Unmarshal(body, &problem); err == nil && problem.Message != "" {
		return &problem
	}
	const shown = 500
	return fmt.Errorf("the workshop server answered %s: %s", status, bytes.TrimSpace(body[:min(len(body), shown)]))
}
