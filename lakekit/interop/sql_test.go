package interop_test

import (
	"context"
	"sync"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/query"
)

var sql = sync.OnceValues(func() (*query.Engine, error) { return query.Open(query.Options{}) })

// counted holds the rows that SQL counts, which reads data files by itself,
// against those of a scan.
func counted(t testing.TB, dir string) {
	t.Helper()
	engine := must[*query.Engine](t)(sql())
	table := open(t, dir)
	result, err := engine.Query(t.Context(), "SELECT count(*) FROM t", query.Request{
		Tables: func(context.Context, string) (*delta.Table, error) { return table, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "rows by SQL", result.Rows[0][0].(int64), int64(len(scanned(t, snapshot(t, table)))))
}

func bucket(t testing.TB, dir string) blob.Bucket {
	t.Helper()
	return must[*blob.Dir](t)(blob.OpenDir(dir))
}
