package class

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"taxilake/lakekit/settings"
)

// TestOpenRefuses: what cannot become a class is refused before anything is
// asked of a service.
func TestOpenRefuses(t *testing.T) {
	reached := settings.Class{Kafka: "192.168.1.10:9094", Endpoint: "http://192.168.1.10:9000"}
	for _, test := range []struct {
		name     string
		settings settings.Settings
		want     error
	}{
		{"embedded", settings.Settings{Profile: settings.Embedded, Class: reached}, ErrProfile},
		{"cloud", settings.Settings{Profile: settings.Cloud, Class: reached}, ErrProfile},
		{"no address", settings.Settings{Profile: settings.Docker}, ErrAddress},
	} {
		if group, err := Open(t.Context(), &test.settings, Options{Lifetime: time.Hour, Folder: t.TempDir()}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, %v, want %v", test.name, group, err, test.want)
		}
	}
}

// TestStudentsSettings: whatever is in a password, the student's lakekit reads it
// as it is.
func TestStudentsSettings(t *testing.T) {
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "go.mod"), []byte("module taxilake\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(home, ".env")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	const secret = `a$b "c" #d=`
	err := writeEnv(path, []settings.Setting{
		{Name: "LAKEKIT_PROFILE", Value: settings.Docker},
		{Name: "LAKEKIT_WORKSPACE", Value: "alice"},
		{Name: "KAFKA_BOOTSTRAP_SERVERS", Value: "192.168.1.10:9094"},
		{Name: "KAFKA_SASL_PASSWORD", Value: secret},
		{Name: "OSS_ENDPOINT", Value: "http://192.168.1.10:9000"},
		{Name: "OSS_ACCESS_KEY_ID", Value: "id"},
		{Name: "OSS_ACCESS_KEY_SECRET", Value: secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others can read it: %v, %v", info.Mode(), err)
	}
	for _, name := range []string{"LAKEKIT_PROFILE", "LAKEKIT_WORKSPACE", "LAKEKIT_STATE", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_SASL_PASSWORD", "OSS_ENDPOINT", "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET"} {
		t.Setenv(name, "") // which puts it back at the end
		os.Unsetenv(name)
	}
	t.Setenv("LAKEKIT_HOME", home)
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	got := [...]string{s.Topic, s.Table, s.Kafka.Servers(), s.Kafka["sasl.password"], s.OSS.Endpoint, s.OSS.Secret.Reveal()}
	want := [...]string{"alice.nyc_taxi_data", "oss://lake/alice/delta/taxi_record", "192.168.1.10:9094", secret, "http://192.168.1.10:9000", secret}
	if got != want {
		t.Errorf("the student's lakekit uses %q, want %q", got, want)
	}
}
