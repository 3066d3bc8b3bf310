package query

import (
	"strings"
	"testing"
)

func TestTokens(t *testing.T) {
	tests := []struct{ statement, want string }{
		{"SELECT a.b", "SELECT|a|.|b"},
		{"'it''s' -- no 'text'\n \"q\"\"q\" `b``b`", `'it''s'|"q""q"|` + "`b``b`"},
		{"1.5e3+x_1 /* a /* nested */ comment */ 東京", "1.5e3|+|x_1|東京"},
		{`E'a\'b' $$it's$$ $t$ $$ $t$ $1`, `E'a\'b'|$$it's$$|$t$ $$ $t$|$|1`},
		{"1e+9-1E-9+1e-x", "1e+9|-|1E-9|+|1e|-|x"},
		{"'open", "'open"},
		{"/* open", ""},
	}
	for _, test := range tests {
		var got []string
		for _, token := range tokens(test.statement) {
			got = append(got, token.source)
		}
		if s := strings.Join(got, "|"); s != test.want {
			t.Errorf("%s\nis split into %s, want %s", test.statement, s, test.want)
		}
	}
}

func TestDialect(t *testing.T) {
	tests := []struct{ statement, want string }{
		{"SELECT `a``b` FROM t", "SELECT \"a`b\" FROM t"},
		{"SELECT `say \"x\"`", `SELECT "say ""x"""`},
		{"SELECT TIMESTAMP '2020-01-01'", "SELECT TIMESTAMPTZ '2020-01-01'"},
		{"SELECT CAST(x AS TIMESTAMP), y::timestamp", "SELECT CAST(x AS TIMESTAMPTZ), y::TIMESTAMPTZ"},
		{"SELECT CAST((SELECT x AS timestamp) AS timestamp_ntz)", "SELECT CAST((SELECT x AS timestamp) AS TIMESTAMP)"},
		{"SELECT x AS timestamp, timestamp FROM t", "SELECT x AS timestamp, timestamp FROM t"},
		{"SELECT TIMESTAMP WITH TIME ZONE '2020-01-01'", "SELECT TIMESTAMP WITH TIME ZONE '2020-01-01'"},
		{"FROM t VERSION AS OF 3 AS x", "FROM t                 AS x"},
		{"FROM t FOR TIMESTAMP AS OF '2020-01-01'", "FROM t                                 "},
		{"SELECT version AS of FROM t", "SELECT version AS of FROM t"},
		{"SELECT 'FROM t VERSION AS OF 3 `x`'", "SELECT 'FROM t VERSION AS OF 3 `x`'"},
	}
	for _, test := range tests {
		s := newStatement(test.statement)
		if err := s.applyRules(); err != nil {
			t.Error(err)
		}
		if got, _ := s.executable(); got != test.want {
			t.Errorf("%s\nbecomes %s\nwant    %s", test.statement, got, test.want)
		}
	}
}

// FuzzRewrite: whatever the statement, its pieces are in order, and each byte of
// the new text leads back into it.
func FuzzRewrite(f *testing.F) {
	for _, seed := range []string{
		"SELECT `a` FROM t VERSION AS OF 3", "CAST(x AS TIMESTAMP) '", "$a$ /* -- ' \" `", "TIMESTAMP 'x' for timestamp as of 'y'", "date_format(x, 'yy''y')", "\xff`\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, statement string) {
		list := tokens(statement)
		end := 0
		for _, token := range list {
			if token.start < end || token.end <= token.start || token.source != statement[token.start:token.end] {
				t.Fatalf("token %+v after byte %d", token, end)
			}
			end = token.end
		}
		s := newStatement(statement)
		_ = s.applyRules() // what is left by an error is rewritten, too
		text, back := s.executable()
		last := 0
		for i := range len(text) + 1 {
			at := back(i)
			if at < last || at > len(statement) {
				t.Fatalf("byte %d of %q leads back to %d, after %d", i, text, at, last)
			}
			last = at
		}
	})
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"yyyy-MM-dd HH:mm:ss.SSS", "'o''clock' a", "''", "%", "[y]", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, pattern string) {
		format, err := strftimePattern(pattern)
		if err != nil && format != "" {
			t.Fatalf("%q gives %q and %v", pattern, format, err)
		}
	})
}
