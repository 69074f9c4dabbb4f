package pipeline

import (
	"context"
	"time"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/tlh"
)

// TimelineEntry is one thing that happened to an account.
type TimelineEntry struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail"`
	// Tax is what an entry of kind tax says, in its parts.
	Tax *TaxMark `json:"tax,omitempty" db:"-"`
}

// BookException is a fact that broke a rule of the book. One that parks stops the household's new
// orders until a person has closed it; the others inform.
type BookException struct {
	ID        int64      `json:"id"`
	Household string     `json:"household"`
	Account   string     `json:"account"`
	Code      string     `json:"code"`
	Subject   string     `json:"subject"`
	Detail    string     `json:"detail"`
	Parks     bool       `json:"parks"`
	Owner     string     `json:"owner"`
	Opened    time.Time  `json:"opened"`
	Closed    *time.Time `json:"closed,omitempty"`
}

// AccountPage is all that is told of an account.
type AccountPage struct {
	AccountShown
	IfSold   []SoldToday     `json:"if_sold_today"` // at the last close on or before the day
	DoNotBuy []tlh.Bar       `json:"do_not_buy"`    // of the household, by last day
	LastPlan *LastPlan       `json:"last_plan,omitempty"`
	Timeline []TimelineEntry `json:"timeline"`
	// KnownAt and Journal are of an account as it stood: what the book knew, and the account's entries of
	// then, newest first.
	KnownAt *time.Time     `json:"known_at,omitempty"`
	Journal []ledger.Entry `json:"journal,omitempty"`
}

// LastPlan is what the latest run decided for an account.
type LastPlan struct {
	Run         string                 `json:"run"`
	Outcome     string                 `json:"outcome"`
	Reason      string                 `json:"reason"`
	Certificate *rebalance.Certificate `json:"certificate,omitempty"`
}

// AccountRequest asks for an account. AsOf shows it as it stood at the end of that day, NoDay as it is
// now, on Today. KnownAt shows it as the book knew it at that instant: then nothing of the present is
// told, neither orders and locks nor plan and timeline.
type AccountRequest struct {
	Account portfolio.AccountID
	AsOf    market.Day
	KnownAt time.Time
	Today   market.Day
	Limit   int // of entries of the timeline, and as many of taxes
}

// AccountBook is what an account's page is read from.
type AccountBook interface {
	HouseholdAt(ctx context.Context, account portfolio.AccountID, day market.Day) (Loaded, error)
	// HouseholdAsOf returns the household of an account as it stood at a moment, with its journal. It
	// returns ErrNotFound where the book did not know it yet.
	HouseholdAsOf(ctx context.Context, account portfolio.AccountID, m Moment) (Loaded, []ledger.Entry, error)
	MarketSnapshot(ctx context.Context, day market.Day) (*market.Snapshot, error)
	// LastDecision returns what the latest run decided for an account; nil where none did.
	LastDecision(ctx context.Context, account portfolio.AccountID) (*AccountDecision, error)
	TimelineWithTaxes(ctx context.Context, account portfolio.AccountID, asOf market.Day, limit int) ([]TimelineEntry, error)
}

// LookAtAccount returns what is told of an account: what it holds, what a sale would come to, what not
// to buy, and what happened.
func LookAtAccount(ctx context.Context, book AccountBook, q AccountRequest) (AccountPage, error) {
	page, loaded, day, err := loadAccount(ctx, book, q)
	if err != nil {
		return page, err
	}
	loaded.Input.Day = day
	snapshot, err := book.MarketSnapshot(ctx, day)
	if err != nil {
		return page, err
	}
	if page.AccountShown, err = ShowAccount(loaded, q.Account, snapshot.Identical(), day); err != nil {
		return page, err
	}
	if page.IfSold, page.DoNotBuy, err = AskAccount(loaded, q.Account, snapshot); err != nil {
		return page, err
	}
	if page.DoNotBuy == nil {
		page.DoNotBuy = []tlh.Bar{}
	}
	if !q.KnownAt.IsZero() {
		page.Timeline = []TimelineEntry{} // the journal tells what had happened
		return page, nil
	}
	last, err := book.LastDecision(ctx, q.Account)
	if err != nil {
		return page, err
	}
	if last != nil {
		page.LastPlan = &LastPlan{last.Run, last.Outcome, last.Reason, last.Certificate}
	}
	page.Timeline, err = book.TimelineWithTaxes(ctx, q.Account, day, q.Limit)
	return page, err
}

// loadAccount loads the household of an account as it is asked for, and the day that it is shown on.
func loadAccount(ctx context.Context, book AccountBook, q AccountRequest) (AccountPage, Loaded, market.Day, error) {
	if q.AsOf == market.NoDay && q.KnownAt.IsZero() {
		loaded, err := book.HouseholdAt(ctx, q.Account, q.Today)
		return AccountPage{}, loaded, max(q.Today, lastTrade(loaded)), err
	}
	m := Moment{AsOf: q.AsOf, KnownAt: q.KnownAt}
	if m.AsOf == market.NoDay {
		m.AsOf = q.Today
	}
	loaded, journal, err := book.HouseholdAsOf(ctx, q.Account, m)
	page := AccountPage{Journal: journalOf(journal, q.Account, q.Limit)}
	if !q.KnownAt.IsZero() {
		page.KnownAt = &q.KnownAt
	}
	return page, loaded, max(m.AsOf, lastTrade(loaded)), err
}

// lastTrade returns the day of the last tax event since a household's checkpoint, NoDay where there is
// none. A sample installation may have traded a session that its clock does not show yet.
func lastTrade(l Loaded) market.Day {
	last := market.NoDay
	for i := range l.Input.Events {
		last = max(last, l.Input.Events[i].Day)
	}
	return last
}

// KillSwitch says whether orders of the firm are sent.
type KillSwitch struct {
	Active bool      `json:"active"` // none is
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	Since  time.Time `json:"since"`
}
