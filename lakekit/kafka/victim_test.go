package kafka_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"taxilake/lakekit/broker"
)

// victimDir makes a run of this test binary a broker, to be killed.
const (
	victimDir  = "KAFKA_TEST_BROKER_DIR"
	victimPort = "KAFKA_TEST_BROKER_PORT"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(victimDir)
	if dir == "" {
		os.Exit(m.Run())
	}
	port, err := strconv.Atoi(os.Getenv(victimPort))
	if err == nil {
		err = broker.Run(context.Background(), broker.Options{Dir: dir, Port: port, Ready: func(addr string) { fmt.Println(addr) }})
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// victim is a broker in a process of its own.
type victim struct {
	addr   string
	killed bool
	cmd    *exec.Cmd
}

func startVictim(t *testing.T, dir string, port int) *victim {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDir+"="+dir, victimPort+"="+strconv.Itoa(port))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	v := &victim{cmd: cmd}
	t.Cleanup(v.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process did not start: %v", err)
	}
	v.addr = strings.TrimSpace(line)
	return v
}

// kill is kill -9; it waits until the process is gone.
func (v *victim) kill() {
	if !v.killed {
		v.killed = true
		v.cmd.Process.Kill()
		v.cmd.Wait()
	}
}
