package ingest

import (
	"maps"
	"math"

	"taxilake/lakekit/api"
)

// defaultBatchRecords bounds a batch when maxOffsetsPerTrigger does not: large
// enough that the cost of a commit does not count, small enough that a
// backlog shows progress every second.
const defaultBatchRecords = 500_000

// planEnd is where a batch ends that starts at start and takes at most limit
// records, each partition in proportion to what it has (Spark's
// maxOffsetsPerTrigger); limit 0 is all. A partition absent from start is new
// and starts at 0. One absent from latest stays where it is.
func planEnd(start, latest api.PartitionOffsets, limit int64) api.PartitionOffsets {
	total := countBehind(start, latest)
	end := api.PartitionOffsets{}
	for topic, partitions := range latest {
		end[topic] = map[int32]int64{}
		maps.Copy(end[topic], start[topic])
		for partition, last := range partitions {
			from := start[topic][partition]
			if limit > 0 && limit < total && last > from {
				last = min(last, from+share(limit, last-from, total))
			}
			end[topic][partition] = last
		}
	}
	return end
}

// share is a partition's part of the limit, at least one record so that a
// small partition beside large ones is not starved.
func share(limit, behind, total int64) int64 {
	part := float64(limit) * (float64(behind) / float64(total))
	if part < 1 {
		return 1
	}
	return int64(math.Floor(part))
}

// countBehind is the number of offsets from start to end, partitions that
// went back not counted.
func countBehind(start, end api.PartitionOffsets) (n int64) {
	for topic, partitions := range end {
		for partition, last := range partitions {
			n += max(0, last-start[topic][partition])
		}
	}
	return n
}

// reaches says that no partition of at is before the one of target.
func reaches(at, target api.PartitionOffsets) bool {
	return countBehind(at, target) == 0
}

func clone(o api.PartitionOffsets) api.PartitionOffsets {
	c := make(api.PartitionOffsets, len(o))
	for topic, partitions := range o {
		c[topic] = maps.Clone(partitions)
	}
	return c
}
