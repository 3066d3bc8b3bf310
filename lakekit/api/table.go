package api

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"taxilake/lakekit/internal/text"
)

// TableDetail describes a Delta table as it stands at Version, with the names
// of Spark's DESCRIBE DETAIL.
type TableDetail struct {
	Format           string            `json:"format"`
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Location         string            `json:"location"`
	CreatedAt        time.Time         `json:"createdAt"`
	LastModified     time.Time         `json:"lastModified"`
	PartitionColumns []string          `json:"partitionColumns"`
	NumFiles         int64             `json:"numFiles"`
	SizeInBytes      int64             `json:"sizeInBytes"`
	NumRecords       int64             `json:"numRecords"` // -1 when a file has no statistics
	Properties       map[string]string `json:"properties"`
	MinReaderVersion int               `json:"minReaderVersion"`
	MinWriterVersion int               `json:"minWriterVersion"`
	TableFeatures    []string          `json:"tableFeatures,omitempty"`
	Version          int64             `json:"version"`
}

// View lists the details one below the other.
func (t TableDetail) View() View {
	rows := [][]any{
		{"version", t.Version}, {"rows", text.Count(t.NumRecords)}, {"files", t.NumFiles}, {"size", text.Size(t.SizeInBytes)},
		{"created (UTC)", t.CreatedAt}, {"last modified (UTC)", t.LastModified},
		{"protocol", fmt.Sprintf("reader %d, writer %d", t.MinReaderVersion, t.MinWriterVersion)},
	}
	if len(t.PartitionColumns) > 0 {
		rows = append(rows, []any{"partitioned by", strings.Join(t.PartitionColumns, ", ")})
	}
	if len(t.TableFeatures) > 0 {
		rows = append(rows, []any{"table features", strings.Join(t.TableFeatures, ", ")})
	}
	for _, name := range slices.Sorted(maps.Keys(t.Properties)) {
		rows = append(rows, []any{name, t.Properties[name]})
	}
	return Table("table "+t.Location, "detail|value", rows...)
}

// FileInfo is one live data file of a table.
type FileInfo struct {
	Path             string            `json:"path"` // decoded, relative to the table
	PartitionValues  map[string]string `json:"partitionValues,omitempty"`
	Size             int64             `json:"size"`       // bytes
	NumRecords       int64             `json:"numRecords"` // -1 when the file has no statistics
	ModificationTime time.Time         `json:"modificationTime"`
	DataChange       bool              `json:"dataChange"` // false: written by compaction, or read from a checkpoint
}

// Files are the data files of one version of a table.
type Files []FileInfo

// View lists the files below their sum.
func (list Files) View() View {
	var bytes, rows int64
	for _, f := range list {
		bytes += f.Size
		rows += max(f.NumRecords, 0)
	}
	title := fmt.Sprintf("%s, %s, %s", text.Counted(int64(len(list)), "file"), text.Size(bytes), text.Counted(rows, "row"))
	return Table(title, "file|size|rows#|written (UTC)", Each(list, func(f FileInfo) []any {
		return []any{f.Path, text.Size(f.Size), f.NumRecords, f.ModificationTime}
	})...)
}

// HistoryEntry is one commit of a table, with the names of Spark's DESCRIBE
// HISTORY.
type HistoryEntry struct {
	Version             int64             `json:"version"`
	Timestamp           time.Time         `json:"timestamp"`
	Operation           string            `json:"operation"`
	OperationParameters map[string]string `json:"operationParameters,omitempty"`
	OperationMetrics    map[string]string `json:"operationMetrics,omitempty"`
	ReadVersion         *int64            `json:"readVersion,omitempty"`
	IsolationLevel      string            `json:"isolationLevel,omitempty"`
	IsBlindAppend       *bool             `json:"isBlindAppend,omitempty"`
	UserMetadata        string            `json:"userMetadata,omitempty"`
	EngineInfo          string            `json:"engineInfo,omitempty"`
}

// History are a table's commits, newest first, as DESCRIBE HISTORY lists them.
type History []HistoryEntry

// View lists the commits.
func (list History) View() View {
	return Table("history", "version#|timestamp (UTC)|operation|parameters|metrics", Each(list, func(h HistoryEntry) []any {
		return []any{h.Version, h.Timestamp, h.Operation, pairs(h.OperationParameters), pairs(h.OperationMetrics)}
	})...)
}

func pairs(m map[string]string) string {
	list := make([]string, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		list = append(list, name+"="+m[name])
	}
	return strings.Join(list, ", ")
}
