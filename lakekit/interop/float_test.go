package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/delta"
	"taxilake/lakekit/query"
)

var floats = schema("id", delta.Long, "x", delta.Double, "y", delta.Double, "f", delta.Float, "g", delta.Float, "n", delta.Integer, "b", delta.Long,
	"dec", delta.Decimal{Precision: 10, Scale: 2}, "s", schema("x", delta.Double, "f", delta.Float), "l", delta.Array{Element: delta.Double, ContainsNull: true}, "p", delta.Double)

var floatEdges = []float64{
	math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, math.MaxFloat64, math.SmallestNonzeroFloat32, math.MaxFloat32,
	0.1, float64(float32(0.1)), -0.1, 0.7, 1.5, 16777216, 16777217, 9007199254740992,
}

func randomNumber(r *rand.Rand) float64 {
	if r.IntN(2) == 0 {
		return floatEdges[r.IntN(len(floatEdges))]
	}
	return float64(r.IntN(9) - 4)
}

// floatBatch are random rows, of one partition.
func floatBatch(t testing.TB, r *rand.Rand, first, n int) arrow.RecordBatch {
	t.Helper()
	b := array.NewRecordBuilder(memory.DefaultAllocator, must[*arrow.Schema](t)(floats.Arrow()))
	p := floatEdges[r.IntN(5)]
	double := func(to array.Builder) {
		if r.IntN(7) == 0 {
			to.AppendNull()
		} else {
			to.(*array.Float64Builder).Append(randomNumber(r))
		}
	}
	float := func(to array.Builder) {
		if r.IntN(7) == 0 {
			to.AppendNull()
		} else {
			to.(*array.Float32Builder).Append(float32(randomNumber(r)))
		}
	}
	for i := range n {
		b.Field(0).(*array.Int64Builder).Append(int64(first + i))
		double(b.Field(1))
		double(b.Field(2))
		float(b.Field(3))
		float(b.Field(4))
		b.Field(5).(*array.Int32Builder).Append([]int32{0, 1, -1, 2, 16777216, 16777217}[r.IntN(6)])
		b.Field(6).(*array.Int64Builder).Append([]int64{0, 1, 3, 16777217, 9007199254740992, 9007199254740993}[r.IntN(6)])
		if err := b.Field(7).AppendValueFromString([]string{"0.10", "0.70", "1.50", "0.00", "-4.00"}[r.IntN(5)]); err != nil {
			t.Fatal(err)
		}
		if group := b.Field(8).(*array.StructBuilder); r.IntN(7) == 0 {
			group.AppendNull()
		} else {
			group.Append(true)
			double(group.FieldBuilder(0))
			float(group.FieldBuilder(1))
		}
		list := b.Field(9).(*array.ListBuilder)
		list.Append(true)
		for range r.IntN(3) {
			double(list.ValueBuilder())
		}
		b.Field(10).(*array.Float64Builder).Append(p)
	}
	return b.NewRecordBatch()
}

// randomFloatCondition is one that Spark and we write alike.
func randomFloatCondition(r *rand.Rand, depth int) string {
	if depth > 0 && r.IntN(2) == 0 {
		a, b := randomFloatCondition(r, depth-1), randomFloatCondition(r, depth-1)
		return fmt.Sprintf([]string{"NOT (%[1]s)", "(%s OR %s)", "(%s AND %s)", "CASE WHEN %s THEN %s ELSE false END"}[r.IntN(4)], []any{a, b}[:2]...)
	}
	columns := []string{"x", "y", "f", "g", "n", "b", "dec", "s.x", "s.f", "p"}
	column := func() string { return columns[r.IntN(len(columns))] }
	constant := func() string {
		v := randomNumber(r)
		switch {
		case v != v || math.IsInf(v, 0) || r.IntN(3) == 0:
			return fmt.Sprintf([]string{"double('%v')", "CAST('%v' AS DOUBLE)", "CAST('%v' AS FLOAT)"}[r.IntN(3)], v)
		case v == math.Trunc(v) && math.Abs(v) < 1e17:
			return fmt.Sprintf([]string{"%.0f", "%.1f", "%.1fe0"}[r.IntN(3)], v)
		}
		return fmt.Sprintf("%.1f", math.Mod(v, 1e6))
	}
	operator := []string{"=", "<>", "<", "<=", ">", ">=", "<=>"}[r.IntN(7)]
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("%s IN (%s, %s)", column(), constant(), constant())
	case 1:
		return fmt.Sprintf("%s NOT IN (%s, %s)", column(), constant(), constant())
	case 2:
		return fmt.Sprintf("%s %s %s AND %s", column(), []string{"BETWEEN", "NOT BETWEEN"}[r.IntN(2)], constant(), constant())
	case 3:
		return fmt.Sprintf("%s %s %s", constant(), operator, column())
	case 4:
		return fmt.Sprintf("%s %s %s", column(), operator, column())
	}
	return fmt.Sprintf("%s %s %s", column(), operator, constant())
}

// floatStatements ask of more than conditions. Sums are of what can be added in
// any order.
var floatStatements = []string{
	"SELECT min(x), max(x), min(f), max(f), min(s.x), max(s.x), count(x), count(*) FROM T",
	"SELECT max(x), max(f), max(y) FROM T WHERE x < 5",
	"SELECT min(x), max(x) FROM T WHERE x >= double('NaN')",
	"SELECT min(p), max(p), count(p) FROM T",
	"SELECT sum(x), avg(x), sum(f), avg(f) FROM T WHERE x IN (1, 2, double('NaN')) AND f IN (-1, 3, double('Infinity'))",
	"SELECT sum(x), avg(x) FROM T WHERE x IN (double('Infinity'), double('-Infinity'))",
	"SELECT sum(x), avg(x) FROM T WHERE x IN (double('Infinity'), 1)",
	"SELECT x, count(*) FROM T GROUP BY x ORDER BY x",
	"SELECT f, count(*), count(DISTINCT x), max(x), min(y) FROM T GROUP BY f ORDER BY f DESC",
	"SELECT DISTINCT f FROM T ORDER BY f DESC NULLS FIRST",
	"SELECT DISTINCT x, g FROM T ORDER BY x NULLS LAST, g DESC",
	"SELECT p, count(*) FROM T GROUP BY p ORDER BY p",
	"SELECT s.x, count(*) FROM T GROUP BY s.x HAVING s.x > 1 ORDER BY 1",
	"SELECT x, g, count(*) FROM T GROUP BY CUBE (x, g) ORDER BY x, g, 3",
	"SELECT id, x FROM T ORDER BY x, id", "SELECT id, x FROM T ORDER BY x DESC, id", "SELECT id, x FROM T ORDER BY x DESC NULLS FIRST, id", "SELECT id, f FROM T ORDER BY f NULLS LAST, id",
	"SELECT id FROM T ORDER BY x DESC, id LIMIT 7", "SELECT id FROM T ORDER BY f DESC, id LIMIT 3", "SELECT id FROM T ORDER BY y, id LIMIT 5", "SELECT id FROM T ORDER BY p DESC, id LIMIT 5",
	"SELECT a.id, b.id FROM T a JOIN T b ON a.x = b.y ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.f = b.g ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.f = b.x ORDER BY 1, 2",
	"SELECT a.id, b.id FROM T a JOIN T b ON a.f = b.dec ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.n = b.g ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.b = b.x ORDER BY 1, 2",
	"SELECT a.id, b.id FROM T a JOIN T b ON a.x <=> b.y WHERE a.id < 30 ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.x < b.y WHERE a.id < 20 ORDER BY 1, 2",
	"SELECT a.id, b.id FROM T a JOIN T b ON a.x BETWEEN b.x AND b.y WHERE b.id < 20 ORDER BY 1, 2", "SELECT a.id, b.id FROM T a JOIN T b ON a.p = b.x WHERE a.id < 40 ORDER BY 1, 2",
	"SELECT a.id, b.id FROM T a LEFT JOIN T b ON a.x = b.y AND b.id < 10 ORDER BY 1, 2", "SELECT a.id, b.id FROM T a FULL JOIN T b ON a.f = b.y AND a.id < 10 AND b.id < 10 ORDER BY 1, 2",
	"SELECT id FROM T WHERE x IN (SELECT y FROM T WHERE id < 20) ORDER BY id", "SELECT id FROM T WHERE x <> 0 AND x NOT IN (SELECT y FROM T WHERE id < 20 AND y IS NOT NULL) ORDER BY id", // Spark's anti join tells zeros apart

	"SELECT id FROM T WHERE f IN (SELECT dec FROM T) ORDER BY id", "SELECT id FROM T a WHERE EXISTS (SELECT 1 FROM T b WHERE b.y = a.x AND b.id < 20) ORDER BY id",
	"SELECT id FROM T WHERE x = (SELECT max(x) FROM T) ORDER BY id", "SELECT id FROM T WHERE x > (SELECT min(x) FROM T WHERE x > 0) ORDER BY id",
	"SELECT x FROM T INTERSECT SELECT y FROM T ORDER BY 1", "SELECT x FROM T EXCEPT SELECT y FROM T WHERE id < 50 ORDER BY 1", "SELECT x FROM T UNION SELECT f FROM T ORDER BY 1",
	"SELECT id, rank() OVER (ORDER BY x), dense_rank() OVER (ORDER BY x DESC), min(x) OVER (ORDER BY x), max(x) OVER (ORDER BY x), count(*) OVER (PARTITION BY x) FROM T ORDER BY id",
	"SELECT id, row_number() OVER (PARTITION BY f ORDER BY x, id), lag(x) OVER (ORDER BY x, id), first_value(x) OVER (PARTITION BY g ORDER BY x DESC, id) FROM T ORDER BY id",
	"SELECT id, count(*) OVER (ORDER BY x RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) FROM T ORDER BY id",
	"SELECT id, greatest(x, y), least(x, y), nullif(x, double('NaN')), coalesce(x, y), x = y, x < y, isnan(x), nanvl(x, y), CASE WHEN x > 1 THEN 'a' WHEN x <= 1 THEN 'b' END FROM T ORDER BY id",
	"SELECT id, TRY_CAST(x AS INT), CAST(f AS DOUBLE), CAST('NaN' AS DOUBLE), CAST('nan' AS FLOAT), CAST('-inf' AS DOUBLE) FROM T ORDER BY id",
	"SELECT id, f + n, f * 2, f - dec, f / 3, f / 2, f + g, f * 0.1, -f FROM T WHERE g <> 0 ORDER BY id",
	"SELECT id, x + y, x - y, x * y, -x, abs(x) FROM T ORDER BY id",
	"SELECT median(x), percentile(x, 0.25) FROM T WHERE x BETWEEN -5 AND 5",
	"SELECT percentile_approx(x, 1.0), percentile_approx(x, 0.0) FROM T",
	"SELECT id FROM T WHERE array_contains(l, double('NaN')) ORDER BY id", "SELECT id FROM T WHERE array_contains(l, double('-0.0')) ORDER BY id", "SELECT a.id, b.id FROM T a JOIN T b ON a.l = b.l WHERE a.id < 40 ORDER BY 1, 2",
	"SELECT a.id, b.id FROM T a JOIN T b ON a.s = b.s ORDER BY 1, 2", "SELECT count(*) FROM (SELECT l FROM T GROUP BY l)",
	"SELECT s.f, count(*) FROM T WHERE s.f < 0.7 GROUP BY s.f ORDER BY 1", "SELECT max(f) FROM T HAVING max(f) > 0.1", "SELECT id FROM T WHERE f * g < 0.1 AND f + g > 0.7 ORDER BY id",
	"SELECT id FROM (SELECT id, x FROM T WHERE x > 1) WHERE x > 5 ORDER BY id", "WITH c AS (SELECT id, x AS z FROM T) SELECT id FROM c WHERE z < 0 OR z > 1e300 ORDER BY id",
}

// TestRealFloats asks Spark, and us of tables that we, Spark and delta-rs have
// written.
func TestRealFloats(t *testing.T) {
	spark.need(t)
	deltaRS.need(t)
	r := rand.New(rand.NewPCG(7, 7))
	var batches []arrow.RecordBatch
	for i := range 5 {
		batches = append(batches, floatBatch(t, r, i*25, 25))
	}
	dirs := map[string]string{"ours": t.TempDir(), "spark": t.TempDir(), "delta-rs": filepath.Join(t.TempDir(), "t")}
	table := create(t, dirs["ours"], delta.Definition{Schema: floats, PartitionBy: []string{"p"}})
	for _, batch := range batches {
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, batch))
		deltaRSAppends(t, dirs["delta-rs"], batch, request{"partition_by": []string{"p"}})
	}
	statements(t, dirs["spark"], map[string]string{"spark.sql.files.maxRecordsPerFile": "20"},
		"CREATE TABLE T USING delta PARTITIONED BY (p) TBLPROPERTIES ('parquet.bloom.filter.enabled' = 'true') AS SELECT * FROM delta.`"+dirs["ours"]+"`")
	for _, statement := range floatStatements {
		want := sparkAnswer(t, dirs["ours"], statement, "UTC")
		for engine, dir := range dirs {
			sameAnswer(t, engine, dir, statement, "UTC", want)
		}
	}
	for i := range 8 { // Spark is slow to begin
		var conditions, branches []string
		for c := range 25 {
			conditions = append(conditions, randomFloatCondition(r, i%3))
			branches = append(branches, fmt.Sprintf("SELECT %d AS c, id FROM T WHERE %s", c, conditions[c]))
		}
		together := strings.Join(branches, " UNION ALL ") + " ORDER BY c, id"
		want := sparkAnswer(t, dirs["ours"], together, "UTC")
		for engine, dir := range dirs {
			if i > 1 {
				sameAnswer(t, engine, dir, together, "UTC", want)
				continue
			}
			for c, condition := range conditions { // of which each skips files as it likes
				var ids [][]*string
				for _, row := range want {
					if *row[0] == fmt.Sprint(c) {
						ids = append(ids, row[1:])
					}
				}
				sameAnswer(t, engine, dir, "SELECT id FROM T WHERE "+condition+" ORDER BY id", "UTC", ids)
			}
		}
	}
}

// TestRealTimesInConditions: dates, instants and their texts at the bounds of
// what a file has, in sessions whose days do not begin at midnight UTC.
func TestRealTimesInConditions(t *testing.T) {
	spark.need(t)
	dir := t.TempDir()
	times := schema("id", delta.Long, "day", delta.Date, "began", delta.Timestamp, "s", schema("day", delta.Date))
	table := create(t, dir, delta.Definition{Schema: times})
	for i := range 3 {
		text := fmt.Sprintf(`{"id":%d,"day":"2010-04-%02[1]d","began":"2010-04-%02[1]dT00:00:00Z","s":{"day":"2010-04-%02[1]d"}}`, i+11)
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, records(t, times, "["+text+`,{"id":1}]`)))
	}
	for _, zone := range []string{"UTC", "Asia/Shanghai", "America/New_York"} {
		t.Run(zone, func(t *testing.T) {
			var branches []string
			for _, x := range []string{"day", "s.day", "CAST(day AS TIMESTAMP)", "began"} {
				for _, y := range []string{"TIMESTAMP '2010-04-11'", "TIMESTAMP '2010-04-13'", "TIMESTAMP '2010-04-12 00:00:00Z'", "TIMESTAMP '2010-04-13 04:00:00Z'", "began", "CAST(began AS DATE)"} {
					for _, operator := range []string{"=", "<", "<=", ">", ">=", "<>"} {
						branches = append(branches, fmt.Sprintf("SELECT %d AS c, id FROM T WHERE %s %s %s", len(branches), x, operator, y))
					}
				}
			}
			for _, y := range []string{"''", "'2010'", "'2010-04-12'", "'2010-04-12 00:00:00'", "'a'"} {
				for _, x := range []string{"CAST(began AS STRING)", "CAST(day AS STRING)", "CAST(CAST(day AS TIMESTAMP) AS STRING)"} {
					branches = append(branches, fmt.Sprintf("SELECT %d AS c, id FROM T WHERE %s > %s", len(branches), x, y), fmt.Sprintf("SELECT %d AS c, id FROM T WHERE %s <> %s", len(branches)+1, x, y))
				}
			}
			for some := range slices.Chunk(branches, 50) {
				statement := strings.Join(some, " UNION ALL ") + " ORDER BY c, id"
				sameAnswer(t, "ours", dir, statement, zone, sparkAnswer(t, dir, statement, zone))
			}
			for _, statement := range []string{"SELECT id, CAST(began AS STRING) FROM T ORDER BY id", "SELECT a.id, b.id FROM T a JOIN T b ON a.day = b.began ORDER BY 1, 2", "SELECT max(day) = TIMESTAMP '2010-04-13', min(day) >= TIMESTAMP '2010-04-11' FROM T"} {
				sameAnswer(t, "ours", dir, statement, zone, sparkAnswer(t, dir, statement, zone))
			}
		})
	}
}

// TestRealTexts: where a text is made of another type or compared with one, it is
// Spark's.
func TestRealTexts(t *testing.T) {
	spark.need(t)
	dir := t.TempDir()
	types := schema("id", delta.Long, "began", delta.Timestamp, "x", delta.Double, "f", delta.Float, "dec", delta.Decimal{Precision: 10, Scale: 2}, "n", delta.Integer)
	table := create(t, dir, delta.Definition{Schema: types})
	for _, row := range []string{
		`{"id":1,"began":"2010-04-11T01:02:03.5Z","x":1e10,"f":0.1,"dec":1.5,"n":7}`, `{"id":2,"began":"2010-04-12T00:00:00Z","x":1.25e-7,"f":12345678,"dec":12,"n":12}`, `{"id":3}`,
	} {
		must[int64](t)(table.Append(t.Context(), delta.AppendOptions{}, records(t, types, "["+row+"]")))
	}
	const zone = "Asia/Shanghai"
	for _, statement := range []string{
		"SELECT id, began || '', '' || x, concat(began, '/', f), concat_ws(',', began, x), CAST(x AS STRING), CAST(f AS STRING) FROM T WHERE id < 3 ORDER BY id",
		"SELECT id, substring(began, 1, 13), length(began), replace(began, '-', '/'), upper(max(began)), lower(x), left(date_trunc('DAY', began), 16) FROM T GROUP BY id, began, x ORDER BY id",
		"SELECT id FROM T WHERE dec > '1.499' OR began LIKE '2010-04-12 08%' ORDER BY id",
		"SELECT id FROM T WHERE dec = '1.501' OR dec = '12.000' OR '1.5' = dec ORDER BY id",
		"SELECT id FROM T WHERE dec IN ('1.5', '12.001') OR dec BETWEEN '11.999' AND '12.001' ORDER BY id",
		"SELECT id FROM T WHERE x LIKE '1.%E%' OR n = '12' ORDER BY id",
	} {
		sameAnswer(t, "ours", dir, statement, zone, sparkAnswer(t, dir, statement, zone))
	}
	engine := must[*query.Engine](t)(sql())
	_, err := engine.Query(t.Context(), "SELECT id FROM t WHERE n > '7.5'", query.Request{Tables: func(context.Context, string) (*delta.Table, error) { return table, nil }})
	if err == nil || !strings.Contains(err.Error(), "'7.5' is no whole number") {
		t.Errorf("the error is %v", err)
	}
}

// onTable puts the table at dir where a statement says T.
func onTable(statement, dir string) string {
	return strings.NewReplacer(" T ", " delta.`"+dir+"` ", " T)", " delta.`"+dir+"`)").Replace(statement + " ")
}

func sparkAnswer(t testing.TB, dir, statement, zone string) (rows [][]*string) {
	t.Helper()
	if err := spark.try(request{"op": "query", "statement": onTable(statement, dir), "zone": zone}, &rows); err != nil {
		t.Errorf("%s\n%v", statement, err)
	}
	return rows
}

// sameAnswer asks us.
func sameAnswer(t testing.TB, name, dir, statement, zone string, want [][]*string) {
	t.Helper()
	engine := must[*query.Engine](t)(sql())
	table := open(t, dir)
	result, err := engine.Query(t.Context(), onTable(statement, dir), query.Request{
		Tables:   func(context.Context, string) (*delta.Table, error) { return table, nil },
		TimeZone: zone, MaxRows: -1,
	})
	if err != nil {
		t.Errorf("%s: %s\n%v", name, statement, err)
		return
	}
	at := func(rows [][]*string, i int) string {
		if i < len(rows) {
			return jsonText(t, rows[i])
		}
		return "none"
	}
	got := [][]*string{}
	for _, row := range result.Rows {
		texts := make([]*string, len(row))
		for i, v := range row {
			texts[i] = sparkText(t, v)
		}
		got = append(got, texts)
	}
	for i := range max(len(got), len(want)) {
		if at(got, i) != at(want, i) {
			t.Errorf("%s: %s\n%d rows, Spark has %d; row %d is %s, Spark's %s", name, statement, len(got), len(want), i, at(got, i), at(want, i))
			return
		}
	}
}

// sparkText writes a value as serve_spark.py does.
func sparkText(t testing.TB, value any) *string {
	text := ""
	switch v := value.(type) {
	case nil:
		return nil
	case float64:
		switch {
		case v != v:
			text = "NaN"
		case math.IsInf(v, 0):
			text = map[bool]string{true: "inf", false: "-inf"}[v > 0]
		default:
			text = fmt.Sprintf("%.17g", v+0)
		}
	case time.Time:
		text = v.UTC().Format("2006-01-02T15:04:05.000000")
	case []any:
		texts := make([]*string, len(v))
		for i := range v {
			texts[i] = sparkText(t, v[i])
		}
		text = strings.ReplaceAll(string(must[[]byte](t)(json.Marshal(texts))), ",", ", ")
	default:
		text = fmt.Sprint(v)
	}
	return &text
}

// TestRealPartitionTimes: a time of a partition that has no zone is one of the
// session's, to Spark and to us.
func TestRealPartitionTimes(t *testing.T) {
	spark.need(t)
	texts := []string{
		"2021-09-08 11:11:11", "2021-12-08 11:11:11.123456", "2021-09-08T11:11:11Z", "2021-09-08T11:11:11.500000Z", "2021-09-08 00:00:00",
		"2021-03-14 02:30:00", "2021-03-14 01:59:59.999999", "2021-11-07 01:30:00", "2021-03-28 02:30:00", "2021-10-31 02:30:00", "2021-10-03 02:15:00", "2011-12-30 12:00:00",
		"1900-01-01 00:00:00", "2100-07-01 12:00:00",
	}
	dir := t.TempDir()
	table := create(t, dir, delta.Definition{Schema: schema("id", delta.Long, "began", delta.Timestamp), PartitionBy: []string{"began"}})
	var adds []delta.Add
	for i, text := range texts {
		written := must[[]delta.Add](t)(table.WriteFiles(t.Context(), records(t, schema("id", delta.Long), fmt.Sprintf(`[{"id":%d}]`, i))))
		written[0].PartitionValues = delta.PartitionValues{"began": text}
		adds = append(adds, written...)
	}
	must[int64](t)(table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}))
	for _, zone := range []string{"UTC", "America/Los_Angeles", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "+08:00"} {
		t.Run(zone, func(t *testing.T) {
			for _, statement := range []string{
				"SELECT id, began FROM T ORDER BY id", "SELECT began FROM T ORDER BY began, id", "SELECT id FROM T WHERE began = TIMESTAMP '2021-09-08 11:11:11' ORDER BY id",
				"SELECT id FROM T WHERE began = TIMESTAMP '2021-09-08 11:11:11Z' ORDER BY id", "SELECT id FROM T WHERE began < TIMESTAMP '2021-03-14 03:00:00' ORDER BY id",
				"SELECT id FROM T WHERE began >= TIMESTAMP '2021-03-14 10:00:00Z' AND began <= TIMESTAMP '2021-09-08 18:11:11Z' ORDER BY id",
				"SELECT hour(began), count(*) FROM T GROUP BY hour(began) ORDER BY 1", "SELECT min(began), max(began) FROM T WHERE began IN (TIMESTAMP '2021-11-07 08:30:00Z', TIMESTAMP '2021-09-08 00:00:00')",
			} {
				sameAnswer(t, "ours", dir, statement, zone, sparkAnswer(t, dir, statement, zone))
			}
		})
	}
}
