package query

import (
	"fmt"
	"os"
	"syscall"
)

// limitProcess returns how much this process may ask the system for: memory and
// half of that, beyond what it has now, which is its program, its stacks and Go's
// reserve. DuckDB asks for much that it does not touch. watchMemory sees to it;
// the system refuses what lies far beyond it, should it ask faster than
// watchMemory looks.
func limitProcess(memory int64) (ask int64, err error) {
	withoutCore()
	// When the machine is out of memory, it is this process that goes, and no service.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0)
	_, asked := memoryBytes()
	ask = asked + memory + memory/2
	most := uint64(ask) + farBeyond
	return ask, syscall.Setrlimit(syscall.RLIMIT_DATA, &syscall.Rlimit{Cur: most, Max: most})
}

// farBeyond what it may ask for, in bytes, a process is refused more: what ends
// DuckDB's process is then the refusal, or that DuckDB cannot stand it.
const farBeyond = 1 << 30

// memoryBytes is what this process has in memory, and what it has asked for.
func memoryBytes() (resident, asked int64) {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0
	}
	var size, shared, text, library int64
	_, _ = fmt.Sscan(string(statm), &size, &resident, &shared, &text, &library, &asked)
	page := int64(os.Getpagesize())
	return resident * page, asked * page
}
