package jupyter

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestLeaksAreFound(t *testing.T) {
	const secrets = `{"token": "t0ken", "access_key_id": "id", "access_key_secret": "s3cret"}`
	for _, test := range []struct {
		name, file, content, variable string
		status                        int
		says                          string
	}{
		{"nothing", "server.log", "access key id, and no more", "", 0, "2 secrets in none of 1 files"},
		{"token in a page", "lesson.html", "<a href='?token=t0ken'>", "", 1, "a secret is in "},
		{"key in a log", "log/oss.log", "signing with s3cret", "", 1, "log/oss.log"},
		{"of the environment", "lesson.ipynb", "from-elsewhere", "from-elsewhere", 1, "lesson.ipynb"},
		{"where it belongs", "secrets.json", secrets, "", 1, "no file to look at"},
	} {
		t.Run(test.name, func(t *testing.T) {
			state, folder := t.TempDir(), t.TempDir()
			path := filepath.Join(folder, test.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			for file, content := range map[string]string{filepath.Join(state, "secrets.json"): secrets, path: test.content} {
				if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			look := exec.Command("python3", "leaks.py", state, folder)
			look.Env = append(os.Environ(), "KAFKA_SASL_PASSWORD="+test.variable)
			told, _ := look.CombinedOutput()
			if look.ProcessState.ExitCode() != test.status || !strings.Contains(string(told), test.says) {
				t.Errorf("status %d, want %d and %q:\n%s", look.ProcessState.ExitCode(), test.status, test.says, told)
			}
			if strings.Contains(string(told), "t0ken") || strings.Contains(string(told), "s3cret") {
				t.Errorf("the secret itself is told: %s", told)
			}
		})
	}
}
