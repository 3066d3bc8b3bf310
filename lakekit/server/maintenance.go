package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/delta"
)

// Optimize rewrites a table's data files as asked for.
func Optimize(ctx context.Context, table *delta.Table, request lakekit.OptimizeOptions) (api.Compaction, error) {
	result, err := table.Optimize(ctx, delta.OptimizeOptions{
		Where: request.Where, ZOrderBy: request.ZOrderBy, TargetSize: request.TargetSize, DryRun: request.DryRun,
	})
	if errors.Is(err, delta.ErrConflict) {
		err = fmt.Errorf("%w; another compaction ran at the same time: ask again", err)
	}
	return api.Compaction{
		Version:         result.Version,
		DryRun:          request.DryRun,
		NumRemovedFiles: int64(result.FilesRemoved),
		NumAddedFiles:   int64(result.FilesAdded),
		NumRemovedBytes: result.BytesRemoved,
		NumAddedBytes:   result.BytesAdded,
	}, err
}

// maxNamedFiles is how many files a vacuum names, as in Spark.
const maxNamedFiles = 1000

// Vacuum deletes files that the table no longer needs.
func Vacuum(ctx context.Context, table *delta.Table, request lakekit.VacuumOptions) (api.Vacuum, error) {
	options := delta.VacuumOptions{DryRun: request.DryRun}
	if hours := request.RetentionHours; hours != nil {
		const most = 100 * 365 * 24
		if !(*hours >= 0 && *hours <= most) {
			return api.Vacuum{}, badRequest("a retention of %v hours is not between 0 and 100 years", *hours)
		}
		retention := time.Duration(*hours * float64(time.Hour))
		options.Retention = &retention
	}
	for name, value := range request.Conf {
		if name != delta.RetentionDurationCheckKey {
			return api.Vacuum{}, badRequest("vacuum does not know the setting %s, only %s", name, delta.RetentionDurationCheckKey)
		}
		if value != "true" && value != "false" {
			return api.Vacuum{}, badRequest("%s=%s: want true or false", name, value)
		}
		options.DisableRetentionCheck = value == "false"
	}
	result, err := table.Vacuum(ctx, options)
	return api.Vacuum{
		Version:     result.Version,
		DryRun:      request.DryRun,
		NumFiles:    int64(len(result.Files)),
		SizeInBytes: result.Bytes,
		Files:       append([]string{}, result.Files[:min(maxNamedFiles, len(result.Files))]...),
	}, err
}

// Restore makes a table what it was.
func Restore(ctx context.Context, table *delta.Table, request lakekit.RestoreOptions) (api.Restoration, error) {
	if (request.Version == nil) == (request.Timestamp == "") {
		return api.Restoration{}, badRequest("restoring needs a version or a timestamp, one of the two")
	}
	var result delta.RestoreResult
	var err error
	if request.Version != nil {
		result, err = table.Restore(ctx, *request.Version)
	} else {
		var at time.Time
		if at, err = parseTimestamp(request.Timestamp); err != nil {
			return api.Restoration{}, err
		}
		result, err = table.RestoreAsOf(ctx, at)
	}
	return api.Restoration{
		Version:           result.Version,
		RestoredVersion:   result.RestoredVersion,
		NumRestoredFiles:  int64(result.FilesRestored),
		RestoredFilesSize: result.BytesRestored,
		NumRemovedFiles:   int64(result.FilesRemoved),
		RemovedFilesSize:  result.BytesRemoved,
	}, err
}

func parseTimestamp(text string) (time.Time, error) {
	for _, layout := range []string{time.DateTime, time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at, nil
		}
	}
	return time.Time{}, badRequest("timestamp %q: want 2026-01-02 15:04:05 (UTC) or 2026-01-02T15:04:05+08:00", text)
}

// maintain reads a request for a table and runs it.
func maintain[Request, Result any](s *Server, uri func(Request) string, run func(context.Context, *delta.Table, Request) (Result, error)) http.HandlerFunc {
	return answer(s, func(r *http.Request) (result Result, err error) {
		request, err := body[Request](r)
		if err != nil {
			return result, err
		}
		name := cmp.Or(uri(request), s.settings.Table)
		if _, err := s.folder(s.tableURI(name)); err != nil {
			return result, err
		}
		table, err := s.table(r.Context(), name)
		if err != nil {
			return result, err
		}
		return run(r.Context(), table, request)
	})
}
