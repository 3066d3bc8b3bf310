// Package deltatest writes Delta tables for tests, with none of package delta's
// code: log, Parquet schema, levels and values are put together here. So it can
// write what no careful writer does: files that break the schema of their table,
// with nulls where it forbids them, columns and members that are missing,
// optional where it says required and the other way round, at every depth.
package deltatest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// Table is a table that was written.
type Table struct {
	Schema delta.Schema
	// Rows as objects by column, in the form of rows.json of the golden tables:
	// scalars are texts, a map is a list of pairs.
	Rows []map[string]any
	// Breaking are the files, by path, with a null where Schema forbids it.
	Breaking map[string]bool
	Files    int
}

// Write writes the table of a seed to an empty bucket. Auto compaction is on.
func Write(ctx context.Context, bucket blob.Bucket, seed uint64) (Table, error) {
	g := generator{rand.New(rand.NewPCG(seed, 0))}
	t := Table{Schema: g.schema(), Breaking: map[string]bool{}, Files: 2 + g.IntN(5)}
	partitioned := g.IntN(3) == 0
	partitionColumns := []string{}
	if partitioned {
		partitionColumns = append(partitionColumns, partitionColumn)
	}
	var actions []any
	for i := range t.Files {
		f := g.file(t.Schema)
		rows := 1 + g.IntN(40)
		for range rows {
			f.append(g.row(f))
		}
		content, err := f.encode(1 + g.IntN(rows))
		if err != nil {
			return t, fmt.Errorf("seed %d: %w", seed, err)
		}
		path := fmt.Sprintf("file-%d.parquet", i)
		if err := bucket.Put(ctx, path, bytes.NewReader(content)); err != nil {
			return t, err
		}
		values := map[string]any{}
		if partitioned {
			values[partitionColumn] = []any{nil, "a", "b"}[g.IntN(3)]
		}
		for _, row := range f.rows {
			if partitioned {
				row[partitionColumn] = values[partitionColumn]
			}
			t.Rows = append(t.Rows, row)
		}
		t.Breaking[path] = f.breaks
		actions = append(actions, map[string]any{"add": map[string]any{
			"path": path, "partitionValues": values, "size": len(content), "modificationTime": 1_700_000_000_000 + i, "dataChange": true,
		}})
	}
	if partitioned {
		t.Schema.Fields = append(t.Schema.Fields, delta.Field{Name: partitionColumn, Type: delta.String, Nullable: true})
	}
	schema, err := json.Marshal(t.Schema)
	if err != nil {
		return t, err
	}
	actions = append([]any{
		map[string]any{"protocol": map[string]any{"minReaderVersion": 1, "minWriterVersion": 2}},
		map[string]any{"metaData": map[string]any{
			"id": fmt.Sprintf("00000000-0000-0000-0000-%012d", seed%1e12), "format": map[string]any{"provider": "parquet", "options": map[string]any{}},
			"schemaString": string(schema), "partitionColumns": partitionColumns,
			"configuration": map[string]any{"delta.autoOptimize.autoCompact": "true"}, "createdTime": 1_700_000_000_000,
		}},
	}, actions...)
	var log strings.Builder
	for _, action := range actions {
		line, err := json.Marshal(action)
		if err != nil {
			return t, err
		}
		log.Write(append(line, '\n'))
	}
	return t, bucket.Put(ctx, "_delta_log/00000000000000000000.json", strings.NewReader(log.String()))
}

const partitionColumn = "part"

type generator struct{ *rand.Rand }

var scalars = []delta.DataType{
	delta.Long, delta.Integer, delta.Double, delta.String, delta.Boolean, delta.Binary, delta.Date, delta.Timestamp,
	delta.Decimal{Precision: 9, Scale: 2}, delta.Decimal{Precision: 18, Scale: 0}, delta.Decimal{Precision: 38, Scale: 10},
}

func (g generator) schema() delta.Schema {
	// The first column is one to order by, and is there in most files.
	s := delta.Schema{Fields: []delta.Field{{Name: "id", Type: delta.Long, Nullable: g.IntN(2) == 0}}}
	for i := range 1 + g.IntN(4) {
		s.Fields = append(s.Fields, delta.Field{Name: fmt.Sprintf("c%d", i), Type: g.dataType(3), Nullable: g.IntN(3) > 0})
	}
	return s
}

func (g generator) dataType(depth int) delta.DataType {
	if depth == 0 || g.IntN(3) == 0 {
		return scalars[g.IntN(len(scalars))]
	}
	switch g.IntN(3) {
	case 0:
		return delta.Array{Element: g.dataType(depth - 1), ContainsNull: g.IntN(3) > 0}
	case 1:
		key := []delta.DataType{delta.String, delta.Long}[g.IntN(2)]
		return delta.Map{Key: key, Value: g.dataType(depth - 1), ValueContainsNull: g.IntN(3) > 0}
	}
	var s delta.Schema
	for i := range 1 + g.IntN(3) {
		s.Fields = append(s.Fields, delta.Field{Name: fmt.Sprintf("m%d", i), Type: g.dataType(depth - 1), Nullable: g.IntN(3) > 0})
	}
	return s
}

// file plans a data file for the schema: which columns and members it has, and
// which of them may be null in it.
func (g generator) file(schema delta.Schema) *file {
	// Of a table with required columns most files are to keep to them: a broken
	// promise somewhere in every file would leave nothing to rewrite.
	honest := g.IntN(2) == 0
	f := &file{schema: schema, root: &node{kind: structKind}}
	g.members(f, f.root, schema.Fields, 0, honest)
	if len(f.root.children) == 0 { // Parquet has no rows without a column
		f.root.children = []*node{g.node(f, "not_in_the_table", delta.Long, true, 0, honest)}
	}
	return f
}

func (g generator) members(f *file, group *node, fields []delta.Field, repeated int16, honest bool) {
	group.fields = fields
	for _, field := range fields {
		if (field.Nullable || !honest) && g.IntN(8) == 0 {
			continue // added later
		}
		group.children = append(group.children, g.node(f, field.Name, field.Type, field.Nullable, repeated, honest))
	}
	if len(group.children) == 0 && group != f.root {
		group.children = append(group.children, g.node(f, fields[0].Name, fields[0].Type, fields[0].Nullable, repeated, honest))
	}
	g.Shuffle(len(group.children), func(i, j int) {
		group.children[i], group.children[j] = group.children[j], group.children[i]
	})
}

// node is a column of a file, which may be null if the table's may, or anyhow.
func (g generator) node(f *file, name string, t delta.DataType, nullable bool, repeated int16, honest bool) *node {
	n := &node{name: name, optional: g.IntN(4) > 0, maxRep: repeated}
	// A file may call a column optional that has no nulls.
	n.nulls = n.optional && (nullable || !honest && g.IntN(3) == 0)
	switch t := t.(type) {
	case delta.Schema:
		n.kind = structKind
		g.members(f, n, t.Fields, repeated, honest)
	case delta.Array:
		n.kind, n.maxRep = listKind, repeated+1
		n.children = []*node{g.node(f, "element", t.Element, t.ContainsNull, repeated+1, honest)}
	case delta.Map:
		n.kind, n.maxRep = mapKind, repeated+1
		key := g.node(f, "key", t.Key, false, repeated+1, true)
		key.optional, key.nulls = false, false
		n.children = []*node{key, g.node(f, "value", t.Value, t.ValueContainsNull, repeated+1, honest)}
	default:
		n.kind, n.leaf = leafKind, newLeaf(t, g.IntN(2) == 0)
	}
	return n
}

// row makes a row of a file, and notes whether it breaks the table's schema.
func (g generator) row(f *file) map[string]any {
	return g.structValue(f, f.root)
}

func (g generator) structValue(f *file, group *node) map[string]any {
	row := map[string]any{}
	for _, field := range group.fields {
		row[field.Name] = nil
		if child := group.child(field.Name); child != nil {
			row[field.Name] = g.value(f, child, field.Type)
		}
		if row[field.Name] == nil && !field.Nullable {
			f.breaks = true
		}
	}
	if child := group.child("not_in_the_table"); child != nil {
		row[child.name] = g.value(f, child, delta.Long)
	}
	return row
}

func (g generator) value(f *file, n *node, t delta.DataType) any {
	if n.nulls && g.IntN(4) == 0 {
		return nil
	}
	switch t := t.(type) {
	case delta.Schema:
		return g.structValue(f, n)
	case delta.Array:
		list := []any{}
		for range g.IntN(4) {
			element := g.value(f, n.children[0], t.Element)
			if element == nil && !t.ContainsNull {
				f.breaks = true
			}
			list = append(list, element)
		}
		return list
	case delta.Map:
		pairs := []any{}
		for i := range g.IntN(3) {
			key := fmt.Sprintf("%d%s", i+1, strings.TrimPrefix(g.scalar(t.Key), "-")) // each key once
			if t.Key == delta.Long {
				key = key[:min(len(key), 9)]
			}
			value := g.value(f, n.children[1], t.Value)
			if value == nil && !t.ValueContainsNull {
				f.breaks = true
			}
			pairs = append(pairs, []any{key, value})
		}
		return pairs
	}
	return g.scalar(t)
}
