package docker_test

import (
	stdcontext "context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// here is the folder of the tests, whichever one a test changes into.
var here, _ = os.Getwd()

func context() stdcontext.Context { return stdcontext.Background() }

// docker notes its calls in $LOG.
const docker = `#!/bin/sh
echo "docker $*" >>"$LOG"
case $* in
"compose version") [ "${NO_COMPOSE-}" = "" ] ;;
info) [ "${NO_ENGINE-}" = "" ] || { echo "Cannot connect to the Docker daemon" >&2; exit 1; } ;;
*"config --images"*) printf 'minio:1\nkafka:1\n' ;;
*"lakekit status"*) echo 'workshop http://127.0.0.1:8080/?token=abc' ;;
*" up "*) [ "${FAIL_UP-}" = "" ] || { echo "port is already allocated" >&2; exit 17; } ;;
esac
`

// machine is a repository with docker.sh, and a PATH that holds a stand-in for docker.
type machine struct {
	t    *testing.T
	root string
	bin  string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), bin: t.TempDir()}
	for _, name := range []string{"docker.sh", "kafka/server.properties"} {
		m.write("docker/"+name, text(t, filepath.Join(here, name)), 0o755)
	}
	if err := os.WriteFile(filepath.Join(m.bin, "docker"), []byte(docker), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"awk", "cat", "chmod", "dirname", "grep", "head", "id", "mkdir", "od", "rm", "sed", "sh", "sort", "tail", "touch", "tr"} {
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

func (m *machine) write(name, text string, mode fs.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) read(name string) string {
	m.t.Helper()
	return text(m.t, filepath.Join(m.root, name))
}

// run calls docker.sh and returns its output, its calls of docker compose with
// their files left out, and whether it succeeded.
func (m *machine) run(env []string, stdin string, arguments ...string) (output string, calls []string, ok bool) {
	m.t.Helper()
	log := filepath.Join(m.bin, "log")
	if err := os.RemoveAll(log); err != nil {
		m.t.Fatal(err)
	}
	command := exec.Command(filepath.Join(m.root, "docker/docker.sh"), arguments...)
	command.Env = append([]string{"PATH=" + m.bin, "LOG=" + log}, env...)
	command.Stdin = strings.NewReader(stdin)
	all, err := command.CombinedOutput()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	if noted, err := os.ReadFile(log); err == nil {
		for call := range strings.Lines(string(noted)) {
			call = strings.TrimSuffix(call, "\n")
			if call == "docker info" || call == "docker compose version" {
				continue
			}
			call = strings.Replace(call, "docker compose --env-file .env --file docker/compose.yaml", "compose", 1)
			calls = append(calls, strings.Replace(call, " --file docker/compose.class.yaml", "+class", 1))
		}
	}
	return string(all), calls, err == nil
}

func (m *machine) wantCalls(env []string, arguments string, want ...string) string {
	m.t.Helper()
	output, calls, ok := m.run(env, "", strings.Fields(arguments)...)
	if !ok {
		m.t.Fatalf("docker.sh %s failed: %s", arguments, output)
	}
	if !slices.Equal(calls, want) {
		m.t.Errorf("docker.sh %s called\n%s\nwant\n%s", arguments, strings.Join(calls, "\n"), strings.Join(want, "\n"))
	}
	return output
}

func TestWhatIsMissingOfDockerIsSaid(t *testing.T) {
	for _, test := range []struct {
		name string
		env  []string
		lack bool // of docker itself
		want []string
	}{
		{name: "docker", lack: true, want: []string{"Docker is needed (docker not found)", "Docker Desktop", "make lab"}},
		{name: "compose", env: []string{"NO_COMPOSE=1"}, want: []string{"Docker's compose plugin is needed", "docker-compose-plugin"}},
		{name: "engine", env: []string{"NO_ENGINE=1"}, want: []string{"does not answer", "Cannot connect to the Docker daemon", "sudo systemctl start docker", "open Docker Desktop"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, command := range []string{"up", "run", "down", "logs", "save", "load", "class"} {
				m := newMachine(t)
				if test.lack {
					if err := os.Remove(filepath.Join(m.bin, "docker")); err != nil {
						t.Fatal(err)
					}
				}
				output, calls, ok := m.run(test.env, "", command)
				if ok || len(calls) > 0 {
					t.Errorf("%s went on: %q", command, calls)
				}
				for _, want := range test.want {
					if !strings.Contains(output, want) {
						t.Errorf("%s says\n%s\nwithout %q", command, output, want)
					}
				}
				if _, err := os.Stat(filepath.Join(m.root, ".env")); err == nil {
					t.Errorf("%s wrote .env", command)
				}
			}
		})
	}
}

const status = "compose exec -T jupyter .bin/lakekit status"

func TestFirstUpWritesSecretsOnce(t *testing.T) {
	random := regexp.MustCompile(`(?m)^OSS_ACCESS_KEY_ID=lake[0-9a-f]{16}\nOSS_ACCESS_KEY_SECRET=[0-9a-f]{40}\nJUPYTER_TOKEN=[0-9a-f]{40}\n`)
	for _, before := range []string{"", "LAKEKIT_WORKSPACE=alice # mine\n", "KAFKA_PORT=9192\n# last line, open"} {
		m := newMachine(t)
		if before != "" {
			m.write(".env", before, 0o644)
		}
		output := m.wantCalls(nil, "up", "compose up --wait --build", status)
		after := m.read(".env")
		rest, ok := strings.CutPrefix(after, before)
		if !ok || random.FindString(strings.TrimPrefix(rest, "\n")) != strings.TrimPrefix(rest, "\n") {
			t.Errorf(".env was %q, is %q", before, after)
		}
		if info, err := os.Stat(filepath.Join(m.root, ".env")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf(".env has the mode %v: %v", info.Mode(), err)
		}
		token := regexp.MustCompile(`JUPYTER_TOKEN=(.*)\n`).FindStringSubmatch(after)[1]
		for _, want := range []string{"http://127.0.0.1:8888/lab/tree/00_start_here.ipynb?token=" + token, "http://127.0.0.1:8080/?token=abc"} {
			if !strings.Contains(output, want) {
				t.Errorf("up says\n%s\nwithout %s", output, want)
			}
		}
		secret := regexp.MustCompile(`KEY_SECRET=(.*)\n`).FindStringSubmatch(after)[1]
		if strings.Contains(output, secret) {
			t.Error("up shows MinIO's password")
		}

		m.wantCalls(nil, "up", "compose up --wait --build", status)
		if again := m.read(".env"); again != after {
			t.Errorf("the second up made %q of %q", again, after)
		}
	}
}

func TestUpKeepsKeysThatAreSet(t *testing.T) {
	m := newMachine(t)
	m.write(".env", "export OSS_ACCESS_KEY_ID = 'mine'\nOSS_ACCESS_KEY_SECRET=\"my=own\"\nJUPYTER_PORT=8889 # taken\n", 0o600)
	output := m.wantCalls([]string{"JUPYTER_TOKEN=fromshell", "LAKEKIT_PORT=8090"}, "up", "compose up --wait --build", status)
	if env := m.read(".env"); strings.Count(env, "\n") != 3 {
		t.Errorf(".env is now %q", env)
	}
	for _, want := range []string{"http://127.0.0.1:8889/lab/tree/00_start_here.ipynb?token=fromshell", "http://127.0.0.1:8090/?token=abc"} {
		if !strings.Contains(output, want) {
			t.Errorf("up says\n%s\nwithout %s", output, want)
		}
	}
}

func TestUpThatFailsSaysSo(t *testing.T) {
	output, _, ok := newMachine(t).run([]string{"FAIL_UP=1"}, "", "up")
	if ok || !strings.Contains(output, "port is already allocated") || strings.Contains(output, "http://") {
		t.Errorf("succeeded: %t; %s", ok, output)
	}
}

func TestCommands(t *testing.T) {
	m := newMachine(t)
	if output := m.wantCalls(nil, "down"); !strings.Contains(output, "make docker-up has not been run") {
		t.Errorf("down says %s", output)
	}
	m.wantCalls(nil, "run", "compose up --wait --build", "compose exec -T jupyter make run")
	m.wantCalls(nil, "class alice bob", "compose exec -T jupyter .bin/lakekit class alice bob")
	m.wantCalls(nil, "logs kafka", "compose logs --follow --tail 100 kafka")
	m.wantCalls(nil, "down", "compose --profile * down")
	m.wantCalls([]string{"VOLUMES=1", "YES=1"}, "down", "compose --profile * down --volumes")
	m.wantCalls([]string{"CLASS_ADDRESS=192.168.1.10"}, "up", "compose+class up --wait --build", strings.Replace(status, "compose", "compose+class", 1))
	m.wantCalls([]string{"COMPOSE_PROFILES=control-center"}, "up", "compose up --wait --build", status)
}

func TestDownAsksBeforeItDeletes(t *testing.T) {
	m := newMachine(t)
	m.write(".env", "", 0o600)
	for _, test := range []struct {
		answer string
		want   []string
	}{
		{"", nil},
		{"n\n", nil},
		{"y\n", []string{"compose --profile * down --volumes"}},
	} {
		output, calls, ok := m.run([]string{"VOLUMES=1"}, test.answer, "down")
		if !slices.Equal(calls, test.want) || ok != (test.want != nil) || !strings.Contains(output, "Go on? [y/N]") {
			t.Errorf("answered %q: called %q, succeeded %t, said %s", test.answer, calls, ok, output)
		}
	}
}

func TestSaveAndLoad(t *testing.T) {
	m := newMachine(t)
	output, calls, ok := m.run(nil, "", "load")
	if ok || len(calls) > 0 || !strings.Contains(output, "make docker-save writes it") {
		t.Errorf("load without a file: %q %s", calls, output)
	}
	m.wantCalls(nil, "save", "compose --profile * build",
		"compose --profile * config --images", "docker save --output out/taxilake-images.tar kafka:1 minio:1")
	m.write("out/taxilake-images.tar", "", 0o644)
	m.wantCalls(nil, "load", "docker load --input out/taxilake-images.tar")
	m.wantCalls(nil, "up", "compose up --wait --no-build", status)
	m.wantCalls([]string{"BUILD=1"}, "up", "compose up --wait --build", status)
	m.wantCalls(nil, "up", "compose up --wait --build", status)
}

func TestWithoutACommandDockerShellsItsUsage(t *testing.T) {
	output, _, ok := newMachine(t).run(nil, "")
	if ok || !strings.Contains(output, "docker.sh up ") || !strings.Contains(output, "docker.sh load ") {
		t.Errorf("succeeded: %t; %s", ok, output)
	}
}
