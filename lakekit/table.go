package lakekit

import (
	"net/url"
	"strconv"
	"strings"

	"taxilake/lakekit/api"
)

// TableOptions describe a Delta table of taxi records; the zero value is the
// course's, with optimized writes and auto compaction on.
type TableOptions = api.TableRequest

// TableDetail is what DESCRIBE DETAIL tells of a table.
type TableDetail = api.TableDetail

// History are a table's commits, newest first, as DESCRIBE HISTORY lists them.
type History []api.HistoryEntry

// Files are the data files of one version of a table.
type Files []api.FileInfo

// Objects are what an address of the object store holds.
type Objects []api.Object

// CreateTable creates a Delta table, or describes the one that is there.
func (w *Workshop) CreateTable(options TableOptions) (TableDetail, error) {
	var t TableDetail
	return t, w.post("/api/tables", options, &t)
}

// DescribeTable tells a table's details; "" is the course's table.
func (w *Workshop) DescribeTable(nameOrURI string) (TableDetail, error) {
	var t TableDetail
	return t, w.get("/api/table", tableQuery(nameOrURI), &t)
}

// History lists a table's newest commits; 0 is all of them.
func (w *Workshop) History(nameOrURI string, limit int) (History, error) {
	query := tableQuery(nameOrURI)
	query.Set("limit", strconv.Itoa(limit))
	var list History
	return list, w.get("/api/table/history", query, &list)
}

// Files lists the data files of a version of a table; -1 is the newest.
func (w *Workshop) Files(nameOrURI string, version int64) (Files, error) {
	query := tableQuery(nameOrURI)
	query.Set("version", strconv.FormatInt(version, 10))
	var list Files
	return list, w.get("/api/table/files", query, &list)
}

// OptimizeOptions say what to optimize; the zero value merges the small files
// of the course's table.
type OptimizeOptions = api.OptimizeRequest

// Optimize rewrites a table's data files so that they are read faster.
func (w *Workshop) Optimize(options OptimizeOptions) (api.Compaction, error) {
	var c api.Compaction
	return c, w.post("/api/table/optimize", options, &c)
}

// VacuumOptions say what to vacuum; the zero value deletes what the course's
// table has not needed for 7 days.
type VacuumOptions = api.VacuumRequest

// Vacuum deletes files that a table no longer needs.
func (w *Workshop) Vacuum(options VacuumOptions) (api.Vacuum, error) {
	var v api.Vacuum
	return v, w.post("/api/table/vacuum", options, &v)
}

// RestoreOptions name the version or the time to go back to.
type RestoreOptions = api.RestoreRequest

// Restore makes a table again what it was, by a new commit.
func (w *Workshop) Restore(options RestoreOptions) (api.Restoration, error) {
	var r api.Restoration
	return r, w.post("/api/table/restore", options, &r)
}

// List lists what is at an oss:// address, folders as one entry each.
func (w *Workshop) List(uri string) (Objects, error) {
	var list Objects
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
func (w *Workshop) Verify() (Verdict, error) {
	var v Verdict
	return v, w.post("/api/verify", struct{}{}, &v)
}

// Verdict says whether every record arrived exactly once.
type Verdict = api.Verdict

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
