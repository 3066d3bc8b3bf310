package httpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections in memory, for a clock that tests wind.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialled:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// serving runs test against a server of the handler, inside of a bubble.
func serving(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		server, served := Server(t.Context(), handler), make(chan error)
		go func() { served <- server.Serve(Limit(server, listener)) }()
		var conns []net.Conn
		test(t, func() net.Conn {
			client, conn := net.Pipe()
			conns = append(conns, client)
			listener.dialled <- conn
			return client
		})
		for _, conn := range conns {
			conn.Close()
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		time.Sleep(time.Minute) // for connections that net/http closes by and by
	})
}

func say(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// hungUpAfter waits until the server closes the connection.
func hungUpAfter(t *testing.T, conn net.Conn) time.Duration {
	t.Helper()
	began := time.Now()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Fatal(err)
	}
	return time.Since(began)
}

func TestASilentClientIsLetGo(t *testing.T) {
	reads := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); errors.Is(err, os.ErrDeadlineExceeded) {
			w.WriteHeader(http.StatusRequestTimeout)
		}
	}
	ignores := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }
	for _, test := range []struct {
		name, says string
		handler    http.HandlerFunc
		most       time.Duration
	}{
		{"nothing said", "", reads, headerTime},
		{"half a header", "GET / HTTP/1.1\r\nHo", reads, headerTime},
		{"between two requests", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", reads, idleTime},
		{"a body that does not come", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", reads, Grace},
		{"half a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n{", reads, Grace + time.Second},
		{"half a body in chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", reads, Grace + time.Second},
		{"a body that nobody reads", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", ignores, Grace},
	} {
		t.Run(test.name, func(t *testing.T) {
			serving(t, test.handler, func(t *testing.T, dial func() net.Conn) {
				conn := dial()
				say(t, conn, test.says)
				// net/http lets half a second pass between its answer and its end.
				if took := hungUpAfter(t, conn); took < test.most-time.Second || took > test.most+time.Second {
					t.Errorf("the server hung up after %v, want %v", took, test.most)
				}
			})
		})
	}
}

func TestWhoIsHungUpOnHoldsNoConnection(t *testing.T) {
	for name, says := range map[string]string{
		"a body that does not come": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
		"half a body in chunks":     "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
		"requests behind it":        strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100),
	} {
		t.Run(name, func(t *testing.T) {
			served := 0
			handler := func(w http.ResponseWriter, _ *http.Request) {
				HangUp(w)
				served++
				w.WriteHeader(http.StatusUnauthorized)
			}
			serving(t, handler, func(t *testing.T, dial func() net.Conn) {
				conn := dial()
				say(t, conn, says)
				lines, began := bufio.NewReader(conn), time.Now()
				if answer, err := http.ReadResponse(lines, nil); err != nil || answer.StatusCode != http.StatusUnauthorized || !answer.Close {
					t.Fatalf("%+v, %v", answer, err)
				}
				if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 || time.Since(began) > 2*linger+time.Second {
					t.Errorf("%d bytes more, %v, the connection ends after %v", len(rest), err, time.Since(began))
				}
			})
			if served != 1 {
				t.Errorf("%d requests are served", served)
			}
		})
	}
}

func TestABodyByDripsIsLetGo(t *testing.T) {
	serving(t, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }, func(t *testing.T, dial func() net.Conn) {
		conn, began := dial(), time.Now()
		say(t, conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
		for {
			if _, err := io.WriteString(conn, "."); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		// The second grace is for the answer, which this client does not read.
		if took := time.Since(began); took > 2*Grace+5*time.Second {
			t.Errorf("the server waited %v", took)
		}
	})
}

// TestALargeBodyHasItsTime takes far more than the grace, at a fair speed.
func TestALargeBodyHasItsTime(t *testing.T) {
	const portions = 100
	serving(t, func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	}, func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		say(t, conn, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", portions*leastRate))
		for range portions {
			time.Sleep(time.Second)
			say(t, conn, strings.Repeat(".", leastRate))
		}
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := io.ReadAll(answer.Body); string(text) != fmt.Sprint(portions*leastRate, nil) {
			t.Errorf("the handler read %s", text)
		}
	})
}

// TestWorkHasNoDeadline: what a handler does between body and answer may last.
func TestWorkHasNoDeadline(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
	} {
		serving(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			time.Sleep(time.Hour)
			fmt.Fprint(w, r.Context().Err())
			time.Sleep(time.Hour) // and in the middle of the answer
			fmt.Fprint(w, "done")
		}, func(t *testing.T, dial func() net.Conn) {
			conn := dial()
			lines := bufio.NewReader(conn)
			for range 2 { // the second over what the first left behind
				say(t, conn, request)
				answer, err := http.ReadResponse(lines, nil)
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(answer.Body); string(text) != "<nil>done" {
					t.Errorf("%q is answered with %q (%v)", request, text, err)
				}
			}
		})
	}
}

func TestAClientThatHangsUpEndsTheWork(t *testing.T) {
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
	} {
		ended := make(chan error, 1)
		serving(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			select {
			case <-r.Context().Done():
				ended <- nil
			case <-time.After(time.Hour):
				ended <- errors.New("it worked on")
			}
		}, func(t *testing.T, dial func() net.Conn) {
			conn := dial()
			say(t, conn, request)
			synctest.Wait()
			conn.Close()
			time.Sleep(2 * time.Hour)
		})
		if err := <-ended; err != nil {
			t.Errorf("after %q: %v", request, err)
		}
	}
}

func TestAnAnswerThatNobodyTakesIsLetGo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "large")
	if err := os.WriteFile(file, make([]byte, 3*portion+7), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(http.ResponseWriter) error{
		"bytes": func(w http.ResponseWriter) error { _, err := w.Write(make([]byte, 3*portion+7)); return err },
		"a file": func(w http.ResponseWriter) error {
			f, err := os.Open(file)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.CopyN(w, f, 3*portion+7)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 2)
			serving(t, func(w http.ResponseWriter, _ *http.Request) { ended <- write(w) }, func(t *testing.T, dial func() net.Conn) {
				conn, lines := dial(), bufio.NewReader(nil)
				lines.Reset(conn)
				say(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				answer, err := http.ReadResponse(lines, nil)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, answer.Body); n != 3*portion+7 || err != nil {
					t.Fatalf("%d bytes, %v", n, err)
				}
				say(t, conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
				time.Sleep(Grace + time.Minute) // taking nothing
			})
			if err := <-ended; err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the second answer ended with %v", err)
			}
		})
	}
}

func TestLongHeadersAreRefused(t *testing.T) {
	serving(t, func(http.ResponseWriter, *http.Request) { t.Error("it was served") }, func(t *testing.T, dial func() net.Conn) {
		conn := dial()
		go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: a\r\nX: "+strings.Repeat("x", 2*maxHeader)+"\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %s", answer.Status)
		}
	})
}

// TestSilentConnectionsMakeRoom: a request is answered however many clients say
// nothing, and a request that is worked on keeps its connection.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	var working chan struct{} // made in the bubble
	serving(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			<-working
		}
		fmt.Fprint(w, "done")
	}, func(t *testing.T, dial func() net.Conn) {
		working = make(chan struct{})
		ask := func(path string) (net.Conn, *bufio.Reader) {
			conn := dial()
			say(t, conn, "GET "+path+" HTTP/1.1\r\nHost: a\r\n\r\n")
			return conn, bufio.NewReader(conn)
		}
		answered := func(lines *bufio.Reader) {
			t.Helper()
			answer, err := http.ReadResponse(lines, nil)
			if err != nil {
				t.Fatal(err)
			}
			if text, err := io.ReadAll(answer.Body); string(text) != "done" {
				t.Errorf("%q, %v", text, err)
			}
		}
		_, worked := ask("/work")
		synctest.Wait()
		began := time.Now()
		for i := range 3 * maxConnections {
			conn := dial()
			if i%2 == 0 {
				go io.WriteString(conn, "GET / HTTP/1.1\r\nHo") // and no more
			}
			synctest.Wait()
			if i%100 == 0 {
				_, lines := ask("/")
				answered(lines)
			}
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
		close(working)
		answered(worked)
	})
}

// TestConnectionsAreLimited: while all of them are worked on, one more waits.
func TestConnectionsAreLimited(t *testing.T) {
	var end chan struct{} // made in the bubble
	var at atomic.Int32
	serving(t, func(http.ResponseWriter, *http.Request) {
		at.Add(1)
		<-end
	}, func(t *testing.T, dial func() net.Conn) {
		end = make(chan struct{})
		var last net.Conn
		for range maxConnections {
			last = dial()
			say(t, last, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		}
		synctest.Wait()
		go func() { _, _ = io.WriteString(dial(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n") }()
		synctest.Wait()
		if n := at.Load(); n != maxConnections {
			t.Errorf("%d requests are worked on", n)
		}
		close(end)
		go func() { _, _ = io.Copy(io.Discard, last) }()
		synctest.Wait()
		if n := at.Load(); n != maxConnections+1 {
			t.Errorf("%d requests were worked on", n)
		}
	})
}

func TestRequestsEndWithTheServer(t *testing.T) {
	base, end := context.WithCancel(t.Context())
	end()
	if err := Server(base, nil).BaseContext(nil).Err(); err == nil {
		t.Error("the context of a request goes on")
	}
}
