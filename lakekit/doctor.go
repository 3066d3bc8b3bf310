package lakekit

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"taxilake/lakekit/api"
	"taxilake/lakekit/internal/text"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

// Doctor tries every part of the workshop, from the folder it lives in to a
// drawn chart, and says what to do about what fails.
func Doctor(s *settings.Settings) api.Checks {
	checks := api.Checks{checkProgram(s), checkFolder(s), checkSpace("the disk", s.State)}
	if folder := filepath.Join(s.State, "kafka"); otherDisk(s.State, folder) {
		checks = append(checks, checkSpace("the disk of the broker", folder))
	}
	if s.OSS.LocalDir != "" && otherDisk(s.State, s.OSS.LocalDir) {
		checks = append(checks, checkSpace("the disk of the object store", s.OSS.LocalDir))
	}
	healthy := true
	for _, status := range services.Statuses(s) {
		if !slices.Contains(s.Roles(), status.Role) {
			continue // the steps below find out more
		}
		detail := strings.TrimSpace(status.State + " " + status.Address + " " + status.Problem)
		checks = append(checks, check("the "+string(status.Role)+" answers", status.Running(), detail,
			"`lakekit up` starts it; its log is "+status.Log))
		healthy = healthy && status.Running()
	}
	if !healthy {
		return checks
	}
	lab, err := Connect()
	if err != nil {
		return append(checks, failedCheck("the workshop can be connected to", err, "`lakekit down`, then `lakekit up`"))
	}
	checks = append(checks, lab.diagnose("Kafka", "/api/doctor/kafka")...)
	checks = append(checks, lab.diagnose("the object store", "/api/doctor/store")...)
	return append(checks, lab.checkSQL(), lab.checkCharts(), lab.checkStreams())
}

// Doctor tries every part of the workshop.
func (w *Workshop) Doctor() api.Checks { return Doctor(w.settings) }

func checkProgram(s *settings.Settings) api.Check {
	const name = "the lakekit program is built"
	program, err := services.Program(s)
	if err != nil {
		return failedCheck(name, err, "run `make setup`")
	}
	return check(name, true, program, "")
}

func checkFolder(s *settings.Settings) api.Check {
	const name = "the state folder can be written"
	err := os.MkdirAll(s.State, 0o700)
	var probe *os.File
	if err == nil {
		probe, err = os.CreateTemp(s.State, ".doctor-*")
	}
	if err != nil {
		return check(name, false, err.Error(), "make "+s.State+" writable, or set LAKEKIT_STATE to a folder that is")
	}
	probe.Close()
	os.Remove(probe.Name())
	return check(name, true, s.State, "")
}

// enoughSpace is what two runs of the course take.
const enoughSpace = 2 << 30

func checkSpace(what, folder string) api.Check {
	name := "there is room on " + what
	hint := fmt.Sprintf("the course wants %s: delete something, or set LAKEKIT_STATE to a folder on another disk", text.Size(enoughSpace))
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err != nil {
		return failedCheck(name, fmt.Errorf("%s: %w", folder, err), hint)
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	return check(name, free >= enoughSpace, text.Size(free)+" free in "+folder, hint)
}

// otherDisk reports whether a folder that is there lies on another file system.
func otherDisk(state, folder string) bool {
	var a, b syscall.Stat_t
	return syscall.Stat(state, &a) == nil && syscall.Stat(folder, &b) == nil && a.Dev != b.Dev
}

// diagnose lets the server go through a service step by step, up to the first
// that fails.
func (w *Workshop) diagnose(service, path string) api.Checks {
	var steps api.Checks
	if err := w.post(path, struct{}{}, &steps); err != nil {
		return api.Checks{failedCheck(service+" can be asked", err, "the server's log is "+settings.LogFile(w.settings.State, settings.Workshop))}
	}
	return steps
}

func (w *Workshop) checkSQL() api.Check {
	const name = "SQL answers"
	result, err := w.SQL("select 6 * 7 as answer")
	hint := "the server's log is " + settings.LogFile(w.settings.State, settings.Workshop)
	if err != nil {
		return failedCheck(name, err, hint)
	}
	return check(name, len(result.Rows) == 1, "6 * 7 = "+strings.Join(result.Strings("answer"), ""), hint)
}

func (w *Workshop) checkStreams() api.Check {
	const name = "no stream waits or has failed"
	const hint = "read what it waits for or failed with; `lakekit stream status` tells more"
	streams, err := w.Streams()
	if err != nil {
		return failedCheck(name, err, hint)
	}
	for _, s := range streams {
		if s.Waiting || s.Error != "" {
			return check(name, false, fmt.Sprintf("stream %s: %s %s", s.Name, s.Message, s.Error), hint)
		}
	}
	return check(name, true, fmt.Sprintf("%d streams", len(streams)), "")
}
