package jupyter

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestCellsCompile: what a change of a package breaks in a lesson is seen without
// the lesson being run. Of each notebook's cells one program is made, as GoNB
// makes one of each: what is above %% stays, what is below becomes a function.
func TestCellsCompile(t *testing.T) {
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	notebooks, err := filepath.Glob(filepath.Join(root, "notebooks", "*.ipynb"))
	if err != nil || len(notebooks) < 5 {
		t.Fatal(notebooks, err)
	}
	for _, path := range notebooks {
		t.Run(filepath.Base(path), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(file, []byte(programOf(t, path)), 0o600); err != nil {
				t.Fatal(err)
			}
			// The packages of the standard library are imported as GoNB does it.
			tidy := exec.Command("go", "tool", "goimports", "-w", file)
			// The program is of the repository, where it is not.
			overlay := filepath.Join(t.TempDir(), "overlay.json")
			text, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "lakekit", "jupyter", "cells", "main.go"): file}})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(overlay, text, 0o600); err != nil {
				t.Fatal(err)
			}
			build := exec.Command("go", "build", "-overlay", overlay, "-o", os.DevNull, "./lakekit/jupyter/cells")
			for _, command := range []*exec.Cmd{tidy, build} {
				command.Dir = root
				if out, err := command.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", strings.Join(command.Args[:3], " "), err, out)
				}
			}
		})
	}
}

// programOf makes a program of a notebook's cells.
func programOf(t *testing.T, path string) string {
	t.Helper()
	var notebook struct {
		Cells []struct {
			Kind   string   `json:"cell_type"`
			Source []string `json:"source"`
		} `json:"cells"`
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &notebook); err != nil {
		t.Fatal(err)
	}
	var imports, declared, calls strings.Builder
	for i, cell := range notebook.Cells {
		if cell.Kind != "code" {
			continue
		}
		above, below, _ := strings.Cut("\n"+strings.Join(cell.Source, ""), "\n%%")
		inImports := false
		for line := range strings.Lines(strings.TrimPrefix(above, "\n")) {
			starts := strings.HasPrefix(line, "import ")
			if starts || inImports {
				imports.WriteString(line)
			} else {
				declared.WriteString(line)
			}
			inImports = (inImports || starts && strings.Contains(line, "(")) && !strings.HasPrefix(line, ")")
		}
		if below != "" {
			fmt.Fprintf(&declared, "\nfunc cell%d() {\n%s\n}\n", i, below)
			fmt.Fprintf(&calls, "\tcell%d()\n", i)
		}
	}
	return "package main\n\n" + imports.String() + "\n" + declared.String() + "\nfunc main() {\n" + calls.String() + "}\n"
}
