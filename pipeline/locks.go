package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// LockStop is a purchase that was not sent and that tax locks stop, and what it would destroy.
type LockStop struct {
	Run         string                `json:"run"`
	Order       orders.ID             `json:"order"`
	Household   portfolio.HouseholdID `json:"household"`
	ContentHash string                `json:"content_hash"`
	Property    string                `json:"property"` // identical group of the order's security
	TaxDay      market.Day            `json:"tax_day"`  // of the purchase
	Locks       []tlh.Lock            `json:"locks"`    // that no override of this content names
	Loss        tlh.Loss              `json:"loss"`     // without currency where Unknown says why
	Unknown     string                `json:"unknown,omitempty"`
	Basis       LossBasis             `json:"basis"`
}

// LossBasis is what a destroyed loss was computed from: the whole order, filled at the plan's price
// and the day's rate, after the sales of the locks that are still to be filled.
type LossBasis struct {
	Shares      money.Dec       `json:"shares"`
	Price       money.Dec       `json:"price"`
	Currency    market.Currency `json:"currency"`
	FX          money.Dec       `json:"fx"`                // home currency for one unit of Currency
	Pending     []string        `json:"pending,omitempty"` // sales that come first
	BookVersion int64           `json:"book_version"`
	Rules       string          `json:"rules"` // fingerprint of the region's
}

// lockAdvice is what a person can do about an order that a lock stops.
const lockAdvice = "Reject it, or have another person than the run's maker approve it with an override of the lock: " +
	"`order approve --override-lock --comment WHY`, or the order's page."

// Text says in sentences what stops the order, the loss at stake, and what to do about it.
func (s LockStop) Text() string {
	var locks []string
	for _, l := range s.Locks {
		locks = append(locks, fmt.Sprintf("%s is locked through %s by the sale %s of account %s", l.Property, l.Until, l.Order, l.Account))
	}
	loss := "the loss that buying it would destroy cannot be told: " + s.Unknown
	switch c := s.Loss.Currency; {
	case c == "":
	case s.Loss.Amount.IsZero():
		loss = "buying it would destroy no loss of the book as it stands"
	default:
		loss = fmt.Sprintf("buying it would destroy %s %s of losses (%s), %s %s of it for good, worth %s %s of tax",
			s.Loss.Amount.Fixed(2), c, s.Loss.BySale(), s.Loss.Gone.Fixed(2), c, s.Loss.Tax.Fixed(2), c)
	}
	return strings.Join(locks, ", ") + "; " + loss + ". " + lockAdvice
}

// Token names what a person was shown of the stop: content, locks and loss. An override that
// repeats it is refused where any of them is another now.
func (s LockStop) Token() string {
	text, err := json.Marshal([]any{s.ContentHash, s.Locks, s.Loss})
	if err != nil {
		panic(fmt.Errorf("order %s: lock: %w", s.Order, err)) // a LockStop holds nothing that JSON lacks
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Flag returns the stop as a check's finding: its numbers, and why in words.
func (s LockStop) Flag() Flag {
	numbers := orders.LockNumbers(s.Locks, s.Loss)
	numbers[because] = s.Text()
	return Flag{Order: s.Order, Code: orders.TaxLock, Numbers: numbers}
}

// because is the number of a flag that says in words why it is there.
const because = "because"

// Text returns why an order is flagged, in words where there are any.
func (f Flag) Text() string {
	if text := f.Numbers[because]; text != "" {
		return text
	}
	return numbersText(f.Numbers)
}

// lossLocks returns what the tax book alone forbids the household's unsent purchases: a lock for each
// sale at a loss, named by its event, that no firm lock of its property outlasts. It returns none where
// the book was not asked for, or cannot be folded: then what is stored must do.
func (c *deskCounter) lossLocks() []tlh.Lock {
	if c.h.Tax == nil {
		return nil
	}
	rules, err := c.load.rulesOf(c.h.Household.Region)
	if err != nil {
		return nil
	}
	book, err := c.taxBook(rules)
	if err != nil {
		return nil
	}
	var all []tlh.Lock
	asked := map[string]bool{}
	for _, o := range c.h.Orders {
		if o.Side != portfolio.Buy || o.IsSent || o.Progress.State != orders.Proposed || o.Property == "" || asked[o.Property] {
			continue
		}
		asked[o.Property] = true
		for _, l := range tlh.LossLocks(book, rules, o.Property, o.Session) {
			if !slices.ContainsFunc(c.h.Locks, func(k tlh.Lock) bool { return k.Property == l.Property && !k.Provisional && k.Until >= l.Until }) {
				all = append(all, l)
			}
		}
	}
	return all
}

// lockStop returns what stops an order of the household, or nil where no lock does. Where the order's
// tax day cannot be told, every lock of its property stops it.
func (c *deskCounter) lockStop(o DeskOrder) *LockStop {
	if !slices.ContainsFunc(c.locks, func(l tlh.Lock) bool { return l.Property == o.Property }) {
		return nil
	}
	taxDay, unknown := c.taxDay(o)
	facts := orders.Facts{Property: o.Property, TaxDay: taxDay, Locks: c.locks, Overrides: o.Overrides}
	locks := orders.Barring(o.Order, facts)
	if len(locks) == 0 {
		return nil
	}
	s := &LockStop{Run: o.Run, Order: o.ID, Household: o.Household, ContentHash: o.ContentHash, Property: o.Property, TaxDay: taxDay, Locks: locks}
	if unknown == nil {
		unknown = c.lose(s, o)
	}
	if unknown != nil {
		s.Unknown = unknown.Error()
	}
	return s
}

// errNoBook says that nothing of a household's tax was loaded.
var errNoBook = errors.New("the tax book is not at hand")

// lose fills in what the order of a stop would destroy. An error says why that cannot be told.
func (c *deskCounter) lose(s *LockStop, o DeskOrder) error {
	if c.h.Tax == nil {
		return errNoBook
	}
	rules, err := c.load.rulesOf(c.h.Household.Region)
	if err != nil {
		return err
	}
	book, err := c.taxBook(rules)
	if err != nil {
		return fmt.Errorf("the tax book cannot be folded: %w", err)
	}
	purchase, err := c.taxEvent(o, region.Buy, rules)
	if err != nil {
		return err
	}
	purchase.Seq++ // after the sales that are still to come
	pending, err := c.pending(s.Locks, rules)
	if err != nil {
		return err
	}
	all, err := tlh.Destroys(book, rules, purchase, pending...)
	if err != nil {
		return err
	}
	s.Loss = tlh.LossOf(rules.Home, all)
	s.Basis = LossBasis{Shares: o.Quantity, Price: o.Price, Currency: o.Currency, FX: purchase.FX, BookVersion: c.h.Version, Rules: rules.Fingerprint()}
	for _, e := range pending {
		s.Basis.Pending = append(s.Basis.Pending, e.Order)
	}
	return nil
}

// pending returns the sales of locks as far as they are on their way and not filled.
func (c *deskCounter) pending(locks []tlh.Lock, rules *region.Rules) ([]region.Event, error) {
	var all []region.Event
	for _, l := range locks {
		for _, o := range c.h.Orders {
			onItsWay := o.Progress.State.Live() || o.open() && o.Released
			if string(o.ID) != l.Order || o.Side != portfolio.Sell || !onItsWay || o.Progress.LeavesQty.Sign() <= 0 {
				continue
			}
			e, err := c.taxEvent(o, region.Sell, rules)
			if err != nil {
				return nil, err
			}
			e.Shares, e.Amount = money.RatDec(o.Progress.LeavesQty), o.Price.Mul(o.Progress.LeavesQty)
			e.Lots = lotsLeft(o)
			all = append(all, e)
		}
	}
	return all, nil
}

// lotsLeft returns the lots of a sale that its fills have not used, the first ones being used first.
func lotsLeft(o DeskOrder) []region.LotShares {
	used := o.Progress.CumQty
	var left []region.LotShares
	for _, l := range o.Lots {
		part := money.Min(l.Shares, used)
		used = used.Sub(part)
		if rest := l.Shares.Sub(part); rest.Sign() > 0 {
			left = append(left, region.LotShares{Lot: l.Lot, Shares: money.RatDec(rest)})
		}
	}
	return left
}

// errNoRate says that an amount cannot be told in home currency.
var errNoRate = errors.New("no exchange rate")

// rate returns home currency for one unit of the order's at its session.
func (c *deskCounter) rate(o DeskOrder, home market.Currency) (money.Dec, error) {
	if o.Currency == home {
		return money.One, nil
	}
	if r, ok := c.load.Rates[RateKey{o.Currency, home, o.Session}]; ok {
		return r, nil
	}
	return money.Zero, fmt.Errorf("%w of %s in %s at most ten days old on %s", errNoRate, o.Currency, home, o.Session)
}

// stops returns the purchases of a run that locks stop, by order.
func (r Review) stops(ctx context.Context, run string) (map[orders.ID]LockStop, error) {
	all := map[orders.ID]LockStop{}
	var after portfolio.HouseholdID
	for {
		households, err := r.Book.LockedHouseholds(ctx, run, after, submitMax)
		if err != nil || len(households) == 0 {
			return all, err
		}
		after = households[len(households)-1]
		load, err := r.Book.ReadDesk(ctx, DeskRequest{Households: households, Runs: []string{run}})
		if err != nil {
			return nil, err
		}
		load.addStops(run, r.Limits, all)
	}
}

// addStops adds what stops unsent purchases of a run.
func (l *DeskLoad) addStops(run string, limits orders.Limits, all map[orders.ID]LockStop) {
	for i := range l.Households {
		c := newDeskCounter(l, &l.Households[i], limits)
		for _, o := range l.Households[i].Orders {
			if o.Run != run || o.IsSent || o.Progress.State != orders.Proposed {
				continue
			}
			if stop := c.lockStop(o); stop != nil {
				all[o.ID] = *stop
			}
		}
	}
}

// Stop returns what stops an order of a run and a household, or nil where no lock does.
func (r Review) Stop(ctx context.Context, run string, household portfolio.HouseholdID, id orders.ID) (*LockStop, error) {
	load, err := r.Book.ReadDesk(ctx, DeskRequest{Households: []portfolio.HouseholdID{household}, Runs: []string{run}})
	if err != nil {
		return nil, fmt.Errorf("order %s: locks: %w", id, err)
	}
	all := map[orders.ID]LockStop{}
	load.addStops(run, r.Limits, all)
	if stop, ok := all[id]; ok {
		return &stop, nil
	}
	return nil, nil
}
