package rebalance

import (
	"daybreak/money"
	"daybreak/rebalance/optimum"
)

// nameTrades gives the trades of an account that harvest nothing their reasons: what the class was
// before them, and what the trade does to the objective.
func (h *house) nameTrades(f *fitted, p *optimum.Plan) {
	a := f.account
	sells := false
	for _, o := range a.holds {
		sells = sells || o.sold.Sign() > 0
	}
	raises := a.opening.Less(a.need())
	invests := !sells && a.wanted.Less(a.projected().Add(a.spent))
	for _, o := range a.holds {
		if o.sold.IsZero() && o.bought.IsZero() || o.reason.Code != "" {
			continue
		}
		s := a.opened[o.sleeve]
		r := Reason{Code: h.codeOf(o, s, len(a.mix.Sleeves)), Symbol: o.symbol, Numbers: sleeveNumbers(s, a)}
		if r.Code == TrackModel {
			switch {
			case raises && o.sold.Sign() > 0:
				r.Code = RaiseCash
			case invests && o.bought.Sign() > 0:
				r.Code = InvestCash
			}
		}
		if i, ok := f.place(o.symbol); ok {
			addNumbers(r.Numbers, p.Reasons[i])
		}
		o.reason = r
	}
}

// codeOf names a trade by where its sleeve stood before the plan.
func (h *house) codeOf(o *hold, s sleeve, legacy int) string {
	off := s.held.Sub(s.wanted)
	isOut := s.band.Less(off.Abs())
	switch {
	case o.sold.Sign() > 0 && o.sleeve == legacy:
		return SellLegacy
	case isOut && o.sold.Sign() > 0 && off.Sign() > 0:
		return RebalanceSell
	case isOut && o.bought.Sign() > 0 && off.Sign() < 0:
		return RebalanceBuy
	}
	return TrackModel
}

// reasonKeys are the numbers of the optimiser that a reason shows.
var reasonKeys = map[string]bool{"weight": true, "after": true, "target": true, "tax": true, "cost": true, "worth": true, "flip": true}

func addNumbers(to map[string]string, r optimum.Reason) {
	for _, n := range r.Numbers {
		if reasonKeys[n.Name] {
			to[n.Name] = share(n.Value)
		}
	}
}

// share writes a share of value as a reason shows it, at a hundredth of a basis point.
func share(f float64) string {
	return fraction(f).Round(6).String()
}

// explainIdle notes why the other securities of an account are not traded.
func (h *house) explainIdle(f *fitted, p *optimum.Plan) {
	for i, r := range p.Reasons {
		o, ok := f.account.find(f.symbol(i))
		if ok && (o.sold.Sign() > 0 || o.bought.Sign() > 0) {
			continue
		}
		if !ok {
			o = h.newHold(f.account, f.symbol(i))
		}
		h.explainOne(f, o, r)
	}
}

func (h *house) explainOne(f *fitted, o *hold, r optimum.Reason) {
	a := f.account
	numbers := map[string]string{}
	addNumbers(numbers, r)
	switch r.Code {
	case optimum.Bought, optimum.BoughtToLimit, optimum.Sold, optimum.SoldOut, optimum.SoldForCash, optimum.Harvested:
		if f.isSmall { // else it does not trade at all, whatever the reason says
			a.skip(Reason{Code: GainTooSmall, Symbol: o.symbol, Numbers: numbers})
		}
	case optimum.InsideBand:
		in := Inside{Symbol: o.symbol}
		for _, n := range r.Numbers {
			switch n.Name {
			case "weight":
				in.Weight = money.MustParse(share(n.Value))
			case "low":
				in.Low = money.MustParse(share(n.Value))
			case "high":
				in.High = money.MustParse(share(n.Value))
			}
		}
		a.certificate.Inside = append(a.certificate.Inside, in)
	case optimum.BuyBarred:
		if bar, ok := h.bars.Purchase(o.property, o.taxDay); ok {
			a.block(barred(o.symbol, bar))
		}
	case optimum.LossBarred:
		if bar, ok := h.lossBar(o); ok {
			a.block(barred(o.symbol, bar))
		}
	case optimum.BelowMinimum:
		a.skip(Reason{Code: BelowMinTrade, Symbol: o.symbol, Numbers: map[string]string{
			"amount": cents(f.amount(r, "wanted").Abs()), "minimum": cents(a.policy.MinTrade), "price": o.price.Close.String()}})
	case optimum.RoundedAway:
		a.skip(Reason{Code: RoundedAway, Symbol: o.symbol, Numbers: map[string]string{
			"amount": cents(f.amount(r, "wanted").Abs()), "price": o.price.Close.String()}})
	case optimum.OtherRole:
		a.skip(Reason{Code: OtherRole, Symbol: o.symbol, Numbers: numbers})
	case optimum.AtLimit:
		a.skip(Reason{Code: AtLimit, Symbol: o.symbol, Numbers: numbers})
	case optimum.Restricted:
		switch {
		case o.frozen != "":
			a.block(h.frozenReason(a, o))
		case !a.sheltered && h.unbought[o.property]:
			a.skip(Reason{Code: SoldNow, Symbol: o.symbol, Numbers: map[string]string{"property": o.property}})
		}
	case optimum.NotTradable:
		if o.sleeve < len(a.mix.Sleeves) {
			a.skip(Reason{Code: NotPriced, Symbol: o.symbol})
		}
	}
}

// amount returns a number of a reason as money of the account.
func (f *fitted) amount(r optimum.Reason, name string) money.Dec {
	for _, n := range r.Numbers {
		if n.Name == name {
			return fraction(n.Value).Mul(f.account.total)
		}
	}
	return money.Zero
}
