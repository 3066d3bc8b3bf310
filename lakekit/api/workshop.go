package api

import "time"

// MaxAnswer bounds the JSON of an answer, in bytes.
const MaxAnswer = 64 << 20

// Requests carry the range of their numbers in tags, range:"least..most", which
// the server holds them to. 0 is the default where nothing else is said.

// Error is how the server answers what it does not do.
type Error struct {
	Message string `json:"error"`
}

func (e *Error) Error() string { return e.Message }

// Health says that the server answers and which one it is.
type Health struct {
	PID     int    `json:"pid"`
	Profile string `json:"profile"`
	Topic   string `json:"topic"`
	Table   string `json:"table"`
}

// TopicRequest asks for a topic.
type TopicRequest struct {
	Name       string            `json:"name"`
	Partitions int               `json:"partitions" range:"1..1000"`
	Configs    map[string]string `json:"configs,omitempty"` // Kafka's topic configurations
}

// TrafficRequest asks for records to be produced to a topic. The zero value of
// a field means its default.
type TrafficRequest struct {
	Topic   string  `json:"topic"`
	Rate    float64 `json:"rate" range:"0.001..10000000"`        // records a second; 0: as fast as it goes
	Records int64   `json:"records" range:"1..1000000000000000"` // 0: until it is stopped, or the CSV file ends
	Seed    uint64  `json:"seed"`                                // of the generator; 0: 1
	// FromRow is the generator's first row; nil goes on after the last row
	// that was produced with this seed, so that no record is sent twice. Of a
	// CSV file it is the row to go on with, from 0, and nil is its beginning.
	FromRow *int64 `json:"from_row,omitempty" range:"0..1000000000000000"`
	CSV     string `json:"csv,omitempty"` // path of a file to read instead of generating
}

// TrafficRun is a producing run that the server has kept account of.
type TrafficRun struct {
	ID       int             `json:"id"`
	Request  TrafficRequest  `json:"request"`
	FromRow  int64           `json:"from_row"`
	Started  time.Time       `json:"started"`
	Ended    time.Time       `json:"ended,omitzero"`
	Progress TrafficProgress `json:"progress"`
	// StartOffsets are the topic's latest offsets by partition when the run
	// began.
	StartOffsets map[int32]int64 `json:"start_offsets"`
	// Interrupted: the server ended in mid-run, so that the last progress is
	// not the whole account.
	Interrupted bool `json:"interrupted,omitempty"`
}

// Active reports whether the run goes on.
func (r TrafficRun) Active() bool {
	return !r.Interrupted && (r.Progress.State == TrafficRunning || r.Progress.State == TrafficWaiting)
}

// MessagesRequest asks the server to send given messages, to show what happens
// to them.
type MessagesRequest struct {
	Topic  string   `json:"topic"`
	Values []string `json:"values"`
}

// TableRequest asks for a Delta table of taxi records.
type TableRequest struct {
	URI        string            `json:"uri"` // oss:// address, or a name beside the course's table
	Properties map[string]string `json:"properties,omitempty"`
}

// StreamRequest starts a streaming query from a topic into a table. The option
// names are those of Spark's Kafka source and DataStreamWriter.
type StreamRequest struct {
	Name                 string `json:"name"`                                                       // default: the table's name
	Subscribe            string `json:"subscribe,omitempty"`                                        // topics, separated by commas
	Table                string `json:"table,omitempty"`                                            // oss:// address or name
	CheckpointLocation   string `json:"checkpointLocation,omitempty"`                               // oss:// address
	StartingOffsets      string `json:"startingOffsets,omitempty"`                                  // default: earliest
	Trigger              string `json:"trigger,omitempty"`                                          // "1 second" (default), "availableNow", "once"
	EndingOffsets        string `json:"endingOffsets,omitempty"`                                    // with availableNow; default: latest
	MaxOffsetsPerTrigger int64  `json:"maxOffsetsPerTrigger,omitempty" range:"1..1000000000000000"` // 0: bounded by memory alone
	MinOffsetsPerTrigger int64  `json:"minOffsetsPerTrigger,omitempty" range:"1..1000000000000000"` // 0: a trigger waits for no more than one record
	MaxTriggerDelay      string `json:"maxTriggerDelay,omitempty"`                                  // bounds that wait: "15m" (default), "90 seconds"
	FailOnDataLoss       *bool  `json:"failOnDataLoss,omitempty"`                                   // default: true
	IncludeHeaders       bool   `json:"includeHeaders,omitempty"`                                   // into the table's column headers
	MergeSchema          bool   `json:"mergeSchema,omitempty"`                                      // add columns for fields the table does not have
	// IgnoreUnknownFields: rows of records with fields that have no column and get
	// none are written without them, which the status tells; false makes such a
	// record a dead letter. Default: true.
	IgnoreUnknownFields *bool `json:"ignoreUnknownFields,omitempty"`
	// BufferBytes bounds the records in memory; default: 256 MiB.
	BufferBytes int64 `json:"bufferBytes,omitempty" range:"1..1099511627776"`
	// Kafka are Spark's kafka.* options, by librdkafka's names with or without
	// the prefix "kafka.".
	Kafka map[string]string `json:"kafka,omitempty"`
}

// StopRequest says how a stream is to stop. The zero value finishes the batch
// that is being written.
type StopRequest struct {
	// Mode is "" to finish the batch, "drain" to take everything that is in the
	// topics now before, or "now" to abandon the batch, which the next start
	// writes.
	Mode StopMode `json:"mode,omitempty"`
}

// StopMode is how a stream stops.
type StopMode string

const (
	StopAfterBatch StopMode = ""
	StopDrained    StopMode = "drain"
	StopNow        StopMode = "now"
)

// DeadLetter is a record that did not fit the table, and why.
type DeadLetter struct {
	Topic       string    `json:"topic"`
	Partition   int32     `json:"partition"`
	Offset      int64     `json:"offset"`
	Timestamp   time.Time `json:"timestamp,omitzero"` // in Kafka, as in Message
	TimestampMs int64     `json:"timestampMs"`
	Key         []byte    `json:"key"`
	Value       []byte    `json:"value"`
	Headers     []Header  `json:"headers,omitempty"`
	Reason      string    `json:"reason"`
}

// ReplayRequest asks for dead letters to be decoded once more.
type ReplayRequest struct {
	Table string `json:"table,omitempty"` // whose dead letters; oss:// address or name
	// IgnoreUnknownFields moves also the records that a stream has refused only
	// because fields of them would be ignored (ignoreUnknownFields=false).
	IgnoreUnknownFields bool `json:"ignoreUnknownFields,omitempty"`
}

// DeadLetterReplay is what a replay has moved into the table, and what does
// not fit still.
type DeadLetterReplay struct {
	Table        string `json:"table"`
	DeadLetters  string `json:"deadLetters"`
	NumReplayed  int64  `json:"numReplayed"`
	NumRemaining int64  `json:"numRemaining"`
}

// Object is one object, or one common prefix, of the object store.
type Object struct {
	URI          string    `json:"uri"`
	Name         string    `json:"name"` // the part after the listed address
	Size         int64     `json:"size"`
	LastModified time.Time `json:"last_modified,omitzero"`
	IsPrefix     bool      `json:"is_prefix,omitempty"`
}

// SQLRequest is one statement.
type SQLRequest struct {
	SQL      string `json:"sql"`
	TimeZone string `json:"time_zone,omitempty"`                  // session time zone; default: UTC
	MaxRows  int    `json:"max_rows,omitempty" range:"1..100000"` // default: 10,000
}

// ChartRequest is a chart in echarts' own JSON.
type ChartRequest struct {
	Option string `json:"option"`
	Width  int    `json:"width" range:"1..8192"`  // pixels
	Height int    `json:"height" range:"1..8192"` // pixels
}

// Picture is a chart for every place a notebook can be read in.
type Picture struct {
	HTML string `json:"html"` // a static SVG that turns live where echarts is at hand
	Text string `json:"text"`
}

// Reset says what a reset deletes, or has deleted.
type Reset struct {
	Topic     string   `json:"topic"`
	Messages  int64    `json:"messages"`
	Addresses []string `json:"addresses"`      // of the tables and the checkpoint
	Kept      []string `json:"kept,omitempty"` // tables and checkpoints of others in these folders, which stay
	Objects   int64    `json:"objects"`
	Bytes     int64    `json:"bytes"`
}

// Verdict is the comparison of what was produced with what the table holds.
type Verdict struct {
	OK          bool    `json:"ok"`
	Produced    int64   `json:"produced"`     // records acknowledged by the broker, from the ledger
	Rows        int64   `json:"rows"`         // rows of the table
	DeadLetters int64   `json:"dead_letters"` // refused records
	Messages    int64   `json:"messages"`     // messages of the topic
	Version     int64   `json:"version"`      // of the table
	Seconds     float64 `json:"seconds"`
	Checks      []Check `json:"checks"`
}

// Check is one thing that was tested.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`         // what was found
	Hint   string `json:"hint,omitempty"` // what to do when it is not OK
}
