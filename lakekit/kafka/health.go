package kafka

import (
	"context"
	"log/slog"
	"regexp"
	"strings"
	"sync"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// health is what a client's connections went through. librdkafka tries again
// whatever happens to a connection; calls end by their time-out, and the cause
// is in its events and its log alone.
type health struct {
	mu      sync.Mutex
	refusal error  // ErrLogin or ErrTLS since the last good call
	trouble string // of the last connection that failed
	calls   map[*context.CancelFunc]bool
}

// watch ends the call's ctx when a broker refuses the client, so that nobody
// waits for what does not get better.
func (h *health) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls == nil {
		h.calls = map[*context.CancelFunc]bool{}
	}
	h.calls[&cancel] = true
	return ctx, func() {
		cancel()
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.calls, &cancel)
	}
}

// event notes a client's error event.
func (h *health) event(e confluent.Error) {
	refusal := refusalOf(e)
	if refusal == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusal = refusal
	for cancel := range h.calls {
		(*cancel)()
	}
}

// well forgets a refusal: the client was served.
func (h *health) well() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refusal, h.trouble = nil, ""
}

func (h *health) state() (trouble string, refusal error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.trouble, h.refusal
}

// follow hands librdkafka's log to slog until the client is closed, and notes
// from it how connections fail: there is no event for one that the broker ends.
func (h *health) follow(log <-chan confluent.LogEvent) (ended chan struct{}) {
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		for e := range log {
			slog.Debug("librdkafka: "+e.Message, "client", e.Name, "facility", e.Tag)
			if e.Tag == "FAIL" {
				h.mu.Lock()
				h.trouble = plainWords(e.Message)
				h.mu.Unlock()
			}
		}
	}()
	return ended
}

var (
	logThread = regexp.MustCompile(`^\[thrd:[^]]*\]: `)
	logState  = regexp.MustCompile(` \(after \d+ms in state (\w+).*\)$`)
)

// plainWords takes what librdkafka adds for its developers from a message, and
// adds what the state in which a connection ended means.
func plainWords(message string) string {
	message = logThread.ReplaceAllString(message, "")
	state := ""
	if found := logState.FindStringSubmatch(message); found != nil {
		state = found[1]
	}
	message = logState.ReplaceAllString(message, "")
	if strings.Contains(message, "Disconnected") {
		switch state {
		case "SSL_HANDSHAKE":
			message += ": does the port speak plaintext (PLAINTEXT or SASL_PLAINTEXT)?"
		case "APIVERSION_QUERY":
			message += " before it said a word: does the port want TLS (SSL or SASL_SSL)?"
		case "UP":
			message += ": does the port want a login (SASL_PLAINTEXT or SASL_SSL)?"
		}
	}
	if strings.Contains(message, "SaslAuthenticateRequest failed") {
		message += ": some brokers end the connection for a wrong user or password"
	}
	return message
}

// refusalOf returns nil for an error that may pass. A connection that breaks
// in the middle of a login is one of these: librdkafka's ErrAuthentication is
// always an answer.
func refusalOf(e confluent.Error) error {
	said := plainWords(e.Error())
	switch e.Code() {
	case confluent.ErrAuthentication, confluent.ErrSaslAuthenticationFailed:
		if strings.Contains(said, "not valid in current SASL state") {
			return &fault{ErrLogin, said, "the port takes no login: set security.protocol (KAFKA_SECURITY_PROTOCOL) to PLAINTEXT or SSL, or take the cluster's port for logins", nil}
		}
		if strings.Contains(said, "Unsupported SASL mechanism") {
			return &fault{ErrLogin, said, "set sasl.mechanisms (KAFKA_SASL_MECHANISM) to one that the broker supports", nil}
		}
		return &fault{ErrLogin, said, "correct sasl.username and sasl.password (KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD), in Confluent Cloud the API key and its secret", nil}
	case confluent.ErrSsl:
		if strings.Contains(said, "verify failed") {
			return &fault{ErrTLS, said, "set ssl.ca.location (KAFKA_SSL_CA_LOCATION) to the PEM file of the authority that signed the broker's certificate, and write the broker's address as the certificate names it", nil}
		}
		return &fault{ErrTLS, said, "check that the port speaks TLS; without TLS security.protocol (KAFKA_SECURITY_PROTOCOL) is PLAINTEXT or SASL_PLAINTEXT", nil}
	}
	return nil
}
