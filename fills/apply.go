package fills

import (
	"fmt"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// application is one execution on its way into the book.
type application struct {
	state     *State
	execution Execution
	effects   Effects
}

func (a *application) run() (Effects, Outcome) {
	switch a.execution.Type {
	case Trade:
		a.post()
		a.fill(a.execution.Quantity)
	case TradeCorrect, TradeCancel:
		earlier, outcome := a.state.referred(a.execution)
		if outcome != Applied {
			return Effects{}, outcome
		}
		a.takeBack(earlier)
		change := earlier.Quantity.Neg()
		if a.execution.Type == TradeCorrect {
			a.post()
			change = change.Add(a.execution.Quantity)
		}
		a.fill(change)
	case New, PendingNew, PendingCancel, OrderStatus, DoneForDay, Canceled, Rejected, Expired:
		a.report()
	default:
		return Effects{}, UnknownType
	}
	a.lock()
	a.except()
	return a.effects, Applied
}

// referred returns the execution that a correction or a bust takes back: the end of the path of
// corrections that begins at the one it names.
func (s *State) referred(e Execution) (Posted, Outcome) {
	key := e.Refers().String()
	if _, known := s.Seen[key]; !known {
		return Posted{}, Held
	}
	for next, ok := s.Next[key]; ok; next, ok = s.Next[key] {
		key = next
	}
	p, ok := s.Posted[key]
	switch {
	case !ok || p.OrderID != e.OrderID:
		return Posted{}, BadReference
	case p.Type == TradeCancel:
		return Posted{}, AlreadyBusted
	case !p.Moves():
		return Posted{}, BadReference
	}
	return p, Applied
}

// fill moves the order's quantities by shares, which a bust makes negative.
func (a *application) fill(shares money.Dec) {
	a.effects.Order.Progress = a.effects.Order.Progress.Filled(shares, a.effects.Order.Asked)
}

// post enters the execution's trade: lots, position, cash, journal and tax history.
func (a *application) post() {
	e, account := a.execution, a.account()
	a.effects.Posted.Effective = true
	a.effects.Posted.Lots, a.effects.Order.LotsLeft = takeLots(a.effects.Order.LotsLeft, e.Quantity)
	a.move(KindTrade, e.TradeDate, e.moves(account.Currency))
	a.effects.Tax = a.taxEvent(account)
}

// takeBack enters the reversal of an earlier trade.
func (a *application) takeBack(p Posted) {
	a.effects.Posted.Refers, a.effects.Replaced, a.effects.ReplacedVersion = p.Key, p.Key, p.Version
	a.effects.Withdrawn = p.Key
	if p.Side == portfolio.Buy {
		a.effects.Closed = append(a.effects.Closed, Exception{Account: a.effects.Order.Account, Code: DeniedLoss, Subject: p.Key})
	}
	a.effects.Order.LotsLeft = giveBack(a.effects.Order.LotsLeft, p.Lots)
	a.move(KindReversal, p.TradeDate, ledger.Reverse(p.moves(a.account().Currency)))
}

// report enters what the broker says about an order without a trade.
func (a *application) report() {
	p := a.effects.Order.Progress
	switch a.execution.Type {
	case New:
		p = p.Acknowledged()
	case PendingCancel:
		if p.State.Live() {
			p.State = orders.PendingCancel
		}
	case DoneForDay:
		p = p.Closed(orders.DoneForDay)
	case Canceled:
		p = p.Closed(orders.Canceled)
	case Rejected:
		p = p.Closed(orders.Rejected)
	case Expired:
		p = p.Closed(orders.Expired)
	}
	a.effects.Order.Progress = p
}

func (a *application) account() Account { return a.state.Accounts[a.execution.Account] }

func (a *application) move(kind string, effective market.Day, moves []ledger.Move) {
	units := ledger.Account{Owner: string(a.effects.Holding.Account), Kind: ledger.Units}
	cash := ledger.Account{Owner: string(a.effects.Purse.Account), Kind: ledger.Cash}
	a.effects.moved = true
	a.effects.Shares = a.effects.Shares.Add(ledger.Change(moves, units, string(a.effects.Holding.Symbol)))
	a.effects.Cash = a.effects.Cash.Add(ledger.Change(moves, cash, string(a.effects.Purse.Currency)))
	for _, m := range moves {
		a.effects.Journal = append(a.effects.Journal, Line{Kind: kind, Effective: effective, Move: m})
	}
}

// taxEvent returns the trade as a fact of the tax history. Its rate is the published one of its tax
// day; where that is not known yet it is 0, and what follows from it is provisional.
func (a *application) taxEvent(account Account) *region.Event {
	e, rules := a.execution, a.state.Rules
	kind := region.Buy
	if e.Side == portfolio.Sell {
		kind = region.Sell
	}
	rate := money.Zero
	if e.Currency != rules.Home {
		rate = a.state.Rates[Pair{e.Currency, rules.Home, rules.TaxDay(e.TradeDate, e.SettleDate)}]
	}
	t := e.ledgerTrade(account.Currency)
	event := &region.Event{
		ID: a.effects.Posted.Key, Kind: kind, Day: e.TradeDate, Settle: e.SettleDate, Seq: a.effects.Posted.Version,
		Owner: account.Owner, Account: account.ID, AccountType: account.Type, Symbol: e.Symbol,
		Shares: money.RatDec(e.Quantity), Amount: t.Gross(), Commission: ledger.Cents(t.Commission),
		Currency: e.Currency, FX: rate, Order: string(e.OrderID),
	}
	for _, l := range a.effects.Posted.Lots {
		event.Lots = append(event.Lots, region.LotShares{Lot: l.Lot, Shares: money.RatDec(l.Shares)})
	}
	return event
}

// takeLots takes shares from lots, the first ones first, and returns what it took and what is left.
// Shares beyond all lots are taken from none: the region's lot method finds them.
func takeLots(lots []rebalance.TradeLot, shares money.Dec) (taken, left []rebalance.TradeLot) {
	for _, l := range lots {
		part := money.Min(l.Shares, shares)
		shares = shares.Sub(part)
		if part.Sign() > 0 {
			taken = append(taken, rebalance.TradeLot{Lot: l.Lot, Shares: part})
		}
		left = append(left, rebalance.TradeLot{Lot: l.Lot, Shares: l.Shares.Sub(part)})
	}
	return taken, left
}

// giveBack returns lots with the shares of taken put back.
func giveBack(lots, taken []rebalance.TradeLot) []rebalance.TradeLot {
	back := append([]rebalance.TradeLot(nil), lots...)
	for _, t := range taken {
		for i := range back {
			if back[i].Lot == t.Lot {
				back[i].Shares = back[i].Shares.Add(t.Shares)
				break
			}
		}
	}
	return back
}

// lock moves the locks of the execution's order: fixed until the last day of the loss window of its
// last fill, void once it has ended with nothing filled.
func (a *application) lock() {
	e, order := a.execution, a.effects.Order
	for _, l := range a.state.Locks[e.OrderID] {
		was := l
		switch {
		case order.Progress.CumQty.Sign() <= 0 && order.Progress.State.Ended():
			l.State = LockVoid
		case order.Progress.CumQty.Sign() <= 0:
			l.State = LockProvisional
		case e.Type == Trade:
			l.extend(a.windowEnd(e))
		case a.effects.Replaced != "":
			l.State = LockProvisional
			for _, p := range a.effectiveFills() {
				l.extend(a.windowEnd(p))
			}
		}
		if l != was {
			a.effects.Locks = append(a.effects.Locks, l)
		}
	}
}

// extend fixes a lock until a day, or leaves it where it is fixed until a later one.
func (l *Lock) extend(until market.Day) {
	if l.State != LockFixed || l.Until < until {
		l.Until = until
	}
	l.State = LockFixed
}

func (a *application) windowEnd(e Execution) market.Day {
	rules := a.state.Rules
	return rules.TaxDay(e.TradeDate, e.SettleDate) + market.Day(rules.WindowDays())
}

// effectiveFills returns the trades of the execution's order that count once it is applied; their
// order does not matter to the caller.
func (a *application) effectiveFills() []Execution {
	var all []Execution
	for _, key := range sortedKeys(a.state.Posted) {
		p := a.state.Posted[key]
		if p.OrderID == a.execution.OrderID && p.Effective && p.Key != a.effects.Replaced {
			all = append(all, p.Execution)
		}
	}
	if a.effects.Posted.Effective {
		all = append(all, a.execution)
	}
	return all
}

// except opens an exception for each rule that the book breaks now and did not before, and closes
// those that it no longer breaks.
func (a *application) except() {
	s, f := a.state, &a.effects
	before, order := s.Orders[f.Order.ID].Progress, f.Order.Progress
	rules := []struct {
		code, subject string
		was, is       bool
		detail        func() string
	}{
		{OverFill, string(f.Order.ID), overfilled(before), overfilled(order),
			func() string { return fmt.Sprintf("%s filled of %s ordered", order.CumQty, order.OrderQty) }},
		{ShortPosition, string(f.Holding.Symbol), s.Positions[f.Holding].Sign() < 0, f.Shares.Sign() < 0,
			func() string { return fmt.Sprintf("%s shares of %s", f.Shares, f.Holding.Symbol) }},
		{NegativeCash, string(f.Purse.Currency), s.Cash[f.Purse].Sign() < 0, f.Cash.Sign() < 0,
			func() string { return fmt.Sprintf("%s %s", f.Cash, f.Purse.Currency) }},
	}
	for _, r := range rules {
		if r.is == r.was {
			continue
		}
		x := Exception{Account: f.Order.Account, Code: r.code, Subject: r.subject, Detail: r.detail()}
		if r.is {
			f.Opened = append(f.Opened, x)
		} else {
			f.Closed = append(f.Closed, x)
		}
	}
}

func overfilled(p orders.Progress) bool { return p.OrderQty.Less(p.CumQty) }
