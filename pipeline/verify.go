package pipeline

import (
	"context"
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// Check is the outcome of one invariant over the whole database. Broken names at most a few places.
type Check struct {
	Invariant string   `json:"invariant"`
	OK        bool     `json:"ok"`
	Checked   int64    `json:"checked"` // rows, households or links looked at
	Broken    []string `json:"broken"`
}

// BrokenMax bounds the places that a check names.
const BrokenMax = 20

// TaxAccount is one account's part of what verification folds: its cached positions, by symbol.
type TaxAccount struct {
	Account   portfolio.AccountID
	Excused   bool // an open exception names the account
	Positions []portfolio.Position
}

// TaxHousehold is a household with every tax event that counts, in order of arrival, with how the book
// came to know them, and with the slips that were issued.
type TaxHousehold struct {
	Household portfolio.Household
	Version   int64 // of the book
	Events    []region.Event
	Imported  int              // so many of the events came with the household
	Arrivals  []Arrival        // what came since, whether it still counts or not, in order of arrival
	Brought   []region.Brought // losses that the owners brought with them
	Slips     []IssuedSlip     // by owner, year and number
	Fault     *rebalance.Fault // why its events cannot be read
	Accounts  []TaxAccount
}

// TaxBooks reads households for verification, a page at a time.
type TaxBooks interface {
	// TaxHouseholds returns at most limit households after one, by id.
	TaxHouseholds(ctx context.Context, after portfolio.HouseholdID, limit int) ([]TaxHousehold, error)
	// Securities returns all securities, for the identical groups.
	Securities(ctx context.Context) ([]market.Security, error)
}

// taxPage is the number of households that are in memory at once.
const taxPage = 500

// VerifyTax folds every household's tax events from the beginning. Check 2b compares the shares of
// each account and symbol with its position: position = sum of open lots or pool shares. Check 10
// wants gains, losses and cost conserved, and denials within their losses; region.Book.Violations
// says how. Check 15b wants what was issued on slips and its amendments to be today's figures, each
// amendment with its cause.
func VerifyTax(ctx context.Context, books TaxBooks) ([]Check, error) {
	lots := Check{Invariant: "2b positions: the sum of open lots, folded again", Broken: []string{}}
	kept := Check{Invariant: "10 tax: gains, losses and cost are conserved", Broken: []string{}}
	slips := Check{Invariant: "15b slips: as issued and amended, they are today's figures", Broken: []string{}}
	r, err := newTaxReporter(ctx, books, TaxQuery{AsOf: endOfDays})
	if err != nil {
		return nil, err
	}
	err = eachTaxPage(ctx, books, func(_ context.Context, page []TaxHousehold) error {
		for _, h := range page {
			book, err := foldAgain(h, r.identical)
			if err != nil {
				lots.add(1, []string{string(h.Household.ID) + ": " + err.Error()})
				continue
			}
			lots.add(1, brokenLots(h, book))
			kept.add(1, brokenSums(h.Household.ID, book))
			if err := r.verifySlips(h, &slips); err != nil {
				return err
			}
		}
		return nil
	}, func(int64) {})
	for _, c := range []*Check{&lots, &kept, &slips} {
		c.Finish()
	}
	return []Check{lots, kept, slips}, err
}

// verifySlips looks at the last issue of each owner's years.
func (r *taxReporter) verifySlips(h TaxHousehold, check *Check) error {
	done := map[int]bool{}
	for _, s := range h.Slips {
		if done[s.Year] {
			continue
		}
		done[s.Year] = true
		ofYear := *r
		ofYear.query.Year = s.Year
		y, err := ofYear.year(h)
		if err != nil {
			return fmt.Errorf("household %s: %w", h.Household.ID, err)
		}
		shown, err := y.shownSlips()
		if err != nil {
			return fmt.Errorf("household %s: %w", h.Household.ID, err)
		}
		for i := range shown {
			if shown[i].IsLast {
				check.add(1, brokenSlip(&shown[i], y.book.Year(shown[i].Owner, s.Year)))
			}
		}
	}
	return nil
}

// Finish says whether the invariant holds, and cuts what is broken to BrokenMax places and a last one
// that says that there are more.
func (c *Check) Finish() {
	c.OK = len(c.Broken) == 0
	if len(c.Broken) > BrokenMax {
		c.Broken = append(c.Broken[:BrokenMax], "… and more")
	}
}

func (c *Check) add(checked int64, broken []string) {
	c.Checked += checked
	for _, b := range broken {
		if len(c.Broken) <= BrokenMax {
			c.Broken = append(c.Broken, b)
		}
	}
}

func foldAgain(h TaxHousehold, identical map[market.Symbol]string) (*region.Book, error) {
	if h.Fault != nil {
		return nil, h.Fault
	}
	rules, err := region.Load(h.Household.Region)
	if err != nil {
		return nil, err
	}
	return region.Fold(rules, region.ScopeOf(h.Household, identical), region.Checkpoint{}, h.Events)
}

// brokenSums returns what a household's tax book made or lost.
func brokenSums(id portfolio.HouseholdID, book *region.Book) []string {
	broken := book.Violations()
	for i := range broken {
		broken[i] = string(id) + " " + broken[i]
	}
	return broken
}

// brokenLots returns where a household's positions differ from its tax book.
func brokenLots(h TaxHousehold, book *region.Book) []string {
	var broken []string
	for _, a := range h.Accounts {
		if !a.Excused {
			broken = append(broken, brokenAccount(a, book)...)
		}
	}
	return broken
}

func brokenAccount(a TaxAccount, book *region.Book) []string {
	held := map[market.Symbol]money.Rat{}
	for _, l := range book.Holdings(a.Account) {
		held[l.Symbol] = held[l.Symbol].Add(l.Shares)
	}
	var broken []string
	for _, p := range a.Positions {
		shares := held[p.Symbol]
		delete(held, p.Symbol)
		if shares.Cmp(money.RatDec(p.Shares)) != 0 {
			broken = append(broken, string(a.Account)+" "+string(p.Symbol)+": position "+p.Shares.String()+", tax book "+shares.String())
		}
	}
	for _, symbol := range sortedKeys(held) {
		if held[symbol].Sign() != 0 {
			broken = append(broken, string(a.Account)+" "+string(symbol)+": no position, tax book "+held[symbol].String())
		}
	}
	return broken
}
