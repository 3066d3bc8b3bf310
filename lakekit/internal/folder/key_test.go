package folder

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckKeyLimits(t *testing.T) {
	longest := strings.Repeat(strings.Repeat("k", 255)+"/", 4)[:1023]
	if err := CheckKey(longest); err != nil {
		t.Errorf("1,023 bytes: %v", err)
	}
	if err := CheckKey(longest + "k"); err == nil {
		t.Error("1,024 bytes are taken")
	}
	if err := CheckKey(strings.Repeat("上", 85)); err != nil {
		t.Errorf("a segment of 255 bytes: %v", err)
	}
	if err := CheckKey(strings.Repeat("上", 85) + "x"); err == nil {
		t.Error("a segment of 256 bytes is taken")
	}
}

func FuzzCheckKey(f *testing.F) {
	for _, key := range []string{"", "a", "a/b", "..", "a/../b", "/a", "a//b", "a/", "a\x00", "\xff", "..a", "a\\..\\b", "上"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		if CheckKey(key) != nil {
			return
		}
		if got := filepath.Join("/root", key); got != "/root/"+key {
			t.Errorf("key %q is the file %q", key, got)
		}
		if !filepath.IsLocal(key) {
			t.Errorf("key %q leaves its folder", key)
		}
	})
}
