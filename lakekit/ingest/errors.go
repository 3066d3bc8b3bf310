package ingest

import (
	"errors"

	"taxilake/lakekit/delta"
)

// What a query refuses to start on, or ends with. The error that wraps one
// names the topic or table and the ways out.
var (
	// ErrOptions: the options contradict themselves or the table.
	ErrOptions = errors.New("streaming query options")
	// ErrTopicMissing: a topic of the query does not exist, or no longer.
	ErrTopicMissing = errors.New("topic does not exist")
	// ErrCheckpointMissing: the table was written by a stream whose checkpoint
	// is not here; a new query would leave a gap or write rows twice.
	ErrCheckpointMissing = errors.New("the table was written by a stream with another checkpoint")
	// ErrTableReplaced: the checkpoint belongs to another table than the one
	// that is here now; the rows written before it would be missing.
	ErrTableReplaced = errors.New("the checkpoint belongs to another table")
	// ErrTopicRecreated: the topic was deleted and made again; the offsets in
	// the checkpoint are those of records that are gone.
	ErrTopicRecreated = errors.New("the topic was deleted and made again")
	// ErrDataLoss: records were removed from the topic before they were read.
	ErrDataLoss = errors.New("records are gone that the stream has not read yet")
	// ErrConcurrentRun: another run of the same query, on the same checkpoint,
	// is active.
	ErrConcurrentRun = errors.New("another run of this streaming query is active")
	// ErrCheckpointFormat: a checkpoint file is not what a stateless query of
	// one Kafka source writes.
	ErrCheckpointFormat = errors.New("unsupported checkpoint")
)

// permanent are the errors that waiting does not mend.
var permanent = []error{
	ErrOptions, ErrTopicMissing, ErrCheckpointMissing, ErrTableReplaced, ErrTopicRecreated,
	ErrDataLoss, ErrConcurrentRun, ErrCheckpointFormat,
	delta.ErrNotTable, delta.ErrUnsupported, delta.ErrCorruptLog, delta.ErrTxnConflict, delta.ErrOccupied,
}

func isPermanent(err error) bool {
	for _, p := range permanent {
		if errors.Is(err, p) {
			return true
		}
	}
	return false
}
