package ingest

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/decode"
	"taxilake/lakekit/kafka"
)

// Options of a streaming query, by Spark's names. What is not said otherwise
// is required.
type Options struct {
	Name  string       // for people; optional
	Kafka kafka.Config // librdkafka properties of the connection
	// KafkaOptions are Spark's kafka.* options, by librdkafka's names with or
	// without the prefix "kafka."; they replace those of Kafka.
	KafkaOptions map[string]string

	// Subscribe are the topics, StartingOffsets where a new query begins in
	// them: "latest" (the default), "earliest", or JSON such as
	// {"nyc_taxi_data":{"0":1200,"1":-2,"2":-1}} where -2 is earliest and -1
	// latest. A query that resumes ignores it; new partitions begin at 0.
	Subscribe       []string
	StartingOffsets string

	// EndingOffsets is where a query with the trigger AvailableNow ends:
	// "latest" (the default), or JSON where -1 is latest. Offsets that are not
	// there yet when the query starts are not waited for.
	EndingOffsets string

	// MaxOffsetsPerTrigger bounds the records of a batch, over all partitions.
	// 0: backlogs are taken in batches of 500,000, one right after the other.
	MaxOffsetsPerTrigger int64
	// MinOffsetsPerTrigger makes a trigger wait until so many records are
	// there, but no longer than MaxTriggerDelay since the last batch (the
	// default is 15 minutes). The first batch of a run, triggers that end and
	// ProcessAllAvailable do not wait.
	MinOffsetsPerTrigger int64
	MaxTriggerDelay      time.Duration
	// FailOnDataLoss ends the query when records were removed from a topic
	// before they were read; the default is true. When false, the gap is
	// recorded in the commit's userMetadata.
	FailOnDataLoss *bool
	Trigger        Trigger

	// Table is the root of the Delta table, Checkpoint of the query's folder.
	Table, Checkpoint blob.Bucket
	// DeadLetters is the root of the Delta table for records that do not fit;
	// it is created when the first one comes.
	DeadLetters blob.Bucket
	// IncludeHeaders puts the headers of a record into the table's column
	// headers, of Spark's type array<struct<key:string,value:binary>> and null
	// for a record without any, and into a column of that name of the dead
	// letters. MergeSchema adds the column to a table without it.
	IncludeHeaders bool
	// MergeSchema adds a column for every top-level field of a record that the
	// table does not have, see inference.go.
	MergeSchema bool
	// IgnoreUnknownFields says what becomes of a record with fields that have no
	// column and, with MergeSchema, get none, see ignored.go, or that are there
	// more than once: true, the default, writes its row without them, and the
	// status counts them; false makes it a dead letter.
	IgnoreUnknownFields *bool
	// Required are columns that a record must have, and not null, besides
	// those the table's schema says so of.
	Required []string

	// BufferBytes bounds the records in memory, fetched ahead, decoded and
	// being encoded; the default is 256 MiB. A batch larger than that becomes
	// several files.
	BufferBytes int64

	Logger *slog.Logger // the default is slog.Default
	Clock  Clock        // the default is the machine's
}

// Clock tells the time and waits.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

const (
	defaultBufferBytes  = 256 << 20
	minBufferBytes      = 1 << 20
	defaultTriggerEvery = time.Second
	defaultTriggerDelay = 15 * time.Minute // maxTriggerDelay of Spark's Kafka source
)

// withDefaults checks the options and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	fail := func(format string, args ...any) (Options, error) {
		return o, fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case len(o.Subscribe) == 0:
		return fail("subscribe names no topic")
	case o.Table == nil || o.Checkpoint == nil || o.DeadLetters == nil:
		return fail("table, checkpoint and dead letters must be given")
	case overlap(o.Table, o.DeadLetters):
		return fail("the table %s and the dead letters %s lie in one another", folder(o.Table), folder(o.DeadLetters))
	case overlap(o.Checkpoint, o.Table) || overlap(o.Checkpoint, o.DeadLetters):
		return fail("the checkpoint %s needs a folder of its own, apart from the table %s and the dead letters %s", folder(o.Checkpoint), folder(o.Table), folder(o.DeadLetters))
	case o.MaxOffsetsPerTrigger < 0:
		return fail("maxOffsetsPerTrigger is %d, want a positive number or 0 for no bound", o.MaxOffsetsPerTrigger)
	case o.MinOffsetsPerTrigger < 0:
		return fail("minOffsetsPerTrigger is %d, want a positive number or 0 to wait for none", o.MinOffsetsPerTrigger)
	case o.MaxOffsetsPerTrigger > 0 && o.MinOffsetsPerTrigger > o.MaxOffsetsPerTrigger:
		return fail("minOffsetsPerTrigger is %d, more than maxOffsetsPerTrigger, which is %d", o.MinOffsetsPerTrigger, o.MaxOffsetsPerTrigger)
	case o.MaxTriggerDelay < 0:
		return fail("maxTriggerDelay is %v, want a time from 0 on", o.MaxTriggerDelay)
	case o.MaxTriggerDelay > 0 && o.MinOffsetsPerTrigger == 0:
		return fail("maxTriggerDelay bounds the wait for minOffsetsPerTrigger, which is not set")
	case o.EndingOffsets != "" && o.Trigger.kind != triggerAvailableNow:
		return fail("endingOffsets needs the trigger availableNow: a query with the trigger %q does not end there", o.Trigger)
	case o.BufferBytes != 0 && o.BufferBytes < minBufferBytes:
		return fail("a buffer of %d bytes is too small, want at least %d", o.BufferBytes, minBufferBytes)
	}
	for _, topic := range o.Subscribe {
		if err := kafka.CheckTopicName(topic); err != nil {
			return fail("subscribe: %v", err)
		}
	}
	o.Subscribe = slices.Compact(slices.Sorted(slices.Values(o.Subscribe)))
	if _, err := parseStartingOffsets(o.StartingOffsets); err != nil {
		return o, err
	}
	if _, err := parseEndingOffsets(o.EndingOffsets); err != nil {
		return o, err
	}
	if err := o.mergeKafkaOptions(); err != nil {
		return o, err
	}
	yes := true
	o.FailOnDataLoss = cmp.Or(o.FailOnDataLoss, &yes)
	o.IgnoreUnknownFields = cmp.Or(o.IgnoreUnknownFields, &yes)
	if o.MaxTriggerDelay == 0 {
		o.MaxTriggerDelay = defaultTriggerDelay
	}
	if o.BufferBytes == 0 {
		o.BufferBytes = defaultBufferBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	return o, nil
}

// overlap says that two folders are one, or one of them is in the other.
func overlap(a, b blob.Bucket) bool {
	x, y := folder(a)+"/", folder(b)+"/"
	return strings.HasPrefix(x, y) || strings.HasPrefix(y, x)
}

// Trigger says when batches are made. The zero value is ProcessingTime of one
// second.
type Trigger struct {
	kind  triggerKind
	every time.Duration
}

type triggerKind uint8

const (
	triggerDefault triggerKind = iota
	triggerProcessingTime
	triggerAvailableNow
	triggerOnce
)

// ProcessingTime makes a batch each interval in which there is data; with 0,
// as soon as the last one is done.
func ProcessingTime(every time.Duration) Trigger { return Trigger{triggerProcessingTime, every} }

// AvailableNow takes what is there at the start, in as many batches as
// MaxOffsetsPerTrigger asks for, and ends the query.
func AvailableNow() Trigger { return Trigger{kind: triggerAvailableNow} }

// Once takes what is there in one batch and ends the query.
func Once() Trigger { return Trigger{kind: triggerOnce} }

// ParseTrigger reads "availableNow", "once", or an interval as Spark or Go
// writes it: "1 second", "500 milliseconds", "2 minutes", "1s".
func ParseTrigger(text string) (Trigger, error) {
	text = strings.TrimSpace(text)
	switch strings.ToLower(text) {
	case "":
		return Trigger{}, nil
	case "availablenow":
		return AvailableNow(), nil
	case "once":
		return Once(), nil
	}
	if every, err := parseInterval(text); err == nil && every >= 0 {
		return ProcessingTime(every), nil
	}
	return Trigger{}, fmt.Errorf(`%w: trigger %q, want availableNow, once or an interval such as "1 second"`, ErrOptions, text)
}

// ParseDelay reads an interval as [ParseTrigger] does, or as Spark's options
// write one: "15m". The empty text is 0.
func ParseDelay(text string) (time.Duration, error) {
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	if delay, err := parseInterval(text); err == nil && delay > 0 {
		return delay, nil
	}
	return 0, fmt.Errorf(`%w: maxTriggerDelay %q, want a time such as "15m" or "90 seconds"`, ErrOptions, text)
}

// parseInterval reads what Go writes, or what Spark does: "1 second", "interval
// 1 minute 30 seconds", in any case of letters.
func parseInterval(text string) (total time.Duration, err error) {
	words := strings.Fields(strings.TrimPrefix(strings.ToLower(text), "interval "))
	if len(words) == 1 {
		return time.ParseDuration(words[0])
	}
	if len(words)%2 != 0 {
		return 0, fmt.Errorf("no pairs of number and unit: %q", text)
	}
	for pair := range slices.Chunk(words, 2) {
		short, ok := map[string]string{"millisecond": "ms", "second": "s", "minute": "m", "hour": "h"}[strings.TrimSuffix(pair[1], "s")]
		if !ok {
			return 0, fmt.Errorf("unknown unit %q", pair[1])
		}
		part, err := time.ParseDuration(pair[0] + short)
		if err != nil {
			return 0, err
		}
		total += part
	}
	return total, nil
}

func (t Trigger) interval() time.Duration {
	if t.kind == triggerDefault {
		return defaultTriggerEvery
	}
	return t.every
}

// ends says that the query ends by itself.
func (t Trigger) ends() bool { return t.kind == triggerAvailableNow || t.kind == triggerOnce }

// String is what ParseTrigger reads.
func (t Trigger) String() string {
	switch t.kind {
	case triggerAvailableNow:
		return "availableNow"
	case triggerOnce:
		return "once"
	}
	return t.interval().String()
}

func joinTopics(topics []string) string { return strings.Join(topics, ", ") }

// folder is a bucket's root as people write it.
func folder(bucket blob.Bucket) string { return strings.TrimSuffix(bucket.URI(""), "/") }

// decoder are those that say how records become rows.
func (o Options) decoder() decode.Options {
	return decode.Options{Required: o.Required, IncludeHeaders: o.IncludeHeaders, MergeSchema: o.MergeSchema, RefuseUnknown: !*o.IgnoreUnknownFields}
}
