package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/portfolio"
)

// ActionState is a corporate action as the book has it.
type ActionState struct {
	Action   fills.Action `json:"action"`
	Key      string       `json:"key"`
	Due      market.Day   `json:"due"` // with whose beginning it comes to the accounts
	Known    time.Time    `json:"known"`
	Accounts int64        `json:"accounts"` // that it has reached
	Applied  *time.Time   `json:"applied"`  // when it had reached all; nil: not yet
	Rechecks int64        `json:"rechecks"` // households that it must look at again
}

// ActionLoad is a page of an action's holders.
type ActionLoad struct {
	Action       fills.Action
	Source       Record // the place that brought the action
	States       map[portfolio.HouseholdID]*fills.State
	Entitlements []fills.Entitlement // by household, account
}

// ActionBook keeps corporate actions and the accounts that they come to.
type ActionBook interface {
	// DueActions returns the keys of actions that are due on a day or must look at households again,
	// sorted.
	DueActions(ctx context.Context, day market.Day) ([]string, error)
	// FanOut gives decide the next page of an action's holders, and saves what it returns and the place
	// in the holders in one transaction, in which no other page of the action is worked on. It reports
	// whether there is more.
	FanOut(ctx context.Context, key string, day market.Day, decide func(ActionLoad) EventChanges) (more bool, err error)
	// ReadHolders calls each with every page of an action's holders and changes nothing. An action that
	// the book does not have yet is taken as it is.
	ReadHolders(ctx context.Context, a fills.Action, each func(ActionLoad) error) error
	// Actions lists actions, the last due ones first, at most limit.
	Actions(ctx context.Context, limit int) ([]ActionState, error)
}

// Fanout brings corporate actions to the accounts that hold their securities.
type Fanout struct {
	Book  ActionBook
	Today func() market.Day
	Now   func() time.Time // at which the book learns a fact
	Log   *slog.Logger
}

// fanoutEvery is how often actions that are due are looked for.
const fanoutEvery = 2 * time.Second

// Run fans out what is due until ctx ends. An action that fails is tried again in the next round, and
// does not stop the others.
func (f *Fanout) Run(ctx context.Context) error {
	tick := time.NewTicker(fanoutEvery)
	defer tick.Stop()
	for {
		if err := f.Due(ctx); err != nil && ctx.Err() == nil {
			f.Log.Error("corporate actions are tried again", "step", "fan out", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Due fans out every action that is due today, or has to look at households again.
func (f *Fanout) Due(ctx context.Context) error {
	today := f.Today()
	keys, err := f.Book.DueActions(ctx, today)
	if err != nil {
		return err
	}
	var failed error
	for _, key := range keys {
		for more := true; more && err == nil; {
			more, err = f.Book.FanOut(ctx, key, today, f.decide)
		}
		if err != nil {
			failed, err = fmt.Errorf("%s: %w", key, err), nil
		}
	}
	return failed
}

func (f *Fanout) decide(l ActionLoad) EventChanges {
	c := EventChanges{Now: f.Now()}
	for _, t := range l.Entitlements {
		if effects, outcome, due := entitle(l, t); due && outcome == fills.Applied {
			c.Applied = append(c.Applied, AppliedEvent{effects, l.Source})
		} else if due {
			f.Log.Error("an account is left out of a corporate action", "account", t.Account, "step", l.Action.Key(), "error", outcome)
		}
	}
	return c
}

// entitle posts what an action has for one account, if anything.
func entitle(l ActionLoad, t fills.Entitlement) (fills.EventEffects, fills.Outcome, bool) {
	s, known := l.States[t.Household]
	e, due := l.Action.Event(t)
	if !known || !due {
		return fills.EventEffects{}, fills.UnknownAccount, due && !known
	}
	effects, outcome := fills.ApplyEvent(s, e)
	if outcome == fills.Applied {
		s.TakeEvent(effects)
	}
	return effects, outcome, true
}

// ActionPreview is what an action would do to one account.
type ActionPreview struct {
	Household portfolio.HouseholdID `json:"household"`
	Account   portfolio.AccountID   `json:"account"`
	Held      string                `json:"held"`   // when the ex-date began
	Shares    string                `json:"shares"` // more, or fewer where negative
	Amount    string                `json:"amount"` // of money
	Currency  market.Currency       `json:"currency,omitempty"`
	Tax       []string              `json:"tax"` // kinds of facts for the tax history
	Opens     []string              `json:"opens,omitempty"`
}

// PreviewAction calls each with what an action would do to every account, by household, and changes
// nothing. Accounts to which nothing is left to do are left out.
func PreviewAction(ctx context.Context, book ActionBook, a fills.Action, each func(ActionPreview) error) error {
	return book.ReadHolders(ctx, a, func(l ActionLoad) error {
		for _, t := range l.Entitlements {
			effects, outcome, due := entitle(l, t)
			if !due || outcome != fills.Applied {
				continue
			}
			e := effects.Event
			p := ActionPreview{Household: t.Household, Account: t.Account, Held: t.Held.String(), Shares: e.Shares.String(),
				Amount: e.Amount.String(), Currency: e.Currency, Tax: []string{}}
			for _, fact := range effects.Tax {
				p.Tax = append(p.Tax, string(fact.Kind))
			}
			for _, x := range effects.Opened {
				p.Opens = append(p.Opens, x.Code)
			}
			if err := each(p); err != nil {
				return err
			}
		}
		return nil
	})
}
