package lakekit

import (
	"encoding/json"
	"fmt"
	"html"
	"slices"
	"sort"
	"strings"
	"time"

	"taxilake/lakekit/api"
	"taxilake/lakekit/services"
)

// view is a value in the two forms in which it can be shown.
type view struct {
	html, text string
	failed     bool // it says that something is not as it should be
}

func viewOf(value any) view {
	switch v := value.(type) {
	case Picture:
		return view{html: v.HTML, text: v.Text}
	case *api.Result:
		return view{html: v.HTML(), text: v.String()}
	case Services:
		return gridView("services", servicesGrid(v))
	case Cluster:
		return gridView(fmt.Sprintf("cluster %s", v.ID), clusterGrid(v))
	case Topic:
		return gridView(topicTitle(v), topicGrid(v))
	case []Topic:
		return gridView("topics", topicsGrid(v))
	case Messages:
		return gridView(titleOf("messages", len(v)), messagesGrid(v))
	case api.TrafficProgress:
		return gridView(fmt.Sprintf("traffic to %s: %s", v.Topic, v.State), trafficGrid(v))
	case TrafficRuns:
		return gridView("runs of traffic", runsGrid(v))
	case TableDetail:
		return gridView(fmt.Sprintf("table %s", v.Location), tableGrid(v))
	case History:
		return gridView("history", historyGrid(v))
	case Files:
		return gridView(filesTitle(v), filesGrid(v))
	case Objects:
		return gridView("objects", objectsGrid(v))
	case StreamStatus:
		return gridView(fmt.Sprintf("stream %s", v.Name), streamGrid(v))
	case []StreamStatus:
		return gridView("streams", streamsGrid(v))
	case StreamProgress:
		return jsonView(v)
	case []StreamProgress:
		return gridView("the last batches", progressGrid(v))
	case DeadLetters:
		return gridView(titleOf("dead letters, the newest first", len(v)), deadLettersGrid(v))
	case DeadLetterReplay:
		return gridView("replay of dead letters", replayGrid(v))
	case api.Compaction:
		return gridView(compactionTitle(v), compactionGrid(v))
	case api.Vacuum:
		return gridView(vacuumTitle(v), vacuumGrid(v))
	case api.Restoration:
		return gridView(restorationTitle(v), restorationGrid(v))
	case api.Reset:
		return gridView("reset", resetGrid(v))
	case Checks:
		return checksView("", v)
	case Verdict:
		return verdictView(v)
	case string:
		return view{html: "<div>" + html.EscapeString(v) + "</div>", text: v}
	case fmt.Stringer:
		return view{html: preformatted(v.String()), text: v.String()}
	default:
		return jsonView(v)
	}
}

func jsonView(v any) view {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		data = fmt.Appendf(nil, "%+v", v)
	}
	return view{html: preformatted(string(data)), text: string(data)}
}

func preformatted(text string) string {
	return `<pre style="font-family:monospace;line-height:1.35">` + html.EscapeString(text) + "</pre>"
}

// gridView shows rows with the means that SQL results are shown with.
func gridView(title string, grid *api.Result) view {
	return view{
		html: "<div><b>" + html.EscapeString(title) + "</b></div>" + grid.HTML(),
		text: title + "\n" + grid.String(),
	}
}

// titleOf says of an empty list that it is one.
func titleOf(title string, n int) string {
	if n == 0 {
		return title + ": none"
	}
	return title
}

// gridOf makes a grid from a header, in which a trailing # marks a column of
// whole numbers, and its rows.
func gridOf(header string, rows ...[]any) *api.Result {
	grid := &api.Result{}
	for name := range strings.FieldsFuncSeq(header, func(r rune) bool { return r == '|' }) {
		column := api.Column{Name: strings.TrimSuffix(name, "#"), Type: "string"}
		if column.Name != name {
			column.Type = "bigint"
		}
		grid.Columns = append(grid.Columns, column)
	}
	for _, row := range rows {
		cells := make([]any, len(row))
		for i, cell := range row {
			cells[i] = gridCell(cell, grid.Columns[i].Type)
		}
		grid.Rows = append(grid.Rows, cells)
	}
	return grid
}

func gridCell(cell any, columnType string) any {
	switch c := cell.(type) {
	case nil:
		return nil
	case int:
		if columnType == "bigint" {
			return int64(c)
		}
	case int32:
		if columnType == "bigint" {
			return int64(c)
		}
	case int64:
		if columnType == "bigint" {
			return c
		}
	case time.Time:
		return clock(c)
	}
	return fmt.Sprint(cell)
}

func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func servicesGrid(list Services) *api.Result {
	var rows [][]any
	for _, s := range list {
		row := []any{s.Role, s.State, s.Address, "", "", "", s.Log}
		if s.PID != 0 { // a process of this kit, which runs
			row[3], row[4], row[5] = s.PID, s.Uptime, size(s.Memory)
		}
		if s.Problem != "" {
			row[1] = s.State + ": " + s.Problem
		}
		rows = append(rows, row)
	}
	return gridOf("service|state|address|process|up for|memory|log", rows...)
}

func (list Services) anyRunning() bool { return slices.ContainsFunc(list, services.Status.Running) }

// Healthy reports whether every service runs.
func (list Services) Healthy() bool {
	return !slices.ContainsFunc(list, func(s services.Status) bool { return !s.Running() })
}

func clusterGrid(c Cluster) *api.Result {
	var rows [][]any
	for _, b := range c.Brokers {
		controller := ""
		if b.ID == c.ControllerID {
			controller = "yes"
		}
		rows = append(rows, []any{b.ID, fmt.Sprintf("%s:%d", b.Host, b.Port), controller})
	}
	return gridOf("broker#|address|controller", rows...)
}

func topicTitle(t Topic) string {
	title := fmt.Sprintf("topic %s: %s in %s", t.Name, counted(t.Records(), "message"), counted(int64(len(t.Partitions)), "partition"))
	var configs []string
	for name, value := range t.Configs {
		configs = append(configs, name+"="+value)
	}
	sort.Strings(configs)
	if len(configs) > 0 {
		title += " (" + strings.Join(configs, ", ") + ")"
	}
	return title
}

func topicGrid(t Topic) *api.Result {
	var rows [][]any
	for _, p := range t.Partitions {
		rows = append(rows, []any{p.Partition, p.EarliestOffset, p.LatestOffset, p.LatestOffset - p.EarliestOffset, p.Leader})
	}
	return gridOf("partition#|earliest offset#|latest offset#|messages#|leader#", rows...)
}

func topicsGrid(list []Topic) *api.Result {
	var rows [][]any
	for _, t := range list {
		rows = append(rows, []any{t.Name, len(t.Partitions), t.Records()})
	}
	return gridOf("topic|partitions#|messages#", rows...)
}

func messagesGrid(list Messages) *api.Result {
	var rows [][]any
	for _, m := range list {
		rows = append(rows, []any{m.Partition, m.Offset, kafkaTime(m.Timestamp, m.TimestampMs), string(m.Key), string(m.Value)})
	}
	return gridOf("partition#|offset#|timestamp (UTC)|key|value", rows...)
}

// kafkaTime shows a Kafka timestamp as the time it stands for, else as the
// number it is.
func kafkaTime(at time.Time, ms int64) string {
	switch {
	case !at.IsZero():
		return at.UTC().Format("2006-01-02 15:04:05.000")
	case ms == api.NoTimestamp || !api.KafkaTime(ms).IsZero(): // not told
		return ""
	}
	return fmt.Sprintf("%d ms: no date", ms)
}

func trafficGrid(p api.TrafficProgress) *api.Result {
	rate := 0.0
	if p.ElapsedSeconds > 0 {
		rate = float64(p.Acknowledged) / p.ElapsedSeconds
	}
	return gridOf("sent#|acknowledged#|failed#|seconds|records/s#|MB|latency p50 ms|p99 ms", []any{
		p.Sent, p.Acknowledged, p.Failed, fmt.Sprintf("%.1f", p.ElapsedSeconds), int64(rate), fmt.Sprintf("%.1f", float64(p.Bytes)/1e6),
		latency(p.LatencyP50Ms), latency(p.LatencyP99Ms),
	})
}

// latency leaves out what was too little to measure.
func latency(ms float64) string {
	if ms == 0 {
		return "–"
	}
	return fmt.Sprintf("%.1f", ms)
}

func runsGrid(list TrafficRuns) *api.Result {
	var rows [][]any
	for _, r := range list {
		source, state := fmt.Sprintf("seed %d from row %d", r.Request.Seed, r.FromRow), string(r.Progress.State)
		if r.Request.CSV != "" {
			source = r.Request.CSV
		}
		if r.Interrupted {
			state = "interrupted"
		}
		rows = append(rows, []any{r.ID, source, state, r.Progress.Sent, r.Progress.Acknowledged, r.Progress.Failed})
	}
	return gridOf("run#|source|state|sent#|acknowledged#|failed#", rows...)
}

func tableGrid(t TableDetail) *api.Result {
	rows := [][]any{
		{"version", t.Version}, {"rows", count(t.NumRecords)}, {"files", t.NumFiles}, {"size", size(t.SizeInBytes)},
		{"created (UTC)", t.CreatedAt}, {"last modified (UTC)", t.LastModified},
		{"protocol", fmt.Sprintf("reader %d, writer %d", t.MinReaderVersion, t.MinWriterVersion)},
	}
	if len(t.PartitionColumns) > 0 {
		rows = append(rows, []any{"partitioned by", strings.Join(t.PartitionColumns, ", ")})
	}
	if len(t.TableFeatures) > 0 {
		rows = append(rows, []any{"table features", strings.Join(t.TableFeatures, ", ")})
	}
	var names []string
	for name := range t.Properties {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		rows = append(rows, []any{name, t.Properties[name]})
	}
	return gridOf("detail|value", rows...)
}

func historyGrid(list History) *api.Result {
	var rows [][]any
	for _, h := range list {
		m := h.OperationMetrics
		rows = append(rows, []any{h.Version, h.Timestamp, h.Operation, pairs(h.OperationParameters), pairs(m)})
	}
	return gridOf("version#|timestamp (UTC)|operation|parameters|metrics", rows...)
}

func pairs(m map[string]string) string {
	var list []string
	for name, value := range m {
		list = append(list, name+"="+value)
	}
	sort.Strings(list)
	return strings.Join(list, ", ")
}

func filesTitle(list Files) string {
	var bytes, rows int64
	for _, f := range list {
		bytes += f.Size
		rows += max(f.NumRecords, 0)
	}
	return fmt.Sprintf("%s, %s, %s", counted(int64(len(list)), "file"), size(bytes), counted(rows, "row"))
}

func filesGrid(list Files) *api.Result {
	var rows [][]any
	for _, f := range list {
		rows = append(rows, []any{f.Path, size(f.Size), f.NumRecords, f.ModificationTime})
	}
	return gridOf("file|size|rows#|written (UTC)", rows...)
}

func objectsGrid(list Objects) *api.Result {
	var rows [][]any
	for _, o := range list {
		bytes := ""
		if !o.IsPrefix {
			bytes = size(o.Size)
		}
		rows = append(rows, []any{o.Name, bytes, o.LastModified})
	}
	return gridOf("name|size|last modified (UTC)", rows...)
}

func streamGrid(s StreamStatus) *api.Result {
	rows := [][]any{
		{"state", streamState(s)}, {"message", s.Message}, {"query id", s.ID}, {"run id", s.RunID},
		{"reads topic", strings.Join(s.Subscribe, ", ")}, {"writes table", s.Table}, {"checkpoint", s.Checkpoint}, {"trigger", s.Trigger},
		{"last batch", lastBatch(s)}, {"records read in this run", count(s.NumInputRows)}, {"of these refused", count(s.NumDeadLetters)},
		{"records behind", count(s.RecordsBehind)}, {"compactions in this run", s.NumCompactions},
	}
	if s.Error != "" {
		rows = append(rows, []any{"error", s.Error})
	}
	if s.NumRowsWithIgnoredFields > 0 {
		rows = append(rows, []any{"rows without some fields", count(s.NumRowsWithIgnoredFields)})
	}
	for _, f := range s.IgnoredFields {
		rows = append(rows, []any{"field " + f.Field, fmt.Sprintf("not in %s: %s", counted(f.NumRows, "row"), f.Reason)})
	}
	if s.NumRetries > 0 {
		rows = append(rows, []any{"retries in this run", s.NumRetries})
	}
	if s.CompactionError != "" {
		rows = append(rows, []any{"compaction error", s.CompactionError})
	}
	if s.CompactionSkipped != "" {
		rows = append(rows, []any{"compaction skips", s.CompactionSkipped})
	}
	return gridOf("stream|value", rows...)
}

// lastBatch is the number of the last batch committed.
func lastBatch(s StreamStatus) string {
	if s.BatchID < 0 {
		return "none yet"
	}
	return fmt.Sprint(s.BatchID)
}

func streamState(s StreamStatus) string {
	switch {
	case s.Error != "":
		return "failed"
	case !s.IsActive:
		return "stopped"
	case s.Waiting:
		return "waiting"
	}
	return "active"
}

func streamsGrid(list []StreamStatus) *api.Result {
	var rows [][]any
	for _, s := range list {
		rows = append(rows, []any{s.Name, streamState(s), s.Message, lastBatch(s), s.NumInputRows, s.RecordsBehind, s.Table})
	}
	return gridOf("stream|state|message|batch|read#|behind#|table", rows...)
}

func progressGrid(list []StreamProgress) *api.Result {
	var rows [][]any
	for _, p := range list {
		behind := ""
		if len(p.Sources) > 0 {
			behind = p.Sources[0].Metrics["maxOffsetsBehindLatest"]
		}
		rows = append(rows, []any{p.BatchID, p.Timestamp, p.NumInputRows, p.DurationMs["triggerExecution"], p.DurationMs["addBatch"], behind})
	}
	return gridOf("batch#|timestamp|records#|trigger ms#|addBatch ms#|max offsets behind", rows...)
}

func compactionTitle(c api.Compaction) string {
	switch {
	case c.NumRemovedFiles == 0:
		return "compaction: nothing to do"
	case c.DryRun:
		return "compaction, dry run: this would be rewritten"
	}
	return "compaction"
}

func vacuumTitle(v api.Vacuum) string {
	did := "deleted"
	switch {
	case v.NumFiles == 0:
		return "vacuum: no file is old enough to go"
	case v.DryRun:
		did = "dry run, would delete"
	}
	return fmt.Sprintf("vacuum: %s %s, %s", did, counted(v.NumFiles, "file"), size(v.SizeInBytes))
}

func vacuumGrid(v api.Vacuum) *api.Result {
	var rows [][]any
	for _, file := range v.Files {
		rows = append(rows, []any{file})
	}
	return gridOf("file", rows...)
}

func restorationTitle(r api.Restoration) string {
	if r.Version < 0 {
		return fmt.Sprintf("restore: the table is already as at version %d", r.RestoredVersion)
	}
	return fmt.Sprintf("restore: version %d is again as version %d", r.Version, r.RestoredVersion)
}

func restorationGrid(r api.Restoration) *api.Result {
	return gridOf("files restored#|bytes restored|files removed#|bytes removed",
		[]any{r.NumRestoredFiles, size(r.RestoredFilesSize), r.NumRemovedFiles, size(r.RemovedFilesSize)})
}

func compactionGrid(c api.Compaction) *api.Result {
	return gridOf("version#|files removed#|files added#|bytes removed|bytes added",
		[]any{c.Version, c.NumRemovedFiles, c.NumAddedFiles, size(c.NumRemovedBytes), size(c.NumAddedBytes)})
}

func resetGrid(r api.Reset) *api.Result {
	rows := [][]any{{"topic", r.Topic, count(r.Messages) + " messages"}}
	for _, address := range r.Addresses {
		rows = append(rows, []any{"folder", address, ""})
	}
	for _, address := range r.Kept {
		rows = append(rows, []any{"stays, it is another's", address, ""})
	}
	rows = append(rows, []any{"objects", count(r.Objects), size(r.Bytes)})
	return gridOf("what|name|size", rows...)
}
