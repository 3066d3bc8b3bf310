package kafka

import (
	"log/slog"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/kafka/properties"
)

// LibraryVersion is that of librdkafka, such as 2.15.1.
func LibraryVersion() string {
	_, version := confluent.LibraryVersion()
	return version
}

// Config holds librdkafka properties (CONFIGURATION.md of librdkafka), such as
// bootstrap.servers and sasl.username, passed through as they are. It prints
// without its secrets.
type Config map[string]string

// commonDefaults and the ones below are the settings of this package that
// differ from librdkafka's, each with its reason.
var commonDefaults = Config{
	"enable.metrics.push":      "false", // a broker without telemetry answers each push with an error
	"reconnect.backoff.max.ms": "1000",  // 10 s is long to look at when a broker is back
}

var producerDefaults = Config{
	"enable.idempotence":         "true", // a batch sent again is stored once
	"acks":                       "all",
	"linger.ms":                  "5",
	"compression.type":           "lz4",
	"message.timeout.ms":         "0",     // none: who starts a run ends it, an absent broker loses nothing
	"queue.buffering.max.kbytes": "65536", // 1 GiB is too much beside everything else on a laptop
}

var consumerDefaults = Config{
	"group.id":               "lakekit", // librdkafka does not assign partitions without one
	"enable.auto.commit":     "false",
	"fetch.wait.max.ms":      "50",
	"fetch.queue.backoff.ms": "5", // 1 s costs four fifths of the throughput: it pauses when 100,000 messages are queued
}

// Producer returns the settings for a confluent producer: the defaults of this
// package, under those of c, under fixed. The client's log channel is on:
// drain Logs().
func (c Config) Producer(fixed Config) *confluent.ConfigMap {
	m := configMap(commonDefaults, producerDefaults, c, fixed)
	m["go.delivery.report.fields"] = "none" // a report with key and value copies both back
	m["go.events.channel.size"] = 10_000    // the default of a million takes 16 MB
	m["go.produce.channel.size"] = 0        // not used
	delete(m, "group.id")                   // a consumer's, of which librdkafka would warn
	return &m
}

// Consumer is Producer for a consumer.
func (c Config) Consumer(fixed Config) *confluent.ConfigMap {
	m := configMap(commonDefaults, consumerDefaults, c, fixed)
	return &m
}

func (c Config) admin() *confluent.ConfigMap {
	m := configMap(commonDefaults, c, Config{"enable.idempotence": "false"}) // nothing is produced
	m["go.events.channel.size"] = 100
	m["go.produce.channel.size"] = 0
	delete(m, "group.id")
	return &m
}

func configMap(layers ...Config) confluent.ConfigMap {
	m := confluent.ConfigMap{"go.logs.channel.enable": true}
	for _, layer := range layers {
		for key, value := range layer.canonical() {
			m[key] = value
		}
	}
	return m
}

// canonical has each property under its first name, so that a user's value
// replaces ours.
func (c Config) canonical() Config {
	out := Config{}
	for key, value := range c {
		out[properties.Canonical(key)] = value
	}
	return out
}

// Servers returns the addresses the clients start from, for messages.
func (c Config) Servers() string { return properties.Properties(c).Servers() }

// String lists the properties by name, values of secret ones as "[hidden]".
func (c Config) String() string { return properties.Properties(c).String() }

// GoString keeps %#v from showing secrets too.
func (c Config) GoString() string { return "kafka.Config{" + c.String() + "}" }

// LogValue is String for slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
