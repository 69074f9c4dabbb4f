package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum/members"
	"daybreak/tlh"
)

// todayRecord is what a household's line says of the day besides its holdings.
type todayRecord struct {
	Locks          []tlh.Lock            `json:"locks"`
	OpenOrders     []portfolio.OpenOrder `json:"open_orders"`
	Unsettled      []portfolio.Unsettled `json:"unsettled"` // that cash does not have yet
	SpendUnsettled portfolio.Spend       `json:"spend_unsettled"`
	Location       *portfolio.Location   `json:"location"` // in place of the household's own
}

// parseToday reads what a record says of the day.
func parseToday(record pipeline.HouseholdRecord) (t todayRecord, err error) {
	if len(record.Today) == 0 {
		return t, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(record.Today))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&t); err != nil {
		return t, badToday(record, "%v", err)
	}
	return t, t.validate(record)
}

// badToday is the fault of a line whose part about the day cannot be used.
func badToday(record pipeline.HouseholdRecord, format string, args ...any) error {
	return &market.LineError{Code: market.CodeBadFields, Message: fmt.Sprintf("household %s: today: %s", record.ID, fmt.Sprintf(format, args...))}
}

// validate refuses accounts that the household lacks, amounts below zero and names that mean nothing.
func (t todayRecord) validate(record pipeline.HouseholdRecord) error {
	isKnown := func(id portfolio.AccountID) bool {
		return slices.ContainsFunc(record.Accounts, func(a pipeline.AccountRecord) bool { return a.ID == id })
	}
	if !t.SpendUnsettled.IsKnown() {
		return badToday(record, "spend_unsettled is %q", t.SpendUnsettled)
	}
	for _, l := range t.Locks {
		if l.Symbol == "" || l.Until == 0 {
			return badToday(record, "a lock needs a symbol and a last day")
		}
	}
	for _, o := range t.OpenOrders {
		if !isKnown(o.Account) || o.ID == "" || o.Leaves.Sign() <= 0 || o.Side != portfolio.Buy && o.Side != portfolio.Sell {
			return badToday(record, "open order %q of account %q, side %q, leaves %s", o.ID, o.Account, o.Side, o.Leaves)
		}
	}
	for _, u := range t.Unsettled {
		if !isKnown(u.Account) || u.Amount.Sign() < 0 || u.Settle == 0 {
			return badToday(record, "unsettled %s of account %q", u.Amount, u.Account)
		}
	}
	if t.Location != nil {
		if err := t.Location.Validate(); err != nil {
			return badToday(record, "%v", err)
		}
	}
	return nil
}

// enter gives the members' input what the day says.
func (t todayRecord) enter(in *members.Input, isLocated bool) {
	identical := in.Market.Identical()
	for _, l := range t.Locks {
		l.Property = cmp.Or(l.Property, identical[l.Symbol], string(l.Symbol))
		in.Locks = append(in.Locks, l)
	}
	in.Open = t.OpenOrders
	in.Household.Accounts = slices.Clone(in.Household.Accounts)
	for _, u := range t.Unsettled {
		for k := range in.Household.Accounts {
			if a := &in.Household.Accounts[k]; a.ID == u.Account {
				t.settle(a, u, in.Day)
			}
		}
	}
	switch {
	case !isLocated:
		in.Location = nil
	case t.Location != nil:
		in.Location = t.Location
	}
}

// settle adds unsettled proceeds to an account's cash. What may not be spent today must remain in it.
func (t todayRecord) settle(a *portfolio.Account, u portfolio.Unsettled, day market.Day) {
	a.Cash = slices.Clone(a.Cash)
	at := slices.IndexFunc(a.Cash, func(c portfolio.Cash) bool { return c.Currency == a.Currency })
	if at < 0 {
		at = len(a.Cash)
		a.Cash = append(a.Cash, portfolio.Cash{Currency: a.Currency})
	}
	a.Cash[at].Amount = a.Cash[at].Amount.Add(u.Amount)
	if !cmp.Or(a.Policy.SpendUnsettled, t.SpendUnsettled).Allows(a.Currency, u.Settle, day) {
		a.Policy.WithdrawalCash = a.Policy.WithdrawalCash.Add(u.Amount)
	}
}
