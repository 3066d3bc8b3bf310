package server

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"taxilake/lakekit/api"
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

// maxRequest bounds what a request may send: a chart of some thousand points is
// the largest.
const maxRequest = 32 << 20

// answer adapts a function of the request to HTTP: its value becomes JSON, its
// error an api.Error.
func answer[T any](s *Server, serve func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
		value, err := serve(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(value); err != nil {
			s.log.Error("answering", "path", r.URL.Path, "error", err)
		}
	}
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := http.StatusInternalServerError
	if f, ok := errors.AsType[failure](err); ok {
		status = f.status
	} else {
		s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(api.Error{Message: err.Error()})
}

// body reads a JSON request; unknown fields are a typing mistake of the caller.
func body[T any](r *http.Request) (T, error) {
	var v T
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return v, badRequest("reading the request: %w", err)
	}
	return v, nil
}

const tokenCookie = "lakekit_token"

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
			http.SetCookie(w, &http.Cookie{Name: tokenCookie, Value: given, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
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

// open paths tell nothing about the workshop.
func open(path string) bool { return path == "/health" || strings.HasPrefix(path, "/assets/") }

func shownToken(r *http.Request) string {
	if token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); found {
		return token
	}
	if cookie, err := r.Cookie(tokenCookie); err == nil {
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
