package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/query"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
	"taxilake/lakekit/taxi"
)

// TestMain lets this test binary be the program under test: a link to it named
// lakekit runs main.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "lakekit" {
		main()
	}
	os.Exit(m.Run())
}

// workshop is the program with a state folder of its own.
type workshop struct {
	t       *testing.T
	program string
	home    string
	state   string
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := newUsualWorkshop(t)
	// Ports of its own, as if they had been its ports before: a service that
	// a test kills must not find another test's in its place.
	for _, role := range settings.AllRoles {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := settings.WriteProcess(w.state, role, settings.Process{Address: l.Addr().String()}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// newUsualWorkshop begins with the usual ports.
func newUsualWorkshop(t *testing.T) *workshop {
	t.Helper()
	home, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{t: t, program: filepath.Join(t.TempDir(), "lakekit"), home: home, state: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, w.program); err != nil {
		copyFile(t, self, w.program)
	}
	t.Cleanup(func() {
		w.run("down")
		if t.Failed() {
			w.showLogs()
		}
	})
	return w
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	source, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(target, source); err != nil {
		t.Fatal(err)
	}
	if err := target.Close(); err != nil {
		t.Fatal(err)
	}
}

func (w *workshop) showLogs() {
	logs, _ := filepath.Glob(filepath.Join(w.state, "log", "*.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		w.t.Logf("%s:\n%s", filepath.Base(path), text[max(0, len(text)-8000):])
	}
}

type outcome struct {
	stdout, stderr string
	status         int
}

func (w *workshop) command(args ...string) *exec.Cmd {
	c := exec.Command(w.program, args...)
	c.Env = append(os.Environ(), "LAKEKIT_HOME="+w.home, "LAKEKIT_STATE="+w.state, "LAKEKIT_PROFILE=", "LAKEKIT_WORKSPACE=", "LAKEKIT_TIMEZONE=", "LAKEKIT_LISTEN=")
	return c
}

func (w *workshop) run(args ...string) outcome {
	w.t.Helper()
	var stdout, stderr bytes.Buffer
	c := w.command(args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	err := c.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		w.t.Fatalf("lakekit %s: %v", strings.Join(args, " "), err)
	}
	return outcome{stdout.String(), stderr.String(), c.ProcessState.ExitCode()}
}

// does runs a command that has to succeed and returns what it printed.
func (w *workshop) does(args ...string) string {
	w.t.Helper()
	o := w.run(args...)
	if o.status != 0 {
		w.t.Fatalf("lakekit %s: status %d\n%s%s", strings.Join(args, " "), o.status, o.stdout, o.stderr)
	}
	return o.stdout
}

// fails runs a command that has to end with a status and a message.
func (w *workshop) fails(status int, message string, args ...string) {
	w.t.Helper()
	o := w.run(args...)
	if o.status != status || !regexp.MustCompile(message).MatchString(o.stderr+o.stdout) {
		w.t.Errorf("lakekit %s: status %d, want %d and a message matching %q\n%s%s", strings.Join(args, " "), o.status, status, message, o.stdout, o.stderr)
	}
}

func (w *workshop) settings() *settings.Settings {
	w.t.Helper()
	w.t.Setenv("LAKEKIT_HOME", w.home)
	w.t.Setenv("LAKEKIT_STATE", w.state)
	w.t.Setenv("LAKEKIT_PROFILE", "")
	w.t.Setenv("LAKEKIT_WORKSPACE", "")
	s, err := settings.Load()
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *workshop) kill(role settings.Role) {
	w.t.Helper()
	if err := services.Kill(w.settings(), role); err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) count(table string) int64 {
	w.t.Helper()
	var row struct{ N int64 }
	out := w.does("sql", "select count(*) as N from "+table, "--format", "json")
	if err := json.Unmarshal([]byte(out), &row); err != nil {
		w.t.Fatalf("%v in %s", err, out)
	}
	return row.N
}

func (w *workshop) stream() api.StreamStatus {
	w.t.Helper()
	var status api.StreamStatus
	if err := json.Unmarshal([]byte(w.does("stream", "status", "--json")), &status); err != nil {
		w.t.Fatal(err)
	}
	return status
}

func (w *workshop) verified() api.Verdict {
	w.t.Helper()
	var verdict api.Verdict
	o := w.run("verify", "--wait", "--json")
	if err := json.Unmarshal([]byte(o.stdout), &verdict); err != nil {
		w.t.Fatalf("verify: %v\n%s%s", err, o.stdout, o.stderr)
	}
	if !verdict.OK || o.status != 0 {
		w.t.Fatalf("verify: status %d: %s", o.status, o.stdout)
	}
	return verdict
}

// until asks again and again; the bound only ends a test that has failed.
func until(t *testing.T, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not reached", what)
		}
	}
}

func TestCourseOnTheCommandLine(t *testing.T) {
	w := newWorkshop(t)
	w.fails(statusFailed, "make up", "topic", "list")
	w.does("up")
	if out := w.does("up"); strings.Count(out, "already running") != 3 {
		t.Errorf("second up:\n%s", out)
	}
	w.does("doctor")

	w.fails(statusFailed, "nyc_taxi_data.*does not exist", "topic", "describe")
	w.fails(statusFailed, "does not exist", "traffic", "--records", "10")
	w.does("topic", "create")
	w.does("topic", "create")
	w.fails(statusFailed, "3.*6|6.*3", "topic", "create", "--partitions", "6")
	w.does("topic", "create", "wide", "--partitions", "5")
	if out := w.does("topic", "create", "wide"); !strings.Contains(out, "in 5 partitions") {
		t.Errorf("a topic that is there, no number of partitions asked for:\n%s", out)
	}
	w.does("traffic", "--records", "20000", "--rate", "0")
	if out := w.does("topic", "browse", "--limit", "2"); strings.Count(out, `"fare_amount"`) != 2 {
		t.Errorf("browse --limit 2:\n%s", out)
	}

	w.fails(statusFailed, "there is no table taxi_record", "table", "describe")
	w.fails(statusFailed, "taxi_record", "stream", "start")
	w.does("table", "create")
	w.does("table", "create")
	w.fails(statusFailed, "autoCompakt", "table", "create", "other", "--property", "delta.autoOptimize.autoCompakt=true")
	w.fails(statusFailed, "holds the table oss://lake/delta/taxi_record", "table", "create", "oss://lake/delta")
	w.fails(statusFailed, "lies in the table oss://lake/delta/taxi_record", "table", "create", "oss://lake/delta/taxi_record/day")
	w.does("stream", "start", "--wait")
	w.does("stream", "start")
	w.fails(statusFailed, "other options", "stream", "start", "--trigger", "9 seconds")
	w.fails(statusFailed, "two streams on one checkpoint", "stream", "start", "--name", "second")
	if n := w.count("taxi_record"); n != 20000 {
		t.Errorf("%d rows, want 20000", n)
	}
	if n := w.count("taxi_record version as of 0"); n != 0 {
		t.Errorf("%d rows in version 0", n)
	}
	w.fails(statusFailed, "fare_amont[\\s\\S]*fare_amount", "sql", "select fare_amont from taxi_record")
	w.fails(statusFailed, "taxi_recrod[\\s\\S]*taxi_record", "sql", "select 1 from taxi_recrod")

	if out := w.does("ls", "oss://lake/checkpoints/taxi_record"); !strings.Contains(out, "offsets/") || !strings.Contains(out, "metadata") {
		t.Errorf("ls of the checkpoint:\n%s", out)
	}
	w.fails(statusFailed, "oss://lake/", "ls", "oss://elsewhere/x")
	w.fails(statusFailed, `segment "\." or "\.\."`, "ls", "oss://lake/../secrets.json")
	if out := w.does("table", "history"); !strings.Contains(out, "STREAMING UPDATE") || !strings.Contains(out, "CREATE TABLE") {
		t.Errorf("history:\n%s", out)
	}
	if verdict := w.verified(); verdict.Rows != 20000 || len(verdict.Checks) != 9 {
		t.Errorf("verdict: %+v", verdict)
	}

	local := "t=" + filepath.Join(w.state, "oss", "lake", "delta", "taxi_record")
	w.does("down")
	if out := w.does("sql", "select count(*) as n from t", "--table", local, "--format", "csv"); strings.Fields(out)[1] != "20000" {
		t.Errorf("a local folder without services: %s", out)
	}
	// What another program reads is whole; what a person reads says that there is more.
	for format, want := range map[string]int{"json": 20000, "csv": 20001, "table": query.DefaultMaxRows + 3} {
		out := w.does("sql", "select fare_amount from t", "--table", local, "--format", format)
		if n := strings.Count(out, "\n"); n != want || (format == "table") != strings.Contains(out, "there are more") {
			t.Errorf("--format %s: %d lines, want %d", format, n, want)
		}
	}
	w.fails(statusFailed, "lakekit up", "status")

	w.does("up")
	if verdict := w.verified(); verdict.Rows != 20000 {
		t.Errorf("after down and up: %+v", verdict)
	}
	w.fails(statusFailed, "nothing was deleted", "reset")
	w.does("reset", "--yes")
	w.fails(statusFailed, "does not exist", "topic", "describe")
	w.fails(statusFailed, "there is no table", "table", "describe")

	w.does("topic", "create")
	w.does("table", "create")
	w.does("stream", "start")
	w.does("traffic", "--records", "1000", "--rate", "0")
	if verdict := w.verified(); verdict.Rows != 1000 {
		t.Errorf("after a reset: %+v", verdict)
	}
}

func TestServerKilledInMidStream(t *testing.T) {
	w := newWorkshop(t)
	const records = 60000
	w.does("up")
	w.does("topic", "create")
	w.does("table", "create")
	w.does("traffic", "--records", strconv.Itoa(records), "--rate", "0")
	w.does("stream", "start", "--trigger", "1 millisecond", "--max-offsets-per-trigger", "1000")
	for _, enough := range []int64{5000, 20000, 40000} {
		until(t, fmt.Sprintf("%d rows", enough), func() bool { return w.count("taxi_record") >= enough })
		w.kill(settings.Workshop)
		w.does("up")
	}
	if !w.stream().IsActive {
		t.Error("the stream was not resumed")
	}
	if verdict := w.verified(); verdict.Rows != records {
		t.Errorf("verdict: %+v", verdict)
	}
}

func TestServerKilledInMidTraffic(t *testing.T) {
	w := newWorkshop(t)
	w.does("up")
	w.does("topic", "create")
	w.does("table", "create")
	w.does("stream", "start")
	traffic := w.command("traffic", "--rate", "5000")
	if err := traffic.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "5,000 rows", func() bool { return w.count("taxi_record") >= 5000 })
	w.kill(settings.Workshop)
	if err := traffic.Wait(); err == nil {
		t.Error("the command that followed the traffic did not notice that the server ended")
	}
	w.does("up")
	w.does("traffic", "--records", "3000", "--rate", "0")
	if verdict := w.verified(); verdict.Rows < 8000 || verdict.Rows != verdict.Messages {
		t.Errorf("verdict: %+v", verdict)
	}
}

func TestBrokerAndStoreKilledInMidStream(t *testing.T) {
	w := newWorkshop(t)
	w.does("up")
	w.does("topic", "create")
	w.does("table", "create")
	w.does("stream", "start", "--trigger", "1 millisecond", "--max-offsets-per-trigger", "500")
	traffic := w.command("traffic", "--rate", "5000")
	if err := traffic.Start(); err != nil {
		t.Fatal(err)
	}
	for _, role := range []settings.Role{settings.Broker, settings.Store} {
		rows := w.count("taxi_record")
		until(t, "more rows", func() bool { return w.count("taxi_record") >= rows+3000 })
		w.kill(role)
		until(t, "the stream says that it waits", func() bool { return w.stream().Waiting })
		if status := w.stream(); !status.IsActive {
			t.Errorf("%s killed: the stream ended: %+v", role, status)
		}
		w.does("up")
		until(t, "the stream goes on", func() bool { return !w.stream().Waiting })
	}
	if err := traffic.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := traffic.Wait(); err != nil {
		t.Errorf("the traffic failed: %v", err)
	}
	if verdict := w.verified(); verdict.Rows < 6000 || verdict.Rows != verdict.Messages {
		t.Errorf("verdict: %+v", verdict)
	}
}

func TestMalformedRecordsGoToDeadLetters(t *testing.T) {
	w := newWorkshop(t)
	w.does("up")
	w.does("topic", "create")
	w.does("table", "create")
	w.does("traffic", "--records", "100", "--rate", "0")
	w.settings()
	lab, err := lakekit.Connect()
	if err != nil {
		t.Fatal(err)
	}
	bad := []string{
		`not JSON`,
		`{"key":"2015-01-01 00:00:00.0000001"}`,
		`null`,
		`{"key":"2015-01-01 00:00:00.0000001","fare_amount":"a lot","pickup_datetime":"2015-01-01 00:00:00 UTC","pickup_longitude":0,"pickup_latitude":0,"dropoff_longitude":0,"dropoff_latitude":0,"passenger_count":1}`,
		`{"key":"2015-01-01 00:00:00.0000001","fare_amount":1,"pickup_datetime":"2015-01-01 00:00:00 UTC","pickup_longitude":0,"pickup_latitude":0,"dropoff_longitude":0,"dropoff_latitude":0,"passenger_count":null}`,
		strings.Repeat(`[`, 900_000),
	}
	if _, err := lab.Send(bad...); err != nil {
		t.Fatal(err)
	}
	w.does("stream", "start", "--wait")
	if verdict := w.verified(); verdict.Rows != 100 || verdict.DeadLetters != int64(len(bad)) {
		t.Errorf("verdict: %+v", verdict)
	}
	if out := w.does("dead-letters", "show", "--limit", "50"); !strings.Contains(out, "wrong type: a string, want double") || !strings.Contains(out, `field "passenger_count": null in a required field`) {
		t.Errorf("dead-letters show:\n%s", out)
	}
	w.fails(statusFailed, "there is no table nope", "dead-letters", "show", "nope")
	var replay api.DeadLetterReplay
	if out := w.does("dead-letters", "replay", "--json"); json.Unmarshal([]byte(out), &replay) != nil || replay.NumReplayed != 0 || replay.NumRemaining != int64(len(bad)) {
		t.Errorf("dead-letters replay:\n%s", out)
	}
	w.does("stream", "stop", "--drain")
	w.does("stream", "start", "--merge-schema", "--max-offsets-per-trigger", "50", "--kafka", "kafka.fetch.min.bytes=10", "--fail-on-data-loss=false", "--ignore-unknown-fields=false")
	if _, err := lab.Send(`{"key":"2015-01-01 00:00:00.0000001","fare_amount":1,"pickup_datetime":"2015-01-01 00:00:00 UTC","pickup_longitude":0,"pickup_latitude":0,"dropoff_longitude":0,"dropoff_latitude":0,"passenger_count":1,"a b":1}`); err != nil {
		t.Fatal(err)
	}
	w.does("stream", "stop", "--drain")
	if out := w.does("dead-letters", "show", "--limit", "50"); !strings.Contains(out, `ignoreUnknownFields is false: field "a b"`) {
		t.Errorf("dead-letters show:\n%s", out)
	}
	if out := w.does("dead-letters", "replay", "--ignore-unknown-fields", "--json"); json.Unmarshal([]byte(out), &replay) != nil || replay.NumReplayed != 1 || replay.NumRemaining != int64(len(bad)) {
		t.Errorf("dead-letters replay:\n%s", out)
	}
	w.does("stream", "start", "--merge-schema", "--max-offsets-per-trigger", "50", "--kafka", "kafka.fetch.min.bytes=10", "--ignore-unknown-fields")
	w.fails(statusFailed, "startingOffsets", "stream", "start", "--name", "b", "--table", "other", "--kafka", "auto.offset.reset=latest")
	w.does("stream", "stop", "--now")
}

func TestTakenPortsAreReplaced(t *testing.T) {
	var ports []string
	for _, port := range []string{"9092", "9000", "8080"} {
		l, err := net.Listen("tcp4", "127.0.0.1:"+port)
		if err != nil { // somebody else's, who may give it back at any time
			continue
		}
		defer l.Close()
		ports = append(ports, port)
	}
	w := newUsualWorkshop(t)
	out := w.does("up")
	for _, port := range ports {
		if !strings.Contains(out, "another program had 127.0.0.1:"+port) {
			t.Errorf("nothing about port %s in\n%s", port, out)
		}
	}
	w.does("doctor")
}

// Other users of the machine read nothing, also in a folder that was there.
func TestOthersReadNothing(t *testing.T) {
	w := newWorkshop(t)
	if err := os.Chmod(w.state, 0o755); err != nil {
		t.Fatal(err)
	}
	w.does("up")
	w.does("topic", "create")
	entries, err := os.ReadDir(w.state)
	if err != nil || len(entries) < 4 {
		t.Fatal(entries, err)
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestUsage(t *testing.T) {
	w := newWorkshop(t)
	for _, line := range []string{"bogus", "topic bogus", "topic", "sql", "sql a b", "traffic --rate fast", "up now", "dataset generate --format xml", "dataset check", "dataset check x --from-row -1", "dataset study --records 0",
		"sql x --format xml", "sql x --table y", "topic create --config x", "dataset generate --records -1",
		"settings NO_SUCH", "class", "class Alice", "class alice --days 0", "topic create --partitions 0", "traffic --rate -1", "traffic --rate NaN", "traffic --records -1",
		"stream start --kafka x", "stream stop --now --drain", "dead-letters", "dead-letters show --limit 0",
		"drill bogus", "drill kill now", "drill kill --records 10", "drill kill --rate 0", "drill kill --rate NaN",
		"table restore", "table restore --version x", "table restore --version 1 --timestamp 2026-01-01", "table vacuum --conf x", "table optimize --target-size -1"} {
		w.fails(statusUsage, "--help", strings.Fields(line)...)
	}
	for _, test := range []struct{ says, line string }{
		{"takes no argument such as \"taxi_record\"", "stream stop taxi_record"},
		{"lakekit topic create takes one name, and \"b\" is one too many", "topic create a b"},
		{"lakekit sql needs one statement", "sql"},
		{"want a whole number\n", "topic browse --offset abc"},
		{"want a whole number from 0 on\n", "traffic --seed -1"},
		{"too large", "topic create --partitions 99999999999999999999"},
		{"want a number\n", "table vacuum --retain NaN"},
		{"want a number\n", "traffic --rate inf"},
		{"want true or false\n", "status --json=maybe"},
		{"given twice", "topic create --partitions 2 --partitions 3"},
		{"given twice", "status --json --json"},
		{"retention.ms is given twice", "topic create --config retention.ms=1 --config retention.ms=2"},
		{"t is given twice", "sql x --table t=/a --table t=/b"},
		{"--limit -1: want at least 1", "topic browse --limit -1"},
		{"--limit 0: want at least 1", "topic browse --limit 0"},
		{"--partition -2: want", "topic browse --partition -2"},
		{"no command \"bogus\"", "help bogus"},
		{"no command \"topic bogus\"", "help topic bogus"},
		{"unknown command \"bogus\"", "bogus"},
	} {
		w.fails(statusUsage, test.says, strings.Fields(test.line)...)
	}
	// What is empty, as a shell's variable that is not set, is not the default.
	for _, args := range [][]string{{"topic", "create", ""}, {"table", "vacuum", ""}, {"table", "create", " "}, {"ls", ""}, {"sql", ""}, {"dataset", "check", ""},
		{"traffic", "--csv", ""}, {"traffic", "--topic="}, {"stream", "start", "--table", ""}, {"table", "optimize", "--where", ""}, {"table", "optimize", "--zorder", ""},
		{"table", "restore", "--version", "1", "--timestamp", ""}, {"sql", "select 1", "--time-zone", ""}, {"sql", "select 1", "--table", ""}, {"topic", "create", "--partitions", ""}} {
		w.fails(statusUsage, "it is empty", args...)
	}
	w.fails(statusUsage, "not UTF-8", "table", "create", "\xff")
	if out := w.does("table", "optimize", "--help"); strings.Contains(out, "(default [])") || strings.Contains(out, "default false") {
		t.Errorf("help tells defaults that say nothing:\n%s", out)
	}
	for _, line := range []string{"", "up", "down", "reset", "status", "doctor", "settings", "broker", "oss", "server", "topic", "topic create", "topic list", "topic describe",
		"topic browse", "traffic", "traffic list", "traffic stop", "table", "table create", "table describe", "table history", "table files", "table optimize", "table vacuum", "table restore",
		"stream start", "stream status", "stream stop", "dead-letters", "dead-letters show", "dead-letters replay",
		"dataset generate", "dataset check", "dataset study", "ls", "sql", "verify", "class", "drill", "drill kill", "drill all"} {
		if out := w.does(append(strings.Fields(line), "--help")...); !strings.Contains(out, "Examples:\n  lakekit") {
			t.Errorf("lakekit %s --help has no example:\n%s", line, out)
		}
	}
}

func TestDatasetGenerate(t *testing.T) {
	w := newWorkshop(t)
	path := filepath.Join(t.TempDir(), "taxi.csv")
	w.does("dataset", "generate", "--records", "20", "--seed", "7", "--out", path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(whole)), "\n")
	if len(lines) != 21 || !strings.HasPrefix(lines[0], "key,fare_amount,pickup_datetime,") {
		t.Fatalf("generated:\n%s", whole)
	}
	part := w.does("dataset", "generate", "--records", "5", "--seed", "7", "--from-row", "10")
	if got := strings.Split(strings.TrimSpace(part), "\n")[1:]; strings.Join(got, "\n") != strings.Join(lines[11:16], "\n") {
		t.Errorf("rows 10 to 14 by themselves:\n%s", part)
	}
	var record map[string]any
	first, _, _ := strings.Cut(w.does("dataset", "generate", "--records", "2", "--format", "json"), "\n")
	if err := json.Unmarshal([]byte(first), &record); err != nil || len(record) != 8 {
		t.Errorf("%v in %s", err, first)
	}
	w.fails(statusFailed, "no/such/folder", "dataset", "generate", "--out", "/no/such/folder/taxi.csv")

	if _, err := os.Stat("/dev/full"); err == nil {
		w.fails(statusFailed, "no space left", "dataset", "generate", "--out", "/dev/full")
	}
	link := filepath.Join(t.TempDir(), "link.csv")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	w.does("dataset", "generate", "--records", "3", "--out", link)
	if info, err := os.Lstat(link); err != nil || info.Mode().IsRegular() {
		t.Errorf("the link was replaced: %v", info.Mode())
	}
	if rewritten, err := os.ReadFile(path); err != nil || strings.Count(string(rewritten), "\n") != 4 {
		t.Errorf("the link's target holds %d lines: %v", strings.Count(string(rewritten), "\n"), err)
	}
}

func TestDatasetCheck(t *testing.T) {
	w := newWorkshop(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "train.csv")
	w.does("dataset", "generate", "--records", "3000", "--out", path)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(whole, "2009-06-15,4.5\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	out := w.does("dataset", "check", path)
	for _, want := range []string{"rows 0 to 3000: 3000 good, 1 bad", "2 fields where the header has 8, at line 3002", "mean fare by hour (USD)"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if out := w.does("dataset", "check", path, "--from-row", "1000", "--records", "500"); !strings.Contains(out, "rows 1000 to 1499: 500 good, 0 bad") {
		t.Errorf("a part:\n%s", out)
	}
	w.fails(statusFailed, "train.csv has only 3001 rows", "dataset", "check", path, "--from-row", "5000")
	test := filepath.Join(folder, "test.csv")
	if err := os.WriteFile(test, []byte(strings.Replace(taxi.Header, "fare_amount,", "", 1)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(statusFailed, "it is the competition's test.csv", "dataset", "check", test)
	w.fails(statusFailed, "no such file", "dataset", "check", filepath.Join(folder, "none.csv"))

	study := filepath.Join(folder, "study")
	w.does("dataset", "study", "--records", "20000", "--out", study)
	if table, err := os.ReadFile(filepath.Join(study, "README.md")); err != nil || !strings.Contains(string(table), "| trips by hour (share) | 24 |") {
		t.Errorf("error %v, the study's table:\n%s", err, table)
	}
	if picture, err := os.ReadFile(filepath.Join(study, "trips-by-hour.svg")); err != nil || !strings.HasPrefix(string(picture), "<svg ") {
		t.Errorf("error %v, the study's chart:\n%.100s", err, picture)
	}
	parquet := filepath.Join(folder, "taxi.parquet")
	w.does("dataset", "generate", "--records", "100", "--format", "parquet", "--out", parquet)
	if content, err := os.ReadFile(parquet); err != nil || !strings.HasPrefix(string(content), "PAR1") {
		t.Errorf("error %v, the Parquet file begins with %.4q", err, content)
	}
}

func TestCSVTraffic(t *testing.T) {
	w := newWorkshop(t)
	w.does("up")
	w.does("topic", "create")
	w.does("table", "create")
	w.does("stream", "start")
	w.does("traffic", "--csv", filepath.Join(w.home, "datasets", "sample.csv"), "--rate", "0")
	if verdict := w.verified(); verdict.Rows < 9_900 {
		t.Errorf("verdict: %+v", verdict)
	}
	// A file that goes on after bad rows, read from a row on.
	lines := []string{taxi.Header}
	for row := range 50 {
		lines = append(lines, fmt.Sprintf("2012-01-01 00:00:%02d.0000001,4.5,2012-01-01 00:00:%02d UTC,-73.9,40.7,-73.9,40.8,1", row, row))
	}
	lines[20], lines[40] = "half a row,", "2012-01-01,free,2012-01-01,0,0,0,0,1"
	odd := filepath.Join(t.TempDir(), "odd.csv")
	if err := os.WriteFile(odd, []byte(strings.Join(lines, "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	before := w.verified().Rows
	if out := w.does("traffic", "--csv", odd, "--rate", "0", "--from-row", "10"); !strings.Contains(out, "bad rows left out: 2, the first: odd.csv, line 21: 2 fields where the header has 8") {
		t.Errorf("nothing about the bad rows in\n%s", out)
	}
	if got := w.verified().Rows - before; got != 38 {
		t.Errorf("%d records arrived, want rows 10 to 49 without the two bad ones", got)
	}
	w.fails(statusFailed, "it has only 50 rows", "traffic", "--csv", odd, "--from-row", "1000")
	bad := filepath.Join(t.TempDir(), "bad.csv")
	if err := os.WriteFile(bad, []byte("key,fare_amount\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.fails(statusFailed, "has no column pickup_datetime", "traffic", "--csv", bad)
	w.fails(statusFailed, "no such file", "traffic", "--csv", "/no/such/file.csv")
}
