package lakekit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"taxilake/lakekit/api"
	"taxilake/lakekit/services"
	"taxilake/lakekit/settings"
)

// Doctor tries every part of the workshop, from the folder it lives in to a
// drawn chart, and says what to do about what fails.
func Doctor(s *settings.Settings) Checks {
	checks := Checks{checkProgram(s), checkFolder(s), checkSpace(s)}
	healthy := true
	for _, status := range services.Statuses(s) {
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
		return append(checks, failedCheck("the workshop can be connected to", err))
	}
	return append(checks, lab.checkKafka(), lab.checkStore(), lab.checkSQL(), lab.checkCharts())
}

// Doctor tries every part of the workshop.
func (w *Workshop) Doctor() Checks { return Doctor(w.settings) }

func checkProgram(s *settings.Settings) api.Check {
	const name = "the lakekit program is built"
	program, err := services.Program(s)
	if err != nil {
		return failedCheck(name, err)
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

func checkSpace(s *settings.Settings) api.Check {
	const name = "there is room on the disk"
	var fs syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.State), &fs); err != nil {
		return failedCheck(name, err)
	}
	free := int64(fs.Bavail) * int64(fs.Bsize)
	return check(name, free >= enoughSpace, size(free)+" free",
		fmt.Sprintf("the course wants %s: delete something, or set LAKEKIT_STATE to a folder on another disk", size(enoughSpace)))
}

func (w *Workshop) checkKafka() api.Check {
	const name = "Kafka describes its cluster"
	cluster, err := w.Cluster()
	if err != nil {
		return failedCheck(name, err)
	}
	return check(name, len(cluster.Brokers) > 0, fmt.Sprintf("%d broker at %s", len(cluster.Brokers), w.settings.Kafka["bootstrap.servers"]),
		"the broker's log is "+settings.LogFile(w.settings.State, settings.Broker))
}

func (w *Workshop) checkStore() api.Check {
	const name = "the object store lets one of two writers win"
	var proof api.Check
	if err := w.get("/api/doctor/store", nil, &proof); err != nil {
		return failedCheck(name, err)
	}
	proof.Name = name
	return proof
}

func (w *Workshop) checkSQL() api.Check {
	const name = "SQL answers"
	result, err := w.SQL("select 6 * 7 as answer")
	if err != nil {
		return failedCheck(name, err)
	}
	return check(name, len(result.Rows) == 1, "6 * 7 = "+strings.Join(result.Strings("answer"), ""), "the server's log is "+settings.LogFile(w.settings.State, settings.Workshop))
}
