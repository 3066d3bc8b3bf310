package taxi_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"taxilake/lakekit/taxi"
)

// courseRecord is the first record of the real file.
func courseRecord() taxi.Record {
	return taxi.Record{
		Key:              []byte("2009-06-15 17:26:21.0000001"),
		FareAmount:       4.5,
		PickupDatetime:   time.Date(2009, 6, 15, 17, 26, 21, 0, time.UTC).Unix(),
		PickupLongitude:  -73.844311,
		PickupLatitude:   40.721319,
		DropoffLongitude: taxi.NullFloat64{Float64: -73.84161, Valid: true},
		DropoffLatitude:  taxi.NullFloat64{Float64: 40.712278, Valid: true},
		PassengerCount:   1,
	}
}

func TestAppendJSON(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*taxi.Record)
		want   string
	}{
		{"the course's example", func(*taxi.Record) {},
			`{"key":"2009-06-15 17:26:21.0000001","fare_amount":4.5,"pickup_datetime":"2009-06-15 17:26:21 UTC","pickup_longitude":-73.844311,"pickup_latitude":40.721319,"dropoff_longitude":-73.84161,"dropoff_latitude":40.712278,"passenger_count":1}`},
		{"no dropoff", func(r *taxi.Record) { r.DropoffLongitude, r.DropoffLatitude = taxi.NullFloat64{}, taxi.NullFloat64{} },
			`{"key":"2009-06-15 17:26:21.0000001","fare_amount":4.5,"pickup_datetime":"2009-06-15 17:26:21 UTC","pickup_longitude":-73.844311,"pickup_latitude":40.721319,"dropoff_longitude":null,"dropoff_latitude":null,"passenger_count":1}`},
		{"numbers JSON does not know", func(r *taxi.Record) { r.FareAmount, r.PickupLongitude = math.NaN(), math.Inf(-1) },
			`{"key":"2009-06-15 17:26:21.0000001","fare_amount":null,"pickup_datetime":"2009-06-15 17:26:21 UTC","pickup_longitude":null,"pickup_latitude":40.721319,"dropoff_longitude":-73.84161,"dropoff_latitude":40.712278,"passenger_count":1}`},
		{"a key to escape", func(r *taxi.Record) { r.Key = []byte("\"\\\n\x00é\xff") },
			`{"key":"\"\\\u000a\u0000é` + "\ufffd" + `","fare_amount":4.5,"pickup_datetime":"2009-06-15 17:26:21 UTC","pickup_longitude":-73.844311,"pickup_latitude":40.721319,"dropoff_longitude":-73.84161,"dropoff_latitude":40.712278,"passenger_count":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := courseRecord()
			c.change(&r)
			if got := string(taxi.AppendJSON(nil, &r)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestNumbersAreWrittenShortest(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 2.5, 49.57, 93963.36, -300, 40.7, 40.70, 40.712278, -73.844311, 0.000001, 0.0000001,
		-73.97332000732422, float64(float32(40.7638053894043)), 1e15, 1e21, 123456789.123456, 999999999.999999, 0.1 + 0.2, math.MaxFloat64, math.SmallestNonzeroFloat64} {
		r := courseRecord()
		r.FareAmount = v
		want := "," + strconv.FormatFloat(v, 'f', -1, 64) + ","
		if got := string(taxi.AppendCSV(nil, &r)); !strings.Contains(got, want) {
			t.Errorf("%v: %q is not in %s", v, want, got)
		}
	}
}

func TestTimesAreWrittenAsPackageTimeDoes(t *testing.T) {
	var seconds []int64
	for year := -1; year <= 10_001; year++ {
		for _, day := range []time.Time{
			time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 2, 28, 23, 59, 59, 0, time.UTC), time.Date(year, 2, 29, 1, 2, 3, 0, time.UTC),
			time.Date(year, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC),
		} {
			seconds = append(seconds, day.Unix())
		}
	}
	r := courseRecord()
	for _, s := range seconds {
		r.PickupDatetime = s
		want := "," + time.Unix(s, 0).UTC().Format("2006-01-02 15:04:05 UTC") + ","
		if got := string(taxi.AppendCSV(nil, &r)); !strings.Contains(got, want) {
			t.Fatalf("%q is not in %s", want, got)
		}
	}
}

func TestSchemaIsTheRecord(t *testing.T) {
	var names []string
	for _, f := range taxi.Schema() {
		names = append(names, f.Name)
	}
	if got := strings.Join(names, ","); got != taxi.Header {
		t.Errorf("the schema has %s, the header %s", got, taxi.Header)
	}
	r := courseRecord()
	decoder := json.NewDecoder(bytes.NewReader(taxi.AppendJSON(nil, &r)))
	var inMessage []string
	for depth := 0; ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if name, ok := token.(string); ok && depth%2 == 0 {
			inMessage = append(inMessage, name)
		}
		if _, ok := token.(json.Delim); !ok {
			depth++
		}
	}
	if got := strings.Join(inMessage, ","); got != taxi.Header {
		t.Errorf("the message has %s, the header %s", got, taxi.Header)
	}
}

// FuzzAppendJSON: whatever the record holds, a JSON decoder reads it back.
func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("2009-06-15 17:26:21.0000001"), 4.5, int64(1245086781), -73.84, true, int32(1))
	f.Add([]byte("\x00\"\\\u2028\xff\xc0"), math.MaxFloat64, int64(-1), 1e-320, false, int32(-208))
	f.Fuzz(func(t *testing.T, key []byte, fare float64, seconds int64, longitude float64, dropoff bool, passengers int32) {
		const years = 253402300800
		r := courseRecord()
		r.Key, r.FareAmount, r.PickupDatetime, r.PassengerCount = key, fare, seconds%years, passengers
		r.DropoffLongitude = taxi.NullFloat64{Float64: longitude, Valid: dropoff}
		line := taxi.AppendJSON(nil, &r)
		var got struct {
			Key              string   `json:"key"`
			FareAmount       *float64 `json:"fare_amount"`
			DropoffLongitude *float64 `json:"dropoff_longitude"`
			PassengerCount   int32    `json:"passenger_count"`
		}
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !utf8.Valid(line) || bytes.ContainsAny(line, "\n\r") {
			t.Errorf("%q is no line of UTF-8", line)
		}
		if want := strings.ToValidUTF8(string(key), "\ufffd"); utf8.Valid(key) && got.Key != want {
			t.Errorf("key is %q, want %q", got.Key, want)
		}
		expectNumber(t, got.FareAmount, fare, true)
		expectNumber(t, got.DropoffLongitude, longitude, dropoff)
		if got.PassengerCount != passengers {
			t.Errorf("passengers are %d, want %d", got.PassengerCount, passengers)
		}
	})
}

func expectNumber(t *testing.T, got *float64, want float64, valid bool) {
	t.Helper()
	if valid = valid && !math.IsNaN(want) && !math.IsInf(want, 0); valid != (got != nil) {
		t.Errorf("number %v is valid %v, got %v", want, valid, got)
	} else if valid && math.Float64bits(*got) != math.Float64bits(want) {
		t.Errorf("number is %v, want %v", *got, want)
	}
}
