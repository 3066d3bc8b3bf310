package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/settings"
)

// tableServer has one table of four files of a row each, partitioned by day,
// and nothing but a bucket.
func tableServer(t *testing.T) (*Server, func(path, body string) (int, string)) {
	t.Helper()
	s := &Server{
		settings: &settings.Settings{Table: "oss://lake/delta/trips", OSS: settings.OSS{Bucket: "lake"}, Server: settings.Server{Token: testToken}},
		log:      slog.New(slog.DiscardHandler), bucket: blob.NewMemory("lake"), tables: map[string]*delta.Table{},
	}
	schema := delta.Schema{Fields: []delta.Field{{Name: "day", Type: delta.String, Nullable: true}, {Name: "id", Type: delta.Long, Nullable: true}}}
	table, err := delta.Create(t.Context(), blob.Prefix(s.bucket, "delta/trips"), delta.Definition{Schema: schema, PartitionBy: []string{"day"}})
	if err != nil {
		t.Fatal(err)
	}
	arrowSchema, err := schema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	for i, day := range []string{"mon", "tue", "mon", "tue"} {
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
		b.Field(0).(*array.StringBuilder).Append(day)
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		if _, err := table.Append(t.Context(), delta.AppendOptions{}, b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
	}
	handler := s.Handler()
	return s, func(path, body string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://localhost"+path, strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+testToken)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code, w.Body.String()
	}
}

func TestMaintenance(t *testing.T) {
	s, post := tableServer(t)
	const retention = `"retentionHours":0,"conf":{"spark.databricks.delta.retentionDurationCheck.enabled":"false"}`
	for _, step := range []struct {
		name, path, body string
		status           int
		says             string
	}{
		{"where on a data column", "optimize", `{"uri":"","where":"id = 1"}`, 400, "no partition column (they are: day)"},
		{"no such table", "optimize", `{"uri":"other"}`, 404, "there is no table other"},
		{"dry run", "optimize", `{"uri":"trips","dryRun":true}`, 200, `"version":-1,"dryRun":true,"numRemovedFiles":4,"numAddedFiles":2`},
		{"one partition", "optimize", `{"uri":"trips","where":"day = 'mon'","zOrderBy":["id"]}`, 200, `"version":5,"numRemovedFiles":2,"numAddedFiles":1`},
		{"retention too short", "vacuum", `{"uri":"","retentionHours":1}`, 400, "spark.databricks.delta.retentionDurationCheck.enabled=false"},
		{"unknown setting", "vacuum", `{"uri":"","conf":{"force":"true"}}`, 400, "does not know the setting force"},
		{"no such retention", "vacuum", `{"uri":"","retentionHours":-1}`, 400, "-1 is not between 0 and 876000"},
		{"nothing is old enough", "vacuum", `{"uri":""}`, 200, `"version":-1,"numFiles":0,"sizeInBytes":0,"files":[]`},
		{"neither version nor time", "restore", `{"uri":""}`, 400, "one of the two"},
		{"no such time", "restore", `{"uri":"","timestamp":"yesterday"}`, 400, "yesterday"},
		{"time before the table", "restore", `{"uri":"","timestamp":"1999-12-31 00:00:00"}`, 404, "no such version"},
		{"no such version", "restore", `{"uri":"","version":99}`, 404, "no such version"},
		{"back", "restore", `{"uri":"","version":4}`, 200, `"version":6,"restoredVersion":4,"numRestoredFiles":2`},
		{"vacuum lists", "vacuum", `{"uri":"","dryRun":true,` + retention + `}`, 200, `"numFiles":1`},
		{"vacuum", "vacuum", `{"uri":"",` + retention + `}`, 200, `"version":8,"numFiles":1`},
		{"back to what is gone", "restore", `{"uri":"","version":5}`, 409, "data files are missing: 1 of 1"},
	} {
		status, text := post("/api/table/"+step.path, step.body)
		if status != step.status || !strings.Contains(text, step.says) {
			t.Fatalf("%s: %d %s, want %d %s", step.name, status, text, step.status, step.says)
		}
		var fault api.Error
		if status != 200 && (json.Unmarshal([]byte(text), &fault) != nil || fault.Message == "") {
			t.Errorf("%s: no error in %s", step.name, text)
		}
	}
	history, err := s.tables["oss://lake/delta/trips"].History(t.Context(), 1)
	if err != nil || history[0].Operation != "VACUUM END" {
		t.Errorf("%+v, error %v", history, err)
	}
}

// TestCreateTableChecksTheDefinition before anything is at the store.
func TestCreateTableChecksTheDefinition(t *testing.T) {
	s, post := tableServer(t)
	status, text := post("/api/tables", `{"uri":"other","properties":{"delta.autoOptimize.autoCompakt":"true"}}`)
	if status != 400 || !strings.Contains(text, `did you mean \"delta.autoOptimize.autoCompact\"`) {
		t.Fatalf("%d %s", status, text)
	}
	for object := range s.bucket.List(context.Background(), blob.ListOptions{Prefix: "delta/other"}) {
		t.Errorf("left %s", object.Key)
	}
	if status, text = post("/api/tables", `{"uri":"other"}`); status != 200 || !strings.Contains(text, `"delta.autoOptimize.autoCompact":"true"`) {
		t.Fatalf("%d %s", status, text)
	}
	if _, err := delta.Open(t.Context(), blob.Prefix(s.bucket, "delta/other")); errors.Is(err, delta.ErrNotTable) {
		t.Fatal(err)
	}
}

// TestTablesAndCheckpointsDoNotLieInOneAnother whichever way they are made.
func TestTablesAndCheckpointsDoNotLieInOneAnother(t *testing.T) {
	s, post := tableServer(t)
	for _, key := range []string{"checkpoints/spark/metadata", "checkpoints/spark/offsets/0", "checkpoints/spark/commits/0"} {
		if err := s.bucket.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	before := keysOf(t, s.bucket)
	for uri, says := range map[string]string{
		"oss://lake/delta":                   "holds the table oss://lake/delta/trips",
		"oss://lake/delta/trips/more":        "lies in the table oss://lake/delta/trips",
		"oss://lake/delta/trips/day=mon":     "lies in the table oss://lake/delta/trips",
		"oss://lake/checkpoints":             "holds the checkpoint oss://lake/checkpoints/spark",
		"oss://lake/checkpoints/spark":       "oss://lake/checkpoints/spark is a checkpoint already",
		"oss://lake/checkpoints/spark/state": "lies in the checkpoint oss://lake/checkpoints/spark",
	} {
		if status, text := post("/api/tables", `{"uri":"`+uri+`"}`); status != 409 || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s, want %s", uri, status, text, says)
		}
	}
	if after := keysOf(t, s.bucket); !slices.Equal(after, before) {
		t.Errorf("%q, was %q", after, before)
	}
}

func keysOf(t *testing.T, bucket blob.Bucket) []string {
	t.Helper()
	var keys []string
	for object, err := range bucket.List(t.Context(), blob.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, object.Key)
	}
	return keys
}
