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
// LAKEKIT_REAL_KAFKA: both must answer alike. docker/real.sh installs the
// clients, and Java's are among the jars of Kafka.
func TestRealClients(t *testing.T) {
	installed, kafka := os.Getenv("LAKEKIT_REAL_CLIENTS"), os.Getenv("LAKEKIT_REAL_KAFKA")
	if installed == "" || kafka == "" {
		t.Skip("LAKEKIT_REAL_CLIENTS or LAKEKIT_REAL_KAFKA is not set: make test-real sets them")
	}
	calls := filepath.Join("testdata", "clients")
	python := filepath.Join(installed, "venv", "bin", "python")
	java := filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java")
	if os.Getenv("JAVA_HOME") == "" {
		java = "java"
	}
	embedded, _ := serve(t, t.TempDir())
	for _, client := range []struct {
		name    string
		command []string
	}{
		{"confluent-kafka", []string{python, filepath.Join(calls, "confluent_calls.py")}},
		{"kafka-python", []string{python, filepath.Join(calls, "kafka_python_calls.py")}},
		{"java", []string{
			java, "-Xmx256m", "-XX:TieredStopAtLevel=1", "-Dlog4j2.level=ERROR", // a run of seconds needs no more of a compiler
			"-cp", filepath.Join(installed, "..", "kafka", "lib", "*"), filepath.Join(calls, "KafkaCalls.java"),
		}},
	} {
		for _, broker := range []struct{ name, addr string }{{"embedded", embedded}, {"Apache Kafka", kafka}} {
			t.Run(client.name+"/"+broker.name, func(t *testing.T) {
				t.Parallel() // they mostly wait
				command := exec.CommandContext(t.Context(), client.command[0], append(client.command[1:], broker.addr)...)
				command.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
				output, err := command.CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(output)), "done") {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
	}
}
