package kafka

import (
	"math"
	"time"
)

// latencies is a histogram with eight buckets for each doubling, from 1 us up
// to beyond an hour: quantiles are right to a tenth in fixed memory.
type latencies struct {
	buckets [32 * 8]int64
	count   int64
}

const bucketsPerDoubling = 8

func (l *latencies) add(d time.Duration) {
	us := max(1, float64(d)/float64(time.Microsecond))
	i := int(math.Log2(us) * bucketsPerDoubling)
	l.buckets[min(i, len(l.buckets)-1)]++
	l.count++
}

func (l *latencies) addAll(other *latencies) {
	for i, n := range other.buckets {
		l.buckets[i] += n
	}
	l.count += other.count
}

// quantileMs returns the middle of the bucket where the quantile lies, in
// milliseconds; 0 when nothing was added.
func (l *latencies) quantileMs(q float64) float64 {
	if l.count == 0 {
		return 0
	}
	rank := int64(math.Ceil(q * float64(l.count)))
	var seen int64
	for i, n := range l.buckets {
		seen += n
		if seen >= max(rank, 1) {
			return math.Exp2((float64(i)+0.5)/bucketsPerDoubling) / 1000
		}
	}
	return 0
}
