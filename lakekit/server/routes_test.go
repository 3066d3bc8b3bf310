package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
)

// requests are what the routes with a body take.
var requests = map[string]any{
	"POST /api/topics":              lakekit.TopicOptions{},
	"POST /api/messages":            api.MessagesRequest{},
	"POST /api/traffic":             lakekit.TrafficOptions{},
	"POST /api/tables":              lakekit.TableOptions{},
	"POST /api/table/optimize":      lakekit.OptimizeOptions{},
	"POST /api/table/vacuum":        lakekit.VacuumOptions{},
	"POST /api/table/restore":       lakekit.RestoreOptions{},
	"POST /api/streams":             lakekit.StreamOptions{},
	"POST /api/streams/{name}/stop": api.StopRequest{},
	"POST /api/dead-letters/replay": lakekit.ReplayOptions{},
	"POST /api/sql":                 api.SQLRequest{},
	"POST /api/charts":              api.ChartRequest{},
}

// bare is a server that has its settings and nothing else.
func bare() *Server {
	return &Server{settings: &settings.Settings{Topic: testTopic, OSS: settings.OSS{Bucket: "lake"}, Server: settings.Server{Token: testToken}}, log: slog.New(slog.DiscardHandler)}
}

func method(r route) string { m, _, _ := strings.Cut(r.pattern, " "); return m }

// path fills in the names of a route's path.
func path(r route, name string) string {
	_, path, _ := strings.Cut(r.pattern, " ")
	return strings.NewReplacer("{$}", "", "{name}", name, "{id}", name).Replace(path)
}

func TestEveryNumberHasARange(t *testing.T) {
	for _, route := range bare().routes() {
		request, known := requests[route.pattern]
		if takes := route.body > 0; takes != known {
			t.Errorf("%s takes a body: %v; its request is listed here: %v", route.pattern, takes, known)
		}
		if !known {
			continue
		}
		for name, field := range fields(reflect.TypeOf(request)) {
			kind, bounds := field.Type, field.Tag.Get("range")
			if kind.Kind() == reflect.Pointer {
				kind = kind.Elem()
			}
			switch kind.Kind() {
			case reflect.Int, reflect.Int32, reflect.Int64, reflect.Float64:
				least, most, found := strings.Cut(bounds, "..")
				for _, bound := range []string{least, most} {
					v := reflect.New(kind)
					if err := json.Unmarshal([]byte(bound), v.Interface()); !found || err != nil || !between(v.Elem(), least, most) {
						t.Errorf("%s: %s has the range %q (%v)", route.pattern, name, bounds, err)
					}
				}
			case reflect.Uint64: // a seed: all of them are good
			default:
				if bounds != "" {
					t.Errorf("%s: %s is no number and has a range", route.pattern, name)
				}
			}
		}
	}
}

// TestWhoMayCallWhat walks over all routes with all that can tell of a caller.
func TestWhoMayCallWhat(t *testing.T) {
	s := bare()
	routes, served := s.routes(), false
	for i := range routes {
		routes[i].serve = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true })
	}
	handler := s.serving(routes)
	const own = "http://127.0.0.1:8080"
	calls := 0
	for _, route := range routes {
		changes := method(route) == "POST"
		for _, origin := range []string{"", own, "http://127.0.0.1:8888", "http://localhost:8080", "https://127.0.0.1:8081", "https://evil.example", "null"} {
			for _, site := range []string{"", "same-origin", "none", "same-site", "cross-site", "other"} {
				for _, credential := range []string{"", "wrong", "bearer", "cookie", "cookie of another port"} {
					for _, kind := range []string{"", "application/json", "application/json; charset=utf-8", "application/json; charset=latin1", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json, text/plain", ";"} {
						for _, host := range []string{"127.0.0.1:8080", "evil.example:8080"} {
							var body io.Reader
							if changes {
								body = strings.NewReader("{}")
							}
							r := httptest.NewRequest(method(route), own+path(route, "1"), body)
							r.Host = host
							r.Header = http.Header{}
							for name, value := range map[string]string{"Origin": origin, "Sec-Fetch-Site": site, "Content-Type": kind} {
								if value != "" {
									r.Header.Set(name, value)
								}
							}
							switch credential {
							case "wrong":
								r.Header.Set("Authorization", "Bearer wrong")
							case "bearer":
								r.Header.Set("Authorization", "Bearer "+testToken)
							case "cookie":
								r.Header.Set("Cookie", "lakekit_token_8080="+testToken)
							case "cookie of another port":
								r.Header.Set("Cookie", "lakekit_token_8081="+testToken)
							}
							want := 200
							switch {
							case host != "127.0.0.1:8080":
								want = 403
							case changes && (origin != "" && origin != own || site != "" && site != "same-origin" && site != "none"):
								want = 403
							case !route.open && credential != "bearer" && credential != "cookie":
								want = 401
							case changes && kind != "application/json" && kind != "application/json; charset=utf-8":
								want = 415
							}
							served = false
							w := httptest.NewRecorder()
							handler.ServeHTTP(w, r)
							if w.Code != want || served != (want == 200) {
								t.Fatalf("%s of %q from %q (%q) by %q with %q: status %d, want %d; served: %v", route.pattern, host, origin, site, credential, kind, w.Code, want, served)
							}
							for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin"} {
								if got := w.Header().Get(name); got != value {
									t.Fatalf("%s: %s is %q", route.pattern, name, got)
								}
							}
							if !strings.Contains(w.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") || w.Header().Get("Access-Control-Allow-Origin") != "" {
								t.Fatalf("%s: %v", route.pattern, w.Header())
							}
							calls++
						}
					}
				}
			}
		}
	}
	t.Logf("%d calls", calls)
}

// TestTheBodyOfAStrangerIsNotRead: who shows no token costs nothing.
func TestTheBodyOfAStrangerIsNotRead(t *testing.T) {
	s := bare()
	handler := s.Handler()
	for _, route := range s.routes() {
		r := httptest.NewRequest("POST", "http://127.0.0.1:8080"+path(route, "1"), untouched{t})
		r.Header.Set("Content-Type", "application/json")
		if method(route) == "GET" {
			r.Method = "GET"
		}
		if w := httptest.NewRecorder(); !route.open {
			if handler.ServeHTTP(w, r); w.Code != http.StatusUnauthorized {
				t.Errorf("%s: status %d", route.pattern, w.Code)
			}
		}
	}
}

type untouched struct{ t *testing.T }

func (u untouched) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

// TestAnotherMethodIsRefused also in the name of one that is taken.
func TestAnotherMethodIsRefused(t *testing.T) {
	s := bare()
	handler := s.Handler()
	for _, route := range s.routes() {
		for _, other := range []string{"PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"} {
			r := httptest.NewRequest(other, "http://127.0.0.1:8080"+path(route, "1"), nil)
			r.Header.Set("Authorization", "Bearer "+testToken)
			r.Header.Set("X-HTTP-Method-Override", method(route))
			w := httptest.NewRecorder()
			if handler.ServeHTTP(w, r); w.Code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: status %d", other, path(route, "1"), w.Code)
			}
		}
	}
}

// wholeServer has all that the real one has, on a broker of its own and a bucket
// in memory.
func wholeServer(t *testing.T) *Server {
	t.Helper()
	s := newStreams(t).server
	home, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	s.settings.Home, s.settings.Server.Token = home, testToken
	s.settings.DeadLetters = "oss://lake/delta/taxi_record_dead_letters"
	s.settings.OSS.Endpoint = "http://127.0.0.1:1" // for the doctor
	if s.engine, err = query.Open(query.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.charts.close()
		if err := s.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask calls a route as a notebook does.
func ask(ctx context.Context, handler http.Handler, method, target, body string) (int, string) {
	r := httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:8080/", strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequestWithContext(ctx, method, "http://127.0.0.1:8080/", nil)
	}
	r.URL.Path, r.URL.RawQuery, _ = strings.Cut(target, "?")
	r.Header.Set("Authorization", "Bearer "+testToken)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

// told says what is wrong with an answer: a failure says why, in JSON, and is no
// failure of the server.
func told(status int, text string) error {
	var problem api.Error
	switch {
	case status == 200, status == http.StatusSeeOther, status == http.StatusTemporaryRedirect:
		return nil
	case status >= 500 && status != http.StatusServiceUnavailable:
		return fmt.Errorf("a failure of the server: %s", text)
	case json.Unmarshal([]byte(text), &problem) != nil || strings.TrimSpace(problem.Message) == "":
		return fmt.Errorf("no reason is given: %s", text)
	case strings.Contains(problem.Message, "goroutine ") || strings.Contains(problem.Message, "%!("):
		return fmt.Errorf("nothing for people: %s", text)
	}
	return nil
}

// hostileTexts stand for a name, an address, a statement, an option.
var hostileTexts = []string{
	"", " ", "\x00", "a\x00b", "\n", "..", ".", "../..", "/", "//", "/etc/passwd", "a/b", `a\b`, "oss://", "oss://lake", "oss://lake/", "oss://lake//", "oss://lakes/x", "oss://lake/../x",
	"oss://lake/a/ .. /b", "oss://lake/" + strings.Repeat("a/", 2000), "oss://lake/" + strings.Repeat("x", 300), "s3://lake/x", "file:///etc", "oss://lake/delta/taxi_record?x=y", "oss://lake/%2e%2e/x",
	"delta", "oss://lake/delta", "oss://lake/no/table", "oss://lake/delta/no_table", "taxi_record", "TAXI_RECORD", "no_table", "delta.`/etc`", strings.Repeat("x", 100_000), "\u202e\ufeff\u0000", "é", "🚕", "'; drop table x --", "%s%d%!x", "<script>",
	"nyc_taxi_data", "nyc_taxi_data,nyc_taxi_data", ",", "second_topic", "no_such_topic", "__consumer_offsets", "-1", "1e308", "9223372036854775808", "NaN", "latest", `{"nyc_taxi_data":{"0":-3}}`, `{"nyc_taxi_data":{"99":0}}`, `{}`, "[", "null",
	"0 seconds", "-1 second", "9223372036854775807 seconds", "9000000000 seconds 9000000000 seconds 9000000000 seconds", "1e308 hours", "once", "yesterday", "0001-01-01", "9999-12-31 23:59:59", "292277026596-01-01", "America/New_York", "Mars/Olympus", "+99:99",
	"select", "select 1", "select * from", "select * from taxi_record", "select * from read_csv('/etc/passwd')", "select * from taxi_record version as of 99999999999999999999", "select * from taxi_record timestamp as of 'x'", "select 1; select 2", "insert into x values (1)",
	"attach '/etc/passwd'", "copy (select 1) to '/tmp/x'", "with recursive", "select 1/0", "select cast('x' as int)", "select '" + strings.Repeat("(", 1000), strings.Repeat("(", 5000), "day = ", "fare_amount > 1", "id IN (", "id = '",
}

var hostileNumbers = []string{"-1", "0", "1", "-9223372036854775808", "9223372036854775807", "9223372036854775808", "1e308", "-1e308", "1e309", "1e-320", "0.5", "1.0", "-0", "00", "2147483648", "18446744073709551616", `"1"`, "NaN", "true", "null", "[]", "{}", "0x10", "1_000", "+1"}

// hostile makes a request of a type with something wrong in it, most of the time.
func hostile(random *rand.Rand, request any) string {
	pick := func(from []string) string { return from[random.IntN(len(from))] }
	text := func() string { t, _ := json.Marshal(pick(hostileTexts)); return string(t) }
	var members []string
	for name, field := range fields(reflect.TypeOf(request)) {
		if random.IntN(3) > 0 {
			continue
		}
		kind := field.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		var value string
		switch kind.Kind() {
		case reflect.String:
			value = text()
		case reflect.Bool:
			value = []string{"true", "false", "1", `"true"`}[random.IntN(4)]
		case reflect.Slice:
			value = "[" + text() + "," + text() + "]"
		case reflect.Map:
			value = "{" + text() + ":" + text() + "}"
		default:
			value = pick(hostileNumbers)
		}
		if random.IntN(50) == 0 {
			value = []string{"null", "[[]]", `{"a":{"a":{}}}`, "", "\"\xff\"", `"\ud800"`}[random.IntN(6)]
		}
		members = append(members, fmt.Sprintf("%q:%s", name, value))
	}
	switch random.IntN(40) {
	case 0:
		members = append(members, `"no_such_field":1`)
	case 1:
		members = append(members, members...)
	}
	return "{" + strings.Join(members, ",") + "}"
}

// endWork ends what requests have begun, so that it does not pile up.
func (s *Server) endWork(t *testing.T) {
	t.Helper()
	if err := errors.Join(s.traffic.close(t.Context()), s.streams.close(t.Context())); err != nil {
		t.Error(err)
	}
}

func TestNoRequestIsAFailureOfTheServer(t *testing.T) {
	s := wholeServer(t)
	handler := s.Handler()
	random := rand.New(rand.NewPCG(1, 2))
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	hostileTexts := append(slices.Clone(hostileTexts), "/dev/zero", filepath.Join(dir, "pipe"), dir, "routes_test.go")
	rounds := 25
	if testing.Short() {
		rounds = 5
	}
	for _, route := range s.routes() {
		check := func(target, body string) {
			t.Helper()
			status, text := ask(t.Context(), handler, method(route), target, body)
			if err := told(status, text); err != nil {
				t.Errorf("%s %s %.300s: status %d, %v", method(route), target, body, status, err)
			}
		}
		for _, body := range []string{"{", "[]", "null", "1", `"x"`, "{} {}", "\xff", strings.Repeat("[", 10_000), `{"a":` + strings.Repeat(`{"a":`, 10_000), "\ufeff{}"} {
			check(path(route, "1"), body)
		}
		for range rounds {
			name, target := hostileTexts[random.IntN(len(hostileTexts))], "1"
			if !strings.ContainsAny(name, "?\x00\n") && name != "" && name != "." && name != ".." {
				target = strings.ReplaceAll(name, "/", "")
			}
			target = path(route, target)
			if n := len(route.query); n > 0 && random.IntN(3) > 0 {
				value := hostileTexts[random.IntN(len(hostileTexts))]
				if random.IntN(2) == 0 {
					value = hostileNumbers[random.IntN(len(hostileNumbers))]
				}
				target += "?" + route.query[random.IntN(n)] + "=" + urlEscape(value)
			}
			body := ""
			if request, takes := requests[route.pattern]; takes {
				body = hostile(random, request)
			}
			check(target, body)
		}
		s.endWork(t)
	}
	for _, csv := range hostileTexts {
		request, _ := json.Marshal(lakekit.TrafficOptions{CSV: csv, Records: 1})
		if status, text := ask(t.Context(), handler, "POST", "/api/traffic", string(request)); csv != "" && (status < 400 || told(status, text) != nil) {
			t.Errorf("csv %.100q: status %d %s", csv, status, text)
		}
	}
}

func urlEscape(value string) string {
	var b strings.Builder
	for _, c := range []byte(value) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}

// TestGETChangesNothing at the store and the broker.
func TestGETChangesNothing(t *testing.T) {
	s := wholeServer(t)
	state := func() string {
		var b strings.Builder
		for object, err := range s.bucket.List(t.Context(), blob.ListOptions{}) {
			fmt.Fprintln(&b, object.Key, object.ETag, err)
		}
		err := s.admin(func(a *kafka.Admin) error {
			topics, err := a.Topics(t.Context())
			fmt.Fprintln(&b, topics)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, run := range s.traffic.list() {
			fmt.Fprintln(&b, run.ID)
		}
		fmt.Fprintln(&b, s.streams.list())
		return b.String()
	}
	before := state()
	for _, route := range s.routes() {
		if method(route) != "GET" {
			continue
		}
		for _, name := range []string{testTopic, "1", "taxi_record", "new"} {
			status, text := ask(t.Context(), s.Handler(), "GET", path(route, name), "")
			if err := told(status, text); err != nil {
				t.Errorf("%s: %v", route.pattern, err)
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("before\n%s\nafter\n%s", before, after)
	}
}

// away is a store that does not answer.
type away struct{ blob.Bucket }

var errAway = fmt.Errorf("no answer from the object store: %w; `lakekit up` starts it", blob.ErrUnavailable)

func (away) URI(key string) string                                    { return "oss://lake/" + key }
func (away) Get(context.Context, string) (io.ReadCloser, error)       { return nil, errAway }
func (away) Head(context.Context, string) (blob.ObjectInfo, error)    { return blob.ObjectInfo{}, errAway }
func (away) Put(context.Context, string, io.ReadSeeker) error         { return errAway }
func (away) PutIfAbsent(context.Context, string, io.ReadSeeker) error { return errAway }
func (away) Delete(context.Context, ...string) error                  { return errAway }
func (away) GetRange(context.Context, string, int64, int64) (io.ReadCloser, error) {
	return nil, errAway
}
func (away) List(context.Context, blob.ListOptions) iter.Seq2[blob.ObjectInfo, error] {
	return func(yield func(blob.ObjectInfo, error) bool) { yield(blob.ObjectInfo{}, errAway) }
}

// TestServicesThatAreAway are told as such, by every route that needs them.
func TestServicesThatAreAway(t *testing.T) {
	s := wholeServer(t)
	s.kafka = kafka.Config{"bootstrap.servers": "127.0.0.1:1"}
	s.bucket = away{}
	s.tables = map[string]*delta.Table{}
	for i := range s.traffic.runs {
		s.traffic.runs[i].Interrupted = false
	}
	handler := s.Handler()
	bodies := map[string]string{
		"POST /api/messages": `{"values":["x"]}`, "POST /api/sql": `{"sql":"select * from taxi_record"}`,
		"POST /api/table/restore": `{"version":0}`,
	}
	// These need neither, or answer with what they found.
	without := []string{
		"GET /health", "GET /assets/echarts.min.js", "GET /{$}", "GET /metrics", "GET /api/overview", "GET /api/traffic", "GET /api/streams", "POST /api/charts",
		"GET /api/traffic/{id}", "POST /api/traffic/{id}/stop", "GET /api/streams/{name}", "GET /api/streams/{name}/progress",
		"POST /api/streams/{name}/process-all-available", "POST /api/streams/{name}/stop", "POST /api/doctor/kafka", "POST /api/doctor/store",
	}
	var all sync.WaitGroup
	for _, route := range s.routes() {
		if slices.Contains(without, route.pattern) {
			continue
		}
		all.Go(func() {
			body := bodies[route.pattern]
			if route.body > 0 && body == "" {
				body = "{}"
			}
			status, text := ask(t.Context(), handler, method(route), path(route, testTopic), body)
			if status != http.StatusServiceUnavailable || told(status, text) != nil || !strings.Contains(text, "lakekit up") {
				t.Errorf("%s: status %d %s", route.pattern, status, text)
			}
		})
	}
	all.Wait()
}

// TestWhoHangsUpWaitsForNothing: with the end of its context a request ends, also
// where services are away.
func TestWhoHangsUpWaitsForNothing(t *testing.T) {
	s := wholeServer(t)
	handler := s.Handler()
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	for _, route := range s.routes() {
		body := ""
		if route.body > 0 {
			body = "{}"
		}
		status, text := ask(gone, handler, method(route), path(route, testTopic), body)
		if err := told(status, text); err != nil {
			t.Errorf("%s: %v", route.pattern, err)
		}
	}
	s.endWork(t)
}

func TestThePagesOwnScriptIsAllowed(t *testing.T) {
	w := httptest.NewRecorder()
	bare().page(w, nil)
	if strings.Count(w.Body.String(), "<script>") != 1 || bytes.Contains(pageHTML, []byte(" onclick")) {
		t.Error("the page has another script than the one that its policy names")
	}
	if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(strings.Split(policy, "style-src")[0], "unsafe") || !strings.Contains(policy, "'sha256-") {
		t.Errorf("its policy is %s", policy)
	}
}

// FuzzRequest decodes bytes as every request there is. What is taken, is in range,
// and means the same when it is written and read again.
func FuzzRequest(f *testing.F) {
	patterns := slices.Sorted(maps.Keys(requests))
	random := rand.New(rand.NewPCG(3, 4))
	for i, pattern := range patterns {
		for range 10 {
			f.Add(i, []byte(hostile(random, requests[pattern])))
		}
	}
	f.Add(0, []byte(`{"name":"a","name":"b"}`))
	f.Add(0, []byte(`{"NAME":"a"}`))
	f.Fuzz(func(t *testing.T, which int, data []byte) {
		if which < 0 {
			which = -(which + 1)
		}
		kind := reflect.TypeOf(requests[patterns[which%len(patterns)]])
		request := reflect.New(kind)
		if err := decode(data, request.Interface()); err != nil {
			if f, ok := errors.AsType[failure](err); !ok || f.status != 400 || f.Error() == "" {
				t.Fatalf("%q is answered with %v", data, err)
			}
			return
		}
		if err := inRange(request.Interface()); err != nil {
			t.Fatalf("%q is taken: %v", data, err)
		}
		written, err := json.Marshal(request.Interface())
		if err != nil {
			t.Fatal(err)
		}
		again := reflect.New(kind)
		if err := decode(written, again.Interface()); err != nil {
			t.Fatalf("%q is taken, and %s is not: %v", data, written, err)
		}
		rewritten, err := json.Marshal(again.Interface())
		if err != nil || !bytes.Equal(rewritten, written) {
			t.Fatalf("%q is read as %s and then as %s (%v)", data, written, rewritten, err)
		}
	})
}
