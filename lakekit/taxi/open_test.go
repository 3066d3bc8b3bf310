package taxi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"taxilake/lakekit/taxi"
)

func TestOpenCSVFileOpensNothingElse(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir) // a socket's path is short
	socket, err := net.Listen("unix", "socket")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	for name, target := range map[string]string{"to a device": "/dev/zero", "to a pipe": at("pipe"), "to itself": at("to itself")} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(at("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]string{
		"/dev/zero":                  "it is a device",
		"/dev/tty":                   "it is a device",
		at("to a device"):            "it is a device",
		at("pipe"):                   "it is a pipe",
		at("to a pipe"):              "it is a pipe",
		at("socket"):                 "it is a socket",
		dir:                          "it is a folder",
		at("empty"):                  "it is empty",
		at("missing"):                "no such file",
		at("to itself"):              "too many levels",
		"":                           "no such file",
		"a\x00b":                     "invalid argument",
		at(strings.Repeat("x", 300)): "too long",
	}
	if runtime.GOOS == "linux" {
		tests["/proc/self/status"] = "it is empty" // no size: made up while it is read
	}
	for name, want := range tests {
		reader, err := taxi.OpenCSVFile(name)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is answered with %v, want %q", name, err, want)
		}
		if reader != nil {
			t.Errorf("%q was opened", name)
		}
	}
}

// packed is a gzip file of many times the same text.
func packed(t *testing.T, head, text string, times int) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	portion := []byte(strings.Repeat(text, 1<<16/len(text)))
	_, err := w.Write([]byte(head))
	for written := 0; written < times*len(text) && err == nil; written += len(portion) {
		_, err = w.Write(portion)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "bomb.csv.gz")
	if err := os.WriteFile(name, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestPackedJunkIsNotReadToItsEnd has small files that unpack to very much of
// what is no row.
func TestPackedJunkIsNotReadToItsEnd(t *testing.T) {
	const much = 64 << 20
	if _, err := taxi.OpenCSVFile(packed(t, "", "\x00", much)); err == nil || !strings.Contains(err.Error(), "its first line is longer") {
		t.Errorf("without a header: %v", err)
	}
	for name, test := range map[string]struct{ text, want string }{
		"a line without end": {"x", "line 2 is longer"},
		"blank lines":        {"\n", "blank lines"},
		"blank lines of two": {"\r\n", "blank lines"},
	} {
		reader, err := taxi.OpenCSVFile(packed(t, taxi.Header+"\n", test.text, much))
		if err != nil {
			t.Fatal(err)
		}
		var record taxi.Record
		for range 2 { // the failure is final
			if err = reader.Read(&record); err == nil || !strings.Contains(err.Error(), "no csv file") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", name, err, test.want)
			}
		}
		var bad *taxi.RowError
		if errors.As(err, &bad) {
			t.Errorf("%s: one bad row", name)
		}
		if err := reader.Skip(1); err == nil || err == io.EOF {
			t.Errorf("%s: a row was skipped: %v", name, err)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReadingEndsWithItsContext(t *testing.T) {
	reader, err := taxi.OpenCSVFile(packed(t, taxi.Header+"\n", "no row\n", 1<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithCancel(t.Context())
	reader.Until(ctx)
	var record taxi.Record
	var bad *taxi.RowError
	if err := reader.Read(&record); !errors.As(err, &bad) {
		t.Fatalf("before: %v", err)
	}
	cancel()
	if err := reader.Skip(1 << 30); !errors.Is(err, context.Canceled) {
		t.Errorf("skipping: %v", err)
	}
	if err := reader.Read(&record); !errors.Is(err, context.Canceled) {
		t.Errorf("reading: %v", err)
	}
}
