package kafka

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// probeTimeout bounds each step of Diagnose that asks the network.
const probeTimeout = 5 * time.Second

// Requests that a broker answers before the login (Kafka protocol guide), in
// versions without tagged fields.
const (
	apiVersionsKey   int16 = 18
	saslHandshakeKey int16 = 17
)

var errNotKafka = errors.New("what it answers is not Kafka's protocol")

// speaksKafka asks what every broker answers, whoever asks.
func speaksKafka(conn net.Conn) error {
	body, err := ask(conn, apiVersionsKey, 0, nil)
	if err == nil && len(body) < 6 { // error code, number of APIs
		err = errNotKafka
	}
	return err
}

// wantsLogin says whether the listener is one with SASL, of which others answer
// with ILLEGAL_SASL_STATE.
func wantsLogin(conn net.Conn) (bool, error) {
	const mechanism = "PLAIN"
	body, err := ask(conn, saslHandshakeKey, 1, append(binary.BigEndian.AppendUint16(nil, uint16(len(mechanism))), mechanism...))
	if err != nil {
		return false, err
	}
	if len(body) < 2 {
		return false, errNotKafka
	}
	const none, unsupportedMechanism = 0, 33
	code := binary.BigEndian.Uint16(body)
	return code == none || code == unsupportedMechanism, nil
}

// ask sends one request and returns the body of its response.
func ask(conn net.Conn, key, version int16, body []byte) ([]byte, error) {
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return nil, err
	}
	const correlation = 0x6c616b65
	request := binary.BigEndian.AppendUint32(nil, uint32(2+2+4+2+len(body)))
	request = binary.BigEndian.AppendUint16(request, uint16(key))
	request = binary.BigEndian.AppendUint16(request, uint16(version))
	request = binary.BigEndian.AppendUint32(request, correlation)
	request = binary.BigEndian.AppendUint16(request, 0xffff) // no client id
	if _, err := conn.Write(append(request, body...)); err != nil {
		return nil, err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > 1<<20 || binary.BigEndian.Uint32(head[4:]) != correlation {
		return nil, errNotKafka
	}
	answer := make([]byte, size-4)
	_, err := io.ReadFull(conn, answer)
	return answer, err
}

// dial connects, with TLS if config is not nil.
func dial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil || config == nil {
		return conn, err
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

// asking dials, asks and hangs up.
func asking[T any](ctx context.Context, address string, config *tls.Config, question func(net.Conn) (T, error)) (answer T, err error) {
	conn, err := dial(ctx, address, config)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	return question(conn)
}
