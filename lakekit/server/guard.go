package server

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"

	"taxilake/lakekit/httpd"
)

// guarded lets through who shows the token: notebooks and the command line in
// the Authorization header, the browser in a cookie that the first visit with
// ?token= sets. Two kinds of pages of other sites are kept out, which have the
// cookie sent along: by the Host header, which must name loopback, those that
// reach the server by a name of theirs that points here; by what browsers tell
// of a request's origin, those that would change something, be they only of
// another port of this machine. Who shows no token has one answer of a connection.
func (s *Server) guarded(routes map[string]route, mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if fault := recover(); fault != nil {
				s.log.Error("panic in a request", "path", r.URL.Path, "fault", fault, "stack", string(debug.Stack()))
				s.fail(w, r, fmt.Errorf("the server met a fault of its own in %s: %v; its log has the details", r.URL.Path, fault))
			}
		}()
		protect(w.Header())
		known := s.tokenIs(shownToken(r))
		if !known {
			httpd.HangUp(w)
		}
		if !loopbackName(r.Host) {
			s.fail(w, r, failure{http.StatusForbidden, fmt.Errorf("the workshop server answers on 127.0.0.1 and localhost only, not as %q", r.Host)})
			return
		}
		if err := sameOrigin(r); err != nil {
			s.fail(w, r, failure{http.StatusForbidden, err})
			return
		}
		handler, pattern := mux.Handler(r)
		if !routes[pattern].open {
			if r.URL.Path == "/" && r.URL.Query().Has("token") {
				s.firstVisit(w, r)
				return
			}
			if !known {
				s.fail(w, r, errToken)
				return
			}
		}
		if pattern == "" {
			s.fail(w, r, notRouted(handler, w.Header(), r))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

var errToken = failure{http.StatusUnauthorized, errors.New("the workshop server asks for its token: `lakekit status` prints the address that contains it")}

// firstVisit takes the token out of the address into a cookie.
func (s *Server) firstVisit(w http.ResponseWriter, r *http.Request) {
	given := r.URL.Query().Get("token")
	switch {
	case s.tokenIs(given):
		http.SetCookie(w, &http.Cookie{Name: tokenCookie(r), Value: given, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode})
	case !s.tokenIs(shownToken(r)): // or it is an old address, of who has the cookie
		s.fail(w, r, errToken)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// protect tells a browser to show, embed and keep nothing of an answer anywhere
// else, and to take it for nothing but what its Content-Type says.
func protect(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// sameOrigin refuses a request that may change something and comes from a page of
// another origin, and the port belongs to an origin. Browsers tell by
// Sec-Fetch-Site and by Origin; both must be right. What is no browser has neither.
func sameOrigin(r *http.Request) error {
	byOrigin := r.Clone(r.Context())
	byOrigin.Header.Del("Sec-Fetch-Site")
	var protection http.CrossOriginProtection
	if protection.Check(r) == nil && protection.Check(byOrigin) == nil {
		return nil
	}
	return fmt.Errorf("%s %s comes from a page of another origin (Origin %q, Sec-Fetch-Site %q), and changes are made from the workshop's own page, notebooks and the command line only",
		r.Method, r.URL.Path, r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"))
}

// notRouted says the mux's 404 and 405 in the same words as every other failure.
func notRouted(handler http.Handler, header http.Header, r *http.Request) error {
	refusal := headOnly{header: header}
	handler.ServeHTTP(&refusal, r)
	if allowed := header.Get("Allow"); allowed != "" {
		return failure{refusal.status, fmt.Errorf("%s takes %s, not %s", r.URL.Path, allowed, r.Method)}
	}
	return failure{refusal.status, fmt.Errorf("the workshop server has nothing at %s", r.URL.Path)}
}

// headOnly keeps the head of an answer and drops its text.
type headOnly struct {
	header http.Header
	status int
}

func (h *headOnly) Header() http.Header            { return h.header }
func (h *headOnly) WriteHeader(status int)         { h.status = status }
func (h *headOnly) Write(text []byte) (int, error) { return len(text), nil }

// tokenCookie names the cookie with the token. Browsers keep cookies by host and
// not by port: the port in the name keeps two workshops apart.
func tokenCookie(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return "lakekit_token_" + port
}

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
