package delta

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Key is the object's key relative to the table's root: Path, URI-decoded.
// A path outside the table, as a shallow clone has, is ErrUnsupported.
func (a Add) Key() (string, error) { return decodePath(a.Path) }

func decodePath(path string) (string, error) {
	if scheme, _, ok := strings.Cut(path, ":"); ok && !strings.ContainsAny(scheme, "/%=") || strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%w: data file outside the table: %s", ErrUnsupported, path)
	}
	key, err := url.PathUnescape(path)
	if err != nil {
		return "", fmt.Errorf("%w: path of data file %q: %w", ErrCorruptLog, path, err)
	}
	return inside(key)
}

// inside refuses a key that leads out of the table's folder.
func inside(key string) (string, error) {
	if slices.Contains(strings.Split(key, "/"), "..") {
		return "", fmt.Errorf("%w: file outside the table: %s", ErrUnsupported, key)
	}
	return key, nil
}

// encodePath is the URI form of a key, as RFC 2396 asks (PROTOCOL.md, section
// Add File and Remove File).
func encodePath(key string) string {
	const unreserved = "-_.~/=!*'()@&$,"
	var out strings.Builder
	for i := range len(key) {
		c := key[i]
		if isAlphanumeric(c) || strings.IndexByte(unreserved, c) >= 0 {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// hivePartition is the folder name of a partition value, as Hive escapes it.
// It is for people and other tools: readers take the value from the log.
func hivePartition(column, value string) string {
	if value == "" {
		value = "__HIVE_DEFAULT_PARTITION__"
	}
	return escapeHive(column) + "=" + escapeHive(value)
}

func escapeHive(text string) string {
	var out strings.Builder
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c == 0x7f || strings.IndexByte("\"#%'*/:=?\\{[]^", c) >= 0 {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}
