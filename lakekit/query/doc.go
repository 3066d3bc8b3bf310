// Package query answers SQL over Delta tables, each pinned at one version for
// the length of a statement. DuckDB executes; the dialect is DuckDB's with
// Spark's functions, literals and time travel where courses and notebooks use
// them.
//
// Engine runs statements, one short-lived in-memory DuckDB each, which may read
// the files of that statement's tables and nothing else. It is in a process of its
// own, the worker: the same program once more (worker.go), which the engine starts,
// asks and kills (process.go, wire.go). Limits say what a statement may take; only
// what fits into them comes to the engine. vectors.go reads DuckDB's rows as it
// makes them, statement.go works in the worker as well. lexer.go and structure.go
// split a statement, rules.go is the table of what Spark's SQL is in DuckDB's,
// spellings.go says what to write where nothing is turned, functions.sql holds
// Spark's functions, skip.go leaves out the files of a snapshot that can have no
// row of the answer, source.go reads the others, column.go as their columns are,
// cache.go keeps copies of remote ones. promotion.go is for values of two types
// beside each other.
//
// As in Spark: `name`, delta.`oss://bucket/table`, VERSION AS OF 3,
// TIMESTAMP AS OF '2026-01-31', TIMESTAMP as an instant in the session time zone
// (TIMESTAMP_NTZ is the other one), also in partitions that are written without
// a zone, 1/0 is NULL, NULL sorts first ascending, NaN is equal to itself and
// above all numbers, -0.0 is 0.0, x <=> y.
//
// Caveats, where Spark differs:
//   - text is written 'x'; "x" is a column, as in ANSI SQL;
//   - \ in a text stands for itself, and x::type is a cast;
//   - CAST('...' AS TIMESTAMP) in the hour that clocks repeat takes the later
//     instant, Spark the earlier one; to_timestamp is as Spark's;
//   - concat leaves NULL out (Spark: NULL);
//   - a // b divides whole numbers (Spark: a div b), x ** y is a power;
//   - dates that cannot be read are errors (Spark with ANSI mode off: NULL);
//   - lists count from 1, and arrays are written [1, 2] (Spark: array(1, 2));
//   - sums of whole numbers cannot overflow; one beyond bigint is decimal(38,0);
//   - ceil and floor of a double are doubles (Spark: bigint);
//   - a group of zeros may be shown as -0.0 (Spark: 0.0);
//   - CAST(x AS FLOAT) of a double that is too large is an error (Spark: infinity),
//     and so is the deviation of what is not finite (Spark: NaN).
package query
