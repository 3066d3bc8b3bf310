package broker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kbin"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/semaphore"
)

// kfake believes its clients: it allocates what a length says, waits for ever,
// and writes for ever. Between it and them stand the listener and the
// connections of this file: kfake gets whole requests that parseRequest has
// measured, and nothing else.

const (
	// openTime is how long a client may take from connecting to the end of its
	// first request; Kafka's clients send it at once.
	openTime = 30 * time.Second
	// frameTime is how long a request may take from its first byte to its last,
	// waiting for memory included; Kafka's clients wait as long for the answer.
	frameTime = 30 * time.Second
	// freeSize is how many bytes of a request are not counted as queued.
	freeSize = 64 << 10
	// fetchMax is fetch.max.bytes, Kafka's default.
	fetchMax = 55 << 20
	// fetchLeast is what a fetch may bring however many connections there are;
	// as in Kafka, one batch is always returned.
	fetchLeast = 1 << 20
	// freeResponse is how long a response may be however many are kept.
	freeResponse = 2 * fetchLeast
	// portion is how much is written under one deadline.
	portion = 256 << 10
)

type listener struct {
	net.Listener
	limits
	dir       string                        // where the broker's data is
	cluster   atomic.Pointer[kfake.Cluster] // nil until it has started
	tls       *tls.Config
	login     bool // clients must log in
	queued    *semaphore.Weighted
	complains complaints

	mu        sync.Mutex
	conns     map[*conn]bool
	ips       map[string]int64
	responses int64 // bytes that conns have room for
}

func newListener(l net.Listener, o Options, limits limits) *listener {
	return &listener{
		Listener: l, limits: limits, dir: o.Dir, tls: o.TLS, login: len(o.Users) > 0,
		queued: semaphore.NewWeighted(limits.queued),
		conns:  map[*conn]bool{}, ips: map[string]int64{},
	}
}

// Accept returns the next connection. kfake never accepts again after an error,
// so it sees only that of the end.
func (l *listener) Accept() (net.Conn, error) {
	for pause := time.Millisecond; ; {
		raw, err := l.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil: // such as: too many open files
			l.complains.warn("connections cannot be accepted", "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
			continue
		}
		pause = time.Millisecond
		if c := l.admit(raw); c != nil {
			return c, nil
		}
		raw.Close()
	}
}

// admit makes room for a connection, or returns nil. When all places are taken,
// the connection that has been silent for longest ends, as its client will
// connect again when it has something to say.
func (l *listener) admit(raw net.Conn) *conn {
	ip, _, err := net.SplitHostPort(raw.RemoteAddr().String())
	if err != nil {
		ip = raw.RemoteAddr().String()
	}
	c := &conn{Conn: raw, raw: raw, ip: ip, l: l, opened: time.Now(), loginSteps: -1}
	if l.tls != nil {
		c.Conn = tls.Server(raw, l.tls)
	}
	c.in = bufio.NewReaderSize(c.Conn, 16<<10)
	c.active.Store(c.opened.UnixNano())

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ips[ip] >= l.connsPerIP {
		l.complains.warn("a connection is refused: its address has max.connections.per.ip of them", "address", ip, "connections", l.connsPerIP)
		return nil
	}
	if int64(len(l.conns)) >= l.limits.conns {
		if !l.end(func(a, b *conn) bool { return a.active.Load() < b.active.Load() }) {
			l.complains.warn("a connection is refused: there are max.connections of them, all at work", "connections", l.limits.conns)
			return nil
		}
		l.complains.warn("there are max.connections: the one silent for longest is closed for a new one", "connections", l.limits.conns)
	}
	l.conns[c] = true
	l.ips[ip]++
	return c
}

// end closes the first of the connections whose clients do not wait for an
// answer, if there is one. The caller holds mu.
func (l *listener) end(before func(a, b *conn) bool) bool {
	var first *conn
	for c := range l.conns {
		if !c.waits() && (first == nil || before(c, first)) {
			first = c
		}
	}
	if first == nil {
		return false
	}
	l.forget(first)
	first.raw.Close()
	return true
}

// forget gives back what a connection has taken, once. The caller holds mu.
func (l *listener) forget(c *conn) {
	if !l.conns[c] {
		return
	}
	delete(l.conns, c)
	l.responses -= c.room
	if l.ips[c.ip]--; l.ips[c.ip] == 0 {
		delete(l.ips, c.ip)
	}
}

// roomFor returns how many bytes a fetch may bring, of those it asks for: up
// to a quarter of what others have left.
func (l *listener) roomFor(c *conn, asked int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	free := l.limits.queued - l.responses + c.room
	given := min(max(asked, 0), fetchMax, max(free/4, fetchLeast))
	l.setRoom(c, max(c.largest, given))
	return given
}

// makeRoom notes that a response has been made, and is false if there is no
// memory for it. kfake keeps the memory of a connection's largest response;
// idle connections give way to it.
func (l *listener) makeRoom(c *conn, size int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.largest = max(c.largest, size)
	l.setRoom(c, c.largest)
	for size > freeResponse && l.responses > l.limits.queued {
		if !l.end(func(a, b *conn) bool { return a.room > b.room }) {
			l.setRoom(c, 0)
			return false
		}
	}
	return true
}

func (l *listener) setRoom(c *conn, room int64) {
	if l.conns[c] {
		l.responses += room - c.room
		c.room = room
	}
}

// conn is a client's connection. kfake reads it in one goroutine and writes it
// in another, a response with each Write.
type conn struct {
	net.Conn // raw, or TLS over it
	raw      net.Conn
	ip       string
	l        *listener
	in       *bufio.Reader
	opened   time.Time
	active   atomic.Int64 // time of the last byte in or out, Unix nanoseconds

	// Of the reader.
	spoke bool
	frame []byte // with its length
	rest  []byte // of the frame, for kfake to read
	again bool   // kfake gets the frame once more
	size  int64  // of the frame's memory that counts as queued

	// Of both, under l.mu.
	room    int64 // bytes that responses may take, which kfake keeps for the next
	largest int64 // response so far

	mu         sync.Mutex
	held       []*heldRequest // oldest first
	loginSteps int            // that are missing; -1: not begun
	loggedIn   bool
	closed     bool
}

// heldRequest is one that kfake has.
type heldRequest struct {
	key, version int16
	size         int64
	answered     bool   // that is, it will be
	body         []byte // if its answer is amended by it
	rehearsal    bool   // kfake gets it once more, and the client the second answer
}

// frames are buffers of requests that have been handed on.
var frames = sync.Pool{New: func() any { return new([]byte) }}

// keptFrame is the largest buffer that is kept.
const keptFrame = 4 << 20

// Read hands on the next request, piece by piece.
func (c *conn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.next(); err != nil {
			c.l.queued.Release(c.size)
			c.size = 0
			c.release()
			return 0, err
		}
		c.rest = c.frame
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	switch {
	case len(c.rest) > 0:
	case c.again:
		c.again, c.rest = false, c.frame
	default:
		c.release()
	}
	return n, nil
}

func (c *conn) release() {
	if buffer := c.frame; buffer != nil && cap(buffer) <= keptFrame {
		frames.Put(&buffer)
	}
	c.frame, c.rest = nil, nil
}

// next reads requests until there is one for kfake.
func (c *conn) next() error {
	c.settle()
	if err := c.await(); err != nil {
		return c.failed(err)
	}
	end := time.Now().Add(frameTime)
	if !c.spoke {
		end = c.opened.Add(openTime)
	}
	if err := c.Conn.SetReadDeadline(end); err != nil {
		return err
	}
	if err := c.receive(end); err != nil {
		return c.failed(err)
	}
	c.spoke = true
	c.active.Store(time.Now().UnixNano())
	if err := c.inspect(); err != nil {
		return c.failed(err)
	}
	return nil
}

var errSilent = errors.New("the client was silent for too long")

// await waits for the first byte of a request. A client that waits for an
// answer is not idle.
func (c *conn) await() error {
	for {
		last := time.Unix(0, c.active.Load())
		if c.waits() {
			last = time.Now()
		}
		end := last.Add(c.l.idle)
		if first := c.opened.Add(openTime); !c.spoke && first.Before(end) {
			end = first
		}
		if !time.Now().Before(end) {
			return errSilent
		}
		set := c.Conn.SetReadDeadline
		if !c.spoke {
			set = c.Conn.SetDeadline // TLS has something to write as well
		}
		if err := set(end); err != nil {
			return err
		}
		if _, err := c.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

// receive reads a frame into memory that grows as its bytes come.
func (c *conn) receive(end time.Time) error {
	head, err := c.in.Peek(4)
	if err != nil {
		return err
	}
	size := int64(int32(binary.BigEndian.Uint32(head)))
	if err := c.checkSize(head, size); err != nil {
		return err
	}
	size += 4
	c.size = 0
	buffer := *frames.Get().(*[]byte)
	for have := int64(0); have < size; {
		want := min(size, max(2*have, freeSize))
		if err := c.queue(want, end); err != nil {
			return err
		}
		c.frame = slices.Grow(buffer[:have], int(want-have))[:want]
		n, err := io.ReadFull(c.in, c.frame[have:])
		if have += int64(n); err != nil {
			return err
		}
		buffer = c.frame
	}
	return nil
}

// queue takes of what all connections may hold.
func (c *conn) queue(size int64, end time.Time) error {
	more := size - c.size
	if size <= freeSize || more <= 0 {
		return nil
	}
	if !c.l.queued.TryAcquire(more) {
		ctx, cancel := context.WithDeadline(context.Background(), end)
		defer cancel()
		if err := c.l.queued.Acquire(ctx, more); err != nil {
			return objectf(isUnfinished.what, "%d bytes are queued already, as many as queued.max.request.bytes allows", c.l.limits.queued)
		}
	}
	c.size = size
	return nil
}

// objection is what is wrong with a client; detail tells one client from another.
type objection struct {
	what   string
	detail error
}

func (r objection) Error() string {
	if r.detail == nil {
		return r.what
	}
	return r.what + ": " + r.detail.Error()
}

func objectf(what, format string, args ...any) objection {
	return objection{what, fmt.Errorf(format, args...)}
}

var (
	looksLikeHTTP = objection{what: "it looks like an HTTP request: this port speaks Kafka's protocol; make status prints the address of the web page"}
	looksLikeTLS  = objection{what: "it looks like TLS, and this port speaks plaintext: set security.protocol to PLAINTEXT, or SASL_PLAINTEXT with a login"}
	speaksPlain   = objection{what: "it speaks plaintext, and this port TLS: set security.protocol to SSL, or SASL_SSL with a login"}
	isUnfinished  = objection{what: "it did not finish a request in time"}
)

// leastFrame is a request's API key, version and correlation id.
const leastFrame = 8

func (c *conn) checkSize(head []byte, size int64) error {
	switch {
	case isHTTP(head):
		return looksLikeHTTP
	case head[0] == 0x16 && head[1] == 3: // handshake record, SSL 3 and all TLS
		return looksLikeTLS
	case size < leastFrame:
		return objectf("it does not speak Kafka's protocol", "a request cannot begin with %q", head)
	case size > c.l.request:
		return objectf("its request is too long", "%d bytes, more than socket.request.max.bytes=%d", size, c.l.request)
	case !c.mayAll() && size > c.l.limits.login:
		return objectf("its request before the login is too long", "%d bytes, more than sasl.server.max.receive.size=%d", size, c.l.limits.login)
	}
	return nil
}

func isHTTP(head []byte) bool {
	return slices.Contains([]string{"GET ", "HEAD", "POST", "PUT ", "DELE", "CONN", "OPTI", "TRAC", "PATC", "PRI "}, string(head[:4]))
}

// failed says what was wrong with a client whose connection ends with err.
func (c *conn) failed(err error) error {
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &plain) && isHTTP(plain.RecordHeader[:]):
		err = looksLikeHTTP
	case errors.As(err, &plain):
		err = speaksPlain
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = isUnfinished
	}
	if err == looksLikeHTTP {
		_ = c.raw.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(c.raw, "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"+
			"This port speaks Kafka's protocol. make status prints the address of the web page.\n")
	}
	var r objection
	if !errors.As(err, &r) { // connections end like this
		slog.Debug("broker: a connection ended", "client", c.raw.RemoteAddr(), "error", err)
		return err
	}
	args := []any{"client", c.raw.RemoteAddr()}
	if r.detail != nil {
		args = append(args, "problem", r.detail)
	}
	c.l.complains.warn("a client is disconnected: "+r.what, args...)
	return err
}

// inspect measures the frame and notes what kfake will have of it.
func (c *conn) inspect() error {
	const what = "its request is refused"
	req, err := parseRequest(c.frame[4:])
	var unknown unsupported
	if errors.As(err, &unknown) && req.key == kmsg.ApiVersions.Int16() {
		c.frame = apiVersionsOfTomorrow(c.frame[:0], req.correlation)
		err = nil
	}
	switch {
	case errors.As(err, &unknown):
		return objection{what, err}
	case err != nil:
		return objectf(what, "%s v%d of %d bytes: %w", req.name, req.version, len(c.frame)-4, err)
	}
	held := &heldRequest{key: req.key, version: req.version, size: c.size, answered: true}
	switch kmsg.Key(req.key) {
	case kmsg.ApiVersions, kmsg.SASLAuthenticate:
	case kmsg.SASLHandshake:
		c.loginBegins(req)
	default:
		if !c.mayAll() {
			return objectf(what, "%s without a login: set security.protocol, sasl.mechanism, sasl.username and sasl.password", req.name)
		}
	}
	switch kmsg.Key(req.key) {
	case kmsg.Produce:
		held.answered = acksOf(req) != 0
		if err := markBadBatches(req); err != nil && !held.answered {
			return objectf(what, "a batch is not in order, and its producer wants no answer (acks=0): %w", err)
		} else if err != nil {
			c.l.complains.warn("a batch is refused", "client", c.raw.RemoteAddr(), "problem", err)
		}
	case kmsg.Fetch, kmsg.ShareFetch:
		c.limitFetch(fetchLimits(req))
	case kmsg.OffsetFetch, kmsg.LeaveGroup:
		held.body = bytes.Clone(req.body)
	case kmsg.InitProducerID:
		c.again = fences(req)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	if c.again {
		c.held = append(c.held, &heldRequest{key: req.key, version: req.version, answered: true, rehearsal: true})
	}
	c.held = append(c.held, held)
	c.size = 0
	return nil
}

func (c *conn) loginBegins(handshake request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loginSteps = 2 // SCRAM
	if bytes.HasSuffix(handshake.body, []byte(Plain)) {
		c.loginSteps = 1
	}
}

// apiVersionsOfTomorrow stands for a request in a version that is not known, so
// not to be read: Kafka answers it with the versions that are (KIP-511).
func apiVersionsOfTomorrow(frame []byte, correlation int32) []byte {
	req := kmsg.NewPtrApiVersionsRequest()
	req.Version = offered[req.Key()].max
	frame = kmsg.NewRequestFormatter().AppendRequest(frame, req, correlation)
	binary.BigEndian.PutUint16(frame[6:], uint16(req.Version+1))
	return frame
}

// acksOf returns how many replicas shall have the records: 0 for no answer.
func acksOf(produce request) int16 {
	r := kbin.Reader{Src: produce.body}
	m := measure{Reader: r, flexible: produce.version >= produce.flexibleFrom}
	m.one(text{}) // transactional id
	return m.Int16()
}

// fences is whether a producer begins anew with a transactional id. Whoever had
// the id before is then two epochs behind, as in Kafka: one is for the end of a
// transaction that was open. kfake counts one, and at EndTxn takes those behind
// by one for producers that say the same once more: they would go on, in the
// epoch of their successor.
func fences(initProducerID request) bool {
	var req kmsg.InitProducerIDRequest
	req.SetVersion(initProducerID.version)
	return req.ReadFrom(initProducerID.body) == nil && req.TransactionalID != nil && req.ProducerID < 0
}

// fetchLimits returns max_wait_ms, min_bytes and max_bytes of a fetch, in place.
func fetchLimits(fetch request) []byte {
	m := measure{Reader: kbin.Reader{Src: fetch.body}, flexible: true}
	switch {
	case fetch.key == kmsg.ShareFetch.Int16():
		m.one(text{}) // group
		m.one(text{}) // member
		m.Int32()     // member's epoch
	case fetch.version < 15:
		m.Int32() // replica
	}
	return m.Span(12)
}

// limitFetch bounds what a fetch keeps of the broker: kfake holds it for
// max_wait_ms also when its client is gone, and keeps the memory of the largest
// response with the connection.
func (c *conn) limitFetch(at []byte) {
	field := func(n int) int64 { return int64(int32(binary.BigEndian.Uint32(at[n:]))) }
	set := func(n int, v int64) { binary.BigEndian.PutUint32(at[n:], uint32(v)) }
	set(0, min(field(0), c.l.idle.Milliseconds()))
	given := c.l.roomFor(c, field(8))
	set(4, min(field(4), given))
	set(8, given)
}

// settle gives back what kfake has done with, when it asks for more: it reads a
// request ahead, so only the last one can still be with it.
func (c *conn) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(len(c.held) - 1)
}

// drop gives back the oldest requests. The caller holds mu.
func (c *conn) drop(n int) {
	for ; n > 0; n-- {
		c.l.queued.Release(c.held[0].size)
		c.held = c.held[1:]
	}
}

// asked is the request that is answered next; nil: none. The caller holds mu.
func (c *conn) asked() *heldRequest {
	for _, h := range c.held {
		if h.answered {
			return h
		}
	}
	return nil
}

// waits is whether a client waits for an answer.
func (c *conn) waits() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked() != nil
}

// mayAll is whether the client has logged in, or need not.
func (c *conn) mayAll() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.l.login || c.loggedIn
}

// Write sends a response, and gives up when the client takes nothing of it for
// connections.max.idle.ms.
func (c *conn) Write(response []byte) (n int, err error) {
	c.mu.Lock()
	to := c.asked()
	if to != nil && to.rehearsal {
		c.drop(slices.Index(c.held, to) + 1)
		c.mu.Unlock()
		return len(response), nil
	}
	c.mu.Unlock()
	p := c.l.amend(to, response)
	if !c.l.makeRoom(c, int64(len(p))) {
		c.l.complains.warn("a client is disconnected: its answer is too long beside those that others have not read",
			"client", c.raw.RemoteAddr(), "bytes", len(p))
		return 0, net.ErrClosed
	}
	c.mu.Lock()
	c.noteLogin(to, p) // before the client gets it and goes on
	c.mu.Unlock()
	for n < len(p) && err == nil {
		if err = c.Conn.SetWriteDeadline(time.Now().Add(c.l.idle)); err != nil {
			return n, err
		}
		var written int
		written, err = c.Conn.Write(p[n:min(n+portion, len(p))])
		n += written
		c.active.Store(time.Now().UnixNano())
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.l.complains.warn("a client is disconnected: it does not read its answers", "client", c.raw.RemoteAddr(), "bytes", len(p)-n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(slices.Index(c.held, to) + 1)
	if err == nil {
		n = len(response)
	}
	return n, err
}

// noteLogin looks at the answer to a step of a login.
func (c *conn) noteLogin(h *heldRequest, response []byte) {
	if h == nil || kmsg.Key(h.key) != kmsg.SASLAuthenticate {
		return
	}
	code := 4 + 4 // length, correlation id
	if h.version >= offered[h.key].flexibleFrom {
		code++ // no tags
	}
	if len(response) < code+2 || binary.BigEndian.Uint16(response[code:]) != 0 {
		c.loginSteps = -1
		return
	}
	c.loginSteps--
	c.loggedIn = c.loggedIn || c.loginSteps == 0
}

// Close ends the connection.
func (c *conn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.drop(len(c.held))
	c.mu.Unlock()
	c.l.mu.Lock()
	c.l.forget(c)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// complaints are log lines about clients: the same message at most once a
// minute, however many clients there are.
type complaints struct {
	mu      sync.Mutex
	written map[string]time.Time
	silent  map[string]int
}

func (c *complaints) warn(message string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.written == nil {
		c.written, c.silent = map[string]time.Time{}, map[string]int{}
	}
	now := time.Now()
	if last, ok := c.written[message]; ok && now.Sub(last) < time.Minute {
		c.silent[message]++
		return
	}
	if n := c.silent[message]; n > 0 {
		args = append(args, "not logged since the last", n)
	}
	c.written[message], c.silent[message] = now, 0
	slog.Warn("broker: "+message, args...)
}
