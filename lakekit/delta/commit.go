package delta

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"

	"taxilake/lakekit/blob"
)

// Commit is one change of a table, that becomes visible as a whole or not at
// all.
type Commit struct {
	Operation    string            // as Spark names it: "STREAMING UPDATE", "WRITE", "OPTIMIZE"
	Parameters   map[string]any    // of the operation; Spark writes strings and booleans
	Metrics      map[string]string // of the operation: numbers as strings, such as numOutputRows
	Adds         []Add
	Removes      []Remove
	Txn          *Txn
	Metadata     *Metadata // new schema or settings
	ReadVersion  int64     // of the snapshot this commit was planned from
	BlindAppend  bool      // only adds, planned without looking at the table's rows
	UserMetadata string

	protocol *Protocol // only for version 0
}

const (
	// maxLostRaces: each one lost means that another writer has made progress.
	maxLostRaces = 30
	// maxStoreFailures in a row, about 6 s of backoff.
	maxStoreFailures = 8
	backoffFirst     = 10 * time.Millisecond
	backoffMax       = 2 * time.Second
	// readBackTimeout bounds the look at what a failed put has left, which
	// goes on when the caller's context has ended.
	readBackTimeout = 30 * time.Second
)

// Commit makes c the next version and returns its number.
//
// When other commits came between, it takes the next free version if they do
// not touch what c was planned from, and fails with ErrConflict (plan again
// from a new snapshot) or ErrTxnConflict (the same application wrote: stop) if
// they do. When the store's answer is lost, the log is read back to see whose
// commit is there; ErrUnknownOutcome says that not even that was possible, and
// a later snapshot may have the commit or not.
func (t *Table) Commit(ctx context.Context, c Commit) (int64, error) {
	version, err := t.commit(ctx, c)
	if err != nil {
		return 0, fmt.Errorf("commit %s to %s: %w", c.Operation, t.URI(), err)
	}
	t.maintainLog(ctx, version)
	return version, nil
}

func (t *Table) commit(ctx context.Context, c Commit) (int64, error) {
	base, err := t.known(ctx, c.ReadVersion)
	if err != nil {
		return 0, err
	}
	if err := c.check(base); err != nil {
		return 0, err
	}
	if err := t.checkCommitsSince(ctx, &c, base.version); err != nil {
		return 0, err
	}
	if err := c.checkLive(base); err != nil {
		return 0, err
	}
	txnID := uuid.NewString()
	body, err := t.encode(c, txnID)
	if err != nil {
		return 0, err
	}
	version := base.version + 1
	backoff := backoffFirst
	for range maxLostRaces {
		winner, err := t.putVersion(ctx, version, txnID, body)
		if err != nil {
			return 0, err
		}
		if winner == nil {
			return version, nil
		}
		// Before the look at the log: a version found before the pause would be
		// taken after it, again and again beside a busy stream.
		if err := t.sleep(ctx, jitter(backoff)); err != nil {
			return 0, err
		}
		backoff = min(2*backoff, backoffMax)
		if version, err = t.passWinners(ctx, &c, version, winner); err != nil {
			return 0, err
		}
	}
	return 0, fmt.Errorf("%w: lost %d races in a row, the last for version %d", ErrConflict, maxLostRaces, version-1)
}

// checkCommitsSince checks c against the commits between the snapshot it was
// planned from and a newer one we know.
func (t *Table) checkCommitsSince(ctx context.Context, c *Commit, version int64) error {
	if version == c.ReadVersion {
		return nil
	}
	var files []logFile
	for v := c.ReadVersion + 1; v <= version; v++ {
		files = append(files, logFile{version: v, key: commitKey(v)})
	}
	winners, err := readCommits(ctx, t.bucket, files)
	if errors.Is(err, blob.ErrNotExist) {
		return fmt.Errorf("%w: what was committed since version %d is no longer in the log", ErrConflict, c.ReadVersion)
	}
	if err != nil {
		return err
	}
	return c.checkConflicts(winners)
}

// passWinners checks c against the commit that took its version and all that
// followed, and returns the next free version.
func (t *Table) passWinners(ctx context.Context, c *Commit, version int64, winner *commitFile) (int64, error) {
	if err := c.checkConflicts([]*commitFile{winner}); err != nil {
		return 0, err
	}
	listing, err := listLog(ctx, t.bucket, version+1)
	if err != nil {
		return 0, err
	}
	if len(listing.commits) == 0 {
		return version + 1, nil
	}
	last := listing.commits[len(listing.commits)-1].version
	files, err := t.contiguous(ctx, listing.commits, version+1, last)
	if err != nil {
		return 0, err
	}
	winners, err := readCommits(ctx, t.bucket, files)
	if err != nil {
		return 0, err
	}
	return last + 1, c.checkConflicts(winners)
}

// putVersion writes a version if nobody has. It returns the commit of whoever
// was faster, or nil when the version is ours.
func (t *Table) putVersion(ctx context.Context, version int64, txnID string, body []byte) (winner *commitFile, err error) {
	backoff := backoffFirst
	for range maxStoreFailures {
		err = t.bucket.PutIfAbsent(ctx, commitKey(version), bytes.NewReader(body))
		if err == nil {
			return nil, nil
		}
		// The version may hold our commit whatever we were told, even that it
		// exists: a client that repeats a request whose answer was lost is told
		// that about its own object.
		there, readErr := t.readBack(ctx, version)
		switch {
		case readErr == nil && there.info.TxnID == txnID:
			return nil, nil
		case readErr == nil:
			return there, nil
		case errors.Is(readErr, ErrCorruptLog):
			return nil, readErr
		}
		if !errors.Is(readErr, blob.ErrNotExist) {
			err = errors.Join(err, readErr)
		}
		if t.sleep(ctx, jitter(backoff)) != nil {
			break
		}
		backoff = min(2*backoff, backoffMax)
	}
	return nil, fmt.Errorf("%w: version %d: %w", ErrUnknownOutcome, version, err)
}

func (t *Table) readBack(ctx context.Context, version int64) (*commitFile, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readBackTimeout)
	defer cancel()
	commits, err := readCommits(ctx, t.bucket, []logFile{{version: version, key: commitKey(version)}})
	if err != nil {
		return nil, err
	}
	return commits[0], nil
}

// putFirst writes version 0; whoever was faster has made the table.
func (t *Table) putFirst(ctx context.Context, c Commit) error {
	txnID := uuid.NewString()
	body, err := t.encode(c, txnID)
	if err != nil {
		return err
	}
	winner, err := t.putVersion(ctx, 0, txnID, body)
	if err == nil && winner != nil {
		return ErrTableExists
	}
	return err
}

// jitter spreads writers that failed together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// check refuses a commit that breaks a rule of the format or a promise of the
// table.
func (c *Commit) check(base *Snapshot) error {
	if c.Operation == "" {
		return errors.New("the commit names no operation")
	}
	if err := checkWritable(base.protocol, base.metadata, base.schema); err != nil {
		return err
	}
	if c.BlindAppend && len(c.Removes) > 0 {
		return errors.New("a blind append only adds files")
	}
	seen := map[string]bool{}
	for _, add := range c.Adds {
		if add.Path == "" || seen[add.Path] {
			return fmt.Errorf("a commit adds each file once, by its path: %q", add.Path)
		}
		seen[add.Path] = true
	}
	for _, remove := range c.Removes {
		if remove.Path == "" || seen[remove.Path] {
			return fmt.Errorf("a commit adds or removes each file once, by its path: %q", remove.Path)
		}
		seen[remove.Path] = true
		if remove.DataChange && base.properties.appendOnly {
			return fmt.Errorf("the table is append-only (%s): rows cannot be removed", AppendOnlyKey)
		}
	}
	if c.Metadata != nil {
		return c.checkMetadata(base)
	}
	return nil
}

func (c *Commit) checkMetadata(base *Snapshot) error {
	var schema Schema
	if err := json.Unmarshal([]byte(c.Metadata.SchemaString), &schema); err != nil {
		return fmt.Errorf("new metadata: %w", err)
	}
	if err := checkSchema(schema, c.Metadata.PartitionColumns); err != nil {
		return fmt.Errorf("new metadata: %w", err)
	}
	if c.Metadata.ID != base.metadata.ID {
		return errors.New("new metadata: a table keeps its id")
	}
	if usesType(schema, TimestampNTZ) && !usesType(base.schema, TimestampNTZ) {
		return fmt.Errorf("%w: adding a timestamp_ntz column to a table, which raises its protocol", ErrUnsupported)
	}
	return nil
}

// encode is the commit file: commitInfo first, so that history reads one line.
func (t *Table) encode(c Commit, txnID string) ([]byte, error) {
	now := t.now().UnixMilli()
	metrics := make(map[string]any, len(c.Metrics))
	for name, value := range c.Metrics {
		metrics[name] = value
	}
	info := commitInfo{
		Timestamp:           now,
		Operation:           c.Operation,
		OperationParameters: c.Parameters,
		IsolationLevel:      c.isolationLevel(),
		IsBlindAppend:       &c.BlindAppend,
		OperationMetrics:    metrics,
		UserMetadata:        c.UserMetadata,
		EngineInfo:          t.engine,
		TxnID:               txnID,
	}
	if c.protocol == nil {
		info.ReadVersion = &c.ReadVersion
	}
	if info.OperationParameters == nil {
		info.OperationParameters = map[string]any{}
	}
	lines := []action{{CommitInfo: &info}}
	if c.protocol != nil {
		lines = append(lines, action{Protocol: c.protocol})
	}
	if c.Metadata != nil {
		lines = append(lines, action{Metadata: c.Metadata})
	}
	if c.Txn != nil {
		txn := *c.Txn
		txn.LastUpdated = cmp.Or(txn.LastUpdated, now)
		lines = append(lines, action{Txn: &txn})
	}
	for i := range c.Removes {
		remove := c.Removes[i]
		remove.DeletionTimestamp = cmp.Or(remove.DeletionTimestamp, now)
		if remove.ExtendedFileMetadata && remove.PartitionValues == nil {
			remove.PartitionValues = PartitionValues{}
		}
		lines = append(lines, action{Remove: &remove})
	}
	for i := range c.Adds {
		add := c.Adds[i]
		if add.PartitionValues == nil {
			add.PartitionValues = PartitionValues{}
		}
		lines = append(lines, action{Add: &add})
	}
	var body bytes.Buffer
	out := json.NewEncoder(&body)
	out.SetEscapeHTML(false)
	for _, line := range lines {
		if err := out.Encode(line); err != nil {
			return nil, fmt.Errorf("encode the commit: %w", err)
		}
	}
	return body.Bytes(), nil
}

// isolationLevel as Spark records it: commits that change no data need less.
func (c *Commit) isolationLevel() string {
	if c.changesData() || c.Metadata != nil || len(c.Adds)+len(c.Removes) == 0 {
		return "Serializable"
	}
	return "SnapshotIsolation"
}

func (c *Commit) changesData() bool {
	for _, add := range c.Adds {
		if add.DataChange {
			return true
		}
	}
	for _, remove := range c.Removes {
		if remove.DataChange {
			return true
		}
	}
	return false
}
