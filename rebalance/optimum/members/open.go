package members

import (
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
)

// takeOpen counts the account's open orders as filled at the last close: what they buy is held, what
// they sell is gone, cash is paid and received. Orders of securities without a price wait.
func (d *draft) takeOpen() {
	d.open = map[market.Symbol]portfolio.OpenOrder{}
	cost := d.in.Params.HalfSpread.Add(d.in.Params.Commission)
	for _, o := range d.in.Open {
		i, ok := slices.BinarySearch(d.symbols, o.Symbol)
		if !ok || o.Account != d.account.ID || o.Leaves.Sign() <= 0 || d.quotes[i].fault != "" {
			continue
		}
		if first, ok := d.open[o.Symbol]; !ok || o.ID < first.ID {
			d.open[o.Symbol] = o
		}
		value := o.Leaves.Mul(d.quotes[i].price)
		switch o.Side {
		case portfolio.Buy:
			d.out.Cash = d.out.Cash.Sub(value).Sub(value.Mul(cost))
			d.added = append(d.added, optimum.Lot{Security: int32(i), ID: o.ID, Shares: o.Leaves, Cost: value, IsOpen: true})
		case portfolio.Sell:
			sold := money.Min(o.Leaves, d.shares[o.Symbol])
			value = sold.Mul(d.quotes[i].price)
			d.out.Cash = d.out.Cash.Add(value).Sub(value.Mul(cost))
			d.shares[o.Symbol] = d.shares[o.Symbol].Sub(sold)
		}
	}
}

// addOpen adds what open orders buy to the lots.
func (d *draft) addOpen() {
	for _, l := range d.added {
		d.out.Lots = append(d.out.Lots, l)
		s := d.symbols[l.Security]
		d.shares[s] = d.shares[s].Add(l.Shares)
	}
}

// byOpenOrder is what leaves a security alone whose order may still trade.
func byOpenOrder(o portfolio.OpenOrder) optimum.Bar {
	return optimum.Bar{Until: market.NoDay, By: "open order " + o.ID}
}
