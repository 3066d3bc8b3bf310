package delta

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestPaths(t *testing.T) {
	tests := []struct{ key, path string }{
		{"part-00000-c000.zstd.parquet", "part-00000-c000.zstd.parquet"},
		{"p=a b/x.parquet", "p=a%20b/x.parquet"},
		{"p=50%25/x.parquet", "p=50%2525/x.parquet"},
		{"p=é/x+y.parquet", "p=%C3%A9/x%2By.parquet"},
		{"p=a%3Ab/x#1?.parquet", "p=a%253Ab/x%231%3F.parquet"},
	}
	for _, test := range tests {
		if got := encodePath(test.key); got != test.path {
			t.Errorf("encode %q: %q, want %q", test.key, got, test.path)
		}
		if got, err := decodePath(test.path); err != nil || got != test.key {
			t.Errorf("decode %q: %q, %v", test.path, got, err)
		}
	}
	for path, want := range map[string]error{
		"s3://bucket/x.parquet": ErrUnsupported, "file:/tmp/x.parquet": ErrUnsupported, "/tmp/x.parquet": ErrUnsupported, "x%zz.parquet": ErrCorruptLog,
		"../x.parquet": ErrUnsupported, "p=1/%2E%2E/%2e./x.parquet": ErrUnsupported,
	} {
		if _, err := decodePath(path); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", path, err, want)
		}
	}
}

func TestHivePartition(t *testing.T) {
	for value, want := range map[string]string{
		"": "c=__HIVE_DEFAULT_PARTITION__", "2024-02-29": "c=2024-02-29", "12:30": "c=12%3A30", "a/b=c%": "c=a%2Fb%3Dc%25", "a b": "c=a b", "\x01": "c=%01",
	} {
		if got := hivePartition("c", value); got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func FuzzPaths(f *testing.F) {
	for _, seed := range []string{"a b", "%", "é/ü", "p=1/x", "a:b", "/x", "\xff", "+"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, key string) {
		path := encodePath("d/" + key)
		if slices.Contains(strings.Split(key, "/"), "..") {
			return
		}
		if got, err := decodePath(path); err != nil || got != "d/"+key {
			t.Fatalf("%q became %q: %v", key, got, err)
		}
		if _, err := url.Parse(path); err != nil {
			t.Fatalf("%q is no URI: %v", path, err)
		}
		_, _ = decodePath(key)
	})
}
