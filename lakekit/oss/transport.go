package oss

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	stallTimeout   = 60 * time.Second // without a byte in either direction
	maxConns       = 64
)

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return stallConn{conn}, nil
		},
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stallTimeout,
		IdleConnTimeout:       30 * time.Second,
		MaxConnsPerHost:       maxConns,
		MaxIdleConns:          maxConns,
		MaxIdleConnsPerHost:   maxConns,
		DisableCompression:    true, // OSS would compress on the fly, and then give no length and CRC
	}
}

// stallConn is a connection that fails when nothing moves for stallTimeout.
type stallConn struct{ net.Conn }

func (c stallConn) Read(p []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(stallTimeout))
	return c.Conn.Read(p)
}

func (c stallConn) Write(p []byte) (int, error) {
	// The transport is reading already: from now on it waits for an answer.
	c.SetDeadline(time.Now().Add(stallTimeout))
	return c.Conn.Write(p)
}

// lender takes the body of a request back once there is an answer. net/http may
// go on reading it after that, when the SDK computes with what was read, and
// when the body is the next attempt's or the caller's again.
type lender struct{ http.RoundTripper }

func (l lender) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return l.RoundTripper.RoundTrip(r)
	}
	body := &lentBody{body: r.Body}
	defer body.takeBack()
	r = r.WithContext(r.Context()) // a copy: the caller's request must not change
	r.Body = body
	response, err := l.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// A body taken back breaks the connection, so the answer is read first.
	// Those to requests with a body are small.
	answer, err := io.ReadAll(response.Body)
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(answer))
	return response, err
}

type lentBody struct {
	mu   sync.Mutex
	body io.Reader // nil once taken back
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.body == nil {
		return 0, net.ErrClosed
	}
	return b.body.Read(p)
}

func (b *lentBody) Close() error { return nil }

func (b *lentBody) takeBack() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.body = nil
}
