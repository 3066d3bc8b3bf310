package taxi_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"taxilake/lakekit/taxi"
)

const courseLine = "2009-06-15 17:26:21.0000001,4.5,2009-06-15 17:26:21 UTC,-73.844311,40.721319,-73.84161,40.712278,1"

// readAll returns the rows that can be read and the errors of the others.
func readAll(t *testing.T, file string) (records []taxi.Record, bad []string) {
	t.Helper()
	reader, err := taxi.ReadCSV(strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for {
		var r taxi.Record
		err := reader.Read(&r)
		var rowError *taxi.RowError
		switch {
		case err == io.EOF:
			return records, bad
		case errors.As(err, &rowError):
			bad = append(bad, err.Error())
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, r)
		}
	}
}

func TestReadCSV(t *testing.T) {
	noDropoff := courseRecord()
	noDropoff.DropoffLongitude, noDropoff.DropoffLatitude = taxi.NullFloat64{}, taxi.NullFloat64{}
	halfDropoff := courseRecord()
	halfDropoff.DropoffLongitude = taxi.NullFloat64{}
	quotedKey := courseRecord()
	quotedKey.Key = []byte(`a,"b"`)
	odd := courseRecord()
	odd.FareAmount, odd.PickupLatitude, odd.PassengerCount = -2.5, 1.25e-7, 208

	for _, c := range []struct {
		name, file string
		want       []taxi.Record
	}{
		{"real file", taxi.Header + "\n" + courseLine + "\n", []taxi.Record{courseRecord()}},
		{"no line break at the end", taxi.Header + "\n" + courseLine, []taxi.Record{courseRecord()}},
		{"CRLF", taxi.Header + "\r\n" + courseLine + "\r\n", []taxi.Record{courseRecord()}},
		{"byte order mark", "\ufeff" + taxi.Header + "\n" + courseLine, []taxi.Record{courseRecord()}},
		{"blank lines", taxi.Header + "\n\n" + courseLine + "\n\r\n\n", []taxi.Record{courseRecord()}},
		{"header only", taxi.Header + "\n", nil},
		{"header only, no line break", taxi.Header, nil},
		{"empty dropoff", taxi.Header + "\n2009-06-15 17:26:21.0000001,4.5,2009-06-15 17:26:21 UTC,-73.844311,40.721319,,,1\n", []taxi.Record{noDropoff}},
		{"half a dropoff", taxi.Header + "\n2009-06-15 17:26:21.0000001,4.5,2009-06-15 17:26:21 UTC,-73.844311,40.721319,,40.712278,1\n", []taxi.Record{halfDropoff}},
		{"quoted fields", taxi.Header + "\n" + `"a,""b""",4.5,"2009-06-15 17:26:21 UTC",-73.844311,40.721319,"-73.84161",40.712278,"1"` + "\n", []taxi.Record{quotedKey}},
		{"quoted empty dropoff", taxi.Header + "\n" + `2009-06-15 17:26:21.0000001,4.5,2009-06-15 17:26:21 UTC,-73.844311,40.721319,"","",1` + "\n", []taxi.Record{noDropoff}},
		{"unusual numbers", taxi.Header + "\n2009-06-15 17:26:21.0000001,-2.50,2009-06-15 17:26:21 UTC,-73.844311,1.25e-07,-73.84161,40.712278,208.0\n", []taxi.Record{odd}},
		{"other order, further column", "id,passenger_count,dropoff_latitude,dropoff_longitude,pickup_latitude,pickup_longitude,pickup_datetime,fare_amount,key\n" +
			"7,1,40.712278,-73.84161,40.721319,-73.844311,2009-06-15 17:26:21 UTC,4.5,2009-06-15 17:26:21.0000001\n", []taxi.Record{courseRecord()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, bad := readAll(t, c.file)
			if len(bad) > 0 || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %+v, errors %q\nwant %+v", got, bad, c.want)
			}
		})
	}
}

func TestBadHeaders(t *testing.T) {
	const file = "; the file to read is train.csv of Kaggle's New York City Taxi Fare Prediction, which begins with " + taxi.Header
	for _, c := range []struct{ name, file, want string }{
		{"empty file", "", "csv is empty; its first line must be " + taxi.Header},
		{"test.csv of Kaggle", strings.Replace(taxi.Header, "fare_amount,", "", 1) + "\n",
			"csv has no column fare_amount: it is the competition's test.csv, whose fares are kept secret; use train.csv of the same download"},
		{"no header", courseLine + "\n", `csv has no column key, its header is "2009-06-15 17:26:21.0000001,4.5,2009-06-..."` + file},
		{"another separator", strings.ReplaceAll(taxi.Header, ",", ";"), `csv has no column key, its header is "key;fare_amount;pickup_datetime;pickup_l..."` + file},
		{"blank first line", "\n" + taxi.Header, `csv has no column key, its header is ""` + file},
		{"column twice", taxi.Header + ",key", "csv has the column key twice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := taxi.ReadCSV(strings.NewReader(c.file)); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestBadRows(t *testing.T) {
	const noTime = " is not a time like 2009-06-15 17:26:21 UTC"
	for _, c := range []struct{ name, old, new, want string }{
		{"empty key", "2009-06-15 17:26:21.0000001", "", "csv, line 3: key is empty"},
		{"empty fare", ",4.5,", ",,", "csv, line 3: fare_amount is empty"},
		{"empty time", ",2009-06-15 17:26:21 UTC", ",", "csv, line 3: pickup_datetime is empty"},
		{"empty pickup longitude", "-73.844311", "", "csv, line 3: pickup_longitude is empty"},
		{"empty pickup latitude", "40.721319", "", "csv, line 3: pickup_latitude is empty"},
		{"empty passengers", ",1", ",", "csv, line 3: passenger_count is empty"},
		{"word for a fare", ",4.5,", ",four,", `csv, line 3: fare_amount "four" is not a number`},
		{"decimal comma", ",4.5,", `,"4,5",`, `csv, line 3: fare_amount "4,5" is not a number`},
		{"space", ",4.5,", ", 4.5,", `csv, line 3: fare_amount " 4.5" is not a number`},
		{"two points", ",4.5,", ",4.5.0,", `csv, line 3: fare_amount "4.5.0" is not a number`},
		{"sign only", ",4.5,", ",-,", `csv, line 3: fare_amount "-" is not a number`},
		{"not a number", ",4.5,", ",NaN,", `csv, line 3: fare_amount "NaN" is not a number`},
		{"infinity", ",4.5,", ",inf,", `csv, line 3: fare_amount "inf" is not a number`},
		{"hexadecimal", ",4.5,", ",0x1p2,", `csv, line 3: fare_amount "0x1p2" is not a number`},
		{"too large", ",4.5,", ",1e999,", `csv, line 3: fare_amount "1e999" is not a number`},
		{"bad dropoff", "-73.84161,", "null,", `csv, line 3: dropoff_longitude "null" is not a number`},
		{"bad pickup", "40.721319", "40°43'", `csv, line 3: pickup_latitude "40°43'" is not a number`},
		{"no such day", "06-15 17:26:21 UTC", "02-29 17:26:21 UTC", `csv, line 3: pickup_datetime "2009-02-29 17:26:21 UTC"` + noTime},
		{"no such month", "06-15 17:26:21 UTC", "13-15 17:26:21 UTC", `csv, line 3: pickup_datetime "2009-13-15 17:26:21 UTC"` + noTime},
		{"no such hour", "17:26:21 UTC", "24:00:00 UTC", `csv, line 3: pickup_datetime "2009-06-15 24:00:00 UTC"` + noTime},
		{"no zone", "21 UTC", "21", `csv, line 3: pickup_datetime "2009-06-15 17:26:21"` + noTime},
		{"other zone", "21 UTC", "21 EST", `csv, line 3: pickup_datetime "2009-06-15 17:26:21 EST"` + noTime},
		{"letter in a time", "21 UTC", "2l UTC", `csv, line 3: pickup_datetime "2009-06-15 17:26:2l UTC"` + noTime},
		{"half a passenger", ",1", ",1.5", `csv, line 3: passenger_count "1.5" is not a whole number of 32 bits`},
		{"too many passengers", ",1", ",3000000000", `csv, line 3: passenger_count "3000000000" is not a whole number of 32 bits`},
		{"field missing", ",1", "", "csv, line 3: 7 fields where the header has 8"},
		{"field too many", ",1", ",1,", "csv, line 3: 9 fields where the header has 8"},
		{"long value", ",4.5,", "," + strings.Repeat("x", 50) + ",", `csv, line 3: fare_amount "` + strings.Repeat("x", 40) + `..." is not a number`},
		{"open quote", ",4.5,", `,"4.5,`, "csv, line 3: a quoted field does not end on its line"},
		{"text after a quote", ",4.5,", `,"4.5"0,`, "csv, line 3: a quoted field goes on after its closing quote"},
		{"endless line", ",4.5,", "," + strings.Repeat("4", 200_000) + ",", "csv, line 3: longer than 65536 bytes, which no record is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := strings.LastIndex(courseLine, c.old)
			if c.name == "empty key" {
				i = 0
			}
			bad := courseLine[:i] + c.new + courseLine[i+len(c.old):]
			file := strings.Join([]string{taxi.Header, courseLine, bad, courseLine}, "\n")
			records, errs := readAll(t, file)
			if len(errs) != 1 || errs[0] != c.want {
				t.Errorf("got  %q\nwant %q", errs, c.want)
			}
			if len(records) != 2 || !reflect.DeepEqual(records[1], courseRecord()) {
				t.Errorf("the rows around the bad one are %+v", records)
			}
		})
	}
}

func TestCSVRoundTrip(t *testing.T) {
	const rows = 20_000
	g := generator(t, 5)
	var want []taxi.Record
	file := []byte(taxi.Header + "\n")
	for row := range int64(rows) {
		var r taxi.Record
		g.Record(row, &r)
		want = append(want, r)
		file = taxi.AppendCSV(file, &r)
	}
	got, bad := readAll(t, string(file))
	if len(bad) > 0 || !reflect.DeepEqual(got, want) {
		t.Fatalf("the records read are not those written, errors %q", bad)
	}
}

func TestOpenCSV(t *testing.T) {
	plain := []byte(taxi.Header + "\n" + courseLine + "\n")
	zipOf := func(names ...string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range names {
			entry, err := w.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := entry.Write(plain); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		want    string // of the error; empty for one record
	}{
		{"train.csv", plain, ""},
		{"train.csv.gz", packed.Bytes(), ""},
		{"gzip-by-another-name.csv", packed.Bytes(), ""},
		{"kaggle.zip", zipOf("sample_submission.csv", "test.csv", "train.csv"), ""},
		{"one.zip", zipOf("readme.txt", "data/part.CSV", "__MACOSX/data/._part.CSV"), ""},
		{"two.zip", zipOf("a.csv", "b.csv"), `unpacking two.zip: it holds neither train.csv nor exactly one other csv file, but ["a.csv" "b.csv"]`},
		{"empty.zip", zipOf(), `unpacking empty.zip: it holds neither train.csv nor exactly one other csv file, but []`},
		{"cut.zip", zipOf("train.csv")[:100], "unpacking cut.zip: zip: not a valid zip file; the download may be incomplete"},
		{"cut.csv.gz", packed.Bytes()[:packed.Len()-10], "reading cut.csv.gz after line"},
		{"short.gz", packed.Bytes()[:5], "unpacking short.gz: unexpected EOF"},
		{"empty.csv", nil, "empty.csv is empty; its first line must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.name)
			if err := os.WriteFile(path, c.content, 0o644); err != nil {
				t.Fatal(err)
			}
			records, err := readFile(path)
			if c.want != "" {
				if err == nil || !strings.HasPrefix(err.Error(), c.want) {
					t.Errorf("error is %v, want %s", err, c.want)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(records, []taxi.Record{courseRecord()}) {
				t.Errorf("got %+v, error %v", records, err)
			}
		})
	}
	t.Run("pipes", func(t *testing.T) {
		for content, want := range map[string]string{string(plain): "", packed.String(): "", string(zipOf("train.csv")): "cannot be read from a pipe"} {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			path := fmt.Sprintf("/dev/fd/%d", read.Fd())
			if _, err := os.Stat(path); err != nil {
				t.Skip("pipes have no names here")
			}
			if _, err := write.WriteString(content); err != nil {
				t.Fatal(err)
			}
			if err := write.Close(); err != nil {
				t.Fatal(err)
			}
			records, err := readFile(path)
			if want == "" && (err != nil || len(records) != 1) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("got %+v, error %v, want %q", records, err, want)
			}
			if err := read.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("no file", func(t *testing.T) {
		if _, err := taxi.OpenCSV(filepath.Join(t.TempDir(), "train.csv")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("error is %v", err)
		}
	})
}

func readFile(path string) (records []taxi.Record, err error) {
	reader, err := taxi.OpenCSV(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for {
		var r taxi.Record
		if err := reader.Read(&r); err == io.EOF {
			return records, nil
		} else if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
}

// A failing disk ends the reading, again and again, and is told from the end
// of the file and from a bad row.
func TestReadErrorsAreFinal(t *testing.T) {
	broken := errors.New("disk on fire")
	reader, err := taxi.ReadCSV(io.MultiReader(strings.NewReader(taxi.Header+"\n"+courseLine+"\n2009"), failingReader{broken}))
	if err != nil {
		t.Fatal(err)
	}
	var r taxi.Record
	if err := reader.Read(&r); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := reader.Read(&r); !errors.Is(err, broken) || err.Error() != "reading csv after line 2: disk on fire" {
			t.Errorf("error is %v", err)
		}
	}
	if reader.Row() != 1 {
		t.Errorf("row is %d, want 1", reader.Row())
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

func TestSkip(t *testing.T) {
	var file strings.Builder
	file.WriteString(taxi.Header + "\n")
	for i := range 10 {
		fmt.Fprintf(&file, "%d,1,2009-06-15 17:26:21 UTC,0,0,0,0,%d\n\n", i, i)
	}
	reader, err := taxi.ReadCSV(strings.NewReader(file.String()))
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Skip(7); err != nil {
		t.Fatal(err)
	}
	var r taxi.Record
	if err := reader.Read(&r); err != nil || r.PassengerCount != 7 || reader.Row() != 8 {
		t.Errorf("after 7 rows comes %d at row %d, error %v", r.PassengerCount, reader.Row(), err)
	}
	if err := reader.Skip(3); err != io.EOF {
		t.Errorf("skipping beyond the end gives %v", err)
	}
}

// FuzzReadCSV: no input breaks the reader, and what it reads it reads again
// from what AppendCSV writes of it.
func FuzzReadCSV(f *testing.F) {
	f.Add([]byte(taxi.Header + "\n" + courseLine + "\r\n"))
	f.Add([]byte("\ufeff" + taxi.Header + "\n\n\"a\"\"b,\",1e-7,2012-02-29 00:00:00 UTC,-0,.5,,,-0\n,,,"))
	f.Add([]byte(taxi.Header + "\n" + `"a` + "\n" + courseLine + ",\n" + courseLine))
	f.Fuzz(func(t *testing.T, file []byte) {
		reader, err := taxi.ReadCSV(bytes.NewReader(file))
		if err != nil {
			return
		}
		for {
			var r, again taxi.Record
			err := reader.Read(&r)
			if err == io.EOF {
				return
			}
			var bad *taxi.RowError
			if errors.As(err, &bad) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range []float64{r.FareAmount, r.PickupLongitude, r.DropoffLongitude.Float64} {
				if math.IsNaN(v) || math.IsInf(v, 0) {
					t.Fatalf("read %v", v)
				}
			}
			if bytes.ContainsAny(r.Key, "\r") {
				continue
			}
			written := taxi.AppendCSV([]byte(taxi.Header+"\n"), &r)
			second, err := taxi.ReadCSV(bytes.NewReader(written))
			if err != nil {
				t.Fatal(err)
			}
			if err := second.Read(&again); err != nil || !reflect.DeepEqual(r, again) {
				t.Fatalf("%+v is read again as %+v, error %v", r, again, err)
			}
		}
	})
}
