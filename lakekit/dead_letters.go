package lakekit

import (
	"net/url"
	"strconv"

	"taxilake/lakekit/api"
)

// DeadLettersOptions say which dead letters to list; the zero value lists the
// newest 20 of the course's table.
type DeadLettersOptions struct {
	Table string // name or oss:// address; default: the course's
	Limit int    // most to list; default: 20
}

// DeadLetters lists the newest records that did not fit a table.
func (w *Workshop) DeadLetters(options DeadLettersOptions) (api.DeadLetters, error) {
	query := url.Values{}
	if options.Table != "" {
		query.Set("table", options.Table)
	}
	if options.Limit != 0 {
		query.Set("limit", strconv.Itoa(options.Limit))
	}
	var list api.DeadLetters
	return list, w.get("/api/dead-letters", query, &list)
}

// ReplayOptions say what [Workshop.ReplayDeadLetters] replays; the zero value
// replays the dead letters of the course's table.
type ReplayOptions struct {
	Table string `json:"table,omitempty"` // whose dead letters; oss:// address or name
	// IgnoreUnknownFields moves also the records that a stream has refused only
	// because fields of them would be ignored (ignoreUnknownFields=false).
	IgnoreUnknownFields bool `json:"ignoreUnknownFields,omitempty"`
}

// ReplayDeadLetters decodes a table's dead letters once more, after the table or
// its schema was put right, and moves those that fit now into the table. Each is
// moved once, however often this is called; the others stay.
func (w *Workshop) ReplayDeadLetters(options ReplayOptions) (api.DeadLetterReplay, error) {
	var replay api.DeadLetterReplay
	return replay, w.post("/api/dead-letters/replay", options, &replay)
}
