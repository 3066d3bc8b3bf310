package api

// OptimizeRequest asks for a table's data files to be rewritten so that they
// are read faster, as OPTIMIZE does.
type OptimizeRequest struct {
	URI        string   `json:"uri"`                                           // oss:// address, or a name beside the course's table; default: the course's table
	Where      string   `json:"where,omitempty"`                               // conditions on partition columns, joined by AND
	ZOrderBy   []string `json:"zOrderBy,omitempty"`                            // columns whose ranges each file shall keep narrow
	TargetSize int64    `json:"targetSize,omitempty" range:"1..1099511627776"` // bytes; 0: delta.targetFileSize
	DryRun     bool     `json:"dryRun,omitempty"`                              // only says what would be rewritten
}

// Compaction is what OPTIMIZE did, or after a dry run would do.
type Compaction struct {
	Version         int64 `json:"version"` // -1: there was nothing to do, or it was a dry run
	DryRun          bool  `json:"dryRun,omitempty"`
	NumRemovedFiles int64 `json:"numRemovedFiles"`
	NumAddedFiles   int64 `json:"numAddedFiles"`
	NumRemovedBytes int64 `json:"numRemovedBytes"`
	NumAddedBytes   int64 `json:"numAddedBytes"`
}

// VacuumRequest asks for files that the table no longer needs to be deleted, as
// VACUUM does.
type VacuumRequest struct {
	URI string `json:"uri"`
	// RetentionHours that unneeded files are kept; nil: the table's
	// delta.deletedFileRetentionDuration, 7 days unless it is set.
	RetentionHours *float64 `json:"retentionHours,omitempty" range:"0..876000"`
	DryRun         bool     `json:"dryRun,omitempty"` // only says what would be deleted
	// Conf are Spark's settings; known is
	// spark.databricks.delta.retentionDurationCheck.enabled, and false allows a
	// retention shorter than the table's.
	Conf map[string]string `json:"conf,omitempty"`
}

// Vacuum is what VACUUM deleted, or after a dry run would delete.
type Vacuum struct {
	Version     int64    `json:"version"` // of the commit VACUUM END; -1: nothing was deleted
	DryRun      bool     `json:"dryRun,omitempty"`
	NumFiles    int64    `json:"numFiles"`
	SizeInBytes int64    `json:"sizeInBytes"`
	Files       []string `json:"files"` // the first of them, relative to the table
}

// RestoreRequest asks for a table to become again what it was at a version or a
// time: one of the two.
type RestoreRequest struct {
	URI       string `json:"uri"`
	Version   *int64 `json:"version,omitempty" range:"0..9223372036854775807"`
	Timestamp string `json:"timestamp,omitempty"` // 2026-01-02 15:04:05 in UTC, or with its zone as in RFC 3339
}

// Restoration is what RESTORE changed.
type Restoration struct {
	Version           int64 `json:"version"` // -1: the table already was as asked for
	RestoredVersion   int64 `json:"restoredVersion"`
	NumRestoredFiles  int64 `json:"numRestoredFiles"`
	RestoredFilesSize int64 `json:"restoredFilesSize"`
	NumRemovedFiles   int64 `json:"numRemovedFiles"`
	RemovedFilesSize  int64 `json:"removedFilesSize"`
}
