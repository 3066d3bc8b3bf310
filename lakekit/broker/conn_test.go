package broker

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// dialer is a listener on pipes: no network, and the clock of synctest.
type dialer struct {
	waiting chan net.Conn
	closed  chan struct{}
	failing []error // of Accept, first
}

func (d *dialer) Accept() (net.Conn, error) {
	if len(d.failing) > 0 {
		err := d.failing[0]
		d.failing = d.failing[1:]
		return nil, err
	}
	select {
	case c := <-d.waiting:
		return c, nil
	case <-d.closed:
		return nil, net.ErrClosed
	}
}

func (d *dialer) Close() error   { close(d.closed); return nil }
func (d *dialer) Addr() net.Addr { return &net.TCPAddr{} }

// peer is a client's end, and what kfake does at the other: it reads requests,
// and answers them when told to.
type peer struct {
	net.Conn
	server   *conn
	requests chan []byte // as kfake gets them
	ended    chan error  // why it got no more
}

func (p *peer) end(t *testing.T) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-p.ended:
		return err
	default:
		t.Fatal("the connection is open")
		return nil
	}
}

func (p *peer) open(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-p.ended:
		t.Fatalf("the connection is closed: %v", err)
	default:
	}
}

func (p *peer) request(t *testing.T) []byte {
	t.Helper()
	synctest.Wait()
	select {
	case r := <-p.requests:
		return r
	default:
		t.Fatal("kfake has no request")
		return nil
	}
}

// send sends from the side, as the other end may not read all of it.
func (p *peer) send(b []byte) { go func() { _, _ = p.Write(b) }() }

type fixture struct {
	*dialer
	*listener
	log *bytes.Buffer
}

func listen(t *testing.T, configs map[string]string, o Options) *fixture {
	t.Helper()
	limits, err := limitsOf(configs)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{dialer: &dialer{waiting: make(chan net.Conn), closed: make(chan struct{})}, log: logged(t)}
	f.listener = newListener(f.dialer, o, limits)
	return f
}

// logged returns what is logged from now on.
func logged(t *testing.T) *bytes.Buffer {
	var log bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&locked{w: &log}, nil)))
	t.Cleanup(func() { slog.SetDefault(old) })
	return &log
}

type locked struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// dial connects; nil if the broker does not want to.
func (f *fixture) dial(t *testing.T) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	accepted := f.listener.admit(theirs)
	if accepted == nil {
		theirs.Close()
		return nil
	}
	p := &peer{Conn: ours, server: accepted, requests: make(chan []byte, 100), ended: make(chan error, 1)}
	go func() {
		defer accepted.Close()
		for {
			length := make([]byte, 4)
			if _, err := io.ReadFull(accepted, length); err != nil {
				p.ended <- err
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(length))
			if _, err := io.ReadFull(accepted, body); err != nil {
				p.ended <- err
				return
			}
			p.requests <- body
		}
	}()
	t.Cleanup(func() { ours.Close() })
	return p
}

// framed is a request as it goes over the wire.
func framed(req kmsg.Request) []byte {
	b := frameOf(req)
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func metadata() []byte {
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	return framed(req)
}

func produceOf(size int, acks int16) []byte {
	partition := kmsg.NewProduceRequestTopicPartition()
	partition.Records = make([]byte, size)
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "t", append(topic.Partitions, partition)
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.Topics = 9, acks, append(req.Topics, topic)
	return framed(req)
}

func TestRequestsAreHandedOnWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := listen(t, nil, Options{}).dial(t)
		small, large := metadata(), produceOf(3<<20, -1)
		for _, frame := range [][]byte{small, large, small} {
			for part := range slices.Chunk(frame, 1<<20-1) {
				p.send(part)
				synctest.Wait()
			}
			if got := p.request(t); !bytes.Equal(got, frame[4:]) {
				t.Fatalf("%d bytes, want %d", len(got), len(frame)-4)
			}
		}
		p.send(append(slices.Clone(small), small...)) // pipelined
		if got := append(p.request(t), p.request(t)...); !bytes.Equal(got, append(slices.Clone(small[4:]), small[4:]...)) {
			t.Error("two requests at once are not two requests")
		}
		p.Close()
		if err := p.end(t); err != io.EOF {
			t.Errorf("ended by %v", err)
		}
	})
}

func TestStrangersAreNamed(t *testing.T) {
	for _, test := range []struct {
		name, sent, logged string
	}{
		{"a browser", "GET / HTTP/1.1\r\nHost: localhost:9092\r\n\r\n", "looks like an HTTP request: this port speaks Kafka's protocol; make status prints the address"},
		{"curl -d", "POST /topics HTTP/1.1\r\n\r\n", "looks like an HTTP request"},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "looks like an HTTP request"},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01", "looks like TLS, and this port speaks plaintext: set security.protocol to PLAINTEXT"},
		{"ssh", "SSH-2.0-OpenSSH_9.6\r\n", "its request is too long"},
		{"a negative length", "\xff\xff\xff\xff", "does not speak Kafka's protocol"},
		{"a length of nothing", "\x00\x00\x00\x00", "does not speak Kafka's protocol"},
		{"a length of 22 GB, cut to 32 bits", "\x7f\xff\xff\xff", "more than socket.request.max.bytes=104857600"},
		{"one byte more than allowed", "\x06\x40\x00\x01", "104857601 bytes, more than"},
		{"a request without a body", "\x00\x00\x00\x0a\x00\x03\x00\x01\x00\x00\x00\x01\xff\xff", "Metadata v1 of 10 bytes: it ends before"},
		{"an unknown request", "\x00\x00\x00\x0a\x30\x39\x00\x01\x00\x00\x00\x01\xff\xff", "there is no API key 12345"},
		{"a request between brokers", "\x00\x00\x00\x0a\x00\x06\x00\x01\x00\x00\x00\x01\xff\xff", "UpdateMetadata (API key 6) is not served"},
		{"2^32-1 tags", "\x00\x00\x00\x0f\x00\x03\x00\x0c\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\x0f", "it ends before its last field"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := listen(t, nil, Options{})
				p := f.dial(t)
				p.send([]byte(test.sent))
				reply, _ := io.ReadAll(p)
				p.end(t)
				if !strings.Contains(f.log.String(), test.logged) {
					t.Errorf("log %q, want %q", f.log, test.logged)
				}
				if isHTTP := strings.Contains(test.logged, "HTTP"); isHTTP != bytes.HasPrefix(reply, []byte("HTTP/1.1 400")) {
					t.Errorf("reply %q", reply)
				}
				if len(p.requests) > 0 {
					t.Errorf("kfake gets %q", <-p.requests)
				}
				before := f.log.Len()
				for range 100 { // no flood
					again := f.dial(t)
					again.send([]byte(test.sent))
					_, _ = io.ReadAll(again)
					again.end(t)
				}
				if f.log.Len() > before {
					t.Errorf("logged again: %s", f.log)
				}
				time.Sleep(time.Minute)
				last := f.dial(t)
				last.send([]byte(test.sent))
				_, _ = io.ReadAll(last)
				last.end(t)
				if got := f.log.String()[before:]; strings.Count(got, "\n") != 1 || !strings.Contains(got, "100") {
					t.Errorf("after a minute: %q", got)
				}
			})
		})
	}
}

// A version of ApiVersions that is not known is answered, as it is how a client
// finds out (KIP-511). kfake does so when it can read the request.
func TestApiVersionsOfTomorrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := listen(t, nil, Options{}).dial(t)
		for _, version := range []int16{6, 99, -1, -32768} {
			head := kbin.AppendInt32(kbin.AppendInt16(kbin.AppendInt16(nil, 18), version), 4711)
			frame := append(head, "whatever comes then"...)
			p.send(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
			r := kbin.Reader{Src: p.request(t)}
			if key, version, correlation := r.Int16(), r.Int16(), r.Int32(); key != 18 || version != 6 || correlation != 4711 {
				t.Errorf("key %d, version %d, correlation %d", key, version, correlation)
			}
			r.NullableString()
			kmsg.SkipTags(&r)
			req := kmsg.NewPtrApiVersionsRequest()
			req.Version = 6
			if err := req.ReadFrom(r.Src); err != nil || !r.Ok() {
				t.Error(err)
			}
		}
	})
}

func TestMemoryComesWithTheBytes(t *testing.T) {
	f := listen(t, nil, Options{})
	p := f.dial(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := p.Write([]byte{6, 0x40, 0, 0, 0, 3, 0, 12}); err != nil { // 100 MiB, Metadata
		t.Fatal(err)
	}
	if _, err := p.Write(make([]byte, 100<<10)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
		t.Errorf("%d bytes are allocated", allocated)
	}
	p.Close()
	<-p.ended
}

func TestPatience(t *testing.T) {
	const idle = "connections.max.idle.ms"
	for _, test := range []struct {
		name  string
		sends []byte
		last  bool          // a request was answered before
		ends  time.Duration // after the last byte
	}{
		{"nothing is ever said", nil, false, openTime},
		{"the first request is not finished", metadata()[:7], false, openTime},
		{"a request is not finished", metadata()[:7], true, frameTime},
		{"half a length", []byte{0, 0}, true, frameTime},
		{"idle", nil, true, 2 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := listen(t, map[string]string{idle: "120000"}, Options{}).dial(t)
				if test.last {
					p.send(metadata())
					p.request(t)
					time.Sleep(time.Hour) // such as for the rest of a group
					p.answer(t, 10)
				}
				p.send(test.sends)
				time.Sleep(test.ends - time.Millisecond)
				p.open(t)
				time.Sleep(2 * time.Millisecond)
				if err := p.end(t); !errors.Is(err, os.ErrDeadlineExceeded) && !errors.Is(err, errSilent) && !errors.Is(err, isUnfinished) {
					t.Errorf("ended by %v", err)
				}
			})
		})
	}
	t.Run("drops of a request", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := listen(t, nil, Options{}).dial(t)
			for _, b := range produceOf(1000, 1) {
				p.send([]byte{b})
				time.Sleep(time.Second)
			}
			p.end(t)
		})
	})
	t.Run("a client that takes its time over an answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := listen(t, map[string]string{idle: "60000"}, Options{}).dial(t)
			p.send(metadata())
			p.request(t)
			go p.server.Write(make([]byte, 1<<20))
			for range 4 {
				time.Sleep(59 * time.Second)
				if _, err := io.ReadFull(p, make([]byte, 256<<10)); err != nil {
					t.Fatal(err)
				}
			}
			p.open(t)
		})
	})
	t.Run("a client that does not read its answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := listen(t, map[string]string{idle: "60000"}, Options{})
			p := f.dial(t)
			p.send(metadata())
			p.request(t)
			time.Sleep(59 * time.Second)
			p.send(metadata())
			p.request(t)
			if _, err := p.server.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("written: %v", err)
			}
			if !strings.Contains(f.log.String(), "does not read its answers") {
				t.Errorf("log %s", f.log)
			}
		})
	})
}

// answer is what kfake does when a request is done.
func (p *peer) answer(t *testing.T, size int) {
	t.Helper()
	go func() { _, _ = io.ReadFull(p, make([]byte, size)) }()
	if _, err := p.server.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Run("of an address", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := listen(t, map[string]string{"max.connections.per.ip": "2"}, Options{})
			first, second := f.dial(t), f.dial(t)
			if f.dial(t) != nil || !strings.Contains(f.log.String(), "max.connections.per.ip") {
				t.Errorf("a third one is taken, log %s", f.log)
			}
			first.Close()
			first.end(t)
			if f.dial(t) == nil {
				t.Error("the place is not given back")
			}
			second.open(t)
		})
	})
	t.Run("of all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := listen(t, map[string]string{"max.connections": "3"}, Options{})
			waiting, silent, lively := f.dial(t), f.dial(t), f.dial(t)
			waiting.send(metadata())
			waiting.request(t)
			time.Sleep(time.Second)
			silent.send(metadata())
			silent.request(t)
			silent.answer(t, 10)
			time.Sleep(time.Second)
			lively.send(metadata())
			lively.request(t)
			lively.answer(t, 10)
			fourth := f.dial(t)
			if fourth == nil {
				t.Fatal("a connection is refused though another is idle")
			}
			silent.end(t)
			for _, p := range []*peer{waiting, lively, fourth} {
				p.open(t)
			}
			for _, p := range []*peer{lively, fourth} {
				p.send(metadata())
				p.request(t)
			}
			if f.dial(t) != nil {
				t.Error("a connection takes the place of one that waits for an answer")
			}
			if n := len(f.listener.conns); n != 3 {
				t.Errorf("%d connections", n)
			}
		})
	})
}

func TestRequestsQueueForMemory(t *testing.T) {
	config := map[string]string{"socket.request.max.bytes": "1048576", "queued.max.request.bytes": "1048576"}
	for _, acks := range []int16{1, 0} {
		synctest.Test(t, func(t *testing.T) {
			f := listen(t, config, Options{})
			first, second, small := f.dial(t), f.dial(t), f.dial(t)
			first.send(produceOf(700<<10, acks))
			first.request(t)
			second.send(produceOf(700<<10, acks))
			synctest.Wait()
			if len(second.requests) > 0 {
				t.Fatal("more is queued than may be")
			}
			small.send(metadata())
			small.request(t)
			if acks == 0 { // has no answer: kfake asks for the next one
				first.send(metadata())
				first.request(t)
				first.send(metadata())
				first.request(t)
			} else {
				first.answer(t, 10)
			}
			second.request(t)
			second.Close()
			second.end(t)
			third := f.dial(t)
			third.send(produceOf(1000<<10, acks))
			third.request(t) // the memory of a closed connection is free
			fourth := f.dial(t)
			fourth.send(produceOf(1000<<10, acks))
			time.Sleep(frameTime + time.Millisecond)
			fourth.end(t)
			if !strings.Contains(f.log.String(), "queued.max.request.bytes") {
				t.Errorf("log %s", f.log)
			}
		})
	}
}

// The room for answers is shared, and given back.
func TestFetchesShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := listen(t, map[string]string{"queued.max.request.bytes": "134217728"}, Options{})
		fetch := func(p *peer, version int16, maxBytes int32) kmsg.FetchRequest {
			req := kmsg.NewPtrFetchRequest()
			req.Version, req.MaxWaitMillis, req.MinBytes, req.MaxBytes = version, 1<<30, 1<<30, maxBytes
			p.send(framed(req))
			r := kbin.Reader{Src: p.request(t)[8:]}
			r.NullableString()
			got := kmsg.NewFetchRequest()
			if got.Version = version; got.IsFlexible() {
				kmsg.SkipTags(&r)
			}
			if err := got.ReadFrom(r.Src); err != nil {
				t.Fatal(err)
			}
			return got
		}
		var peers []*peer
		var sum int64
		for range 60 {
			p := f.dial(t)
			peers = append(peers, p)
			got := fetch(p, 17, 1<<30)
			if got.MaxBytes < fetchLeast || got.MaxBytes > fetchMax || got.MinBytes != got.MaxBytes || got.MaxWaitMillis != 600_000 {
				t.Fatalf("%+v", got)
			}
			sum += int64(got.MaxBytes)
		}
		if most := int64(128<<20 + 60*fetchLeast); sum > most || f.responses != sum {
			t.Errorf("%d bytes, noted are %d, want at most %d", sum, f.responses, most)
		}
		for _, p := range peers {
			p.answer(t, 1000)
		}
		if f.responses != 60*1000 { // which kfake keeps
			t.Errorf("%d bytes after the answers", f.responses)
		}
		if got := fetch(peers[0], 4, 1000); got.MaxBytes != 1000 {
			t.Errorf("a fetch that wants little gets %d", got.MaxBytes)
		}
		for _, p := range peers {
			p.Close()
			p.end(t)
		}
		if f.responses != 0 || len(f.listener.conns)+len(f.ips) > 0 {
			t.Errorf("%d bytes, %d connections at the end", f.responses, len(f.listener.conns))
		}
	})
}

// The memory of answers that are not read, or that kfake keeps, is bounded.
func TestAnswersShareMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := listen(t, map[string]string{"socket.request.max.bytes": "1048576", "queued.max.request.bytes": "16777216"}, Options{})
		ask := func() *peer {
			p := f.dial(t)
			p.send(metadata())
			p.request(t)
			return p
		}
		done := ask()
		done.answer(t, 8<<20)
		stuck := ask()
		go stuck.server.Write(make([]byte, 12<<20))
		synctest.Wait()
		done.end(t) // it was idle, and gave way
		late := ask()
		if _, err := late.server.Write(make([]byte, 5<<20)); err == nil || !strings.Contains(f.log.String(), "its answer is too long") {
			t.Errorf("written: %v, log %s", err, f.log)
		}
		ask().answer(t, freeResponse)
		if f.responses > 16<<20 {
			t.Errorf("%d bytes", f.responses)
		}
		stuck.open(t)
	})
}

func TestShareFetchesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := listen(t, nil, Options{}).dial(t)
		req := kmsg.NewPtrShareFetchRequest()
		req.Version, req.GroupID, req.MemberID = 1, kmsg.StringPtr("group"), kmsg.StringPtr("member")
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 1<<30, 1<<30, 1<<30
		p.send(framed(req))
		parsed, err := parseRequest(p.request(t))
		if err != nil {
			t.Fatal(err)
		}
		got := kmsg.NewShareFetchRequest()
		got.Version = 1
		if err := got.ReadFrom(parsed.body); err != nil || got.MaxWaitMillis != 600_000 || got.MaxBytes != fetchMax || got.MinBytes != fetchMax {
			t.Errorf("%+v (%v)", got, err)
		}
	})
}

// Before its login a client gets no further than the login, with requests of
// the size of a login, and after it at once: with the last byte of the answer.
func TestLoginComesFirst(t *testing.T) {
	handshake := func(mechanism string) []byte {
		req := kmsg.NewPtrSASLHandshakeRequest()
		req.Version, req.Mechanism = 1, mechanism
		return framed(req)
	}
	authenticate := func(size int) []byte {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = 2, make([]byte, size)
		return framed(req)
	}
	accepted := kmsg.NewPtrSASLAuthenticateResponse()
	accepted.Version = 2
	failed := *accepted
	failed.ErrorCode = 58
	answer := func(r *kmsg.SASLAuthenticateResponse) []byte { return r.AppendTo(make([]byte, 9)) }
	for _, test := range []struct {
		name  string
		steps [][]byte // requests with answers, in turn
		then  []byte
		open  bool
	}{
		{"none", nil, metadata(), false},
		{"PLAIN", [][]byte{handshake("PLAIN"), make([]byte, 20), authenticate(10), answer(accepted)}, metadata(), true},
		{"PLAIN refused", [][]byte{handshake("PLAIN"), make([]byte, 20), authenticate(10), answer(&failed)}, metadata(), false},
		{"no handshake", [][]byte{authenticate(10), answer(accepted)}, metadata(), false},
		{"SCRAM", [][]byte{handshake("SCRAM-SHA-512"), make([]byte, 20), authenticate(10), answer(accepted), authenticate(10), answer(accepted)}, metadata(), true},
		{"half of SCRAM", [][]byte{handshake("SCRAM-SHA-512"), make([]byte, 20), authenticate(10), answer(accepted)}, metadata(), false},
		{"SCRAM refused", [][]byte{handshake("SCRAM-SHA-512"), make([]byte, 20), authenticate(10), answer(accepted), authenticate(10), answer(&failed)}, metadata(), false},
		{"too long before", [][]byte{handshake("PLAIN"), make([]byte, 20)}, authenticate(600 << 10), false},
		{"as long after", [][]byte{handshake("PLAIN"), make([]byte, 20), authenticate(10), answer(accepted)}, produceOf(600<<10, 1), true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := listen(t, nil, Options{Users: []User{{}}}).dial(t)
				answers := make(chan []byte)
				defer close(answers)
				go func() { // as kfake, one after the other
					for a := range answers {
						_, _ = p.server.Write(a)
					}
				}()
				for step := range slices.Chunk(test.steps, 2) {
					p.send(step[0])
					p.request(t)
					answers <- step[1]
					// The next request is there before Write has returned.
					if _, err := io.ReadFull(p, make([]byte, len(step[1]))); err != nil {
						t.Fatal(err)
					}
				}
				p.send(test.then)
				if !test.open {
					p.end(t)
				} else if got := p.request(t); !bytes.Equal(got, test.then[4:]) {
					t.Errorf("%d bytes", len(got))
				}
			})
		})
	}
}

func TestAcceptGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := listen(t, nil, Options{})
		f.failing = []error{errors.New("too many open files"), errors.New("too many open files")}
		_, theirs := net.Pipe()
		go func() { f.waiting <- theirs }()
		if c, err := f.listener.Accept(); err != nil || c == nil {
			t.Error(err)
		}
		if !strings.Contains(f.log.String(), "too many open files") {
			t.Errorf("log %s", f.log)
		}
		f.listener.Close()
		if _, err := f.listener.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
	})
}

func TestLimits(t *testing.T) {
	for _, test := range []struct {
		configs map[string]string
		problem string
	}{
		{nil, ""},
		{map[string]string{"socket.request.max.bytes": "2000", "connections.max.idle.ms": " 1 "}, ""},
		{map[string]string{"socket.request.max.byte": "2000"}, "socket.request.max.byte: unknown, known are connections.max.idle.ms, max.connections,"},
		{map[string]string{"socket.request.max.bytes": "2k"}, "socket.request.max.bytes=2k: must be an integer from 1024 to 1073741824"},
		{map[string]string{"max.connections": "0"}, "max.connections=0: must be"},
		{map[string]string{"socket.request.max.bytes": "1073741824"}, "queued.max.request.bytes=268435456: must be at least socket.request.max.bytes, 1073741824"},
	} {
		_, err := limitsOf(test.configs)
		if (err == nil) != (test.problem == "") || err != nil && !strings.Contains(err.Error(), test.problem) {
			t.Errorf("%v: %v, want %q", test.configs, err, test.problem)
		}
		if err := Run(context.Background(), Options{Dir: "/dev/null/never", Configs: test.configs}); test.problem != "" && (err == nil || !strings.Contains(err.Error(), test.problem)) {
			t.Errorf("run: %v", err)
		}
	}
}

// Whatever comes, in whatever pieces: kfake gets requests of the right shape
// only, and memory is given back.
func FuzzConnection(f *testing.F) {
	f.Add(append(metadata(), produceOf(100, 1)...), uint16(3))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(1))
	f.Add(produceOf(100_000, 0), uint16(1000))
	limits, err := limitsOf(map[string]string{"socket.request.max.bytes": "1048576", "queued.max.request.bytes": "1048576"})
	if err != nil {
		f.Fatal(err)
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	f.Fuzz(func(t *testing.T, sent []byte, piece uint16) {
		l := newListener(&dialer{}, Options{}, limits)
		ours, theirs := net.Pipe()
		c := l.admit(theirs)
		go func() {
			for part := range slices.Chunk(sent, int(piece)+1) {
				if _, err := ours.Write(part); err != nil {
					break
				}
			}
			ours.Close()
		}()
		for {
			length := make([]byte, 4)
			if _, err := io.ReadFull(c, length); err != nil {
				break
			}
			body := make([]byte, binary.BigEndian.Uint32(length))
			if _, err := io.ReadFull(c, body); err != nil {
				t.Fatalf("half a request: %v", err)
			}
			if _, err := parseRequest(body); err != nil && !bytes.HasPrefix(body, []byte{0, 18, 0, 6}) {
				t.Fatalf("handed on: %v", err)
			}
		}
		c.Close()
		if !l.queued.TryAcquire(limits.queued) || l.responses != 0 || len(l.conns)+len(l.ips) != 0 {
			t.Errorf("not all is given back: %d, %v", l.responses, l.conns)
		}
	})
}
