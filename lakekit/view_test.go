package lakekit

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

const markup = `<script>alert("&")</script>`

// everything that can be shown, with markup in every text that others can
// choose.
func everything() map[string]any {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return map[string]any{
		"services":  Services{{Role: settings.Broker, State: "running", Address: "127.0.0.1:9092", PID: 7, Log: markup}},
		"cluster":   api.ClusterInfo{ID: markup, Brokers: []api.BrokerInfo{{ID: 1, Host: markup, Port: 9092}}},
		"topic":     api.TopicInfo{Name: markup, Partitions: []api.PartitionInfo{{LatestOffset: 12}}, Configs: map[string]string{"retention.ms": markup}},
		"topics":    api.Topics{{Name: markup}},
		"messages":  api.Messages{{Timestamp: at, Key: []byte("k"), Value: []byte(markup)}},
		"traffic":   api.TrafficProgress{Topic: markup, State: api.TrafficFinished, Sent: 3, Acknowledged: 2, Failed: 1, ElapsedSeconds: 2},
		"runs":      TrafficRuns{{ID: 1, Request: TrafficOptions{CSV: markup}}},
		"table":     api.TableDetail{Location: markup, Properties: map[string]string{"delta.appendOnly": markup}},
		"history":   api.History{{Version: 3, Timestamp: at, Operation: markup, OperationMetrics: map[string]string{"numFiles": "1"}}},
		"files":     api.Files{{Path: markup, Size: 2048, NumRecords: 10, ModificationTime: at, DataChange: true}},
		"objects":   api.Objects{{Name: markup, Size: 5, LastModified: at}},
		"stream":    api.StreamStatus{Name: markup, Message: markup, Error: markup, NumRowsWithIgnoredFields: 3, IgnoredFields: []api.IgnoredField{{Field: markup, Reason: markup, NumRows: 3}}},
		"streams":   api.Streams{{Name: markup, IsActive: true}},
		"new":       api.StreamStatus{Name: markup, BatchID: -1},
		"none":      api.DeadLetters{},
		"progress":  api.StreamProgress{Name: markup},
		"batches":   api.Batches{{BatchID: 4, Timestamp: markup}},
		"compacted": api.Compaction{Version: 5, NumRemovedFiles: 60, NumAddedFiles: 1},
		"dry":       api.Compaction{Version: -1, DryRun: true, NumRemovedFiles: 60, NumAddedFiles: 1},
		"vacuum":    api.Vacuum{DryRun: true, NumFiles: 1234, SizeInBytes: 2048, Files: []string{markup}},
		"restored":  api.Restoration{Version: 9, RestoredVersion: 3, NumRestoredFiles: 4},
		"reset":     api.Reset{Topic: markup, Addresses: []string{markup}},
		"checks":    api.Checks{{Name: markup, Detail: markup, Hint: markup}},
		"verdict":   api.Verdict{OK: true, Produced: 1234567, Checks: []api.Check{{Name: markup, OK: true}}},
		"text":      markup,
		"other":     struct{ Text string }{markup},
	}
}

func TestIgnoredFieldsAreShown(t *testing.T) {
	status := api.StreamStatus{NumRowsWithIgnoredFields: 1234, IgnoredFields: []api.IgnoredField{{Field: "a b", Reason: "no such names", NumRows: 1234}}}
	for _, want := range []string{"rows without some fields", "1,234", "field a b", "not in 1,234 rows: no such names"} {
		if v := api.ViewOf(status); !strings.Contains(v.Text, want) || !strings.Contains(v.HTML, want) {
			t.Errorf("%q is not in %s", want, v.Text)
		}
	}
	if bar := streamBar(status, nil); !strings.Contains(bar.text, "1,234 rows without some fields, see the status") {
		t.Errorf("live: %s", bar.text)
	}
}

func TestKafkaTimestampsAreShown(t *testing.T) {
	for ms, want := range map[int64]string{
		1_245_086_781_123: "2009-06-15 17:26:21.123", 0: "1970-01-01 00:00:00.000", -2: "1969-12-31 23:59:59.998", -1: "",
		1_245_086_781_123_456: "1245086781123456 ms: no date", math.MaxInt64: "9223372036854775807 ms: no date", math.MinInt64: "-9223372036854775808 ms: no date",
	} {
		for _, value := range []any{api.Messages{{Timestamp: api.KafkaTime(ms), TimestampMs: ms}}, api.DeadLetters{{Timestamp: api.KafkaTime(ms), TimestampMs: ms}}} {
			if v := api.ViewOf(value); !strings.Contains(v.Text, want) || !strings.Contains(v.HTML, want) {
				t.Errorf("%d in %T: %s, want %q", ms, value, v.Text, want)
			}
		}
	}
}

func TestViewsEscapeWhatOthersChose(t *testing.T) {
	for name, value := range everything() {
		v := api.ViewOf(value)
		if strings.Contains(v.HTML, "<script>alert") {
			t.Errorf("%s: markup gets through: %s", name, v.HTML)
		}
		if v.HTML == "" || v.Text == "" {
			t.Errorf("%s: html %q, text %q", name, v.HTML, v.Text)
		}
	}
}

func TestViewsSayWhatMatters(t *testing.T) {
	for name, want := range map[string][]string{
		"services":  {"broker", "running", "127.0.0.1:9092"},
		"topic":     {"12 messages in 1 partition", "retention.ms="},
		"traffic":   {"finished", "3", "2", "1"},
		"history":   {"2026-01-02 03:04:05", "numFiles=1"},
		"files":     {"1 file, 2.0 KiB, 10 rows"},
		"new":       {"none yet"},
		"none":      {"dead letters, the newest first: none"},
		"compacted": {"60"},
		"dry":       {"dry run", "60"},
		"vacuum":    {"dry run, would delete 1,234 files, 2.0 KiB"},
		"restored":  {"version 9 is again as version 3", "4"},
		"checks":    {"✗", "hint: "},
		"verdict":   {"1,234,567 records: 0 lost, 0 twice", "✓"},
	} {
		text := api.ViewOf(everything()[name]).Text
		for _, part := range want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in\n%s", name, part, text)
			}
		}
	}
}

// run calls f with a standard output that is read, and reports whether f ended
// the cell.
func run(t *testing.T, f func()) (printed string, ended bool) {
	t.Helper()
	type ending struct{}
	realEnd, realOut, realErr := end, os.Stdout, os.Stderr
	end = func() { panic(ending{}) }
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout, os.Stderr = w, w
	defer func() { end, os.Stdout, os.Stderr = realEnd, realOut, realErr }()
	func() {
		defer func() {
			if fault := recover(); fault != nil {
				if _, ended = fault.(ending); !ended {
					panic(fault)
				}
			}
		}()
		f()
	}()
	w.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), ended
}

func TestShowAndMustEndTheCellOnFailure(t *testing.T) {
	wrong := errors.New("it went wrong")
	failing := func() (string, error) { return "a value", wrong }
	working := func() (string, error) { return "a value", nil }
	for _, test := range []struct {
		name    string
		call    func()
		ended   bool
		printed string
	}{
		{"Show of a call that works", func() { Show(working()) }, false, "a value"},
		{"Show of a call that fails", func() { Show(failing()) }, true, "error: it went wrong"},
		{"Show of a SQL statement that fails", func() { Show((*api.Result)(nil), wrong) }, true, "error: it went wrong"},
		{"Show of a call without a result", func() { Show(error(nil)) }, false, ""},
		{"Show of checks that hold", func() { Show(api.Checks{{Name: "all is well", OK: true}}) }, false, "✓ all is well"},
		{"Show of a failed check", func() { Show(api.Checks{{Name: "rows", Hint: "run lesson 3"}}) }, true, "hint: run lesson 3"},
		{"Show of a verdict that does not hold", func() { Show(api.Verdict{Checks: []api.Check{{Name: "rows"}}}) }, true, "✗ rows"},
		{"Must of a call that works", func() { Show(Must(working())) }, false, "a value"},
		{"Must of a call that fails", func() { Must(failing()) }, true, "error: it went wrong"},
		{"services that are down are no failure", func() { Show(Services{{Role: settings.Store, State: "stopped"}}) }, false, "stopped"},
	} {
		t.Run(test.name, func(t *testing.T) {
			printed, ended := run(t, test.call)
			if ended != test.ended || !strings.Contains(printed, test.printed) {
				t.Errorf("ended %v, want %v; printed %q, want %q in it", ended, test.ended, printed, test.printed)
			}
		})
	}
}

func TestChartSize(t *testing.T) {
	for element, want := range map[string][2]int{
		`<div style="width:900px;height:500px;"></div>`: {chartWidth, chartHeight},
		`<div style="width:720px;height:620px;"></div>`: {720, 620},
		`<div style="width:50%;height:400px;"></div>`:   {chartWidth, 400},
	} {
		if width, height := chartSize(element); width != want[0] || height != want[1] {
			t.Errorf("chartSize(%s) = %d, %d, want %v", element, width, height, want)
		}
	}
}

func TestConnectWithoutServices(t *testing.T) {
	t.Setenv("LAKEKIT_STATE", t.TempDir())
	if _, err := Connect(); err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("error %v", err)
	}
}

func TestDoctorOfAStoppedWorkshop(t *testing.T) {
	t.Setenv("LAKEKIT_STATE", t.TempDir())
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	checks := Doctor(s)
	if checks.OK() {
		t.Error("a stopped workshop is well")
	}
	if text := Text(checks); !strings.Contains(text, "✗ the broker answers") || !strings.Contains(text, "lakekit up") {
		t.Errorf("doctor:\n%s", text)
	}
}

func TestHealthy(t *testing.T) {
	if !(Services{}).Healthy() || (Services{services.Status{State: "stopped"}}).Healthy() {
		t.Error("Healthy does not look at every service")
	}
}
