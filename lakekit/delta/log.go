package delta

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"taxilake/lakekit/blob"
)

const (
	logPrefix          = "_delta_log/"
	lastCheckpointKey  = logPrefix + "_last_checkpoint"
	logReadParallelism = 16 // hides the latency of a remote store
)

func commitKey(version int64) string { return fmt.Sprintf("%s%020d.json", logPrefix, version) }

// logFile is one object of the log.
type logFile struct {
	version  int64
	key      string
	size     int64
	etag     string
	modified time.Time
}

// checkpoint is a complete one: a single file, or all parts in order.
type checkpoint struct {
	version int64
	parts   []logFile
}

// logCompaction is the commits version to end of its file in one.
type logCompaction struct {
	logFile
	end int64
}

// logListing is what a listing of the log found, in order of versions.
type logListing struct {
	commits     []logFile
	checkpoints []checkpoint
	compactions []logCompaction
	others      []logFile // checksums, log compactions: cleanup looks at them
}

// A version takes 20 digits; parts of a checkpoint 10 (PROTOCOL.md, sections
// Delta Log Entries, Checkpoint Naming Scheme, Log Compaction Files). The groups
// are the version, a commit, the part and the number of parts of a checkpoint,
// the end of a log compaction, a checksum.
var logName = regexp.MustCompile(`^_delta_log/(\d{20})\.(?:(json)|checkpoint(?:\.(\d{10})\.(\d{10})|\.[0-9a-fA-F-]{36})?\.(?:parquet|json)|(\d{20})\.compacted\.json|(crc))$`)

// listLog lists the log from a version on. The names sort by version, so a
// store need not walk the older ones.
func listLog(ctx context.Context, bucket blob.Bucket, from int64) (logListing, error) {
	var listing logListing
	var parts []logFile
	incomplete := map[string][]logFile{} // multi-part checkpoints by version and number of parts
	options := blob.ListOptions{Prefix: logPrefix, StartAfter: fmt.Sprintf("%s%020d", logPrefix, from), Delimiter: "/"}
	for object, err := range bucket.List(ctx, options) {
		if err != nil {
			return logListing{}, fmt.Errorf("list the log of %s: %w", bucket.URI(""), err)
		}
		name := logName.FindStringSubmatch(object.Key)
		if name == nil || object.IsPrefix {
			continue
		}
		version, err := strconv.ParseInt(name[1], 10, 64)
		if err != nil {
			continue // beyond 2^63: no version
		}
		file := logFile{version, object.Key, object.Size, object.ETag, object.LastModified}
		switch {
		case name[2] != "":
			listing.commits = append(listing.commits, file)
		case name[5] != "":
			listing.others = append(listing.others, file)
			if end, err := strconv.ParseInt(name[5], 10, 64); err == nil && end > version {
				listing.compactions = append(listing.compactions, logCompaction{file, end})
			}
		case name[6] != "":
			listing.others = append(listing.others, file)
		case name[4] == "":
			listing.checkpoints = append(listing.checkpoints, checkpoint{version, []logFile{file}})
		default:
			id := name[1] + "." + name[4]
			parts = append(incomplete[id], file)
			incomplete[id] = parts
			if total, err := strconv.Atoi(name[4]); err == nil && len(parts) == total {
				listing.checkpoints = append(listing.checkpoints, checkpoint{version, parts})
			}
		}
	}
	slices.SortStableFunc(listing.checkpoints, func(a, b checkpoint) int { return cmp.Compare(a.version, b.version) })
	return listing, nil
}

// commitFile is a parsed commit.
type commitFile struct {
	file     logFile
	info     commitInfo // zero when the commit has none
	protocol *Protocol
	metadata *Metadata
	txns     []Txn
	adds     []*Add
	removes  []*Remove
	sidecars []sidecar
}

// maxLogLine bounds the memory a broken log can take: an action with
// statistics of thousands of columns stays far below.
const maxLogLine = 64 << 20

// parseCommit reads the actions of a commit. Unknown actions and fields are
// ignored, as PROTOCOL.md asks; a line that is no JSON is ErrCorruptLog.
func parseCommit(name string, content io.Reader) (*commitFile, error) {
	commit := &commitFile{}
	lines := bufio.NewScanner(content)
	lines.Buffer(make([]byte, 0, 64<<10), maxLogLine)
	for number := 1; lines.Scan(); number++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var a action
		if err := json.Unmarshal(line, &a); err != nil {
			return nil, fmt.Errorf("%w: %s line %d: %w", ErrCorruptLog, name, number, err)
		}
		if err := commit.append(a); err != nil {
			return nil, fmt.Errorf("%w: %s line %d: %w", ErrCorruptLog, name, number, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCorruptLog, name, err)
	}
	return commit, nil
}

func (c *commitFile) append(a action) error {
	switch {
	case a.Add != nil:
		if a.Add.Path == "" {
			return errors.New("add without a path")
		}
		if strings.Contains(a.Add.Path, "\x00") { // see logicalFile
			return fmt.Errorf("add with the path %q", a.Add.Path)
		}
		c.adds = append(c.adds, a.Add)
	case a.Remove != nil:
		if a.Remove.Path == "" {
			return errors.New("remove without a path")
		}
		c.removes = append(c.removes, a.Remove)
	case a.Sidecar != nil:
		if a.Sidecar.Path == "" {
			return errors.New("sidecar without a path")
		}
		c.sidecars = append(c.sidecars, *a.Sidecar)
	case a.Txn != nil:
		c.txns = append(c.txns, *a.Txn)
	case a.Metadata != nil:
		c.metadata = a.Metadata
	case a.Protocol != nil:
		c.protocol = a.Protocol
	case a.CommitInfo != nil:
		c.info = *a.CommitInfo
	}
	return nil
}

// readCommits reads commits at the same time and returns them in order.
func readCommits(ctx context.Context, bucket blob.Bucket, files []logFile) ([]*commitFile, error) {
	commits := make([]*commitFile, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(logReadParallelism)
	for i, file := range files {
		group.Go(func() error {
			content, err := blob.ReadAll(ctx, bucket, file.key)
			if err != nil {
				return fmt.Errorf("read version %d of %s: %w", file.version, bucket.URI(""), err)
			}
			if len(bytes.TrimSpace(content)) == 0 { // as a crash leaves it: every writer commits at least one action
				return fmt.Errorf("%w: %s is empty", ErrCorruptLog, bucket.URI(file.key))
			}
			commit, err := parseCommit(bucket.URI(file.key), bytes.NewReader(content))
			if err != nil {
				return err
			}
			commit.file = file
			commits[i] = commit
			return nil
		})
	}
	return commits, group.Wait()
}

// lastCheckpointHint is the version named by _last_checkpoint, or 0 when it is
// missing or broken: the file only saves listing (PROTOCOL.md, section Last
// Checkpoint File).
func lastCheckpointHint(ctx context.Context, bucket blob.Bucket) int64 {
	content, err := blob.ReadAll(ctx, bucket, lastCheckpointKey)
	if err != nil {
		return 0
	}
	var hint struct {
		Version int64 `json:"version"`
	}
	if json.Unmarshal(content, &hint) != nil || hint.Version < 0 {
		return 0
	}
	return hint.Version
}

func (f logFile) isLogCompaction() bool { return strings.HasSuffix(f.key, ".compacted.json") }
