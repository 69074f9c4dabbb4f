package members

import (
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/tlh"
)

// What a bar names that the account's policy makes.
const (
	byNoHarvest  = "policy no_harvest"
	byHarvestMin = "policy harvest_cash_min"
)

// setRules sets what may not be traded, and what may not be sold at a loss.
func (d *draft) setRules() {
	d.out.Rules = make([]optimum.Rule, len(d.symbols))
	var losses []money.Dec
	if d.in.Holdings == nil {
		losses = d.losses()
	}
	for i, s := range d.symbols {
		r, q := &d.out.Rules[i], &d.quotes[i]
		_, isWanted := d.mix.Sleeve(s)
		order, hasOrder := d.open[s]
		isFrozen := !q.isOpen || hasOrder || slices.Contains(d.policy.Restricted, s)
		r.NoBuy, r.NoSell = isFrozen || !isWanted, isFrozen
		property := d.property(s)
		if bar, ok := d.bars.Purchase(property, q.taxDay); ok {
			r.BuyBarred, r.BuyBar = true, because(bar)
		} else if hasOrder {
			r.BuyBar = byOpenOrder(order)
		}
		if d.out.IsSheltered || losses == nil {
			continue
		}
		bar, isBarred := d.bars.Loss(property, q.taxDay)
		switch {
		case isBarred:
			r.LossBarred, r.LossBar = true, because(bar)
		case d.policy.NoHarvest:
			r.LossBarred, r.LossBar = true, optimum.Bar{Until: market.NoDay, By: byNoHarvest}
		case losses[i].Less(d.policy.HarvestCashMin):
			r.LossBarred, r.LossBar = true, optimum.Bar{Until: market.NoDay, By: byHarvestMin}
		}
	}
}

// losses returns, for each security, the sum of the losses of its lots that have one.
func (d *draft) losses() []money.Dec {
	losses := make([]money.Dec, len(d.symbols))
	for _, l := range d.out.Lots {
		loss := l.Cost.Sub(l.Shares.Mul(d.quotes[l.Security].price))
		losses[l.Security] = losses[l.Security].Add(money.Max(loss, money.Zero))
	}
	return losses
}

// because names what a bar comes from: its kind, then the account, symbol and order that it has.
func because(b tlh.Bar) optimum.Bar {
	parts := []string{string(b.Kind)}
	for _, p := range []string{string(b.Account), string(b.Symbol), b.Order} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return optimum.Bar{Until: b.Until, By: strings.Join(parts, " ")}
}
