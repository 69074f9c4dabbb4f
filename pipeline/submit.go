package pipeline

import (
	"context"
	"fmt"

	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/region"
)

// DeskBook keeps orders on their way to the broker.
type DeskBook interface {
	ReviewBook
	// UpdateDesk locks the households in order of id, loads what the desk sees, calls decide once
	// and saves its moves in one transaction. It returns the moves that took effect: an order that
	// was sent, held or rejected meanwhile stays as it is.
	UpdateDesk(ctx context.Context, r DeskRequest, decide func(*DeskLoad) ([]DeskMove, error)) ([]DeskMove, error)
	// StartSubmit records who submits which set, before the first order of it is released.
	StartSubmit(ctx context.Context, a Act, f Frozen) error
}

// Submit hands approved orders to the gateway, after it has checked again what moved since the plan.
type Submit struct {
	Book   DeskBook
	Limits orders.Limits
}

// SubmitResult is what a submission came to.
type SubmitResult struct {
	Run      string               `json:"run"`
	Orders   int                  `json:"orders"` // released
	Notional map[string]money.Dec `json:"notional"`
	Stale    []Flag               `json:"stale,omitempty"` // no longer hold, and are not sent
}

// submitMax bounds the households of one transaction.
const submitMax = 200

// Submit releases the approved orders of a run that match. Doing it twice changes nothing. Where it
// stops halfway, the orders released so far are sent, and a second call goes on.
func (s Submit) Submit(ctx context.Context, a Act) (SubmitResult, error) {
	run, err := s.Book.Run(ctx, a.Run)
	if err != nil {
		return SubmitResult{}, err
	}
	if run.State == RunCanceled {
		return SubmitResult{}, fmt.Errorf("run %s is canceled: %w", run.ID, ErrState)
	}
	result := SubmitResult{Run: run.ID, Notional: map[string]money.Dec{}}
	chosen, err := s.choose(ctx, a)
	if err != nil || len(chosen.ids) == 0 {
		return result, err
	}
	if err := s.Book.StartSubmit(ctx, a, chosen.frozen); err != nil {
		return result, fmt.Errorf("run %s: submit: %w", run.ID, err)
	}
	for i := 0; i < len(chosen.households); i += submitMax {
		request := DeskRequest{Households: chosen.households[i:min(i+submitMax, len(chosen.households))], Runs: []string{run.ID}, WithTax: true}
		moves, err := s.Book.UpdateDesk(ctx, request, func(l *DeskLoad) ([]DeskMove, error) { return s.decide(l, run.ID, chosen.ids), nil })
		if err != nil {
			return result, fmt.Errorf("run %s: submit: %w", run.ID, err)
		}
		result.add(moves)
	}
	return result, nil
}

func (r *SubmitResult) add(moves []DeskMove) {
	for _, m := range moves {
		if m.Move == MoveFlag {
			r.Stale = append(r.Stale, m.flag())
			continue
		}
		r.Orders++
		r.Notional[string(m.Order.Currency)] = r.Notional[string(m.Order.Currency)].Add(m.Order.Notional)
	}
}

// submission is the set of orders that a submission is about.
type submission struct {
	ids        map[orders.ID]bool
	households []portfolio.HouseholdID
	frozen     Frozen
}

// choose returns the approved orders that match and were not released yet.
func (s Submit) choose(ctx context.Context, a Act) (submission, error) {
	chosen := submission{ids: map[orders.ID]bool{}}
	var leaves []orders.Leaf
	notional := map[string]money.Dec{}
	matched := 0
	err := s.Book.ReadReview(ctx, a.Run, func(o ReviewOrder) error {
		ok, err := a.chooses(o)
		if err != nil || !ok {
			return err
		}
		matched++
		if o.Review() == ReviewApproved {
			chosen.ids[o.ID] = true
			chosen.households = append(chosen.households, o.Household)
			leaves = append(leaves, orders.Leaf{ID: o.ID, Content: o.ContentHash})
			notional[string(o.Currency)] = notional[string(o.Currency)].Add(o.Notional)
		}
		return nil
	})
	if err == nil && matched == 0 {
		err = fmt.Errorf("no order matches: %w", ErrNotFound)
	}
	if err != nil {
		return chosen, fmt.Errorf("run %s: submit: %w", a.Run, err)
	}
	chosen.households = sortedIDs(chosen.households)
	chosen.frozen = Frozen{Orders: len(leaves), Notional: notional, Root: orders.Root(leaves)}
	return chosen, nil
}

func (s Submit) decide(l *DeskLoad, run string, ids map[orders.ID]bool) []DeskMove {
	var moves []DeskMove
	for i := range l.Households {
		h := &l.Households[i]
		c := newDeskCounter(l, h, s.Limits)
		for _, o := range h.Orders {
			if o.Run != run || !ids[o.ID] || !o.open() || o.Released || o.Approval.Approver == "" {
				continue
			}
			moves = append(moves, c.release(o))
		}
	}
	return moves
}

// release lets an order go to the gateway, or says why it must not: a lock stops it, or the book has
// moved since its plan and it no longer holds.
func (c *deskCounter) release(o DeskOrder) DeskMove {
	if stop := c.lockStop(o); stop != nil {
		return DeskMove{Move: MoveFlag, Order: o, Code: orders.TaxLock, Detail: stop.Text(), Lock: stop}
	}
	if o.BookVersion == c.h.Version {
		return DeskMove{Move: MoveRelease, Order: o}
	}
	if why := c.stale(o); why != "" {
		return DeskMove{Move: MoveFlag, Order: o, Code: CodeStale, Detail: why}
	}
	return DeskMove{Move: MoveRelease, Order: o}
}

// stale returns why an order that was planned on an earlier book no longer holds, or "".
func (c *deskCounter) stale(o DeskOrder) string {
	reference := c.load.References[ReferenceKey{o.Symbol, o.Session}]
	if away := o.LimitPrice.Sub(reference.Price).Abs(); reference.Price.Mul(c.limits.CollarMax).Less(away) {
		return fmt.Sprintf("the reference price is %s, the order's limit %s", reference.Price, o.LimitPrice)
	}
	if o.Side == portfolio.Sell {
		return c.staleSale(o)
	}
	cost := o.Cost(o.Quantity, c.limits)
	if len(o.WaitsFor) == 0 && c.cash[o.Account].Less(cost) {
		return fmt.Sprintf("it costs %s and the account has %s", cost, c.cash[o.Account])
	}
	return ""
}

// taxBook returns the household's tax book, folded once.
func (c *deskCounter) taxBook(rules *region.Rules) (*region.Book, error) {
	if c.book != nil {
		return c.book, nil
	}
	book, err := region.Fold(rules, region.ScopeOf(c.h.Household, c.load.Identical), c.h.Tax.Tax, c.h.Tax.Events)
	if err == nil {
		c.book = book
	}
	return book, err
}

// taxEvent returns an order as a tax event, filled wholly at the plan's price and the day's rate. It
// returns errNoRate, wrapped, where the rate is not known.
func (c *deskCounter) taxEvent(o DeskOrder, kind region.Kind, rules *region.Rules) (region.Event, error) {
	taxDay, err := c.taxDay(o)
	if err != nil {
		return region.Event{}, err
	}
	fx, err := c.rate(o, rules.Home)
	if err != nil {
		return region.Event{}, err
	}
	account := c.account(o.Account)
	return region.Event{
		ID: "~" + string(o.ID), Kind: kind, Day: o.Session, Settle: taxDay, Seq: c.h.Version + 1, Owner: account.Owner,
		Account: account.ID, AccountType: account.Type, Symbol: o.Symbol, Shares: money.RatDec(o.Quantity), Amount: o.Notional,
		Currency: o.Currency, FX: fx, Order: string(o.ID),
	}, nil
}

// staleSale looks at what the account holds, at the lots that the sale names, and at what a loss
// that it was to harvest would be denied now.
func (c *deskCounter) staleSale(o DeskOrder) string {
	if held := c.held[heldKey{o.Account, o.Symbol}]; held.Less(o.Quantity) {
		return fmt.Sprintf("it sells %s and the account has %s", o.Quantity, held)
	}
	if c.h.Tax == nil {
		return ""
	}
	rules, err := c.load.rulesOf(c.h.Household.Region)
	if err != nil {
		return err.Error()
	}
	book, err := c.taxBook(rules)
	if err != nil {
		return "the tax book cannot be folded: " + err.Error()
	}
	if because := lotsMissing(book, o); because != "" || !o.Harvests {
		return because
	}
	return c.denied(book, o, rules)
}

// lotsMissing returns which lot of a sale has fewer shares than the sale names, or "".
func lotsMissing(book *region.Book, o DeskOrder) string {
	held := map[string]money.Rat{}
	for _, h := range book.Holdings(o.Account) {
		if h.Symbol == o.Symbol {
			held[h.Lot] = held[h.Lot].Add(h.Shares)
		}
	}
	for _, l := range o.Lots {
		if held[l.Lot].Less(money.RatDec(l.Shares)) {
			return fmt.Sprintf("it sells %s of lot %s and the lot has %s", l.Shares, l.Lot, held[l.Lot])
		}
	}
	return ""
}

// denied returns what part of a harvested loss would be denied now, or "".
func (c *deskCounter) denied(book *region.Book, o DeskOrder, rules *region.Rules) string {
	sale, err := c.taxEvent(o, region.Sell, rules)
	if err != nil {
		return "what its loss would be denied cannot be told: " + err.Error()
	}
	for _, l := range o.Lots {
		sale.Lots = append(sale.Lots, region.LotShares{Lot: l.Lot, Shares: money.RatDec(l.Shares)})
	}
	outcomes, err := book.Would([]region.Event{sale})
	if err != nil {
		return "the tax book cannot take the sale: " + err.Error()
	}
	for _, s := range outcomes {
		if s.Denied.Sign() > 0 {
			return fmt.Sprintf("%s %s of its loss would be denied", s.Denied, rules.Home)
		}
	}
	return ""
}
