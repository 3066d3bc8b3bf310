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
	"taxilake/lakekit/blob"
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
	return s, s.serving([]route{
		{pattern: "GET /health", open: true, serve: answer(s, s.health)},
		{pattern: "GET /{$}", query: []string{"token"}, serve: http.HandlerFunc(s.page)},
		{pattern: "GET /api/fault", serve: answer(s, func(*http.Request) (int, error) { panic("on purpose") })},
		{pattern: "GET /api/answer", serve: answer(s, func(*http.Request) (int, error) { return 42, nil })},
		{pattern: "GET /api/missing", serve: answer(s, func(*http.Request) (int, error) { return 0, notFound("no %s here", "table") })},
		{pattern: "GET /api/broken", serve: answer(s, func(*http.Request) (int, error) { return 0, errors.New("the disk is full") })},
		{pattern: "GET /api/long", serve: answer(s, func(*http.Request) (string, error) { return strings.Repeat("x", api.MaxAnswer), nil })},
		{pattern: "POST /api/body", body: testBody, serve: answer(s, func(r *http.Request) (api.SQLRequest, error) { return body[api.SQLRequest](r) })},
		{pattern: "POST /api/no-body", serve: answer(s, func(*http.Request) (int, error) { return 42, nil })},
		{pattern: "GET /api/list", query: []string{"limit", "uri"}, serve: answer(s, func(*http.Request) ([]string, error) { return nil, nil })},
	})
}

const testBody = 64 << 10

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
		{name: "body that is no JSON", method: "POST", target: "/api/body", headers: bearer, body: `select 1`, status: 400, text: "no JSON"},
		{name: "body that is too large", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"` + strings.Repeat("x", testBody) + `"}`, status: 413, text: "larger than 64 KiB, the most that POST /api/body takes"},
		{name: "empty body", method: "POST", target: "/api/body", headers: bearer, status: 400, text: "it is empty"},
		{name: "body of spaces", method: "POST", target: "/api/body", headers: bearer, body: " \n", status: 400, text: "it is empty"},
		{name: "another value", method: "POST", target: "/api/body", headers: bearer, body: "null", status: 400, text: "want a JSON object, not null"},
		{name: "a list", method: "POST", target: "/api/body", headers: bearer, body: `[{"sql":"select 1"}]`, status: 400, text: "want a JSON object"},
		{name: "a field of another case", method: "POST", target: "/api/body", headers: bearer, body: `{"SQL":"select 1"}`, status: 400, text: `there is no field \"SQL\"; there are: sql, time_zone, max_rows`},
		{name: "a field twice", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"select 1","sql":"select 2"}`, status: 400, text: `\"sql\" is given twice`},
		{name: "a field of another type", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":1}`, status: 400, text: `\"sql\": want a text, not`},
		{name: "a number with a fraction", method: "POST", target: "/api/body", headers: bearer, body: `{"max_rows":1.5}`, status: 400, text: `\"max_rows\": want a whole number of 64 bits, not 1.5`},
		{name: "a number beyond all", method: "POST", target: "/api/body", headers: bearer, body: `{"max_rows":1e308}`, status: 400, text: `\"max_rows\": want a whole number of 64 bits, not 1e308`},
		{name: "a negative number", method: "POST", target: "/api/body", headers: bearer, body: `{"max_rows":-1}`, status: 400, text: `\"max_rows\": -1 is not between 1 and 100000; 0 is the default`},
		{name: "NaN", method: "POST", target: "/api/body", headers: bearer, body: `{"max_rows":NaN}`, status: 400, text: "no JSON"},
		{name: "bytes that are no UTF-8", method: "POST", target: "/api/body", headers: bearer, body: "{\"sql\":\"\xff\"}", status: 400, text: "UTF-8"},
		{name: "half of a character", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":"\ud800"}`, status: 400},
		{name: "depth", method: "POST", target: "/api/body", headers: bearer, body: `{"sql":` + strings.Repeat("[", testBody/2), status: 400},
		{name: "no body", method: "POST", target: "/api/no-body", headers: bearer, status: 200},
		{name: "no fields", method: "POST", target: "/api/no-body", headers: bearer, body: "{}", status: 200},
		{name: "a body that is not asked for", method: "POST", target: "/api/no-body", headers: bearer, body: `{"force":true}`, status: 400, text: `there is no field \"force\"`},
		{name: "a body that is far from asked for", method: "POST", target: "/api/no-body", headers: bearer, body: `{"a":"` + strings.Repeat("x", littleBody) + `"}`, status: 413},
		{name: "a body with GET", target: "/api/list", headers: bearer, body: "{}", status: 400, text: "takes no body"},
		{name: "parameters", target: "/api/list?limit=1&uri=a", headers: bearer, status: 200},
		{name: "a parameter that there is not", target: "/api/list?limt=1", headers: bearer, status: 400, text: `takes no parameter \"limt\"; it takes: limit, uri`},
		{name: "a parameter twice", target: "/api/list?limit=1&limit=2", headers: bearer, status: 400, text: "2 times"},
		{name: "parameters that are none", target: "/api/list?limit=%zz", headers: bearer, status: 400},
		{name: "a parameter that is no UTF-8", target: "/api/list?uri=%ff", headers: bearer, status: 400, text: "UTF-8"},
		{name: "an old address of the page", target: "/?token=old", headers: map[string]string{"Cookie": "lakekit_token_8080=" + testToken}, status: 303},
		{name: "an answer without end", target: "/api/long", headers: bearer, status: 400, text: "longer than 64 MiB"},
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
			if test.body != "" {
				request.Header.Set("Content-Type", "application/json")
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
		{fmt.Errorf("browse: %w", kafka.ErrLogin), 503},
		{fmt.Errorf("browse: %w", kafka.ErrNoBroker), 503},
		{fmt.Errorf("read table: %w", blob.ErrUnavailable), 503},
		{fmt.Errorf("read table: %w", blob.ErrDenied), 403},
		{fmt.Errorf("read table: %w", delta.ErrUnsupported), 422},
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
		if key, err := s.within(uri, settings.Read); err != nil || key != want {
			t.Errorf("within(%s) = %q, %v, want %q", uri, key, err, want)
		}
	}
	for _, uri := range []string{"", "lake/x", "/etc/passwd", "oss://lakes/x", "oss://other/x", "oss://lake/../x", "oss://lake/a/../../x", "s3://lake/x",
		"oss://lake//x", "oss://lake/a//b", "oss://lake/a/ .. /b", `oss://lake/a\..\b`, "oss://lake/a\x00b", "oss://lake/a\xff", "oss://lake/" + strings.Repeat("a/", 600) + "b", "oss://lake/" + strings.Repeat("a", 256)} {
		if key, err := s.within(uri, settings.Read); err == nil {
			t.Errorf("within(%s) = %q, want an error", uri, key)
		}
	}
}
