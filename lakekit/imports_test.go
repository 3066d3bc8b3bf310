package lakekit_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports: every cell is linked with this package, so that what it links is a
// matter of how soon a cell answers. It needs no C compiler.
func TestImports(t *testing.T) {
	allowed := []string{
		"github.com/go-echarts/go-echarts/v2", "github.com/janpfeifer/gonb", // what cells use
		"github.com/go-logr/logr", "k8s.io/klog/v2", "github.com/gofrs/uuid", "github.com/pkg/errors", "golang.org/x/exp", // what those need
		"taxilake/lakekit", "taxilake/lakekit/api", "taxilake/lakekit/blob", "taxilake/lakekit/internal/folder", "taxilake/lakekit/internal/atomicfile", "taxilake/lakekit/internal/wait",
		"taxilake/lakekit/kafka/properties", "taxilake/lakekit/services", "taxilake/lakekit/settings",
	}
	list, err := exec.Command("go", "list", "-deps", "-f",
		"{{if not .Standard}}{{if .Module.Main}}{{.ImportPath}}{{else}}{{.Module.Path}}{{end}}{{if .CgoFiles}} cgo{{end}}{{end}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(allowed, line) {
			t.Errorf("it links %s", line)
		}
	}
}
