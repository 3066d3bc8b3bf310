package jupyter

import (
	"archive/zip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is a proxy and a registry of every kind that has nothing, and remembers
// what it was asked for.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.asked = append(r.asked, request.Method+" "+request.URL.String())
		r.mu.Unlock()
		http.NotFound(w, request)
	}))
	t.Cleanup(r.Close)
	return r
}

// wantSilence fails the test when anything was looked up.
func (r *recorder) wantSilence(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.asked) > 0 {
		t.Errorf("looked up on the network:\n%s", strings.Join(r.asked, "\n"))
	}
}

// ways are the variables by which programs find the network: all lead to the recorder.
func (r *recorder) ways() []string {
	all := []string{"GOPROXY=" + r.URL + "/go", "GONOPROXY=none", "GOPRIVATE=", "GOSUMDB=off",
		"PIP_INDEX_URL=" + r.URL + "/pip", "npm_config_registry=" + r.URL + "/npm"}
	for _, name := range []string{"http_proxy", "https_proxy", "all_proxy"} {
		all = append(all, name+"="+r.URL, strings.ToUpper(name)+"="+r.URL)
	}
	return append(all, "no_proxy=", "NO_PROXY=")
}

// execute runs a notebook of these cells, and returns what it wrote into them.
func execute(t *testing.T, environment []string, cells ...string) (texts []string, output string, status int) {
	t.Helper()
	folder := t.TempDir()
	notebook := filepath.Join(folder, "lesson.ipynb")
	var all []cell
	for _, source := range cells {
		all = append(all, cell{"code", source})
	}
	writeNotebook(t, notebook, all...)
	command := python(t, "run.py", "--no-html", "--out", folder+"/out", notebook)
	command.Env = append(command.Env, environment...)
	text, err := command.CombinedOutput()
	if command.ProcessState == nil {
		t.Fatal(err)
	}
	return streams(t, folder+"/out/lesson.ipynb"), string(text), command.ProcessState.ExitCode()
}

// streams are the texts that the cells of an executed notebook have written, stdout and stderr.
func streams(t *testing.T, path string) []string {
	t.Helper()
	command := exec.Command("python3", "-c", `
import json, sys
for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    print("".join("".join(output.get("text", "")) for output in cell["outputs"]), end="\0")
`, path)
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
}

func TestCellsLookNothingUp(t *testing.T) {
	requireSetup(t)
	r := newRecorder(t)
	_, output, status := execute(t, r.ways(),
		"import (\n\t\"github.com/go-echarts/go-echarts/v2/charts\"\n\t\"github.com/go-echarts/go-echarts/v2/opts\"\n)\n\n"+
			"%%\nbar := charts.NewBar()\nbar.SetGlobalOptions(charts.WithTitleOpts(opts.Title{Title: \"trips\"}))\nfmt.Println(bar.Type())",
		"import \"taxilake/lakekit\"\n\n%%\nlakekit.Show(api.Checks{})",
		"%%\nfmt.Println(strings.ToUpper(\"imports that goimports finds\"))",
		"%test\nfunc TestNothing(t *testing.T) {}",
		"!lakekit settings >/dev/null && lakekit --help >/dev/null && lakekit up >/dev/null && lakekit status >/dev/null && lakekit down >/dev/null")
	if status != 0 {
		t.Errorf("run.py ended with %d:\n%s", status, output)
	}
	r.wantSilence(t)
}

func TestCellSaysWhatBringsAPackage(t *testing.T) {
	requireSetup(t)
	root, err := filepath.Abs(repository)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, source, want string }{
		{"of another module", "import \"example.com/tools/x\"\n\n%%\nx.Do()",
			"package example.com/tools/x is not here, and a cell downloads nothing. To get it, in a terminal, with a network:\n     \tcd " + root + " && go get example.com/tools/x\n"},
		{"named by its use alone", "%%\nnosuch.Do()", "undefined: nosuch"},
		{"of no module", "import \"nosuch\"\n\n%%\nnosuch.Do()", "package nosuch is not in std"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRecorder(t)
			_, output, status := execute(t, r.ways(), test.source)
			if status != 1 || !strings.Contains(output, test.want) {
				t.Errorf("run.py ended with %d and says\n%s\nwithout %q", status, output, test.want)
			}
			r.wantSilence(t)
		})
	}
}

// The message names the folder as a shell reads it, and Go's other hints get the folder too.
func TestMessagesOfGo(t *testing.T) {
	tests := []struct{ home, says, want string }{
		{"/kit", "m.go:1:2: no required module provides package a.b/c; to add it:\n\tgo get a.b/c",
			"m.go:1:2: package a.b/c is not here, and a cell downloads nothing. To get it, in a terminal, with a network:\n\tcd /kit && go get a.b/c\n"},
		{"/my kit/Zoë's", "m.go:1:2: no required module provides package a.b/c; to add it:\n\tgo get a.b/c",
			"m.go:1:2: package a.b/c is not here, and a cell downloads nothing. To get it, in a terminal, with a network:\n\tcd '/my kit/Zoë'\\''s' && go get a.b/c\n"},
		{"/kit", "m.go:1:2: missing go.sum entry for module providing package a.b/c; to add:\n\tgo get a.b/c",
			"m.go:1:2: missing go.sum entry for module providing package a.b/c; a cell downloads nothing. To get it, in a terminal, with a network:\n\tcd /kit && go get a.b/c\n"},
		{"/kit", "package m imports a.b/c from implicitly required module; to add missing requirements, run:\n\tgo get a.b@v1.2.3",
			"package m imports a.b/c from implicitly required module; a cell downloads nothing. To get it, in a terminal, with a network:\n\tcd /kit && go get a.b@v1.2.3\n"},
		{"/kit", "m.go:1:2: a.b/c@v1.2.3: module lookup disabled by GOPROXY=off",
			"m.go:1:2: a.b/c@v1.2.3 is not here, and a cell downloads nothing. To get it, in a terminal, with a network:\n\tcd /kit && go mod download a.b/c@v1.2.3\n"},
		{"/kit", "m.go:4:2: undefined: x", "m.go:4:2: undefined: x\n"},
		{"/kit", "", ""},
	}
	for _, test := range tests {
		folder := t.TempDir()
		program := filepath.Join(folder, "go")
		script := "#!/bin/sh\n[ \"$GOPROXY\" = off ] || echo the network is on\n[ -z \"$SAYS\" ] || printf '%s\\n' \"$SAYS\"\nexit 3\n"
		if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		shim, err := filepath.Abs("path/go")
		if err != nil {
			t.Fatal(err)
		}
		command := exec.Command(shim, "build", "-o", "x")
		command.Dir = folder
		command.Env = append(os.Environ(), "LAKEKIT_GO="+program, "LAKEKIT_HOME="+test.home, "GONB_TMP_DIR="+folder, "PWD="+folder, "SAYS="+test.says)
		got, err := command.Output()
		if command.ProcessState.ExitCode() != 3 {
			t.Errorf("%q: exit status %v, want that of go", test.says, err)
		}
		if string(got) != test.want {
			t.Errorf("%q becomes\n%s\nwant\n%s", test.says, got, test.want)
		}
	}
}

// hostile is a user's environment in which each variable, left alone, would break a
// part of the kit or lead it elsewhere. The programs first in its PATH note in the
// file reached that they were called.
func hostile(t *testing.T) (environment []string, reached string) {
	t.Helper()
	folder := t.TempDir()
	reached = filepath.Join(folder, "reached")
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, name := range []string{"pip", "pip3", "python", "python3", "jupyter", "lakekit", "gonb", "goimports"} {
		write("bin/"+name, fmt.Sprintf("#!/bin/sh\necho %s >>'%s'\nexit 1\n", name, reached))
	}
	for _, name := range []string{"nbformat", "json", "parameters", "sitecustomize"} {
		write("python/"+name+".py", fmt.Sprintf("open(%q, 'a').write(%q)\n", reached, name+".py\n"))
	}
	none := filepath.Join(folder, "none")
	write("pip/pip.conf", "[global]\ntarget = "+none+"\nuser = true\n[install]\nprefix = "+none+"\nroot = "+none+"\n")
	return []string{
		"PATH=" + filepath.Join(folder, "bin") + ":" + os.Getenv("PATH"),
		"GOENV=" + write("goenv", "GOFLAGS=-mod=vendor\nGOOS=plan9\nGOWORK="+none+"/go.work\nGOTOOLCHAIN=go1.21.0\nCGO_ENABLED=0\n"),
		"GOFLAGS=-mod=mod -tags=nothing", "GOWORK=" + none + "/go.work", "GO111MODULE=off", "GOROOT=" + none, "GOBIN=" + none,
		"GOOS=windows", "GOARCH=arm64", "GOTOOLCHAIN=go1.21.0", "GOEXPERIMENT=nosuch", "CGO_ENABLED=0", "CGO_CFLAGS=-nosuch",
		"PYTHONPATH=" + filepath.Join(folder, "python"), "PYTHONHOME=" + none, "PYTHONSTARTUP=" + none, "PYTHONSAFEPATH=1",
		"PYTHONWARNINGS=error", "PYTHONUSERBASE=" + none, "VIRTUAL_ENV=" + none, "CONDA_PREFIX=" + none,
		"PIP_TARGET=" + none, "PIP_USER=1", "PIP_PREFIX=" + none, "PIP_REQUIRE_VIRTUALENV=0", "PIP_DRY_RUN=1",
		"PIP_CONFIG_FILE=" + write("pip.conf", "[global]\nindex-url = http://127.0.0.1:1\n"),
		"XDG_CONFIG_HOME=" + folder, // of pip/pip.conf
		"PIP_NO_CACHE_DIR=1",
		"NODE_OPTIONS=--require " + none, "NODE_PATH=" + none, "npm_config_global=true",
		"JUPYTER_PATH=" + none, "JUPYTER_DATA_DIR=" + none, "JUPYTER_RUNTIME_DIR=" + none, "JUPYTER_PLATFORM_DIRS=1",
		"JUPYTER_CONFIG_DIR=" + filepath.Dir(write("jupyter/jupyter_config.py", "raise SystemExit('the config of the user')\n")),
		"IPYTHONDIR=" + none, "LAKEKIT_HOME=" + none, "LAKEKIT_GO=" + none,
	}, reached
}

func TestTheUsersEnvironmentDoesNotReachCells(t *testing.T) {
	requireSetup(t)
	root, err := filepath.EvalSymlinks(repository)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err != nil {
		t.Fatal(err)
	}
	wheel := writeWheel(t)
	environment, reached := hostile(t)
	r := newRecorder(t)
	uninstall := python(t, "-m", "pip", "uninstall", "--yes", "--quiet", "taxilake-nothing")
	t.Cleanup(func() { uninstall.Run() })

	texts, output, status := execute(t, append(r.ways(), environment...),
		"import \"taxilake/lakekit\"\n\n%%\nlakekit.Show(api.Checks{})\nfmt.Println(os.Getenv(\"GOFLAGS\") != \"\")",
		"!python -c 'import sys; print(sys.prefix)' && python3 -c 'import sys; print(sys.prefix)'",
		"!pip install --no-index --no-deps --quiet '"+wheel+"' && python -c 'import taxilake_nothing as n; print(n.__file__)'",
		"!pip3 --version | cut -d ' ' -f 4-5 && jupyter --version >/dev/null",
		"!lakekit settings LAKEKIT_HOME",
		"!cd \"$LAKEKIT_HOME\" && go list -m")
	if status != 0 {
		t.Fatalf("run.py ended with %d:\n%s", status, output)
	}
	venv := root + "/.venv"
	version, err := filepath.Glob(venv + "/lib/python3*")
	if err != nil || len(version) != 1 {
		t.Fatal(version, err)
	}
	packages := version[0] + "/site-packages"
	want := []string{"true\n", venv + "\n" + venv + "\n", packages + "/taxilake_nothing.py\n", packages + "/pip (python\n", root + "\n", "taxilake\n"}
	if !slices.Equal(texts, want) {
		t.Errorf("the cells wrote\n%q\nwant\n%q", texts, want)
	}
	if called, err := os.ReadFile(reached); err == nil {
		t.Errorf("of the user's own, these were called:\n%s", called)
	}
	r.wantSilence(t)
}

// writeWheel makes a Python package of one empty module.
func writeWheel(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "taxilake_nothing-1-py3-none-any.whl")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	for _, part := range []struct{ name, text string }{
		{"taxilake_nothing.py", ""},
		{"taxilake_nothing-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: taxilake-nothing\nVersion: 1\n"},
		{"taxilake_nothing-1.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"taxilake_nothing-1.dist-info/RECORD", ""},
	} {
		w, err := archive.Create(part.name)
		if err == nil {
			_, err = w.Write([]byte(part.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
