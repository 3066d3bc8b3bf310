package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
)

const testToken = "the-token"

func guardedServer(t *testing.T) (*Server, http.Handler) {
	t.Helper()
	s := &Server{
		settings: &settings.Settings{Topic: testTopic, OSS: settings.OSS{Bucket: "lake"}, Server: settings.Server{Token: testToken}},
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
	mux.Handle("GET /api/list", answer(s, func(*http.Request) ([]string, error) { return nil, nil }))
	return s, s.guarded(s.routed(mux))
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
		{name: "token in the cookie", target: "/api/answer", headers: map[string]string{"Cookie": "lakekit_token_8080=" + testToken}, status: 200},
		{name: "cookie of a workshop at another port", target: "/api/answer", headers: map[string]string{"Cookie": "lakekit_token_8081=" + testToken}, status: 401},
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
		{name: "body with text after it", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"select 1"} or so`, status: 400, text: "more after"},
		{name: "two bodies", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"select 1"}{}`, status: 400, text: "more after"},
		{name: "empty list", target: "/api/list", headers: bearer, status: 200, text: "[]"},
		{name: "no such path", target: "/api/nothing", headers: bearer, status: 404, text: `{"error":"the workshop server has nothing at /api/nothing"}`},
		{name: "no such method", method: "DELETE", target: "/api/answer", headers: bearer, status: 405, text: `{"error":"/api/answer takes GET, HEAD, not DELETE"}`},
		{name: "health without the token", target: "/health", status: 200, text: `"topic":""`},
		{name: "health with the token", target: "/health", headers: bearer, status: 200, text: `"topic":"nyc_taxi_data"`},
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

func TestStatusOf(t *testing.T) {
	for _, test := range []struct {
		err  error
		want int
	}{
		{errors.New("the disk is full"), 500},
		{conflict("taken: %w", kafka.ErrTopicNotFound), 409},
		{fmt.Errorf("start: %w: trigger", ingest.ErrOptions), 400},
		{fmt.Errorf("start: %w", ingest.ErrTopicMissing), 404},
		{fmt.Errorf("start: %w", ingest.ErrCheckpointMissing), 409},
		{fmt.Errorf("create: %w", kafka.ErrTopicName), 400},
		{fmt.Errorf("create: %w", kafka.ErrPartitionCount), 409},
		{fmt.Errorf("create: %w", confluent.NewError(confluent.ErrInvalidConfig, "retention.ms", false)), 400},
		{fmt.Errorf("browse: %w", kafka.ErrPartitionNotFound), 404},
		{fmt.Errorf("browse: %w", kafka.ErrNotAllowed), 403},
		{fmt.Errorf("browse: %w", kafka.ErrLogin), 500},
		{fmt.Errorf("files: %w", delta.ErrNoVersion), 404},
		{&query.Error{Message: "no such column"}, 400},
	} {
		if got := statusOf(test.err); got != test.want {
			t.Errorf("%v: %d, want %d", test.err, got, test.want)
		}
	}
}

func TestNumberIsBounded(t *testing.T) {
	for text, want := range map[string]int64{"": -1, "-1": -1, "0": 0, "2147483647": 2147483647} {
		got, err := number(httptest.NewRequest("GET", "/?partition="+text, nil), "partition", -1, -1, 2147483647)
		if err != nil || got != want {
			t.Errorf("partition=%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-2", "2147483648", "4294967296", "99999999999999999999", "x", "1.5"} {
		got, err := number(httptest.NewRequest("GET", "/?partition="+text, nil), "partition", -1, -1, 2147483647)
		if err == nil || statusOf(err) != 400 {
			t.Errorf("partition=%s: %d, %v, want a bad request", text, got, err)
		}
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
