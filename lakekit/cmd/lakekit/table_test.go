package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

const createdBySpark = `{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}
{"metaData":{"id":"00000000-0000-0000-0000-000000000001","format":{"provider":"parquet","options":{}},"schemaString":"{\"type\":\"struct\",\"fields\":[{\"name\":\"id\",\"type\":\"long\",\"nullable\":true,\"metadata\":{}}]}","partitionColumns":[],"configuration":{},"createdTime":1700000000000}}
`

// TestMaintainAFolder needs no service: the table is on the local disk.
func TestMaintainAFolder(t *testing.T) {
	w := newWorkshop(t)
	folder := t.TempDir()
	bucket, err := blob.OpenDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	schema := delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: true}}}
	table, err := delta.Create(t.Context(), bucket, delta.Definition{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(3) {
		arrowSchema, _ := schema.Arrow()
		b := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
		b.Field(0).(*array.Int64Builder).Append(i)
		if _, err := table.Append(t.Context(), delta.AppendOptions{}, b.NewRecordBatch()); err != nil {
			t.Fatal(err)
		}
	}
	rows := func() string {
		return strings.Join(strings.Fields(w.does("sql", "select count(*) as n from t", "--table", "t="+folder, "--format", "csv")), " ")
	}

	if out := w.does("table", "optimize", folder, "--dry-run"); !strings.Contains(out, "dry run") {
		t.Errorf("optimize --dry-run:\n%s", out)
	}
	var merged api.Compaction
	if err := json.Unmarshal([]byte(w.does("table", "optimize", folder, "--zorder", "id", "--json")), &merged); err != nil || merged.Version != 4 || merged.NumRemovedFiles != 3 {
		t.Fatalf("%+v, error %v", merged, err)
	}
	w.fails(statusFailed, "no such column", "table", "optimize", folder, "--zorder", "x")
	w.fails(statusFailed, "is not partitioned", "table", "optimize", folder, "--where", "id = 1")

	if out := w.does("table", "restore", folder, "--version", "2"); !strings.Contains(out, "version 5 is again as version 2") || rows() != "n 2" {
		t.Errorf("%s rows after\n%s", rows(), out)
	}
	w.fails(statusFailed, "retentionDurationCheck.enabled=false", "table", "vacuum", folder, "--retain", "0")
	off := []string{"--retain", "0", "--conf", delta.RetentionDurationCheckKey + "=false"}
	dry := w.does(append([]string{"table", "vacuum", folder, "--dry-run"}, off...)...)
	if !strings.Contains(dry, "would delete 2 files") || strings.Count(dry, ".parquet") != 2 {
		t.Errorf("vacuum --dry-run:\n%s", dry)
	}
	if out := w.does(append([]string{"table", "vacuum", folder}, off...)...); !strings.Contains(out, "deleted 2 files") || rows() != "n 2" {
		t.Errorf("%s rows after\n%s", rows(), out)
	}
	w.fails(statusFailed, "data files are missing", "table", "restore", folder, "--version", "4")

	// Others' tables and checkpoints in its folder are not its files, and who lies
	// in another's folder cannot tell whose the files are.
	inner := filepath.Join(folder, "zone=1", "inner")
	for name, content := range map[string]string{
		"zone=1/inner/part-0.parquet": "", "stream/metadata": "", "stream/offsets/0": "", "stream/commits/0": "", "abandoned.parquet": "",
		"zone=1/inner/_delta_log/00000000000000000000.json": createdBySpark,
	} {
		if err := bucket.Put(t.Context(), name, strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
	}
	if out := w.does(append([]string{"table", "vacuum", folder}, off...)...); !strings.Contains(out, "deleted 1 file") {
		t.Errorf("vacuum around others:\n%s", out)
	}
	w.fails(statusFailed, "lies in the table file://"+folder, append([]string{"table", "vacuum", inner}, off...)...)
	for _, name := range []string{"zone=1/inner/part-0.parquet", "stream/metadata", "stream/offsets/0", "stream/commits/0"} {
		if _, err := bucket.Head(t.Context(), name); err != nil {
			t.Errorf("%s is gone", name)
		}
	}

	history := w.does("table", "history", folder)
	for _, operation := range []string{"VACUUM END", "VACUUM START", "RESTORE", "OPTIMIZE", "WRITE", "CREATE TABLE"} {
		if !strings.Contains(history, operation) {
			t.Errorf("no %s in\n%s", operation, history)
		}
	}
	if out := w.does("table", "describe", folder); !strings.Contains(out, "reader 1, writer 2") {
		t.Errorf("describe:\n%s", out)
	}
	if out := w.does("table", "files", folder); !strings.Contains(out, "2 files") {
		t.Errorf("files:\n%s", out)
	}
	w.fails(statusFailed, "is not a folder", "table", "describe", folder+"x")
}
