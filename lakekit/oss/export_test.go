package oss

import (
	"context"
	"time"
)

// WithoutBackoff makes a client retry at once.
func WithoutBackoff(c *Client) {
	c.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
}
