package broker

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// victim is a broker that strangers talk to, and a proper client beside them.
type victim struct {
	addr   string
	topic  kmsg.CreateTopicsResponseTopic
	client *kgo.Client
}

func newVictim(t testing.TB) *victim {
	t.Helper()
	slog.SetDefault(slog.New(slog.DiscardHandler))
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- Run(ctx, Options{Dir: dir, Ready: func(addr string) { ready <- addr }}) }()
	v := &victim{}
	select {
	case v.addr = <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if v.client, err = kgo.NewClient(kgo.SeedBrokers(v.addr)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.client.Close)
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "t", 2, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := req.RequestWith(ctx, v.client)
	if err != nil {
		t.Fatal(err)
	}
	v.topic = resp.Topics[0]
	return v
}

// send sends what a stranger does, and takes what comes until the broker hangs
// up or has nothing more to say.
func (v *victim) send(t testing.TB, frames ...[]byte) {
	t.Helper()
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() {
		_, _ = c.Write(slices.Concat(frames...))
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("no answer, and no end of the connection: %x", frames)
	}
}

// works is whether a proper client is served.
func (v *victim) works(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if _, err := kmsg.NewPtrMetadataRequest().RequestWith(ctx, v.client); err != nil {
		t.Fatalf("others are not served: %v", err)
	}
}

// odd gives the fields of a request values that are known to the broker, at the
// edge, or make no sense.
func (v *victim) odd(r *rand.Rand, value reflect.Value) {
	one := func(n int) int { return r.IntN(n) }
	switch value.Kind() {
	case reflect.Struct:
		for i := range value.NumField() {
			if name := value.Type().Field(i).Name; value.Field(i).CanSet() && name != "Version" {
				v.odd(r, value.Field(i))
				if name == "MaxWaitMillis" || name == "TimeoutMillis" {
					value.Field(i).SetInt(int64(one(3) - 1)) // nobody waits for it
				}
			}
		}
	case reflect.Pointer:
		if one(4) > 0 {
			value.Set(reflect.New(value.Type().Elem()))
			v.odd(r, value.Elem())
		}
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), []int{0, 1, 1, 1, 2, 3}[one(6)], 3))
		for i := range value.Len() {
			v.odd(r, value.Index(i))
		}
	case reflect.Array:
		if one(4) > 0 {
			value.Set(reflect.ValueOf(v.topic.TopicID))
		} else {
			value.Index(0).SetUint(uint64(one(256)))
		}
	case reflect.String:
		value.SetString([]string{"t", "t", "t", "u", "", ".", "__consumer_offsets", "\x00/../\xff", "0", "-1", "compact", "range", "consumer"}[one(13)])
	case reflect.Bool:
		value.SetBool(one(2) == 0)
	case reflect.Float64:
		value.SetFloat([]float64{0, 1, -1, math.NaN(), math.Inf(1)}[one(5)])
	default:
		n := []int64{0, 0, 0, 1, 1, 2, -1, -2, 100, math.MaxInt8, math.MinInt8, math.MaxInt16, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64}[one(16)]
		if value.CanUint() {
			value.SetUint(uint64(n))
		} else {
			value.SetInt(n)
		}
	}
}

func oddFrame(v *victim, r *rand.Rand, key, version int16) []byte {
	req := kmsg.RequestForKey(key)
	v.odd(r, reflect.ValueOf(req).Elem())
	req.SetVersion(version)
	return framed(req)
}

// Requests of the right shape whose values make no sense are no end of the
// broker either.
func TestOddRequests(t *testing.T) {
	v := newVictim(t)
	r := rand.New(rand.NewPCG(5, 6))
	for key, s := range offered {
		for version := s.min; version <= s.max; version++ {
			for range 5 {
				v.send(t, oddFrame(v, r, key, version))
			}
		}
		v.works(t)
	}
}

// Requests at which kfake ended, and the whole broker with it.
func TestRequestsThatEndedTheBroker(t *testing.T) {
	v := newVictim(t)
	produce := kmsg.NewPtrProduceRequest()
	produce.Version, produce.Acks = 13, -1
	for n := range byte(2) { // topics that are not there, or not any more
		partition := kmsg.NewProduceRequestTopicPartition()
		partition.Partition = int32(n)
		topic := kmsg.NewProduceRequestTopic()
		topic.TopicID = [16]byte{1, n}
		topic.Partitions = append(topic.Partitions, partition, kmsg.ProduceRequestTopicPartition{Partition: 1})
		produce.Topics = append(produce.Topics, topic)
	}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Version, join.Group, join.ProtocolType = 3, "g", "consumer"
	join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 6000, 6000
	for range 2 {
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name = "range"
		join.Protocols = append(join.Protocols, protocol)
	}
	for _, req := range []kmsg.Request{produce, join} {
		if err := v.ask(t, req); err != nil {
			t.Errorf("%T: %v", req, err)
		}
		v.works(t)
	}
}

// ask sends one request and waits for its answer.
func (v *victim) ask(t *testing.T, req kmsg.Request) error {
	t.Helper()
	c, err := net.Dial("tcp", v.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		return err
	}
	if _, err := c.Write(framed(req)); err != nil {
		return err
	}
	_, err = io.ReadFull(c, make([]byte, 8))
	return err
}

// FuzzBroker: whatever bytes come over a connection, each piece with the length
// that it has, the broker lives, and serves others.
func FuzzBroker(f *testing.F) {
	v := newVictim(f)
	r := rand.New(rand.NewPCG(7, 8))
	for key, s := range offered {
		frame := oddFrame(v, r, key, s.max)
		f.Add(frame[4:], []byte("GET / HTTP/1.1\r\n\r\n"))
		f.Add(metadata()[4:], frame[4:])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var frames [][]byte
		for _, b := range [][]byte{first, second} {
			frames = append(frames, binary.BigEndian.AppendUint32(nil, uint32(len(b))), b)
		}
		v.send(t, frames...)
		v.works(t)
	})
}
