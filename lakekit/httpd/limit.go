package httpd

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// Limit bounds how many connections of a server are open at once. Whoever comes
// then takes the place of the one that has been silent the longest, before its
// first request or between two: very many that say nothing keep nobody out. Only
// while requests of all of them are being worked on, one more waits.
func Limit(server *http.Server, listener net.Listener) net.Listener {
	l := &limited{Listener: listener, open: map[net.Conn]*list.Element{}}
	l.changed.L = &l.mu
	server.ConnState = l.state
	return l
}

type limited struct {
	net.Listener
	mu      sync.Mutex
	changed sync.Cond
	open    map[net.Conn]*list.Element // in silent, or nil while a request is worked on
	silent  list.List                  // of net.Conn, the longest silent first
	closed  bool
}

func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) >= maxConnections {
		if l.closed {
			conn.Close()
			return nil, net.ErrClosed
		}
		if longest := l.silent.Front(); longest != nil {
			silent := longest.Value.(net.Conn)
			l.forget(silent)
			silent.Close()
		} else {
			l.changed.Wait()
		}
	}
	return conn, nil
}

// state is told by the server what becomes of a connection.
func (l *limited) state(conn net.Conn, state http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, known := l.open[conn]
	switch {
	case state == http.StateNew, state == http.StateIdle && known:
		l.open[conn] = l.silent.PushBack(conn)
	case state == http.StateActive && known:
		if element != nil {
			l.silent.Remove(element)
		}
		l.open[conn] = nil
	case state == http.StateClosed, state == http.StateHijacked:
		l.forget(conn)
	}
	l.changed.Broadcast()
}

func (l *limited) forget(conn net.Conn) {
	if element := l.open[conn]; element != nil {
		l.silent.Remove(element)
	}
	delete(l.open, conn)
}

func (l *limited) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.changed.Broadcast()
	return l.Listener.Close()
}
