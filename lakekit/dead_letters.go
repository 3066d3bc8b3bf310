package lakekit

import (
	"fmt"
	"net/url"
	"strconv"
	"unicode/utf8"

	"taxilake/lakekit/api"
)

// DeadLetters are records that did not fit a table, the newest first.
type DeadLetters []api.DeadLetter

// DeadLetterReplay is what a replay of dead letters did.
type DeadLetterReplay = api.DeadLetterReplay

// DeadLetters lists the newest records that did not fit a table, at most limit;
// "" is the course's table.
func (w *Workshop) DeadLetters(table string, limit int) (DeadLetters, error) {
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if table != "" {
		query.Set("table", table)
	}
	var list DeadLetters
	return list, w.get("/api/dead-letters", query, &list)
}

// ReplayDeadLetters decodes a table's dead letters once more, after the table or
// its schema was put right, and moves those that fit now into the table. Each is
// moved once, however often this is called; the others stay.
func (w *Workshop) ReplayDeadLetters(table string) (DeadLetterReplay, error) {
	return w.ReplayDeadLettersWith(ReplayOptions{Table: table})
}

// ReplayOptions say what [Workshop.ReplayDeadLettersWith] replays.
type ReplayOptions = api.ReplayRequest

// ReplayDeadLettersWith is ReplayDeadLetters with options.
func (w *Workshop) ReplayDeadLettersWith(options ReplayOptions) (DeadLetterReplay, error) {
	var replay DeadLetterReplay
	return replay, w.post("/api/dead-letters/replay", options, &replay)
}

func deadLettersGrid(list DeadLetters) *api.Result {
	var rows [][]any
	for _, l := range list {
		rows = append(rows, []any{l.Topic, l.Partition, l.Offset, kafkaTime(l.Timestamp, l.TimestampMs), readable(l.Key), readable(l.Value), l.Reason})
	}
	return gridOf("topic|partition#|offset#|timestamp (UTC)|key|value|reason", rows...)
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
		rest = fmt.Sprintf("... (%s)", size(int64(len(content))))
	}
	if utf8.Valid(cut) {
		return string(cut) + rest
	}
	return fmt.Sprintf("%q", cut) + rest
}

func replayGrid(r DeadLetterReplay) *api.Result {
	return gridOf("replay|value", []any{"moved into the table", count(r.NumReplayed)}, []any{"do not fit still", count(r.NumRemaining)},
		[]any{"table", r.Table}, []any{"dead letters", r.DeadLetters})
}
