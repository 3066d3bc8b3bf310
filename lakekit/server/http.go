package server

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
)

// failure is an error with the HTTP status it is answered with.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

func badRequest(format string, args ...any) error {
	return failure{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return failure{http.StatusNotFound, fmt.Errorf(format, args...)}
}

func conflict(format string, args ...any) error {
	return failure{http.StatusConflict, fmt.Errorf(format, args...)}
}

// callers are the errors of the parts that the caller can put right, with what
// they are answered with. Every other error is a failure of the server.
var callers = []struct {
	err    error
	status int
}{
	{ingest.ErrOptions, http.StatusBadRequest},
	{kafka.ErrTopicName, http.StatusBadRequest},
	{kafka.ErrNotAllowed, http.StatusForbidden},
	{kafka.ErrTopicNotFound, http.StatusNotFound},
	{kafka.ErrPartitionNotFound, http.StatusNotFound},
	{ingest.ErrTopicMissing, http.StatusNotFound},
	{delta.ErrInvalid, http.StatusBadRequest},
	{delta.ErrSchemaMismatch, http.StatusBadRequest},
	{delta.ErrNotTable, http.StatusNotFound},
	{delta.ErrNoVersion, http.StatusNotFound},
	{kafka.ErrPartitionCount, http.StatusConflict},
	{delta.ErrConflict, http.StatusConflict},
	{delta.ErrFilesMissing, http.StatusConflict},
	{ingest.ErrCheckpointMissing, http.StatusConflict},
	{ingest.ErrCheckpointFormat, http.StatusConflict},
	{ingest.ErrConcurrentRun, http.StatusConflict},
	{ingest.ErrDataLoss, http.StatusConflict},
	{ingest.ErrTableReplaced, http.StatusConflict},
	{ingest.ErrTopicRecreated, http.StatusConflict},
}

// refusals are the broker's answers to a request that makes no sense.
var refusals = []confluent.ErrorCode{
	confluent.ErrInvalidArg, confluent.ErrInvalidConfig, confluent.ErrInvalidPartitions, confluent.ErrInvalidReplicationFactor,
	confluent.ErrInvalidRequest, confluent.ErrPolicyViolation,
}

// statusOf is the one place that gives errors their HTTP status.
func statusOf(err error) int {
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	if _, mistake := errors.AsType[*query.Error](err); mistake {
		return http.StatusBadRequest
	}
	for _, known := range callers {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	if refused, ok := errors.AsType[confluent.Error](err); ok && slices.Contains(refusals, refused.Code()) {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// maxRequest bounds what a request may send: a chart of some thousand points is
// the largest.
const maxRequest = 32 << 20

// answer adapts a function of the request to HTTP: its value becomes JSON, its
// error an api.Error. An empty list is [], whatever the function made of it.
func answer[T any](s *Server, serve func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		value, err := serve(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(listed(value)); err != nil {
			s.log.Error("answering", "path", r.URL.Path, "error", err)
		}
	}
}

// listed gives a nil slice as an empty one.
func listed(value any) any {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice && v.IsNil() {
		return reflect.MakeSlice(v.Type(), 0, 0).Interface()
	}
	return value
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(api.Error{Message: err.Error()})
}

// routed lets the mux answer what it has a route for, and says the rest, its 404
// and 405, in the same JSON as every other failure.
func (s *Server) routed(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		refusal := headOnly{ResponseWriter: w}
		handler.ServeHTTP(&refusal, r)
		err := fmt.Errorf("the workshop server has nothing at %s", r.URL.Path)
		if allowed := w.Header().Get("Allow"); allowed != "" {
			err = fmt.Errorf("%s takes %s, not %s", r.URL.Path, allowed, r.Method)
		}
		s.fail(w, r, failure{refusal.status, err})
	})
}

// headOnly keeps the status and drops the text of an answer.
type headOnly struct {
	http.ResponseWriter
	status int
}

func (h *headOnly) WriteHeader(status int)         { h.status = status }
func (h *headOnly) Write(text []byte) (int, error) { return len(text), nil }

// body reads a JSON request; unknown fields and text after it are a typing
// mistake of the caller.
func body[T any](r *http.Request) (T, error) {
	var v T
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return v, badRequest("reading the request: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return v, badRequest("reading the request: there is more after its JSON value")
	}
	return v, nil
}

// tokenCookie names the cookie with the token. Browsers keep cookies by host and
// not by port: the port in the name keeps two workshops apart.
func tokenCookie(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return "lakekit_token_" + port
}

// guarded lets through who shows the token: notebooks and the command line in
// the Authorization header, the browser in a cookie that the first visit with
// ?token= sets. The Host header must name loopback, so that a page of another
// site cannot reach the server by a name that it points here.
func (s *Server) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if fault := recover(); fault != nil {
				s.log.Error("panic in a request", "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
				s.fail(w, r, fmt.Errorf("the server met a fault of its own in %s: %v; its log has the details", r.URL.Path, fault))
			}
		}()
		if !loopbackName(r.Host) {
			s.fail(w, r, failure{http.StatusForbidden, fmt.Errorf("the workshop server answers on 127.0.0.1 and localhost only, not as %q", r.Host)})
			return
		}
		if open(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		if given := r.URL.Query().Get("token"); given != "" && r.URL.Path == "/" && s.tokenIs(given) {
			http.SetCookie(w, &http.Cookie{Name: tokenCookie(r), Value: given, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		if !s.tokenIs(shownToken(r)) {
			s.fail(w, r, failure{http.StatusUnauthorized, errors.New("the workshop server asks for its token: `lakekit status` prints the address that contains it")})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// open paths tell nothing about the workshop to who does not show the token.
func open(path string) bool { return path == "/health" || strings.HasPrefix(path, "/assets/") }

func shownToken(r *http.Request) string {
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return token
	}
	if cookie, err := r.Cookie(tokenCookie(r)); err == nil {
		return cookie.Value
	}
	return ""
}

func (s *Server) tokenIs(given string) bool {
	token := s.settings.Server.Token.Reveal()
	return token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(token)) == 1
}

func loopbackName(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if name == "localhost" {
		return true
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return ip != nil && ip.IsLoopback()
}
