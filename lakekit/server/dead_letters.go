package server

import (
	"cmp"
	"net/http"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/ingest"
)

// deadLetters is the folder of the records that do not fit the table at an
// address.
func (s *Server) deadLetters(table string) (blob.Bucket, error) {
	return s.folder(table + deadLettersSuffix)
}

const deadLettersSuffix = "_dead_letters"

// lettersShown is how many dead letters are listed when nobody says how many,
// lettersShownAtMost bounds the answer.
const (
	lettersShown       = 20
	lettersShownAtMost = 10_000
)

func (s *Server) listDeadLetters(r *http.Request) ([]api.DeadLetter, error) {
	limit, err := number(r, "limit", lettersShown, 1, lettersShownAtMost)
	if err != nil {
		return nil, err
	}
	uri := s.tableURI(cmp.Or(r.URL.Query().Get("table"), s.settings.Table))
	folder, err := s.readable(uri + deadLettersSuffix)
	if err != nil {
		return nil, err
	}
	letters, err := ingest.DeadLetters(r.Context(), folder, int(limit))
	if err == nil && len(letters) == 0 {
		_, err = s.table(r.Context(), uri) // a mistyped name has none either
	}
	return letters, err
}

// replayDeadLetters moves the dead letters that fit now into the table.
func (s *Server) replayDeadLetters(r *http.Request) (api.DeadLetterReplay, error) {
	request, err := body[lakekit.ReplayOptions](r)
	if err != nil {
		return api.DeadLetterReplay{}, err
	}
	uri := s.tableURI(cmp.Or(request.Table, s.settings.Table))
	table, err := s.folder(uri)
	if err != nil {
		return api.DeadLetterReplay{}, err
	}
	letters, err := s.deadLetters(uri)
	if err != nil {
		return api.DeadLetterReplay{}, err
	}
	return ingest.Replay(r.Context(), ingest.ReplayOptions{Table: table, DeadLetters: letters, Required: required(), IgnoreUnknownFields: request.IgnoreUnknownFields, Logger: s.log.With("table", uri)})
}
