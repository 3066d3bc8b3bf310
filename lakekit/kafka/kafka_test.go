package kafka_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"testing"
	"time"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/kafka"
)

// startBroker serves a new folder on a free port until the test ends.
func startBroker(tb testing.TB) kafka.Config {
	tb.Helper()
	addr, stop := serve(tb, filepath.Join(tb.TempDir(), "broker"), 0)
	tb.Cleanup(stop)
	return kafka.Config{"bootstrap.servers": addr}
}

// serve runs a broker until stop, which waits for its end.
func serve(tb testing.TB, dir string, port int) (addr string, stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- broker.Run(ctx, broker.Options{Dir: dir, Port: port, Ready: func(addr string) { ready <- addr }})
	}()
	select {
	case addr = <-ready:
	case err := <-ended:
		cancel()
		tb.Fatal(err)
	}
	return addr, func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Error(err)
		}
	}
}

func newAdmin(tb testing.TB, c kafka.Config) *kafka.Admin {
	tb.Helper()
	a, err := kafka.NewAdmin(c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(a.Close)
	return a
}

func createTopic(tb testing.TB, c kafka.Config, name string, partitions int) {
	tb.Helper()
	if _, err := newAdmin(tb, c).CreateTopic(tb.Context(), kafka.TopicSpec{Name: name, Partitions: partitions}); err != nil {
		tb.Fatal(err)
	}
}

func with(c kafka.Config, more kafka.Config) kafka.Config {
	c = maps.Clone(c)
	maps.Copy(c, more)
	return c
}

// numbered yields the records "0", "1", ... as keys, with values of a size.
type numbered struct {
	next, end int
	key       []byte
	value     []byte
}

func newNumbered(n, valueSize int) *numbered {
	return &numbered{end: n, value: make([]byte, valueSize)}
}

func (s *numbered) Next() (key, value []byte, err error) {
	if s.next == s.end {
		return nil, nil, io.EOF
	}
	s.key = fmt.Appendf(s.key[:0], "%d", s.next)
	s.next++
	return s.key, s.value, nil
}

// countKeys reads the whole topic and returns how often each key is in it.
func countKeys(tb testing.TB, c kafka.Config, topic string, expected int) map[string]int {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	messages, err := kafka.Browse(ctx, c, topic, kafka.BrowseOptions{Partition: kafka.AllPartitions, Offset: kafka.Earliest, Limit: 2*expected + 1000})
	if err != nil {
		tb.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range messages {
		counts[string(m.Key)]++
	}
	return counts
}

// checkExactlyOnce wants each of the keys 0 to n-1 once and no other.
func checkExactlyOnce(tb testing.TB, counts map[string]int, n int) {
	tb.Helper()
	var missing, repeated int
	for i := range n {
		switch counts[fmt.Sprint(i)] {
		case 0:
			missing++
		case 1:
		default:
			repeated++
		}
	}
	if missing > 0 || repeated > 0 || len(counts) != n {
		tb.Errorf("of %d records %d are missing and %d repeated; the topic has %d keys", n, missing, repeated, len(counts))
	}
}
