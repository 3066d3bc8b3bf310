// Package docker_test holds the containers to what the rest of the kit says of
// them: the compose files as `docker compose config` reads them, the Dockerfiles,
// and docker.sh with a stand-in for docker.
package docker_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"

	"taxilake/lakekit/settings"
)

const (
	stack        = "compose.yaml"
	class        = "compose.class.yaml"
	classAddress = "192.168.1.10"
)

// dockerfiles are all there are, from this folder.
var dockerfiles = []string{"minio/Dockerfile", "../.binder/Dockerfile"}

// secrets are what docker.sh puts into .env.
var secrets = []string{"OSS_ACCESS_KEY_ID=id", "OSS_ACCESS_KEY_SECRET=secretsecret", "JUPYTER_TOKEN=token"}

// load reads compose files with all profiles on, as docker compose does.
func load(files []string, env ...string) (*types.Project, error) {
	options, err := cli.NewProjectOptions(files, cli.WithEnv(env), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return nil, err
	}
	return options.LoadProject(context())
}

func project(t *testing.T, files []string, env ...string) *types.Project {
	t.Helper()
	p, err := load(files, append(slices.Clone(secrets), env...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// submatch is what the first group of pattern matches in a file.
func submatch(t *testing.T, name, pattern string) string {
	t.Helper()
	match := regexp.MustCompile(pattern).FindStringSubmatch(text(t, name))
	if match == nil {
		t.Fatalf("%s holds nothing like %s", name, pattern)
	}
	return match[1]
}

func TestStackDoesNotStartWithoutItsSecrets(t *testing.T) {
	for i, secret := range secrets {
		name, _, _ := strings.Cut(secret, "=")
		_, err := load([]string{stack}, slices.Delete(slices.Clone(secrets), i, i+1)...)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "make docker-up makes one") {
			t.Errorf("without %s: %v", name, err)
		}
	}
	if _, err := load([]string{stack, class}, secrets...); err == nil || !strings.Contains(err.Error(), "CLASS_ADDRESS") {
		t.Errorf("without CLASS_ADDRESS: %v", err)
	}
}

func TestServices(t *testing.T) {
	p := project(t, []string{stack})
	if got, want := strings.Join(slices.Sorted(maps.Keys(p.Services)), " "), "jupyter kafka kafka-ui minio"; got != want {
		t.Errorf("services %s, want %s", got, want)
	}
	var sum types.UnitBytes
	for name, service := range p.Services {
		if service.HealthCheck == nil || len(service.HealthCheck.Test) < 2 || service.HealthCheck.Disable {
			t.Errorf("%s has no healthcheck: up --wait would not wait for it", name)
		}
		if service.MemLimit <= 0 {
			t.Errorf("%s has no limit of memory", name)
		}
		sum += service.MemLimit
		for _, mount := range service.Volumes {
			switch _, named := p.Volumes[mount.Source]; {
			case mount.Type == types.VolumeTypeVolume && !named:
				t.Errorf("%s keeps %s in a volume without a name", name, mount.Target)
			case mount.Type == types.VolumeTypeBind && filepath.Base(mount.Source) != "out":
				if _, err := os.Stat(mount.Source); err != nil {
					t.Errorf("%s mounts what is not there: %v", name, err)
				}
			}
		}
	}
	if most := types.UnitBytes(6 << 30); sum > most {
		t.Errorf("all services may take %d MiB, more than a laptop of 8 GB has beside its system (%d MiB)", sum>>20, most>>20)
	}
}

func TestImagesArePinned(t *testing.T) {
	ours := regexp.MustCompile(`^taxilake/[a-z-]+:[0-9][0-9.-]*$`)
	pinned := regexp.MustCompile(`^[a-z0-9./-]+:v?[0-9][0-9a-z.-]*@sha256:[0-9a-f]{64}$`)
	for name, service := range project(t, []string{stack}).Services {
		if !ours.MatchString(service.Image) || service.Build == nil {
			t.Errorf("%s: the image %s is not one that the kit builds: docker save would lose its digest", name, service.Image)
		}
	}
	bases := baseImages(t)
	if len(bases) != 4 {
		t.Fatalf("found the base images %v", bases)
	}
	for image, user := range bases {
		if !pinned.MatchString(image) {
			t.Errorf("%s: %s is not pinned by version and digest", user, image)
		}
	}
}

// baseImages maps what the stack's images are built from to one of its users.
func baseImages(t *testing.T) map[string]string {
	sources := map[string]string{}
	for _, file := range dockerfiles {
		sources[file] = text(t, file)
	}
	for name, service := range project(t, []string{stack}).Services {
		if service.Build != nil && service.Build.DockerfileInline != "" {
			sources[name] = service.Build.DockerfileInline
		}
	}
	images := map[string]string{}
	for user, source := range sources {
		stages := map[string]bool{}
		for _, match := range regexp.MustCompile(`(?m)^FROM (\S+)(?: AS (\S+))?$`).FindAllStringSubmatch(source, -1) {
			if !stages[match[1]] {
				images[match[1]] = user
			}
			stages[match[2]] = true
		}
	}
	return images
}

// TestVersionsAgree compares versions that are written down in more than one place.
func TestVersionsAgree(t *testing.T) {
	goVersion := submatch(t, "../go.mod", `(?m)^toolchain go(\S+)$`)
	if least := submatch(t, "../go.mod", `(?m)^go (\d+\.\d+)\.0$`); !strings.HasPrefix(goVersion, least+".") {
		t.Errorf("go.mod asks for Go %s, and is built with %s", least, goVersion)
	}
	for _, file := range dockerfiles {
		if got := submatch(t, file, `(?m)^FROM golang:([0-9.]+)-bookworm`); got != goVersion {
			t.Errorf("%s builds with Go %s, go.mod says %s", file, got, goVersion)
		}
	}
	kafka := submatch(t, "real/pom.xml", `<kafka.version>(.*)</kafka.version>`)
	service := project(t, []string{stack}).Services["kafka"]
	if want := "FROM apache/kafka:" + kafka + "@"; !strings.HasPrefix(service.Build.DockerfileInline, want) {
		t.Errorf("image %s, real/pom.xml has Kafka %s", service.Build.DockerfileInline, kafka)
	}
	if want := "taxilake/kafka:" + kafka; service.Image != want {
		t.Errorf("image %s, want %s", service.Image, want)
	}
	minio := submatch(t, "minio/Dockerfile", `github.com/minio/minio@(v\S+)`)
	if got := submatch(t, "real.sh", `(?m)^minio_version=(\S+)$`); got != minio {
		t.Errorf("real.sh builds MinIO %s, minio/Dockerfile %s", got, minio)
	}
	day := regexp.MustCompile(`-(\d{4})(\d{2})(\d{2})\d{6}-`).FindStringSubmatch(minio)
	if got, want := project(t, []string{stack}).Services["minio"].Image, "taxilake/minio:"+strings.Join(day[1:], "-"); got != want {
		t.Errorf("image %s, want %s", got, want)
	}
}

// published lists the ports of a stack as "service address:port->port".
func published(p *types.Project) []string {
	var all []string
	for name, service := range p.Services {
		for _, port := range service.Ports {
			all = append(all, fmt.Sprintf("%s %s->%d", name, net.JoinHostPort(port.HostIP, port.Published), port.Target))
		}
	}
	slices.Sort(all)
	return all
}

func TestPorts(t *testing.T) {
	onLoopback := []string{
		"jupyter 127.0.0.1:8080->8080", "jupyter 127.0.0.1:8888->8888", "kafka 127.0.0.1:9092->9092",
		"kafka-ui 127.0.0.1:8082->8080", "minio 127.0.0.1:9000->9000", "minio 127.0.0.1:9001->9001",
	}
	// Kafka's port 9092 asks for no login, so it is in neither list.
	toTheClass := []string{"kafka " + classAddress + ":9094->9094", "minio " + classAddress + ":9000->9000"}
	for _, test := range []struct {
		name  string
		files []string
		env   []string
		want  []string
	}{
		{"defaults", []string{stack}, nil, onLoopback},
		{"others", []string{stack},
			[]string{"JUPYTER_PORT=1", "LAKEKIT_PORT=2", "KAFKA_PORT=3", "KAFKA_UI_PORT=4", "OSS_PORT=5", "MINIO_CONSOLE_PORT=6"},
			[]string{"jupyter 127.0.0.1:1->8888", "jupyter 127.0.0.1:2->8080", "kafka 127.0.0.1:3->9092",
				"kafka-ui 127.0.0.1:4->8080", "minio 127.0.0.1:5->9000", "minio 127.0.0.1:6->9001"}},
		{"class", []string{stack, class}, []string{"CLASS_ADDRESS=" + classAddress}, slices.Concat(onLoopback, toTheClass)},
	} {
		t.Run(test.name, func(t *testing.T) {
			slices.Sort(test.want)
			if got := published(project(t, test.files, test.env...)); !slices.Equal(got, test.want) {
				t.Errorf("published\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
		})
	}
}

// repository makes a folder that settings takes for the repository, and is there.
func repository(t *testing.T, env string) {
	t.Helper()
	home := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module taxilake\n", ".env": env} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "LAKEKIT_") || strings.HasPrefix(name, "KAFKA_") || strings.HasPrefix(name, "OSS_") || strings.HasPrefix(name, "CLASS_") {
			t.Setenv(name, "") // which puts it back at the end
			os.Unsetenv(name)
		}
	}
	t.Chdir(home)
}

func TestHostFindsTheStackByTheSameEnv(t *testing.T) {
	for _, ports := range []string{"", "KAFKA_PORT=19092\nOSS_PORT=19000\n"} {
		env := strings.Fields(ports)
		p := project(t, []string{stack}, env...)
		want := [2]string{"127.0.0.1:" + publishedFor(t, p, "kafka", 9092), "http://127.0.0.1:" + publishedFor(t, p, "minio", 9000)}
		repository(t, "LAKEKIT_PROFILE=docker\n"+ports+strings.Join(secrets, "\n"))
		s, err := settings.Load()
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]string{s.Kafka.Servers(), s.OSS.Endpoint}; got != want {
			t.Errorf("with %q lakekit looks at %q, the stack publishes %q", env, got, want)
		}
		if got := p.Services["minio"].Environment["MINIO_ROOT_USER"]; *got != s.OSS.AccessKeyID {
			t.Errorf("lakekit comes as %s, MinIO knows %s", s.OSS.AccessKeyID, *got)
		}
		if got := p.Services["minio"].Environment["MINIO_ROOT_PASSWORD"]; *got != s.OSS.Secret.Reveal() {
			t.Error("lakekit comes with another password than MinIO's")
		}
		t.Chdir(here)
	}
}

func publishedFor(t *testing.T, p *types.Project, service string, target uint32) string {
	t.Helper()
	for _, port := range p.Services[service].Ports {
		if port.Target == target {
			return port.Published
		}
	}
	t.Fatalf("%s does not publish %d", service, target)
	return ""
}

func TestContainerFindsTheStackByItsEnvironment(t *testing.T) {
	jupyter := project(t, []string{stack}, "LAKEKIT_WORKSPACE=alice", "CLASS_ADDRESS="+classAddress, "OSS_PORT=19000").Services["jupyter"]
	repository(t, "")
	for name, value := range jupyter.Environment {
		t.Setenv(name, *value)
	}
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%s %s %s %s %s %s %s", s.Profile, s.Workspace, s.Listen, s.Kafka.Servers(), s.OSS.Endpoint, s.OSS.Region, s.Class)
	if want := "docker alice 0.0.0.0 kafka:19092 http://minio:9000 us-east-1 {192.168.1.10:9094 http://192.168.1.10:19000}"; got != want {
		t.Errorf("in the container lakekit uses %s, want %s", got, want)
	}
	for _, host := range []string{"kafka", "minio"} {
		if on, ok := jupyter.DependsOn[host]; !ok || on.Condition != types.ServiceConditionHealthy {
			t.Errorf("jupyter does not wait until %s is healthy", host)
		}
	}
}

// TestNames keeps .env.example's readers and the compose files to one set of
// names: what compose interpolates, lakekit must not refuse in .env.
func TestNames(t *testing.T) {
	used := map[string]bool{}
	for _, file := range []string{stack, class} {
		for _, match := range regexp.MustCompile(`\$\{([A-Z_]+)`).FindAllStringSubmatch(text(t, file), -1) {
			used[match[1]] = true
		}
	}
	var env strings.Builder
	for name := range used {
		if strings.HasSuffix(name, "_PORT") {
			fmt.Fprintf(&env, "%s=1234\n", name)
		}
	}
	if strings.Count(env.String(), "\n") != 7 {
		t.Errorf("ports are set by\n%s", env.String())
	}
	repository(t, env.String())
	if _, err := settings.Load(); err != nil {
		t.Error(err)
	}
}

// addresses reads Kafka's NAME://host:port,... into host:port by name.
func addresses(t *testing.T, listeners string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, listener := range strings.Split(listeners, ",") {
		name, address, ok := strings.Cut(listener, "://")
		if _, _, err := net.SplitHostPort(address); !ok || err != nil {
			t.Fatalf("listener %q", listener)
		}
		all[name] = address
	}
	return all
}

func port(t *testing.T, address string) uint32 {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

func TestKafkaListeners(t *testing.T) {
	p := project(t, []string{stack, class}, "CLASS_ADDRESS="+classAddress, "KAFKA_PORT=19192", "CLASS_KAFKA_PORT=19194")
	kafka := p.Services["kafka"]
	env := func(name string) string { return *kafka.Environment[name] }
	protocols := map[string]string{}
	for _, entry := range strings.Split(submatch(t, "kafka/server.properties", `(?m)^listener\.security\.protocol\.map=(.*)$`), ",") {
		name, protocol, _ := strings.Cut(entry, ":")
		protocols[name] = protocol
	}
	if want := map[string]string{"CONTROLLER": "PLAINTEXT", "CONTAINERS": "PLAINTEXT", "HOST": "PLAINTEXT", "CLASS": "SASL_PLAINTEXT"}; !maps.Equal(protocols, want) {
		t.Fatalf("protocols %v, want %v", protocols, want)
	}
	listeners, advertised := addresses(t, env("KAFKA_LISTENERS")), addresses(t, env("KAFKA_ADVERTISED_LISTENERS"))
	if !slices.Equal(slices.Sorted(maps.Keys(listeners)), slices.Sorted(maps.Keys(protocols))) {
		t.Errorf("listeners %v, server.properties knows %v", listeners, protocols)
	}
	controller := submatch(t, "kafka/server.properties", `(?m)^controller\.listener\.names=(.*)$`)
	if want := submatch(t, "kafka/server.properties", `(?m)^node\.id=(.*)$`) + "@" + listeners[controller]; env("KAFKA_CONTROLLER_QUORUM_VOTERS") != want {
		t.Errorf("voters %s, want %s", env("KAFKA_CONTROLLER_QUORUM_VOTERS"), want)
	}
	// What a client of a listener is told must be what it can reach.
	for name, want := range map[string]string{
		"CONTAINERS": fmt.Sprintf("kafka:%d", port(t, listeners["CONTAINERS"])),
		"HOST":       "127.0.0.1:" + publishedFor(t, p, "kafka", port(t, listeners["HOST"])),
		"CLASS":      classAddress + ":" + publishedFor(t, p, "kafka", port(t, listeners["CLASS"])),
	} {
		if advertised[name] != want {
			t.Errorf("%s is advertised as %s, reachable as %s", name, advertised[name], want)
		}
	}
	if len(advertised) != 3 {
		t.Errorf("advertised %v", advertised)
	}
	for _, client := range []string{
		*p.Services["jupyter"].Environment["KAFKA_BOOTSTRAP_SERVERS"],
		*p.Services["kafka-ui"].Environment["KAFKA_CLUSTERS_0_BOOTSTRAPSERVERS"],
	} {
		if client != advertised["CONTAINERS"] {
			t.Errorf("a container asks %s, Kafka is at %s", client, advertised["CONTAINERS"])
		}
	}
	if check := strings.Join(kafka.HealthCheck.Test, " "); !strings.Contains(check, "--bootstrap-server "+advertised["CONTAINERS"]+" ") {
		t.Errorf("healthcheck %s does not ask %s", check, advertised["CONTAINERS"])
	}
	for name := range kafka.Environment {
		if name == "KAFKA_PORT" || strings.HasPrefix(name, "KAFKA_SASL") || !strings.HasPrefix(name, "KAFKA_") {
			t.Errorf("the image makes a property of the broker of %s", name)
		}
	}
}

// TestHealthchecksAskPublishedPorts: they ask what the outside is to use, from
// within.
func TestHealthchecksAskPublishedPorts(t *testing.T) {
	for name, service := range project(t, []string{stack}).Services {
		asks := 0
		for _, word := range service.HealthCheck.Test {
			if !strings.HasPrefix(word, "http") {
				continue
			}
			asks++
			asked, err := url.Parse(word)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(service.Ports, func(p types.ServicePortConfig) bool { return fmt.Sprint(p.Target) == asked.Port() }) {
				t.Errorf("%s: nothing is published of %s", name, word)
			}
		}
		// curl's exit status is else that of the last address.
		if asks > 1 && !slices.Contains(service.HealthCheck.Test, "--fail-early") {
			t.Errorf("%s: only the last of %d addresses counts", name, asks)
		}
	}
}

// TestDockerfilesCopyWhatIsSent: what .dockerignore holds back cannot be copied.
func TestDockerfilesCopyWhatIsSent(t *testing.T) {
	sent := strings.Split(strings.TrimSpace(text(t, "../.dockerignore")), "\n")
	if !slices.Contains(sent, "*") {
		t.Fatal(".dockerignore sends everything, .env included")
	}
	copied := 0
	for _, match := range regexp.MustCompile(`(?m)^COPY (?:--chmod=\S+ )?([^-\n].*) \S+$`).FindAllStringSubmatch(text(t, "../.binder/Dockerfile"), -1) {
		for _, source := range strings.Fields(match[1]) {
			copied++
			if _, err := os.Stat(filepath.Join("..", source)); err != nil {
				t.Error(err)
			}
			if !slices.ContainsFunc(sent, func(line string) bool {
				kept, ok := strings.CutPrefix(line, "!")
				return ok && (source == kept || strings.HasPrefix(source, kept+"/"))
			}) {
				t.Errorf("%s is copied, but .dockerignore does not send it", source)
			}
		}
	}
	if copied != 9 {
		t.Errorf("found only %d copied paths", copied)
	}
	entrypoint := submatch(t, "../.binder/Dockerfile", `(?m)^ENTRYPOINT \["/work/(.*)"\]$`)
	if info, err := os.Stat(filepath.Join("..", entrypoint)); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("%s cannot be run: %v", entrypoint, err)
	}
	first := submatch(t, "../.binder/Dockerfile", `default_url=/lab/tree/([^"]+)"`)
	if _, err := os.Stat(filepath.Join("../notebooks", first)); err != nil {
		t.Error(err)
	}
	build := project(t, []string{stack}).Services["jupyter"].Build
	if want, _ := filepath.Abs("../.binder/Dockerfile"); filepath.Join(build.Context, build.Dockerfile) != want {
		t.Errorf("compose builds %s in %s, want %s", build.Dockerfile, build.Context, want)
	}
}

func TestDevcontainer(t *testing.T) {
	var config struct {
		Build struct{ Dockerfile, Context, Target string }

		RemoteUser       string
		RemoteEnv        map[string]string
		OnCreateCommand  string
		PostStartCommand string
		ForwardPorts     []int
		Customizations   struct {
			Codespaces struct{ OpenFiles []string }
		}
	}
	if err := json.Unmarshal([]byte(text(t, "../.devcontainer/devcontainer.json")), &config); err != nil {
		t.Fatal(err)
	}
	dockerfile := filepath.Join("../.devcontainer", config.Build.Dockerfile)
	if stages := text(t, dockerfile); !strings.Contains(stages, " AS "+config.Build.Target+"\n") {
		t.Errorf("%s has no stage %s", dockerfile, config.Build.Target)
	}
	if filepath.Join("../.devcontainer", config.Build.Context) != ".." {
		t.Errorf("context %s is not the repository", config.Build.Context)
	}
	if user := submatch(t, dockerfile, `useradd .* (\S+)\n`); user != config.RemoteUser {
		t.Errorf("remoteUser %s, the image has %s", config.RemoteUser, user)
	}
	if target, ok := strings.CutPrefix(config.OnCreateCommand, "make "); !ok || !strings.Contains(text(t, "../Makefile"), "\n"+target+":") {
		t.Errorf("onCreateCommand %q is no target of the Makefile", config.OnCreateCommand)
	}
	if config.PostStartCommand != ".bin/lakekit up" || config.RemoteEnv["JUPYTER_PATH"] != "${containerWorkspaceFolder}/.jupyter" {
		t.Errorf("services %q, kernels in %q", config.PostStartCommand, config.RemoteEnv)
	}
	if !slices.Equal(config.ForwardPorts, []int{8888, 8080}) {
		t.Errorf("forwarded ports %v", config.ForwardPorts)
	}
	for _, file := range config.Customizations.Codespaces.OpenFiles {
		if _, err := os.Stat(filepath.Join("..", file)); err != nil {
			t.Error(err)
		}
	}
}
