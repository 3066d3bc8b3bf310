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
	"syscall"
	"testing"
)

// Programs that a test's PATH holds instead of the real ones. $LOG notes their calls.
var tools = map[string]string{
	"go": `case $* in
	"env GOVERSION") echo go9.9.9 ;;
	"env CC") echo cc ;;
	"env GOVERSION GOOS"*) echo go9.9.9 linux amd64 cc ;;
	"env "*) for name in $*; do [ $name = env ] || printenv "$name" || echo "from $name"; done ;;
	*) echo "go $*" >>"$LOG"; env >>"$LOG.env" ;;
	esac
	case $* in
	"install tool") : >.bin/gonb ;;
	"build "*) : >.bin/lakekit ;;
	esac`,
	"cc": "",
	"python3": `case $* in
	*platform*) echo 3.9.2 ;;
	"-m venv .venv")
		mkdir -p .venv/bin
		echo "include-system-site-packages = false" >.venv/pyvenv.cfg
		printf '#!/bin/sh\necho "python $*" >>"$LOG"\nenv >>"$LOG.env"\n[ ! -e "$BREAK_PIP" ]\n' >.venv/bin/python
		chmod +x .venv/bin/python ;;
	esac`,
	"node": "echo v18.0.0",
	"npm":  `mkdir -p node_modules/echarts/dist && echo echarts >node_modules/echarts/dist/echarts.min.js; echo "npm $*" >>"$LOG"; env >>"$LOG.env"`,
}

// systemTools are what the scripts use of POSIX.
var systemTools = []string{
	"awk", "cat", "chmod", "cksum", "cp", "date", "dirname", "env", "find", "grep", "mkdir", "printenv", "rm", "sed",
	"sh", "sort", "tail", "tr", "uname", "xargs",
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
	m.write("lakekit/jupyter/path/go", "")
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
		m.program(name, script)
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

// program puts a stand-in into the PATH.
func (m *machine) program(name, script string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
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
	return m.setupIn(nil, arguments...)
}

// setupIn is setup with more of an environment. What each program got of it is in
// calls.log.env.
func (m *machine) setupIn(environment []string, arguments ...string) (output string, calls []string, ok bool) {
	m.t.Helper()
	log := filepath.Join(m.root, "calls.log")
	if err := os.RemoveAll(log); err != nil {
		m.t.Fatal(err)
	}
	command := exec.Command(filepath.Join(m.root, "lakekit", "jupyter", "setup.sh"), arguments...)
	command.Env = []string{"PATH=" + m.bin, "LOG=" + log, "BREAK_PIP=" + filepath.Join(m.root, "break-pip")}
	command.Env = append(command.Env, environment...)
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
		"go list -deps -test ./...",
		"go build -buildvcs=auto -o .bin/lakekit ./lakekit/cmd/lakekit",
		"python -m pip install --disable-pip-version-check --no-deps -r lakekit/jupyter/requirements.txt",
		"python -m pip install --disable-pip-version-check --only-binary :all: -r lakekit/jupyter/lint-requirements.txt",
		"npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --no-global --location=project --no-dry-run --package-lock",
		"python lakekit/jupyter/run.py --out .cache/warm --no-html --timeout 900 lakekit/jupyter/warm.ipynb",
	}
	steps := []struct {
		name   string
		change func()
		want   []string
	}{
		{"all of it at first", func() {}, all},
		{"nothing again", func() {}, nil},
		{"the program when a source changes", func() { m.write("lakekit/taxi/taxi.go", "package taxi") }, all[2:3]},
		{"nothing for a test", func() { m.write("lakekit/taxi/taxi_test.go", "package taxi") }, nil},
		{"Jupyter when a version changes", func() { m.write("lakekit/jupyter/requirements.txt", "jupyterlab==1") }, all[3:5]},
		{"what Go builds when a dependency changes", func() { m.write("go.sum", "x") }, []string{all[0], all[1], all[2], all[6]}},
		{"a part that was interrupted", func() {
			if err := os.Remove(filepath.Join(m.root, ".cache/setup/echarts")); err != nil {
				t.Fatal(err)
			}
		}, all[5:6]},
		{"a part that is gone", func() {
			if err := os.RemoveAll(filepath.Join(m.root, ".venv")); err != nil {
				t.Fatal(err)
			}
		}, all[3:5]},
		{"in a folder that was moved, only what depends on its name", func() {
			to := filepath.Join(t.TempDir(), "Zoë's kit")
			if err := os.Rename(m.root, to); err != nil {
				t.Fatal(err)
			}
			m.root = to
		}, all[6:]},
		{"nothing for a patch of Python", func() { m.program("python3", strings.ReplaceAll(tools["python3"], "3.9.2", "3.9.3")) }, nil},
		{"Jupyter for another Python", func() { m.program("python3", strings.ReplaceAll(tools["python3"], "3.9.2", "3.10.1")) }, all[3:5]},
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
		if (output == "") != (len(step.want) == 0) {
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

// What set-up downloads with is the user's; what would make something else of it is not.
func TestSetupTakesOfTheEnvironmentOnlyTheNetwork(t *testing.T) {
	m := newMachine(t, nil)
	network := []string{
		"GOPROXY=https://mirror.example/go", "GONOSUMDB=corp.example", "GOMODCACHE=/caches/go", "HTTPS_PROXY=http://proxy.example:3128",
		"PIP_INDEX_URL=https://mirror.example/pip", "PIP_CERT=/corp.pem", "npm_config_registry=https://mirror.example/npm",
		"NODE_EXTRA_CA_CERTS=/corp.pem", "SSL_CERT_FILE=/corp.pem",
	}
	others, _ := hostile(t)
	kept := regexp.MustCompile("^(PATH|PIP_CONFIG_FILE|PIP_NO_CACHE_DIR|XDG_CONFIG_HOME|npm_config_global|LAKEKIT_GO)=")
	ignored := slices.DeleteFunc(slices.Clone(others), kept.MatchString)
	environment := slices.Concat(network, slices.DeleteFunc(others, regexp.MustCompile("^PATH=").MatchString), []string{"NO_PROXY=corp.example"})
	output, calls, ok := m.setupIn(environment)
	if !ok || len(calls) != 7 {
		t.Fatalf("setup.sh called %q: %s", calls, output)
	}
	text, err := os.ReadFile(filepath.Join(m.root, "calls.log.env"))
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for line := range strings.Lines(string(text)) {
		count[strings.TrimSuffix(line, "\n")]++
	}
	for _, want := range append(network, "GONOPROXY=from GONOPROXY", "GOENV=off", "GOWORK=off", "CGO_ENABLED=1", "GOFLAGS=-buildvcs=false",
		"NO_PROXY=corp.example,localhost,127.0.0.1,::1", "no_proxy=corp.example,localhost,127.0.0.1,::1") {
		if count[want] != len(calls) {
			t.Errorf("%d of %d programs were called with %s", count[want], len(calls), want)
		}
	}
	for _, lack := range ignored {
		if count[lack] > 0 {
			t.Errorf("%d programs were called with %s", count[lack], lack)
		}
	}
}

func TestSetupSaysWhichFolderItCannotUse(t *testing.T) {
	m := newMachine(t, nil)
	for _, name := range []string{"a:b", "a,b"} {
		to := filepath.Join(t.TempDir(), name)
		if err := os.Rename(m.root, to); err != nil {
			t.Fatal(err)
		}
		m.root = to
		output, _, ok := m.setup()
		want := "This folder cannot be used: " + m.resolvedRoot() + "\nPATH and GoNB divide lists at : and , so call it something without.\n"
		if ok || output != want {
			t.Errorf("setup.sh: succeeded %t, and said\n%s\nwant\n%s", ok, output, want)
		}
	}
}

// A folder that may not be written, such as one that a class shares: set-up fails
// there, but what is set up there can be used.
func TestSetupOfAFolderThatMayNotBeWritten(t *testing.T) {
	m := newMachine(t, nil)
	unprivileged := func() (string, error) {
		command := exec.Command(filepath.Join(m.root, "lakekit/jupyter/setup.sh"))
		command.Env = []string{"PATH=" + m.bin, "LOG=/dev/null"}
		if os.Getuid() == 0 { // who may write anywhere
			const nobody = 65534
			command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
		output, err := command.CombinedOutput()
		return string(output), err
	}
	mode := func(mode os.FileMode) {
		err := filepath.WalkDir(m.root, func(path string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				err = os.Chmod(path, mode)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	defer mode(0o755)
	if err := os.Chmod(filepath.Dir(m.root), 0o755); err != nil { // of both temporary folders
		t.Fatal(err)
	}

	mode(0o555)
	want := "Set-up writes into this folder, and may not: " + m.resolvedRoot() + "\n" +
		"Copy it to where you may write, for example into your home folder, and run make there.\n"
	if output, err := unprivileged(); err == nil || output != want {
		t.Errorf("setup.sh: %v, and said\n%s\nwant\n%s", err, output, want)
	}
	mode(0o755)
	if output, _, ok := m.setup(); !ok {
		t.Fatal(output)
	}
	mode(0o555)
	if output, err := unprivileged(); err != nil || output != "" {
		t.Errorf("setup.sh of what is set up: %v, and said %s", err, output)
	}
}

// relocate.py, on programs in the forms in which pip writes them.
func TestProgramsOfAMovedEnvironment(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "before")
	if output, err := exec.Command("python3", "-m", "venv", "--without-pip", folder).CombinedOutput(); err != nil {
		t.Skipf("no environment can be made: %v %s", err, output)
	}
	const body = "import sys; print(sys.prefix, sys.argv[1:])\n"
	programs := map[string]string{
		"short":    "#!" + folder + "/bin/python3\n" + body,
		"long":     "#!/bin/sh\n'''exec' \"" + folder + "/bin/python\" \"$0\" \"$@\"\n' '''\n" + body,
		"unquoted": "#!/bin/sh\n'''exec' " + folder + "/bin/python3.11 \"$0\" \"$@\"\n' '''\n" + body,
		"other":    "#!/bin/sh\necho other \"$@\"\n",
	}
	for name, text := range programs {
		if err := os.WriteFile(filepath.Join(folder, "bin", name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // done again, nothing changes
		if output, err := exec.Command("python3", "relocate.py", folder+"/bin").CombinedOutput(); err != nil {
			t.Fatalf("relocate.py: %v %s", err, output)
		}
	}
	after := filepath.Join(t.TempDir(), "Zoë's \"kit\" $HOME 中文")
	if err := os.Rename(folder, after); err != nil {
		t.Fatal(err)
	}
	for name := range programs {
		command := exec.Command(filepath.Join(after, "bin", name), "a b", "*")
		command.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
		want := fmt.Sprintf("%s ['a b', '*']\n", after)
		if name == "other" {
			want = "other a b *\n"
		}
		if got, err := command.CombinedOutput(); string(got) != want {
			t.Errorf("%s: %v, and wrote %q, want %q", name, err, got, want)
		}
	}
}
