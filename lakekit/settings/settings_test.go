package settings_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"taxilake/lakekit/settings"
)

// repository makes a folder that passes for the repository.
func repository(t *testing.T, env string) string {
	t.Helper()
	home := t.TempDir()
	write(t, filepath.Join(home, "go.mod"), "module taxilake\n\ngo 1.26.0\n")
	if env != "" {
		write(t, filepath.Join(home, ".env"), env)
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		for _, prefix := range []string{"LAKEKIT_", "KAFKA_", "OSS_"} {
			if strings.HasPrefix(name, prefix) {
				t.Setenv(name, "") // which puts it back in the end
				os.Unsetenv(name)
			}
		}
	}
	return home
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadFindsTheRepositoryFromAnyFolderInIt(t *testing.T) {
	home := repository(t, "")
	below := filepath.Join(home, "notebooks", "deep")
	if err := os.MkdirAll(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(below)
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	if found, _ := filepath.EvalSymlinks(s.Home); found != home {
		if resolved, _ := filepath.EvalSymlinks(home); found != resolved {
			t.Errorf("home %s, want %s", s.Home, home)
		}
	}
	if want := filepath.Join(s.Home, ".lakekit"); s.State != want {
		t.Errorf("state %s, want %s", s.State, want)
	}
}

func TestLoadOutsideTheRepository(t *testing.T) {
	repository(t, "")
	t.Chdir(t.TempDir())
	if _, err := settings.Load(); err == nil || !strings.Contains(err.Error(), "not inside the taxilake repository") {
		t.Errorf("error %v", err)
	}
}

// TestWorkshopOutsideTheRepository: an installed lakekit works in any folder that is
// marked as a workshop's, from anywhere inside of it or by LAKEKIT_HOME, and makes
// none of a folder by accident.
func TestWorkshopOutsideTheRepository(t *testing.T) {
	t.Setenv("LAKEKIT_HOME", "")
	t.Setenv("LAKEKIT_STATE", "")
	t.Setenv("LAKEKIT_PROFILE", "")
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(home, "notes", "june")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(inside)
	if err := os.WriteFile(filepath.Join(home, ".lakekit"), nil, 0o600); err != nil { // a file is no mark
		t.Fatal(err)
	}
	if _, err := settings.Load(); err == nil || !strings.Contains(err.Error(), "`mkdir .lakekit`") {
		t.Errorf("a folder without a mark: %v", err)
	}
	os.Remove(filepath.Join(home, ".lakekit"))
	if err := os.Mkdir(filepath.Join(home, ".lakekit"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, variable := range []string{"", home} {
		t.Setenv("LAKEKIT_HOME", variable)
		if variable != "" {
			t.Chdir(t.TempDir())
		}
		s, err := settings.Load()
		if err != nil || s.Home != home || s.State != filepath.Join(home, ".lakekit") {
			t.Fatalf("LAKEKIT_HOME=%q: %+v, %v", variable, s, err)
		}
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct {
		name, env                            string
		topic, table, checkpoint, deadLetter string
		wantError                            string
	}{
		{name: "course", topic: "nyc_taxi_data", table: "oss://lake/delta/taxi_record",
			checkpoint: "oss://lake/checkpoints/taxi_record", deadLetter: "oss://lake/delta/taxi_record_dead_letters"},
		{name: "workspace", env: "# a class\nexport LAKEKIT_WORKSPACE=\"alice\"\n", topic: "alice.nyc_taxi_data", table: "oss://lake/alice/delta/taxi_record",
			checkpoint: "oss://lake/alice/checkpoints/taxi_record", deadLetter: "oss://lake/alice/delta/taxi_record_dead_letters"},
		{name: "workspace that leaves its folder", env: "LAKEKIT_WORKSPACE=../bob", wantError: `LAKEKIT_WORKSPACE: "../bob" cannot be used`},
		{name: "comment behind a value", env: "\ufeffLAKEKIT_WORKSPACE=alice # of the class\n", topic: "alice.nyc_taxi_data", table: "oss://lake/alice/delta/taxi_record",
			checkpoint: "oss://lake/alice/checkpoints/taxi_record", deadLetter: "oss://lake/alice/delta/taxi_record_dead_letters"},
		{name: "misspelt setting", env: "\nLAKEKIT_STAET=/x\n", wantError: ".env line 2: there is no setting LAKEKIT_STAET; there are LAKEKIT_HOME"},
		{name: "no name", env: "=x\n", wantError: ".env line 1: want NAME=value"},
		{name: "home folder", env: "LAKEKIT_STATE=~/x\n", wantError: "write the value of LAKEKIT_STATE in full"},
		{name: "variable", env: "LAKEKIT_STATE=$HOME/x\n", wantError: "write the value of LAKEKIT_STATE in full"},
		{name: "address for a container", env: "LAKEKIT_LISTEN=everywhere\n", wantError: `LAKEKIT_LISTEN="everywhere" is not an IP address`},
		{name: "endless line", env: "X=" + strings.Repeat("x", 100_000), wantError: ".env: "},
		{name: "unknown time zone", env: "LAKEKIT_TIMEZONE=Mars/Foo", wantError: `LAKEKIT_TIMEZONE="Mars/Foo" is not a time zone`},
		{name: "unknown profile", env: "LAKEKIT_PROFILE=moon", wantError: `LAKEKIT_PROFILE="moon" is not a profile`},
		{name: "line without a value", env: "LAKEKIT_PROFILE\n", wantError: ".env line 1: want NAME=value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(repository(t, test.env))
			s, err := settings.Load()
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("error %v, want %s", err, test.wantError)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := [4]string{s.Topic, s.Table, s.Checkpoint, s.DeadLetters}
			if want := [4]string{test.topic, test.table, test.checkpoint, test.deadLetter}; got != want {
				t.Errorf("names %q, want %q", got, want)
			}
		})
	}
}

func TestEnvironmentGoesBeforeTheFile(t *testing.T) {
	t.Chdir(repository(t, "LAKEKIT_WORKSPACE=alice\n"))
	t.Setenv("LAKEKIT_WORKSPACE", "bob")
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Workspace != "bob" {
		t.Errorf("workspace %q", s.Workspace)
	}
	t.Setenv("LAKEKIT_WORKSPACE", "")
	if s, err = settings.Load(); err != nil || s.Workspace != "" {
		t.Errorf("workspace %q (%v) with a variable set to nothing", s.Workspace, err)
	}
}

func TestTableURI(t *testing.T) {
	t.Chdir(repository(t, ""))
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{
		"trips":              "oss://lake/delta/trips",
		"oss://lake/other/t": "oss://lake/other/t",
		"oss://lake/delta/":  "oss://lake/delta",
		"/data/t":            "/data/t",
	} {
		if got := s.TableURI(given); got != want {
			t.Errorf("TableURI(%q) = %q, want %q", given, got, want)
		}
	}
}

func TestSecretsAreMadeOnceAndShownNowhere(t *testing.T) {
	home := repository(t, "")
	t.Chdir(home)
	state := filepath.Join(home, ".lakekit")
	var tokens []string
	for range 2 {
		if err := settings.CreateSecrets(state); err != nil {
			t.Fatal(err)
		}
		s, err := settings.Load()
		if err != nil {
			t.Fatal(err)
		}
		asJSON, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		token, secret := s.Server.Token.Reveal(), s.OSS.Secret.Reveal()
		if len(token) < 20 || len(secret) < 20 {
			t.Fatalf("token of %d and secret of %d characters", len(token), len(secret))
		}
		for _, shown := range []string{string(asJSON), fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", *s)} {
			if strings.Contains(shown, token) || strings.Contains(shown, secret) {
				t.Errorf("a secret is shown in %s", shown)
			}
		}
		tokens = append(tokens, token)
	}
	if tokens[0] != tokens[1] {
		t.Error("the token of an old state folder was replaced")
	}
	info, err := os.Stat(filepath.Join(state, "secrets.json"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("secrets.json has mode %v", info.Mode())
	}
}

func TestRelativeStateFolderIsBelowTheRepository(t *testing.T) {
	home := repository(t, "LAKEKIT_STATE=elsewhere\n")
	t.Chdir(filepath.Join(home))
	t.Setenv("LAKEKIT_HOME", home)
	t.Chdir(t.TempDir())
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(home, "elsewhere"); s.State != want {
		t.Errorf("state folder %s, want %s", s.State, want)
	}
}

func TestHomeThatIsNotTheRepository(t *testing.T) {
	repository(t, "")
	t.Setenv("LAKEKIT_HOME", t.TempDir())
	if _, err := settings.Load(); err == nil || !strings.Contains(err.Error(), "is not the taxilake repository") {
		t.Errorf("error %v", err)
	}
}

// Where other services are is not said for nothing.
func TestServicesWithoutAProfile(t *testing.T) {
	for file, says := range map[string]string{
		"KAFKA_BOOTSTRAP_SERVERS=a:9092\n":                           "KAFKA_BOOTSTRAP_SERVERS, but no LAKEKIT_PROFILE",
		"OSS_ENDPOINT=https://oss-cn-hangzhou.aliyuncs.com\n":        "LAKEKIT_PROFILE=cloud",
		"KAFKA_BOOTSTRAP_SERVERS=a:9092\nLAKEKIT_PROFILE=embedded\n": "",
		"OSS_ACCESS_KEY_ID=a\nOSS_ACCESS_KEY_SECRET=b\n":             "", // as docker-up writes them
	} {
		t.Chdir(repository(t, file))
		_, err := settings.Load()
		if (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error %v, want one saying %q", file, err, says)
		}
	}
}

func TestDamagedState(t *testing.T) {
	home := repository(t, "")
	t.Chdir(home)
	write(t, filepath.Join(home, ".lakekit", "run", "broker.json"), "{")
	if _, err := settings.Load(); err != nil {
		t.Errorf("a damaged address is not taken as absent: %v", err)
	}
	for _, text := range []string{"", "{", "{}", `{"token":"a"}`} {
		write(t, filepath.Join(home, ".lakekit", "secrets.json"), text)
		if _, err := settings.Load(); err == nil || !strings.Contains(err.Error(), "secrets.json is damaged") || !strings.Contains(err.Error(), "delete that file") {
			t.Errorf("%q: error %v", text, err)
		}
	}
	// What cannot be read at all is not to be deleted.
	t.Setenv("LAKEKIT_STATE", filepath.Join(home, "go.mod"))
	if _, err := settings.Load(); err == nil || strings.Contains(err.Error(), "delete") || !strings.Contains(err.Error(), "LAKEKIT_STATE says which folder") {
		t.Errorf("a file for the state folder: %v", err)
	}
}

func TestWhatAWorkspaceReaches(t *testing.T) {
	alice := settings.Settings{Workspace: "alice", SharedWorkspaces: []string{"teacher"}, OSS: settings.OSS{Bucket: "lake"}}
	nobody := settings.Settings{OSS: settings.OSS{Bucket: "lake"}}
	const all, reading, none = "change", "read", ""
	for _, test := range []struct{ topic, alice string }{
		{"alice.nyc_taxi_data", all}, {"alice.", all}, {"teacher.nyc_taxi_data", reading},
		{"bob.nyc_taxi_data", none}, {"nyc_taxi_data", none}, {"alice2.t", none}, {"alice", none}, {"alice-2.t", none}, {"Alice.t", none}, {"", none}, {".alice", none}, {"teacher", none},
	} {
		for use, may := range map[settings.Use]bool{settings.Read: test.alice != none, settings.Change: test.alice == all} {
			if err := alice.CheckTopic(test.topic, use); (err == nil) != may || err != nil && !errors.Is(err, settings.ErrOutside) {
				t.Errorf("alice, %s topic %q: %v", use, test.topic, err)
			}
			if err := nobody.CheckTopic(test.topic, use); err != nil {
				t.Errorf("without a workspace, %s topic %q: %v", use, test.topic, err)
			}
		}
	}
	for _, test := range []struct{ uri, key, alice string }{
		{"oss://lake/alice/delta/t", "alice/delta/t", all}, {"oss://lake/alice/delta/t/", "alice/delta/t", all}, {"oss://lake/alice", "alice", all},
		{"oss://lake/teacher/delta/t", "teacher/delta/t", reading},
		{"oss://lake/bob/t", "bob/t", none}, {"oss://lake/alice2/t", "alice2/t", none}, {"oss://lake/delta/t", "delta/t", none}, {"oss://lake/ALICE/t", "ALICE/t", none},
		{"oss://lake", "", none}, {"oss://lake/", "", none},
	} {
		for use, may := range map[settings.Use]bool{settings.Read: test.alice != none, settings.Change: test.alice == all} {
			key, err := alice.CheckAddress(test.uri, use)
			if (err == nil) != may || key != test.key || err != nil && !errors.Is(err, settings.ErrOutside) {
				t.Errorf("alice, %s %s: %q, %v", use, test.uri, key, err)
			}
			if key, err := nobody.CheckAddress(test.uri, use); err != nil || key != test.key {
				t.Errorf("without a workspace, %s %s: %q, %v", use, test.uri, key, err)
			}
		}
	}
	for _, uri := range []string{"", "alice/t", "oss://lakes/alice/t", "oss://lake/alice/../bob/t", `oss://lake/alice/..\..\bob`, "oss://lake//alice/t", "oss://lake/alice//t", "s3://lake/alice/t",
		"oss://lake/alice/a\nb", "oss://lake/alice/a\x01", "oss://lake/alice/ ", "oss://lake/alice/t "} {
		if key, err := alice.CheckAddress(uri, settings.Read); err == nil || key != "" || errors.Is(err, settings.ErrOutside) {
			t.Errorf("%q is taken for the key %q (%v)", uri, key, err)
		}
	}
}

func TestSharedWorkspaces(t *testing.T) {
	for value, want := range map[string]string{"": "[]", "teacher": "[teacher]", "a, b": "[a b]", " a ,,b ": "[a b]"} {
		t.Chdir(repository(t, "LAKEKIT_SHARED_WORKSPACES='"+value+"'\n"))
		s, err := settings.Load()
		if err != nil || fmt.Sprint(s.SharedWorkspaces) != want {
			t.Errorf("%q is read as %v (%v), want %s", value, s.SharedWorkspaces, err, want)
		}
	}
	t.Chdir(repository(t, "LAKEKIT_SHARED_WORKSPACES=teacher/\n"))
	if _, err := settings.Load(); err == nil || !strings.Contains(err.Error(), "LAKEKIT_SHARED_WORKSPACES") {
		t.Errorf("teacher/ is answered with %v", err)
	}
}
