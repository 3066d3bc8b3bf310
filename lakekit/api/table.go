package api

import "time"

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

// FileInfo is one live data file of a table.
type FileInfo struct {
	Path             string            `json:"path"` // decoded, relative to the table
	PartitionValues  map[string]string `json:"partitionValues,omitempty"`
	Size             int64             `json:"size"`       // bytes
	NumRecords       int64             `json:"numRecords"` // -1 when the file has no statistics
	ModificationTime time.Time         `json:"modificationTime"`
	DataChange       bool              `json:"dataChange"` // false: written by compaction, or read from a checkpoint
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
