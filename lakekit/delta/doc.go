// Package delta reads and writes Delta Lake tables on an [oss.Bucket], by the
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
// Caveats: tables are read at reader version 1 and 2, or 3 with timestampNtz and
// vacuumProtocolCheck; deletion vectors, column mapping, V2 checkpoints are
// refused by name. Data files of a writer that crashed stay until they are vacuumed.
package delta
