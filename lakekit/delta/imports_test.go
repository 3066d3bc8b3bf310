package delta_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestImports: another project that uses the package gets a bucket's contract,
// Arrow and what Arrow itself needs; no client of a store, nothing of the kit.
func TestImports(t *testing.T) {
	list, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(list)) {
		switch {
		case strings.HasPrefix(path, "taxilake/"):
			switch path {
			case "taxilake/lakekit/delta", "taxilake/lakekit/blob", "taxilake/lakekit/internal/folder", "taxilake/lakekit/internal/wait":
				continue
			}
		case strings.Contains(path, "/aliyun"), strings.Contains(path, "/aws"), strings.Contains(path, "confluent"):
		default:
			continue
		}
		t.Errorf("it links %s", path)
	}
}
