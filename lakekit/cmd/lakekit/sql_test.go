package main

import (
	"bufio"
	"bytes"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestSQLIsBounded needs no service. The command line has the limits of the
// settings, and says which one to raise.
func TestSQLIsBounded(t *testing.T) {
	w := newWorkshop(t)
	for _, test := range []struct{ setting, statement, want string }{
		{"LAKEKIT_SQL_MEMORY=400MB", "SELECT generate_series(1, 1000000000)", `more memory than the 400 MB .*\n.*LAKEKIT_SQL_MEMORY raises the limit`},
		{"LAKEKIT_SQL_TIME=200ms", "SELECT count(*) FROM range(1000000000) a, range(1000000000) b WHERE hash(a.range, b.range) = 1", "(?s)ran for 200ms.*LAKEKIT_SQL_TIME raises the limit"},
		{"LAKEKIT_SQL_RESULT=1MB", "SELECT repeat('x', 1000001)", "(?s)larger than the 1 MB.*LAKEKIT_SQL_RESULT raises the limit"},
		{"LAKEKIT_SQL_RESULT=much", "SELECT 1", `LAKEKIT_SQL_RESULT="much": not a size`},
	} {
		name, value, _ := strings.Cut(test.setting, "=")
		t.Run(test.setting, func(t *testing.T) {
			t.Setenv(name, value)
			w.fails(statusFailed, test.want, "sql", test.statement)
		})
	}
}

// TestSQLInterrupted: Ctrl-C ends a statement in the middle of its rows, and
// nothing of it stays on disk.
func TestSQLInterrupted(t *testing.T) {
	w := newWorkshop(t)
	temp := t.TempDir()
	c := w.command("sql", "SELECT * FROM range(1000000000000)", "--format", "csv")
	c.Env = append(c.Env, "TMPDIR="+temp)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	rows, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(rows)
	for n := 0; n < 20_000 && lines.Scan(); n++ {
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != statusFailed {
		t.Errorf("it ended with %v\n%s", err, stderr.String())
	}
	if left, _ := filepath.Glob(filepath.Join(temp, "*")); len(left) > 0 {
		t.Errorf("it has left %v", left)
	}
}
