package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"taxilake/lakekit/blob"
)

// AcceptanceTest checks every promise of blob.Bucket. open returns an empty
// bucket each time it is called: one of its own, or a folder of a bucket that
// others use too (blob.Prefix).
func AcceptanceTest(t *testing.T, open func(t *testing.T) blob.Bucket) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Bucket)
	}{
		{"Absent", testAbsent},
		{"PutGetHead", testPutGetHead},
		{"PutReplaces", testPutReplaces},
		{"PutFromPosition", testPutFromPosition},
		{"FailedPutLeavesNothing", testFailedPut},
		{"GetIsOneVersion", testGetIsOneVersion},
		{"GetRange", testGetRange},
		{"Keys", testKeys},
		{"LongestKey", testLongestKey},
		{"RefusedKeys", testRefusedKeys},
		{"List", testList},
		{"ListManyPages", testListManyPages},
		{"Delete", testDelete},
		{"PutIfAbsent", testPutIfAbsent},
		{"PutIfAbsentRace", testPutIfAbsentRace},
		{"PutRaceWithDelete", testPutRaceWithDelete},
		{"Large", testLarge},
		{"LargePutIfAbsent", testLargePutIfAbsent},
		{"LargeFailedPut", testLargeFailedPut},
		{"Canceled", testCanceled},
		{"Local", testLocal},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func put(t *testing.T, b blob.Bucket, key, content string) {
	t.Helper()
	if err := b.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b blob.Bucket, key string) string {
	t.Helper()
	data, err := blob.ReadAll(t.Context(), b, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func list(t *testing.T, b blob.Bucket, opts blob.ListOptions) []string {
	t.Helper()
	keys := []string{}
	for info, err := range b.List(t.Context(), opts) {
		if err != nil {
			t.Fatal(err)
		}
		if isPrefix := opts.Delimiter != "" && strings.HasSuffix(info.Key, opts.Delimiter); info.IsPrefix != isPrefix {
			t.Errorf("%q: IsPrefix = %t", info.Key, info.IsPrefix)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}

func testAbsent(t *testing.T, b blob.Bucket) {
	put(t, b, "folder/object", "x")
	for _, key := range []string{"absent", "folder", "folder/absent", "folder/object/below", "a/b/c/d"} {
		_, err := b.Get(t.Context(), key)
		wantError(t, "Get "+key, err, blob.ErrNotExist)
		_, err = b.GetRange(t.Context(), key, 0, 10)
		wantError(t, "GetRange "+key, err, blob.ErrNotExist)
		_, err = b.GetRange(t.Context(), key, 0, 0)
		wantError(t, "GetRange of nothing "+key, err, blob.ErrNotExist)
		_, err = b.Head(t.Context(), key)
		wantError(t, "Head "+key, err, blob.ErrNotExist)
		if err == nil || !strings.Contains(err.Error(), b.URI(key)) {
			t.Errorf("error %q does not name %s", err, b.URI(key))
		}
	}
}

func testPutGetHead(t *testing.T, b blob.Bucket) {
	for _, size := range []int{0, 1, 4096, 3<<20 + 17} {
		key := fmt.Sprintf("sizes/%d", size)
		content := strings.Repeat("0123456789abcdef\n", size/17+1)[:size]
		before := time.Now().Add(-time.Minute)
		put(t, b, key, content)
		if got := get(t, b, key); got != content {
			t.Errorf("%s: got %d bytes, not the %d put", key, len(got), size)
		}
		info, err := b.Head(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if info.Key != key || info.Size != int64(size) || info.ETag == "" || strings.Contains(info.ETag, `"`) || info.IsPrefix {
			t.Errorf("Head %s = %+v", key, info)
		}
		if info.LastModified.Before(before) || info.LastModified.After(time.Now().Add(time.Minute)) {
			t.Errorf("Head %s: last modified %v, now is %v", key, info.LastModified, time.Now())
		}
		for listed, err := range b.List(t.Context(), blob.ListOptions{Prefix: key}) {
			if err != nil {
				t.Fatal(err)
			}
			if listed.Key != info.Key || listed.Size != info.Size || listed.ETag != info.ETag || listed.LastModified.Sub(info.LastModified).Abs() > time.Second {
				t.Errorf("List says %+v, Head %+v", listed, info)
			}
		}
	}
}

func testPutReplaces(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "first, and longer")
	first, err := b.Head(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	put(t, b, "k", "second")
	if got := get(t, b, "k"); got != "second" {
		t.Errorf("got %q", got)
	}
	second, err := b.Head(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	if first.ETag == second.ETag {
		t.Errorf("ETag %s of both versions", first.ETag)
	}
}

func testPutFromPosition(t *testing.T, b blob.Bucket) {
	body := strings.NewReader("header|content")
	if _, err := body.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "k", body); err != nil {
		t.Fatal(err)
	}
	if got := get(t, b, "k"); got != "content" {
		t.Errorf("got %q", got)
	}
}

// brokenBody fails in the middle of being read.
type brokenBody struct{ content *bytes.Reader }

var errBroken = errors.New("the disk under the body broke")

func (b brokenBody) Read(p []byte) (int, error) {
	if b.content.Len() < 1<<19 {
		return 0, errBroken
	}
	return b.content.Read(p[:min(len(p), 1<<16)])
}

func (b brokenBody) Seek(offset int64, whence int) (int64, error) {
	return b.content.Seek(offset, whence)
}

func testFailedPut(t *testing.T, b blob.Bucket) {
	put(t, b, "old", "old")
	for _, key := range []string{"old", "new", "folder/new"} {
		body := brokenBody{bytes.NewReader(make([]byte, 1<<20))}
		if err := b.Put(t.Context(), key, body); err == nil {
			t.Errorf("Put %s of a body that fails succeeded", key)
		}
		body = brokenBody{bytes.NewReader(make([]byte, 1<<20))}
		if err := b.PutIfAbsent(t.Context(), key, body); err == nil {
			t.Errorf("PutIfAbsent %s of a body that fails succeeded", key)
		}
	}
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, []string{"old"}) {
		t.Errorf("objects %q", got)
	}
	if got := get(t, b, "old"); got != "old" {
		t.Errorf("old = %.20q", got)
	}
}

func testGetIsOneVersion(t *testing.T, b blob.Bucket) {
	content := strings.Repeat("a", 1<<20)
	put(t, b, "k", content)
	body, err := b.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	put(t, b, "k", strings.Repeat("b", 1<<20))
	if err := b.Delete(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != content {
		t.Error("the object changed under its reader")
	}
}

func testGetRange(t *testing.T, b blob.Bucket) {
	put(t, b, "ten", "0123456789")
	put(t, b, "empty", "")
	const fails = "\x00"
	for _, test := range []struct {
		key            string
		offset, length int64
		want           string
	}{
		{"ten", 0, 10, "0123456789"},
		{"ten", 0, 3, "012"},
		{"ten", 4, 1, "4"},
		{"ten", 7, 3, "789"},
		{"ten", 7, 100, "789"},
		{"ten", 2, -1, "23456789"},
		{"ten", 0, -1, "0123456789"},
		{"ten", 3, 0, ""},
		{"ten", 10, 0, ""},
		{"ten", 10, 1, fails},
		{"ten", 11, -1, fails},
		{"ten", -1, 1, fails},
		{"empty", 0, 0, ""},
		{"empty", 0, 1, fails},
	} {
		t.Run(fmt.Sprintf("%s %d+%d", test.key, test.offset, test.length), func(t *testing.T) {
			body, err := b.GetRange(t.Context(), test.key, test.offset, test.length)
			if test.want == fails {
				if err == nil {
					body.Close()
					t.Error("no error")
				} else if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrExist) {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != test.want {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func testKeys(t *testing.T, b blob.Bucket) {
	keys := []string{
		"plain.parquet",
		"_delta_log/00000000000000000000.json",
		"day=2015-01-01/part-0.parquet",
		"a+b", "a%20b", "a%2Fb", "a%", "a b", " a ", "a&b=c", "a'b", `a"b`, "a?b#c", "a;b", "a:b", "a,b@c$d",
		"a<b>c", "a\\b", "a*b", "a|b", "(a)[b]{c}", "~a", "a..b", "..a", "a.", ".hidden", "a\tb", "a\u00e9b",
		"?x=y", "上海/出租车.json", "🚕", "-", "%E4%B8%8A", "=", "a=b&c=d", "a++b", "%", "%%20", "a&amp;b", "''",
		strings.Repeat("出", 85), // a segment of maximal length
		strings.Repeat(strings.Repeat("k", 255)+"/", 3) + "200 bytes are left for a prefix",
	}
	for _, key := range keys {
		put(t, b, key, "content of "+key)
	}
	for _, key := range keys {
		if got := get(t, b, key); got != "content of "+key {
			t.Errorf("Get %q = %q", key, got)
		}
		if info, err := b.Head(t.Context(), key); err != nil || info.Key != key {
			t.Errorf("Head %q = %+v, %v", key, info, err)
		}
		if got := list(t, b, blob.ListOptions{Prefix: key}); !slices.Contains(got, key) {
			t.Errorf("List with prefix %q = %q", key, got)
		}
		wantError(t, "PutIfAbsent "+key, b.PutIfAbsent(t.Context(), key, strings.NewReader("")), blob.ErrExist)
	}
	sorted := slices.Sorted(slices.Values(keys))
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, sorted) {
		t.Errorf("List\n got %q\nwant %q", got, sorted)
	}
	for i, key := range sorted {
		if got := list(t, b, blob.ListOptions{StartAfter: key}); !slices.Equal(got, sorted[i+1:]) {
			t.Errorf("List after %q\n got %q\nwant %q", key, got, sorted[i+1:])
		}
	}
	if err := b.Delete(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, blob.ListOptions{}); len(got) != 0 {
		t.Errorf("left after Delete: %q", got)
	}
}

// testLongestKey: OSS gives a key 1,023 bytes, S3 one more; a bucket promises
// what all of them keep. The folder of a prefixed bucket counts.
func testLongestKey(t *testing.T, b blob.Bucket) {
	name, inBucket := strings.CutPrefix(b.URI(""), "oss://")
	if !inBucket {
		t.Skip("how long the folder's own keys are cannot be told from outside")
	}
	_, folder, _ := strings.Cut(name, "/")
	taken := len(folder)
	long := strings.Repeat(strings.Repeat("k", 200)+"/", 6)
	longest := long[:1023-taken-1] + "k"
	put(t, b, longest, "content")
	if got := get(t, b, longest); got != "content" {
		t.Errorf("Get = %q", got)
	}
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, []string{longest}) {
		t.Errorf("List = %q", got)
	}
	if err := b.PutIfAbsent(t.Context(), longest+"k", strings.NewReader("x")); err == nil || !strings.Contains(err.Error(), "1,023 bytes") {
		t.Errorf("PutIfAbsent of a key one byte longer: error %v", err)
	}
	if err := b.Delete(t.Context(), longest); err != nil {
		t.Error(err)
	}
}

func testRefusedKeys(t *testing.T, b blob.Bucket) {
	for _, key := range []string{
		"..", "../x", "a/../../x", "a/..", ".", "./a", "a/./b", "a//b", "a/", "a\x00b", "\xff",
		"a/ .. /b", "a/.\t/b", `a\..\b`, // to MinIO these are the same
		strings.Repeat("s", 256), strings.Repeat("long/", 300) + "x",
	} {
		if err := b.Put(t.Context(), key, strings.NewReader("x")); err == nil {
			t.Errorf("Put %.20q succeeded", key)
		}
		if err := b.PutIfAbsent(t.Context(), key, strings.NewReader("x")); err == nil || errors.Is(err, blob.ErrExist) {
			t.Errorf("PutIfAbsent %.20q: error %v", key, err)
		}
		if _, err := b.Get(t.Context(), key); err == nil {
			t.Errorf("Get %.20q succeeded", key)
		}
		if err := b.Delete(t.Context(), key); err == nil {
			t.Errorf("Delete %.20q succeeded", key)
		}
	}
	if got := list(t, b, blob.ListOptions{}); len(got) != 0 {
		t.Errorf("objects %q", got)
	}
}

func testList(t *testing.T, b blob.Bucket) {
	for _, key := range []string{
		"..d", "a", "b.txt", "b/..c/x", "b/.c", "b/1", "b/2/x", "b/2/y", "b/3", "b0", "c/d/e/f", "上/海", "é",
	} {
		put(t, b, key, key)
	}
	for _, test := range []struct {
		opts blob.ListOptions
		want string // words
	}{
		{blob.ListOptions{}, "..d a b.txt b/..c/x b/.c b/1 b/2/x b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{Prefix: "b"}, "b.txt b/..c/x b/.c b/1 b/2/x b/2/y b/3 b0"},
		{blob.ListOptions{Prefix: "b/"}, "b/..c/x b/.c b/1 b/2/x b/2/y b/3"},
		{blob.ListOptions{Prefix: "b/2"}, "b/2/x b/2/y"},
		{blob.ListOptions{Prefix: "b/2/x"}, "b/2/x"},
		{blob.ListOptions{Prefix: "b/2/x/"}, ""},
		{blob.ListOptions{Prefix: "c/d/"}, "c/d/e/f"},
		{blob.ListOptions{Prefix: "none/"}, ""},
		{blob.ListOptions{Prefix: "../"}, ""},
		{blob.ListOptions{StartAfter: "b/1"}, "b/2/x b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{StartAfter: "b/2"}, "b/2/x b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{StartAfter: "b/2/x"}, "b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{StartAfter: "b/"}, "b/..c/x b/.c b/1 b/2/x b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{StartAfter: "b"}, "b.txt b/..c/x b/.c b/1 b/2/x b/2/y b/3 b0 c/d/e/f é 上/海"},
		{blob.ListOptions{StartAfter: "上/海"}, ""},
		{blob.ListOptions{Prefix: "b/", StartAfter: "a"}, "b/..c/x b/.c b/1 b/2/x b/2/y b/3"},
		{blob.ListOptions{Prefix: "b/", StartAfter: "b/2/x"}, "b/2/y b/3"},
		{blob.ListOptions{Prefix: "b/", StartAfter: "c"}, ""},
		{blob.ListOptions{Delimiter: "/"}, "..d a b.txt b/ b0 c/ é 上/"},
		{blob.ListOptions{Delimiter: "/", Prefix: "b"}, "b.txt b/ b0"},
		{blob.ListOptions{Delimiter: "/", Prefix: "b/"}, "b/..c/ b/.c b/1 b/2/ b/3"},
		{blob.ListOptions{Delimiter: "/", Prefix: "b/2/"}, "b/2/x b/2/y"},
		{blob.ListOptions{Delimiter: "/", Prefix: "c/"}, "c/d/"},
		{blob.ListOptions{Delimiter: "/", StartAfter: "b/"}, "b0 c/ é 上/"},
		{blob.ListOptions{Delimiter: "/", StartAfter: "b.txt"}, "b/ b0 c/ é 上/"},
		{blob.ListOptions{Delimiter: "/", Prefix: "b/", StartAfter: "b/1"}, "b/2/ b/3"},

		{blob.ListOptions{Prefix: "."}, "..d"},
		{blob.ListOptions{Prefix: ".."}, "..d"},
		{blob.ListOptions{Prefix: "b/."}, "b/..c/x b/.c"},
		{blob.ListOptions{Prefix: "b/.."}, "b/..c/x"},
		{blob.ListOptions{Prefix: "b//"}, ""},
		{blob.ListOptions{Prefix: "b/./"}, ""},
		{blob.ListOptions{Delimiter: "/", Prefix: "b/.."}, "b/..c/"},
		{blob.ListOptions{Delimiter: "/", Prefix: "b/", StartAfter: "b/..c/"}, "b/.c b/1 b/2/ b/3"},
		{blob.ListOptions{Prefix: "b/..", StartAfter: "b/..c"}, "b/..c/x"},
	} {
		t.Run(fmt.Sprintf("%+v", test.opts), func(t *testing.T) {
			if got, want := list(t, b, test.opts), strings.Fields(test.want); !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	for info, err := range b.List(t.Context(), blob.ListOptions{}) {
		if err != nil || info.Key != "..d" {
			t.Errorf("first is %+v, %v", info, err)
		}
		break // an iteration may be left early
	}
}

func testListManyPages(t *testing.T, b blob.Bucket) {
	const objects = 1010 // more than a page of OSS
	want, folders := make([]string, objects), make([]string, objects)
	for i := range want {
		want[i] = fmt.Sprintf("t/%04d/%d", i, i%10)
		folders[i] = fmt.Sprintf("t/%04d/", i)
	}
	inParallel(16, objects, func(i int) {
		if err := b.Put(t.Context(), want[i], strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	})
	if got := list(t, b, blob.ListOptions{Prefix: "t/"}); !slices.Equal(got, want) {
		t.Errorf("%d keys, first %q, want %d", len(got), got[:min(3, len(got))], len(want))
	}
	if got := list(t, b, blob.ListOptions{Prefix: "t/", StartAfter: want[4]}); !slices.Equal(got, want[5:]) {
		t.Errorf("%d keys after the 5th, want %d", len(got), len(want)-5)
	}
	if got := list(t, b, blob.ListOptions{Prefix: "t/", Delimiter: "/"}); !slices.Equal(got, folders) {
		t.Errorf("%d folders, want %d", len(got), len(folders))
	}
	if got := list(t, b, blob.ListOptions{Prefix: "t/", Delimiter: "/", StartAfter: folders[2]}); !slices.Equal(got, folders[3:]) {
		t.Errorf("%d folders after the 3rd, want %d", len(got), len(folders)-3)
	}
	if err := b.Delete(t.Context(), want...); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, blob.ListOptions{}); len(got) != 0 {
		t.Errorf("%d keys left after Delete", len(got))
	}
}

func testDelete(t *testing.T, b blob.Bucket) {
	if err := b.Delete(t.Context()); err != nil {
		t.Errorf("Delete of no keys: %v", err)
	}
	for _, key := range []string{"a/b/c", "a/b/d", "e"} {
		put(t, b, key, key)
	}
	if err := b.Delete(t.Context(), "a/b/c", "absent", "a/absent", "a/b/d/below", "e"); err != nil {
		t.Fatal(err)
	}
	if err := b.Delete(t.Context(), "a/b", "a"); err != nil {
		t.Errorf("Delete of a key that is only a folder: %v", err)
	}
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, []string{"a/b/d"}) {
		t.Errorf("left %q", got)
	}
	if err := b.Delete(t.Context(), "a/b/d"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, b, blob.ListOptions{Delimiter: "/"}); len(got) != 0 {
		t.Errorf("folders without objects: %q", got)
	}
	put(t, b, "a", "a key that was a folder")
}

func testPutIfAbsent(t *testing.T, b blob.Bucket) {
	if err := b.PutIfAbsent(t.Context(), "d/k", strings.NewReader("first")); err != nil {
		t.Fatal(err)
	}
	err := b.PutIfAbsent(t.Context(), "d/k", strings.NewReader("second"))
	wantError(t, "second PutIfAbsent", err, blob.ErrExist)
	if err != nil && !strings.Contains(err.Error(), b.URI("d/k")) {
		t.Errorf("error %q does not name %s", err, b.URI("d/k"))
	}
	if got := get(t, b, "d/k"); got != "first" {
		t.Errorf("got %q", got)
	}
	if err := b.Delete(t.Context(), "d/k"); err != nil {
		t.Fatal(err)
	}
	if err := b.PutIfAbsent(t.Context(), "d/k", strings.NewReader("third")); err != nil {
		t.Errorf("after Delete: %v", err)
	}
}

// testPutIfAbsentRace is what commits of a table rest on.
func testPutIfAbsentRace(t *testing.T, b blob.Bucket) {
	const racers, rounds = 32, 8
	for round := range rounds {
		key := fmt.Sprintf("_delta_log/%020d.json", round)
		content := func(racer int) string { return strings.Repeat(fmt.Sprintf("racer %02d\n", racer), 1000) }
		var mu sync.Mutex
		var winners []int
		start := make(chan struct{})
		var wg sync.WaitGroup
		for racer := range racers {
			wg.Go(func() {
				<-start
				switch err := b.PutIfAbsent(t.Context(), key, strings.NewReader(content(racer))); {
				case err == nil:
					mu.Lock()
					winners = append(winners, racer)
					mu.Unlock()
				case !errors.Is(err, blob.ErrExist):
					t.Errorf("racer %d: %v", racer, err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: winners %v", round, winners)
		}
		if got := get(t, b, key); got != content(winners[0]) {
			t.Fatalf("round %d: racer %d won, but the object is %.10q", round, winners[0], got)
		}
	}
}

// testPutRaceWithDelete: buckets made of files take away empty folders, which
// must not hurt a put into them.
func testPutRaceWithDelete(t *testing.T, b blob.Bucket) {
	inParallel(8, 120, func(i int) {
		key := fmt.Sprintf("a/b/c/%d", i)
		if err := b.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Error(err)
		}
		if data, err := blob.ReadAll(t.Context(), b, key); err != nil || string(data) != key {
			t.Errorf("Get %s = %q, %v", key, data, err)
		}
		if err := b.Delete(t.Context(), key); err != nil {
			t.Error(err)
		}
	})
	if got := list(t, b, blob.ListOptions{}); len(got) != 0 {
		t.Errorf("left %q", got)
	}
}

// large is what stores that put large objects in parts put in several, and a
// few bytes more.
const large = 40<<20 + 17

// randomBytes are more than large, so that every start is another content.
var randomBytes = sync.OnceValue(func() []byte {
	data := make([]byte, large+1<<10)
	rand.NewChaCha8([32]byte{}).Read(data)
	return data
})

func largeContent(n int) []byte { return randomBytes()[n : n+large] }

func wantLarge(t *testing.T, b blob.Bucket, key string, want []byte) {
	t.Helper()
	got, err := blob.ReadAll(t.Context(), b, key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes, not the %d put", key, len(got), len(want))
	}
}

func testLarge(t *testing.T, b blob.Bucket) {
	const key = "day=1/large file+%20.parquet"
	put(t, b, key, "small")
	for n := range 2 {
		if err := b.Put(t.Context(), key, bytes.NewReader(largeContent(n))); err != nil {
			t.Fatal(err)
		}
		wantLarge(t, b, key, largeContent(n))
	}
	info, err := b.Head(t.Context(), key)
	if err != nil || info.Size != large {
		t.Errorf("Head = %+v, %v", info, err)
	}
	for listed, err := range b.List(t.Context(), blob.ListOptions{}) {
		if err != nil || listed.Key != key || listed.Size != large || listed.ETag != info.ETag {
			t.Errorf("List yields %+v, %v; Head %+v", listed, err, info)
		}
	}
	const border = 8 << 20 // of parts, where there are any
	body, err := b.GetRange(t.Context(), key, border-3, 6)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, largeContent(1)[border-3:border+3]) {
		t.Errorf("range across a border: %x, %v", got, err)
	}
	put(t, b, key, "small again")
	if got := get(t, b, key); got != "small again" {
		t.Errorf("got %.20q", got)
	}
}

func testLargePutIfAbsent(t *testing.T, b blob.Bucket) {
	put(t, b, "taken", "mine")
	wantError(t, "PutIfAbsent", b.PutIfAbsent(t.Context(), "taken", bytes.NewReader(largeContent(0))), blob.ErrExist)
	if got := get(t, b, "taken"); got != "mine" {
		t.Errorf("taken = %.20q", got)
	}
	const racers = 4
	var errs [racers]error
	inParallel(racers, racers, func(n int) {
		errs[n] = b.PutIfAbsent(t.Context(), "race", bytes.NewReader(largeContent(n)))
	})
	winner := -1
	for n, err := range errs {
		switch {
		case err == nil && winner < 0:
			winner = n
		case err == nil:
			t.Errorf("racers %d and %d won", winner, n)
		case !errors.Is(err, blob.ErrExist):
			t.Errorf("racer %d: %v", n, err)
		}
	}
	if winner < 0 {
		t.Fatal("no racer won")
	}
	wantLarge(t, b, "race", largeContent(winner))
}

// interrupted is a large body that calls a function when most of it is read.
type interrupted struct {
	content   *bytes.Reader
	interrupt func() error
}

func (b interrupted) Read(p []byte) (int, error) {
	if b.content.Len() < large/4 {
		if err := b.interrupt(); err != nil {
			return 0, err
		}
	}
	return b.content.Read(p)
}

func (b interrupted) Seek(offset int64, whence int) (int64, error) {
	return b.content.Seek(offset, whence)
}

func testLargeFailedPut(t *testing.T, b blob.Bucket) {
	put(t, b, "old", "old")
	for _, key := range []string{"old", "new"} {
		broken := interrupted{bytes.NewReader(largeContent(0)), func() error { return errBroken }}
		wantError(t, "Put of a body that fails", b.Put(t.Context(), key, broken), errBroken)
		ctx, cancel := context.WithCancel(t.Context())
		canceled := interrupted{bytes.NewReader(largeContent(0)), func() error { cancel(); return nil }}
		wantError(t, "Put canceled on its way", b.Put(ctx, key, canceled), context.Canceled)
	}
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, []string{"old"}) {
		t.Errorf("objects %q", got)
	}
	if got := get(t, b, "old"); got != "old" {
		t.Errorf("old = %.20q", got)
	}
}

func testCanceled(t *testing.T, b blob.Bucket) {
	put(t, b, "k", "x")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Get(ctx, "k")
	wantError(t, "Get", err, context.Canceled)
	_, err = b.Head(ctx, "k")
	wantError(t, "Head", err, context.Canceled)
	wantError(t, "Put", b.Put(ctx, "k", strings.NewReader("y")), context.Canceled)
	wantError(t, "PutIfAbsent", b.PutIfAbsent(ctx, "new", strings.NewReader("y")), context.Canceled)
	wantError(t, "Delete", b.Delete(ctx, "k"), context.Canceled)
	for _, err := range b.List(ctx, blob.ListOptions{}) {
		wantError(t, "List", err, context.Canceled)
	}
	if got := get(t, b, "k"); got != "x" {
		t.Errorf("k = %q", got)
	}
}

// testLocal: another engine opens the objects in place.
func testLocal(t *testing.T, b blob.Bucket) {
	path, ok := blob.LocalPath(b, "day=1/a b.parquet")
	if !ok {
		t.Skip("not a local bucket")
	}
	put(t, b, "day=1/a b.parquet", "content")
	if data, err := os.ReadFile(path); err != nil || string(data) != "content" {
		t.Errorf("file %s = %q, %v", path, data, err)
	}
	root, _ := blob.LocalPath(b, "")
	if err := os.WriteFile(root+"/foreign", []byte("written by another engine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := get(t, b, "foreign"); got != "written by another engine" {
		t.Errorf("foreign = %q", got)
	}
	if got := list(t, b, blob.ListOptions{}); !slices.Equal(got, []string{"day=1/a b.parquet", "foreign"}) {
		t.Errorf("objects %q", got)
	}
}

// inParallel calls do for 0..n-1 on some workers.
func inParallel(workers, n int, do func(i int)) {
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				do(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
