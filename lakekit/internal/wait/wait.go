// Package wait waits.
package wait

import (
	"context"
	"time"
)

// For returns nil after d, and before that the context's error when ctx ends.
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
