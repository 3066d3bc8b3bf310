package lakekit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/text"
)

// Check tests what a lesson should have left behind: "00" to "04". Every check
// that fails carries a hint. Shown, failed checks end the cell.
func (w *Workshop) Check(lesson string) (api.Checks, error) {
	number, _, _ := strings.Cut(lesson, "_")
	tests := map[string][]func() api.Check{
		"00": {w.checkServices, w.checkCharts},
		"01": {w.checkServices, w.checkSample},
		"02": {w.checkTopic, w.checkMessages},
		"03": {w.checkTable, w.checkStream, w.checkRows, w.checkCheckpoint, w.checkCompaction},
		"04": {w.checkRows, w.checkVerdict},
	}[number]
	if tests == nil {
		return nil, fmt.Errorf("there is no lesson %q to check; they are 00, 01, 02, 03 and 04", lesson)
	}
	var checks api.Checks
	for _, test := range tests {
		checks = append(checks, test())
	}
	return checks, nil
}

func check(name string, ok bool, detail, hint string) api.Check {
	c := api.Check{Name: name, OK: ok, Detail: detail}
	if !ok {
		c.Hint = hint
	}
	return c
}

func failedCheck(name string, err error, hint string) api.Check {
	return api.Check{Name: name, Detail: err.Error(), Hint: hint}
}

func (w *Workshop) checkServices() api.Check {
	var found []string
	list := w.Services()
	for _, s := range list {
		found = append(found, fmt.Sprintf("%s %s", s.Role, s.State))
	}
	return check("the services run", list.Healthy(), strings.Join(found, ", "), "type `make up` in a terminal and look at `make status`")
}

func (w *Workshop) checkCharts() api.Check {
	const name = "charts can be drawn"
	const hint = "run `make setup` again; the server's log may tell more"
	picture, err := w.Chart(exampleChart())
	if err != nil {
		return failedCheck(name, err, hint)
	}
	return check(name, strings.Contains(picture.HTML, "svg"), "as static pictures and live", hint)
}

func (w *Workshop) checkSample() api.Check {
	path := filepath.Join(w.settings.Home, "datasets", "sample.csv")
	data, err := os.ReadFile(path)
	lines := strings.Count(string(data), "\n")
	return check("the sample of the data set is there", err == nil && lines > 1, fmt.Sprintf("%s, %d lines", path, lines),
		"the repository is not whole: `git checkout datasets` brings it back")
}

func (w *Workshop) checkTopic() api.Check {
	name := "topic " + w.settings.Topic + " has 3 partitions"
	topic, err := w.Topic()
	if err != nil {
		return failedCheck(name, err, "run the cell of lesson 02 that creates the topic")
	}
	return check(name, len(topic.Partitions) == 3, fmt.Sprintf("it has %d", len(topic.Partitions)),
		"`make reset` deletes it, then run lesson 02 from its top")
}

func (w *Workshop) checkMessages() api.Check {
	const name = "records have arrived in every partition"
	const hint = "run the cells of lesson 02 that produce traffic"
	topic, err := w.Topic()
	if err != nil {
		return failedCheck(name, err, hint)
	}
	empty := 0
	for _, p := range topic.Partitions {
		if p.LatestOffset == 0 {
			empty++
		}
	}
	return check(name, empty == 0, fmt.Sprintf("%s messages, %d empty partitions", text.Count(topic.Records()), empty), hint)
}

func (w *Workshop) checkTable() api.Check {
	const name = "the table exists, with optimized writes and auto compaction"
	table, err := w.DescribeTable()
	if err != nil {
		return failedCheck(name, err, "run the cell of lesson 03 that creates the table")
	}
	p := table.Properties
	return check(name, p["delta.autoOptimize.optimizeWrite"] == "true" && p["delta.autoOptimize.autoCompact"] == "true",
		fmt.Sprintf("version %d at %s", table.Version, table.Location), "`make reset`, then run lesson 03 from its top")
}

func (w *Workshop) checkStream() api.Check {
	const name = "the stream runs"
	const hint = "run the cell of lesson 03 that starts the stream"
	status, err := w.Stream().Status()
	if err != nil {
		return failedCheck(name, err, hint)
	}
	return check(name, status.IsActive, status.State()+" "+status.Error, hint)
}

func (w *Workshop) checkRows() api.Check {
	const name = "records of the topic are rows of the table"
	const hint = "lesson 02 produces records and lesson 03 streams them into the table: run both"
	table, err := w.DescribeTable()
	if err != nil {
		return failedCheck(name, err, hint)
	}
	return check(name, table.NumRecords > 0, text.Count(table.NumRecords)+" rows", hint)
}

func (w *Workshop) checkCheckpoint() api.Check {
	const name = "the checkpoint holds the stream's place"
	const hint = "run the cell of lesson 03 that starts the stream and wait for its first batch"
	list, err := w.List(w.settings.Checkpoint)
	if err != nil {
		return failedCheck(name, err, hint)
	}
	found := map[string]bool{}
	for _, o := range list {
		found[strings.TrimSuffix(o.Name, "/")] = true
	}
	return check(name, found["metadata"] && found["offsets"] && found["commits"], fmt.Sprintf("%d entries at %s", len(list), w.settings.Checkpoint), hint)
}

func (w *Workshop) checkCompaction() api.Check {
	const name = "small files were merged"
	const hint = "run the cells of lesson 03 on small files and compaction"
	history, err := w.History(HistoryOptions{})
	if err != nil {
		return failedCheck(name, err, hint)
	}
	for _, h := range history {
		if h.Operation == "OPTIMIZE" {
			return check(name, true, fmt.Sprintf("%s files became %s in version %d", h.OperationMetrics["numRemovedFiles"], h.OperationMetrics["numAddedFiles"], h.Version), "")
		}
	}
	return check(name, false, fmt.Sprintf("none of %d versions is an OPTIMIZE", len(history)), hint)
}

func (w *Workshop) checkVerdict() api.Check {
	const name = "every record arrived exactly once"
	verdict, err := w.Verify()
	if err != nil {
		return failedCheck(name, err, "run the cell of lesson 04 before this one, which stops the traffic and compares")
	}
	detail := fmt.Sprintf("%s produced, %s rows, %s refused; %d comparisons", text.Count(verdict.Produced), text.Count(verdict.Rows), text.Count(verdict.DeadLetters), len(verdict.Checks))
	for _, c := range verdict.Checks {
		if !c.OK {
			return check(name, false, detail+"; "+c.Name+": "+c.Detail, c.Hint)
		}
	}
	return check(name, verdict.OK, detail, "`lakekit verify` shows every comparison")
}
