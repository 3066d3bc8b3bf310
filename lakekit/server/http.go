package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/chart"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/ingest"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/query"
	"taxilake/lakekit/settings"
)

// failure is an error with the HTTP status it is answered with.
type failure struct {
	status int
	error
}

func (f failure) Unwrap() error { return f.error }

func badRequest(format string, args ...any) error {
	return failure{http.StatusBadRequest, fmt.Errorf(format, args...)}
}

func notFound(format string, args ...any) error {
	return failure{http.StatusNotFound, fmt.Errorf(format, args...)}
}

func conflict(format string, args ...any) error {
	return failure{http.StatusConflict, fmt.Errorf(format, args...)}
}

// known are the errors of the parts that are no failure of the server, with what
// they are answered with: what the caller can put right, and services that are
// away or do not let the workshop in.
var known = []struct {
	err    error
	status int
}{
	{ingest.ErrOptions, http.StatusBadRequest},
	{settings.ErrOutside, http.StatusForbidden},
	{kafka.ErrTopicName, http.StatusBadRequest},
	{kafka.ErrOptions, http.StatusBadRequest},
	{kafka.ErrNotAllowed, http.StatusForbidden},
	{kafka.ErrTopicNotFound, http.StatusNotFound},
	{kafka.ErrPartitionNotFound, http.StatusNotFound},
	{ingest.ErrTopicMissing, http.StatusNotFound},
	{delta.ErrNotRewritable, http.StatusConflict},
	{delta.ErrOccupied, http.StatusConflict},
	{delta.ErrInvalid, http.StatusBadRequest},
	{delta.ErrSchemaMismatch, http.StatusBadRequest},
	{query.ErrBusy, http.StatusServiceUnavailable},
	{delta.ErrNotTable, http.StatusNotFound},
	{delta.ErrNoVersion, http.StatusNotFound},
	{delta.ErrUnsupported, http.StatusUnprocessableEntity},
	{delta.ErrCorruptLog, http.StatusUnprocessableEntity},
	{blob.ErrDenied, http.StatusForbidden},
	{kafka.ErrPartitionCount, http.StatusConflict},
	{kafka.ErrTopicSettings, http.StatusConflict},
	{delta.ErrConflict, http.StatusConflict},
	{delta.ErrFilesMissing, http.StatusConflict},
	{ingest.ErrCheckpointMissing, http.StatusConflict},
	{ingest.ErrCheckpointFormat, http.StatusConflict},
	{ingest.ErrConcurrentRun, http.StatusConflict},
	{ingest.ErrDataLoss, http.StatusConflict},
	{ingest.ErrTableReplaced, http.StatusConflict},
	{ingest.ErrTopicRecreated, http.StatusConflict},
	{kafka.ErrNoBroker, http.StatusServiceUnavailable},
	{kafka.ErrTLS, http.StatusServiceUnavailable},
	{kafka.ErrLogin, http.StatusServiceUnavailable},
	{blob.ErrUnavailable, http.StatusServiceUnavailable},
	{blob.ErrNoBucket, http.StatusServiceUnavailable},
	{context.DeadlineExceeded, http.StatusServiceUnavailable},
}

// refusals are the broker's answers to a request that makes no sense.
var refusals = []confluent.ErrorCode{
	confluent.ErrInvalidArg, confluent.ErrInvalidConfig, confluent.ErrInvalidPartitions, confluent.ErrInvalidReplicationFactor,
	confluent.ErrInvalidRequest, confluent.ErrPolicyViolation,
}

// statusOf is the one place that gives errors their HTTP status.
func statusOf(err error) int {
	if f, ok := errors.AsType[failure](err); ok {
		return f.status
	}
	if _, mistake := errors.AsType[*query.Error](err); mistake {
		return http.StatusBadRequest
	}
	if _, mistake := errors.AsType[*chart.Error](err); mistake {
		return http.StatusBadRequest
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return k.status
		}
	}
	if refused, ok := errors.AsType[confluent.Error](err); ok && slices.Contains(refusals, refused.Code()) {
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// answer adapts a function of the request to HTTP: its value becomes JSON, its
// error an api.Error. An empty list is [], whatever the function made of it.
func answer[T any](s *Server, serve func(*http.Request) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := serve(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		text := bounded{most: api.MaxAnswer}
		err = encode(&text, value)
		if errors.Is(err, errLong) {
			err = badRequest("the answer to %s %s is longer than %s: ask for less of it (a limit, a narrower WHERE, fewer columns)",
				r.Method, r.URL.Path, amount(api.MaxAnswer))
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, err := w.Write(text.Bytes()); err != nil {
			s.log.Info("the caller did not take the answer", "method", r.Method, "path", r.URL.Path, "error", err)
		}
	}
}

// bounded is a buffer that takes so many bytes.
type bounded struct {
	bytes.Buffer
	most int
}

var errLong = errors.New("too long")

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.most {
		return 0, errLong
	}
	return b.Buffer.Write(p)
}

// encode writes a value as JSON, the rows of a result one by one.
func encode(w io.Writer, value any) error {
	if rows, ok := value.(interface{ EncodeJSON(io.Writer) error }); ok {
		return rows.EncodeJSON(w)
	}
	return json.NewEncoder(w).Encode(listed(value))
}

// listed gives a nil slice as an empty one.
func listed(value any) any {
	if v := reflect.ValueOf(value); v.Kind() == reflect.Slice && v.IsNil() {
		return reflect.MakeSlice(v.Type(), 0, 0).Interface()
	}
	return value
}

func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	if gone := r.Context().Err(); gone != nil && status == http.StatusInternalServerError {
		// The work was cut short: nobody is there to read this, or the server ends.
		status = http.StatusServiceUnavailable
	}
	if status == http.StatusInternalServerError {
		s.log.Warn("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(api.Error{Message: err.Error()}) // to a caller that may be gone
}
