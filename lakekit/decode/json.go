package decode

import (
	"errors"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind says what a scanned JSON value is.
type jsonKind uint8

const (
	jsonAbsent jsonKind = iota
	jsonNull
	jsonBool
	jsonInteger // a number without fraction and exponent
	jsonDecimal // any other number
	jsonString
	jsonObject
	jsonArray
)

func (k jsonKind) String() string {
	return [...]string{"nothing", "null", "a boolean", "an integer", "a decimal number", "a string", "an object", "an array"}[k]
}

// jsonValue is a scanned value: text is the content of a string between its
// quotes, any other value as written; it points into the scanned bytes.
type jsonValue struct {
	kind jsonKind
	// plain is set for a string without escapes and bytes over 0x7f: its text
	// is its value.
	plain bool
	text  []byte
}

// maxJSONDepth is encoding/json's limit.
const maxJSONDepth = 10_000

// jsonScanner reads JSON by RFC 8259, strict as encoding/json is and more: a
// string that is no UTF-8, or has half a surrogate pair, is none, where others put
// U+FFFD for what nobody can read any more. It allocates nothing.
type jsonScanner struct {
	data []byte
	pos  int
}

var errJSONEnd = errors.New("unexpected end")

func (s *jsonScanner) errorAt(what string) error {
	if s.pos >= len(s.data) {
		return fmt.Errorf("malformed JSON: %w at byte %d", errJSONEnd, s.pos)
	}
	return fmt.Errorf("malformed JSON: %q at byte %d: want %s", rune(s.data[s.pos]), s.pos, what)
}

func (s *jsonScanner) skipSpace() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

// accept steps over c, and over white space before it.
func (s *jsonScanner) accept(c byte) bool {
	s.skipSpace()
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// value scans the next value; depth is the number of objects and arrays
// around it.
func (s *jsonScanner) value(depth int) (jsonValue, error) {
	s.skipSpace()
	if s.pos >= len(s.data) {
		return jsonValue{}, s.errorAt("a value")
	}
	switch c := s.data[s.pos]; {
	case c == '"':
		return s.string()
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	case c == '{':
		start := s.pos
		err := s.skipObject(depth + 1)
		return jsonValue{kind: jsonObject, text: s.data[start:s.pos]}, err
	case c == '[':
		start := s.pos
		err := s.skipArray(depth + 1)
		return jsonValue{kind: jsonArray, text: s.data[start:s.pos]}, err
	case c == 't':
		return s.literal("true", jsonBool)
	case c == 'f':
		return s.literal("false", jsonBool)
	case c == 'n':
		return s.literal("null", jsonNull)
	}
	return jsonValue{}, s.errorAt("a value")
}

func (s *jsonScanner) literal(word string, kind jsonKind) (jsonValue, error) {
	start := s.pos
	for i := range len(word) {
		if s.pos >= len(s.data) || s.data[s.pos] != word[i] {
			return jsonValue{}, s.errorAt(word)
		}
		s.pos++
	}
	return jsonValue{kind: kind, text: s.data[start:s.pos]}, nil
}

func (s *jsonScanner) digits() int {
	start := s.pos
	for s.pos < len(s.data) && s.data[s.pos]-'0' <= 9 {
		s.pos++
	}
	return s.pos - start
}

func (s *jsonScanner) number() (jsonValue, error) {
	start, kind := s.pos, jsonInteger
	if s.data[s.pos] == '-' {
		s.pos++
	}
	if s.pos < len(s.data) && s.data[s.pos] == '0' {
		s.pos++
	} else if s.digits() == 0 {
		return jsonValue{}, s.errorAt("a digit")
	}
	if s.pos < len(s.data) && s.data[s.pos] == '.' {
		kind = jsonDecimal
		s.pos++
		if s.digits() == 0 {
			return jsonValue{}, s.errorAt("a digit")
		}
	}
	if s.pos < len(s.data) && s.data[s.pos]|0x20 == 'e' {
		kind = jsonDecimal
		s.pos++
		if s.pos < len(s.data) && (s.data[s.pos] == '+' || s.data[s.pos] == '-') {
			s.pos++
		}
		if s.digits() == 0 {
			return jsonValue{}, s.errorAt("a digit")
		}
	}
	return jsonValue{kind: kind, text: s.data[start:s.pos]}, nil
}

// stringStop marks the bytes that a run of plain string content ends at.
var stringStop = func() (stop [256]bool) {
	for c := range stop {
		stop[c] = c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf
	}
	return
}()

func plainLength(text []byte) int {
	for i, c := range text {
		if stringStop[c] {
			return i
		}
	}
	return len(text)
}

func (s *jsonScanner) string() (jsonValue, error) {
	s.pos++
	start, plain := s.pos, true
	for {
		s.pos += plainLength(s.data[s.pos:])
		if s.pos >= len(s.data) {
			return jsonValue{}, s.errorAt("the end of a string")
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return jsonValue{kind: jsonString, plain: plain, text: s.data[start : s.pos-1]}, nil
		case c == '\\':
			plain = false
			s.pos++
			if err := s.escape(); err != nil {
				return jsonValue{}, err
			}
		case c < ' ':
			return jsonValue{}, s.errorAt("no control character in a string")
		default:
			plain = false
			r, size := utf8.DecodeRune(s.data[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return jsonValue{}, fmt.Errorf("malformed JSON: byte 0x%02x at byte %d is no UTF-8", c, s.pos)
			}
			s.pos += size
		}
	}
}

// escape checks what follows a backslash.
func (s *jsonScanner) escape() error {
	if s.pos >= len(s.data) {
		return s.errorAt("an escape")
	}
	switch s.data[s.pos] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
		start := s.pos - 1
		s.pos++
		for range 4 {
			if s.pos >= len(s.data) || hexDigit(s.data[s.pos]) < 0 {
				return s.errorAt("a hexadecimal digit")
			}
			s.pos++
		}
		if r := unicodeEscape(s.data[start:]); utf16.IsSurrogate(r) {
			if utf16.DecodeRune(r, unicodeEscape(s.data[s.pos:])) == utf8.RuneError {
				return fmt.Errorf("malformed JSON: %s at byte %d is half a character", s.data[start:s.pos], start)
			}
			s.pos += len(`\uXXXX`)
		}
		return nil
	}
	return s.errorAt("an escape")
}

func (s *jsonScanner) skipObject(depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("malformed JSON: nested deeper than %d at byte %d", maxJSONDepth, s.pos)
	}
	s.pos++
	if s.accept('}') {
		return nil
	}
	for {
		if _, err := s.key(); err != nil {
			return err
		}
		if _, err := s.value(depth); err != nil {
			return err
		}
		if s.accept(',') {
			continue
		}
		if s.accept('}') {
			return nil
		}
		return s.errorAt("',' or '}'")
	}
}

// key scans a member's name and the colon.
func (s *jsonScanner) key() (jsonValue, error) {
	s.skipSpace()
	if s.pos >= len(s.data) || s.data[s.pos] != '"' {
		return jsonValue{}, s.errorAt("a field name in quotes")
	}
	name, err := s.string()
	if err != nil {
		return name, err
	}
	if !s.accept(':') {
		return name, s.errorAt("':'")
	}
	return name, nil
}

func (s *jsonScanner) skipArray(depth int) error {
	if depth > maxJSONDepth {
		return fmt.Errorf("malformed JSON: nested deeper than %d at byte %d", maxJSONDepth, s.pos)
	}
	s.pos++
	if s.accept(']') {
		return nil
	}
	for {
		if _, err := s.value(depth); err != nil {
			return err
		}
		if s.accept(',') {
			continue
		}
		if s.accept(']') {
			return nil
		}
		return s.errorAt("',' or ']'")
	}
}

func hexDigit(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return rune(c|0x20-'a') + 10
	}
	return -1
}

// appendContent appends the value of a string to dst.
func (v jsonValue) appendContent(dst []byte) []byte {
	if v.plain {
		return append(dst, v.text...)
	}
	return appendUnquoted(dst, v.text)
}

// members visits the members of a scanned object, elements the elements of a
// scanned array, in order.
func (v jsonValue) members(visit func(member) error) error {
	s := jsonScanner{data: v.text, pos: 1}
	if s.accept('}') {
		return nil
	}
	for {
		name, err := s.key()
		if err != nil {
			return err
		}
		value, err := s.value(0)
		if err != nil {
			return err
		}
		if err := visit(member{name, value}); err != nil {
			return err
		}
		if !s.accept(',') {
			return nil
		}
	}
}

func (v jsonValue) elements(visit func(jsonValue) error) error {
	s := jsonScanner{data: v.text, pos: 1}
	if s.accept(']') {
		return nil
	}
	for {
		value, err := s.value(0)
		if err != nil {
			return err
		}
		if err := visit(value); err != nil {
			return err
		}
		if !s.accept(',') {
			return nil
		}
	}
}

// appendUnquoted appends the value of a scanned string's text to dst.
func appendUnquoted(dst, text []byte) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c == '\\' && text[i+1] == 'u':
			r := unicodeEscape(text[i:])
			i += 6
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, unicodeEscape(text[i:]))
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		case c == '\\':
			dst = append(dst, unescaped(text[i+1]))
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, size := utf8.DecodeRune(text[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
		}
	}
	return dst
}

// unicodeEscape is the code unit of the \uXXXX at the start of text, or -1.
func unicodeEscape(text []byte) rune {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range text[2:6] {
		r = r<<4 | hexDigit(c)
	}
	return r
}

func unescaped(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}
