package taxi

import (
	"math"
	"testing"
)

// The first numbers of SplitMix64 with seed 1234567, as its authors' reference
// code gives them.
func TestStreamIsSplitMix64(t *testing.T) {
	s := stream(1234567)
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821} {
		if got := s.next(); got != want {
			t.Errorf("number %d is %d, want %d", i, got, want)
		}
	}
}

func TestNormal(t *testing.T) {
	const n = 1_000_000
	s := newStream(1, 1)
	var sum, squares, beyondTwo float64
	for range n {
		v := s.normal()
		sum += v
		squares += v * v
		if math.Abs(v) > 2 {
			beyondTwo++
		}
	}
	for name, c := range map[string][3]float64{
		"mean":     {sum / n, 0, 0.005},
		"variance": {squares / n, 1, 0.008},
		"beyond 2": {beyondTwo / n, 0.0455, 0.0025},
	} {
		if got, want, tolerance := c[0], c[1], c[2]; math.Abs(got-want) > tolerance {
			t.Errorf("%s is %v, want %v within %v", name, got, want, tolerance)
		}
	}
}

func TestAliasFollowsTheWeights(t *testing.T) {
	for _, weights := range [][]uint64{{1}, {1, 1}, {0, 3, 0}, {1, 2, 3, 4}, {38337524, 8175243, 1, 64}, {1, 1000, 1, 1, 1, 1, 500}} {
		const n = 400_000
		a := newAlias(weights)
		counts := make([]float64, len(weights))
		s := newStream(2, 0)
		for range n {
			counts[a.pick(s.next())]++
		}
		for i, w := range weights {
			p := float64(w) / float64(sum(weights))
			if math.Abs(counts[i]/n-p) > 5*math.Sqrt(p*(1-p)/n) {
				t.Errorf("weights %v: index %d came %v times in %d, want a share of %v", weights, i, counts[i], n, p)
			}
		}
	}
}

func TestPermutationVisitsEveryNumberOnce(t *testing.T) {
	for _, size := range []uint64{1, 2, 3, 4, 5, 100, 1 << 12, 1<<12 + 1, 100_003} {
		p := newPermutation(5, size)
		for epoch := range uint64(3) {
			seen := make([]bool, size)
			for i := range size {
				seen[p.at(epoch, i)] = true
			}
			for i, ok := range seen {
				if !ok {
					t.Fatalf("size %d, epoch %d: %d is missed", size, epoch, i)
				}
			}
		}
	}
}

// Every trip of a data set has its own key in its hour, and the counters of a
// second are those of trips that the city can have had in it.
func TestCalendarCountsWithinSeconds(t *testing.T) {
	m, err := loadModel()
	if err != nil {
		t.Fatal(err)
	}
	c := m.calendar
	if c.trips != RowsOfRealFile {
		t.Errorf("the profile has %d trips, the real file %d", c.trips, RowsOfRealFile)
	}
	const repeats = 3
	for _, hour := range []int{0, 1, 8*24 + 19, 1500*24 + 3, len(c.starts) - 2} {
		type key struct {
			second  int64
			counter uint64
		}
		keys := map[key]bool{}
		from, to := c.starts[hour], c.starts[hour+1]
		for repeat := range uint64(repeats) {
			for rank := from; rank < to; rank++ {
				at := c.moment(repeat, uint64(rank))
				if at.seconds/3600 != c.days[hour/24].start/3600+int64(hour%24) {
					t.Fatalf("rank %d of hour %d is at second %d", rank, hour, at.seconds)
				}
				if cityTrips := uint64(to-from) * cityTripsPerTrip; at.counter < 1 || at.counter > repeats*cityTrips/60 {
					t.Fatalf("rank %d of hour %d, repeat %d, is trip %d of its second", rank, hour, repeat, at.counter)
				}
				keys[key{at.seconds, at.counter}] = true
			}
		}
		if want := repeats * int(to-from); len(keys) != want {
			t.Errorf("hour %d has %d different keys, want %d", hour, len(keys), want)
		}
	}
}
