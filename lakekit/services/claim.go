package services

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"taxilake/lakekit/settings"
)

// ErrRunning says that another process is already the service.
var ErrRunning = errors.New("already running")

// usualPorts are the ports that each service's users expect.
var usualPorts = map[settings.Role]int{
	settings.Broker:   9092,
	settings.Store:    9000,
	settings.Workshop: 8080,
}

// Claimed is the right to be one service of a state folder, held until the
// process ends or Release is called.
type Claimed struct {
	state    string
	role     settings.Role
	lock     *os.File
	lastPort int
}

// claimAttempts outlast the instants in which somebody asks whether the service
// is alive, which shows as a shared lock.
const (
	claimAttempts = 20
	claimPause    = 10 * time.Millisecond
)

// Claim makes this process the service, or fails with ErrRunning.
func Claim(state string, role settings.Role) (*Claimed, error) {
	path := settings.RunFile(state, role, "lock")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	for attempt := 1; ; attempt++ {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			lock.Close()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if attempt == claimAttempts {
			lock.Close()
			return nil, fmt.Errorf("starting the %s for %s: %w; see `lakekit status`", role, state, ErrRunning)
		}
		time.Sleep(claimPause)
	}
	if err := errors.Join(lock.Truncate(0), write(lock, strconv.Itoa(os.Getpid()))); err != nil {
		lock.Close()
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	c := &Claimed{state: state, role: role, lock: lock, lastPort: lastPort(state, role)}
	// What an earlier process wrote of itself must not be taken for this one's.
	if err := os.Remove(settings.RunFile(state, role, "json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.Release()
		return nil, fmt.Errorf("starting the %s: %w", role, err)
	}
	return c, nil
}

func write(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holder is the process that holds the claim, if one is alive: it has written
// its id into the file that it keeps locked.
func holder(state string, role settings.Role) (pid int, err error) {
	path := settings.RunFile(state, role, "lock")
	text, err := os.ReadFile(path)
	if err == nil {
		pid, err = strconv.Atoi(string(text))
	}
	if err != nil {
		return 0, fmt.Errorf("finding the process of the %s: %w", role, err)
	}
	return pid, nil
}

func lastPort(state string, role settings.Role) int {
	last, err := settings.ReadProcess(state, role)
	if err != nil {
		return 0
	}
	_, text, err := net.SplitHostPort(last.Address)
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(text)
	return port
}

// Release gives the right back.
func (c *Claimed) Release() { c.lock.Close() }

// Ports are the ports to try in turn: the one the service had last time, so
// that clients find it again, the usual one, and 0 for any free one.
func (c *Claimed) Ports() []int {
	ports := []int{usualPorts[c.role], 0}
	if c.lastPort != 0 && c.lastPort != ports[0] {
		ports = append([]int{c.lastPort}, ports...)
	}
	return ports
}

// Listen opens the first of Ports that is free, at an address of this machine:
// loopback, unless the settings say otherwise.
func (c *Claimed) Listen(address string) (net.Listener, error) {
	var failed error
	for _, port := range c.Ports() {
		l, err := net.Listen("tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		if err == nil {
			return l, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("opening a port for the %s: %w", c.role, failed)
}

// Reachable is where a service that listens at address is reached from this
// machine: one that listens everywhere, on loopback.
func Reachable(address string) string {
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", port)
	}
	return address
}

// Ready tells the others where the service listens.
func (c *Claimed) Ready(address string) error {
	return settings.WriteProcess(c.state, c.role, settings.Process{
		PID: os.Getpid(), Address: Reachable(address), Started: time.Now().UTC().Truncate(time.Millisecond),
	})
}

// alive reports whether some process holds the claim, by trying for a shared
// lock, which leaves no trace.
func alive(state string, role settings.Role) bool {
	lock, err := os.Open(settings.RunFile(state, role, "lock"))
	if err != nil {
		return false
	}
	defer lock.Close()
	return errors.Is(syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
