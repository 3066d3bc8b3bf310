package delta_test

import (
	"context"
	"fmt"
	"log"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// A table is created, a batch of a stream is appended once, and read.
func Example() {
	ctx := context.Background()
	schema := delta.Schema{Fields: []delta.Field{
		{Name: "fare_amount", Type: delta.Double, Nullable: true},
		{Name: "passenger_count", Type: delta.Integer, Nullable: true},
	}}
	table, err := delta.Create(ctx, blob.NewMemory("lake"), delta.Definition{
		Schema:     schema,
		Properties: map[string]string{delta.AutoCompactKey: "true"},
	})
	if err != nil {
		log.Fatal(err)
	}

	arrowSchema, _ := schema.Arrow()
	rows := array.NewRecordBuilder(memory.DefaultAllocator, arrowSchema)
	rows.Field(0).(*array.Float64Builder).AppendValues([]float64{4.5, 16.9}, nil)
	rows.Field(1).(*array.Int32Builder).AppendValues([]int32{1, 2}, nil)

	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	files, err := table.WriteFiles(ctx, rows.NewRecordBatch())
	if err != nil {
		log.Fatal(err)
	}
	version, err := table.Commit(ctx, delta.Commit{
		Operation:   "STREAMING UPDATE",
		Adds:        files,
		BlindAppend: true,
		ReadVersion: snapshot.Version(),
		Txn:         &delta.Txn{AppID: "query-id", Version: 0},
	})
	if err != nil {
		log.Fatal(err)
	}

	snapshot, err = table.SnapshotAt(ctx, version)
	if err != nil {
		log.Fatal(err)
	}
	for batch, err := range snapshot.Scan(ctx, delta.ScanOptions{}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(batch.Column(0), batch.Column(1))
	}
	txn, _ := snapshot.Txn("query-id")
	fmt.Println("version", version, "batch", txn.Version, "records", snapshot.NumRecords())
	// Output:
	// [4.5 16.9] [1 2]
	// version 1 batch 0 records 2
}

// A table in a folder, such as another engine has written, is read by columns
// and a condition; files that cannot have such rows are not opened.
func Example_folder() {
	ctx := context.Background()
	folder, err := blob.OpenDir("testdata/golden/spark_deletion_vectors/table")
	if err != nil {
		log.Fatal(err)
	}
	table, err := delta.Open(ctx, folder)
	if err != nil {
		log.Fatal(err)
	}
	snapshot, err := table.Snapshot(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(snapshot.Schema())
	for batch, err := range snapshot.Scan(ctx, delta.ScanOptions{Columns: []string{"id"}, Where: "p = 'even' AND id > 2 AND id < 30"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(batch.Column(0))
	}
	// Output:
	// struct<id:bigint,note:string,p:string>
	// [4 6 8 20 22 24 26 28]
}
