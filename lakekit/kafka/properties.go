package kafka

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// ErrProperties is returned for a properties file that cannot be used.
var ErrProperties = errors.New("bad client properties")

// ReadProperties reads a client.properties file as Confluent Cloud hands it
// out: a property a line, "name=value" or "name: value", # before a comment.
// Settings of the Schema Registry client are left out. A setting that only the
// Java client knows is refused with librdkafka's name for it. Errors name
// lines and properties, never values.
func ReadProperties(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read client properties: %w", err)
	}
	defer f.Close()
	c, err := parseProperties(f)
	if err != nil {
		return nil, fmt.Errorf("read client properties %s: %w", path, err)
	}
	return c, nil
}

func parseProperties(r io.Reader) (Config, error) {
	c := Config{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20) // a PEM certificate on one line
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		i := strings.IndexAny(line, "=:")
		if i <= 0 {
			return nil, fmt.Errorf("%w: line %d is not name=value", ErrProperties, n)
		}
		key, value := strings.TrimSpace(line[:i]), strings.TrimSpace(line[i+1:])
		if problem := propertyProblem(key, value); problem != "" {
			return nil, fmt.Errorf("%w: line %d: %s %s", ErrProperties, n, key, problem)
		}
		if !isSchemaRegistry(key) {
			c[key] = value
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if c.Servers() == "" {
		return nil, fmt.Errorf("%w: bootstrap.servers is missing", ErrProperties)
	}
	return c, nil
}

func isSchemaRegistry(key string) bool {
	return strings.HasPrefix(key, "schema.registry.") || strings.HasPrefix(key, "basic.auth.")
}

func propertyProblem(key, value string) string {
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
