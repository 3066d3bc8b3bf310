package taxi

import "math/bits"

// stream is SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
// Number Generators", OOPSLA 2014). Every row has a stream of its own, begun
// at a hash of seed and row, so that any row can be had without the ones
// before it.
type stream uint64

const goldenGamma = 0x9e3779b97f4a7c15

func newStream(seed, row uint64) stream {
	return stream(mix(mix(seed+goldenGamma) + row))
}

// mix is SplitMix64's finalizer, a bijection that spreads every bit.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *stream) next() uint64 {
	*s += goldenGamma
	return mix(uint64(*s))
}

// uniform draws from [0, 1).
func (s *stream) uniform() float64 { return float64(float64(s.next()>>11) * 0x1p-53) }

// uniforms draws two numbers from [0, 1) at the price of one, coarser ones.
func (s *stream) uniforms() (float64, float64) {
	u := s.next()
	return float64(float64(u>>32) * 0x1p-32), float64(float64(u&0xffffffff) * 0x1p-32)
}

// normal draws from the standard normal distribution, as the sum of eight
// uniform 16-bit numbers: integers give the same result on every machine, and
// no draw lies beyond five standard deviations.
func (s *stream) normal() float64 {
	const (
		lanes = 0x0000ffff0000ffff
		mean  = 8 * 0xffff / 2
		// A uniform number of 16 bits has the variance 2^32 / 12.
		deviation = 0x1p16 * 0.816496580927726
	)
	a, b := s.next(), s.next()
	sum := a&lanes + a>>16&lanes + b&lanes + b>>16&lanes
	return float64(float64(int64(sum&0xffffffff+sum>>32)-mean) * (1 / deviation))
}

// alias draws an index in constant time with a probability proportional to its
// weight (Walker's method, Vose's construction), in integers throughout.
type alias []aliasColumn

type aliasColumn struct {
	threshold uint32 // of 2^32: below it the column itself, else other
	other     uint32
}

func newAlias(weights []uint64) alias {
	n := uint64(len(weights))
	a := make(alias, n)
	heights := make([]uint64, n)
	var total uint64
	for _, w := range weights {
		total += w
	}
	var small, large []int
	for i, w := range weights {
		a[i].other = uint32(i)
		heights[i] = w * n
		if heights[i] < total {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		high, low := bits.Mul64(heights[s], 1<<32)
		threshold, _ := bits.Div64(high, low, total)
		a[s] = aliasColumn{uint32(threshold), uint32(l)}
		heights[l] -= total - heights[s]
		if heights[l] < total {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	return a
}

func (a alias) pick(random uint64) int {
	i, rest := bits.Mul64(random, uint64(len(a)))
	if column := a[i]; uint32(rest>>32) >= column.threshold {
		return int(column.other)
	}
	return int(i)
}

// permutation shuffles the numbers below size without holding them: a Feistel
// network over the next even number of bits, walked until it falls below size.
type permutation struct {
	size     uint64
	halfBits int
	keys     [4]uint64
}

func newPermutation(seed, size uint64) permutation {
	p := permutation{size: size, halfBits: (bits.Len64(size-1) + 1) / 2}
	keys := newStream(seed, 0)
	for i := range p.keys {
		p.keys[i] = keys.next()
	}
	return p
}

// at returns the image of i in the shuffle number epoch.
func (p *permutation) at(epoch, i uint64) uint64 {
	mask := uint64(1)<<p.halfBits - 1
	for {
		left, right := i>>p.halfBits, i&mask
		for _, key := range p.keys {
			left, right = right, left^mix(key+epoch<<32+right)&mask
		}
		if i = left<<p.halfBits | right; i < p.size {
			return i
		}
	}
}
