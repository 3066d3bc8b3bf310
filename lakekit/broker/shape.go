package broker

import (
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// kmsg, with which kfake decodes a request, makes an array as long as the
// request says and reads as many tags as it says, whether they are there or
// not, and an unknown request ends the process. So each request is measured by
// its schema before kfake gets it.

// requestSchemas has one request a line, from the message definitions of Apache
// Kafka (clients/src/main/resources/common/message): API key, name, versions
// that kfake serves, first version with tags (99: none), fields. A field is its
// size in bytes, s (string), b (bytes), *x (array of x) or (x y) (struct),
// behind its versions if it is not in all: 3+: -2: 4-6: and behind #n: if it is
// tag n.
//
//go:embed requests.txt
var requestSchemas string

type schemas map[int16]*schema

type schema struct {
	name         string
	min, max     int16
	flexibleFrom int16
	body         object
}

type object struct {
	fields []field
	tags   map[uint32]field
}

type field struct {
	min, max int16
	of       any // size, text, octets, array or object
}

type (
	size   int
	text   struct{}
	octets struct{}
	array  struct{ of any }
)

// offered are the schemas of the requests that this broker answers.
var offered = parseSchemas(requestSchemas)

func parseSchemas(lines string) schemas {
	all := schemas{}
	for line := range strings.Lines(lines) {
		part := strings.SplitN(strings.TrimSpace(line), " ", 5)
		min, max, _ := strings.Cut(part[2], "-")
		s := &schema{name: part[1], min: number(min), max: number(max), flexibleFrom: number(part[3])}
		if len(part) == 5 {
			p := schemaParser(part[4])
			s.body = p.object()
		}
		all[number(part[0])] = s
	}
	return all
}

func number(s string) int16 {
	n, err := strconv.ParseInt(s, 10, 16)
	if err != nil {
		panic(err) // the table is part of the program
	}
	return int16(n)
}

// schemaParser is what is left to parse.
type schemaParser string

// object parses fields to the end or to the parenthesis that closes them.
func (p *schemaParser) object() object {
	o := object{tags: map[uint32]field{}}
	for {
		*p = schemaParser(strings.TrimLeft(string(*p), " "))
		if *p == "" {
			return o
		}
		if (*p)[0] == ')' {
			*p = (*p)[1:]
			return o
		}
		tag, isTag := "", (*p)[0] == '#'
		if isTag {
			tag = p.upTo(":")[1:]
		}
		f := field{max: math.MaxInt16}
		if gate := strings.IndexAny(string(*p), ": )*("); gate > 0 && (*p)[gate] == ':' {
			min, max, isRange := strings.Cut(p.upTo(":"), "-")
			if min != "" {
				f.min = number(strings.TrimSuffix(min, "+"))
			}
			if isRange {
				f.max = number(max)
			}
		}
		f.of = p.one()
		if isTag {
			o.tags[uint32(number(tag))] = f
		} else {
			o.fields = append(o.fields, f)
		}
	}
}

func (p *schemaParser) upTo(mark string) string {
	before, after, _ := strings.Cut(string(*p), mark)
	*p = schemaParser(after)
	return before
}

func (p *schemaParser) one() any {
	first := (*p)[0]
	switch first {
	case '*':
		*p = (*p)[1:]
		return array{p.one()}
	case '(':
		*p = (*p)[1:]
		return p.object()
	}
	end := strings.IndexAny(string(*p)+" ", " )")
	word := string((*p)[:end])
	*p = (*p)[end:]
	switch word {
	case "s":
		return text{}
	case "b":
		return octets{}
	}
	return size(number(word))
}

// maxElements is how many array elements and tags a request may have in all:
// enough for 10,000 partitions, Kafka's most in one request, each in a topic of
// its own. kfake's answer to one element is up to some kilobytes.
const maxElements = 20_000

// request is a frame that has the shape of a request.
type request struct {
	*schema
	key, version int16
	correlation  int32
	body         []byte   // of the frame, behind the header
	binaries     [][]byte // the fields of type bytes, in order
}

var (
	errCutOff  = errors.New("it ends before its last field")
	errTooMany = fmt.Errorf("it has more than %d array elements", maxElements)
	errText    = fmt.Errorf("it has a string of more than %d bytes", math.MaxInt16)
)

// unsupported is a request that kfake does not know.
type unsupported struct{ key, version int16 }

func (u unsupported) Error() string {
	if s := offered[u.key]; s != nil {
		return fmt.Sprintf("%s is served in versions %d to %d, not in %d", s.name, s.min, s.max, u.version)
	}
	if name := kmsg.NameForKey(u.key); name != "Unknown" {
		return fmt.Sprintf("%s (API key %d) is not served", name, u.key)
	}
	return fmt.Sprintf("there is no API key %d", u.key)
}

// parseRequest measures a frame without its length. It allocates nothing by
// what the frame claims. An unsupported request comes with its header.
func parseRequest(frame []byte) (request, error) {
	r := kbin.Reader{Src: frame}
	req := request{key: r.Int16(), version: r.Int16(), correlation: r.Int32()}
	if !r.Ok() {
		return req, errCutOff
	}
	req.schema = offered[req.key]
	if req.schema == nil || req.version < req.min || req.version > req.max {
		return req, unsupported{req.key, req.version}
	}
	m := measure{Reader: r, version: req.version, flexible: req.version >= req.flexibleFrom}
	m.nullableText()
	m.tags(nil)
	req.body = m.Src
	m.object(req.schema.body)
	req.binaries = m.binaries
	if m.err == nil && !m.Ok() {
		m.err = errCutOff
	}
	return req, m.err
}

// measure goes through a request as kmsg's decoder does, with the same reader.
type measure struct {
	kbin.Reader
	version  int16
	flexible bool
	elements int
	binaries [][]byte
	err      error
}

func (m *measure) going() bool { return m.err == nil && m.Ok() }

func (m *measure) object(o object) {
	for _, f := range o.fields {
		if m.version >= f.min && m.version <= f.max {
			m.one(f.of)
		}
	}
	m.tags(o.tags)
}

func (m *measure) one(of any) {
	if !m.going() {
		return
	}
	switch of := of.(type) {
	case size:
		m.Span(int(of))
	case text:
		if !m.flexible {
			m.nullableText()
		} else if n := m.compactLength(); n > math.MaxInt16 {
			m.err = errText // as in Kafka
		} else if n > 0 {
			m.Span(n)
		}
	case octets:
		n := 0
		if m.flexible {
			n = m.compactLength()
		} else {
			n = int(m.Int32())
		}
		if n > 0 {
			m.binaries = append(m.binaries, m.Span(n))
		} else {
			m.binaries = append(m.binaries, nil)
		}
	case array:
		n := 0
		if m.flexible {
			n = int(m.CompactArrayLen())
		} else {
			n = int(m.ArrayLen())
		}
		for m.count(n); n > 0 && m.going(); n-- {
			m.one(of.of)
		}
	case object:
		m.object(of)
	}
}

func (m *measure) count(n int) {
	if m.elements += max(n, 0); m.elements > maxElements {
		m.err = errTooMany
	}
}

// tags measures the tagged fields behind a struct.
func (m *measure) tags(known map[uint32]field) {
	if !m.flexible || !m.going() {
		return
	}
	n := int(m.Uvarint())
	if n > len(m.Src) {
		m.err = errCutOff
		return
	}
	for m.count(n); n > 0 && m.going(); n-- {
		tag := m.Uvarint()
		content := m.Span(int(m.Uvarint()))
		if f, ok := known[tag]; ok && m.version >= f.min && m.version <= f.max {
			inner := measure{Reader: kbin.Reader{Src: content}, version: m.version, flexible: true, elements: m.elements}
			inner.one(f.of)
			m.elements = inner.elements
			if m.err = inner.err; m.err == nil && !inner.Ok() {
				m.err = errCutOff
			}
		}
	}
}

func (m *measure) compactLength() int { return int(m.Uvarint()) - 1 }

// nullableText skips a string whose length is two bytes, or -1 for null.
func (m *measure) nullableText() {
	if n := m.Int16(); n > 0 {
		m.Span(int(n))
	}
}
