// Package properties reads the client.properties of a Kafka client into
// librdkafka's properties, and keeps their secrets out of logs and JSON. It
// is apart from package kafka so that a notebook's cell, which only hands them
// on, needs no librdkafka.
package properties

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
)

// Properties are librdkafka properties by name (CONFIGURATION.md of librdkafka),
// such as bootstrap.servers and sasl.username. They print without their secrets.
type Properties map[string]string

// Servers returns the addresses a client starts from.
func (p Properties) Servers() string {
	if s := p["bootstrap.servers"]; s != "" {
		return s
	}
	return p["metadata.broker.list"] // librdkafka's other name for it
}

// Canonical returns librdkafka's first name for a property that has two.
func Canonical(key string) string {
	if name, ok := aliases[key]; ok {
		return name
	}
	return key
}

var aliases = map[string]string{
	"metadata.broker.list":   "bootstrap.servers",
	"sasl.mechanism":         "sasl.mechanisms",
	"auto.commit.enable":     "enable.auto.commit",
	"request.required.acks":  "acks",
	"queue.buffering.max.ms": "linger.ms",
	"compression.codec":      "compression.type",
	"delivery.timeout.ms":    "message.timeout.ms",
}

// secrets are parts of the names of properties whose values must not be shown.
var secrets = []string{"password", "secret", ".pem", "sasl.oauthbearer.config", "sasl.jaas.config", "basic.auth"}

// Shown is the value of a property for people: "[hidden]" in place of a secret.
func (p Properties) Shown(key string) string {
	isSecret := func(part string) bool { return strings.Contains(key, part) }
	if p[key] != "" && slices.ContainsFunc(secrets, isSecret) {
		return "[hidden]"
	}
	return p[key]
}

// String lists the properties by name, values of secret ones as "[hidden]".
func (p Properties) String() string {
	var b strings.Builder
	for i, key := range slices.Sorted(maps.Keys(p)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(key + "=" + p.Shown(key))
	}
	return b.String()
}

// GoString keeps %#v from showing secrets too.
func (p Properties) GoString() string { return "properties.Properties{" + p.String() + "}" }

// LogValue is String for slog.
func (p Properties) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalJSON keeps secrets out of JSON, which cannot be read back therefore.
func (p Properties) MarshalJSON() ([]byte, error) {
	shown := map[string]string{}
	for key := range p {
		shown[key] = p.Shown(key)
	}
	return json.Marshal(shown)
}

// ErrInvalid is returned for a properties file that cannot be used.
var ErrInvalid = errors.New("bad client properties")

// Read reads a client.properties file as Confluent Cloud hands it
// out: a property a line, "name=value" or "name: value", # before a comment.
// Names are librdkafka's first ones (Canonical), so that a value put over the
// file's replaces it. Settings of the Schema Registry client are left out. A setting that only the
// Java client knows is refused with librdkafka's name for it. Errors name
// lines and properties, never values.
func Read(path string) (Properties, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read client properties: %w", err)
	}
	defer f.Close()
	c, err := parse(f)
	if err != nil {
		return nil, fmt.Errorf("read client properties %s: %w", path, err)
	}
	return c, nil
}

func parse(r io.Reader) (Properties, error) {
	c := Properties{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // a PEM certificate on one line
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		i := strings.IndexAny(line, "=:")
		if i <= 0 {
			return nil, fmt.Errorf("%w: line %d is not name=value", ErrInvalid, n)
		}
		key, value := strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
		if fault := problem(key, value); fault != "" {
			return nil, fmt.Errorf("%w: line %d: %s %s", ErrInvalid, n, key, fault)
		}
		if !isSchemaRegistry(key) {
			c[Canonical(key)] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if c.Servers() == "" {
		return nil, fmt.Errorf("%w: bootstrap.servers is missing", ErrInvalid)
	}
	return c, nil
}

func isSchemaRegistry(key string) bool {
	return strings.HasPrefix(key, "schema.registry.") || strings.HasPrefix(key, "basic.auth.")
}

func problem(key, value string) string {
	if instead, ok := javaOnly[key]; ok {
		return "is a property of Kafka's Java client: " + instead
	}
	switch {
	case strings.ContainsAny(key, " \t"):
		return "has a blank in its name"
	case strings.HasSuffix(value, `\`):
		return "goes on in the next line: write it on one"
	case strings.Contains(value, "{{") && !isSchemaRegistry(key):
		return "still has the placeholder of the template: put your value there"
	}
	return ""
}

// javaOnly are properties that librdkafka does not know, with what to do
// instead (librdkafka: INTRODUCTION.md and CONFIGURATION.md).
var javaOnly = map[string]string{
	"sasl.jaas.config":                   "set sasl.mechanisms, sasl.username and sasl.password instead",
	"sasl.client.callback.handler.class": "set sasl.mechanisms and the sasl.oauthbearer properties instead",
	"sasl.login.callback.handler.class":  "set sasl.oauthbearer.method=oidc, sasl.oauthbearer.client.id, sasl.oauthbearer.client.secret and sasl.oauthbearer.token.endpoint.url instead",
	"sasl.login.class":                   "remove it",
	"ssl.truststore.location":            "set ssl.ca.location to a PEM file instead (none is needed for public certificates)",
	"ssl.truststore.password":            "remove it: ssl.ca.location is a PEM file without a password",
	"ssl.truststore.type":                "remove it: ssl.ca.location is a PEM file",
	"ssl.truststore.certificates":        "set ssl.ca.pem instead",
	"ssl.keystore.type":                  "remove it: ssl.keystore.location is a PKCS#12 file, or set ssl.certificate.location and ssl.key.location",
	"ssl.keystore.key":                   "set ssl.key.pem instead",
	"ssl.keystore.certificate.chain":     "set ssl.certificate.pem instead",
	"ssl.enabled.protocols":              "remove it: OpenSSL chooses",
	"ssl.protocol":                       "remove it: OpenSSL chooses",
	"buffer.memory":                      "set queue.buffering.max.kbytes instead",
	"max.block.ms":                       "remove it: a full queue is waited for",
	"max.request.size":                   "set message.max.bytes instead",
	"fetch.max.wait.ms":                  "set fetch.wait.max.ms instead",
	"max.poll.records":                   "remove it: librdkafka hands over messages one at a time",
	"default.api.timeout.ms":             "set socket.timeout.ms instead",
	"send.buffer.bytes":                  "set socket.send.buffer.bytes instead",
	"receive.buffer.bytes":               "set socket.receive.buffer.bytes instead",
	"metadata.max.idle.ms":               "set topic.metadata.refresh.interval.ms instead",
	"partitioner.class":                  "set partitioner instead",
	"key.serializer":                     "remove it: keys and values are bytes",
	"value.serializer":                   "remove it: keys and values are bytes",
	"key.deserializer":                   "remove it: keys and values are bytes",
	"value.deserializer":                 "remove it: keys and values are bytes",
	"interceptor.classes":                "remove it",
	"metric.reporters":                   "remove it",
}
