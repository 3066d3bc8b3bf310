package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"taxilake/lakekit/kafka"
	"taxilake/lakekit/kafka/properties"
)

const kafkaPrefix = "kafka."

// refusedKafkaOptions are the kafka.* options that Spark's Kafka source
// refuses, and those whose value the query itself relies on, each with the
// reason.
var refusedKafkaOptions = map[string]string{
	"auto.offset.reset":    "the query keeps track of its offsets: say where a new one begins by startingOffsets",
	"enable.auto.commit":   "the query's place is in its checkpoint: it commits no offsets to Kafka",
	"key.deserializer":     "keys are read as bytes",
	"value.deserializer":   "values are read as bytes, and decoded as JSON by the table's schema",
	"key.serializer":       "the query only reads",
	"value.serializer":     "the query only reads",
	"interceptor.classes":  "interceptors are classes of the Java client",
	"plugin.library.paths": "it loads a program library into the server",

	"enable.partition.eof":       "the query sets it, to notice the end of a range",
	"queued.min.messages":        "what is fetched ahead is bounded in bytes, by bufferBytes",
	"queued.max.messages.kbytes": "what is fetched ahead is bounded by an eighth of bufferBytes",
	"receive.message.max.bytes":  "the query takes records of any size",
}

// mergeKafkaOptions puts the kafka.* options over the connection's properties.
func (o *Options) mergeKafkaOptions() error {
	if len(o.KafkaOptions) == 0 {
		return nil
	}
	merged := kafka.Config{}
	for name, value := range o.Kafka {
		merged[properties.Canonical(name)] = value
	}
	for _, given := range slices.Sorted(maps.Keys(o.KafkaOptions)) {
		name := properties.Canonical(strings.TrimPrefix(given, kafkaPrefix))
		if why, refused := refusedKafkaOptions[name]; refused {
			return fmt.Errorf("%w: %s%s cannot be set: %s", ErrOptions, kafkaPrefix, name, why)
		}
		merged[name] = o.KafkaOptions[given]
	}
	o.Kafka = merged
	return nil
}
