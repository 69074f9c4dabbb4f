package region

import (
	"daybreak/market"
	"daybreak/portfolio"
)

// ScopeOf returns the scope of a household: its owners are one circle on their days, and symbols
// count together as identical says, which market.IdenticalGroups gives.
func ScopeOf(h portfolio.Household, identical map[market.Symbol]string) Scope {
	return Scope{Identical: identical, Circle: h.Owners}
}

// Check returns ErrVoid, wrapped with the difference, where the checkpoint was made under other rules,
// another circle or other identical groups than these: Fold would refuse to continue it.
func (c *Checkpoint) Check(r *Rules, s Scope) error { return c.fits(r, s) }
