package server

import (
	"net/http"

	"taxilake/lakekit/api"
	"taxilake/lakekit/oss"
)

// proveStore proves put-if-absent, on which every commit of a Delta table rests.
func (s *Server) proveStore(r *http.Request) (api.Check, error) {
	if err := oss.ProvePutIfAbsent(r.Context(), s.bucket); err != nil {
		return api.Check{Detail: err.Error(), Hint: "without it two writers could overwrite each other's commits: put this right before a stream runs"}, nil
	}
	return api.Check{OK: true, Detail: "put-if-absent holds at " + s.bucket.URI("")}, nil
}
