package ingest

import (
	"context"
	"encoding/json"
	"slices"

	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

// addColumns appends columns to a table's schema, as ALTER TABLE ADD COLUMNS
// does.
func addColumns(ctx context.Context, snapshot *delta.Snapshot, fields []delta.Field) error {
	metadata := snapshot.Metadata()
	schema, err := json.Marshal(delta.Schema{Fields: slices.Concat(snapshot.Schema().Fields, fields)})
	if err != nil {
		return err
	}
	metadata.SchemaString = string(schema)
	_, err = snapshot.Table().Commit(ctx, delta.Commit{
		Operation:   "ADD COLUMNS",
		Parameters:  map[string]any{"columns": decode.Describe(fields)},
		Metadata:    &metadata,
		ReadVersion: snapshot.Version(),
	})
	return err
}

// addsHeaders says that mergeSchema is to add the column of the headers.
func (o Options) addsHeaders(schema delta.Schema) bool {
	_, there := schema.Field(decode.HeadersColumn)
	return o.IncludeHeaders && o.MergeSchema && !there
}
