package broker

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// checkRecords applies the settings of topics to what is produced that kfake
// does not: the bounds of timestamps, and that records of a compacted topic need
// a key. It refuses the batches, too, that are marked as not in order. Each
// partition gets its own answer, as in Kafka: the request goes on to kfake, which
// gives our answers for those that are refused.
func checkRecords(c *kfake.Cluster) produceCheck {
	var refusals *kfake.FaultHandle // of the last request
	return func(req *kmsg.ProduceRequest) (kmsg.Response, error) {
		if refusals != nil {
			refusals.Remove()
			refusals = nil
		}
		var faults []kfake.Fault
		for _, t := range req.Topics {
			info := c.TopicInfo(t.Topic)
			if t.Topic == "" {
				info = c.TopicIDInfo(t.TopicID)
			}
			if info == nil {
				continue
			}
			rules := rulesOf(info.Configs)
			for _, p := range t.Partitions {
				clearLogAppendTime(p.Records)
				if refused := rules.check(p.Records, time.Now().UnixMilli()); refused != nil {
					faults = append(faults, kfake.Fault{
						Keys: []kmsg.Key{kmsg.Produce}, Topic: info.Topic, Partitions: []int32{p.Partition},
						Err: refused, When: func(other kmsg.Request) bool { return other == req },
					})
				}
			}
		}
		if len(faults) > 0 {
			refusals = c.Fault(faults...)
		}
		return nil, nil
	}
}

// recordRules are what the settings of a topic ask of records, in milliseconds.
type recordRules struct {
	before, after int64
	needsKey      bool
}

func rulesOf(s settings) recordRules {
	rules := recordRules{before: s.number(timestampBefore, math.MaxInt64), after: s.number(timestampAfter, math.MaxInt64)}
	if policy := s[cleanupPolicy]; policy != nil {
		rules.needsKey = strings.Contains(*policy, "compact")
	}
	return rules
}

// number is a setting that was checked when it was set.
func (s settings) number(name string, otherwise int64) int64 {
	if value := s[name]; value != nil {
		if n, err := strconv.ParseInt(*value, 10, 64); err == nil {
			return n
		}
	}
	return otherwise
}

func refusal(code *kerr.Error, format string, args ...any) *kerr.Error {
	return &kerr.Error{Message: fmt.Sprintf(format, args...), Code: code.Code, Retriable: code.Retriable}
}

// clearLogAppendTime takes the bit off a batch by which only a broker says that
// it has set the timestamps, as Kafka does; kfake would set them and leave the
// checksum, so that it finds the batch corrupt at its next start.
func clearLogAppendTime(batch []byte) {
	const (
		checksum, checked, attributes = 17, 21, 22 // where they are: record batch, magic 2
		logAppendTime                 = 0x08
	)
	if len(batch) < batchHeaderSize || batch[attributes]&logAppendTime == 0 {
		return
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	if binary.BigEndian.Uint32(batch[checksum:]) != crc32.Checksum(batch[checked:], table) {
		return // kfake refuses it
	}
	batch[attributes] &^= logAppendTime
	binary.BigEndian.PutUint32(batch[checksum:], crc32.Checksum(batch[checked:], table))
}

// check gives the answer of Kafka's LogValidator to a batch, nil to store it. What
// it cannot read is left to kfake to refuse.
func (rules recordRules) check(b []byte, now int64) (refused *kerr.Error) {
	if isMarked(b) {
		return kerr.InvalidRecord
	}
	if rules.before == math.MaxInt64 && rules.after == math.MaxInt64 && !rules.needsKey {
		return nil
	}
	var batch kmsg.RecordBatch
	if batch.ReadFrom(b) != nil {
		return nil
	}
	left := int64(maxExpanded)
	_ = eachRecord(batch.Records, uint16(batch.Attributes)&codecBits, batch.NumRecords, &left, func(record recordHead) {
		at := batch.FirstTimestamp + record.timestampDelta
		switch {
		case refused != nil:
		case rules.needsKey && !record.hasKey:
			refused = refusal(kerr.InvalidRecord, "a record of a compacted topic needs a key")
		case at == noTimestamp:
		// Differences of two int64, which need not be one.
		case at > now && uint64(at)-uint64(now) > uint64(rules.after), at < now && uint64(now)-uint64(at) > uint64(rules.before):
			refused = refusal(kerr.InvalidTimestamp, "timestamp %d of a record is not within %s=%d and %s=%d of the broker's time, %d",
				at, timestampBefore, rules.before, timestampAfter, rules.after, now)
		}
	})
	return refused
}

const noTimestamp = -1
