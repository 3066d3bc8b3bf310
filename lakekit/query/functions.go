package query

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

//go:embed functions.sql
var functionsSQL string

// sparkFunction is one of Spark's functions as DuckDB's macro.
type sparkFunction struct {
	create string
	uses   []string // other functions of ours
}

var sparkFunctions = readFunctions(functionsSQL)

var createMacro = regexp.MustCompile(`(?s)CREATE MACRO (\w+)\(.*?;\n`)

func readFunctions(script string) map[string]sparkFunction {
	functions := map[string]sparkFunction{}
	for _, match := range createMacro.FindAllStringSubmatch(script, -1) {
		create, name := match[0], match[1]
		f := sparkFunction{create: strings.Replace(create, " "+name+"(", " "+quoteName(name)+"(", 1)}
		for _, t := range tokens(create) {
			if t.kind == word && strings.HasPrefix(t.source, "spark_") && t.source != name {
				f.uses = append(f.uses, t.source)
			}
		}
		functions[name] = f
	}
	return functions
}

// installFunctions creates those of Spark's functions that the statement names.
func (w *session) installFunctions(s *parsedStatement) error {
	installed := map[string]bool{}
	named := slices.Clone(s.tokens)
	for _, e := range s.edits {
		named = append(named, tokens(e.replacement)...)
	}
	for _, t := range named {
		if t.isName() {
			if err := w.installFunction(strings.ToLower(t.name()), installed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *session) installFunction(name string, installed map[string]bool) error {
	if installed[name] {
		return nil
	}
	installed[name] = true
	if create, ok := w.zone.macros()[name]; ok {
		return w.exec(create)
	}
	f, ok := sparkFunctions[name]
	if !ok {
		return nil
	}
	for _, used := range f.uses {
		if err := w.installFunction(used, installed); err != nil {
			return err
		}
	}
	return w.exec(f.create)
}

// macros returns the two functions that know the session time zone: spark_local
// gives the wall clock of an instant, spark_instant the instant of a wall clock.
// A wall clock that is repeated means the earlier instant, one that is left out
// is moved on by the gap, as Spark does (java.time.ZonedDateTime.ofLocal).
func (z zone) macros() map[string]string {
	toLocal := fmt.Sprintf("timezone(%s, $x)", quote(z.duckdbName))
	// By the offset of the day before, unless only another one makes clocks show x.
	before := fmt.Sprintf(`make_timestamptz(epoch_us($x) - epoch_us(timezone(%[1]s, timezone(%[1]s, $x) - INTERVAL 24 HOURS)) + epoch_us(timezone(%[1]s, $x) - INTERVAL 24 HOURS))`, quote(z.duckdbName))
	toInstant := fmt.Sprintf("CASE WHEN timezone(%[1]s, %[2]s) <> $x AND timezone(%[1]s, timezone(%[1]s, $x)) = $x THEN timezone(%[1]s, $x) ELSE %[2]s END", quote(z.duckdbName), before)
	if z.steady {
		offset := z.offset.Microseconds()
		fastLocal := fmt.Sprintf("make_timestamp(epoch_us($x) + %d)", offset)
		fastInstant := fmt.Sprintf("make_timestamptz(epoch_us($x) - %d)", offset)
		if offset == 0 {
			fastLocal, fastInstant = "make_timestamp(epoch_us($x))", "make_timestamptz(epoch_us($x))"
		}
		if z.steadySince.IsZero() {
			toLocal, toInstant = fastLocal, fastInstant
		} else {
			// A day later no wall clock is repeated or left out any more.
			since := z.steadySince.UnixMicro()
			toLocal = fmt.Sprintf("CASE WHEN $x >= make_timestamptz(%d) THEN %s ELSE %s END", since, fastLocal, toLocal)
			toInstant = fmt.Sprintf("CASE WHEN epoch_us($x) >= %d THEN %s ELSE %s END", since+offset+24*3600*1e6, fastInstant, toInstant)
		}
	}
	if len(z.spans) > 0 {
		first, last := z.spans[0].since, z.spans[len(z.spans)-1].until
		toLocal = fmt.Sprintf("CASE WHEN $x >= make_timestamptz(%d) AND $x < make_timestamptz(%d) THEN make_timestamp(epoch_us($x) + %s) ELSE %s END",
			first, last, offsetIn(z.spans, "$x"), toLocal)
	}
	with := func(template, x string) string { return strings.ReplaceAll(template, "$x", x) }
	// typeof is known when the statement is bound: one branch remains.
	return map[string]string{
		"spark_local": fmt.Sprintf(`CREATE MACRO spark_local(x) AS CASE
			WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN %s
			WHEN typeof(x) IN ('TIMESTAMP', 'DATE') THEN CAST(x AS TIMESTAMP)
			ELSE timezone(%s, CAST(x AS TIMESTAMPTZ)) END`, with(toLocal, "CAST(x AS TIMESTAMPTZ)"), quote(z.duckdbName)),
		"spark_instant": "CREATE MACRO spark_instant(x) AS " + with(toInstant, "x"),
	}
}
