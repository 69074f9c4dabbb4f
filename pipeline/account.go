package pipeline

import (
	"context"
	"time"

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

// BookException is a fact that broke a rule of the book: it stops the household's new orders until a
// person has closed it.
type BookException struct {
	ID        int64      `json:"id"`
	Household string     `json:"household"`
	Account   string     `json:"account"`
	Code      string     `json:"code"`
	Subject   string     `json:"subject"`
	Detail    string     `json:"detail"`
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
}

// LastPlan is what the latest run decided for an account.
type LastPlan struct {
	Run         string                 `json:"run"`
	Outcome     string                 `json:"outcome"`
	Reason      string                 `json:"reason"`
	Certificate *rebalance.Certificate `json:"certificate,omitempty"`
}

// AccountRequest asks for an account. AsOf shows it as it stood at the end of that day; NoDay, as it is
// now, on Today.
type AccountRequest struct {
	Account portfolio.AccountID
	AsOf    market.Day
	Today   market.Day
	Limit   int // of entries of the timeline, and as many of taxes
}

// AccountBook is what an account's page is read from.
type AccountBook interface {
	HouseholdAt(ctx context.Context, account portfolio.AccountID, day market.Day) (Loaded, error)
	HouseholdAsOf(ctx context.Context, account portfolio.AccountID, day market.Day) (Loaded, error)
	MarketSnapshot(ctx context.Context, day market.Day) (*market.Snapshot, error)
	// LastDecision returns what the latest run decided for an account; nil where none did.
	LastDecision(ctx context.Context, account portfolio.AccountID) (*AccountDecision, error)
	TimelineWithTaxes(ctx context.Context, account portfolio.AccountID, asOf market.Day, limit int) ([]TimelineEntry, error)
}

// LookAtAccount returns what is told of an account: what it holds, what a sale would come to, what not
// to buy, and what happened.
func LookAtAccount(ctx context.Context, book AccountBook, q AccountRequest) (AccountPage, error) {
	load, day := book.HouseholdAt, q.Today
	if q.AsOf != market.NoDay {
		load, day = book.HouseholdAsOf, q.AsOf
	}
	loaded, err := load(ctx, q.Account, day)
	if err != nil {
		return AccountPage{}, err
	}
	day = max(day, lastTrade(loaded))
	loaded.Input.Day = day
	snapshot, err := book.MarketSnapshot(ctx, day)
	if err != nil {
		return AccountPage{}, err
	}
	page := AccountPage{}
	if page.AccountShown, err = ShowAccount(loaded, q.Account, snapshot.Identical(), day); err != nil {
		return page, err
	}
	if page.IfSold, page.DoNotBuy, err = AskAccount(loaded, q.Account, snapshot); err != nil {
		return page, err
	}
	if page.DoNotBuy == nil {
		page.DoNotBuy = []tlh.Bar{}
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

// lastTrade returns the day of the last tax event since a household's checkpoint, NoDay where there is
// none. A sample installation may have traded a session that its clock does not show yet.
func lastTrade(l Loaded) market.Day {
	last := market.NoDay
	for i := range l.Input.Events {
		last = max(last, l.Input.Events[i].Day)
	}
	return last
}
