//go:build !linux

package query

import "syscall"

// limitProcess leaves the limit to watchMemory: RLIMIT_DATA counts little on
// systems other than Linux.
func limitProcess(int64) error { withoutCore(); return nil }

// residentBytes is the most that this process has had in memory.
func residentBytes() int64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return usage.Maxrss // in bytes on macOS
}
