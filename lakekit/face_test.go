package lakekit

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/api"
)

// TestGoDocShowsFields: of an alias, go doc shows a name and no field.
func TestGoDocShowsFields(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && spec.Assign.IsValid() && spec.Name.IsExported() {
				t.Errorf("%s: %s is an alias", name, spec.Name)
			}
			return true
		})
	}
}

// TestResultsShowThemselves: whatever a call answers, Show and the terminal know
// by the answer's own description.
func TestResultsShowThemselves(t *testing.T) {
	handles := []reflect.Type{reflect.TypeFor[*Workshop](), reflect.TypeFor[*Stream](), reflect.TypeFor[*Traffic]()}
	shown := 0
	for _, handle := range handles {
		for method := range handle.Methods() {
			if method.Type.NumOut() == 0 {
				continue
			}
			switch answer := method.Type.Out(0); {
			case answer.Implements(reflect.TypeFor[api.Viewer]()):
				shown++
			case answer == reflect.TypeFor[error](), answer == reflect.TypeFor[api.StreamProgress](): // Spark's JSON
			case strings.HasPrefix(answer.String(), "*settings."):
			case !slices.Contains(handles, answer):
				t.Errorf("%v.%s answers %v, which has no View", handle, method.Name, answer)
			}
		}
	}
	if shown < 25 {
		t.Errorf("%d answers are shown", shown)
	}
}

// TestWithoutANameItIsTheCourses: no empty name stands for anything, and no name
// beyond the first is passed over.
func TestWithoutANameItIsTheCourses(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  string
	}{{nil, "trips"}, {[]string{"other"}, "other"}, {[]string{""}, ""}, {[]string{"a", "b"}, ""}} {
		if got, err := theOne("topic", test.names, "trips"); got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%q: %q, %v", test.names, got, err)
		}
	}
	w := talking(t, silent(nil))
	for name, call := range map[string]func() error{
		"topic":  func() error { _, err := w.Topic(""); return err },
		"table":  func() error { _, err := w.DescribeTable("a", "b"); return err },
		"status": func() error { _, err := w.Stream("").Status(); return err },
		"stop":   func() error { _, err := w.Stream("").Stop(); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), "no name for the course's") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
