// Package brokertest runs the embedded broker inside of a test or an Example.
package brokertest

import (
	"context"
	"errors"
	"os"
	"testing"

	"taxilake/lakekit/broker"
)

// Start runs a broker, on a free port and in a folder of its own unless the
// options say otherwise, until stop, which waits for its end. It returns the
// broker's address.
func Start(o broker.Options) (address string, stop func() error, err error) {
	remove := func() error { return nil }
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "broker")
		if err != nil {
			return "", nil, err
		}
		o.Dir, remove = dir, func() error { return os.RemoveAll(dir) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	o.Ready = func(address string) { ready <- address }
	go func() { ended <- broker.Run(ctx, o) }()
	stop = func() error {
		cancel()
		return errors.Join(<-ended, remove())
	}
	select {
	case address = <-ready:
		return address, stop, nil
	case err := <-ended:
		cancel()
		return "", nil, errors.Join(err, remove())
	}
}

// Run is Start for a test, at whose end the broker ends, too.
func Run(tb testing.TB, o broker.Options) (address string) {
	tb.Helper()
	address, stop, err := Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Error(err)
		}
	})
	return address
}
