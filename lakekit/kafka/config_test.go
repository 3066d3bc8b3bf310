package kafka

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/kafka/properties"
)

// librdkafka must know every property that a file of Confluent Cloud has.
func TestClientPropertiesMakeAClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.properties")
	const content = `bootstrap.servers=pkc-4nym6.us-east-1.aws.confluent.cloud:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=ABCDEFGH
sasl.password=abc=def:ghi+/#1
session.timeout.ms=45000
client.id=ccloud-go-client-1b2c
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := properties.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := confluent.NewProducer(Config(p).Producer(nil))
	if err != nil {
		t.Fatal(err)
	}
	producer.Close()
	consumer, err := confluent.NewConsumer(Config(p).Consumer(nil))
	if err != nil {
		t.Fatal(err)
	}
	consumer.Close()
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
