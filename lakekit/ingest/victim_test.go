package ingest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/broker"
)

// These make a run of this test binary a query, or a broker, to be killed.
const (
	victimQuery  = "INGEST_TEST_QUERY"
	victimBroker = "INGEST_TEST_BROKER"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(victimQuery); text != "" {
		die(runVictimQuery(text))
	}
	if text := os.Getenv(victimBroker); text != "" {
		die(runVictimBroker(text))
	}
	os.Exit(m.Run())
}

const victimFailed = 3

func die(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(victimFailed)
}

// queryOrder says what a victim is to run.
type queryOrder struct {
	Servers, Topic, Dir  string
	MaxOffsetsPerTrigger int64
}

// runVictimQuery streams until it is killed or fails.
func runVictimQuery(text string) error {
	var order queryOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		return err
	}
	store, err := blob.OpenDir(order.Dir)
	if err != nil {
		return err
	}
	o := queryOptions(order.Servers).on(store)
	o.Subscribe, o.MaxOffsetsPerTrigger = []string{order.Topic}, order.MaxOffsetsPerTrigger
	o.Trigger = ProcessingTime(time.Millisecond)
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	q, err := Start(context.Background(), o)
	if err != nil {
		return err
	}
	fmt.Println("started")
	return errors.Join(errors.New("the query ended"), q.AwaitTermination(context.Background()))
}

type brokerOrder struct {
	Dir  string
	Port int
}

func runVictimBroker(text string) error {
	var order brokerOrder
	if err := json.Unmarshal([]byte(text), &order); err != nil {
		return err
	}
	return broker.Run(context.Background(), broker.Options{Dir: order.Dir, Port: order.Port, Ready: func(addr string) { fmt.Println(addr) }})
}

// victim is a process that a test kills.
type victim struct {
	t      testing.TB
	cmd    *exec.Cmd
	out    *bufio.Reader
	errors strings.Builder
	ended  bool
}

func startVictim(t testing.TB, variable string, order any, environment ...string) *victim {
	t.Helper()
	text, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	v := &victim{t: t, cmd: exec.Command(os.Args[0])}
	v.cmd.Env = append(append(os.Environ(), variable+"="+string(text)), environment...)
	v.cmd.Stderr = &v.errors
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.out = bufio.NewReader(out)
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.kill)
	return v
}

// line is what the process says when it is ready.
func (v *victim) line() string {
	v.t.Helper()
	line, err := v.out.ReadString('\n')
	if err != nil {
		v.kill()
		v.t.Fatalf("the victim did not start: %v: %s", err, v.errors.String())
	}
	return strings.TrimSpace(line)
}

// kill is kill -9; it waits until the process is gone.
func (v *victim) kill() {
	if !v.ended {
		v.ended = true
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	}
}

// await waits until the process ends by itself, and says by which signal.
func (v *victim) await() syscall.Signal {
	v.t.Helper()
	bound := time.AfterFunc(patience, func() { _ = v.cmd.Process.Signal(syscall.SIGABRT) })
	defer bound.Stop()
	v.ended = true
	_ = v.cmd.Wait()
	return v.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()
}
