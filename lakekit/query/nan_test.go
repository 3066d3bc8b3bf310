package query

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/delta"
)

// floatRow is a row of the table that these tests ask. Columns with an f hold
// floats, p and pf are partition columns.
type floatRow struct {
	id                int
	x, y, sx, p       *float64
	f, g, sf, pf      *float64 // floats, as doubles
	n                 *float64 // whole
	list              []float64
	noStruct, noArray bool
}

// column is a value as Spark compares it: a float as the double it is.
func (r floatRow) column(name string) *float64 {
	switch name {
	case "x":
		return r.x
	case "y":
		return r.y
	case "f":
		return r.f
	case "g":
		return r.g
	case "s.x":
		return r.sx
	case "s.f":
		return r.sf
	case "p":
		return r.p
	case "pf":
		return r.pf
	}
	return r.n
}

var floatColumns = []string{"x", "y", "f", "g", "s.x", "s.f", "p", "pf", "n"}

// floatValues are those at the edges, and a few to meet each other by chance.
var floatValues = []float64{
	math.NaN(), math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), 5e-324, -5e-324, math.MaxFloat64, -math.MaxFloat64,
	float64(math.SmallestNonzeroFloat32), math.MaxFloat32, 0.1, float64(float32(0.1)), -0.1, 0.7, 1, 1.5, -1, 2, 3, 16777216, 16777217, 9007199254740992,
}

func randomFloat(r *rand.Rand) *float64 {
	var v float64
	switch r.IntN(8) {
	case 0:
		return nil
	case 1, 2, 3:
		v = floatValues[r.IntN(len(floatValues))]
	default:
		v = float64(r.IntN(13) - 6)
	}
	return &v
}

func asFloat(v *float64) *float64 {
	if v == nil {
		return nil
	}
	w := float64(float32(*v))
	return &w
}

// floatRows are the rows of one file, of whose columns some hold NaN alone, or
// one value and NaN, or no NaN.
func floatRows(r *rand.Rand, first, n int) []floatRow {
	kind := map[string]int{}
	for _, c := range floatColumns {
		kind[c] = r.IntN(6)
	}
	nan := math.NaN()
	value := func(c string) *float64 {
		v := randomFloat(r)
		switch {
		case kind[c] == 0:
			return &nan
		case kind[c] == 1 && r.IntN(3) > 0: // one number, and the NaN between
			one := 1.0
			return &one
		case kind[c] == 1:
			return &nan
		case kind[c] == 2 && v != nil && *v != *v:
			return nil
		case kind[c] == 3 && v != nil: // a narrow range
			w := math.Mod(math.Abs(*v), 3) + float64(kind["y"])
			return &w
		}
		return v
	}
	// Few partitions: each is a branch of the view.
	edge := [][2]float64{{math.NaN(), 1}, {0.1, math.NaN()}, {math.Copysign(0, -1), 0.1}, {math.Inf(1), 0}, {math.Inf(-1), math.Inf(1)}}[r.IntN(5)]
	p, pf := &edge[0], asFloat(&edge[1])
	if r.IntN(5) == 0 {
		p, pf = nil, nil
	}
	rows := make([]floatRow, n)
	for i := range rows {
		row := floatRow{id: first + i, x: value("x"), y: value("y"), f: asFloat(value("f")), g: asFloat(value("g")), p: p, pf: pf, noStruct: r.IntN(6) == 0, noArray: r.IntN(6) == 0}
		if !row.noStruct {
			row.sx, row.sf = value("s.x"), asFloat(value("s.f"))
		}
		if whole := randomFloat(r); whole != nil && *whole == math.Trunc(*whole) && math.Abs(*whole) < 1e9 {
			w := *whole + 0 // no -0
			row.n = &w
		}
		for range r.IntN(3) {
			if v := randomFloat(r); v != nil {
				row.list = append(row.list, *v)
			}
		}
		if row.noArray {
			row.list = nil
		}
		rows[i] = row
	}
	return rows
}

var floatSchema = delta.Schema{Fields: []delta.Field{
	{Name: "id", Type: delta.Long, Nullable: true},
	{Name: "x", Type: delta.Double, Nullable: true}, {Name: "y", Type: delta.Double, Nullable: true},
	{Name: "f", Type: delta.Float, Nullable: true}, {Name: "g", Type: delta.Float, Nullable: true},
	{Name: "n", Type: delta.Integer, Nullable: true},
	{Name: "s", Type: delta.Schema{Fields: []delta.Field{{Name: "x", Type: delta.Double, Nullable: true}, {Name: "f", Type: delta.Float, Nullable: true}}}, Nullable: true},
	{Name: "l", Type: delta.Array{Element: delta.Double, ContainsNull: true}, Nullable: true},
	{Name: "p", Type: delta.Double, Nullable: true}, {Name: "pf", Type: delta.Float, Nullable: true},
}}

func appendFloat(b array.Builder, v *float64) {
	switch b := b.(type) {
	case *array.Float64Builder:
		if v == nil {
			b.AppendNull()
		} else {
			b.Append(*v)
		}
	case *array.Float32Builder:
		if v == nil {
			b.AppendNull()
		} else {
			b.Append(float32(*v))
		}
	case *array.Int32Builder:
		if v == nil {
			b.AppendNull()
		} else {
			b.Append(int32(*v))
		}
	}
}

func floatBatch(t testing.TB, rows []floatRow) arrow.RecordBatch {
	t.Helper()
	schema, err := floatSchema.Arrow()
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	for _, r := range rows {
		b.Field(0).(*array.Int64Builder).Append(int64(r.id))
		for i, v := range []*float64{r.x, r.y, r.f, r.g, r.n} {
			appendFloat(b.Field(1+i), v)
		}
		s := b.Field(6).(*array.StructBuilder)
		if r.noStruct {
			s.AppendNull()
		} else {
			s.Append(true)
			appendFloat(s.FieldBuilder(0), r.sx)
			appendFloat(s.FieldBuilder(1), r.sf)
		}
		l := b.Field(7).(*array.ListBuilder)
		l.Append(!r.noArray)
		for _, v := range r.list {
			appendFloat(l.ValueBuilder(), &v)
		}
		appendFloat(b.Field(8), r.p)
		appendFloat(b.Field(9), r.pf)
	}
	return b.NewRecordBatch()
}

// floatTable has files of ours and files as other engines write them: row groups
// of a few rows, Bloom filters, and statistics that leave NaN out (delta-rs),
// that have it (Spark), or that are not there.
func floatTable(t testing.TB, r *rand.Rand, files, rowsOfFile int) (*delta.Table, []floatRow) {
	t.Helper()
	bucket := blob.NewMemory("lake")
	table := create(t, bucket, floatSchema, "p", "pf")
	var all []floatRow
	var adds []delta.Add
	for file := range files {
		rows := floatRows(r, len(all), rowsOfFile)
		all = append(all, rows...)
		batch := floatBatch(t, rows)
		written, err := table.WriteFiles(t.Context(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if style := file % 4; style > 0 {
			add := &written[0]
			key, err := add.Key()
			if err != nil {
				t.Fatal(err)
			}
			content := smallRowGroups(t, batch)
			if err := bucket.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			add.Size, add.Stats = int64(len(content)), statsOf(t, rows, style)
		}
		adds = append(adds, written...)
	}
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: adds, BlindAppend: true}); err != nil {
		t.Fatal(err)
	}
	return table, all
}

// smallRowGroups is a data file with as many row groups and Bloom filters as can
// be.
func smallRowGroups(t testing.TB, batch arrow.RecordBatch) []byte {
	t.Helper()
	var out bytes.Buffer
	fields := batch.Schema().Fields()[:8]
	schema := arrow.NewSchema(fields, nil)
	properties := parquet.NewWriterProperties(parquet.WithMaxRowGroupLength(5), parquet.WithStats(true),
		parquet.WithBloomFilterEnabledFor("x", true), parquet.WithBloomFilterEnabledFor("f", true), parquet.WithDictionaryDefault(false))
	w, err := pqarrow.NewFileWriter(schema, &out, properties, pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(array.NewRecordBatch(schema, batch.Columns()[:8], batch.NumRows()))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// statsOf are the statistics of other engines: 1 delta-rs, 2 Spark, 3 none.
func statsOf(t testing.TB, rows []floatRow, style int) string {
	t.Helper()
	if style == 3 {
		return ""
	}
	low, high, nulls := map[string]any{}, map[string]any{}, map[string]any{}
	for _, c := range []string{"x", "y", "f", "g", "n"} {
		var values []float64
		count := 0
		for _, r := range rows {
			if v := r.column(c); v == nil {
				count++
			} else if style == 2 || *v == *v {
				values = append(values, *v)
			}
		}
		nulls[c] = count
		if len(values) == 0 {
			continue
		}
		least, most := slices.MinFunc(values, sparkOrder), slices.MaxFunc(values, sparkOrder)
		if style == 1 && (math.IsInf(least, 0) || math.IsInf(most, 0)) {
			continue
		}
		low[c], high[c] = statsNumber(least, c), statsNumber(most, c)
	}
	text, err := json.Marshal(map[string]any{"numRecords": len(rows), "minValues": low, "maxValues": high, "nullCount": nulls})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func statsNumber(v float64, column string) any {
	switch {
	case v != v:
		return "NaN"
	case math.IsInf(v, 0):
		return map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0]
	case column == "f" || column == "g":
		return json.Number(fmt.Sprint(float32(v))) // 0.1, as Spark writes it
	}
	return json.Number(fmt.Sprint(v))
}

// sparkOrder is Spark's order of numbers (NaN Semantics): NaN is equal to itself
// and above all others, and -0.0 is 0.0.
func sparkOrder(a, b float64) int {
	switch {
	case a != a || b != b:
		return cmp.Compare(boolNumber(a != a), boolNumber(b != b))
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func boolNumber(b bool) int {
	if b {
		return 1
	}
	return 0
}

// truth is true, false or unknown.
type truth int

const (
	no truth = iota - 1
	unknown
	yes
)

func truthOf(b bool) truth { return truth(2*boolNumber(b) - 1) }

// condition is a random condition, as SQL and as Spark judges a row.
type condition struct {
	sql   string
	judge func(floatRow) truth
}

type operand struct {
	sql   string
	value func(floatRow) *float64
}

func randomColumn(r *rand.Rand) operand {
	name := floatColumns[r.IntN(len(floatColumns))]
	return operand{name, func(row floatRow) *float64 { return row.column(name) }}
}

// randomConstant writes a number in one of the ways there are.
func randomConstant(r *rand.Rand) operand {
	v := floatValues[r.IntN(len(floatValues))]
	if r.IntN(2) == 0 {
		v = float64(r.IntN(13) - 6)
	}
	texts := []string{fmt.Sprintf("CAST('%v' AS DOUBLE)", v), fmt.Sprintf("double('%v')", v)}
	for _, text := range []string{fmt.Sprintf("%.0f", v), fmt.Sprintf("%.1f", v), fmt.Sprintf("%.20f", v), fmt.Sprintf("%e", v)} {
		if read, err := strconv.ParseFloat(text, 64); err == nil && math.Float64bits(read) == math.Float64bits(v) && read == read && !math.IsInf(v, 0) && v != 0 && len(text) < 30 {
			texts = append(texts, text)
		}
	}
	if v == 0 && !math.Signbit(v) {
		texts = append(texts, "0", "0.0", "0e0")
	}
	return operand{texts[r.IntN(len(texts))], func(floatRow) *float64 { return &v }}
}

var comparisons = map[string]func(order int) bool{
	"=": func(o int) bool { return o == 0 }, "<>": func(o int) bool { return o != 0 }, "!=": func(o int) bool { return o != 0 },
	"<": func(o int) bool { return o < 0 }, "<=": func(o int) bool { return o <= 0 },
	">": func(o int) bool { return o > 0 }, ">=": func(o int) bool { return o >= 0 },
}

var comparisonNames = slices.Sorted(maps.Keys(comparisons))

func compared(operator string, a, b *float64) truth {
	if a == nil || b == nil {
		return unknown
	}
	return truthOf(comparisons[operator](sparkOrder(*a, *b)))
}

func and(a, b truth) truth { return min(a, b) }
func or(a, b truth) truth  { return max(a, b) }

func randomCondition(r *rand.Rand, depth int) condition {
	if depth > 0 && r.IntN(2) == 0 {
		a, b := randomCondition(r, depth-1), randomCondition(r, depth-1)
		switch r.IntN(4) {
		case 0:
			return condition{"NOT (" + a.sql + ")", func(row floatRow) truth { return -a.judge(row) }}
		case 1:
			return condition{"(" + a.sql + " OR " + b.sql + ")", func(row floatRow) truth { return or(a.judge(row), b.judge(row)) }}
		case 2:
			return condition{"CASE WHEN " + a.sql + " THEN " + b.sql + " ELSE NOT (" + b.sql + ") END", func(row floatRow) truth {
				if a.judge(row) == yes {
					return b.judge(row)
				}
				return -b.judge(row)
			}}
		}
		return condition{"(" + a.sql + " AND " + b.sql + ")", func(row floatRow) truth { return and(a.judge(row), b.judge(row)) }}
	}
	c, v, w := randomColumn(r), randomConstant(r), randomConstant(r)
	operator := comparisonNames[r.IntN(len(comparisonNames))]
	switch r.IntN(10) {
	case 0:
		return condition{c.sql + " IN (" + v.sql + ", " + w.sql + ")", func(row floatRow) truth {
			return or(compared("=", c.value(row), v.value(row)), compared("=", c.value(row), w.value(row)))
		}}
	case 1:
		return condition{c.sql + " NOT IN (" + v.sql + ", " + w.sql + ")", func(row floatRow) truth {
			return -or(compared("=", c.value(row), v.value(row)), compared("=", c.value(row), w.value(row)))
		}}
	case 2:
		return condition{c.sql + " BETWEEN " + v.sql + " AND " + w.sql, func(row floatRow) truth {
			return and(compared(">=", c.value(row), v.value(row)), compared("<=", c.value(row), w.value(row)))
		}}
	case 3:
		return condition{c.sql + " NOT BETWEEN " + v.sql + " AND " + w.sql, func(row floatRow) truth {
			return -and(compared(">=", c.value(row), v.value(row)), compared("<=", c.value(row), w.value(row)))
		}}
	case 4:
		return condition{v.sql + " " + operator + " " + c.sql, func(row floatRow) truth { return compared(operator, v.value(row), c.value(row)) }}
	case 5:
		d := randomColumn(r)
		return condition{c.sql + " " + operator + " " + d.sql, func(row floatRow) truth { return compared(operator, c.value(row), d.value(row)) }}
	case 6:
		d := []operand{v, randomColumn(r)}[r.IntN(2)]
		return condition{c.sql + " <=> " + d.sql, func(row floatRow) truth {
			a, b := c.value(row), d.value(row)
			return truthOf(a == nil && b == nil || a != nil && b != nil && sparkOrder(*a, *b) == 0)
		}}
	case 7:
		if r.IntN(2) == 0 {
			return condition{c.sql + " IS NOT NULL", func(row floatRow) truth { return truthOf(c.value(row) != nil) }}
		}
		return condition{c.sql + " IS NULL", func(row floatRow) truth { return truthOf(c.value(row) == nil) }}
	}
	return condition{c.sql + " " + operator + " " + v.sql, func(row floatRow) truth { return compared(operator, c.value(row), v.value(row)) }}
}

func chosen(rows []floatRow, c condition) []int {
	ids := []int{}
	for _, row := range rows {
		if c.judge(row) == yes {
			ids = append(ids, row.id)
		}
	}
	return ids
}

// TestNaNInConditions asks random conditions of tables with NaN, infinities, both
// zeros and NULL, and holds the rows against Spark's rules, which are written
// down here once more.
func TestNaNInConditions(t *testing.T) {
	const tablesOfTest, alone, together, branches = 3, 30, 8, 50
	e := openEngine(t)
	skipped := 0
	for seed := range uint64(tablesOfTest) {
		r := rand.New(rand.NewPCG(seed, 1))
		table, rows := floatTable(t, r, 8, 40)
		request := tables(map[string]*delta.Table{"t": table})
		request.MaxRows = -1
		for range alone { // of which each skips files as it likes
			c := randomCondition(r, r.IntN(3))
			result := mustQuery(t, e, "SELECT id FROM t WHERE "+c.sql+" ORDER BY id", request)
			skipped += result.Tables[0].FilesSkipped
			got := []int{}
			for _, row := range result.Rows {
				got = append(got, int(row[0].(int64)))
			}
			if want := chosen(rows, c); !slices.Equal(got, want) {
				t.Errorf("seed %d: WHERE %s\n got %v\nwant %v\n%s", seed, c.sql, got, want, explained(t, e, request, rows, c, got, want))
			}
		}
		for range together { // a statement costs milliseconds
			var conditions []condition
			var selects []string
			for i := range branches {
				c := randomCondition(r, r.IntN(4))
				conditions = append(conditions, c)
				selects = append(selects, fmt.Sprintf("SELECT %d AS c, id FROM t WHERE %s", i, c.sql))
			}
			got := map[int][]int{}
			for _, row := range mustQuery(t, e, strings.Join(selects, " UNION ALL ")+" ORDER BY c, id", request).Rows {
				got[int(row[0].(int64))] = append(got[int(row[0].(int64))], int(row[1].(int64)))
			}
			for i, c := range conditions {
				if want := chosen(rows, c); !slices.Equal(got[i], want) {
					t.Errorf("seed %d: WHERE %s\n got %v\nwant %v\n%s", seed, c.sql, got[i], want, explained(t, e, request, rows, c, got[i], want))
				}
			}
		}
	}
	if skipped == 0 {
		t.Error("no file was skipped")
	}
}

// explained shows a row that is one too many or too few.
func explained(t *testing.T, e *Engine, request Request, rows []floatRow, c condition, got, want []int) string {
	t.Helper()
	for _, row := range rows {
		if slices.Contains(got, row.id) != slices.Contains(want, row.id) {
			return fmt.Sprint(mustQuery(t, e, fmt.Sprintf("SELECT *, (%s) AS holds FROM t WHERE id = %d", c.sql, row.id), request).Rows)
		}
	}
	return ""
}

// TestNaNElsewhere asks for the rest of what compares numbers, of one file with
// bounds from -1 to 1, as delta-rs writes it; the answers are Spark's.
func TestNaNElsewhere(t *testing.T) {
	nan, inf, minus, zero, minusZero, one := math.NaN(), math.Inf(1), math.Inf(-1), 0.0, math.Copysign(0, -1), 1.0
	var rows []floatRow
	for i, v := range []*float64{&nan, &nan, &minusZero, &zero, nil, &inf, &minus, &one} {
		row := floatRow{id: i + 1, x: v, f: v, sx: v, sf: v, p: &nan, pf: &minusZero, noArray: v == nil}
		if v != nil {
			row.list = []float64{*v}
		}
		rows = append(rows, row)
	}
	tests := []struct{ statement, want string }{
		{"SELECT min(x), max(x), min(f), max(f), min(s.x), max(s.f), max(p), count(*) FROM t", "[[-Inf NaN -Inf NaN -Inf NaN NaN 8]]"},
		{"SELECT max(x), max(f), max(s.x) FROM t WHERE id IN (3, 4, 8)", "[[1 1 1]]"},
		{"SELECT max(id), count(*), max(x) FROM t WHERE x <= 1", "[[8 4 1]]"},
		{"SELECT x + 0, count(*) FROM t GROUP BY x ORDER BY x", "[[<nil> 1] [-Inf 1] [0 2] [1 1] [+Inf 1] [NaN 2]]"},
		{"SELECT DISTINCT f + 0 AS f FROM t ORDER BY f DESC", "[[NaN] [+Inf] [1] [0] [-Inf] [<nil>]]"},
		{"SELECT count(DISTINCT x), count(DISTINCT f), count(DISTINCT s), count(DISTINCT l) FROM t", "[[5 5 6 5]]"},
		{"SELECT id FROM t ORDER BY x, id", "[[5] [7] [3] [4] [8] [6] [1] [2]]"},
		{"SELECT id FROM t ORDER BY x DESC, id", "[[1] [2] [6] [8] [3] [4] [7] [5]]"},
		{"SELECT id FROM t ORDER BY x NULLS LAST, id", "[[7] [3] [4] [8] [6] [1] [2] [5]]"},
		{"SELECT id FROM t ORDER BY x DESC NULLS FIRST, id", "[[5] [1] [2] [6] [8] [3] [4] [7]]"},
		{"SELECT id FROM t ORDER BY x DESC, id LIMIT 1", "[[1]]"},
		{"SELECT id FROM t ORDER BY s.f DESC, id LIMIT 2", "[[1] [2]]"},
		{"SELECT a.id, b.id FROM t a JOIN t b ON a.x = b.f WHERE a.id < 5 ORDER BY 1, 2", "[[1 1] [1 2] [2 1] [2 2] [3 3] [3 4] [4 3] [4 4]]"},
		{"SELECT a.id, b.id FROM t a JOIN t b ON a.s.x = b.x WHERE a.id < 4 ORDER BY 1, 2", "[[1 1] [1 2] [2 1] [2 2] [3 3] [3 4]]"},
		{"SELECT a.id, b.id FROM t a JOIN t b ON a.x < b.x WHERE a.id IN (3, 6, 1) ORDER BY 1, 2", "[[3 1] [3 2] [3 6] [3 8] [6 1] [6 2]]"},
		{"SELECT a.id, b.id FROM t a JOIN t b ON a.x <=> b.x WHERE a.id > 4 ORDER BY 1, 2", "[[5 5] [6 6] [7 7] [8 8]]"},
		{"SELECT a.id, b.id FROM t a JOIN t b ON a.p = b.x ORDER BY 1, 2 LIMIT 2", "[[1 1] [1 2]]"},
		{"SELECT id FROM t WHERE x IN (SELECT f FROM t WHERE id < 2) ORDER BY id", "[[1] [2]]"},
		{"SELECT id FROM t WHERE x NOT IN (SELECT f FROM t WHERE id < 4) ORDER BY id", "[[6] [7] [8]]"},
		{"SELECT id FROM t WHERE x = (SELECT max(x) FROM t) ORDER BY id", "[[1] [2]]"},
		{"SELECT id, rank() OVER (ORDER BY x), max(x) OVER (ORDER BY x DESC), count(*) OVER (PARTITION BY x) FROM t WHERE id < 5 ORDER BY id", "[[1 3 NaN 2] [2 3 NaN 2] [3 1 NaN 2] [4 1 NaN 2]]"},
		{"SELECT id FROM t WHERE x > 1e308 ORDER BY id", "[[1] [2] [6]]"},
		{"SELECT id FROM t WHERE NOT (x < 5) AND x <> double('NaN') ORDER BY id", "[[6]]"},
		{"SELECT count(*) FROM t WHERE s.x < 0 OR s.f < 0", "[[1]]"},
		{"SELECT id FROM t WHERE s.x > 9 ORDER BY id", "[[1] [2] [6]]"},
		{"SELECT id FROM t WHERE l[1] > 9 ORDER BY id", "[[1] [2] [6]]"},
		{"SELECT id FROM t WHERE array_contains(l, double('NaN')) ORDER BY id", "[[1] [2]]"},
		{"SELECT id FROM t WHERE s = {'x': double('NaN'), 'f': float('NaN')} ORDER BY id", "[[1] [2]]"},
		{"SELECT id FROM t WHERE l > [double('Infinity')] ORDER BY id", "[[1] [2]]"},
		{"SELECT id FROM (SELECT id, unnest(l) AS u FROM t) WHERE u = 'NaN' ORDER BY id", "[[1] [2]]"},
		{"SELECT greatest(x, 5), least(x, 5), nullif(x, double('NaN')), x = x, nanvl(x, 7), isnan(x) FROM t WHERE id = 1", "[[NaN 5 <nil> true 7 true]]"},
		{"SELECT sum(x), avg(x) FROM t", "[[NaN NaN]]"},
		{"SELECT sum(x), avg(x) FROM t WHERE id IN (6, 7)", "[[NaN NaN]]"},
		{"SELECT sum(x), avg(x) FROM t WHERE id IN (6, 8)", "[[+Inf +Inf]]"},
	}
	e := openEngine(t)
	bucket := blob.NewMemory("lake")
	table := create(t, bucket, floatSchema, "p", "pf")
	written, err := table.WriteFiles(t.Context(), floatBatch(t, rows))
	if err != nil {
		t.Fatal(err)
	}
	content := smallRowGroups(t, floatBatch(t, rows))
	key, err := written[0].Key()
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Put(t.Context(), key, bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	written[0].Size, written[0].Stats = int64(len(content)), `{"numRecords":8,"minValues":{"x":-1.0,"f":-1.0},"maxValues":{"x":1.0,"f":1.0},"nullCount":{"x":1,"f":1}}`
	if _, err := table.Commit(t.Context(), delta.Commit{Operation: "WRITE", Adds: written, BlindAppend: true}); err != nil {
		t.Fatal(err)
	}
	for _, test := range tests {
		if got := answer(mustQuery(t, e, test.statement, tables(map[string]*delta.Table{"t": table}))); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.statement, got, test.want)
		}
	}
}

// TestFloatsAsDoubles: 0.1 as a float is another number than 0.1.
func TestFloatsAsDoubles(t *testing.T) {
	e := openEngine(t)
	table := create(t, blob.NewMemory("lake"), floatSchema, "p", "pf")
	value, whole := 0.1, 16777216.0
	value = *asFloat(&value)
	appendTo(t, table, floatBatch(t, []floatRow{{id: 1, x: &value, f: &value, g: &whole, n: &whole, sf: &value, pf: &value}}))
	request := tables(map[string]*delta.Table{"t": table})
	for expression, want := range map[string]string{
		"f = 0.1": "false", "f > 0.1": "true", "0.1 < t.f": "true", "f <= 0.1": "false", "f IN (0.1, 2)": "false", "f BETWEEN 0.1 AND 0.10000000000001": "false",
		"f NOT IN (0.1)": "true", "f = '0.1'": "false", "f = float(0.1)": "true", "f = CAST(0.1 AS FLOAT)": "true", "f = x": "true", "f = 1e-1": "false", "f <=> 0.1": "false",
		"s.f = 0.1": "false", "t.s.f > 0.1": "true", "pf = 0.1": "false", "`f` > .1": "true", "\"f\">0.1": "true", "-f = -0.1": "false", "f = -0.1": "false", "-0.1 < f": "true",
		"g = 16777217": "false", "g = n": "true", "g = 16777217::BIGINT": "false", "g + 1 = 16777217": "true", "f * g < 1677721.6": "false", "g / 3 = 5592405.333333333": "true",
		"max(f) OVER () = 0.1": "false", "CASE f WHEN 0.1 THEN 1 WHEN float(0.1) THEN 2 END": "2", "f IN (SELECT 0.1)": "false", "EXISTS (SELECT 1 FROM range(2) r(i) WHERE f > 0.1 AND i = 1)": "true",
		"f = f": "true", "f * 2": "0.20000000298023224", "typeof(f + f)": "FLOAT", "f < NULL": "<nil>", "CAST(0.1 AS FLOAT) = 0.1": "false", "float(0.1) > DECIMAL '0.1'": "true", "abs(f) = 0.1": "false", "0.1 IN (f)": "false", "g = any_value(16777217) OVER ()": "false",
		"CAST(16777216 AS FLOAT) = 16777217": "false", "f::FLOAT = 0.1": "false", "n * f > 1677721.6": "true", "max(f) FILTER (WHERE true) OVER () = 0.1": "false", "f = DECIMAL '0.1'": "false",
	} {
		for _, statement := range []string{"SELECT " + expression + " FROM t", "SELECT c FROM (SELECT " + expression + " AS c FROM t AS t JOIN range(1) AS r(k) ON true)"} {
			if got := fmt.Sprint(mustQuery(t, e, statement, request).Rows[0][0]); got != want {
				t.Errorf("%s is %s, want %s", statement, got, want)
			}
		}
		if want == "true" || want == "false" {
			if strings.Contains(expression, "OVER") {
				continue
			}
			n := map[string]string{"true": "[[1]]", "false": "[]"}[want]
			if got := answer(mustQuery(t, e, "SELECT id FROM t WHERE "+expression, request)); got != n {
				t.Errorf("WHERE %s: %s, want %s", expression, got, n)
			}
		}
	}
}
