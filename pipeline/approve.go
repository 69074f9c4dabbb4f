package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
)

// ReviewOrder is what an act of review needs of one order.
type ReviewOrder struct {
	Run             string
	ID              orders.ID
	Household       portfolio.HouseholdID
	Account         portfolio.AccountID
	Region          string
	Symbol          market.Symbol
	Side            portfolio.Side
	Quantity        money.Dec
	Price           money.Dec
	Notional        money.Dec
	Value           money.Dec
	Currency        market.Currency
	AccountCurrency market.Currency
	Reason          string
	State           orders.State
	Approved        bool // its present content is
	Released        bool
	HeldBy          string
	Exception       string
	Waits           bool
	ContentHash     string
	Build           string
	Rules           string
	GapBP           money.Dec // certified gap of its account's plan, basis points; 0 without a certificate
}

// Review returns where the order stands for a person.
func (o ReviewOrder) Review() ReviewState {
	switch {
	case o.State != orders.Proposed:
		return ReviewState(o.State)
	case o.Exception != "":
		return ReviewFlagged
	case o.HeldBy != "":
		return ReviewHeld
	case o.Released:
		return ReviewSubmitted
	case o.Approved:
		return ReviewApproved
	}
	return ReviewProposed
}

// Act is what a person asks for over those orders of a run that Chosen reports; nil chooses all.
type Act struct {
	Run     string
	Where   string // the filter's text, for the record
	Chosen  func(ReviewOrder) (bool, error)
	By      string
	Comment string
	Root    string // what the person was shown; the act is refused where the set is another now
	Now     time.Time
}

// Frozen is a set of orders that one signature covers.
type Frozen struct {
	Orders   int                  `json:"orders"`
	Notional map[string]money.Dec `json:"notional"` // by currency
	Root     string               `json:"root"`     // Merkle root over ids and contents
}

// Flag is an order that a check stopped, and why.
type Flag struct {
	Order   orders.ID         `json:"order"`
	Code    string            `json:"code"`
	Numbers map[string]string `json:"numbers,omitempty"`
}

// ApprovalResult is what an approval came to.
type ApprovalResult struct {
	Run string `json:"run"`
	Frozen
	Flagged []Flag `json:"flagged,omitempty"` // matched, and stopped by a check
}

// ReviewChanges is what an act of review changes, in one transaction with its audit row.
type ReviewChanges struct {
	Act      Act
	Action   string // of the audit row
	Maker    string
	Frozen   *Frozen       // of an approval
	Approved []orders.Leaf // by id
	Flagged  []Flag
	Rejected []orders.ID
	Held     []orders.ID
	Unheld   []orders.ID
	// Overrides of tax locks, and where their orders stand before and after.
	Overrides     []LockOverride
	Before, After map[orders.ID]string
}

// ReviewBook keeps approvals and what people do with orders.
type ReviewBook interface {
	Run(ctx context.Context, id string) (Run, error)
	// UpdateReview makes acts on a run take turns, calls each for every order of it by id, then
	// finish, and saves what that returns. Orders that were sent or have ended meanwhile stay as
	// they are. It saves nothing where either returns an error.
	UpdateReview(ctx context.Context, run string, each func(ReviewOrder) error, finish func() (ReviewChanges, error)) error
	// ReadReview calls each for every order of a run by id.
	ReadReview(ctx context.Context, run string, each func(ReviewOrder) error) error
	// LockedHouseholds returns, by id and after a household, at most limit households with an unsent
	// purchase of a run whose property is locked on its session or later.
	LockedHouseholds(ctx context.Context, run string, after portfolio.HouseholdID, limit int) ([]portfolio.HouseholdID, error)
	// ReadDesk loads households as the desk sees them, but for references, what was sent and the kill
	// switch; nothing is locked.
	ReadDesk(ctx context.Context, r DeskRequest) (*DeskLoad, error)
}

// Review is the desk at which people decide about a run's orders.
type Review struct {
	Book   ReviewBook
	Limits orders.Limits
}

// Preview returns the set that an approval would sign now, and what a check would stop.
func (r Review) Preview(ctx context.Context, a Act) (ApprovalResult, error) {
	run, err := r.Book.Run(ctx, a.Run)
	if err != nil {
		return ApprovalResult{}, err
	}
	c, err := r.collector(ctx, run, a)
	if err != nil {
		return ApprovalResult{}, err
	}
	if err := r.Book.ReadReview(ctx, a.Run, c.each); err != nil {
		return ApprovalResult{}, fmt.Errorf("run %s: %w", a.Run, err)
	}
	return ApprovalResult{Run: run.ID, Frozen: c.frozen(), Flagged: c.flagged}, nil
}

// Approve signs, in the name of a person, the orders of a run that are proposed, match, and pass
// the checks before approval. Who made the run cannot; a set other than the one shown is refused,
// both with ErrState. Orders that are approved already are left as they are.
func (r Review) Approve(ctx context.Context, a Act) (ApprovalResult, error) {
	run, err := r.mayApprove(ctx, a)
	if err != nil {
		return ApprovalResult{}, err
	}
	c, err := r.collector(ctx, run, a)
	if err != nil {
		return ApprovalResult{}, err
	}
	result := ApprovalResult{Run: run.ID}
	err = r.Book.UpdateReview(ctx, a.Run, c.each, func() (ReviewChanges, error) {
		frozen := c.frozen()
		if a.Root != "" && a.Root != frozen.Root {
			return ReviewChanges{}, fmt.Errorf("the orders have changed since they were shown: look again: %w", ErrState)
		}
		if c.matched == 0 {
			return ReviewChanges{}, fmt.Errorf("no order matches: %w", ErrNotFound)
		}
		result.Frozen, result.Flagged = frozen, c.flagged
		changes := ReviewChanges{Act: a, Action: "order.approve", Maker: run.Maker, Flagged: c.flagged}
		if frozen.Orders > 0 {
			changes.Frozen, changes.Approved = &frozen, c.leaves
		}
		return changes, nil
	})
	if err != nil {
		return ApprovalResult{}, fmt.Errorf("run %s: approve: %w", run.ID, err)
	}
	return result, nil
}

// mayApprove returns the run of an act where its person may approve orders of it; else ErrState,
// wrapped.
func (r Review) mayApprove(ctx context.Context, a Act) (Run, error) {
	run, err := r.Book.Run(ctx, a.Run)
	switch {
	case err != nil:
		return Run{}, err
	case run.State == RunCanceled:
		return Run{}, fmt.Errorf("run %s is canceled: %w", run.ID, ErrState)
	case a.By == run.Maker:
		return Run{}, fmt.Errorf("run %s was made by %s, who cannot approve it: another person must: %w", run.ID, run.Maker, ErrState)
	}
	return run, nil
}

// collector gathers what an approval would sign.
type collector struct {
	run      Run
	act      Act
	limits   orders.Limits
	stops    map[orders.ID]LockStop
	matched  int
	leaves   []orders.Leaf
	notional map[string]money.Dec
	flagged  []Flag
}

func (r Review) collector(ctx context.Context, run Run, a Act) (*collector, error) {
	stops, err := r.stops(ctx, run.ID)
	if err != nil {
		return nil, fmt.Errorf("run %s: locks: %w", run.ID, err)
	}
	return &collector{run: run, act: a, limits: r.Limits, stops: stops, notional: map[string]money.Dec{}}, nil
}

func (c *collector) each(o ReviewOrder) error {
	chosen, err := c.act.chooses(o)
	if err != nil || !chosen {
		return err
	}
	c.matched++
	if o.Review() != ReviewProposed {
		return nil
	}
	if flag := c.check(o, c.stops[o.ID]); flag != nil {
		c.flagged = append(c.flagged, *flag)
		return nil
	}
	c.sign(o)
	return nil
}

// check returns what stops an order before its approval, or nil. An empty stop is none.
func (c *collector) check(o ReviewOrder, stop LockStop) *Flag {
	facts := orders.Facts{Build: o.Build, Rules: o.Rules, RunBuild: c.run.Build, RunRules: c.run.Rules,
		Property: stop.Property, TaxDay: stop.TaxDay, Locks: stop.Locks, Destroys: stop.Loss}
	order := orders.Order{ID: o.ID, Side: o.Side, Quantity: o.Quantity, Value: o.Value}
	v := orders.Check(orders.BeforeApproval, order, facts, c.limits)
	switch {
	case v == nil:
		return nil
	case v.Code == orders.TaxLock:
		flag := stop.Flag()
		return &flag
	}
	return &Flag{o.ID, v.Code, v.Numbers}
}

func (c *collector) sign(o ReviewOrder) {
	c.leaves = append(c.leaves, orders.Leaf{ID: o.ID, Content: o.ContentHash})
	c.notional[string(o.Currency)] = c.notional[string(o.Currency)].Add(o.Notional)
}

func (c *collector) frozen() Frozen {
	return Frozen{Orders: len(c.leaves), Notional: maps.Clone(c.notional), Root: orders.Root(c.leaves)}
}

// chooses reports whether the act is about an order.
func (a Act) chooses(o ReviewOrder) (bool, error) {
	if a.Chosen == nil {
		return true, nil
	}
	chosen, err := a.Chosen(o)
	if err != nil {
		return false, fmt.Errorf("order %s: %w", o.ID, err)
	}
	return chosen, nil
}

// Reject ends proposed orders that were not sent, approved or not, and voids the locks that came
// with them. It returns how many.
func (r Review) Reject(ctx context.Context, a Act) (int, error) {
	return r.exclude(ctx, a, "order.reject", func(o ReviewOrder) bool { return o.State == orders.Proposed },
		func(c *ReviewChanges, ids []orders.ID) { c.Rejected = ids })
}

// Hold keeps proposed orders from being sent until they are let go. It returns how many.
func (r Review) Hold(ctx context.Context, a Act) (int, error) {
	return r.exclude(ctx, a, "order.hold", func(o ReviewOrder) bool { return o.State == orders.Proposed && o.HeldBy == "" },
		func(c *ReviewChanges, ids []orders.ID) { c.Held = ids })
}

// Release lets orders go that a person holds or that a check has flagged: they are where they were
// before, and the checks before sending look at them again. It returns how many.
func (r Review) Release(ctx context.Context, a Act) (int, error) {
	return r.exclude(ctx, a, "order.release", func(o ReviewOrder) bool { return o.State == orders.Proposed && (o.HeldBy != "" || o.Exception != "") },
		func(c *ReviewChanges, ids []orders.ID) { c.Unheld = ids })
}

// exclude takes the matching orders that are open for an act and hands them to set. An act over
// orders of which none is open changes nothing; one that matches none is ErrNotFound.
func (r Review) exclude(ctx context.Context, a Act, action string, open func(ReviewOrder) bool, set func(*ReviewChanges, []orders.ID)) (int, error) {
	run, err := r.Book.Run(ctx, a.Run)
	if err != nil {
		return 0, err
	}
	var ids []orders.ID
	matched := 0
	each := func(o ReviewOrder) error {
		chosen, err := a.chooses(o)
		if err != nil || !chosen {
			return err
		}
		matched++
		if open(o) {
			ids = append(ids, o.ID)
		}
		return nil
	}
	err = r.Book.UpdateReview(ctx, a.Run, each, func() (ReviewChanges, error) {
		if matched == 0 {
			return ReviewChanges{}, fmt.Errorf("no order matches: %w", ErrNotFound)
		}
		changes := ReviewChanges{Act: a, Action: action, Maker: run.Maker}
		set(&changes, ids)
		return changes, nil
	})
	if err != nil {
		return 0, fmt.Errorf("run %s: %s: %w", a.Run, action, err)
	}
	return len(ids), nil
}

// sortedIDs returns ids in order, each once.
func sortedIDs[T ~string](ids []T) []T {
	slices.Sort(ids)
	return slices.Compact(ids)
}
