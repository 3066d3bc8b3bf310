package delta

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The properties of the writer feature inCommitTimestamp. Version and timestamp
// are set where a table had commits before it was enabled.
const (
	inCommitTimestampsKey         = "delta.enableInCommitTimestamps"
	inCommitTimestampVersionKey   = "delta.inCommitTimestampEnablementVersion"
	inCommitTimestampTimestampKey = "delta.inCommitTimestampEnablementTimestamp"
)

func (s *Snapshot) hasInCommitTimestamps() bool {
	return strings.EqualFold(s.metadata.Configuration[inCommitTimestampsKey], "true")
}

// inCommitTimestamp reads no more of a commit than its first line, which is its
// commitInfo where the feature is enabled.
func (t *Table) inCommitTimestamp(ctx context.Context, commit logFile) (time.Time, error) {
	body, err := t.bucket.Get(ctx, commit.key)
	if err != nil {
		return time.Time{}, fmt.Errorf("read version %d of %s: %w", commit.version, t.URI(), err)
	}
	defer body.Close()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxLogLine)
	var first action
	if lines.Scan() {
		err = json.Unmarshal(lines.Bytes(), &first)
	}
	if err == nil {
		err = lines.Err()
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %s line 1: %w", ErrCorruptLog, t.bucket.URI(commit.key), err)
	}
	if first.CommitInfo == nil || first.CommitInfo.InCommitTimestamp == nil {
		return time.Time{}, fmt.Errorf("%w: %s does not begin with a commitInfo with inCommitTimestamp", ErrCorruptLog, t.bucket.URI(commit.key))
	}
	return time.UnixMilli(*first.CommitInfo.InCommitTimestamp), nil
}

// versionAsOf is the newest version committed at or before a time. Where
// in-commit timestamps are enabled they decide from the enabling version on, and
// the times of the commit files before it (PROTOCOL.md, section Recommendations
// for Readers of Tables with In-Commit Timestamps).
func (t *Table) versionAsOf(ctx context.Context, newest *Snapshot, commits []logFile, at time.Time) (int64, error) {
	var failed error
	times := commitTimes(commits, time.Time{})
	timeOf := func(i int) time.Time { return times[i] }
	if newest.hasInCommitTimestamps() {
		enabled, err := newest.inCommitTimestampsSince()
		if err != nil {
			return 0, err
		}
		from, _ := slices.BinarySearchFunc(commits, enabled.version, compareVersion)
		if at.Before(enabled.at) {
			commits = commits[:from]
		} else {
			commits = commits[from:]
			timeOf = func(i int) time.Time {
				committed, err := t.inCommitTimestamp(ctx, commits[i])
				if err != nil {
					failed = err
				}
				return committed
			}
		}
	}
	after := sort.Search(len(commits), func(i int) bool { return failed != nil || timeOf(i).After(at) })
	switch {
	case failed != nil:
		return 0, failed
	case after > 0:
		return commits[after-1].version, nil
	case len(commits) == 0:
		return 0, fmt.Errorf("%w: %s has no commits of %s or before", ErrNoVersion, t.URI(), at.UTC().Format(time.RFC3339Nano))
	}
	return 0, fmt.Errorf("%w: the oldest version of %s is of %s", ErrNoVersion, t.URI(), timeOf(0).UTC().Format(time.RFC3339Nano))
}

type enablement struct {
	version int64
	at      time.Time
}

func (s *Snapshot) inCommitTimestampsSince() (enablement, error) {
	since := enablement{at: time.UnixMilli(0)}
	version, versioned := s.metadata.Configuration[inCommitTimestampVersionKey]
	at, timed := s.metadata.Configuration[inCommitTimestampTimestampKey]
	if !versioned && !timed {
		return enablement{}, nil // since the table was made
	}
	var err error
	if since.version, err = strconv.ParseInt(version, 10, 64); err == nil {
		var millis int64
		millis, err = strconv.ParseInt(at, 10, 64)
		since.at = time.UnixMilli(millis)
	}
	if err != nil {
		return enablement{}, fmt.Errorf("%w: %s of version %d of %s: %w", ErrCorruptLog, inCommitTimestampVersionKey, s.version, s.table.URI(), err)
	}
	return since, nil
}
