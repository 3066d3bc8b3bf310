package ossserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealClients runs the calls of other clients of OSS, as they are in
// testdata/clients, each on a store of its own, by V1 and V4 signatures.
// docker/real.sh clients installs them.
func TestRealClients(t *testing.T) {
	installed := os.Getenv("LAKEKIT_REAL_CLIENTS")
	if installed == "" {
		t.Skip("LAKEKIT_REAL_CLIENTS is not set: make test-real sets it")
	}
	python := filepath.Join(installed, "venv", "bin", "python")
	for _, client := range []struct {
		name    string
		command []string
	}{
		{"oss2", []string{python, "oss2_calls.py"}},
		{"alibabacloud_oss_v2", []string{python, "v2_calls.py"}},
		{"ali-oss", []string{"node", "ali_oss_calls.js"}},
	} {
		for _, version := range []string{"v1", "v4"} {
			t.Run(client.name+"/"+version, func(t *testing.T) {
				url, _ := start(t, nil)
				arguments := append(client.command[1:], url, accessKeyID, accessKeySecret, region, version)
				command := exec.CommandContext(t.Context(), client.command[0], arguments...)
				command.Dir = filepath.Join("testdata", "clients")
				command.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(installed, "node_modules"), "PYTHONDONTWRITEBYTECODE=1", "NO_PROXY=127.0.0.1")
				output, err := command.CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(output)), "done") {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
	}
}
