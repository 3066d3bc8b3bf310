package query

import (
	"fmt"
	"strings"
)

// strftimeFields are Spark's pattern letters (Datetime Patterns for Formatting
// and Parsing) by number of letters.
var strftimeFields = map[string]string{
	"y": "%Y", "yy": "%y", "yyyy": "%Y", "u": "%Y", "uuuu": "%Y",
	"M": "%-m", "MM": "%m", "MMM": "%b", "MMMM": "%B",
	"L": "%-m", "LL": "%m", "LLL": "%b", "LLLL": "%B",
	"d": "%-d", "dd": "%d", "D": "%-j", "DDD": "%j",
	"E": "%a", "EE": "%a", "EEE": "%a", "EEEE": "%A",
	"H": "%-H", "HH": "%H", "h": "%-I", "hh": "%I", "a": "%p",
	"m": "%-M", "mm": "%M", "s": "%-S", "ss": "%S",
	"SSS": "%g", "SSSSSS": "%f", "SSSSSSSSS": "%n",
}

// strftimePattern turns Spark's pattern into strftime's.
func strftimePattern(pattern string) (string, error) {
	var out strings.Builder
	for at := 0; at < len(pattern); {
		c := pattern[at]
		switch {
		case c == '\'':
			text, end, err := quotedText(pattern, at)
			if err != nil {
				return "", err
			}
			out.WriteString(escapePercent(text))
			at = end
		case isLetter(c):
			end := at
			for end < len(pattern) && pattern[end] == c {
				end++
			}
			field, ok := strftimeFields[pattern[at:end]]
			if !ok {
				return "", unknownField(pattern, pattern[at:end])
			}
			out.WriteString(field)
			at = end
		case strings.IndexByte("[]{}#", c) >= 0:
			return "", fmt.Errorf("pattern '%s': %c is not available here; put it into quotes as text", pattern, c)
		default:
			out.WriteString(escapePercent(string(c)))
			at++
		}
	}
	return out.String(), nil
}

func unknownField(pattern, letters string) error {
	hint := "the letters are y M d D E H h m s S a, text stands in quotes ''"
	switch letters[0] {
	case 'Y', 'w', 'W':
		hint = "for years of weeks write weekofyear(...)"
	case 'e', 'c', 'F':
		hint = "for the number of the weekday write dayofweek(...) or weekday(...)"
	case 'Q', 'q':
		hint = "write quarter(...)"
	case 'S':
		hint = "fractions of a second are SSS, SSSSSS or SSSSSSSSS"
	case 'z', 'Z', 'V', 'O', 'X', 'x':
		hint = "time zones are not written; times are in the session time zone"
	}
	return fmt.Errorf("pattern '%s': %s is not available here; %s", pattern, letters, hint)
}

// quotedText reads 'text', in which a doubled quote is one; a doubled quote
// alone is one, too.
func quotedText(pattern string, at int) (text string, end int, err error) {
	var out strings.Builder
	for end = at + 1; end < len(pattern); end++ {
		if pattern[end] != '\'' {
			out.WriteByte(pattern[end])
			continue
		}
		if end == at+1 {
			return "'", end + 1, nil
		}
		if end+1 < len(pattern) && pattern[end+1] == '\'' {
			out.WriteByte('\'')
			end++
			continue
		}
		return out.String(), end + 1, nil
	}
	return "", 0, fmt.Errorf("pattern '%s': a quote is not closed", pattern)
}

func escapePercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }
func isLetter(c byte) bool          { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
