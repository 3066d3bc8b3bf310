package delta

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// HistoryEntry is one commit of a table, with the names of Spark's DESCRIBE HISTORY.
type HistoryEntry struct {
	Version             int64
	Timestamp           time.Time
	Operation           string
	OperationParameters map[string]string
	OperationMetrics    map[string]string
	ReadVersion         *int64
	IsolationLevel      string
	IsBlindAppend       *bool
	UserMetadata        string
	EngineInfo          string
}

// History is the newest commits, newest first; limit 0 is all that the log
// still holds.
func (t *Table) History(ctx context.Context, limit int) ([]HistoryEntry, error) {
	listing, err := listLog(ctx, t.bucket, 0)
	if err != nil {
		return nil, err
	}
	files, times := listing.commits, commitTimes(listing.commits, time.Time{})
	if skip := len(files) - limit; limit > 0 && skip > 0 {
		files, times = files[skip:], times[skip:]
	}
	commits, err := readCommits(ctx, t.bucket, files)
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	entries := make([]HistoryEntry, len(commits))
	for i, commit := range commits {
		info := commit.info
		if at := info.InCommitTimestamp; at != nil {
			times[i] = time.UnixMilli(*at)
		}
		entries[i] = HistoryEntry{
			Version:             commit.file.version,
			Timestamp:           times[i].UTC(),
			Operation:           info.Operation,
			OperationParameters: parameterTexts(info.OperationParameters),
			OperationMetrics:    parameterTexts(info.OperationMetrics),
			ReadVersion:         info.ReadVersion,
			IsolationLevel:      info.IsolationLevel,
			IsBlindAppend:       info.IsBlindAppend,
			UserMetadata:        info.UserMetadata,
			EngineInfo:          info.EngineInfo,
		}
	}
	slices.Reverse(entries)
	return entries, nil
}

// parameterTexts shows strings as they are and anything else as JSON, as Spark
// does; nulls are left out.
func parameterTexts(parameters map[string]any) map[string]string {
	texts := make(map[string]string, len(parameters))
	for name, value := range parameters {
		switch value := value.(type) {
		case nil:
		case string:
			texts[name] = value
		default:
			text, err := json.Marshal(value)
			if err == nil {
				texts[name] = string(text)
			}
		}
	}
	return texts
}

// Detail describes a table as it stands at Version, with the names of Spark's
// DESCRIBE DETAIL.
type Detail struct {
	Format           string
	ID               string
	Name             string
	Description      string
	Location         string
	CreatedAt        time.Time
	LastModified     time.Time
	PartitionColumns []string
	NumFiles         int64
	SizeInBytes      int64
	NumRecords       int64 // -1 when a file has no statistics
	Properties       map[string]string
	MinReaderVersion int
	MinWriterVersion int
	TableFeatures    []string
	Version          int64
}

// Detail describes the table at this version, as DESCRIBE DETAIL does.
func (s *Snapshot) Detail() Detail {
	detail := Detail{
		Format:           "delta",
		ID:               s.metadata.ID,
		Name:             s.metadata.Name,
		Description:      s.metadata.Description,
		Location:         s.table.URI(),
		LastModified:     s.timestamp.UTC(),
		PartitionColumns: append([]string{}, s.metadata.PartitionColumns...),
		NumFiles:         int64(len(s.adds)),
		SizeInBytes:      s.SizeInBytes(),
		NumRecords:       s.NumRecords(),
		Properties:       s.Properties(),
		MinReaderVersion: s.protocol.MinReaderVersion,
		MinWriterVersion: s.protocol.MinWriterVersion,
		Version:          s.version,
	}
	if s.metadata.CreatedTime != nil {
		detail.CreatedAt = time.UnixMilli(*s.metadata.CreatedTime).UTC()
	}
	features := slices.Concat(s.protocol.ReaderFeatures, s.protocol.WriterFeatures)
	slices.Sort(features)
	detail.TableFeatures = slices.Compact(features)
	return detail
}

// FileInfo is one live data file of a table.
type FileInfo struct {
	Path             string // decoded, relative to the table
	PartitionValues  map[string]string
	Size             int64 // bytes
	NumRecords       int64 // -1 when the file has no statistics
	ModificationTime time.Time
	DataChange       bool // false: written by compaction, or read from a checkpoint
}

// FileInfos are the live data files, sorted by path.
func (s *Snapshot) FileInfos() []FileInfo {
	infos := make([]FileInfo, len(s.adds))
	for i, a := range s.adds {
		key, err := a.Key()
		if err != nil {
			key = a.Path
		}
		records, ok := a.liveRecords()
		if !ok {
			records = -1
		}
		infos[i] = FileInfo{
			Path: key, PartitionValues: a.PartitionValues, Size: a.Size, NumRecords: records,
			ModificationTime: time.UnixMilli(a.ModificationTime).UTC(), DataChange: a.DataChange,
		}
	}
	slices.SortFunc(infos, func(a, b FileInfo) int { return cmp.Compare(a.Path, b.Path) })
	return infos
}
