package tlh

import (
	"daybreak/money"
	"daybreak/region"
)

// Stake is what a sale at a loss puts at stake, in home currency.
type Stake struct {
	Short    money.Dec // result on lots held for the short term that nothing denies, below zero for a loss; all of it where terms don't matter
	Long     money.Dec // the same for the long term
	Proceeds money.Dec // of the sale
	Replaced money.Dec // what of the proceeds goes into a replacement
}

// Value is what a harvest is worth, in home currency: the tax that it saves, less what it costs.
type Value struct {
	region.LossValue
	Trades     money.Dec `json:"trades"`      // cost of the sale and of the purchase of its replacement
	WayBack    money.Dec `json:"way_back"`    // cost of the exchange back
	LostPeriod money.Dec `json:"lost_period"` // tax on what the replacement's new holding period makes short-term
	Costs      money.Dec `json:"costs"`       // of all three
	Net        money.Dec `json:"net"`         // LossValue.Value less Costs
}

// ValueOf returns what a harvest is worth to a tax unit that stands at s. Rate is what one trade
// costs, as a share of its value: commission and half the spread.
func ValueOf(rules *region.Rules, s region.Standing, k Stake, rate money.Dec) Value {
	v := Value{LossValue: rules.ValueOf(s, k.Short, k.Long)}
	h := rules.Harvest
	v.Trades = k.Proceeds.Add(k.Replaced).Mul(rate)
	v.WayBack = k.Replaced.Add(k.Replaced).Mul(rate).Mul(h.WayBack)
	if rules.LongAfterYears > 0 {
		rates := rules.RatesOf(s.Year)
		extra := money.Max(money.Zero, rates.Short.Sub(rates.Long)).Mul(rates.Inclusion)
		v.LostPeriod = k.Replaced.Mul(h.LostRise).Mul(h.LostChance).Mul(extra)
	}
	v.Costs = v.Trades.Add(v.WayBack).Add(v.LostPeriod)
	v.Net = v.Value.Sub(v.Costs)
	return v
}

// IsWorthIt reports whether the harvest is worth more than it costs, and at least least.
func (v Value) IsWorthIt(least money.Dec) bool { return v.Net.Sign() > 0 && !v.Net.Less(least) }

// Numbers are the value as a reason shows it, in cents.
func (v Value) Numbers() map[string]string {
	return map[string]string{
		"tax_without": cents(v.Without), "tax_with": cents(v.With), "usable": cents(v.Usable), "waits": cents(v.Waits),
		"later": cents(v.Later), "tax_value": cents(v.Value), "cost_trades": cents(v.Trades), "cost_way_back": cents(v.WayBack),
		"cost_lost_period": cents(v.LostPeriod), "costs": cents(v.Costs), "net_value": cents(v.Net),
	}
}

func cents(d money.Dec) string { return d.Round(2).String() }
