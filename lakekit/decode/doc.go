// Package decode turns the records of a stream into rows: JSON objects into Arrow
// record batches of a table's schema, strictly, and without an allocation for each
// record.
//
// [New] makes a [Decoder]. A record becomes a row, whole, or is refused with the
// reason. Fields that the schema does not have are counted ([IgnoredFields]), and
// with MergeSchema the columns for them are inferred as Spark infers those of JSON
// ([Columns]). Nothing is rounded, cut or replaced.
//
// Caveats: maps have texts for keys. Members match columns by their exact name,
// and values their types: "7" is no long.
package decode
