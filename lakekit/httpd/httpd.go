package httpd

import (
	"context"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// headerTime is how long the header of a request may take to arrive, in all.
	headerTime = 10 * time.Second
	// idleTime is how long a connection may be silent between two requests.
	idleTime = 2 * time.Minute
	// maxHeader is the most bytes of a header, roughly.
	maxHeader = 32 << 10

	// Grace is how long a client may keep the server waiting for the bytes of a
	// body, and for taking those of an answer, and a second more for every
	// leastRate bytes that have moved: slow, but moving.
	Grace     = 30 * time.Second
	leastRate = 8 << 10

	// maxConnections is how many clients are listened to at once. A browser takes
	// six, a notebook two.
	maxConnections = 256
)

// Server returns a server of a handler with the bounds of this package. The
// contexts of its requests end with base.
func Server(base context.Context, handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           paced(handler),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		BaseContext:       func(net.Listener) context.Context { return base },
	}
}

// linger is how long a client that is hung up on may go on sending.
const linger = 500 * time.Millisecond

// HangUp ends the connection with the answer to a request, whose body is not
// waited for, nor are requests behind it. It is for who shows no key: of such
// clients there may be very many, and none of them holds a connection.
func HangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(linger)) // a writer of a test may know none
}

// budget is how long the other end may keep one direction of a request waiting.
// Only the waiting counts, not what the handler does in between.
type budget struct {
	waited time.Duration
	bytes  int64
}

func (b *budget) deadline(next int) time.Time {
	moved := time.Duration(float64(b.bytes+int64(next)) / leastRate * float64(time.Second))
	return time.Now().Add(Grace + moved - b.waited)
}

func (b *budget) took(began time.Time, n int64) {
	b.waited += time.Since(began)
	b.bytes += n
}

// paced gives the body of a request and its answer deadlines that move on with
// every byte. Between the two, while the handler works, there is none.
//
// A writer of a test may know no deadlines, and a connection that is closed takes
// none: their errors say nothing that the next read or write does not say.
func paced(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		_ = conn.SetWriteDeadline(time.Time{}) // that of the last answer is still there
		if r.Body != http.NoBody {
			body := &pacedBody{ReadCloser: r.Body, conn: conn}
			r.Body = body
			_ = conn.SetReadDeadline(body.deadline(0)) // also where nobody reads it: net/http looks for its end
		}
		answer := &pacedWriter{ResponseWriter: w, conn: conn}
		next.ServeHTTP(answer, r)
		_ = conn.SetWriteDeadline(answer.deadline(0)) // for what net/http has still to send
	})
}

type pacedBody struct {
	io.ReadCloser
	conn *http.ResponseController
	budget
}

func (b *pacedBody) Read(p []byte) (int, error) {
	_ = b.conn.SetReadDeadline(b.deadline(0))
	began := time.Now()
	n, err := b.ReadCloser.Read(p)
	b.took(began, int64(n))
	if err == io.EOF {
		// From here on net/http watches whether the client hangs up, for as long
		// as the handler works.
		_ = b.conn.SetReadDeadline(time.Time{})
	}
	return n, err
}

type pacedWriter struct {
	http.ResponseWriter
	conn *http.ResponseController
	budget
}

// Unwrap is for http.ResponseController.
func (w *pacedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// portion is the most that is written under one deadline.
const portion = 128 << 10

func (w *pacedWriter) Write(p []byte) (written int, err error) {
	for {
		part := p[written:min(len(p), written+portion)]
		_ = w.conn.SetWriteDeadline(w.deadline(len(part)))
		began := time.Now()
		n, err := w.ResponseWriter.Write(part)
		w.took(began, int64(n))
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// ReadFrom lets the kernel copy a file, portion by portion.
func (w *pacedWriter) ReadFrom(from io.Reader) (written int64, err error) {
	whole, limited := from.(*io.LimitedReader)
	for {
		part := &io.LimitedReader{R: from, N: portion}
		if limited { // one around the other would hide the file from net/http
			part = &io.LimitedReader{R: whole.R, N: min(whole.N, portion)}
		}
		asked := part.N
		_ = w.conn.SetWriteDeadline(w.deadline(int(asked)))
		began := time.Now()
		n, err := io.Copy(w.ResponseWriter, part)
		w.took(began, n)
		written += n
		if limited {
			whole.N -= n
		}
		if err != nil || n < asked || limited && whole.N <= 0 {
			return written, err
		}
	}
}
