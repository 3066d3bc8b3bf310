package services

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"taxilake/lakekit/settings"
)

// probe asks the service itself whether it answers in its own protocol.
func probe(role settings.Role, address string) error {
	switch role {
	case settings.Broker:
		return probeKafka(address)
	case settings.Store:
		return probeHTTP("http://"+address+"/", "x-oss-request-id")
	default:
		return probeHTTP("http://"+address+"/health", "")
	}
}

const probeTimeout = 2 * time.Second

// probePort asks whether the port of a service that is no process of this kit
// answers. It may want TLS and a login, so nothing is said there.
func probePort(role settings.Role, address string) error {
	first, _, _ := strings.Cut(address, ",") // of Kafka's servers
	if role == settings.Store {
		endpoint, err := url.Parse(address)
		if err != nil {
			return err
		}
		first = endpoint.Host
		if endpoint.Port() == "" {
			first = net.JoinHostPort(endpoint.Hostname(), endpoint.Scheme)
		}
	}
	conn, err := net.DialTimeout("tcp", first, probeTimeout)
	if err != nil {
		return err
	}
	return conn.Close()
}

// probeKafka sends ApiVersions, version 0 (Kafka protocol guide, API key 18),
// which every broker answers before anything else.
func probeKafka(address string) error {
	conn, err := net.DialTimeout("tcp", address, probeTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		return err
	}
	const apiVersions, correlation, client = 18, 7, "lakekit"
	request := binary.BigEndian.AppendUint16(nil, apiVersions)
	request = binary.BigEndian.AppendUint16(request, 0)
	request = binary.BigEndian.AppendUint32(request, correlation)
	request = binary.BigEndian.AppendUint16(request, uint16(len(client)))
	request = append(request, client...)
	if _, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)); err != nil {
		return err
	}
	var answer [10]byte // size, correlation id, error code
	if _, err := io.ReadFull(conn, answer[:]); err != nil {
		return fmt.Errorf("no Kafka answer from %s: %w", address, err)
	}
	if binary.BigEndian.Uint32(answer[4:]) != correlation || binary.BigEndian.Uint16(answer[8:]) != 0 {
		return fmt.Errorf("%s does not speak Kafka", address)
	}
	return nil
}

// probeHTTP wants any answer that carries the header, if one is named: a
// refusal for want of a signature is an answer too.
func probeHTTP(url, header string) error {
	client := http.Client{Timeout: probeTimeout}
	defer client.CloseIdleConnections()
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	answer.Body.Close()
	if header != "" && answer.Header.Get(header) == "" {
		return fmt.Errorf("%s is not the service that was expected there", url)
	}
	return nil
}
