// Package ingest is the streaming query that moves JSON records from Kafka
// topics into a Delta table, each exactly once.
//
// [Start] runs a [Query]: trigger by trigger it plans a batch from the
// topics' latest offsets (source.go, plan.go), writes the plan to the
// checkpoint (checkpoint.go), reads and decodes the records (source.go, package
// decode), and commits the data files together with the query's transaction
// id (batch.go). Checkpoint files, options, progress and the semantics of a
// restart are those of Spark's Structured Streaming, so that either engine
// can take over from the other at its checkpoint.
//
// Records that do not fit the table go to a dead-letter table within the same
// batch; [Replay] moves them from there when the table was put right. Fields that
// the table does not have are ignored, or become columns by mergeSchema
// (package decode). Auto compaction runs beside the ingest (compaction.go). What a
// restart cannot make exact is refused with one of the errors in errors.go.
// DESIGN.md is for who is to change the package: goroutines, locks, what a crash
// leaves after each step of a batch.
//
// Caveats: one run of a query at a time; a second one fails, as in Spark.
// Maps whose keys are no strings cannot be streamed into. Members of a record match columns by their exact name, and
// values their types strictly: "7" is no long.
package ingest
