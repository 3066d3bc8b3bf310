package api

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"taxilake/lakekit/internal/text"
)

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

// MessagesRequest asks the server to send given messages, to show what happens
// to them.
type MessagesRequest struct {
	Topic  string   `json:"topic"`
	Values []string `json:"values"`
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

// DeadLetters are records that did not fit a table, the newest first.
type DeadLetters []DeadLetter

// View lists the records with the reasons.
func (list DeadLetters) View() View {
	title := titleOf("dead letters, the newest first", len(list))
	return Table(title, "topic|partition#|offset#|timestamp (UTC)|key|value|reason", Each(list, func(l DeadLetter) []any {
		at := kafkaTime(l.Timestamp, l.TimestampMs)
		return []any{l.Topic, l.Partition, l.Offset, at, readable(l.Key), readable(l.Value), l.Reason}
	})...)
}

// readable is text as it is, and other bytes as Go would write them, cut to a
// length that leaves room for the reason.
func readable(content []byte) string {
	const most = 80
	cut := content[:min(len(content), most)]
	rest := ""
	if len(cut) < len(content) {
		for len(cut) > 0 && !utf8.RuneStart(content[len(cut)]) {
			cut = cut[:len(cut)-1]
		}
		rest = fmt.Sprintf("... (%s)", text.Size(int64(len(content))))
	}
	if utf8.Valid(cut) {
		return string(cut) + rest
	}
	return fmt.Sprintf("%q", cut) + rest
}

// DeadLetterReplay is what a replay has moved into the table, and what does
// not fit still.
type DeadLetterReplay struct {
	Table        string `json:"table"`
	DeadLetters  string `json:"deadLetters"`
	NumReplayed  int64  `json:"numReplayed"`
	NumRemaining int64  `json:"numRemaining"`
}

// View tells what moved and what stayed.
func (r DeadLetterReplay) View() View {
	return Table("replay of dead letters", "replay|value", []any{"moved into the table", text.Count(r.NumReplayed)},
		[]any{"do not fit still", text.Count(r.NumRemaining)}, []any{"table", r.Table}, []any{"dead letters", r.DeadLetters})
}

// Object is one object, or one common prefix, of the object store.
type Object struct {
	URI          string    `json:"uri"`
	Name         string    `json:"name"` // the part after the listed address
	Size         int64     `json:"size"`
	LastModified time.Time `json:"last_modified,omitzero"`
	IsPrefix     bool      `json:"is_prefix,omitempty"`
}

// Objects are what an address of the object store holds.
type Objects []Object

// View lists the objects.
func (list Objects) View() View {
	return Table("objects", "name|size|last modified (UTC)", Each(list, func(o Object) []any {
		size := ""
		if !o.IsPrefix {
			size = text.Size(o.Size)
		}
		return []any{o.Name, size, o.LastModified}
	})...)
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

// View shows the picture.
func (p Picture) View() View { return View{HTML: p.HTML, Text: p.Text} }

// Reset says what a reset deletes, or has deleted.
type Reset struct {
	Topic     string   `json:"topic"`
	Messages  int64    `json:"messages"`
	Addresses []string `json:"addresses"`      // of the tables and the checkpoint
	Kept      []string `json:"kept,omitempty"` // tables and checkpoints of others in these folders, which stay
	Objects   int64    `json:"objects"`
	Bytes     int64    `json:"bytes"`
}

// View lists what goes, and what stays.
func (r Reset) View() View {
	rows := [][]any{{"topic", r.Topic, text.Count(r.Messages) + " messages"}}
	for _, address := range r.Addresses {
		rows = append(rows, []any{"folder", address, ""})
	}
	for _, address := range r.Kept {
		rows = append(rows, []any{"stays, it is another's", address, ""})
	}
	return Table("reset", "what|name|size", append(rows, []any{"objects", text.Count(r.Objects), text.Size(r.Bytes)})...)
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
	Checks      Checks  `json:"checks"`
}

// View lists the comparisons.
func (v Verdict) View() View {
	title := text.Count(v.Produced) + " records: 0 lost, 0 twice"
	if !v.OK {
		title = fmt.Sprintf("%s records produced, %s rows in version %d of the table: they do not agree",
			text.Count(v.Produced), text.Count(v.Rows), v.Version)
	}
	view := v.Checks.View()
	view.HTML, view.Text = "<b>"+html.EscapeString(title)+"</b>"+view.HTML, title+"\n"+view.Text
	return view
}

// Check is one thing that was tested.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`         // what was found
	Hint   string `json:"hint,omitempty"` // what to do when it is not OK
}

// Checks are things that were tested.
type Checks []Check

// OK reports whether nothing is missing.
func (list Checks) OK() bool { return !slices.ContainsFunc(list, func(c Check) bool { return !c.OK }) }

// View lists the checks with a hint below each that fails.
func (list Checks) View() View {
	var page, plain strings.Builder
	for _, c := range list {
		mark, colour := "✓", "#2e8b57"
		if !c.OK {
			mark, colour = "✗", "#d1495b"
		}
		fmt.Fprintf(&page, `<div><b style="color:%s">%s</b> %s <span style="opacity:.7">%s</span>`,
			colour, mark, html.EscapeString(c.Name), html.EscapeString(c.Detail))
		fmt.Fprintf(&plain, "%s %s: %s\n", mark, c.Name, c.Detail)
		if c.Hint != "" {
			fmt.Fprintf(&page, `<div style="margin-left:1.3em"><b>Hint:</b> %s</div>`, html.EscapeString(c.Hint))
			fmt.Fprintf(&plain, "  hint: %s\n", c.Hint)
		}
		page.WriteString("</div>")
	}
	return View{HTML: page.String(), Text: plain.String(), Failed: !list.OK()}
}
