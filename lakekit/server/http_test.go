package server

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"taxilake/lakekit/api"
	"taxilake/lakekit/settings"
)

const testToken = "the-token"

func guardedServer(t *testing.T) (*Server, http.Handler) {
	t.Helper()
	s := &Server{
		settings: &settings.Settings{OSS: settings.OSS{Bucket: "lake"}, Server: settings.Server{Token: testToken}},
		log:      slog.New(slog.DiscardHandler),
	}
	mux := http.NewServeMux()
	mux.Handle("GET /health", answer(s, s.health))
	mux.HandleFunc("GET /{$}", s.page)
	mux.Handle("GET /api/fault", answer(s, func(*http.Request) (int, error) { panic("on purpose") }))
	mux.Handle("GET /api/answer", answer(s, func(*http.Request) (int, error) { return 42, nil }))
	mux.Handle("GET /api/missing", answer(s, func(*http.Request) (int, error) { return 0, notFound("no %s here", "table") }))
	mux.Handle("GET /api/broken", answer(s, func(*http.Request) (int, error) { return 0, errors.New("the disk is full") }))
	mux.Handle("POST /api/body", answer(s, func(r *http.Request) (api.SQLRequest, error) { return body[api.SQLRequest](r) }))
	return s, s.guarded(mux)
}

func TestGuard(t *testing.T) {
	_, handler := guardedServer(t)
	bearer := map[string]string{"Authorization": "Bearer " + testToken}
	for _, test := range []struct {
		name, method, target, host, body string
		headers                          map[string]string
		status                           int
		text                             string
	}{
		{name: "health is open", target: "/health", status: 200, text: `"pid"`},
		{name: "no token", target: "/api/answer", status: 401, text: "lakekit status"},
		{name: "wrong token", target: "/api/answer", headers: map[string]string{"Authorization": "Bearer wrong"}, status: 401},
		{name: "token in the header", target: "/api/answer", headers: bearer, status: 200, text: "42"},
		{name: "token in the cookie", target: "/api/answer", headers: map[string]string{"Cookie": tokenCookie + "=" + testToken}, status: 200},
		{name: "token in the address of a call", target: "/api/answer?token=" + testToken, status: 401},
		{name: "token in the address of the page", target: "/?token=" + testToken, status: 303},
		{name: "page without a token", target: "/", status: 401},
		{name: "page with a wrong token", target: "/?token=wrong", status: 401},
		{name: "another site's name", target: "/api/answer", host: "evil.example", headers: bearer, status: 403},
		{name: "another site's name for health", target: "/health", host: "evil.example:8080", status: 403},
		{name: "localhost", target: "/api/answer", host: "localhost:8080", headers: bearer, status: 200},
		{name: "IPv6 loopback", target: "/api/answer", host: "[::1]:8080", headers: bearer, status: 200},
		{name: "not found", target: "/api/missing", headers: bearer, status: 404, text: `{"error":"no table here"}`},
		{name: "failure", target: "/api/broken", headers: bearer, status: 500, text: "the disk is full"},
		{name: "fault", target: "/api/fault", headers: bearer, status: 500, text: "on purpose"},
		{name: "body", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"select 1"}`, status: 200, text: "select 1"},
		{name: "body with an unknown field", method: "POST", target: "/api/body", headers: bearer, body: `{"query":"select 1"}`, status: 400, text: "query"},
		{name: "body that is no JSON", method: "POST", target: "/api/body", headers: bearer, body: `select 1`, status: 400},
		{name: "body without end", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"` + strings.Repeat("x", maxRequest) + `"}`, status: 400, text: "too large"},
	} {
		t.Run(test.name, func(t *testing.T) {
			method := test.method
			if method == "" {
				method = "GET"
			}
			request := httptest.NewRequest(method, test.target, strings.NewReader(test.body))
			request.Host = "127.0.0.1:8080"
			if test.host != "" {
				request.Host = test.host
			}
			for name, value := range test.headers {
				request.Header.Set(name, value)
			}
			recorder := httptest.NewRecorder()
			handler.ServeHTTP(recorder, request)
			text, _ := io.ReadAll(recorder.Result().Body)
			if recorder.Code != test.status || !strings.Contains(string(text), test.text) {
				t.Errorf("status %d %s, want %d and %q", recorder.Code, text, test.status, test.text)
			}
			if strings.Contains(string(text), testToken) {
				t.Errorf("the token is in the answer: %s", text)
			}
		})
	}
}

func TestAServerWithoutATokenLetsNobodyIn(t *testing.T) {
	s, handler := guardedServer(t)
	s.settings.Server.Token = ""
	request := httptest.NewRequest("GET", "/api/answer", nil)
	request.Host = "127.0.0.1"
	request.Header.Set("Authorization", "Bearer ")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	if recorder.Code != http.StatusUnauthorized {
		t.Errorf("status %d", recorder.Code)
	}
}

func TestWithin(t *testing.T) {
	s, _ := guardedServer(t)
	for uri, want := range map[string]string{
		"oss://lake":                   "",
		"oss://lake/":                  "",
		"oss://lake/delta/taxi_record": "delta/taxi_record",
		"oss://lake/a..b/c":            "a..b/c",
	} {
		if key, err := s.within(uri); err != nil || key != want {
			t.Errorf("within(%s) = %q, %v, want %q", uri, key, err, want)
		}
	}
	for _, uri := range []string{"", "lake/x", "/etc/passwd", "oss://lakes/x", "oss://other/x", "oss://lake/../x", "oss://lake/a/../../x", "s3://lake/x"} {
		if key, err := s.within(uri); err == nil {
			t.Errorf("within(%s) = %q, want an error", uri, key)
		}
	}
}
