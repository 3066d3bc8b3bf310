package broker_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is a request of a client that sends what it likes.
func wire(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	return kmsg.NewRequestFormatter().AppendRequest(nil, req, 1)
}

// head is a request's header with a length that need not be true.
func head(length uint32, key, version int16, more ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, length)
	b = kbin.AppendInt32(kbin.AppendInt16(kbin.AppendInt16(b, key), version), 1)
	return append(kbin.AppendInt16(b, -1), more...)
}

// connect connects, and sends; the rest is the caller's.
func connect(t *testing.T, addr string, sent ...[]byte) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	for _, b := range sent {
		if _, err := c.Write(b); err != nil {
			return c // refused before the end
		}
	}
	return c
}

func hungUp(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

func answered(t *testing.T, c net.Conn) {
	t.Helper()
	var length [4]byte
	_, err := io.ReadFull(c, length[:])
	if err == nil {
		_, err = io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(length[:])))
	}
	if err != nil {
		t.Error(err)
	}
}

// memory returns the most that a process has had, in MB: resident, and mapped.
func memory(t *testing.T, p *os.Process) (resident, mapped int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &resident)
		_, _ = fmt.Sscanf(line, "VmPeak: %d kB", &mapped)
	}
	return resident >> 10, mapped >> 10
}

// full is a topic of three partitions with some hundred MB.
func full(t *testing.T, addr string, megabytes int) {
	t.Helper()
	c := client(t, addr)
	topic := newTopic("full")
	topic.NumPartitions = 3
	created := mustCreate(t, c, topic)
	noise := make([]byte, 1_000_000)
	r := rand.NewChaCha8([32]byte{})
	for range megabytes / 3 {
		_, _ = r.Read(noise)
		b := batch(0, records(record(0, string(noise))), 1)
		send(t, c, created, b, b, b)
	}
}

func fetchOf(topic string, wait, maxBytes int32) []byte {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = wait, 1, maxBytes
	of := kmsg.NewFetchRequestTopic()
	of.Topic = topic
	for n := range int32(3) {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = n, maxBytes
		of.Partitions = append(of.Partitions, p)
	}
	req.Topics = append(req.Topics, of)
	return wire(req, 11)
}

func produceOf(topic string, acks int16, size int) []byte {
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = batch(0, records(record(0, string(make([]byte, size)))), 1)
	to := kmsg.NewProduceRequestTopic()
	to.Topic, to.Partitions = topic, append(to.Partitions, partition)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = acks, 1000, append(req.Topics, to)
	return wire(req, 9)
}

// underRace is whether this is built with the race detector.
var underRace bool

// Whoever connects, with whatever: the broker's memory stays in bounds, and
// others are served meanwhile and after it.
func TestBounds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory of a process is read from /proc")
	}
	if underRace {
		t.Skip("the race detector takes memory of its own")
	}
	mostTags := []byte{255, 255, 255, 255, 15}
	for _, test := range []struct {
		name   string
		most   int // MB of resident memory
		attack func(t *testing.T, addr string)
	}{
		{"browsers", 150, func(t *testing.T, addr string) {
			for range 20 {
				hungUp(t, connect(t, addr, []byte("GET / HTTP/1.1\r\n\r\n")))
			}
		}},
		{"lengths without bytes", 150, func(t *testing.T, addr string) {
			for range 200 {
				connect(t, addr, head(100<<20, 3, 12))
			}
		}},
		{"unknown API key", 150, func(t *testing.T, addr string) { hungUp(t, connect(t, addr, head(10, 12345, 0))) }},
		{"2^32-1 tags of headers", 150, func(t *testing.T, addr string) {
			for range 20 {
				hungUp(t, connect(t, addr, head(15, 3, 12, mostTags...)))
			}
		}},
		{"2^32-1 tags of bodies", 150, func(t *testing.T, addr string) {
			for range 20 {
				hungUp(t, connect(t, addr, head(19, 3, 12, append([]byte{0, 0, 0, 0}, mostTags...)...)))
			}
		}},
		{"arrays without elements", 500, func(t *testing.T, addr string) {
			const length = 100 << 20
			b := head(length, 19, 4, kbin.AppendInt32(nil, length-100)...)
			hungUp(t, connect(t, addr, b, make([]byte, length+4-len(b))))
		}},
		{"requests that are not finished", 500, func(t *testing.T, addr string) {
			part := produceOf("full", 1, 900_000)
			for range 400 {
				connect(t, addr, part[:len(part)-1])
			}
		}},
		{"clients that do not read", 700, func(t *testing.T, addr string) {
			full(t, addr, 60)
			for range 60 {
				connect(t, addr, fetchOf("full", 1000, math.MaxInt32))
			}
			time.Sleep(3 * time.Second) // until all are answered, into their sockets
		}},
		{"clients that keep reading", 700, func(t *testing.T, addr string) {
			full(t, addr, 60)
			for range 15 {
				c := connect(t, addr)
				for range 2 {
					_, _ = c.Write(fetchOf("full", 1000, math.MaxInt32))
					answered(t, c)
				}
			}
		}},
		{"questions with long answers", 700, func(t *testing.T, addr string) {
			mustCreate(t, client(t, addr), newTopic("full"))
			req := kmsg.NewPtrDescribeConfigsRequest()
			for range 20_000 {
				r := kmsg.NewDescribeConfigsRequestResource()
				r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, "full"
				req.Resources = append(req.Resources, r)
			}
			for range 10 {
				connect(t, addr, wire(req, 4))
			}
			time.Sleep(time.Second)
		}},
		{"producers that come and go", 250, func(t *testing.T, addr string) {
			mustCreate(t, client(t, addr), newTopic("full"))
			b := produceOf("full", 1, 900_000)
			for range 500 {
				c := connect(t, addr, b)
				answered(t, c)
				c.Close()
			}
		}},
		{"fetches that wait for ever", 250, func(t *testing.T, addr string) {
			mustCreate(t, client(t, addr), newTopic("full"))
			for range 1000 {
				connect(t, addr, fetchOf("full", math.MaxInt32, 1)).Close()
			}
		}},
		{"connections that say nothing", 250, func(t *testing.T, addr string) {
			for range 1000 {
				connect(t, addr)
			}
		}},
		{"batches that expand", 150, func(t *testing.T, addr string) {
			c := client(t, addr)
			created := mustCreate(t, c, newTopic("bombs", "max.message.bytes=100000000"))
			bomb := records(record(0, string(make([]byte, 110<<20))))
			for codec := 1; codec < len(codecs); codec++ {
				b := batch(codec, codecs[codec].pack(bomb), 1)
				for range 4 {
					if got := send(t, c, created, b)[0]; got != kerr.InvalidRecord {
						t.Errorf("%s: %v, want %v", codecs[codec].name, got, kerr.InvalidRecord)
					}
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			addr, process, _ := startCommand(t, t.TempDir(), 0)
			start := time.Now()
			test.attack(t, addr)
			took := time.Since(start)
			c := client(t, addr, kgo.DefaultProduceTopic("works"))
			mustCreate(t, c, newTopic("works"))
			produce(t, c, "works", 1)
			if got := endOffset(t, c, "works"); got != 1 {
				t.Errorf("end offset %d", got)
			}
			resident, mapped := memory(t, process)
			t.Logf("%d MB resident, %d MB mapped, %v", resident, mapped, took.Round(10*time.Millisecond))
			if resident > test.most || mapped > 4000 {
				t.Errorf("more than %d MB", test.most)
			}
		})
	}
}
