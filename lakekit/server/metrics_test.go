package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
)

// scrape reads /metrics as Prometheus does.
func (s *Server) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	text := s.exposition(t)
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems {
		t.Errorf("%s: %s", problem.Metric, problem.Text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func (s *Server) exposition(t *testing.T) string {
	t.Helper()
	request := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8080/metrics", nil)
	refused := httptest.NewRecorder()
	s.Handler().ServeHTTP(refused, request)
	if refused.Code != http.StatusUnauthorized {
		t.Errorf("status %d without the token", refused.Code)
	}
	request.Header.Set("Authorization", "Bearer "+testToken)
	recorder := httptest.NewRecorder()
	s.Handler().ServeHTTP(recorder, request)
	text, _ := io.ReadAll(recorder.Result().Body)
	if recorder.Code != http.StatusOK {
		t.Fatalf("status %d: %s", recorder.Code, text)
	}
	return string(text)
}

// value finds the sample with these label values, in the order of their names.
func value(t *testing.T, families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	t.Helper()
	for _, metric := range families[name].GetMetric() {
		var given []string
		for _, label := range metric.GetLabel() {
			given = append(given, label.GetValue())
		}
		if strings.Join(given, ",") != strings.Join(labels, ",") {
			continue
		}
		switch {
		case metric.Gauge != nil:
			return metric.Gauge.GetValue()
		case metric.Counter != nil:
			return metric.Counter.GetValue()
		case metric.Histogram != nil:
			return float64(metric.Histogram.GetSampleCount())
		}
	}
	t.Errorf("there is no %s of %v", name, labels)
	return -1
}

func TestMetrics(t *testing.T) {
	all := newStreams(t)
	s := all.server
	s.settings.Server.Token = testToken
	s.traffic.send(t, 1, rowRange{0, 300})
	s.traffic.runs = []*entry{
		{TrafficRun: lakekit.TrafficRun{ID: 1, Progress: api.TrafficProgress{Topic: testTopic, Sent: 200, Acknowledged: 190, Failed: 10, Bytes: 4000}}},
		{TrafficRun: lakekit.TrafficRun{ID: 2, Progress: api.TrafficProgress{Topic: testTopic, Sent: 100, Acknowledged: 100, Bytes: 2000}}},
		{TrafficRun: lakekit.TrafficRun{ID: 3, Progress: api.TrafficProgress{Topic: "other", Sent: 1}}},
	}
	all.mustStart(t, lakekit.StreamOptions{Trigger: "1 millisecond", MaxOffsetsPerTrigger: 90})
	if _, err := all.processAll(t, "taxi_record"); err != nil {
		t.Fatal(err)
	}
	all.queries["never"] = &stream{Request: lakekit.StreamOptions{Name: "never"}}

	families := s.scrape(t)
	for _, want := range []struct {
		name   string
		labels []string
		value  float64
	}{
		{"lakekit_stream_active", []string{"taxi_record"}, 1},
		{"lakekit_stream_active", []string{"never"}, 0},
		{"lakekit_stream_waiting", []string{"taxi_record"}, 0},
		{"lakekit_stream_batches_total", []string{"taxi_record"}, 4},
		{"lakekit_stream_input_rows_total", []string{"taxi_record"}, 300},
		{"lakekit_stream_dead_letters_total", []string{"taxi_record"}, 0},
		{"lakekit_stream_output_files_total", []string{"taxi_record"}, 4},
		{"lakekit_stream_retries_total", []string{"taxi_record"}, 0},
		{"lakekit_stream_compactions_total", []string{"taxi_record"}, 0},
		{"lakekit_stream_lag_records", []string{"0", "taxi_record", testTopic}, 0},
		{"lakekit_stream_lag_seconds", []string{"2", "taxi_record", testTopic}, 0},
		{"lakekit_stream_batch_duration_seconds", []string{"addBatch", "taxi_record"}, 4},
		{"lakekit_stream_batch_duration_seconds", []string{"triggerExecution", "taxi_record"}, 4},
		{"lakekit_traffic_sent_records_total", []string{testTopic}, 300},
		{"lakekit_traffic_acknowledged_records_total", []string{testTopic}, 290},
		{"lakekit_traffic_failed_records_total", []string{testTopic}, 10},
		{"lakekit_traffic_sent_bytes_total", []string{testTopic}, 6000},
		{"lakekit_traffic_sent_records_total", []string{"other"}, 1},
	} {
		if got := value(t, families, want.name, want.labels...); got != want.value {
			t.Errorf("%s%v is %v, want %v", want.name, want.labels, got, want.value)
		}
	}
	if value(t, families, "lakekit_stream_input_bytes_total", "taxi_record") < 300*100 {
		t.Error("a record has some 200 bytes")
	}
	var files int64
	detail, err := s.table(t.Context(), "taxi_record")
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := detail.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range snapshot.Files() {
		files += file.Size
	}
	if got := value(t, families, "lakekit_stream_output_bytes_total", "taxi_record"); got != float64(files) {
		t.Errorf("%v bytes written, the table has %d", got, files)
	}

	if _, err := all.stop(t.Context(), "taxi_record", api.StopAfterBatch); err != nil {
		t.Fatal(err)
	}
	families = s.scrape(t)
	if value(t, families, "lakekit_stream_active", "taxi_record") != 0 || families["lakekit_stream_lag_records"] != nil {
		t.Error("a stream that has ended is told to run, or how far it is behind")
	}
}
