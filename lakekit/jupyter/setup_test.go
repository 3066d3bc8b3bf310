package jupyter

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Programs that a test's PATH holds instead of the real ones. $LOG notes their calls.
var tools = map[string]string{
	"go": `case $* in
	"env GOVERSION") echo go9.9.9 ;;
	"env CC") echo cc ;;
	"env "*) echo go9.9.9 linux amd64 cc ;;
	*) echo "go $*" >>"$LOG" ;;
	esac`,
	"cc": "",
	"python3": `case $* in
	*platform*) echo 3.9.2 ;;
	"-m venv .venv")
		mkdir -p .venv/bin
		printf '#!/bin/sh\necho "python $*" >>"$LOG"\n[ ! -e "$BREAK_PIP" ]\n' >.venv/bin/python
		chmod +x .venv/bin/python ;;
	esac`,
	"node": "echo v18.0.0",
	"npm":  `mkdir -p node_modules/echarts/dist && echo echarts >node_modules/echarts/dist/echarts.min.js; echo "npm $*" >>"$LOG"`,
}

// systemTools are what the scripts use of POSIX.
var systemTools = []string{
	"awk", "cat", "chmod", "cksum", "cp", "date", "dirname", "find", "mkdir", "rm", "sh", "sort", "tail", "tr", "uname", "xargs",
}

// machine is a repository with the scripts and nothing set up, and a PATH of stand-ins.
type machine struct {
	t    *testing.T
	root string
	bin  string
}

func newMachine(t *testing.T, changed map[string]string) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), bin: t.TempDir()}
	scripts, err := filepath.Glob("*.*")
	if err != nil {
		t.Fatal(err)
	}
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		m.write("lakekit/jupyter/"+script, string(text))
	}
	if err := os.Chmod(filepath.Join(m.root, "lakekit/jupyter/setup.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	m.write("go.mod", "module taxilake\n\ngo 1.26.0\n")
	m.write("go.sum", "")
	m.write("datasets/profile.json", "{}")

	programs := maps.Clone(tools)
	maps.Copy(programs, changed)
	for name, script := range programs {
		if script == "missing" {
			continue
		}
		if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range systemTools {
		if _, replaced := programs[name]; replaced {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("this machine has no %s", name)
		}
		if err := os.Symlink(path, filepath.Join(m.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func (m *machine) write(name, text string) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
}

// setup runs setup.sh and returns its output, what it called, and whether it succeeded.
func (m *machine) setup(arguments ...string) (output string, calls []string, ok bool) {
	m.t.Helper()
	log := filepath.Join(m.root, "calls.log")
	if err := os.RemoveAll(log); err != nil {
		m.t.Fatal(err)
	}
	command := exec.Command(filepath.Join(m.root, "lakekit", "jupyter", "setup.sh"), arguments...)
	command.Env = []string{"PATH=" + m.bin, "LOG=" + log, "BREAK_PIP=" + filepath.Join(m.root, "break-pip")}
	var buffer bytes.Buffer
	command.Stdout, command.Stderr = &buffer, &buffer
	err := command.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	if text, err := os.ReadFile(log); err == nil {
		calls = strings.Split(strings.TrimSpace(string(text)), "\n")
	}
	return buffer.String(), calls, err == nil
}

const (
	needGo = `Go 1.26.0 or newer is needed (%s). To install it:
  Debian, Ubuntu  sudo snap install go --classic, or unpack https://go.dev/dl into /usr/local
  Fedora          sudo dnf install golang
  macOS           brew install go
`
	needC = `A C compiler is needed (%s). To install it:
  Debian, Ubuntu  sudo apt-get install build-essential
  Fedora          sudo dnf install gcc gcc-c++
  macOS           xcode-select --install
`
	needPython = `Python 3.9 or newer is needed (%s). To install it:
  Debian, Ubuntu  sudo apt-get install python3 python3-venv
  Fedora          sudo dnf install python3
  macOS           brew install python
`
	needVenv = `Python's venv module is needed (%s). To install it:
  Debian, Ubuntu  sudo apt-get install python3-venv
  Fedora          sudo dnf install python3
  macOS           brew install python
`
	needNode = `Node 18 or newer with npm is needed (%s). To install it:
  Debian, Ubuntu  sudo apt-get install nodejs npm
  Fedora          sudo dnf install nodejs npm
  macOS           brew install node
`
	needLinux = `Linux or macOS is needed (%s). To install it:
  Windows         wsl --install, then clone and run make inside of it
`
)

func TestSetupNamesWhatIsMissing(t *testing.T) {
	tests := []struct {
		name    string
		changed map[string]string
		want    string
	}{
		{"nothing", nil, ""},
		{"Go", map[string]string{"go": "missing"}, fmt.Sprintf(needGo, "not found")},
		{"Go too old", map[string]string{"go": "[ $2 = CC ] && echo cc || echo go1.25.9"}, fmt.Sprintf(needGo, "go1.25.9")},
		{"Go that may not download a newer one", map[string]string{"go": `case $1 in version) echo go version go1.22.0 linux/amd64 ;; *) exit 1 ;; esac`},
			fmt.Sprintf(needGo, "go1.22.0")},
		{"C compiler", map[string]string{"cc": "missing"}, fmt.Sprintf(needC, "cc not found")},
		{"Python", map[string]string{"python3": "missing"}, fmt.Sprintf(needPython, "python3 not found")},
		{"Python too old", map[string]string{"python3": "echo 3.8.18"}, fmt.Sprintf(needPython, "3.8.18")},
		{"venv", map[string]string{"python3": `case $* in *platform*) echo 3.13.1 ;; *) exit 1 ;; esac`}, fmt.Sprintf(needVenv, "not in python3 3.13.1")},
		{"Node", map[string]string{"node": "missing"}, fmt.Sprintf(needNode, "not found")},
		{"Node too old", map[string]string{"node": "echo v12.22.9"}, fmt.Sprintf(needNode, "v12.22.9")},
		{"npm", map[string]string{"npm": "missing"}, fmt.Sprintf(needNode, "npm not found")},
		{"everything", map[string]string{"go": "missing", "cc": "missing", "python3": "missing", "node": "missing", "npm": "missing"},
			fmt.Sprintf(needGo, "not found") + fmt.Sprintf(needC, "cc not found") +
				fmt.Sprintf(needPython, "python3 not found") + fmt.Sprintf(needNode, "not found")},
		{"Linux", map[string]string{"uname": "echo MINGW64_NT-10.0"}, fmt.Sprintf(needLinux, "this is MINGW64_NT-10.0")},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, ok := newMachine(t, test.changed).setup("--check")
			if got != test.want {
				t.Errorf("setup.sh --check says\n%s\nwant\n%s", got, test.want)
			}
			if wantOK := test.want == ""; ok != wantOK {
				t.Errorf("succeeded: %t, want %t", ok, wantOK)
			}
		})
	}
}

func TestSetupDoesEachPartOnce(t *testing.T) {
	m := newMachine(t, nil)
	all := []string{
		"go install tool",
		"go build -buildvcs=auto -o .bin/lakekit ./lakekit/cmd/lakekit",
		"python -m pip install --disable-pip-version-check -r lakekit/jupyter/requirements.txt",
		"npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier",
		"python lakekit/jupyter/run.py --out .cache/warm --no-html --timeout 900 lakekit/jupyter/warm.ipynb",
	}
	steps := []struct {
		name   string
		change func()
		want   []string
	}{
		{"all of it at first", func() {}, all},
		{"nothing again", func() {}, nil},
		{"the program when a source changes", func() { m.write("lakekit/taxi/taxi.go", "package taxi") }, all[1:2]},
		{"nothing for a test", func() { m.write("lakekit/taxi/taxi_test.go", "package taxi") }, nil},
		{"Jupyter when a version changes", func() { m.write("lakekit/jupyter/requirements.txt", "jupyterlab==1") }, all[2:3]},
		{"what Go builds when a dependency changes", func() { m.write("go.sum", "x") }, []string{all[0], all[1], all[4]}},
		{"a part that was interrupted", func() {
			if err := os.Remove(filepath.Join(m.root, ".cache/setup/echarts")); err != nil {
				t.Fatal(err)
			}
		}, all[3:4]},
	}
	for _, step := range steps {
		step.change()
		output, calls, ok := m.setup()
		if !ok {
			t.Fatalf("%s: setup.sh failed: %s", step.name, output)
		}
		for i := range calls {
			calls[i] = strings.ReplaceAll(calls[i], m.resolvedRoot()+"/", "")
		}
		if !slices.Equal(calls, step.want) {
			t.Errorf("%s: called\n%s\nwant\n%s", step.name, strings.Join(calls, "\n"), strings.Join(step.want, "\n"))
		}
		if lines := strings.Count(output, "\n"); lines < len(step.want) || (len(step.want) == 0 && output != "") {
			t.Errorf("%s: wrote %q, want a line for each part", step.name, output)
		}
	}
}

// resolvedRoot is the repository as setup.sh calls it: macOS keeps temporary
// folders behind a link.
func (m *machine) resolvedRoot() string {
	root, err := filepath.EvalSymlinks(m.root)
	if err != nil {
		m.t.Fatal(err)
	}
	return root
}

func TestSetupGoesOnAfterAFailure(t *testing.T) {
	m := newMachine(t, nil)
	if exec.Command("/usr/bin/python3", "-c", "import notebook, nbclient, nbconvert, nbformat").Run() == nil {
		t.Skip("this machine has Debian's Jupyter packages, so that set-up does not need the package index")
	}
	m.write("break-pip", "")
	output, _, ok := m.setup()
	if ok {
		t.Fatalf("setup.sh succeeded without Jupyter: %s", output)
	}
	for _, want := range []string{
		"installing JupyterLab into .venv",
		"pip's package index is out of reach",
		"sudo apt-get install jupyter-notebook jupyter-nbconvert python3-nbclient python3-venv",
		".cache/setup.log; make setup goes on from here.",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("setup.sh says\n%s\nwithout %q", output, want)
		}
	}

	if err := os.Remove(filepath.Join(m.root, "break-pip")); err != nil {
		t.Fatal(err)
	}
	output, calls, ok := m.setup()
	if !ok {
		t.Fatalf("setup.sh failed again: %s", output)
	}
	if slices.ContainsFunc(calls, func(call string) bool { return strings.HasPrefix(call, "go ") }) {
		t.Errorf("setup.sh built again what was there: %q", calls)
	}
}

func TestLockFilesPinEverything(t *testing.T) {
	// pip refuses a file that is not the one whose hash stands here.
	pinned := regexp.MustCompile(`^[a-z0-9-]+==[0-9][0-9a-z.]*( ; [^\\]+)?( \\\n +--hash=sha256:[0-9a-f]{64})+$`)
	for _, file := range []string{"requirements.txt", "lint-requirements.txt", "../../.ci/sbom-requirements.txt", "../../docker/real/engines/requirements.txt", "../../docker/real/clients/requirements.txt"} {
		requirements, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		entries := regexp.MustCompile(`(?m)^[^ #].*(\n .*)*$`).FindAllString(string(requirements), -1)
		for _, entry := range entries {
			if !pinned.MatchString(entry) {
				t.Errorf("%s: not pinned by version and hash:\n%s", file, entry)
			}
		}
		if len(entries) == 0 {
			t.Errorf("%s asks for nothing", file)
		}
	}
	requirements, err := os.ReadFile("requirements.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, direct := range []string{"jupyterlab", "nbclient", "nbconvert", "nbformat"} {
		if !bytes.Contains(requirements, []byte("\n"+direct+"==")) {
			t.Errorf("requirements.txt does not pin %s", direct)
		}
	}
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(lock, []byte("http")) {
		t.Error("package-lock.json names a registry")
	}
}
