package kafka

import "time"

const (
	// paceInterval is between two portions of records: a client that batches
	// for 5 ms gains nothing from a finer one.
	paceInterval = 2 * time.Millisecond
	// maxBurst is the most that a portion holds, as time at the target rate.
	maxBurst = 20 * time.Millisecond
	// maxDebt is how much of a stall is made up for, as time at the target
	// rate. What lies further back is forgotten: a laptop that slept for an
	// hour does not send that hour's records.
	maxDebt = 2 * time.Second
	// catchUp is the rate while a debt is paid, relative to the target.
	catchUp = 1.2
)

// A pacer holds a rate: it says how many records may be sent now. It is pure:
// the times come from the caller and must not go back (time.Now has a
// monotonic reading). After a stall it does not catch up at once, but by a
// fifth above the rate, so that the mean is held without a burst.
type pacer struct {
	rate   float64 // records a second
	last   time.Time
	debt   float64 // records that should have been sent until last
	credit float64 // records that may be sent at last
}

func newPacer(rate float64, now time.Time) *pacer {
	return &pacer{rate: rate, last: now}
}

// take returns how many records to send now.
func (p *pacer) take(now time.Time) int {
	elapsed := now.Sub(p.last).Seconds()
	p.last = now
	p.debt = min(p.debt+elapsed*p.rate, max(1, maxDebt.Seconds()*p.rate))
	p.credit = min(p.credit+elapsed*p.rate*catchUp, max(1, maxBurst.Seconds()*p.rate))
	n := int(min(p.debt, p.credit))
	p.debt -= float64(n)
	p.credit -= float64(n)
	return n
}

// idle returns how long to wait before the next take.
func (p *pacer) idle() time.Duration {
	missing := (1 - p.debt) / p.rate
	missing = max(missing, (1-p.credit)/(p.rate*catchUp))
	return min(max(paceInterval, time.Duration(missing*float64(time.Second))), time.Hour)
}
