package rebalance

import (
	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// The plan's events come after all others of their day, sales before purchases.
const (
	saleSeq     int64 = 1 << 40
	purchaseSeq int64 = saleSeq + 1
)

// audit asks the tax book about what the plan trades of each property that it sells at a loss and
// that the household bought inside the window, and returns whether it denies no loss. Where nobody
// bought, nothing can be denied, and the book is not asked. Properties of which it denies a loss are
// refused in the next attempt. So is the purchase of a property that accounts with gains tax sell under
// another name: it may make their pool dearer, and the sale a loss, whichever comes first.
func (h *house) audit() bool {
	var events []region.Event
	asked := map[string]bool{}
	for _, l := range h.bars.Locks() {
		if _, ok := h.bars.Loss(l.Property, h.quote(l.Symbol).taxDay); ok && !asked[l.Property] {
			asked[l.Property] = true
			events = append(events, h.eventsOf(l.Property)...)
		}
	}
	isClean := h.oneName()
	if len(events) == 0 {
		return isClean
	}
	outcomes, err := h.book.Would(events)
	if err != nil {
		h.lossless = true
		return false
	}
	for _, out := range outcomes {
		if harshest(out).Sign() > 0 {
			h.refused[h.property(out.Symbol)] = true
			isClean = false
		}
	}
	return isClean
}

// oneName reports whether no property is sold under one name and bought under another, by accounts with
// gains tax; where one is, they do not buy it in the next attempt.
func (h *house) oneName() bool {
	type trade struct {
		property string
		symbol   market.Symbol
	}
	names, sold := map[string]int{}, map[trade]bool{}
	for _, a := range h.accounts {
		for _, o := range a.holds {
			if t := (trade{o.property, o.symbol}); !a.sheltered && o.sold.Sign() > 0 && !sold[t] {
				sold[t] = true
				names[o.property]++
			}
		}
	}
	isOne := true
	for _, a := range h.accounts {
		for _, o := range a.holds {
			if a.sheltered || o.bought.IsZero() || names[o.property] == 0 {
				continue
			}
			if names[o.property] > 1 || !sold[trade{o.property, o.symbol}] {
				h.unbought[o.property], isOne = true, false
			}
		}
	}
	return isOne
}

// eventsOf returns what the plan trades of a property so far, as tax events.
func (h *house) eventsOf(property string) []region.Event {
	var events []region.Event
	for _, a := range h.accounts {
		for _, o := range a.holds {
			if o.property != property {
				continue
			}
			if o.sold.Sign() > 0 {
				events = append(events, h.event(a, o, soldOf(o)))
			}
			if o.bought.Sign() > 0 {
				e := h.eventBase(a, o, region.Buy, o.bought)
				e.Seq = purchaseSeq
				events = append(events, e)
			}
		}
	}
	return events
}

// soldOf returns what the plan has sold of a hold, as offers.
func soldOf(o *hold) []offer {
	if len(o.lots) == 0 {
		return []offer{{hold: o, take: o.sold}}
	}
	var offers []offer
	for i := range o.lots {
		if l := &o.lots[i]; l.sold.Sign() > 0 {
			offers = append(offers, offer{hold: o, lot: l, take: l.sold})
		}
	}
	return offers
}

// event returns the sale of what the offers take of one security as a tax event.
func (h *house) event(a *account, o *hold, offers []offer) region.Event {
	var shares money.Dec
	var lots []region.LotShares
	for _, f := range offers {
		shares = shares.Add(f.take)
		if f.lot != nil && f.lot.id != "" {
			lots = append(lots, region.LotShares{Lot: f.lot.id, Shares: money.RatDec(f.take)})
		}
	}
	e := h.eventBase(a, o, region.Sell, shares)
	e.Lots = lots
	return e
}

func (h *house) eventBase(a *account, o *hold, kind region.Kind, shares money.Dec) region.Event {
	id := "plan/" + string(a.ID) + "/" + string(o.symbol) + "/" + string(kind)
	return region.Event{
		ID: id, Kind: kind, Day: h.in.Day, Settle: o.settle, Seq: saleSeq,
		Owner: a.Owner, Account: a.ID, AccountType: a.Type, Symbol: o.symbol,
		Shares: money.RatDec(shares), Amount: shares.Mul(o.price.Close),
		Currency: o.security.Currency, FX: o.toHome, Order: id,
	}
}
