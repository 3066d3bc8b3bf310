package ossserver

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const secret = "what is outside of the store"

// outsider is a server with a folder outside of its own, and links that lead there.
func outsider(t *testing.T) (s *server, outside string) {
	t.Helper()
	s, outside = newServer(t), t.TempDir()
	for _, file := range []string{"secret", "data/secret"} {
		path := filepath.Join(outside, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(secret), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(s.options.Dir, "linked-bucket")); err != nil {
		t.Skip(err)
	}
	for link, target := range map[string]string{
		"file": filepath.Join(outside, "secret"), "folder": filepath.Join(outside, "data"), "up": "../..", "other": "../other", "loop": ".",
		"inside": "real", "dangling": "nowhere", "proc": "/proc/self/environ",
	} {
		if err := os.Symlink(target, filepath.Join(s.options.Dir, "lake", link)); err != nil {
			t.Fatal(err)
		}
	}
	do(t, s, "PUT", "/lake/real", strings.NewReader("real"))
	do(t, s, "PUT", "/other/secret", strings.NewReader(secret))
	return s, outside
}

func untouched(t *testing.T, outside string) {
	t.Helper()
	for _, file := range []string{"secret", "data/secret"} {
		if data, err := os.ReadFile(filepath.Join(outside, file)); err != nil || string(data) != secret {
			t.Errorf("%s outside is %q, %v", file, data, err)
		}
	}
	for _, dir := range []string{outside, filepath.Join(outside, "data")} {
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 2 {
			t.Errorf("outside there is %v, %v", entries, err)
		}
	}
}

// TestLinksAreNotFollowed: neither read, listed, written nor deleted through.
func TestLinksAreNotFollowed(t *testing.T) {
	s, outside := outsider(t)
	for _, key := range []string{
		"file", "folder", "folder/secret", "up/outside", "up/store/other/secret", "other/secret", "loop/real", "loop/loop/real",
		"inside", "dangling", "proc",
	} {
		for _, method := range []string{"GET", "HEAD"} {
			if w := do(t, s, method, "/lake/"+key, nil); w.Code != 404 || strings.Contains(w.Body.String(), secret) {
				t.Errorf("%s %s: %d %s", method, key, w.Code, w.Body)
			}
		}
		if w := do(t, s, "PUT", "/lake/copied", nil, "X-Oss-Copy-Source", "/lake/"+key); w.Code != 404 {
			t.Errorf("copy of %s: %d %s", key, w.Code, w.Body)
		}
		for _, forbid := range []string{"true", "false"} {
			w := do(t, s, "PUT", "/lake/"+key, strings.NewReader("x"), "X-Oss-Forbid-Overwrite", forbid)
			if w.Code != 400 || !strings.Contains(w.Body.String(), "symbolic link") {
				t.Errorf("PUT %s: %d %s", key, w.Code, w.Body)
			}
		}
		if w := do(t, s, "DELETE", "/lake/"+key, nil); w.Code != 204 {
			t.Errorf("DELETE %s: %d %s", key, w.Code, w.Body)
		}
	}
	do(t, s, "POST", "/lake?delete", strings.NewReader("<Delete><Object><Key>folder/secret</Key></Object><Object><Key>file</Key></Object></Delete>"))
	for _, target := range []string{"/lake", "/lake?prefix=folder/", "/lake?prefix=loop/", "/lake?prefix=other/", "/lake?delimiter=/", "/lake?list-type=2&prefix=up/"} {
		w := do(t, s, "GET", target, nil)
		for _, leak := range []string{"secret", "loop/", "folder/<", "other/<", "<Key>inside", "<Key>file"} {
			if strings.Contains(strings.ReplaceAll(w.Body.String(), "<Prefix>", "\n"), "<Key>"+leak) || strings.Contains(w.Body.String(), "<Key>"+leak) {
				t.Errorf("GET %s: %s", target, w.Body)
			}
		}
	}
	if w := do(t, s, "GET", "/lake?delimiter=/", nil); strings.Contains(w.Body.String(), "CommonPrefixes") || !strings.Contains(w.Body.String(), "<Key>real</Key>") {
		t.Errorf("delimited: %s", w.Body)
	}
	if w := do(t, s, "DELETE", "/lake", nil); w.Code != 409 {
		t.Errorf("DELETE of the bucket: %d %s", w.Code, w.Body)
	}
	for link := range map[string]bool{"file": true, "folder": true, "inside": true} {
		if _, err := os.Readlink(filepath.Join(s.options.Dir, "lake", link)); err != nil {
			t.Errorf("the link itself: %v", err)
		}
	}
	untouched(t, outside)
}

func TestLinkedBucketIsNone(t *testing.T) {
	s, outside := outsider(t)
	for _, request := range [][2]string{
		{"GET", "/linked-bucket/secret"}, {"GET", "/linked-bucket"}, {"GET", "/linked-bucket?bucketInfo"}, {"GET", "/linked-bucket?stat"},
		{"PUT", "/linked-bucket/new"}, {"DELETE", "/linked-bucket/secret"}, {"POST", "/linked-bucket/k?uploads"}, {"DELETE", "/linked-bucket"},
		{"PUT", "/linked-bucket"},
	} {
		w := do(t, s, request[0], request[1], nil)
		if w.Code != 404 || !strings.Contains(w.Body.String(), "symbolic link") {
			t.Errorf("%s %s: %d %s", request[0], request[1], w.Code, w.Body)
		}
	}
	if w := do(t, s, "GET", "/", nil); strings.Contains(w.Body.String(), "linked-bucket") {
		t.Errorf("listed: %s", w.Body)
	}
	untouched(t, outside)
}

// TestOwnFoldersAreNoLinks: what the server keeps for itself leads nowhere either.
func TestOwnFoldersAreNoLinks(t *testing.T) {
	for _, link := range []string{".oss", ".oss/staging", ".oss/multipart", ".oss/metadata"} {
		t.Run(link, func(t *testing.T) {
			outside, dir := t.TempDir(), t.TempDir()
			for _, file := range []string{"staging/keep", "multipart/keep", "metadata/keep", "keep"} {
				path := filepath.Join(outside, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(link), "lake"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(outside, filepath.Join(dir, link)); err != nil {
				t.Skip(err)
			}
			handler, err := New(Options{Dir: dir, AccessKeyID: "id", AccessKeySecret: "secret", Logger: slog.New(slog.DiscardHandler)})
			if err == nil {
				s := handler.(*server)
				do(t, s, "PUT", "/lake", nil)
				do(t, s, "PUT", "/lake/k", strings.NewReader("x"))
				do(t, s, "POST", "/lake/k?uploads", nil)
				do(t, s, "DELETE", "/lake/k", nil)
				do(t, s, "DELETE", "/lake", nil)
			}
			var files []string
			if err := filepath.WalkDir(outside, func(path string, entry os.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					files = append(files, path)
				}
				return err
			}); err != nil || len(files) != 4 {
				t.Errorf("outside there is %q, %v", files, err)
			}
		})
	}
}

// TestLinksMadeMeanwhile: a folder and a file turn into links to the outside and
// back between any two steps of the server.
func TestLinksMadeMeanwhile(t *testing.T) {
	s, outside := outsider(t)
	bucket := filepath.Join(s.options.Dir, "lake")
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 1500 {
			for name, target := range map[string]string{"turning": filepath.Join(outside, "data"), "leaf": filepath.Join(outside, "secret")} {
				path := filepath.Join(bucket, name)
				os.Symlink(target, path+".link")
				os.Rename(path+".link", path)
				os.Remove(path)
				os.Mkdir(path, 0o755)
				os.Remove(path)
			}
		}
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		for _, key := range []string{"turning/secret", "leaf"} {
			if w := do(t, s, "GET", "/lake/"+key, nil); strings.Contains(w.Body.String(), secret) {
				t.Fatalf("GET %s: %s", key, w.Body)
			}
			do(t, s, "PUT", "/lake/"+key, strings.NewReader("overwritten"))
			do(t, s, "DELETE", "/lake/"+key, nil)
		}
		if w := do(t, s, "GET", "/lake?prefix=turning/", nil); strings.Contains(w.Body.String(), "<Size>"+"28") {
			t.Fatalf("listed: %s", w.Body)
		}
	}
	untouched(t, outside)
}

// TestPipesAndSockets in the folder block no request.
func TestPipesAndSockets(t *testing.T) {
	s := newServer(t)
	pipe := filepath.Join(s.options.Dir, "lake", "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Skip(err)
	}
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Skip(err)
	}
	defer syscall.Close(socket)
	t.Chdir(filepath.Dir(pipe)) // a socket's address is short
	if err := syscall.Bind(socket, &syscall.SockaddrUnix{Name: "socket"}); err != nil {
		t.Skip(err)
	}
	for _, key := range []string{"pipe", "socket"} {
		for method, status := range map[string]int{"GET": 404, "HEAD": 404, "PUT": 400, "DELETE": 204} {
			if w := do(t, s, method, "/lake/"+key, strings.NewReader("x")); w.Code != status {
				t.Errorf("%s %s: %d %s", method, key, w.Code, w.Body)
			}
		}
	}
	if w := do(t, s, "GET", "/lake", nil); strings.Contains(w.Body.String(), "<Key>") {
		t.Errorf("listed: %s", w.Body)
	}
	if _, err := os.Lstat(pipe); err != nil {
		t.Error(err)
	}
}
