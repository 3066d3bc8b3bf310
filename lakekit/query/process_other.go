//go:build !linux

package query

import (
	"math"
	"syscall"
)

// limitProcess leaves the limit to watchMemory: RLIMIT_DATA counts little on
// systems other than Linux.
func limitProcess(int64) (ask int64, err error) { withoutCore(); return math.MaxInt64, nil }

// memoryBytes is the most that this process has had in memory; what it has asked
// for is not known.
func memoryBytes() (resident, asked int64) {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0, 0
	}
	return usage.Maxrss, 0 // in bytes on macOS
}
