package kafka_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/broker/brokertest"
	"taxilake/lakekit/kafka"
)

// startBroker serves a new folder on a free port until the test ends.
func startBroker(tb testing.TB) kafka.Config {
	tb.Helper()
	return kafka.Config{"bootstrap.servers": startBrokerWith(tb, broker.Options{})}
}

// startBrokerWith is startBroker with TLS or users; it returns the address.
func startBrokerWith(tb testing.TB, o broker.Options) string {
	tb.Helper()
	o.Dir = filepath.Join(tb.TempDir(), "broker")
	return brokertest.Run(tb, o)
}

// serve runs a broker until stop, which waits for its end.
func serve(tb testing.TB, o broker.Options) (addr string, stop func()) {
	tb.Helper()
	addr, end, err := brokertest.Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	return addr, func() {
		if err := end(); err != nil {
			tb.Error(err)
		}
	}
}

// onEachCluster runs the test on an embedded broker and on the Apache Kafka at
// LAKEKIT_REAL_KAFKA. Topics are to be called as name says, so that they are
// the test's own; they are deleted at its end.
func onEachCluster(t *testing.T, test func(t *testing.T, c kafka.Config, name func(string) string)) {
	t.Run("embedded", func(t *testing.T) {
		test(t, startBroker(t), func(topic string) string { return topic })
	})
	t.Run("real", func(t *testing.T) {
		c := kafka.Config{"bootstrap.servers": realAddress(t, "LAKEKIT_REAL_KAFKA")}
		prefix := newPrefix()
		t.Cleanup(func() { deleteTopics(t, c, prefix) })
		test(t, c, func(topic string) string { return prefix + topic })
	})
}

// realAddress skips the test when the variable is not set.
func realAddress(t *testing.T, variable string) string {
	t.Helper()
	addr := os.Getenv(variable)
	if addr == "" {
		t.Skipf("%s is not set: `make test-real` sets it", variable)
	}
	return addr
}

func newPrefix() string { return strings.ToLower(rand.Text()[:10]) + "." }

func deleteTopics(t *testing.T, c kafka.Config, prefix string) {
	admin, err := kafka.NewAdmin(c)
	if err != nil {
		t.Error(err)
		return
	}
	defer admin.Close()
	topics, err := admin.Topics(context.Background())
	if err != nil {
		t.Error(err)
	}
	for _, topic := range topics {
		if strings.HasPrefix(topic.Name, prefix) {
			if err := admin.DeleteTopic(context.Background(), topic.Name); err != nil {
				t.Error(err)
			}
		}
	}
}

func portOf(tb testing.TB, addr string) int {
	tb.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		tb.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		tb.Fatal(err)
	}
	return n
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
