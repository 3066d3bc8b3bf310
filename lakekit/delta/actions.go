package delta

import (
	"encoding/json"
	"errors"
)

// Protocol is what a reader and a writer of the table must know
// (PROTOCOL.md, section Protocol Evolution).
type Protocol struct {
	MinReaderVersion int      `json:"minReaderVersion"`
	MinWriterVersion int      `json:"minWriterVersion"`
	ReaderFeatures   []string `json:"readerFeatures,omitempty"` // only at reader version 3
	WriterFeatures   []string `json:"writerFeatures,omitempty"` // only at writer version 7
}

// Format of the data files; the provider is always "parquet".
type Format struct {
	Provider string            `json:"provider"`
	Options  map[string]string `json:"options"`
}

// Metadata is the table's schema and settings (PROTOCOL.md, section Change
// Metadata).
type Metadata struct {
	ID               string            `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Format           Format            `json:"format"`
	SchemaString     string            `json:"schemaString"`
	PartitionColumns []string          `json:"partitionColumns"`
	Configuration    map[string]string `json:"configuration"`
	CreatedTime      *int64            `json:"createdTime,omitempty"` // unix ms
}

// Add makes a data file part of the table (PROTOCOL.md, section Add File and
// Remove File).
type Add struct {
	Path             string            `json:"path"` // URI-encoded, relative to the table; see Key
	PartitionValues  PartitionValues   `json:"partitionValues"`
	Size             int64             `json:"size"` // bytes
	ModificationTime int64             `json:"modificationTime"`
	DataChange       bool              `json:"dataChange"`
	Stats            string            `json:"stats,omitempty"`
	Tags             map[string]string `json:"tags,omitempty"`
	DeletionVector   *DeletionVector   `json:"deletionVector,omitempty"`
}

// Remove takes a data file out of the table; the file stays until its
// tombstone expires, for readers of older versions.
type Remove struct {
	Path                 string            `json:"path"`
	DeletionTimestamp    int64             `json:"deletionTimestamp"` // unix ms
	DataChange           bool              `json:"dataChange"`
	ExtendedFileMetadata bool              `json:"extendedFileMetadata"`
	PartitionValues      PartitionValues   `json:"partitionValues,omitzero"`
	Size                 int64             `json:"size,omitempty"`
	Tags                 map[string]string `json:"tags,omitempty"`
	DeletionVector       *DeletionVector   `json:"deletionVector,omitempty"`
}

// Txn is how far the application AppID has written, so that a batch that is
// run again can be recognised (PROTOCOL.md, section Transaction Identifiers).
type Txn struct {
	AppID       string `json:"appId"`
	Version     int64  `json:"version"`
	LastUpdated int64  `json:"lastUpdated,omitempty"` // unix ms
}

// commitInfo tells of the commit, for history and for recognising our own.
type commitInfo struct {
	Timestamp           int64          `json:"timestamp"` // unix ms
	Operation           string         `json:"operation"`
	OperationParameters map[string]any `json:"operationParameters"`
	ReadVersion         *int64         `json:"readVersion,omitempty"`
	IsolationLevel      string         `json:"isolationLevel,omitempty"`
	IsBlindAppend       *bool          `json:"isBlindAppend,omitempty"`
	OperationMetrics    map[string]any `json:"operationMetrics,omitempty"`
	UserMetadata        string         `json:"userMetadata,omitempty"`
	EngineInfo          string         `json:"engineInfo,omitempty"`
	TxnID               string         `json:"txnId,omitempty"`
	InCommitTimestamp   *int64         `json:"inCommitTimestamp,omitempty"` // unix ms
}

// UnmarshalJSON takes what it understands: PROTOCOL.md leaves the content of
// commitInfo to each engine, and no snapshot depends on it.
func (c *commitInfo) UnmarshalJSON(data []byte) error {
	type plain commitInfo
	err := json.Unmarshal(data, (*plain)(c))
	var mistyped *json.UnmarshalTypeError
	if errors.As(err, &mistyped) {
		return nil
	}
	return err
}

// action is one line of a commit file: exactly one member is set, or none
// when the line holds an action unknown to us.
type action struct {
	CommitInfo *commitInfo `json:"commitInfo,omitempty"`
	Protocol   *Protocol   `json:"protocol,omitempty"`
	Metadata   *Metadata   `json:"metaData,omitempty"`
	Txn        *Txn        `json:"txn,omitempty"`
	Add        *Add        `json:"add,omitempty"`
	Remove     *Remove     `json:"remove,omitempty"`
	Sidecar    *sidecar    `json:"sidecar,omitempty"` // only in checkpoints
}

// sidecar names a file that holds part of a checkpoint's adds and removes
// (PROTOCOL.md, section Sidecar File Information).
type sidecar struct {
	Path        string `json:"path"` // URI-encoded
	SizeInBytes int64  `json:"sizeInBytes"`
}
