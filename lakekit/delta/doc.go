// Package delta reads and writes Delta Lake tables on an [blob.Bucket], by the
// letter of PROTOCOL.md of delta-io/delta, so that Spark, delta-rs and DuckDB
// see the same rows.
//
// [Create] and [Open] give a [Table]; [Table.Snapshot] pins one version of it,
// which [Snapshot.Scan] reads. [Table.Append] adds rows; for a stream,
// [Table.WriteFiles] uploads Parquet files and [Table.Commit] makes them
// visible, by putting the next file of the log if it is absent and resolving
// lost answers by reading it back. Beside running appends, [Table.Compact] and
// [Table.Optimize] rewrite files, [Table.Vacuum] deletes those no longer needed
// and [Table.Restore] goes back to a version; checkpoints and log cleanup come
// with every delta.checkpointInterval-th commit.
//
// Tables are read at reader version 1 to 3 with columnMapping (name and id),
// deletionVectors, timestampNtz, typeWidening, v2Checkpoint and
// vacuumProtocolCheck, with classic, multi-part and V2 checkpoints, log
// compactions and in-commit timestamps; writing under these features, but for
// timestampNtz and vacuumProtocolCheck, is refused by their names.
//
// Caveats: a partition value of type timestamp without a zone is taken as UTC.
// Dates before 1582-10-15 and timestamps before 1900 that Spark wrote by the
// calendar of Spark 2, and data files and deletion vectors outside the table's
// folder, cannot be read: both are errors. Data files of a writer that crashed stay until they are vacuumed.
package delta
