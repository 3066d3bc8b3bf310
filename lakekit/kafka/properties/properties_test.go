package properties

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
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

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, in string
		want     Properties
	}{
		{"as Confluent Cloud hands it out", confluentCloud, Properties{
			"bootstrap.servers": "pkc-4nym6.us-east-1.aws.confluent.cloud:9092",
			"security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN",
			"sasl.username": "ABCDEFGH", "sasl.password": "abc=def:ghi+/#1", "session.timeout.ms": "45000",
		}},
		{"colons and blanks", "  bootstrap.servers : a:1,b:2 \r\nclient.id:\tx\r\n", Properties{"bootstrap.servers": "a:1,b:2", "client.id": "x"}},
		{"byte order mark", "\ufeffbootstrap.servers=a:1", Properties{"bootstrap.servers": "a:1"}},
		{"the last of two counts", "bootstrap.servers=a:1\nbootstrap.servers=b:2", Properties{"bootstrap.servers": "b:2"}},
		{"librdkafka's other names", "metadata.broker.list=a:1\nsasl.mechanism=PLAIN\n! note", Properties{"bootstrap.servers": "a:1", "sasl.mechanisms": "PLAIN"}},
		{"empty value", "bootstrap.servers=a:1\nclient.id=", Properties{"bootstrap.servers": "a:1", "client.id": ""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := parse(strings.NewReader(test.in))
			if err != nil || !maps.Equal(got, test.want) {
				t.Errorf("got %#v (%v), want %#v", got, err, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
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
			_, err := parse(strings.NewReader(test.in))
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one saying %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("error %v shows a value", err)
			}
		})
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "client.properties")
	if _, err := Read(path); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	if err := os.WriteFile(path, []byte(confluentCloud), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Read(path)
	if err != nil || p.Servers() != "pkc-4nym6.us-east-1.aws.confluent.cloud:9092" {
		t.Errorf("read %v (%v)", p, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(confluentCloud)
	f.Add("bootstrap.servers=a:1\n#\n!\n\n=x\na:b=c\n\\")
	f.Fuzz(func(t *testing.T, in string) {
		c, err := parse(strings.NewReader(in))
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
		if back, err := parse(strings.NewReader(again.String())); err != nil || !maps.Equal(back, c) {
			t.Errorf("%#v came back as %#v (%v)", c, back, err)
		}
	})
}

func TestSecretsAreHidden(t *testing.T) {
	p := Properties{
		"bootstrap.servers": "a:1", "sasl.password": "s3cret", "ssl.key.password": "s3cret", "ssl.key.pem": "s3cret",
		"sasl.oauthbearer.config": "s3cret", "sasl.oauthbearer.client.secret": "s3cret",
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("properties", "kafka", p)
	inJSON, err := json.Marshal(map[string]any{"kafka": p})
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{p.String(), fmt.Sprintf("%v %+v %#v %s", p, p, p, p), log.String(), string(inJSON)} {
		if strings.Contains(shown, "s3cret") || !strings.Contains(shown, "bootstrap.servers") || !strings.Contains(shown, "a:1") {
			t.Errorf("shown: %s", shown)
		}
	}
}
