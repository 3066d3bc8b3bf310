package lakekit

import (
	"net/url"
	"strconv"
	"strings"

	"taxilake/lakekit/api"
)

// TableOptions describe a Delta table of taxi records; the zero value is the
// course's, with optimized writes and auto compaction on.
type TableOptions struct {
	URI        string            `json:"uri"` // oss:// address, or a name beside the course's table
	Properties map[string]string `json:"properties,omitempty"`
}

// CreateTable creates a Delta table, or describes the one that is there.
func (w *Workshop) CreateTable(options TableOptions) (api.TableDetail, error) {
	var t api.TableDetail
	return t, w.post("/api/tables", options, &t)
}

// DescribeTable tells the details of the table with a name or oss:// address;
// without one, of the course's.
func (w *Workshop) DescribeTable(nameOrURI ...string) (api.TableDetail, error) {
	var t api.TableDetail
	table, err := theOne("table", nameOrURI, w.settings.Table)
	if err != nil {
		return t, err
	}
	return t, w.get("/api/table", tableQuery(table), &t)
}

// HistoryOptions say which commits to list; the zero value lists all of the
// course's table.
type HistoryOptions struct {
	URI   string // oss:// address, or a name beside the course's table; default: the course's table
	Limit int    // the newest so many; default: all
}

// History lists a table's commits, newest first.
func (w *Workshop) History(options HistoryOptions) (api.History, error) {
	query := tableQuery(options.URI)
	if options.Limit != 0 {
		query.Set("limit", strconv.Itoa(options.Limit))
	}
	var list api.History
	return list, w.get("/api/table/history", query, &list)
}

// FilesOptions say whose data files to list; the zero value lists those of the
// newest version of the course's table.
type FilesOptions struct {
	URI     string // oss:// address, or a name beside the course's table; default: the course's table
	Version *int64 // default: the newest
}

// Files lists the data files of a version of a table.
func (w *Workshop) Files(options FilesOptions) (api.Files, error) {
	query := tableQuery(options.URI)
	if options.Version != nil {
		query.Set("version", strconv.FormatInt(*options.Version, 10))
	}
	var list api.Files
	return list, w.get("/api/table/files", query, &list)
}

// OptimizeOptions say what to optimize; the zero value merges the small files
// of the course's table.
type OptimizeOptions struct {
	URI        string   `json:"uri"`                                           // oss:// address, or a name beside the course's table; default: the course's table
	Where      string   `json:"where,omitempty"`                               // conditions on partition columns, joined by AND
	ZOrderBy   []string `json:"zOrderBy,omitempty"`                            // columns whose ranges each file shall keep narrow
	TargetSize int64    `json:"targetSize,omitempty" range:"1..1099511627776"` // bytes; 0: delta.targetFileSize
	DryRun     bool     `json:"dryRun,omitempty"`                              // only says what would be rewritten
}

// Optimize rewrites a table's data files so that they are read faster.
func (w *Workshop) Optimize(options OptimizeOptions) (api.Compaction, error) {
	var c api.Compaction
	return c, w.post("/api/table/optimize", options, &c)
}

// VacuumOptions say what to vacuum; the zero value deletes what the course's
// table has not needed for 7 days.
type VacuumOptions struct {
	URI string `json:"uri"`
	// RetentionHours that unneeded files are kept; nil: the table's
	// delta.deletedFileRetentionDuration, 7 days unless it is set.
	RetentionHours *float64 `json:"retentionHours,omitempty" range:"0..876000"`
	DryRun         bool     `json:"dryRun,omitempty"` // only says what would be deleted
	// Conf are Spark's settings; known is
	// spark.databricks.delta.retentionDurationCheck.enabled, and false allows a
	// retention shorter than the table's.
	Conf map[string]string `json:"conf,omitempty"`
}

// Vacuum deletes files that a table no longer needs.
func (w *Workshop) Vacuum(options VacuumOptions) (api.Vacuum, error) {
	var v api.Vacuum
	return v, w.post("/api/table/vacuum", options, &v)
}

// RestoreOptions name the version or the time to go back to.
type RestoreOptions struct {
	URI       string `json:"uri"`
	Version   *int64 `json:"version,omitempty" range:"0..9223372036854775807"`
	Timestamp string `json:"timestamp,omitempty"` // 2026-01-02 15:04:05 in UTC, or with its zone as in RFC 3339
}

// Restore makes a table again what it was, by a new commit.
func (w *Workshop) Restore(options RestoreOptions) (api.Restoration, error) {
	var r api.Restoration
	return r, w.post("/api/table/restore", options, &r)
}

// List lists what is at an oss:// address, folders as one entry each.
func (w *Workshop) List(uri string) (api.Objects, error) {
	var list api.Objects
	return list, w.get("/api/objects", url.Values{"uri": {uri}}, &list)
}

// SQL runs a statement over the workshop's tables, each pinned at its newest
// version or at the one named by VERSION AS OF. Times are in the session time
// zone of the settings, UTC if they name none; SQLIn takes another. A result
// holds the first 10,000 rows; Truncated says that there are more.
func (w *Workshop) SQL(statement string) (*api.Result, error) { return w.SQLIn("", statement) }

// SQLIn runs a statement in a session time zone such as America/New_York.
func (w *Workshop) SQLIn(timeZone, statement string) (*api.Result, error) {
	var r api.Result
	if err := w.post("/api/sql", api.SQLRequest{SQL: statement, TimeZone: timeZone}, &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// Verify compares the table with what was produced, exactly.
func (w *Workshop) Verify() (api.Verdict, error) {
	var v api.Verdict
	return v, w.post("/api/verify", struct{}{}, &v)
}

// PlanReset says what Reset would delete.
func (w *Workshop) PlanReset() (api.Reset, error) {
	var r api.Reset
	return r, w.get("/api/reset", nil, &r)
}

// Reset stops traffic and streams and deletes topic, table, checkpoint and dead
// letters together, so that the course can begin anew.
func (w *Workshop) Reset() (api.Reset, error) {
	var r api.Reset
	return r, w.post("/api/reset", struct{}{}, &r)
}

func tableQuery(nameOrURI string) url.Values {
	if nameOrURI == "" {
		return url.Values{}
	}
	return url.Values{"uri": {nameOrURI}}
}

func tableName(uri string) string { return uri[strings.LastIndexByte(uri, '/')+1:] }
