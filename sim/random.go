package sim

// random is splitmix64: a stream of numbers that depends on its seed alone, on every machine and
// in every release of the compiler.
type random struct{ state uint64 }

// newRandom returns the stream of one household of a world, independent of all others.
func newRandom(seed uint64, household int) *random {
	r := &random{state: seed}
	r.state = r.next() ^ uint64(household)*0x9e3779b97f4a7c15
	r.next()
	return r
}

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	z := r.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// below returns a number from 0 to n−1. The bias for small n is below 2^-40.
func (r *random) below(n int) int { return int(r.next() >> 1 % uint64(n)) }

// between returns a number from low to high, both included.
func (r *random) between(low, high int) int { return low + r.below(high-low+1) }

// chance reports true in perMille of a thousand calls.
func (r *random) chance(perMille int) bool { return r.below(1000) < perMille }

// million is what a rate of 1 is in parts per million.
const million = 1_000_000

// chancePPM reports true in ppm of a million calls.
func (r *random) chancePPM(ppm int) bool { return r.below(million) < ppm }

// wealthQuantiles are the 5 % steps of a log-normal distribution with median 150,000 and a spread
// of 0.9, in home currency, from the 2.5 % to the 97.5 % quantile and a tail. A table instead of
// exp keeps the figures equal on machines whose mathematical functions differ in the last digit.
var wealthQuantiles = [...]int{25_700, 34_100, 47_300, 59_000, 70_300, 81_700, 93_600, 106_000, 119_400, 134_000,
	150_000, 167_900, 188_500, 212_200, 240_400, 275_300, 320_000, 381_300, 475_400, 659_200, 875_000, 2_400_000}

// wealth draws the wealth of a household in home currency.
func (r *random) wealth() int {
	i := r.below(len(wealthQuantiles) - 1)
	return r.between(wealthQuantiles[i], wealthQuantiles[i+1])
}
