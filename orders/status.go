package orders

import "daybreak/money"

// State is where an order stands, in FIX's words. Proposed is ours: the broker has not seen it.
// Whether a proposed order is approved is a row beside it, so that an approval rewrites no order.
type State string

// The states of an order.
const (
	Proposed        State = "Proposed"
	PendingNew      State = "PendingNew"
	New             State = "New"
	PartiallyFilled State = "PartiallyFilled"
	Filled          State = "Filled"
	PendingCancel   State = "PendingCancel"
	Canceled        State = "Canceled"
	Rejected        State = "Rejected"
	DoneForDay      State = "DoneForDay"
	Expired         State = "Expired"
)

// Ended reports whether nothing more is expected of an order in this state.
func (s State) Ended() bool {
	switch s {
	case Filled, Canceled, Rejected, DoneForDay, Expired:
		return true
	}
	return false
}

// closed reports whether the broker has said that the rest will not trade.
func (s State) closed() bool { return s.Ended() && s != Filled }

// Live reports whether an order in this state is with the broker and may still trade.
func (s State) Live() bool {
	switch s {
	case PendingNew, New, PartiallyFilled, PendingCancel:
		return true
	}
	return false
}

// Progress is how far an order has come. OrderQty = CumQty + LeavesQty holds except after an
// overfill, where CumQty is above OrderQty and LeavesQty is 0.
type Progress struct {
	State     State     `json:"state"`
	OrderQty  money.Dec `json:"order_qty"`  // what the broker works on; CumQty once the rest is given up
	CumQty    money.Dec `json:"cum_qty"`    // sum of effective fills
	LeavesQty money.Dec `json:"leaves_qty"` // what may still trade
}

// NewProgress returns the progress of a proposed order of a quantity.
func NewProgress(quantity money.Dec) Progress {
	return Progress{State: Proposed, OrderQty: quantity, LeavesQty: quantity}
}

// Filled returns the progress after shares more have traded, or fewer where a bust makes shares
// negative. asked is the quantity of the order as approved: fills that come after the rest was given
// up count up to it. A bust never reopens an order that has ended: another may be live by then.
func (p Progress) Filled(shares, asked money.Dec) Progress {
	p.CumQty = p.CumQty.Add(shares)
	if p.State == Filled && p.CumQty.Less(p.OrderQty) {
		p.State = Canceled
	}
	if p.State.closed() {
		p.OrderQty = money.Min(money.Max(p.CumQty, money.Zero), asked)
	}
	p.LeavesQty = money.Max(p.OrderQty.Sub(p.CumQty), money.Zero)
	p.State = p.derive(asked)
	return p
}

// derive returns the state that the quantities say, and not what a report said.
func (p Progress) derive(asked money.Dec) State {
	switch {
	case p.State.closed() && !p.CumQty.Less(asked):
		return Filled
	case p.State == Rejected && p.CumQty.Sign() > 0:
		return Canceled
	case p.State.closed():
		return p.State
	case p.LeavesQty.IsZero() && p.CumQty.Sign() > 0:
		return Filled
	case p.State == PendingCancel:
		return PendingCancel
	case p.CumQty.Sign() > 0:
		return PartiallyFilled
	case p.State == PartiallyFilled:
		return New
	}
	return p.State
}

// Acknowledged returns the progress after the broker has taken the order; a fill may have come before.
func (p Progress) Acknowledged() Progress {
	if p.State == PendingNew {
		p.State = New
	}
	return p
}

// Closed returns the progress after the rest of the order was given up with a state of Canceled,
// Rejected, DoneForDay or Expired. An order that is filled stays so.
func (p Progress) Closed(as State) Progress {
	if p.State == Filled {
		return p
	}
	p.OrderQty, p.LeavesQty = money.Max(p.CumQty, money.Zero), money.Zero
	p.State = as
	if as == Rejected && p.CumQty.Sign() > 0 {
		p.State = Canceled
	}
	return p
}

// Sent returns the progress of an order that is on its way to the broker with a quantity, which is
// less than it was proposed with where there was less cash.
func (p Progress) Sent(quantity money.Dec) Progress {
	return Progress{State: PendingNew, OrderQty: quantity, LeavesQty: quantity}
}
