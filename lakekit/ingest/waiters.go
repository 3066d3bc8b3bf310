package ingest

import (
	"slices"
	"sync"

	"taxilake/lakekit/api"
)

// waiters are the calls of ProcessAllAvailable that have not returned yet.
type waiters struct {
	wake chan struct{} // asks for a trigger at once

	mu  sync.Mutex
	all []*waiter
}

type waiter struct {
	target api.PartitionOffsets // the run's; nil until it has asked for the latest offsets
	done   chan struct{}
}

func (w *waiters) add() *waiter {
	one := &waiter{done: make(chan struct{})}
	w.mu.Lock()
	w.all = append(w.all, one)
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return one
}

// present are those whose target the coming question for offsets sets.
func (w *waiters) present() []*waiter {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.all)
}

func aim(waiting []*waiter, latest api.PartitionOffsets) {
	for _, one := range waiting {
		if one.target == nil {
			one.target = latest
		}
	}
}

// release lets those go whose target is reached.
func (w *waiters) release(at api.PartitionOffsets) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = slices.DeleteFunc(w.all, func(one *waiter) bool {
		if one.target == nil || !reaches(at, one.target) {
			return false
		}
		close(one.done)
		return true
	})
}
