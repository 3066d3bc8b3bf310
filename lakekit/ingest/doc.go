// Package ingest is the streaming query that moves JSON records from Kafka
// topics into a Delta table, each exactly once.
//
// [Start] runs a [Query]: trigger by trigger it plans a batch from the
// topics' latest offsets (source.go, plan.go), writes the plan to the
// checkpoint (checkpoint.go), reads and decodes the records (decode.go,
// json.go), and commits the data files together with the query's transaction
// id (batch.go). Checkpoint files, options, progress and the semantics of a
// restart are those of Spark's Structured Streaming, so that either engine
// can take over from the other at its checkpoint.
//
// Records that do not fit the table go to a dead-letter table within the same
// batch. Auto compaction runs beside the ingest (compaction.go). What a
// restart cannot make exact is refused with one of the errors in errors.go.
//
// Caveats: one run of a query at a time; a second one fails, as in Spark.
// Columns of the table must be of primitive types. Members of a record match
// columns by their exact name.
package ingest
