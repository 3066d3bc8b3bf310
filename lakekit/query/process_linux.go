package query

import (
	"fmt"
	"os"
	"syscall"
)

// limitProcess has the system refuse this process what lies far beyond its
// memory, should it ask for that faster than watchMemory looks. What it has now
// is its program, its stacks and Go's reserve.
func limitProcess(memory int64) error {
	withoutCore()
	// When the machine is out of memory, it is this process that goes, and no service.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	var size, resident, shared, text, library, data uint64
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return err
	}
	if _, err := fmt.Sscan(string(statm), &size, &resident, &shared, &text, &library, &data); err != nil {
		return fmt.Errorf("read /proc/self/statm: %w", err)
	}
	limit := data*uint64(os.Getpagesize()) + uint64(memory) + uint64(memory)/2
	return syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: limit, Max: limit})
}

// residentBytes is what this process has in memory.
func residentBytes() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	fmt.Sscan(string(statm), &size, &resident)
	return resident * int64(os.Getpagesize())
}
