package jupyter

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var repository = filepath.Join("..", "..")

// requireSetup skips where make setup has not been run.
func requireSetup(t *testing.T) {
	t.Helper()
	for _, file := range []string{".venv/bin/python", ".bin/gonb", ".jupyter/kernels/gonb/kernel.json", ".jupyter/echarts.js"} {
		if _, err := os.Stat(filepath.Join(repository, file)); err != nil {
			t.Skipf("%s is not there: run make setup first", file)
		}
	}
}

type cell struct {
	kind   string // "markdown", "parameters" or "code"
	source string
}

// writeNotebook makes a notebook outside of the repository.
func writeNotebook(t *testing.T, path string, cells ...cell) {
	t.Helper()
	list := []map[string]any{}
	for i, c := range cells {
		entry := map[string]any{"id": fmt.Sprint("cell", i), "cell_type": c.kind, "source": c.source, "metadata": map[string]any{}}
		if c.kind != "markdown" {
			entry["cell_type"], entry["outputs"], entry["execution_count"] = "code", []any{}, nil
		}
		if c.kind == "parameters" {
			entry["metadata"] = map[string]any{"tags": []string{"parameters"}}
		}
		list = append(list, entry)
	}
	kernel := map[string]string{"name": "gonb", "display_name": "Go (gonb)", "language": "go"}
	text, err := json.Marshal(map[string]any{"nbformat": 4, "nbformat_minor": 5, "metadata": map[string]any{"kernelspec": kernel}, "cells": list})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// python is a command of the virtual environment, with Jupyter's folders inside the repository.
func python(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("sh", append([]string{"-c", `root=$1; shift; . "$root/lakekit/jupyter/env.sh"; exec "$root/.venv/bin/python" "$@"`, "sh", root}, arguments...)...)
	command.Env = append(os.Environ(), "LAKEKIT_STATE="+t.TempDir())
	return command
}

// run executes run.py and returns what it wrote and its exit status.
func run(t *testing.T, arguments ...string) (output string, status int) {
	t.Helper()
	command := python(t, append([]string{"run.py"}, arguments...)...)
	var buffer bytes.Buffer
	command.Stdout, command.Stderr = &buffer, &buffer
	err := command.Run()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return buffer.String(), command.ProcessState.ExitCode()
}

func TestRunnerShowsTheFailingCell(t *testing.T) {
	requireSetup(t)
	tests := []struct {
		name   string
		source string
		flags  []string
		want   []string
	}{
		{"compile error", "%%\nfmt.Println(undefinedName)", nil, []string{"Line 2", "undefined: undefinedName"}},
		{"syntax error", "%%\nfmt.Println(1", nil, []string{"missing ',' before newline in argument list"}},
		{"panic", "%%\npanic(\"out of fuel\")", nil, []string{"panic: out of fuel", "exit status 2"}},
		{"exit status", "%%\nfmt.Fprintln(os.Stderr, \"no table\")\nos.Exit(3)", nil, []string{"no table", "exit status 3"}},
		{"failed check", "import \"taxilake/lakekit\"\n\n%%\nlakekit.Show(api.Checks{{Name: \"rows\", Detail: \"none\"}})", nil, []string{"    ✗ rows: none\n    exit status 1"}},
		{"shell command", "!echo no file >&2; false", nil, []string{"no file", "exit status 1"}},
		{"killed", "!kill -9 $$", nil, []string{"signal: killed"}},
		{"too slow", "%%\ntime.Sleep(time.Hour)", []string{"--timeout", "3"}, []string{"longer than the 3 s a cell may take"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			notebook := filepath.Join(folder, "lesson.ipynb")
			writeNotebook(t, notebook,
				cell{"markdown", "# A lesson\n\n## The first step"}, cell{"code", "%%\nfmt.Println(\"well\")"},
				cell{"markdown", "## The second step"}, cell{"code", test.source},
				cell{"code", "%%\nfmt.Println(\"not reached\")"})
			out := filepath.Join(folder, "out")
			output, status := run(t, append(test.flags, "--out", out, notebook)...)
			if status != 1 {
				t.Errorf("exit status %d, want 1", status)
			}
			for _, want := range append(test.want, notebook+" failed.", "Cell 2 (The second step):", "gonb.log",
				strings.Split(test.source, "\n")[0]) {
				if !strings.Contains(output, want) {
					t.Errorf("run.py says\n%s\nwithout %q", output, want)
				}
			}
			executed, err := os.ReadFile(filepath.Join(out, "lesson.ipynb"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(executed, []byte(`"well\n"`)) || bytes.Contains(executed, []byte(`"not reached\n"`)) {
				t.Errorf("the executed notebook does not hold what ran up to the failure: %s", executed)
			}
		})
	}
}

func TestRunnerSetsParameters(t *testing.T) {
	requireSetup(t)
	defaults := cell{"parameters", "const (\n\tRecords = 1_000 // how many\n\tTopic string = \"a\" // \"b\"\n)\n\nvar Wait = 5 * time.Second"}
	show := cell{"code", "%%\nfmt.Println(\"got\", Records, Topic, Wait)"}
	tests := []struct {
		name       string
		parameters []string
		want       string
		status     int
	}{
		{"none", nil, "got 1000 a 5s", 0},
		{"all", []string{"Records=20_000", `Topic=x "y"`, "Wait=2*time.Minute"}, `got 20000 x \"y\" 2m0s`, 0},
		{"unknown", []string{"Record=1"}, "no notebook has a parameter Record; there are: Records, Topic, Wait", 1},
		{"no value", []string{"Records"}, "parameter 'Records' is not of the form NAME=VALUE", 1},
		{"no number", []string{"Records=1; os.Exit(0)"}, "parameter Records='1; os.Exit(0)': its default is 1_000", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			first, second := filepath.Join(folder, "first.ipynb"), filepath.Join(folder, "second.ipynb")
			writeNotebook(t, first, cell{"code", "%%\nfmt.Println(\"no parameters here\")"})
			writeNotebook(t, second, defaults, show)
			arguments := []string{"--no-html", "--out", folder + "/out"}
			for _, parameter := range test.parameters {
				arguments = append(arguments, "-p", parameter)
			}
			output, status := run(t, append(arguments, first, second)...)
			if status != test.status {
				t.Errorf("exit status %d, want %d: %s", status, test.status, output)
			}
			if status == 0 {
				executed, err := os.ReadFile(folder + "/out/second.ipynb")
				if err != nil {
					t.Fatal(err)
				}
				output = string(executed)
			}
			if !strings.Contains(output, test.want) {
				t.Errorf("%s\nholds no %q", output, test.want)
			}
		})
	}
}

func TestRunnerLeavesNoProcessWhenInterrupted(t *testing.T) {
	requireSetup(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			folder := t.TempDir()
			notebook, started := filepath.Join(folder, "lesson.ipynb"), filepath.Join(folder, "started")
			writeNotebook(t, notebook, cell{"code", fmt.Sprintf("%%%%\n"+
				`os.WriteFile(%q, fmt.Appendf(nil, "%%d %%d", os.Getppid(), os.Getpid()), 0o644)`+"\ntime.Sleep(time.Hour)", started)})
			command := python(t, "run.py", "--no-html", "--out", folder+"/out", notebook)
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			defer command.Process.Kill()
			var kernel, program int
			for deadline := time.Now().Add(5 * time.Minute); program == 0; time.Sleep(20 * time.Millisecond) {
				if text, err := os.ReadFile(started); err == nil {
					fmt.Sscan(string(text), &kernel, &program)
				}
				if time.Now().After(deadline) {
					t.Fatal("the cell did not start")
				}
			}
			if err := command.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			command.Wait()
			if status := command.ProcessState.ExitCode(); status != 130 {
				t.Errorf("exit status %d, want 130", status)
			}
			for name, id := range map[string]int{"kernel": kernel, "cell's program": program} {
				for deadline := time.Now().Add(time.Minute); alive(id); time.Sleep(20 * time.Millisecond) {
					if time.Now().After(deadline) {
						t.Errorf("the %s lives on as process %d", name, id)
						syscall.Kill(id, syscall.SIGKILL)
						break
					}
				}
			}
		})
	}
}

// alive tells whether a process runs; one that has ended may still wait to be
// collected by process 1.
func alive(id int) bool {
	state, err := exec.Command("ps", "-o", "stat=", "-p", fmt.Sprint(id)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

// exportPage writes the page of an executed notebook with one output into folder/lesson.html.
func exportPage(t *testing.T, folder, html string) {
	t.Helper()
	const script = `
import sys
from nbformat.v4 import new_notebook, new_code_cell, new_markdown_cell, new_output
sys.path.insert(0, ".")
from pages import write_page
text = new_markdown_cell("# A *lesson*\n\n[next](next.ipynb#part), [Delta](https://delta.io), $x^2$\n\n![p](a.svg)")
code = new_code_cell("%%\nshow()", outputs=[new_output("display_data", {"text/html": sys.stdin.read()})])
notebook = new_notebook(cells=[text, code], metadata={"language_info": {"name": "go"}})
write_page(notebook, "lesson", [("lesson", "A <lesson>"), ("next", "Next")], sys.argv[1], sys.argv[1], "../../.jupyter/echarts.js")
`
	picture := `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`
	if err := os.WriteFile(filepath.Join(folder, "a.svg"), []byte(picture), 0o644); err != nil {
		t.Fatal(err)
	}
	command := python(t, "-c", script, folder)
	command.Stdin = strings.NewReader(html)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("exporting a page: %v\n%s", err, output)
	}
}

func TestPages(t *testing.T) {
	requireSetup(t)
	tests := []struct {
		name       string
		html       string
		want, lack []string
	}{
		{"without charts", "<b>42</b>",
			[]string{"<title>A &lt;lesson&gt;</title>", `href="next.html#part"`, `<a href="next.html">Next</a>`, `aria-current="page"`, "<b>42</b>", `src="data:image/svg+xml;base64,`},
			[]string{"Apache Software Foundation", "mathjax", "require.min.js"}},
		{"echarts once for all charts", `<div id="lakekit-chart-a"></div><div id="lakekit-chart-b"></div>`,
			[]string{"Apache Software Foundation", "var define, exports, module"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			exportPage(t, folder, test.html)
			text, err := os.ReadFile(filepath.Join(folder, "lesson.html"))
			if err != nil {
				t.Fatal(err)
			}
			page := string(text)
			for _, want := range test.want {
				if !strings.Contains(page, want) {
					t.Errorf("the page has no %q", want)
				}
			}
			for _, lack := range test.lack {
				if strings.Contains(strings.ToLower(page), strings.ToLower(lack)) {
					t.Errorf("the page has %q", lack)
				}
			}
			if n := strings.Count(page, "var define, exports, module"); n > 1 {
				t.Errorf("echarts is on the page %d times", n)
			}
		})
	}
}
