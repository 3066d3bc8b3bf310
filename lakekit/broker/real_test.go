package broker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRealClients runs the calls of other clients of Kafka, as they are in
// testdata/clients, on the embedded broker and on the Apache Kafka at
// LAKEKIT_REAL_KAFKA: both must answer alike. docker/real.sh clients installs
// them.
func TestRealClients(t *testing.T) {
	installed, kafka := os.Getenv("LAKEKIT_REAL_CLIENTS"), os.Getenv("LAKEKIT_REAL_KAFKA")
	if installed == "" || kafka == "" {
		t.Skip("LAKEKIT_REAL_CLIENTS or LAKEKIT_REAL_KAFKA is not set: make test-real sets them")
	}
	python := filepath.Join(installed, "venv", "bin", "python")
	embedded, _ := serve(t, t.TempDir())
	for _, client := range []struct {
		name    string
		command []string
	}{
		{"confluent-kafka", []string{python, "confluent_calls.py"}},
		{"kafka-python", []string{python, "kafka_python_calls.py"}},
	} {
		for _, broker := range []struct{ name, addr string }{{"embedded", embedded}, {"Apache Kafka", kafka}} {
			t.Run(client.name+"/"+broker.name, func(t *testing.T) {
				t.Parallel() // they mostly wait
				command := exec.CommandContext(t.Context(), client.command[0], append(client.command[1:], broker.addr)...)
				command.Dir = filepath.Join("testdata", "clients")
				command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
				output, err := command.CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(output)), "done") {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
	}
}
