package kafka

import (
	"math"
	"testing"
	"time"
)

// drive lets a pacer run for a time, as Produce does, on a clock that is late
// by delay(n) at the n-th wake-up. It returns when how many records were sent.
func drive(rate float64, length time.Duration, delay func(n int) time.Duration) (sent []portion) {
	start := time.Unix(0, 0)
	p := newPacer(rate, start)
	for at, n := time.Duration(0), 0; at <= length; n++ {
		if records := p.take(start.Add(at)); records > 0 {
			sent = append(sent, portion{at, records})
		}
		at += p.idle() + delay(n)
	}
	return sent
}

type portion struct {
	at      time.Duration
	records int
}

func total(sent []portion) (n int) {
	for _, s := range sent {
		n += s.records
	}
	return n
}

func TestPacerHoldsTheRate(t *testing.T) {
	never := func(int) time.Duration { return 0 }
	for _, test := range []struct {
		name   string
		rate   float64
		length time.Duration
		delay  func(n int) time.Duration
	}{
		{"course", 10_000, 30 * time.Second, never},
		{"fast", 300_000, 30 * time.Second, never},
		{"not whole", 333.3, 30 * time.Second, never},
		{"one a second", 1, time.Minute, never},
		{"slower", 0.1, 10 * time.Minute, never},
		{"late timers", 10_000, 30 * time.Second, func(n int) time.Duration { return time.Duration(n%7) * 300 * time.Microsecond }},
		{"stalls of 100 ms", 10_000, 30 * time.Second, func(n int) time.Duration {
			if n%1000 == 999 {
				return 100 * time.Millisecond
			}
			return 0
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sent := drive(test.rate, test.length, test.delay)
			want := test.rate * test.length.Seconds()
			if got := float64(total(sent)); math.Abs(got-want) > max(1, want/100) {
				t.Errorf("%v records in %v, want %v within 1 %%", got, test.length, want)
			}
			for _, s := range sent {
				if most := max(1, test.rate*maxBurst.Seconds()); float64(s.records) > most {
					t.Errorf("%d records at once at %v, want at most %v", s.records, s.at, most)
				}
			}
		})
	}
}

func TestPacerDoesNotMakeUpForALongStall(t *testing.T) {
	const rate, stall = 10_000, 10 * time.Minute
	sent := drive(rate, stall+30*time.Second, func(n int) time.Duration {
		if n == 0 {
			return stall // a laptop that slept
		}
		return 0
	})
	if most := int(rate * (30 + maxDebt.Seconds() + 1)); total(sent) > most {
		t.Errorf("%d records, want at most %d", total(sent), most)
	}
	for i := range sent {
		inSecond := 0
		for _, s := range sent[i:] {
			if s.at-sent[i].at >= time.Second {
				break
			}
			inSecond += s.records
		}
		if most := rate*catchUp + rate*maxBurst.Seconds(); float64(inSecond) > most {
			t.Fatalf("%d records in the second from %v, want at most %v", inSecond, sent[i].at, most)
		}
	}
}

func TestPacerWaitsForTheNextRecord(t *testing.T) {
	p := newPacer(0.5, time.Unix(0, 0))
	if n, idle := p.take(time.Unix(0, 0)), p.idle(); n != 0 || idle != 2*time.Second {
		t.Errorf("%d records, then idle for %v; want none and 2 s", n, idle)
	}
	if n := p.take(time.Unix(2, 0)); n != 1 {
		t.Errorf("%d records after 2 s, want 1", n)
	}
}

func TestLatencies(t *testing.T) {
	var l latencies
	if l.quantileMs(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	l.add(100 * 24 * time.Hour)
	l.add(-time.Second)
	for q, want := range map[float64]float64{0: 0.001, 0.5: 500, 0.99: 990, 1: math.Exp2(32) / 1000} {
		if got := l.quantileMs(q); math.Abs(got/want-1) > 0.1 {
			t.Errorf("quantile %v is %v ms, want %v", q, got, want)
		}
	}
}
