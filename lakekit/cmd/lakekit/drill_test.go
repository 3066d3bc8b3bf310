package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"taxilake/lakekit/drill"
)

var exact = regexp.MustCompile(`^[1-9]\d* records: 0 lost, 0 twice$`)

// Every drill ends with the verdict, and leaves the user's workshop alone.
func TestDrills(t *testing.T) {
	w := newWorkshop(t)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	list := w.does("drill")
	for _, d := range drill.All {
		t.Run(d.Name, func(t *testing.T) {
			if !strings.Contains(list, "lakekit drill "+d.Name+" ") {
				t.Errorf("`lakekit drill` does not list it:\n%s", list)
			}
			o := w.run("drill", d.Name, "--records", "3000", "--rate", "3000")
			lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
			if o.status != 0 || !exact.MatchString(lines[len(lines)-1]) {
				t.Errorf("status %d\n%s%s", o.status, o.stdout, o.stderr)
			}
		})
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "lakekit-drill-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	for _, untouched := range []string{"kafka", "oss", "server", "log"} {
		if _, err := os.Stat(filepath.Join(w.state, untouched)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the workshop's own folder %s was touched: %v", untouched, err)
		}
	}
}
