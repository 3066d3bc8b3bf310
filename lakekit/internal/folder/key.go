package folder

import (
	"errors"
	"strings"
	"unicode/utf8"
)

const (
	maxKey     = 1023 // bytes; OSS, "Object naming conventions"
	maxSegment = 255  // bytes; NAME_MAX of the usual file systems
)

// CheckKey tells why a key cannot name a file under a folder, or an object of OSS.
func CheckKey(key string) error {
	switch {
	case key == "":
		return errors.New("the key is empty")
	case len(key) > maxKey:
		return errors.New("the key is longer than 1,023 bytes")
	case !utf8.ValidString(key):
		return errors.New("the key is not UTF-8")
	case strings.ContainsRune(key, 0):
		return errors.New("the key contains a NUL byte")
	case key[0] == '/' || key[0] == '\\':
		return errors.New("the key begins with a slash")
	}
	for segment := range strings.SplitSeq(key, "/") {
		switch {
		case segment == "":
			return errors.New(`the key has an empty segment ("//", or "/" at its end)`)
		case len(segment) > maxSegment:
			return errors.New("the key has a segment longer than 255 bytes")
		}
		// "\\" separates segments on Windows; MinIO looks through spaces too.
		for part := range strings.SplitSeq(segment, `\`) {
			if part = strings.Trim(part, " \t\n\v\f\r"); part == "." || part == ".." {
				return errors.New(`the key has a segment "." or ".."`)
			}
		}
	}
	return nil
}
