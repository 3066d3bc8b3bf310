package broker

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A rejection is an answer Kafka gives to a bad request for a topic.
type rejection struct {
	code    *kerr.Error
	message string
}

func rejectf(code *kerr.Error, format string, args ...any) *rejection {
	return &rejection{code, fmt.Sprintf(format, args...)}
}

// maxTopicName is the longest name that makes a file name with the partition.
const maxTopicName = 249

// checkTopicName follows Kafka's org.apache.kafka.common.internals.Topic.
func checkTopicName(name string) *rejection {
	switch {
	case name == "":
		return rejectf(kerr.InvalidTopicException, "topic name is empty")
	case name == "." || name == "..":
		return rejectf(kerr.InvalidTopicException, "topic name cannot be . or ..")
	case slices.Contains(ownTopics, name):
		return rejectf(kerr.InvalidTopicException, "topic name %s is that of a topic that Kafka keeps for itself: choose another", name)
	case len(name) > maxTopicName:
		return rejectf(kerr.InvalidTopicException, "topic name is longer than %d characters", maxTopicName)
	}
	for _, c := range name {
		if !isTopicChar(c) {
			return rejectf(kerr.InvalidTopicException, "topic name %q has %q: only letters a-z and A-Z, digits, '.', '_' and '-' are allowed", name, c)
		}
	}
	return nil
}

func isTopicChar(c rune) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// ownTopics are those that Kafka keeps for itself. The embedded broker keeps
// what is in them elsewhere, and a topic of such a name would be none of them.
var ownTopics = []string{"__consumer_offsets", "__transaction_state", "__share_group_state", "__cluster_metadata"}

// checkTopicConfig refuses settings and values that Kafka 4 refuses (nil is
// null, which Kafka takes for no topic setting), and by name those that Kafka
// would apply and this broker does not.
func checkTopicConfig(key string, value *string) *rejection {
	setting, known := topicConfigs[key]
	if !known {
		return rejectf(kerr.InvalidConfig, "unknown topic setting %q", key)
	}
	if value == nil {
		return rejectf(kerr.InvalidConfig, "topic setting %s has no value", key)
	}
	if problem := setting.check(strings.TrimSpace(*value)); problem != "" {
		return rejectf(kerr.InvalidConfig, "topic setting %s=%s: %s", key, *value, problem)
	}
	if setting.only != "" && !strings.EqualFold(strings.TrimSpace(*value), setting.only) {
		return rejectf(kerr.InvalidConfig, "topic setting %s=%s: the embedded broker does not apply it, for it is always %s: leave it out, or use Apache Kafka", key, *value, setting.only)
	}
	return nil
}

// topicConfig is a setting with the values it takes in Kafka; only, if not
// empty, is the one that the embedded broker works by.
type topicConfig struct {
	check func(value string) (problem string)
	only  string
}

const endless = "9223372036854775807"

// topicConfigs are Kafka's topic-level settings (Kafka documentation,
// Topic-Level Configs; LogConfig for the bounds). Those without only are
// applied, by kfake or in records.go, or mean nothing on one broker, in Kafka
// too: min.insync.replicas, which asks for no more replicas than there are,
// unclean.leader.election.enable and the throttles.
var topicConfigs = map[string]topicConfig{
	cleanupPolicy:                             {listOf("compact", "delete"), ""},
	"compression.gzip.level":                  {anyOf(integer(1, 9), integer(-1, -1)), "-1"},
	"compression.lz4.level":                   {integer(1, 17), "9"},
	"compression.type":                        {oneOf("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"), "producer"},
	"compression.zstd.level":                  {integer(-131072, 22), "3"},
	"delete.retention.ms":                     {integer(0, math.MaxInt64), ""},
	"file.delete.delay.ms":                    {integer(0, math.MaxInt64), "60000"},
	"flush.messages":                          {integer(1, math.MaxInt64), endless},
	"flush.ms":                                {integer(0, math.MaxInt64), endless},
	"follower.replication.throttled.replicas": {replicas, ""},
	"index.interval.bytes":                    {integer(0, math.MaxInt32), "4096"},
	"leader.replication.throttled.replicas":   {replicas, ""},
	"local.retention.bytes":                   {integer(-2, math.MaxInt64), "-2"},
	"local.retention.ms":                      {integer(-2, math.MaxInt64), "-2"},
	"max.compaction.lag.ms":                   {integer(1, math.MaxInt64), endless},
	"max.message.bytes":                       {integer(0, math.MaxInt32), ""},
	timestampAfter:                            {integer(0, math.MaxInt64), ""},
	timestampBefore:                           {integer(0, math.MaxInt64), ""},
	"message.timestamp.type":                  {oneOf("CreateTime", "LogAppendTime"), "CreateTime"},
	"min.cleanable.dirty.ratio":               {fraction, "0.5"},
	"min.compaction.lag.ms":                   {integer(0, math.MaxInt64), "0"},
	"min.insync.replicas":                     {integer(1, math.MaxInt32), ""},
	"preallocate":                             {boolean, "false"},
	"remote.log.copy.disable":                 {boolean, "false"},
	"remote.log.delete.on.disable":            {boolean, "false"},
	"remote.storage.enable":                   {boolean, "false"},
	retentionBytes:                            {integer(math.MinInt64, math.MaxInt64), ""},
	retentionMillis:                           {integer(-1, math.MaxInt64), ""},
	"segment.bytes":                           {integer(1<<20, math.MaxInt32), ""},
	"segment.index.bytes":                     {integer(4, math.MaxInt32), "10485760"},
	"segment.jitter.ms":                       {integer(0, math.MaxInt64), "0"},
	"segment.ms":                              {integer(1, math.MaxInt64), "604800000"},
	"unclean.leader.election.enable":          {boolean, ""},
}

const (
	cleanupPolicy   = "cleanup.policy"
	timestampAfter  = "message.timestamp.after.max.ms"
	timestampBefore = "message.timestamp.before.max.ms"
)

// brokerDefaults are the broker's settings that are defaults of topics, and
// which kfake takes and does not apply, or topics have of their own.
var brokerDefaults = []string{
	"compression.type", "log.message.timestamp.type", "log.retention.bytes", "log.retention.ms", "log.roll.ms", "log.segment.bytes",
	"min.insync.replicas",
}

func integer(lowest, highest int64) func(string) string {
	return func(v string) string {
		n, err := strconv.ParseInt(v, 10, 64)
		switch {
		case err != nil:
			return "not an integer"
		case n < lowest:
			return fmt.Sprintf("must be at least %d", lowest)
		case n > highest:
			return fmt.Sprintf("must be at most %d", highest)
		}
		return ""
	}
}

func fraction(v string) string {
	if f, err := strconv.ParseFloat(v, 64); err != nil || !(f >= 0 && f <= 1) {
		return "must be a number from 0 to 1"
	}
	return ""
}

func boolean(v string) string {
	if !strings.EqualFold(v, "true") && !strings.EqualFold(v, "false") {
		return "must be true or false"
	}
	return ""
}

func oneOf(values ...string) func(string) string {
	return func(v string) string {
		for _, allowed := range values {
			if v == allowed {
				return ""
			}
		}
		return "must be one of: " + strings.Join(values, ", ")
	}
}

func listOf(values ...string) func(string) string {
	one := oneOf(values...)
	return func(v string) string {
		for item := range strings.SplitSeq(v, ",") {
			if problem := one(strings.TrimSpace(item)); problem != "" {
				return problem
			}
		}
		return ""
	}
}

func anyOf(checks ...func(string) string) func(string) string {
	return func(v string) (problem string) {
		for _, check := range checks {
			if problem = check(v); problem == "" {
				return ""
			}
		}
		return problem
	}
}

// replicas takes "*", nothing, or pairs such as "0:1,2:1" (partition:broker).
func replicas(v string) string {
	if v == "" || v == "*" {
		return ""
	}
	for pair := range strings.SplitSeq(v, ",") {
		partition, broker, ok := strings.Cut(strings.TrimSpace(pair), ":")
		if _, err := strconv.ParseUint(partition, 10, 31); !ok || err != nil {
			return "must be * or a list of partition:broker"
		}
		if _, err := strconv.ParseUint(broker, 10, 31); err != nil {
			return "must be * or a list of partition:broker"
		}
	}
	return ""
}
