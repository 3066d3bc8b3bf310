package interop_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/delta"
)

// sparks are tables that Spark writes, by the statements in which T stands for
// the table.
var sparks = []struct {
	name       string
	statements []string
	conf       map[string]string
	from       int64  // the oldest version that can be read
	dropped    int64  // commits before it are deleted, as log cleanup does
	refused    string // the table feature for which we do not write to it
}{
	{name: "plain", statements: []string{
		"CREATE TABLE T (id BIGINT NOT NULL COMMENT 'the key', v VARCHAR(10), x DOUBLE) USING delta COMMENT 'plain'",
		"INSERT INTO T VALUES (1, 'one', CAST('NaN' AS DOUBLE)), (2, null, -0.0D)",
		"UPDATE T SET v = 'two' WHERE id = 2",
		"DELETE FROM T WHERE id = 1",
		"MERGE INTO T AS t USING (SELECT 2L AS id UNION SELECT 9L) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET x = 7 WHEN NOT MATCHED THEN INSERT (id, v) VALUES (s.id, 'nine')",
	}},
	{name: "transaction identifier and user metadata", statements: []string{
		"CREATE TABLE T (id BIGINT) USING delta", "INSERT INTO T VALUES (1)",
	}, conf: map[string]string{"spark.databricks.delta.write.txnAppId": "batch job", "spark.databricks.delta.write.txnVersion": "41", "spark.databricks.delta.commitInfo.userMetadata": "the \"41st\" run"}},
	{name: "column mapping by name", refused: "columnMapping", statements: []string{
		"CREATE TABLE T (`id no` BIGINT, `a,b;{}()=` STRING, s STRUCT<a: INT, b: STRUCT<c: STRING>>, gone INT, `p.q r` STRING) USING delta PARTITIONED BY (`p.q r`) TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
		"INSERT INTO T VALUES (1, 'one', struct(1, struct('c')), 7, 'A B')",
		"ALTER TABLE T RENAME COLUMN `id no` TO `number one`",
		"ALTER TABLE T RENAME COLUMN s.b.c TO `c d`",
		"ALTER TABLE T RENAME COLUMN `p.q r` TO part",
		"ALTER TABLE T DROP COLUMN gone",
		"ALTER TABLE T ADD COLUMNS (gone STRING)",
		"INSERT INTO T (`number one`, gone, part) VALUES (2, 'back', null)",
	}},
	{name: "column mapping by id", refused: "columnMapping", statements: []string{
		"CREATE TABLE T (id BIGINT, `va lue` STRING, l ARRAY<STRUCT<x: INT>>, m MAP<STRING, STRUCT<v: DOUBLE>>, p INT) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.columnMapping.mode' = 'id')",
		"INSERT INTO T VALUES (1, 'one', array(struct(1), null), map('k', struct(1.5D)), 1), (9, null, null, null, null)",
		"ALTER TABLE T RENAME COLUMN `va lue` TO value",
		"ALTER TABLE T ADD COLUMNS (added STRING)",
		"INSERT INTO T (id, value, l, added, p) VALUES (2, 'two', array(struct(2)), 'y', 2)",
	}},
	{name: "column mapping of an older table", refused: "columnMapping", statements: []string{
		"CREATE TABLE T (id BIGINT, a STRING, b STRING) USING delta",
		"INSERT INTO T VALUES (1, 'old a', 'old b')",
		"ALTER TABLE T SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name', 'delta.minReaderVersion' = '2', 'delta.minWriterVersion' = '5')",
		"ALTER TABLE T DROP COLUMN a",
		"ALTER TABLE T RENAME COLUMN b TO a",
		"ALTER TABLE T ADD COLUMNS (b STRING)",
		"INSERT INTO T VALUES (2, 'new a', 'new b')",
	}},
	{name: "deletion vectors", refused: "deletionVectors", statements: []string{
		"CREATE TABLE T (id BIGINT, note STRING, p STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
		"INSERT INTO T SELECT /*+ COALESCE(1) */ id, concat('note ', id), IF(id % 2 = 0, 'even', 'o/d d') FROM range(200)",
		"DELETE FROM T WHERE id BETWEEN 10 AND 19",
		"DELETE FROM T WHERE id % 10 = 3",
		"UPDATE T SET note = 'updated' WHERE id = 100",
		"MERGE INTO T AS t USING (SELECT 40L AS id UNION SELECT 1000L) s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
		"OPTIMIZE T WHERE p = 'even'",
	}},
	{name: "deletion vectors behind a checkpoint", refused: "deletionVectors", dropped: 4, from: 4, statements: []string{
		"CREATE TABLE T (id BIGINT, note STRING) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true', 'delta.checkpointInterval' = '4', 'delta.columnMapping.mode' = 'name')",
		"INSERT INTO T SELECT /*+ COALESCE(1) */ id, concat('note ', id) FROM range(100)",
		"DELETE FROM T WHERE id BETWEEN 5 AND 8",
		"DELETE FROM T WHERE id BETWEEN 50 AND 58",
		"DELETE FROM T WHERE id = 99",
		"ALTER TABLE T RENAME COLUMN note TO text",
	}},
	{name: "V2 checkpoint in JSON", refused: "v2Checkpoint", dropped: 3, from: 3, statements: v2Checkpoint, conf: map[string]string{"spark.databricks.delta.checkpointV2.topLevelFileFormat": "json", "spark.databricks.delta.checkpoint.partSize": "2"}},
	{name: "V2 checkpoint in Parquet", refused: "v2Checkpoint", dropped: 3, from: 3, statements: v2Checkpoint, conf: map[string]string{"spark.databricks.delta.checkpointV2.topLevelFileFormat": "parquet", "spark.databricks.delta.checkpoint.partSize": "2"}},
	{name: "checkpoint in parts", dropped: 3, from: 3, conf: map[string]string{"spark.databricks.delta.checkpoint.partSize": "2"}, statements: []string{
		"CREATE TABLE T (id BIGINT, note STRING) USING delta TBLPROPERTIES ('delta.checkpointInterval' = '3', 'delta.checkpointPolicy' = 'classic')",
		"INSERT INTO T SELECT id, concat('n', id) FROM range(0, 3, 1, 3)",
		"INSERT INTO T SELECT id, concat('n', id) FROM range(3, 6, 1, 3)",
		"DELETE FROM T WHERE id = 4",
		"INSERT INTO T VALUES (100, 'after')",
	}},
	{name: "checkpoint with statistics as structs", dropped: 2, from: 2, statements: []string{
		"CREATE TABLE T (id BIGINT, d DECIMAL(10,2), at TIMESTAMP, day DATE) USING delta TBLPROPERTIES ('delta.checkpointInterval' = '2', 'delta.checkpoint.writeStatsAsJson' = 'false', 'delta.checkpoint.writeStatsAsStruct' = 'true')",
		"INSERT INTO T VALUES (1, 1.25, TIMESTAMP '1961-01-01 00:00:00.000001', DATE '1961-01-01')",
		"INSERT INTO T VALUES (2, 2.25, null, DATE '1962-01-01')",
	}},
	{name: "type widening", refused: "typeWidening", statements: []string{
		"CREATE TABLE T (id BIGINT, b TINYINT, f FLOAT, idec INT, d DATE, dec DECIMAL(5,2), l ARRAY<INT>, m MAP<TINYINT, FLOAT>, p SMALLINT) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.enableTypeWidening' = 'true', 'delta.feature.timestampNtz' = 'supported')",
		"INSERT INTO T VALUES (1, -128Y, CAST(1.1 AS FLOAT), 7, DATE '1969-12-31', 123.45, array(1, null), map(1Y, CAST(1.5 AS FLOAT)), 5S), (2, null, null, null, null, null, null, null, null)",
		"ALTER TABLE T ALTER COLUMN b TYPE INT", "ALTER TABLE T ALTER COLUMN f TYPE DOUBLE", "ALTER TABLE T ALTER COLUMN idec TYPE DECIMAL(12,2)", "ALTER TABLE T ALTER COLUMN d TYPE TIMESTAMP_NTZ",
		"ALTER TABLE T ALTER COLUMN dec TYPE DECIMAL(12,4)", "ALTER TABLE T ALTER COLUMN l.element TYPE BIGINT", "ALTER TABLE T ALTER COLUMN m.key TYPE INT", "ALTER TABLE T ALTER COLUMN p TYPE INT",
		"INSERT INTO T VALUES (3, 70000, 1.1D, 123.45, TIMESTAMP_NTZ '2020-02-29 12:34:56.789012', 12345.6789, array(5000000000), map(70000, CAST(1.1 AS FLOAT)), 70000)",
	}},
	{name: "partition values", statements: []string{
		"CREATE TABLE T (id BIGINT, b TINYINT, l BIGINT, f FLOAT, d DOUBLE, dec DECIMAL(20,5), bool BOOLEAN, str STRING, bin BINARY, day DATE, at TIMESTAMP, ntz TIMESTAMP_NTZ) USING delta PARTITIONED BY (b, l, f, d, dec, bool, str, bin, day, at, ntz)",
		`INSERT INTO T VALUES (1, -1Y, -9223372036854775808, CAST(1.5 AS FLOAT), -1e300D, -123.456, true, 'a/b c=%25ü"\'{}?#&+:*', X'41C3A9', DATE '1969-12-31', TIMESTAMP '1969-12-31 23:59:59.123456', TIMESTAMP_NTZ '1900-01-01 00:00:00.5'),
			(2, null, null, null, null, null, null, null, null, null, null, null), (3, 127Y, 1, CAST('NaN' AS FLOAT), CAST('-Infinity' AS DOUBLE), 0, false, '', X'', DATE '9999-12-31', TIMESTAMP '2024-03-10 02:30:00', TIMESTAMP_NTZ '2024-03-10 02:30:00')`,
	}},
	{name: "INT96 timestamps", conf: map[string]string{"spark.sql.parquet.outputTimestampType": "INT96"}, statements: []string{
		"CREATE TABLE T (id INT, at TIMESTAMP, ats ARRAY<TIMESTAMP>) USING delta",
		"INSERT INTO T VALUES (1, TIMESTAMP '1677-09-22 00:00:00', array(TIMESTAMP '1969-12-31 23:59:59.999999', null)), (2, TIMESTAMP '2262-04-11 00:00:00', null)",
	}},
	{name: "old times", conf: map[string]string{"spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS"}, statements: []string{
		"CREATE TABLE T (id INT, at TIMESTAMP, day DATE, ntz TIMESTAMP_NTZ) USING delta",
		"INSERT INTO T VALUES (1, TIMESTAMP '0002-01-01 00:00:00', DATE '0002-01-01', TIMESTAMP_NTZ '0002-01-01 00:00:00'), (2, TIMESTAMP '1582-10-04 23:59:59.999999', DATE '1582-10-04', null), (3, TIMESTAMP '9999-12-31 23:59:59.999999', DATE '9999-12-31', TIMESTAMP_NTZ '9999-12-31 23:59:59.999999')",
	}},
	{name: "nested", statements: []string{
		"CREATE TABLE T (id BIGINT, s STRUCT<a: INT, b: STRUCT<c: STRING, d: ARRAY<INT>>>, l ARRAY<STRUCT<x: INT, y: STRING>>, mm MAP<INT, MAP<STRING, DECIMAL(38,10)>>) USING delta",
		"INSERT INTO T VALUES (1, struct(1, struct('c', array(1, null))), array(struct(1, 'x'), null), map(1, map('a', 1.5))), (2, struct(null, null), array(), map()), (3, null, null, null)",
		"ALTER TABLE T ADD COLUMNS (s.z BINARY, l.element.z DECIMAL(5,1), added MAP<STRING, BINARY>)",
		"INSERT INTO T VALUES (5, struct(5, struct('e', array()), X'00FF'), array(struct(5, 'five', 5.5)), map(5, map('five', null)), map('k', X'CAFE'))",
	}},
	{name: "in-commit timestamps", refused: "inCommitTimestamp", statements: []string{
		"CREATE TABLE T (id BIGINT) USING delta", "INSERT INTO T VALUES (1)",
		"ALTER TABLE T SET TBLPROPERTIES ('delta.enableInCommitTimestamps' = 'true')",
		"INSERT INTO T VALUES (2)",
	}},
	{name: "change data, constraints, defaults", refused: "allowColumnDefaults", statements: []string{
		"CREATE TABLE T (id BIGINT, x INT DEFAULT 7) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true', 'delta.feature.allowColumnDefaults' = 'supported')",
		"ALTER TABLE T ADD CONSTRAINT positive CHECK (x > 0)",
		"INSERT INTO T (id) VALUES (1), (2)",
		"UPDATE T SET x = 3 WHERE id = 2",
	}},
	{name: "row tracking and clustering", refused: "domainMetadata", statements: []string{
		"CREATE TABLE T (id BIGINT, x INT) USING delta CLUSTER BY (x) TBLPROPERTIES ('delta.enableRowTracking' = 'true')",
		"INSERT INTO T VALUES (1, 1), (2, 2)", "INSERT INTO T VALUES (3, 3)", "OPTIMIZE T", "DELETE FROM T WHERE x = 2",
	}},
	{name: "overwritten, restored, vacuumed", from: 6, statements: []string{
		"CREATE TABLE T (id BIGINT, p INT) USING delta PARTITIONED BY (p)",
		"INSERT INTO T VALUES (1, 1), (2, 2)",
		"INSERT OVERWRITE T VALUES (3, 1)",
		"RESTORE TABLE T TO VERSION AS OF 1",
		"INSERT INTO T REPLACE WHERE p = 2 VALUES (5, 2)",
		"VACUUM T RETAIN 0 HOURS",
	}},
	{name: "vacuum protocol check", statements: []string{
		"CREATE TABLE T (id BIGINT, at TIMESTAMP_NTZ) USING delta TBLPROPERTIES ('delta.feature.vacuumProtocolCheck' = 'supported')",
		"INSERT INTO T VALUES (1, TIMESTAMP_NTZ '1969-07-20 20:17:40.000001'), (2, null)",
	}},
	{name: "feature dropped again", refused: "checkpointProtection", statements: []string{
		"CREATE TABLE T (id BIGINT) USING delta TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')",
		"INSERT INTO T SELECT /*+ COALESCE(1) */ id FROM range(20)",
		"DELETE FROM T WHERE id < 5",
		"ALTER TABLE T DROP FEATURE deletionVectors",
		"INSERT INTO T VALUES (100)",
	}, from: 4},
}

var v2Checkpoint = []string{
	"CREATE TABLE T (id BIGINT, p STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.checkpointPolicy' = 'v2', 'delta.checkpointInterval' = '3')",
	"INSERT INTO T VALUES (1, 'a b'), (2, null)",
	"INSERT INTO T VALUES (3, 'a b'), (4, 'c')",
	"DELETE FROM T WHERE id = 3",
	"INSERT INTO T VALUES (5, 'after')",
}

// statements runs SQL in Spark on the table at dir, which T stands for.
func statements(t testing.TB, dir string, conf map[string]string, statements ...string) {
	t.Helper()
	on := make([]string, len(statements))
	for i, statement := range statements {
		on[i] = strings.NewReplacer(" T ", " delta.`"+dir+"` ", " T\n", " delta.`"+dir+"` ").Replace(statement + "\n")
	}
	spark.ask(t, request{"op": "sql", "statements": on, "conf": conf}, nil)
}

// TestRealReadsSparks: we read what Spark writes as it reads it, and write to it
// or refuse to by a feature's name.
func TestRealReadsSparks(t *testing.T) {
	spark.need(t)
	for _, table := range sparks {
		t.Run(table.name, func(t *testing.T) {
			dir := t.TempDir()
			statements(t, dir, table.conf, table.statements...)
			dropCommits(t, dir, table.dropped)
			compare(t, spark, dir, table.from)
			counted(t, dir)

			ours := open(t, dir)
			version, err := ours.Append(t.Context(), delta.AppendOptions{}, records(t, schema("id", snapshot(t, ours).Schema().Fields[0].Type), `[{"id":77}]`))
			switch {
			case table.refused != "":
				if !errors.Is(err, delta.ErrUnsupported) || !strings.Contains(err.Error(), table.refused) {
					t.Errorf("writing to it: %v, want an error that names %s", err, table.refused)
				}
			case err != nil:
				t.Error(err)
			default:
				compare(t, spark, dir, version)
			}
		})
	}
}

// TestRealRefusesSparks: a feature we do not read is refused by its name.
func TestRealRefusesSparks(t *testing.T) {
	spark.need(t)
	for _, table := range []struct {
		name, says string
		statements []string
	}{
		{"variant", "variantType", []string{"CREATE TABLE T (id BIGINT, v VARIANT) USING delta", "INSERT INTO T VALUES (1, PARSE_JSON('{\"a\":1}'))"}},
	} {
		t.Run(table.name, func(t *testing.T) {
			dir := t.TempDir()
			statements(t, dir, nil, table.statements...)
			_, err := delta.Open(t.Context(), bucket(t, dir))
			if !errors.Is(err, delta.ErrUnsupported) || !strings.Contains(err.Error(), table.says) {
				t.Errorf("error %v, want one that names %s", err, table.says)
			}
		})
	}
	t.Run("shallow clone", func(t *testing.T) {
		dir, clone := t.TempDir(), t.TempDir()
		statements(t, dir, nil, "CREATE TABLE T (id BIGINT) USING delta", "INSERT INTO T VALUES (1)")
		statements(t, clone, nil, "CREATE TABLE T SHALLOW CLONE delta.`"+dir+"`")
		var refused error
		for _, err := range snapshot(t, open(t, clone)).Scan(t.Context(), delta.ScanOptions{}) {
			refused = err
		}
		if !errors.Is(refused, delta.ErrUnsupported) {
			t.Errorf("error %v, want %v", refused, delta.ErrUnsupported)
		}
	})
}

// deltaRSs are tables that delta-rs writes.
var deltaRSs = []struct {
	name string
	from int64
	make func(t *testing.T, dir string)
}{
	{"all types", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, records(t, everything, everyRow), nil)
	}},
	{"nested", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, records(t, nested, nestedRows), nil)
	}},
	{"times without a zone", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, records(t, schema("id", delta.Long, "at", delta.TimestampNTZ), `[{"id":1,"at":"1900-01-01 00:00:00.000001"},{"id":2}]`), nil)
	}},
	{"partition values", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, records(t, everything, everyRow), request{"partition_by": []string{"b", "i", "l", "flag", "str", "day", "at"}})
	}},
	{"merged schema", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, records(t, schema("id", delta.Long), `[{"id":1}]`), nil)
		deltaRSAppends(t, dir, records(t, schema("id", delta.Long, "note", delta.String), `[{"id":2,"note":"new"}]`), request{"merge_schema": true})
	}},
	{"transaction identifiers", 0, func(t *testing.T, dir string) {
		for i := range 3 {
			deltaRSAppends(t, dir, sequence(t, int64(i), 1), request{"app": "loader", "batch": 10 + i})
		}
		deltaRS.ask(t, request{"op": "checkpoint", "path": dir}, nil)
	}},
	{"deleted, updated, optimized, restored", 0, func(t *testing.T, dir string) {
		deltaRSAppends(t, dir, sequence(t, 0, 100), nil)
		deltaRSAppends(t, dir, sequence(t, 100, 100), nil)
		deltaRS.ask(t, request{"op": "delete", "path": dir, "where": "id % 3 = 0"}, nil)
		deltaRS.ask(t, request{"op": "update", "path": dir, "where": "id = 7", "updates": map[string]string{"text": "'seven'"}}, nil)
		deltaRS.ask(t, request{"op": "optimize", "path": dir}, nil)
		deltaRS.ask(t, request{"op": "optimize", "path": dir, "z_order": []string{"text"}}, nil)
		deltaRS.ask(t, request{"op": "restore", "path": dir, "version": 2}, nil)
	}},
	{"checkpointed, older commits gone, vacuumed", 4, func(t *testing.T, dir string) {
		options := request{"partition_by": []string{"str"}}
		for range 3 {
			deltaRSAppends(t, dir, records(t, everything, everyRow), options)
		}
		deltaRS.ask(t, request{"op": "delete", "path": dir, "where": "id = 3"}, nil)
		deltaRS.ask(t, request{"op": "optimize", "path": dir}, nil)
		deltaRS.ask(t, request{"op": "checkpoint", "path": dir}, nil)
		dropCommits(t, dir, 4)
		deltaRS.ask(t, request{"op": "vacuum", "path": dir}, nil)
	}},
}

// TestRealReadsDeltaRSs: we read what delta-rs writes as it reads it.
func TestRealReadsDeltaRSs(t *testing.T) {
	deltaRS.need(t)
	for _, table := range deltaRSs {
		t.Run(table.name, func(t *testing.T) {
			dir := t.TempDir()
			table.make(t, dir)
			compare(t, deltaRS, dir, table.from)
			counted(t, dir)
		})
	}
}

func deltaRSAppends(t testing.TB, dir string, batch arrow.RecordBatch, options request) {
	t.Helper()
	r := request{"op": "append", "path": dir, "rows": write(t, batch)}
	for option, value := range options {
		r[option] = value
	}
	deltaRS.ask(t, r, nil)
}

// TestRealRelay: three engines take turns at one table; after each turn all of
// them, and SQL, read the same.
func TestRealRelay(t *testing.T) {
	spark.need(t)
	deltaRS.need(t)
	dir := t.TempDir()
	rows := func(first int64) arrow.RecordBatch { return partitioned(t, first, 10) }
	for _, turn := range []struct {
		name string
		take func(t *testing.T)
	}{
		{"spark creates and writes", func(t *testing.T) {
			statements(t, dir, nil, "CREATE TABLE T (id BIGINT, text STRING, p STRING) USING delta PARTITIONED BY (p) TBLPROPERTIES ('delta.checkpointInterval' = '5')", "INSERT INTO T VALUES (1, 'spark', 'a/b'), (2, null, null)")
		}},
		{"we append", func(t *testing.T) {
			must[int64](t)(open(t, dir).Append(t.Context(), delta.AppendOptions{Txn: &delta.Txn{AppID: "ours", Version: 1}}, rows(100)))
		}},
		{"delta-rs appends", func(t *testing.T) { deltaRSAppends(t, dir, rows(200), request{"app": "theirs", "batch": 5}) }},
		{"we compact", func(t *testing.T) {
			if r := must[delta.CompactResult](t)(open(t, dir).Compact(t.Context(), delta.CompactOptions{})); r.FilesRemoved == 0 {
				t.Error("nothing was compacted")
			}
		}},
		{"spark deletes, and checkpoints", func(t *testing.T) {
			statements(t, dir, nil, "DELETE FROM T WHERE id = 101", "UPDATE T SET text = 'updated' WHERE id = 1")
		}},
		{"we checkpoint, older commits go", func(t *testing.T) {
			if err := open(t, dir).Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			dropCommits(t, dir, snapshot(t, open(t, dir)).Version())
		}},
		{"spark checkpoints, we do so again", func(t *testing.T) {
			statements(t, dir, nil, "ALTER TABLE T SET TBLPROPERTIES ('delta.checkpointInterval' = '1')")
			if err := open(t, dir).Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"spark appends to our checkpoint", func(t *testing.T) { statements(t, dir, nil, "INSERT INTO T VALUES (3, 'spark', 'ü')") }},
		{"delta-rs deletes and optimizes", func(t *testing.T) {
			deltaRS.ask(t, request{"op": "delete", "path": dir, "where": "id = 202"}, nil)
			deltaRS.ask(t, request{"op": "optimize", "path": dir}, nil)
		}},
		{"we vacuum", func(t *testing.T) {
			must[delta.VacuumResult](t)(open(t, dir).Vacuum(t.Context(), delta.VacuumOptions{}))
			must[int64](t)(open(t, dir).Append(t.Context(), delta.AppendOptions{Txn: &delta.Txn{AppID: "ours", Version: 2}}, rows(300)))
		}},
		{"spark restores what we wrote", func(t *testing.T) {
			statements(t, dir, nil, fmt.Sprintf("RESTORE TABLE T TO VERSION AS OF %d", snapshot(t, open(t, dir)).Version()-1))
		}},
	} {
		t.Run(turn.name, func(t *testing.T) {
			turn.take(t)
			newest := snapshot(t, open(t, dir)).Version()
			for _, e := range []*engine{deltaRS, spark} {
				compare(t, e, dir, newest)
			}
			counted(t, dir)
		})
		if t.Failed() {
			return
		}
	}
}

// partitioned are rows of id, text and p.
func partitioned(t testing.TB, first, n int64) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(schema("id", delta.Long, "text", delta.String, "p", delta.String).Arrow()))
	for id := first; id < first+n; id++ {
		b.Field(0).(*array.Int64Builder).Append(id)
		b.Field(1).(*array.StringBuilder).Append(fmt.Sprintf("row %d", id))
		if id%2 == 0 {
			b.Field(2).(*array.StringBuilder).Append("a/b")
		} else {
			b.Field(2).AppendNull()
		}
	}
	return b.NewRecordBatch()
}

// TestRealConcurrentAppends: two writers of ours and delta-rs append to one
// table at once, a row a commit; none is lost and none is there twice.
func TestRealConcurrentAppends(t *testing.T) {
	deltaRS.need(t)
	const commits = 60
	dir := t.TempDir()
	create(t, dir, delta.Definition{Schema: schema("id", delta.Long)})
	failures := make(chan error, 3)
	go func() {
		failures <- deltaRS.try(request{"op": "append_many", "path": dir, "first": 0, "commits": commits}, nil)
	}()
	for writer := range int64(2) {
		table := open(t, dir)
		go func() {
			var failed error
			for i := range int64(commits) {
				id := (writer+1)*commits + i
				_, err := table.Append(t.Context(), delta.AppendOptions{}, records(t, schema("id", delta.Long), fmt.Sprintf(`[{"id":%d}]`, id)))
				failed = errors.Join(failed, err)
			}
			failures <- failed
		}()
	}
	for range 3 {
		if err := <-failures; err != nil {
			t.Error(err)
		}
	}
	s := snapshot(t, open(t, dir))
	same(t, "version", s.Version(), 3*commits)
	want := scanned(t, s)
	if len(want) != 3*commits {
		t.Errorf("%d rows, want %d", len(want), 3*commits)
	}
	for i, row := range want[:len(want)-1] {
		if row == want[i+1] {
			t.Errorf("%s is there twice", row)
		}
	}
	compare(t, deltaRS, dir, 0)
}
