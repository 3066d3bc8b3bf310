package api

import (
	"fmt"

	"taxilake/lakekit/internal/text"
)

// Compaction is what OPTIMIZE did, or after a dry run would do.
type Compaction struct {
	Version         int64 `json:"version"` // -1: there was nothing to do, or it was a dry run
	DryRun          bool  `json:"dryRun,omitempty"`
	NumRemovedFiles int64 `json:"numRemovedFiles"`
	NumAddedFiles   int64 `json:"numAddedFiles"`
	NumRemovedBytes int64 `json:"numRemovedBytes"`
	NumAddedBytes   int64 `json:"numAddedBytes"`
}

// View shows the numbers in one row.
func (c Compaction) View() View {
	title := "compaction"
	switch {
	case c.NumRemovedFiles == 0:
		title += ": nothing to do"
	case c.DryRun:
		title += ", dry run: this would be rewritten"
	}
	return Table(title, "version#|files removed#|files added#|bytes removed|bytes added",
		[]any{c.Version, c.NumRemovedFiles, c.NumAddedFiles, text.Size(c.NumRemovedBytes), text.Size(c.NumAddedBytes)})
}

// Vacuum is what VACUUM deleted, or after a dry run would delete.
type Vacuum struct {
	Version     int64    `json:"version"` // of the commit VACUUM END; -1: nothing was deleted
	DryRun      bool     `json:"dryRun,omitempty"`
	NumFiles    int64    `json:"numFiles"`
	SizeInBytes int64    `json:"sizeInBytes"`
	Files       []string `json:"files"` // the first of them, relative to the table
}

// View lists the files below their sum.
func (v Vacuum) View() View {
	did := "deleted"
	if v.DryRun {
		did = "dry run, would delete"
	}
	title := fmt.Sprintf("vacuum: %s %s, %s", did, text.Counted(v.NumFiles, "file"), text.Size(v.SizeInBytes))
	if v.NumFiles == 0 {
		title = "vacuum: no file is old enough to go"
	}
	return Table(title, "file", Each(v.Files, func(file string) []any { return []any{file} })...)
}

// Restoration is what RESTORE changed.
type Restoration struct {
	Version           int64 `json:"version"` // -1: the table already was as asked for
	RestoredVersion   int64 `json:"restoredVersion"`
	NumRestoredFiles  int64 `json:"numRestoredFiles"`
	RestoredFilesSize int64 `json:"restoredFilesSize"`
	NumRemovedFiles   int64 `json:"numRemovedFiles"`
	RemovedFilesSize  int64 `json:"removedFilesSize"`
}

// View shows the numbers in one row.
func (r Restoration) View() View {
	title := fmt.Sprintf("restore: version %d is again as version %d", r.Version, r.RestoredVersion)
	if r.Version < 0 {
		title = fmt.Sprintf("restore: the table is already as at version %d", r.RestoredVersion)
	}
	return Table(title, "files restored#|bytes restored|files removed#|bytes removed",
		[]any{r.NumRestoredFiles, text.Size(r.RestoredFilesSize), r.NumRemovedFiles, text.Size(r.RemovedFilesSize)})
}
