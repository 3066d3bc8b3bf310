package services

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"taxilake/lakekit/settings"
)

// Status is what is known of one service.
type Status struct {
	Role    settings.Role `json:"service"`
	State   string        `json:"state"` // "running", "not answering", "stopped"
	Address string        `json:"address,omitempty"`
	PID     int           `json:"pid,omitempty"`
	Uptime  time.Duration `json:"uptime_ns,omitempty"`
	Memory  int64         `json:"resident_bytes,omitempty"` // 0 where the system does not tell
	Log     string        `json:"log,omitempty"`
	Problem string        `json:"problem,omitempty"`
}

// Running reports whether the service lives and answers.
func (s Status) Running() bool { return s.State == running }

const (
	running      = "running"
	notAnswering = "not answering"
	stopped      = "stopped"

	startTimeout = 30 * time.Second
	stopTimeout  = 30 * time.Second
	turnTimeout  = 3 * (startTimeout + stopTimeout) // of a start or an end of all three
	portTimeout  = 2 * time.Second
	pollEvery    = 20 * time.Millisecond
)

// Statuses asks every service.
func Statuses(s *settings.Settings) []Status {
	var all []Status
	for _, role := range settings.AllRoles {
		if slices.Contains(s.Roles(), role) {
			all = append(all, statusOf(s, role))
		} else {
			all = append(all, elsewhere(s, role))
		}
	}
	return all
}

// elsewhere is the status of a service that is not a process of this kit: all
// that can be told without logging in is whether its port answers.
func elsewhere(s *settings.Settings, role settings.Role) Status {
	status := Status{Role: role, State: running}
	switch role {
	case settings.Broker:
		status.Address = s.Kafka.Servers()
	case settings.Store:
		status.Address = s.OSS.Endpoint
	}
	if err := probePort(role, status.Address); err != nil {
		status.State, status.Problem = notAnswering, err.Error()
	}
	return status
}

func statusOf(s *settings.Settings, role settings.Role) Status {
	status := Status{Role: role, State: stopped, Log: settings.LogFile(s.State, role)}
	if !alive(s.State, role) {
		return status
	}
	process, err := settings.ReadProcess(s.State, role)
	if err != nil {
		status.State, status.Problem = notAnswering, "it is starting"
		return status
	}
	status.PID, status.Address, status.Uptime = process.PID, process.Address, time.Since(process.Started).Truncate(time.Second)
	status.Memory = residentBytes(process.PID)
	status.State = running
	if err := probe(role, process.Address); err != nil {
		status.State, status.Problem = notAnswering, err.Error()
	}
	return status
}

// Up starts what is not running and waits until each service answers. It tells
// report, in a line each, what it does and what it waits for: two calls at once
// take turns, and a service that is still starting or ending, such as one that
// was killed an instant ago, is waited for. Services that are no processes of
// this kit are only asked.
func Up(ctx context.Context, s *settings.Settings, report func(line string)) error {
	if err := settings.CreateSecrets(s.State); err != nil {
		return err
	}
	unlock, err := turn(ctx, s.State, report)
	if err != nil {
		return err
	}
	defer unlock()
	for _, status := range Statuses(s) {
		if slices.Contains(s.Roles(), status.Role) {
			if err := start(ctx, s, status.Role, report); err != nil {
				return err
			}
		} else {
			report(fmt.Sprintf("%-7s %s at %s %s", status.Role, status.State, status.Address, status.Problem))
		}
	}
	return nil
}

func start(ctx context.Context, s *settings.Settings, role settings.Role, report func(string)) error {
	status, err := settle(ctx, s, role, report)
	if err != nil {
		return err
	}
	if status.Running() {
		report(fmt.Sprintf("%-7s already running at %s", role, status.Address))
		return nil
	}
	began := time.Now()
	command, err := launch(s, role)
	if err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- command.Wait() }()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if status := statusOf(s, role); status.Running() && status.PID == command.Process.Pid {
			note := ""
			if usual := fmt.Sprintf("127.0.0.1:%d", usualPorts[role]); status.Address != usual {
				note = fmt.Sprintf(" (another program had %s)", usual)
			}
			report(fmt.Sprintf("%-7s ready at %s%s after %.1f s", role, status.Address, note, time.Since(began).Seconds()))
			return nil
		}
		select {
		case err := <-exited:
			return fmt.Errorf("starting the %s: it ended at once (%v). The end of its log %s:\n%s", role, err, settings.LogFile(s.State, role), tail(settings.LogFile(s.State, role), 8))
		case <-ctx.Done():
			command.Process.Kill()
			<-exited
			return fmt.Errorf("starting the %s: no answer after %s. The end of its log %s:\n%s", role, time.Since(began).Round(time.Second), settings.LogFile(s.State, role), tail(settings.LogFile(s.State, role), 8))
		case <-time.After(pollEvery):
		}
	}
}

// settle waits until the service answers or is gone. In between are one that an
// interrupted Up has started, one that was asked to end, and one that was killed
// but still has its memory to give back.
func settle(ctx context.Context, s *settings.Settings, role settings.Role, report func(string)) (Status, error) {
	status := statusOf(s, role)
	if status.State != notAnswering {
		return status, nil
	}
	process := "its process"
	if pid, err := holder(s.State, role); err == nil {
		process = fmt.Sprintf("process %d", pid)
	}
	report(fmt.Sprintf("%-7s waiting for %s, which is starting or ending", role, process))
	port := lastPort(s.State, role)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for status.State == notAnswering {
		select {
		case <-ctx.Done():
			return status, fmt.Errorf("starting the %s: %s holds %s but does not answer (%s); `lakekit down` ends it, then `lakekit up` again",
				role, process, settings.RunFile(s.State, role, "lock"), status.Problem)
		case <-time.After(pollEvery):
		}
		status = statusOf(s, role)
	}
	if status.State == stopped && port != 0 {
		awaitPort(ctx, port)
	}
	return status, nil
}

// awaitPort waits until a process that ends has given its port back, so that the
// next one is found where this one was. It may have become another program's.
func awaitPort(ctx context.Context, port int) {
	ctx, cancel := context.WithTimeout(ctx, portTimeout)
	defer cancel()
	for {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pollEvery):
		}
	}
}

// launch starts `lakekit ROLE` in a session of its own, so that it outlives the
// terminal or the notebook cell, and with no descriptor of the caller, so that
// neither waits for it.
func launch(s *settings.Settings, role settings.Role) (*exec.Cmd, error) {
	program, err := Program(s)
	if err != nil {
		return nil, err
	}
	path := settings.LogFile(s.State, role)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	log, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	defer log.Close()
	command := exec.Command(program, string(role))
	command.Dir = s.Home
	command.Env = append(os.Environ(), "LAKEKIT_HOME="+s.Home, "LAKEKIT_STATE="+s.State)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	return command, nil
}

// Program is the lakekit binary: this process itself, or the one that set-up
// has built.
func Program(s *settings.Settings) (string, error) {
	if self, err := os.Executable(); err == nil && filepath.Base(self) == "lakekit" {
		return self, nil
	}
	built := filepath.Join(s.Home, ".bin", "lakekit")
	if _, err := os.Stat(built); err != nil {
		return "", fmt.Errorf("%s is not there: run `make setup` in %s", built, s.Home)
	}
	return built, nil
}

// Down asks the services to end, in the opposite order of their start, and
// waits for each; one that does not end is killed.
func Down(ctx context.Context, s *settings.Settings, report func(line string)) error {
	unlock, err := turn(ctx, s.State, report)
	if err != nil {
		return err
	}
	defer unlock()
	for _, role := range slices.Backward(s.Roles()) {
		if err := stop(ctx, s, role, report); err != nil {
			return err
		}
	}
	return nil
}

func stop(ctx context.Context, s *settings.Settings, role settings.Role, report func(string)) error {
	if !alive(s.State, role) {
		return nil
	}
	began := time.Now()
	if err := signal(s, role, syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	if err := awaitEnd(ctx, s, role); err != nil {
		report(fmt.Sprintf("%-7s did not end within %s, killing it", role, stopTimeout))
		return Kill(s, role)
	}
	report(fmt.Sprintf("%-7s stopped after %.1f s", role, time.Since(began).Seconds()))
	return nil
}

// Kill ends a service at once, as a crash would (SIGKILL), and waits until it
// is gone. Nothing happens when it is not running.
func Kill(s *settings.Settings, role settings.Role) error {
	if !slices.Contains(s.Roles(), role) {
		return fmt.Errorf("the %s of profile %s is no process of this kit: end it where it runs (docker compose kill)", role, s.Profile)
	}
	if !alive(s.State, role) {
		return nil
	}
	if err := signal(s, role, syscall.SIGKILL); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return awaitEnd(ctx, s, role)
}

// signal reaches only a process that is alive and holds the claim.
func signal(s *settings.Settings, role settings.Role, sig syscall.Signal) error {
	pid, err := holder(s.State, role)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stopping the %s, process %d: %w", role, pid, err)
	}
	return nil
}

func awaitEnd(ctx context.Context, s *settings.Settings, role settings.Role) error {
	for alive(s.State, role) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the %s to end: %w", role, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return nil
}

// turn makes Up and Down of one state folder wait for each other.
func turn(ctx context.Context, state string, report func(string)) (unlock func(), err error) {
	path := filepath.Join(state, "run", "turn.lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the state folder: %w", err)
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the state folder: %w", err)
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, turnTimeout)
	defer cancel()
	for told := false; ; told = true {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if !told {
			report("waiting for another `lakekit up` or `lakekit down` to end")
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("another `lakekit up` or `lakekit down` still holds %s: let it end, or end it, and try again (%w)", path, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
	return func() { lock.Close() }, nil
}

// tail is the end of a log for an error message.
func tail(path string, lines int) string {
	const enough = 4096
	f, err := os.Open(path)
	if err != nil {
		return "(no log)"
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > enough {
		f.Seek(-enough, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// residentBytes reads the resident set of a process from /proc, else from ps.
func residentBytes(pid int) int64 {
	if data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(data), &size, &resident); err == nil {
			return resident * int64(os.Getpagesize())
		}
	}
	var kib int64
	if out, err := exec.Command("ps", "-o", "rss=", "-p", fmt.Sprint(pid)).Output(); err == nil {
		fmt.Sscan(string(out), &kib)
	}
	return kib << 10
}
