package region

import (
	"daybreak/market"
	"daybreak/portfolio"
)

// IdenticalGroups returns the property of every security whose identical group is not just its own
// symbol, for Scope.Identical. One map serves all households of a market.
func IdenticalGroups(securities []market.Security) map[market.Symbol]string {
	groups := make(map[market.Symbol]string, len(securities))
	for _, s := range securities {
		if s.IdenticalGroup != "" && s.IdenticalGroup != string(s.Symbol) {
			groups[s.Symbol] = s.IdenticalGroup
		}
	}
	return groups
}

// ScopeOf returns the scope of a household: its owners are one circle on their days, and symbols
// count together as identical says.
func ScopeOf(h portfolio.Household, identical map[market.Symbol]string) Scope {
	return Scope{Identical: identical, Circle: h.Owners}
}

// Check returns ErrVoid, wrapped with the difference, where the checkpoint was made under other rules,
// another circle or other identical groups than these: Fold would refuse to continue it.
func (c *Checkpoint) Check(r *Rules, s Scope) error { return c.fits(r, s) }
