package oss_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/oss"
)

const partSize = 100 << 10 // bytes; the least the embedded store takes

func partsOf(n int) []byte { return bytes.Repeat([]byte("0123456789"), n*partSize/10) }

// step is what a request does in a multipart upload.
func step(r *http.Request) string {
	query := r.URL.Query()
	switch {
	case query.Has("uploads"):
		return "initiate"
	case query.Has("partNumber"):
		return "part " + query.Get("partNumber")
	case r.Method == http.MethodPost && query.Has("uploadId"):
		return "complete"
	case r.Method == http.MethodDelete && query.Has("uploadId"):
		return "abort"
	}
	return r.Method
}

// TestParts: what goes wrong on the way of an object in five parts, and what is
// sent, seen and left.
func TestParts(t *testing.T) {
	type fault func(w http.ResponseWriter, r *http.Request, store http.Handler)
	lost := func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		store.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	broken := func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
	status := func(code int) fault {
		return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(code) }
	}
	damaged := func(w http.ResponseWriter, r *http.Request, store http.Handler) {
		body, _ := io.ReadAll(r.Body)
		body[7] ^= 1
		r.Body = io.NopCloser(bytes.NewReader(body))
		store.ServeHTTP(w, r)
	}
	for _, test := range []struct {
		name     string
		ifAbsent bool
		at       string // the step that fails
		times    int
		fault    fault
		ok       bool
		stored   bool
		sent     string // how often that step, and "abort" if that was sent
	}{
		{"nothing", false, "", 0, nil, true, true, "0"},
		{"initiate is not answered", false, "initiate", 1, lost, true, true, "2"},
		{"initiate is denied", false, "initiate", 9, status(403), false, false, "1"},
		{"a part breaks", false, "part 3", 3, broken, true, true, "4"},
		{"a part of a commit breaks", true, "part 3", 3, broken, true, true, "4"},
		{"a part is refused for a while", true, "part 5", 2, status(503), true, true, "3"},
		{"a part is damaged on its way", true, "part 2", 1, damaged, true, true, "2"},
		{"the answer to a part is lost", false, "part 1", 1, lost, true, true, "2"},
		{"a part never arrives", false, "part 4", 99, broken, false, false, "5 abort"},
		{"a part is denied", true, "part 1", 99, status(403), false, false, "1 abort"},
		{"complete breaks", false, "complete", 2, broken, true, true, "3"},
		{"the answer to complete is lost", false, "complete", 1, lost, true, true, "2"},
		{"complete of a commit breaks", true, "complete", 1, broken, false, false, "1 abort"},
		{"the answer to complete of a commit is lost", true, "complete", 1, lost, false, true, "1 abort"},
		{"complete is denied", false, "complete", 9, status(403), false, false, "1 abort"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			sent := map[string]int{}
			client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
				mu.Lock()
				sent[step(r)]++
				n := sent[step(r)]
				mu.Unlock()
				if step(r) != test.at || n > test.times {
					return false
				}
				test.fault(w, r, store)
				return true
			})
			oss.InParts(client, partSize)
			put := client.Put
			if test.ifAbsent {
				put = client.PutIfAbsent
			}
			content := append(partsOf(4), "the rest"...)
			err := put(t.Context(), "k", bytes.NewReader(content))
			if (err == nil) != test.ok || errors.Is(err, blob.ErrExist) {
				t.Errorf("error %v", err)
			}
			data, err := blob.ReadAll(t.Context(), client, "k")
			if test.stored && !bytes.Equal(data, content) {
				t.Errorf("read %d bytes, %v", len(data), err)
			}
			if !test.stored && !errors.Is(err, blob.ErrNotExist) {
				t.Errorf("read %d bytes, %v, of what was never complete", len(data), err)
			}
			mu.Lock()
			defer mu.Unlock()
			got := strconv.Itoa(sent[test.at])
			if sent["abort"] > 0 {
				got += " abort"
			}
			if got != test.sent {
				t.Errorf("sent %v, want %s", sent, test.sent)
			}
		})
	}
}

// TestPartsInFlight: few parts are in memory at a time, and all are waited for.
func TestPartsInFlight(t *testing.T) {
	var now, most atomic.Int64
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		if strings.HasPrefix(step(r), "part") {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			store.ServeHTTP(w, r)
			now.Add(-1)
			return true
		}
		return false
	})
	oss.InParts(client, partSize)
	if err := client.Put(t.Context(), "k", bytes.NewReader(partsOf(40))); err != nil {
		t.Fatal(err)
	}
	if most.Load() > 4 {
		t.Errorf("%d parts in flight", most.Load())
	}
	if now.Load() != 0 {
		t.Errorf("%d parts are still under way", now.Load())
	}
}

// TestPartsCanceled: who cancels a put leaves nothing behind.
func TestPartsCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	var steps []string
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step(r))
		if step(r) == "part 2" {
			cancel()
			panic(http.ErrAbortHandler)
		}
		return false
	})
	oss.InParts(client, partSize)
	if err := client.Put(ctx, "k", bytes.NewReader(partsOf(9))); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(steps, "abort") || slices.Contains(steps, "complete") {
		t.Errorf("steps %q", steps)
	}
}

// TestPartsOfOthers: the answer to complete is lost, and another has replaced
// the object since: that is no success of this put.
func TestPartsOfOthers(t *testing.T) {
	var other *oss.Client
	client := unreliable(t, func(_ int64, w http.ResponseWriter, r *http.Request, store http.Handler) bool {
		if step(r) != "complete" {
			return false
		}
		answer := httptest.NewRecorder()
		store.ServeHTTP(answer, r)
		if answer.Code == http.StatusOK {
			if err := other.Put(context.Background(), "k", strings.NewReader("another's")); err != nil {
				t.Error(err)
			}
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes())
		return true
	})
	other = client
	ours := *client
	oss.InParts(&ours, partSize)
	if err := ours.Put(t.Context(), "k", bytes.NewReader(partsOf(3))); err == nil || !strings.Contains(err.Error(), "NoSuchUpload") {
		t.Errorf("error %v", err)
	}
}
