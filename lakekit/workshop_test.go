package lakekit

import (
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"taxilake/lakekit/settings"
)

// transport is a server that a test makes up.
type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// talking returns a workshop whose server is serve, until the test's end.
func talking(t *testing.T, serve transport) *Workshop {
	t.Helper()
	before := client.Transport
	client.Transport = serve
	t.Cleanup(func() { client.Transport = before })
	return &Workshop{ctx: t.Context(), settings: &settings.Settings{
		State: t.TempDir(), Topic: "trips", Table: "oss://lake/delta/t",
		Server: settings.Server{URL: "http://127.0.0.1:8080", Token: "s3cret"},
	}}
}

func answering(status int, body io.Reader) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(body)}
}

// silent answers no call, and whether it is there as health says.
func silent(health func() (*http.Response, error)) transport {
	return func(r *http.Request) (*http.Response, error) {
		if r.URL.Path == "/health" {
			return health()
		}
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
}

func TestACallWaitsAsLongAsTheServerLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lives = 5 * time.Hour
		began := time.Now()
		w := talking(t, silent(func() (*http.Response, error) {
			if time.Since(began) > lives {
				return nil, errors.New("connection refused")
			}
			return answering(200, strings.NewReader("{}")), nil
		}))
		_, err := w.SQL("select 1")
		if took := time.Since(began); err == nil || took < lives || took > lives+watchEvery+aliveWithin {
			t.Errorf("after %v: %v", took, err)
		}
		if err == nil || !strings.Contains(err.Error(), "has stopped answering (") || !strings.Contains(err.Error(), "`lakekit up`") {
			t.Errorf("it says: %v", err)
		}
	})
}

// TestAServerThatHangs takes connections and says nothing.
func TestAServerThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		w := talking(t, func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if _, err := w.Topics(); err == nil || time.Since(began) > watchEvery+aliveWithin+time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}

// endless is a body without end, and it may stop in the middle.
type endless struct{ ctx context.Context }

func (e endless) Read(p []byte) (int, error) {
	if e.ctx == nil {
		return copy(p, strings.Repeat("[", len(p))), nil
	}
	<-e.ctx.Done()
	return 0, e.ctx.Err()
}

func TestAnAnswerWithoutEnd(t *testing.T) {
	w := talking(t, func(*http.Request) (*http.Response, error) { return answering(200, endless{}), nil })
	if _, err := w.Topics(); err == nil || !strings.Contains(err.Error(), "longer than 64 MiB") {
		t.Errorf("%v", err)
	}
	w = talking(t, func(*http.Request) (*http.Response, error) {
		return answering(500, strings.NewReader(strings.Repeat("no JSON ", 1000))), nil
	})
	if _, err := w.Topics(); err == nil || len(err.Error()) > 1000 {
		t.Errorf("%v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		w := talking(t, func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/health" {
				return nil, errors.New("connection refused")
			}
			return answering(200, endless{r.Context()}), nil
		})
		if _, err := w.Topics(); err == nil || !strings.Contains(err.Error(), "has stopped answering") {
			t.Errorf("%v", err)
		}
	})
}

func TestACallEndsWithItsContext(t *testing.T) {
	w := talking(t, silent(func() (*http.Response, error) { return answering(200, strings.NewReader("{}")), nil }))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.WithContext(ctx).SQL("select 1"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestTheTokenStaysHere: no proxy is asked, and no redirection followed.
func TestTheTokenStaysHere(t *testing.T) {
	if client.Transport.(*http.Transport).Proxy != nil {
		t.Error("the client goes through a proxy")
	}
	w := talking(t, func(r *http.Request) (*http.Response, error) {
		if r.URL.Host != "127.0.0.1:8080" {
			t.Errorf("it went to %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		answer := answering(http.StatusTemporaryRedirect, strings.NewReader(""))
		answer.Header.Set("Location", "http://evil.example/")
		return answer, nil
	})
	if _, err := w.CreateTopic(TopicOptions{}); err == nil {
		t.Error("a redirection is taken for an answer")
	}
}

// Ctrl-C ends also the first call, to a server that takes connections and says
// nothing, and another service that runs changes nothing about that.
func TestConnectingIsInterrupted(t *testing.T) {
	state := t.TempDir()
	home, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("LAKEKIT_HOME", home)
	t.Setenv("LAKEKIT_STATE", state)
	t.Setenv("LAKEKIT_PROFILE", "")
	if err := settings.WriteProcess(state, settings.Workshop, settings.Process{Address: "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		talking(t, func(r *http.Request) (*http.Response, error) {
			cancel()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		if w, err := ConnectContext(ctx); !errors.Is(err, context.Canceled) || w != nil || time.Since(began) > 0 {
			t.Errorf("after %v: %v, %v", time.Since(began), w, err)
		}
	})
}
