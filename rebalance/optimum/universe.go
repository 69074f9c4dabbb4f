package optimum

import "math"

// NewUniverse returns the securities with their risk model of the given number of factors. A
// security that cannot be planned with (its price, its risk) does not fail here: it fails the
// accounts that hold it or want it, and is never bought for the others.
func NewUniverse(factors int, securities []Security) *Universe {
	n := len(securities)
	u := &Universe{Securities: securities, factors: factors, load: make([]float64, n*factors), variance: make([]float64, n),
		cost: make([]float64, n), price: make([]float64, n), fault: make([]string, n)}
	for i, s := range securities {
		u.variance[i] = s.SpecificVol * s.SpecificVol
		u.cost[i] = s.Cost.Float()
		u.price[i] = s.Price.Float()
		switch {
		case s.Price.Sign() <= 0 || s.Cost.Sign() < 0:
			u.fault[i] = BadPrice
		case !isRisk(s, factors):
			u.fault[i] = BadRisk
		}
		if u.fault[i] != BadRisk {
			copy(u.load[i*factors:], s.Load)
		} else {
			u.variance[i] = 1
		}
	}
	return u
}

// isRisk reports whether the risk numbers of s are usable; a variance that underflows is not.
func isRisk(s Security, factors int) bool {
	if !(s.SpecificVol*s.SpecificVol > 1e-12) || s.SpecificVol < 0 || math.IsInf(s.SpecificVol, 0) || len(s.Load) != factors {
		return false
	}
	for _, l := range s.Load {
		if math.IsNaN(l) || math.IsInf(l, 0) {
			return false
		}
	}
	return true
}

// Fault returns the code of what is wrong with security i, or "".
func (u *Universe) Fault(i int) string { return u.fault[i] }
