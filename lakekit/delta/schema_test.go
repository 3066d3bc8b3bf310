package delta

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
)

func TestSchemaJSON(t *testing.T) {
	tests := []struct{ name, json, sql string }{
		{"primitives", `{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}},{"name":"b","type":"timestamp_ntz","nullable":false,"metadata":{"comment":"x"}}]}`, "struct<a:bigint,b:timestamp_ntz>"},
		{"decimal", `{"type":"struct","fields":[{"name":"a","type":"decimal(10,2)","nullable":true,"metadata":{}}]}`, "struct<a:decimal(10,2)>"},
		{"nested", `{"type":"struct","fields":[{"name":"s","type":{"type":"struct","fields":[{"name":"x","type":"byte","nullable":true,"metadata":{}}]},"nullable":true,"metadata":{}},` +
			`{"name":"l","type":{"type":"array","elementType":{"type":"array","elementType":"double","containsNull":false},"containsNull":true},"nullable":true,"metadata":{}},` +
			`{"name":"m","type":{"type":"map","keyType":"string","valueType":{"type":"struct","fields":[]},"valueContainsNull":true},"nullable":true,"metadata":{}}]}`,
			"struct<s:struct<x:tinyint>,l:array<array<double>>,m:map<string,struct<>>>"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var schema Schema
			if err := json.Unmarshal([]byte(test.json), &schema); err != nil {
				t.Fatal(err)
			}
			if schema.String() != test.sql {
				t.Errorf("SQL %s, want %s", schema, test.sql)
			}
			again := must[[]byte](t)(json.Marshal(schema))
			if string(again) != test.json {
				t.Errorf("got  %s\nwant %s", again, test.json)
			}
			if _, err := schema.Arrow(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSchemaJSONRefuses(t *testing.T) {
	field := func(typ string) string {
		return `{"type":"struct","fields":[{"name":"a","type":` + typ + `,"nullable":true,"metadata":{}}]}`
	}
	tests := map[string]struct {
		json, says  string
		unsupported bool
	}{
		"variant":          {field(`"variant"`), `column "a": delta: unsupported: column type "variant"`, true},
		"unknown nested":   {field(`{"type":"set"}`), `"set"`, true},
		"decimal too wide": {field(`"decimal(39,1)"`), "precision is 1 to 38", false},
		"scale too large":  {field(`"decimal(5,6)"`), "scale 0 to precision", false},
		"not a struct":     {`"long"`, "not a struct", false},
		"no type":          {`{"type":"struct","fields":[{"name":"a"}]}`, `column "a"`, false},
		"too deep":         {strings.Repeat(`{"type":"array","elementType":`, 200) + `"long"` + strings.Repeat("}", 200), "deeper", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var schema Schema
			err := json.Unmarshal([]byte(test.json), &schema)
			if err == nil || !strings.Contains(err.Error(), test.says) || errors.Is(err, ErrUnsupported) != test.unsupported {
				t.Fatalf("error %v, want %q", err, test.says)
			}
		})
	}
}

func FuzzSchemaJSON(f *testing.F) {
	f.Add(`{"type":"struct","fields":[{"name":"a","type":"long","nullable":true,"metadata":{}}]}`)
	f.Add(`{"type":"struct","fields":[{"name":"m","type":{"type":"map","keyType":"string","valueType":"decimal(3,1)","valueContainsNull":true},"nullable":false,"metadata":{"k":[1,{}]}}]}`)
	f.Add(`{"type":"array","elementType":"long"}`)
	f.Fuzz(func(t *testing.T, text string) {
		var schema Schema
		if json.Unmarshal([]byte(text), &schema) != nil {
			return
		}
		out, err := json.Marshal(schema)
		if err != nil {
			t.Fatalf("%q was read and cannot be written: %v", text, err)
		}
		var again Schema
		if err := json.Unmarshal(out, &again); err != nil {
			t.Fatal(err)
		}
		if schema.String() != again.String() {
			t.Fatalf("%s became %s", schema, again)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	column := func(name string) Field { return Field{Name: name, Type: Long, Nullable: true} }
	nested := func(t DataType) Definition {
		return Definition{Schema: Schema{[]Field{column("id"), {Name: "n", Type: t, Nullable: true}}}}
	}
	tests := []struct {
		name string
		def  Definition
		says string
	}{
		{"no columns", Definition{}, "needs a column"},
		{"twice", Definition{Schema: Schema{[]Field{column("a"), column("A")}}}, `"A" is there twice`},
		{"no name", Definition{Schema: Schema{[]Field{column("")}}}, "no name"},
		{"bad name", Definition{Schema: Schema{[]Field{column("pickup time")}}}, `"pickup time"`},
		{"bad nested name", Definition{Schema: Schema{[]Field{{Name: "s", Type: Schema{[]Field{column("a=b")}}}}}}, `in "s"`},
		{"bad name in an array", nested(Array{Schema{[]Field{column("a"), column("A")}}, true}), `in "n": column "A" is there twice`},
		{"bad name in a map", nested(Map{String, Schema{[]Field{column("")}}, true}), "no name"},
		{"no type", Definition{Schema: Schema{[]Field{{Name: "a"}}}}, `in "a": no column type`},
		{"unknown type", nested(Primitive("uuid")), `"uuid"`},
		{"decimal too long", nested(Array{Decimal{39, 2}, true}), "decimal(39,2)"},
		{"decimal of too many places", nested(Decimal{5, 7}), "decimal(5,7)"},
		{"struct of nothing", nested(Schema{}), "needs a member"},
		{"partition by no column", Definition{Schema: fare, PartitionBy: []string{"day"}}, `"day": no such column`},
		{"partition by a struct", Definition{Schema: Schema{[]Field{column("a"), {Name: "s", Type: Schema{[]Field{column("b")}}}}}, PartitionBy: []string{"s"}}, "struct"},
		{"partition by all", Definition{Schema: Schema{[]Field{column("a")}}, PartitionBy: []string{"a"}}, "not partitioned by"},
		{"partition twice", Definition{Schema: fare, PartitionBy: []string{"id", "id"}}, "once"},
		{"unknown property", Definition{Schema: fare, Properties: map[string]string{"delta.autoOptimise.autoCompact": "true"}}, `did you mean "delta.autoOptimize.autoCompact"?`},
		{"bad value", Definition{Schema: fare, Properties: map[string]string{"delta.checkpointInterval": "ten"}}, `delta.checkpointInterval = "ten": expected a positive`},
		{"feature", Definition{Schema: fare, Properties: map[string]string{"delta.enableDeletionVectors": "true"}}, "delta.enableDeletionVectors"},
		{"expiring txns", Definition{Schema: fare, Properties: map[string]string{"delta.setTransactionRetentionDuration": "interval 1 day"}}, "kept forever"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			_, err := Create(t.Context(), bucket, test.def)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error %v, want %q", err, test.says)
			}
			for object := range bucket.List(t.Context(), blob.ListOptions{}) {
				t.Fatalf("left %s", object.Key)
			}
		})
	}
}

func TestCreate(t *testing.T) {
	bucket := blob.NewMemory("lake")
	def := Definition{
		Name: "rides", Description: "of New York", Schema: fare, PartitionBy: []string{"note"},
		Properties: map[string]string{"DELTA.AUTOOPTIMIZE.AUTOCOMPACT": "true", "owner": "alice", "delta.logRetentionDuration": "interval 1 week 2 days"},
	}
	table := must[*Table](t)(Create(t.Context(), bucket, def))
	s := must[*Snapshot](t)(table.Snapshot(t.Context()))
	if p := s.Protocol(); !reflect.DeepEqual(p, Protocol{MinReaderVersion: 1, MinWriterVersion: 2}) {
		t.Errorf("protocol %+v", p)
	}
	want := map[string]string{AutoCompactKey: "true", "owner": "alice", LogRetentionDurationKey: "interval 1 week 2 days"}
	if !reflect.DeepEqual(s.Properties(), want) {
		t.Errorf("properties %v", s.Properties())
	}
	detail := s.Detail()
	if detail.Name != "rides" || detail.Description != "of New York" || detail.Format != "delta" || detail.Location != "oss://lake" ||
		detail.NumFiles != 0 || detail.CreatedAt.IsZero() || !reflect.DeepEqual(detail.PartitionColumns, []string{"note"}) {
		t.Errorf("%+v", detail)
	}
	if _, err := Create(t.Context(), bucket, def); !errors.Is(err, ErrTableExists) {
		t.Errorf("second create: %v", err)
	}
	ntz := must[*Table](t)(Create(t.Context(), blob.NewMemory("ntz"), Definition{Schema: Schema{[]Field{{Name: "at", Type: TimestampNTZ}}}}))
	if p := must[*Snapshot](t)(ntz.Snapshot(t.Context())).Protocol(); p.MinReaderVersion != 3 || !reflect.DeepEqual(p.ReaderFeatures, []string{"timestampNtz"}) {
		t.Errorf("protocol of timestamp_ntz %+v", p)
	}
}

func TestCreateRace(t *testing.T) {
	bucket := blob.NewMemory("lake")
	results := make(chan error)
	for range 8 {
		go func() {
			_, err := Create(t.Context(), bucket, Definition{Schema: fare})
			results <- err
		}()
	}
	created := 0
	for range 8 {
		switch err := <-results; {
		case err == nil:
			created++
		case !errors.Is(err, ErrTableExists):
			t.Error(err)
		}
	}
	if created != 1 {
		t.Fatalf("%d creators", created)
	}
}

// TestWritesRefused: tables we can read and must not write.
func TestWritesRefused(t *testing.T) {
	withMetadata := func(old, new string) string { return strings.Replace(metadataLine, old, new, 1) }
	tests := map[string]struct{ protocol, metadata, says string }{
		"writer version 8":       {`{"protocol":{"minReaderVersion":1,"minWriterVersion":8}}`, metadataLine, "writer version 8"},
		"unknown writer feature": {`{"protocol":{"minReaderVersion":1,"minWriterVersion":7,"writerFeatures":["appendOnly","rowTracking"]}}`, metadataLine, `"rowTracking"`},
		"check constraint":       {`{"protocol":{"minReaderVersion":1,"minWriterVersion":3}}`, withMetadata(`"configuration":{}`, `"configuration":{"delta.constraints.positive":"id > 0"}`), "delta.constraints.positive"},
		"change data feed":       {`{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`, withMetadata(`"configuration":{}`, `"configuration":{"delta.enableChangeDataFeed":"true"}`), "change data feed"},
		"CHANGE DATA FEED":       {`{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`, withMetadata(`"configuration":{}`, `"configuration":{"delta.enableChangeDataFeed":"TRUE"}`), "change data feed"},
		"invariant":              {protocolLine, withMetadata(`\"metadata\":{}`, `\"metadata\":{\"delta.invariants\":\"id > 0\"}`), "delta.invariants"},
		"generated column":       {`{"protocol":{"minReaderVersion":1,"minWriterVersion":4}}`, withMetadata(`\"metadata\":{}`, `\"metadata\":{\"delta.generationExpression\":\"1\"}`), "delta.generationExpression"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			bucket := blob.NewMemory("lake")
			putText(t, bucket, commitKey(0), lines(test.protocol, test.metadata))
			table := openFares(t, bucket)
			_, writeErr := table.WriteFiles(t.Context())
			_, commitErr := table.Commit(t.Context(), Commit{Operation: "WRITE"})
			for _, err := range []error{writeErr, commitErr, table.Checkpoint(t.Context())} {
				if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
					t.Errorf("error %v, want %q", err, test.says)
				}
			}
		})
	}
}
