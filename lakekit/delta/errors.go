package delta

import "errors"

// What a caller decides on; the error that wraps one names the table, the
// version and the file.
var (
	// ErrTableExists is returned by Create where a table is already.
	ErrTableExists = errors.New("delta: table already exists")
	// ErrOccupied is returned for a folder that is another owner's, or would be
	// partly: tables and checkpoints do not lie in one another.
	ErrOccupied = errors.New("delta: folder belongs to another table or checkpoint")
	// ErrInvalid is returned for what the caller must ask otherwise: a table's
	// definition, a property, a predicate, a column to order by, a retention
	// that is too short.
	ErrInvalid = errors.New("delta: invalid request")
	// ErrSchemaMismatch is returned when rows do not fit the table's schema.
	ErrSchemaMismatch = errors.New("delta: schema mismatch")
	// ErrNotRewritable is returned by Compact, Optimize and ScanToRewrite for a
	// data file whose rows would not stay what they are; nothing was changed.
	ErrNotRewritable = errors.New("delta: data file cannot be rewritten")
	// ErrFilesMissing is returned by Restore when files of the version to go
	// back to were vacuumed or deleted by hand.
	ErrFilesMissing = errors.New("delta: data files are missing")
	// ErrNotTable is returned by Open where there is no _delta_log.
	ErrNotTable = errors.New("delta: not a delta table")
	// ErrConflict is returned by Commit when another commit made this one
	// invalid: load a new snapshot, plan again.
	ErrConflict = errors.New("delta: conflict with a concurrent commit")
	// ErrTxnConflict is returned by Commit when the application id of its Txn
	// was written by another commit meanwhile: two runs of one stream.
	ErrTxnConflict = errors.New("delta: another writer committed for the same application id")
	// ErrUnknownOutcome is returned by Commit when the store answered neither
	// the put nor the look at what it left: a later snapshot may have the commit.
	ErrUnknownOutcome = errors.New("delta: unknown outcome of a commit")
	// ErrUnsupported is returned for a table that needs a feature this
	// package does not have.
	ErrUnsupported = errors.New("delta: unsupported")
	// ErrCorruptLog is returned when the log cannot be a table's state: a
	// version is missing, a file is truncated, protocol or metadata is absent.
	ErrCorruptLog = errors.New("delta: corrupt log")
	// ErrNoVersion is returned when time travel asks for a version that does
	// not exist or is no longer kept.
	ErrNoVersion = errors.New("delta: no such version")
)
