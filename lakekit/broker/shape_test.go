package broker

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// frameOf is a request as a client sends it, without the length.
func frameOf(req kmsg.Request) []byte {
	return kmsg.NewRequestFormatter(kmsg.FormatterClientID("test")).AppendRequest(nil, req, 7)[4:]
}

// fill gives every field of a kmsg struct some value, arrays up to two elements.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; v.Field(i).CanSet() && name != "Version" {
				fill(r, v.Field(i))
			}
		}
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok && r.IntN(4) == 0 {
			tags.Set(1000+r.Uint32N(1000), []byte("unknown"))
		}
	case reflect.Pointer:
		if r.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem())
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 3))
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i))
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(200)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Float64:
		v.SetFloat(r.Float64())
	default:
		if v.CanUint() {
			v.SetUint(r.Uint64())
		} else {
			v.SetInt(int64(r.Uint64()))
		}
	}
}

// The schemas are those of kmsg, by which kfake reads: to the last byte, and
// no byte less will do.
func TestSchemas(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for key, s := range offered {
		if name := kmsg.NameForKey(key); !strings.EqualFold(name, s.name) && name != "AlterPartitionAssignments" {
			t.Errorf("API key %d is %s, not %s", key, name, s.name)
		}
		for version := s.min; version <= s.max; version++ {
			t.Run(fmt.Sprintf("%s v%d", s.name, version), func(t *testing.T) {
				for range 200 {
					req := kmsg.RequestForKey(key)
					fill(r, reflect.ValueOf(req).Elem())
					req.SetVersion(version)
					if want := req.IsFlexible(); want != (version >= s.flexibleFrom) {
						t.Fatalf("flexible %v", want)
					}
					frame := frameOf(req)
					parsed, err := parseRequest(frame)
					if err != nil {
						t.Fatalf("%v: %+v", err, req)
					}
					if !bytes.HasSuffix(frame, parsed.body) || !bytes.Equal(parsed.body, req.AppendTo(nil)) {
						t.Fatalf("body of %d bytes, want %d", len(parsed.body), len(req.AppendTo(nil)))
					}
					if parsed.key != key || parsed.version != version || parsed.correlation != 7 {
						t.Fatalf("header %+v", parsed)
					}
					if len(parsed.body) == 0 {
						return
					}
					if _, err := parseRequest(frame[:len(frame)-1]); err == nil {
						t.Fatalf("nothing of it is measured after byte %d: %+v", len(frame)-1, req)
					}
				}
			})
		}
	}
}

func TestSchemaLanguage(t *testing.T) {
	got := parseSchemas("1 One 0-3 2 4 -1:s 2+:*(s *b 1-2:16) #0:3+:(8) 1\n2 None 0-0 99\n")
	always := func(of any) field { return field{0, math.MaxInt16, of} }
	want := schemas{
		1: {"One", 0, 3, 2, object{[]field{
			always(size(4)), {0, 1, text{}},
			{2, math.MaxInt16, array{object{[]field{always(text{}), always(array{octets{}}), {1, 2, size(16)}}, map[uint32]field{}}}},
			always(size(1)),
		}, map[uint32]field{0: {3, math.MaxInt16, object{[]field{always(size(8))}, map[uint32]field{}}}}}},
		2: {"None", 0, 0, 99, object{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("schemas %+v, %+v", got[1], got[2])
	}
}

// What a request claims to have is not believed.
func TestRequestsThatLie(t *testing.T) {
	header := func(key, version int16, flexible bool) []byte {
		b := kbin.AppendInt32(kbin.AppendInt16(kbin.AppendInt16(nil, key), version), 1)
		b = kbin.AppendInt16(b, -1)
		if flexible {
			b = append(b, 0)
		}
		return b
	}
	many := func(b []byte, n int) []byte { return append(b, make([]byte, n)...) }
	most := []byte{0xff, 0xff, 0xff, 0xff, 0x0f} // 2^32-1 as a varint
	metadata := header(3, 12, true)
	for _, test := range []struct {
		name  string
		frame []byte
		is    error
	}{
		{"nothing", nil, errCutOff},
		{"half a header", []byte{0, 3, 0, 12}, errCutOff},
		{"tags of the header", append(header(3, 12, false), most...), errCutOff},
		{"tags of the body", append(slices.Clone(metadata), append([]byte{0, 0, 0}, most...)...), errCutOff},
		{"tags of an element", append(slices.Clone(metadata), append(many([]byte{2}, 17), most...)...), errCutOff},
		{"size of a tag", append(slices.Clone(metadata), append([]byte{0, 0, 0, 1, 200}, most...)...), errCutOff},
		{"array", append(slices.Clone(metadata), most...), errCutOff},
		{"array of 2^31", append(slices.Clone(metadata), 0x80, 0x80, 0x80, 0x80, 0x08), errCutOff},
		{"overlong varint", append(slices.Clone(metadata), 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), errCutOff},
		{"old array", kbin.AppendInt32(header(3, 1, false), math.MaxInt32), errCutOff},
		{"array in an array", append(header(1, 12, true), append(many(nil, 4+4+4+4+1+4+4), append([]byte{2, 2, 'a'}, most...)...)...), errCutOff},
		{"array in a tag", append(header(1, 12, true), append(many(nil, 4+4+4+4+1+4+4), 1, 1, 1, 1, 0, 2, 200, 1)...), errCutOff},
		{"string", append(header(10, 3, true), most...), errText},
		{"bytes", kbin.AppendInt32(header(36, 0, false), math.MaxInt32), errCutOff},
		{"a string longer than Kafka's", many(append(header(10, 3, true), 0x81, 0x80, 0x02), 40_000), errText},
		{"more elements than make sense", many(append(header(42, 2, true), 0xa2, 0x9c, 0x01), 60_000), errTooMany},
		{"as many tags", many(append(header(3, 12, true), 0, 0, 0, 0xa2, 0x9c, 0x01), 120_000), errTooMany},
		{"unknown API key", header(12345, 0, false), unsupported{12345, 0}},
		{"negative API key", header(-1, 0, false), unsupported{-1, 0}},
		{"version of tomorrow", header(3, 99, true), unsupported{3, 99}},
		{"negative version", header(3, -1, false), unsupported{3, -1}},
		{"between brokers", header(6, 0, false), unsupported{6, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			took, allocated := time.Hour, 0.0
			for range 5 { // the quickest counts: the machine may have been busy with something else
				start := time.Now()
				allocated = testing.AllocsPerRun(1, func() {
					if _, err := parseRequest(test.frame); !errors.Is(err, test.is) {
						t.Errorf("error %v, want %v", err, test.is)
					}
				})
				if took = min(took, time.Since(start)); took < time.Second {
					break
				}
			}
			if took > time.Second || allocated > 10 {
				t.Errorf("%v allocations in %v", allocated, took)
			}
		})
	}
}

// Whatever the bytes are, measuring them ends, and kmsg reads what passes
// without making more of it than the bytes are worth.
func FuzzParseRequest(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for key, s := range offered {
		for _, version := range []int16{s.min, s.max} {
			req := kmsg.RequestForKey(key)
			fill(r, reflect.ValueOf(req).Elem())
			req.SetVersion(version)
			f.Add(frameOf(req))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		parsed, err := parseRequest(frame)
		if err != nil {
			return
		}
		req := kmsg.RequestForKey(parsed.key)
		req.SetVersion(parsed.version)
		_ = req.ReadFrom(parsed.body)
		if n := elements(reflect.ValueOf(req).Elem()); n > maxElements || n > 2*len(frame) {
			t.Errorf("%d elements of %d bytes", n, len(frame))
		}
	})
}

// elements counts those of all arrays in a value.
func elements(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			n += elements(v.Field(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			n += elements(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 0
		}
		n = v.Len()
		for i := range v.Len() {
			n += elements(v.Index(i))
		}
	}
	return n
}
