package ingest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/delta"
)

// ReplayOptions say which dead letters to decode again, and into which table.
type ReplayOptions struct {
	Table, DeadLetters blob.Bucket
	Required           []string // as in Options
	// IgnoreUnknownFields moves also letters that were refused only because fields
	// of them would be ignored; without it they stay until there are columns.
	IgnoreUnknownFields bool
	BufferBytes         int64 // bounds the rows in memory; the default is 256 MiB
	Logger              *slog.Logger
	Clock               Clock
}

// Replay decodes the records of a dead-letter table once more, after the
// table or its schema was put right, moves those that fit now into the table
// and leaves the others where they are. Streams may run meanwhile.
//
// Each letter is moved exactly once, also when Replay is killed at any point
// and called again, or called twice at the same time. A round first writes
// its plan into the folder _replay of the dead-letter table: the data files,
// and which letters they hold. Then it commits the files to the table, then
// the removal of the letters, both under a transaction id of its own and the
// round's number. Whoever finds a plan carries it out to the end, the table's
// transaction id says whether it was begun.
func Replay(ctx context.Context, options ReplayOptions) (result api.DeadLetterReplay, err error) {
	r, err := openReplay(ctx, options)
	if err != nil {
		return result, err
	}
	result.Table, result.DeadLetters = r.table.URI(), folder(options.DeadLetters)
	if r.letters == nil {
		return result, nil
	}
	for {
		rounds, err := r.unfinished(ctx)
		if err != nil {
			return result, err
		}
		for _, round := range rounds {
			moved, err := r.carryOut(ctx, round)
			if err != nil {
				return result, fmt.Errorf("replay dead letters: %w; replay again, what was done is not done twice", err)
			}
			result.NumReplayed += moved
		}
		planned, remaining, err := r.plan(ctx)
		if err != nil {
			return result, fmt.Errorf("replay dead letters: %w", err)
		}
		if !planned {
			result.NumRemaining = remaining
			return result, nil
		}
	}
}

// replayer replays the dead letters of one table.
type replayer struct {
	options ReplayOptions
	table   *delta.Table
	letters *delta.Table // nil when there are none
	appID   string
	log     *slog.Logger
}

// replayRound is a plan: to be carried out whole, or not at all.
type replayRound struct {
	number int64

	TableID      string      `json:"tableId"`
	TableVersion int64       `json:"tableVersion"` // the rows were decoded by its schema
	Adds         []delta.Add `json:"adds"`
	Rows         int64       `json:"rows"`
	Letters      []byte      `json:"letters"` // letterIDs, one after the other
}

const (
	replayFolder = "_replay/" // Delta readers and vacuum pass over _ folders
	// replayApp begins the transaction ids of replays; the id of the
	// dead-letter table follows.
	replayApp = "dead-letters/"
	// maxReplayed letters are moved in a round, to bound the plan.
	maxReplayed = 1_000_000
	// maxRemovals bounds how often a removal starts over because new letters
	// came.
	maxRemovals = 100
)

func isReplay(appID string) bool { return strings.HasPrefix(appID, replayApp) }

func openReplay(ctx context.Context, options ReplayOptions) (*replayer, error) {
	if overlap(options.Table, options.DeadLetters) {
		return nil, fmt.Errorf("%w: the table %s and the dead letters %s lie in one another", ErrOptions, folder(options.Table), folder(options.DeadLetters))
	}
	options.BufferBytes = cmp.Or(options.BufferBytes, defaultBufferBytes)
	if options.Clock == nil {
		options.Clock = systemClock{}
	}
	r := &replayer{options: options, log: cmp.Or(options.Logger, slog.Default())}
	var err error
	if r.table, err = delta.Open(ctx, options.Table); err != nil {
		return nil, fmt.Errorf("replay dead letters: %w", err)
	}
	letters, err := delta.Open(ctx, options.DeadLetters)
	if errors.Is(err, delta.ErrNotTable) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replay dead letters: %w", err)
	}
	snapshot, err := letters.Snapshot(ctx)
	if err != nil {
		return nil, fmt.Errorf("replay dead letters: %w", err)
	}
	r.letters, r.appID = letters, replayApp+snapshot.Metadata().ID
	return r, nil
}

func replayKey(number int64) string { return replayFolder + strconv.FormatInt(number, 10) }

// unfinished are the rounds whose plan is there.
func (r *replayer) unfinished(ctx context.Context) (rounds []*replayRound, err error) {
	for object, err := range r.options.DeadLetters.List(ctx, blob.ListOptions{Prefix: replayFolder}) {
		if err != nil {
			return nil, fmt.Errorf("look for unfinished replays: %w", err)
		}
		number, err := strconv.ParseInt(strings.TrimPrefix(object.Key, replayFolder), 10, 64)
		if err != nil {
			continue
		}
		content, err := blob.ReadAll(ctx, r.options.DeadLetters, object.Key)
		if errors.Is(err, blob.ErrNotExist) { // just carried out by somebody else
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the plan of a replay: %w", err)
		}
		round := &replayRound{number: number}
		if err := json.Unmarshal(content, round); err != nil {
			return nil, fmt.Errorf("read the plan of a replay: %s: %w", r.options.DeadLetters.URI(object.Key), err)
		}
		rounds = append(rounds, round)
	}
	slices.SortFunc(rounds, func(a, b *replayRound) int { return cmp.Compare(a.number, b.number) })
	return rounds, nil
}

// plan decodes the letters and writes down what is to be done about those that
// fit, unless none does. It counts the others.
func (r *replayer) plan(ctx context.Context) (planned bool, remaining int64, err error) {
	table, letters, err := r.snapshots(ctx)
	if err != nil {
		return false, 0, err
	}
	round := &replayRound{
		number:  max(lastTxn(table, r.appID), lastTxn(letters, r.appID)) + 1,
		TableID: table.Metadata().ID, TableVersion: table.Version(),
	}
	data := newOutput(table, r.options.BufferBytes/4)
	if remaining, err = r.decode(ctx, table, letters, round, data); err != nil {
		return false, 0, errors.Join(err, data.discard(ctx))
	}
	if round.Rows == 0 {
		return false, remaining, nil
	}
	round.Adds = data.files
	content, err := json.Marshal(round)
	if err != nil {
		return false, 0, errors.Join(err, data.discard(ctx))
	}
	err = checkpoint{r.options.DeadLetters}.add(ctx, replayKey(round.number), content)
	if errors.Is(err, ErrConcurrentRun) { // another replay has planned this round: its plan counts
		err = data.discard(ctx)
	}
	return true, 0, err // after any other error the plan may be there, and needs the files
}

// snapshots pins both tables, the letters first: a round that removed some of
// them after that is seen in the table.
func (r *replayer) snapshots(ctx context.Context) (table, letters *delta.Snapshot, err error) {
	if letters, err = r.letters.Snapshot(ctx); err != nil {
		return nil, nil, err
	}
	table, err = r.table.Snapshot(ctx)
	return table, letters, err
}

func lastTxn(s *delta.Snapshot, appID string) int64 {
	if txn, ok := s.Txn(appID); ok {
		return txn.Version
	}
	return -1
}

// decode gives the rows of the letters that fit to data, and returns the
// number of the others.
func (r *replayer) decode(ctx context.Context, table, letters *delta.Snapshot, round *replayRound, data *output) (remaining int64, err error) {
	columns, err := letterColumnsOf(letters)
	if err != nil {
		return 0, err
	}
	schema, err := table.Schema().Arrow()
	if err != nil {
		return 0, err
	}
	column, ok := table.Schema().Field(decode.HeadersColumn)
	decoder, err := decode.New(schema, decode.Options{
		Required:       r.options.Required,
		IncludeHeaders: columns.headers > 0 && ok && column.Type.String() == decode.HeadersType.String(),
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	defer decoder.Release()
	handOver := func() error {
		if decoder.Rows() == 0 {
			return nil
		}
		size := decoder.Size()
		return data.add(ctx, decoder.Flush(), size)
	}
	for batch, err := range letters.ScanToRewrite(ctx) {
		if err != nil {
			return 0, err
		}
		page := pageOf(batch, columns)
		for i := range page.rows {
			decoder.Ignore(r.options.IgnoreUnknownFields || !strings.HasPrefix(page.reason.Value(i), decode.RefusedForFields))
			if round.Rows == maxReplayed || decoder.Decode(page.value.Value(i), page.headersOf(i)) != nil {
				remaining++
				continue
			}
			id := page.id(i)
			round.Letters = append(round.Letters, id[:]...)
			round.Rows++
			if decoder.Size() < data.limit/8 {
				continue
			}
			if err := handOver(); err != nil {
				return 0, err
			}
		}
	}
	if err := handOver(); err != nil {
		return 0, err
	}
	return remaining, data.upload(ctx)
}

// carryOut does a round, or what is left to do of it, and returns the number
// of letters moved.
func (r *replayer) carryOut(ctx context.Context, round *replayRound) (moved int64, err error) {
	table, letters, err := r.snapshots(ctx)
	if err != nil {
		return 0, err
	}
	if lastTxn(letters, r.appID) >= round.number {
		return 0, r.forget(ctx, round)
	}
	if lastTxn(table, r.appID) < round.number {
		done, err := r.commitRows(ctx, table, round)
		if err != nil {
			return 0, err
		}
		if !done {
			return 0, r.abandon(ctx, table, round)
		}
	}
	if err := r.removeLetters(ctx, round); err != nil {
		return 0, err
	}
	r.log.Info("replayed dead letters", "table", r.table.URI(), "rows", round.Rows)
	return round.Rows, r.forget(ctx, round)
}

// commitRows adds the round's files to the table. It is not done when the plan
// was overtaken: the table is another one, its schema has changed, or the
// files are gone.
func (r *replayer) commitRows(ctx context.Context, table *delta.Snapshot, round *replayRound) (done bool, err error) {
	if table.Metadata().ID != round.TableID {
		return false, nil
	}
	var size int64
	for _, add := range round.Adds {
		key, err := add.Key()
		if err != nil {
			return false, err
		}
		if _, err := r.table.Bucket().Head(ctx, key); errors.Is(err, blob.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		size += add.Size
	}
	partitionBy, err := json.Marshal(table.Metadata().PartitionColumns)
	if err != nil {
		return false, err
	}
	_, err = r.table.Commit(ctx, delta.Commit{
		Operation:  "WRITE",
		Parameters: map[string]any{"mode": "Append", "partitionBy": string(partitionBy)},
		Metrics: map[string]string{
			"numFiles":       strconv.Itoa(len(round.Adds)),
			"numOutputRows":  strconv.FormatInt(round.Rows, 10),
			"numOutputBytes": strconv.FormatInt(size, 10),
		},
		Adds:         round.Adds,
		Txn:          r.txn(round),
		ReadVersion:  round.TableVersion,
		BlindAppend:  true,
		UserMetadata: "replayed from the dead letters " + folder(r.options.DeadLetters),
	})
	switch {
	case errors.Is(err, delta.ErrTxnConflict): // somebody else carries it out, too
		return true, nil
	case errors.Is(err, delta.ErrConflict):
		return false, nil
	}
	return err == nil, err
}

func (r *replayer) txn(round *replayRound) *delta.Txn {
	return &delta.Txn{AppID: r.appID, Version: round.number, LastUpdated: r.options.Clock.Now().UnixMilli()}
}

// removeLetters rewrites the dead-letter table without those of the round.
// Letters that come meanwhile stay.
func (r *replayer) removeLetters(ctx context.Context, round *replayRound) error {
	gone := make(map[letterID]bool, len(round.Letters)/len(letterID{}))
	for id := range slices.Chunk(round.Letters, len(letterID{})) {
		gone[letterID(id)] = true
	}
	for range maxRemovals {
		err := r.tryRemove(ctx, round, gone)
		if !errors.Is(err, delta.ErrConflict) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.options.Clock.After(backoffFirst):
		}
	}
	return fmt.Errorf("remove the replayed letters from %s: new ones came each time it was tried, %d times", r.letters.URI(), maxRemovals)
}

func (r *replayer) tryRemove(ctx context.Context, round *replayRound, gone map[letterID]bool) error {
	snapshot, err := r.letters.Snapshot(ctx)
	if err != nil || lastTxn(snapshot, r.appID) >= round.number {
		return err
	}
	left := newOutput(snapshot, r.options.BufferBytes/8)
	if err := without(ctx, snapshot, gone, left); err != nil {
		return errors.Join(err, left.discard(ctx))
	}
	var removes []delta.Remove
	for _, file := range snapshot.Files() {
		removes = append(removes, delta.Remove{Path: file.Path, DataChange: true, ExtendedFileMetadata: true, PartitionValues: file.PartitionValues, Size: file.Size})
	}
	_, err = r.letters.Commit(ctx, delta.Commit{
		Operation:  "DELETE",
		Parameters: map[string]any{"predicate": `["replayed"]`},
		Metrics: map[string]string{
			"numRemovedFiles": strconv.Itoa(len(removes)),
			"numAddedFiles":   strconv.Itoa(len(left.files)),
			"numDeletedRows":  strconv.FormatInt(snapshot.NumRecords()-left.rows, 10),
		},
		Adds:        left.files,
		Removes:     removes,
		Txn:         r.txn(round),
		ReadVersion: snapshot.Version(),
	})
	switch {
	case err == nil || errors.Is(err, delta.ErrUnknownOutcome):
		return err
	case errors.Is(err, delta.ErrTxnConflict): // somebody else has done it
		return left.discard(ctx)
	}
	return errors.Join(err, left.discard(ctx))
}

// without copies the letters of a snapshot that are not gone.
func without(ctx context.Context, snapshot *delta.Snapshot, gone map[letterID]bool, left *output) error {
	columns, err := letterColumnsOf(snapshot)
	if err != nil {
		return err
	}
	mask := array.NewBooleanBuilder(memory.DefaultAllocator)
	defer mask.Release()
	for batch, err := range snapshot.ScanToRewrite(ctx) {
		if err != nil {
			return err
		}
		page := pageOf(batch, columns)
		size := int64(64 * page.rows)
		for i := range page.rows {
			mask.Append(!gone[page.id(i)])
			size += int64(page.value.ValueLen(i) + page.key.ValueLen(i))
		}
		stays := mask.NewBooleanArray()
		rows, err := compute.FilterRecordBatch(ctx, batch, stays, compute.DefaultFilterOptions())
		stays.Release()
		if err != nil {
			return fmt.Errorf("leave out replayed letters: %w", err)
		}
		if rows.NumRows() == 0 {
			rows.Release()
			continue
		}
		if err := left.add(ctx, rows, size); err != nil {
			return err
		}
	}
	return left.upload(ctx)
}

// abandon takes back a round that was never begun. The plan goes first: without
// it nobody commits the files.
func (r *replayer) abandon(ctx context.Context, table *delta.Snapshot, round *replayRound) error {
	if err := r.forget(ctx, round); err != nil {
		return err
	}
	rows := newOutput(table, 0)
	rows.files = round.Adds
	return rows.discard(ctx)
}

func (r *replayer) forget(ctx context.Context, round *replayRound) error {
	if err := r.options.DeadLetters.Delete(ctx, replayKey(round.number)); err != nil {
		return fmt.Errorf("delete the plan of a replay: %w", err)
	}
	return nil
}
