package broker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrLocked is returned when another broker serves the folder: two on one
// folder would both acknowledge records and overwrite each other's.
var ErrLocked = errors.New("broker folder is in use")

// lockDir takes the folder for this process until unlock. The kernel gives
// the lock back when the process dies, however it dies.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "broker.lock"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of broker folder %s: %w", dir, err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		defer f.Close()
		owner, _ := io.ReadAll(io.LimitReader(f, 20))
		return nil, fmt.Errorf("%w: a broker (process %s) already serves %s: stop it or choose another folder", ErrLocked, strings.TrimSpace(string(owner)), dir)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock broker folder %s: %w", dir, err)
	}
	// The process id is only for the message above.
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		f.Close()
		return nil, fmt.Errorf("write the lock of broker folder %s: %w", dir, err)
	}
	return func() { f.Close() }, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}
