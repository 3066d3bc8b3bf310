package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// confluentCloud is a file as Confluent Cloud hands it out.
const confluentCloud = `# Required connection configs for Kafka producer, consumer, and admin
bootstrap.servers=pkc-4nym6.us-east-1.aws.confluent.cloud:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=ABCDEFGH
sasl.password=abc=def:ghi+/#1

# Best practice for higher availability in librdkafka clients prior to 1.7
session.timeout.ms=45000

# Required connection configs for Confluent Cloud Schema Registry
schema.registry.url=https://{{ SR_ENDPOINT }}
basic.auth.credentials.source=USER_INFO
basic.auth.user.info={{ SR_API_KEY }}:{{ SR_API_SECRET }}
`

func TestParseProperties(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     Config
	}{
		{"as Confluent Cloud hands it out", confluentCloud, Config{
			"bootstrap.servers": "pkc-4nym6.us-east-1.aws.confluent.cloud:9092",
			"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN",
			"sasl.username": "ABCDEFGH", "sasl.password": "abc=def:ghi+/#1", "session.timeout.ms": "45000",
		}},
		{"colons and blanks", "  bootstrap.servers : a:1,b:2 \r\nclient.id:\tx\r\n", Config{"bootstrap.servers": "a:1,b:2", "client.id": "x"}},
		{"byte order mark", "\ufeffbootstrap.servers=a:1", Config{"bootstrap.servers": "a:1"}},
		{"the last of two counts", "bootstrap.servers=a:1\nbootstrap.servers=b:2", Config{"bootstrap.servers": "b:2"}},
		{"librdkafka's other name", "metadata.broker.list=a:1\n! note", Config{"metadata.broker.list": "a:1"}},
		{"empty value", "bootstrap.servers=a:1\nclient.id=", Config{"bootstrap.servers": "a:1", "client.id": ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseProperties(strings.NewReader(test.in))
			if err != nil || !maps.Equal(got, test.want) {
				t.Errorf("got %#v (%v), want %#v", got, err, test.want)
			}
		})
	}
}

func TestParsePropertiesRefuses(t *testing.T) {
	const secret = "s3cret"
	for _, test := range []struct{ name, in, says string }{
		{"nothing", "", "bootstrap.servers is missing"},
		{"no servers", "client.id=x", "bootstrap.servers is missing"},
		{"no separator", "bootstrap.servers=a:1\n" + secret, "line 2"},
		{"no name", "=" + secret, "line 1"},
		{"blank in name", "sasl password=" + secret, "blank"},
		{"java login", `sasl.jaas.config=org.apache.kafka...PlainLoginModule required password="` + secret + `";`, "sasl.username and sasl.password"},
		{"java truststore", "ssl.truststore.location=/x.jks", "ssl.ca.location"},
		{"java serializer", "key.serializer=org.apache...StringSerializer", "remove it"},
		{"placeholder", "sasl.password={{ CLUSTER_API_SECRET }}", "placeholder"},
		{"continued line", "sasl.password=" + secret + `\`, "on one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseProperties(strings.NewReader(test.in))
			if !errors.Is(err, ErrProperties) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one saying %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error %v shows a value", err)
			}
		})
	}
}

func TestReadProperties(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.properties")
	if _, err := ReadProperties(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(confluentCloud), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ReadProperties(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := confluent.NewProducer(c.Producer(nil)) // librdkafka takes all of it
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

func FuzzParseProperties(f *testing.F) {
	f.Add(confluentCloud)
	f.Add("bootstrap.servers=a:1\n#\n!\n\n=x\na:b=c\n\\")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := parseProperties(strings.NewReader(in))
		if err != nil {
			return
		}
		var again strings.Builder
		for key, value := range c {
			if key == "" || strings.ContainsAny(key, "\n=: \t") || strings.Contains(value, "\n") {
				t.Fatalf("property %q = %q", key, value)
			}
			fmt.Fprintf(&again, "%s=%s\n", key, value)
		}
		if back, err := parseProperties(strings.NewReader(again.String())); err != nil || !maps.Equal(back, c) {
			t.Errorf("%#v came back as %#v (%v)", c, back, err)
		}
	})
}

func TestConfigLayers(t *testing.T) {
	user := Config{"bootstrap.servers": "a:1", "request.required.acks": "1", "fetch.wait.max.ms": "100", "enable.auto.commit": "true"}
	for _, test := range []struct {
		name string
		got  *confluent.ConfigMap
		want map[string]any
	}{
		{"producer", user.Producer(Config{"linger.ms": "0"}), map[string]any{
			"bootstrap.servers": "a:1", "acks": "1", "enable.idempotence": "true", "linger.ms": "0",
			"compression.type": "lz4", "message.timeout.ms": "0", "go.delivery.report.fields": "none", "request.required.acks": nil,
		}},
		{"consumer", user.Consumer(Config{"enable.auto.commit": "false"}), map[string]any{
			"bootstrap.servers": "a:1", "fetch.wait.max.ms": "100", "fetch.queue.backoff.ms": "5",
			"enable.auto.commit": "false", "group.id": "lakekit", "enable.metrics.push": "false",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for key, want := range test.want {
				if got := (*test.got)[key]; got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
		})
	}
}

func TestConfigHidesSecrets(t *testing.T) {
	c := Config{"bootstrap.servers": "a:1", "sasl.password": "s3cret", "ssl.key.pem": "s3cret", "sasl.oauthbearer.client.secret": "s3cret"}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "kafka", c)
	for _, shown := range []string{c.String(), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), log.String()} {
		if strings.Contains(shown, "s3cret") || !strings.Contains(shown, "bootstrap.servers=a:1") {
			t.Errorf("shown: %s", shown)
		}
	}
}
