package ingest

import (
	"encoding/json"
	"fmt"
	"strings"

	"taxilake/lakekit/api"
)

// Special offsets of Spark's startingOffsets and endingOffsets.
const (
	offsetLatest   = -1
	offsetEarliest = -2
)

// wantedOffsets is where a query begins or ends: the same special offset in
// every partition, or each partition's own.
type wantedOffsets struct {
	option string
	all    int64
	exact  api.PartitionOffsets // nil when all counts
}

func parseStartingOffsets(text string) (wantedOffsets, error) {
	return parseOffsets("startingOffsets", text)
}

// parseEndingOffsets refuses the earliest offset, as Spark does: nothing ends
// there.
func parseEndingOffsets(text string) (wantedOffsets, error) {
	wanted, err := parseOffsets("endingOffsets", text)
	if err != nil {
		return wanted, err
	}
	earliest := wanted.all == offsetEarliest
	for _, partitions := range wanted.exact {
		for _, offset := range partitions {
			earliest = earliest || offset == offsetEarliest
		}
	}
	if earliest {
		return wanted, fmt.Errorf("%w: endingOffsets is %q, but a query cannot end at the earliest offset (-2); want latest (-1) or an offset", ErrOptions, text)
	}
	return wanted, nil
}

func parseOffsets(option, text string) (wantedOffsets, error) {
	wanted := wantedOffsets{option: option}
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "", "latest":
		wanted.all = offsetLatest
		return wanted, nil
	case "earliest":
		wanted.all = offsetEarliest
		return wanted, nil
	}
	if err := json.Unmarshal([]byte(text), &wanted.exact); err != nil || wanted.exact == nil {
		return wanted, fmt.Errorf(`%w: %s is %q, want earliest, latest or JSON such as {"nyc_taxi_data":{"0":1200,"1":-2,"2":-1}}`, ErrOptions, option, text)
	}
	for topic, partitions := range wanted.exact {
		for partition, offset := range partitions {
			if offset < offsetEarliest {
				return wanted, fmt.Errorf("%w: %s has %d for %s-%d, want an offset, -2 (earliest) or -1 (latest)", ErrOptions, option, offset, topic, partition)
			}
		}
	}
	return wanted, nil
}

// covers sees to it that offsets by JSON name every partition, and no other,
// as in Spark.
func (o wantedOffsets) covers(partitions map[string][]int32) error {
	if o.exact == nil {
		return nil
	}
	read := api.PartitionOffsets{}
	for topic, numbers := range partitions {
		read[topic] = map[int32]int64{}
		for _, number := range numbers {
			read[topic][number] = 0
		}
	}
	_, err := o.resolve(read, read)
	return err
}

// resolve gives every partition a number.
func (o wantedOffsets) resolve(earliest, latest api.PartitionOffsets) (api.PartitionOffsets, error) {
	resolved := clone(latest)
	for topic, partitions := range resolved {
		for partition := range partitions {
			want := o.all
			if o.exact != nil {
				given, ok := o.exact[topic][partition]
				if !ok {
					return nil, fmt.Errorf("%w: %s has no offset for %s-%d", ErrOptions, o.option, topic, partition)
				}
				want = given
			}
			switch want {
			case offsetLatest:
			case offsetEarliest:
				partitions[partition] = earliest[topic][partition]
			default:
				partitions[partition] = want
			}
		}
	}
	for topic, partitions := range o.exact {
		for partition := range partitions {
			if _, ok := latest[topic][partition]; !ok {
				return nil, fmt.Errorf("%w: %s names %s-%d, which the query does not read", ErrOptions, o.option, topic, partition)
			}
		}
	}
	return resolved, nil
}
