package server

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"taxilake/lakekit/httpd"
)

// route is a call of the server: what it takes, and who serves it.
type route struct {
	pattern string // of http.ServeMux
	serve   http.Handler

	open  bool     // tells nothing about the workshop, and asks for no token
	query []string // parameters that it takes
	body  int64    // most bytes of the JSON that it takes; 0: none
	turns turns    // bounds how many work at once; nil: it is cheap
}

// turns bounds how many requests of a kind work at once; the others wait until
// one is done, or their callers hang up.
type turns chan struct{}

func (t turns) take(r *http.Request) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-r.Context().Done():
		return fmt.Errorf("waiting for the requests before this one: %w", r.Context().Err())
	}
}

// few serves so many requests at once and refuses the others: of what anybody may
// ask for, nobody holds more than that, however slowly the answers are taken.
func (s *Server) few(most int, serve http.HandlerFunc) http.Handler {
	places := make(turns, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
			serve(w, r)
		default:
			s.fail(w, r, failure{http.StatusServiceUnavailable, fmt.Errorf("%d others are being given %s just now: try again in a moment", most, r.URL.Path)})
		}
	})
}

// call is the handler of a route, who looks at nothing of a request but what the
// route takes.
func (s *Server) call(route route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := route.admit(r); err != nil {
			s.fail(w, r, err)
			return
		}
		if route.turns != nil {
			if err := route.turns.take(r); err != nil {
				s.fail(w, r, err)
				return
			}
			defer func() { <-route.turns }()
		}
		route.serve.ServeHTTP(w, r)
	})
}

// admit refuses what the route does not take, and reads the body.
func (route route) admit(r *http.Request) error {
	if !utf8.ValidString(r.URL.Path) {
		return badRequest("the path is not UTF-8")
	}
	given, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("reading the parameters: %w", err)
	}
	for name, values := range given {
		switch {
		case !slices.Contains(route.query, name):
			return badRequest("%s takes no parameter %q%s", route.pattern, name, listOf("; it takes: ", route.query))
		case len(values) > 1:
			return badRequest("the parameter %s is given %d times", name, len(values))
		case !utf8.ValidString(values[0]):
			return badRequest("the parameter %s is not UTF-8", name)
		}
	}
	if r.Method != http.MethodPost {
		if r.ContentLength != 0 {
			return badRequest("%s takes no body", route.pattern)
		}
		return nil
	}
	data, err := route.read(r)
	if err != nil {
		return err
	}
	if route.body == 0 && len(data) > 0 {
		return decode(data, &struct{}{})
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	return nil
}

func listOf(head string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return head + strings.Join(names, ", ")
}

const (
	// littleBody is enough for a body that says nothing: {}.
	littleBody = 1 << 10
	// drained is how much of a body that is too large is read nevertheless: a
	// caller who is still sending would see a broken connection in place of the
	// answer.
	drained = 64 << 20
)

func (route route) read(r *http.Request) ([]byte, error) {
	most := max(route.body, littleBody)
	if kinds := r.Header.Values("Content-Type"); len(kinds) > 0 || r.ContentLength != 0 {
		// Nothing else: a form of another site's page is sent without asking.
		kind, parameters, err := mime.ParseMediaType(strings.Join(kinds, ","))
		if err != nil || kind != "application/json" || !strings.EqualFold(orUTF8(parameters["charset"]), "utf-8") {
			return nil, failure{http.StatusUnsupportedMediaType, fmt.Errorf("%s takes JSON: Content-Type application/json, not %q", route.pattern, strings.Join(kinds, ","))}
		}
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" {
		return nil, failure{http.StatusUnsupportedMediaType, fmt.Errorf("%s takes JSON as it is, not packed by %q", route.pattern, coding)}
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, failure{http.StatusRequestTimeout, fmt.Errorf("reading the request: its rest did not come within %v", httpd.Grace)}
	case err != nil:
		return nil, badRequest("reading the request: %w", err)
	case int64(len(data)) > most:
		_, _ = io.CopyN(io.Discard, r.Body, drained)
		return nil, failure{http.StatusRequestEntityTooLarge, fmt.Errorf("the request is larger than %s, the most that %s takes", amount(most), route.pattern)}
	}
	return data, nil
}

func orUTF8(charset string) string {
	if charset == "" {
		return "utf-8"
	}
	return charset
}

// amount writes bytes for people.
func amount(n int64) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d KiB", n>>10)
}

// body reads a JSON request. Nothing in it is passed over: a field that there is
// not, one that is there twice, text after the value, and numbers outside of
// their range are refused by name.
func body[T any](r *http.Request) (T, error) {
	var request T
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return request, badRequest("reading the request: %w", err)
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return request, badRequest("reading the request: it is empty; want a JSON object, {} at least")
	}
	return request, decode(data, &request)
}

func decode(data []byte, request any) error {
	if start := bytes.TrimLeft(data, " \t\r\n"); len(start) > 0 && start[0] != '{' && jsontext.Value(data).IsValid() {
		return badRequest("reading the request: want a JSON object, not %s", jsontext.Value(start).Kind())
	}
	if err := json.Unmarshal(data, request, json.RejectUnknownMembers(true)); err != nil {
		return badRequest("reading the request: %w", plainly(err, request))
	}
	if err := inRange(request); err != nil {
		return badRequest("reading the request: %w", err)
	}
	return nil
}

// plainly says what is wrong with JSON in the words of JSON.
func plainly(err error, request any) error {
	if wrong, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Errorf("%s is given twice", fieldOf(wrong.JSONPointer))
		}
		if strings.HasSuffix(wrong.Err.Error(), "after top-level value") {
			return errors.New("there is more after its JSON value")
		}
		return fmt.Errorf("it is no JSON: %w at byte %d", wrong.Err, wrong.ByteOffset)
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return err
	case wrong.JSONPointer == "":
		return errors.New("want a JSON object")
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("there is no field %s%s", fieldOf(wrong.JSONPointer), listOf("; there are: ", fieldsOf(request)))
	}
	given := string(wrong.JSONValue)
	if given == "" {
		given = "a JSON " + wrong.JSONKind.String()
	}
	return fmt.Errorf("%s: want %s, not %s", fieldOf(wrong.JSONPointer), wanted(wrong.GoType), given)
}

// fieldOf writes a JSON pointer as a path of names.
func fieldOf(pointer jsontext.Pointer) string {
	var names []string
	for name := range pointer.Tokens() {
		names = append(names, strconv.Quote(name))
	}
	return strings.Join(names, ".")
}

func fieldsOf(request any) []string {
	var names []string
	for field := range fields(reflect.TypeOf(request).Elem()) {
		names = append(names, field)
	}
	return names
}

// fields are those of a request's struct, by their names in JSON.
func fields(request reflect.Type) func(func(string, reflect.StructField) bool) {
	return func(yield func(string, reflect.StructField) bool) {
		for field := range request.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if !yield(name, field) {
				return
			}
		}
	}
}

// wanted names a type as JSON has it.
func wanted(t reflect.Type) string {
	if t == nil {
		return "another value"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return wanted(t.Elem())
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return fmt.Sprintf("a whole number of %d bits", t.Bits())
	case reflect.Uint64:
		return "a whole number of 64 bits from 0 on"
	case reflect.Float64:
		return "a number of double precision"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list"
	}
	return "an object"
}

// inRange checks the numbers of a request against the tags range:"least..most" of
// its fields. 0 always passes where it stands for the default.
func inRange(request any) error {
	v := reflect.ValueOf(request).Elem()
	for name, field := range fields(v.Type()) {
		bounds, ranged := field.Tag.Lookup("range")
		if !ranged {
			continue
		}
		value, otherwise := v.FieldByIndex(field.Index), ""
		if value.Kind() == reflect.Pointer {
			if value.IsNil() {
				continue
			}
			value = value.Elem()
		} else {
			if value.IsZero() {
				continue
			}
			otherwise = "; 0 is the default"
		}
		if least, most, _ := strings.Cut(bounds, ".."); !between(value, least, most) {
			return fmt.Errorf("%q: %v is not between %s and %s%s", name, value, least, most, otherwise)
		}
	}
	return nil
}

// between holds a number against bounds that are written as its type is.
func between(value reflect.Value, least, most string) bool {
	if value.CanFloat() {
		from, _ := strconv.ParseFloat(least, 64)
		to, _ := strconv.ParseFloat(most, 64)
		return value.Float() >= from && value.Float() <= to
	}
	from, _ := strconv.ParseInt(least, 10, 64)
	to, _ := strconv.ParseInt(most, 10, 64)
	return value.Int() >= from && value.Int() <= to
}
