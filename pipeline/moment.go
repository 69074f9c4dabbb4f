package pipeline

import (
	"math"
	"slices"
	"time"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/region"
)

// Moment is a moment of the book: what had effect by the end of a day, as the book knew it at an
// instant.
type Moment struct {
	AsOf    market.Day
	KnownAt time.Time // zero: all that the book knows
}

// TaxFact is an event of a household's tax history with the book versions that brought it and, where
// it was taken back, that did so.
type TaxFact struct {
	Version   int64
	Withdrawn int64 // 0: it counts
	Event     region.Event
}

// BookFacts are all facts that a household's book ever had, with those that were taken back.
type BookFacts struct {
	Stamps  []ledger.Stamp
	Journal []ledger.Entry
	Tax     []TaxFact // in order of version; the history that the household came with is of version 0
}

// At returns the facts of a moment: the journal, the tax events that counted then, and the book
// version. It returns false where the book did not know the household yet.
func (f BookFacts) At(m Moment) (journal []ledger.Entry, tax []region.Event, version int64, known bool) {
	version = math.MaxInt64
	if !m.KnownAt.IsZero() && len(f.Stamps) > 0 {
		if version, known = ledger.VersionAt(f.Stamps, m.KnownAt); !known {
			return nil, nil, 0, false
		}
	}
	journal = ledger.At(f.Journal, m.AsOf, version)
	for _, t := range f.Tax {
		if t.Version <= version && (t.Withdrawn == 0 || t.Withdrawn > version) && t.Event.Day <= m.AsOf {
			tax = append(tax, t.Event)
		}
	}
	reached := int64(0)
	for _, e := range journal {
		reached = max(reached, e.Version)
	}
	return journal, tax, reached, true
}

// Restore makes a loaded household what it was at a moment: balances by the journal, tax events that
// counted then. It returns the household's journal, and false where the book did not know it yet.
func (f BookFacts) Restore(l *Loaded, m Moment) ([]ledger.Entry, bool) {
	journal, tax, version, known := f.At(m)
	if !known {
		return nil, false
	}
	l.Input.BookVersion, l.Input.Events = version, tax
	for i := range l.Input.Household.Accounts {
		a := &l.Input.Household.Accounts[i]
		a.Cash, a.Positions = nil, nil
	}
	for _, b := range ledger.Balances(ledger.Moves(journal)) {
		at := slices.IndexFunc(l.Input.Household.Accounts, func(a portfolio.Account) bool { return string(a.ID) == b.Account.Owner })
		if at < 0 {
			continue
		}
		switch a := &l.Input.Household.Accounts[at]; b.Account.Kind {
		case ledger.Cash:
			a.Cash = append(a.Cash, portfolio.Cash{Currency: market.Currency(b.Commodity), Amount: b.Amount})
		case ledger.Units:
			a.Positions = append(a.Positions, portfolio.Position{Symbol: market.Symbol(b.Commodity), Shares: b.Amount})
		}
	}
	return journal, true
}

// journalOf returns the entries of an account, newest first, at most limit.
func journalOf(entries []ledger.Entry, account portfolio.AccountID, limit int) []ledger.Entry {
	var all []ledger.Entry
	for _, e := range slices.Backward(entries) {
		if len(all) == limit {
			break
		}
		if e.From.Owner == string(account) || e.To.Owner == string(account) {
			all = append(all, e)
		}
	}
	return all
}
