package pipeline

import (
	"context"
	"errors"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
)

// heldBooks are tax books in memory.
type heldBooks []TaxHousehold

func (b heldBooks) TaxHouseholds(_ context.Context, after portfolio.HouseholdID, limit int) ([]TaxHousehold, error) {
	var page []TaxHousehold
	for _, h := range b {
		if h.Household.ID > after && len(page) < limit {
			page = append(page, h)
		}
	}
	return page, nil
}

func (b heldBooks) TaxHousehold(_ context.Context, id portfolio.HouseholdID) (TaxHousehold, error) {
	for _, h := range b {
		if h.Household.ID == id {
			return h, nil
		}
	}
	return TaxHousehold{}, ErrNotFound
}

func (b heldBooks) HouseholdOf(_ context.Context, account portfolio.AccountID) (portfolio.HouseholdID, error) {
	for _, h := range b {
		for _, a := range h.Household.Accounts {
			if a.ID == account {
				return h.Household.ID, nil
			}
		}
	}
	return "", ErrNotFound
}

func (b heldBooks) Securities(context.Context) ([]market.Security, error) { return nil, nil }

// soldAtLoss is a household that sold 10 of 20 shares at a loss of 300 and bought 3 back on a day.
func soldAtLoss(id portfolio.HouseholdID, boughtBack string) TaxHousehold {
	account := portfolio.AccountID(id) + "-A"
	event := func(id string, kind region.Kind, day string, shares, price int64) region.Event {
		return region.Event{ID: id, Kind: kind, Day: market.MustDay(day), Settle: market.MustDay(day), Owner: "me", Account: account,
			AccountType: "taxable", Symbol: "X", Shares: money.RatInt(shares), Amount: money.FromInt(shares * price)}
	}
	return TaxHousehold{
		Household: portfolio.Household{ID: id, Region: "US", Accounts: []portfolio.Account{{ID: account, Owner: "me", Type: "taxable"}}},
		Version:   2,
		Events: []region.Event{event("b1", region.Buy, "2018-01-02", 20, 100), event("s", region.Sell, "2019-05-01", 10, 70),
			event("g", region.Buy, "2019-08-01", 1, 70), event("b2", region.Buy, boughtBack, 3, 75)},
		Imported: 2,
		Arrivals: []Arrival{{Event: event("g", region.Buy, "2019-08-01", 1, 70), Version: 1, Known: market.MustDay("2019-08-01")},
			{Event: event("b2", region.Buy, boughtBack, 3, 75), Version: 2, Known: market.MustDay("2019-08-02")}},
		Accounts: []TaxAccount{{Account: account, Excused: true}},
	}
}

// TestTaxReportStates: a loss is provisional to the end of its window, then final; a purchase in the
// window that was told after it restates the loss.
func TestTaxReportStates(t *testing.T) {
	for _, c := range []struct {
		name, boughtBack, asOf, denied string
		want                           region.State
	}{
		{"window open", "2019-08-02", "2019-05-30", "0", region.Provisional},
		{"window over", "2019-08-02", "2019-05-31", "0", region.Final},
		{"a late purchase in the window", "2019-05-31", "2019-08-05", "90", region.Restated},
		{"a late purchase behind the window", "2019-06-01", "2019-08-05", "0", region.Final},
		{"a late purchase while the window is open", "2019-05-30", "2019-05-30", "90", region.Provisional},
	} {
		var got []TaxReport
		q := TaxQuery{Year: 2019, AsOf: market.MustDay(c.asOf)}
		err := ReportTax(t.Context(), heldBooks{soldAtLoss("H1", c.boughtBack)}, q, func(r TaxReport) error { got = append(got, r); return nil }, func(int64) {})
		if err != nil || len(got) != 1 || len(got[0].Units) != 1 {
			t.Fatalf("%s: ReportTax = %+v, %v, want one household with one tax unit", c.name, got, err)
		}
		u := got[0].Units[0]
		if u.State != c.want || u.Denied.String() != c.denied {
			t.Errorf("%s: state %s, denied %s, want %s, %s", c.name, u.State, u.Denied, c.want, c.denied)
		}
		for _, l := range got[0].Lines {
			if l.Gain != l.Proceeds.Sub(l.Outlays).Sub(l.Cost).Add(l.Adjustment) || l.State != c.want || (l.Code == "W") != (l.Adjustment.Sign() > 0) {
				t.Errorf("%s: line %+v does not add up", c.name, l)
			}
		}
	}
}

// TestReportTaxPages: households come by id, page after page; those of other regions and those
// without a result are left out.
func TestReportTaxPages(t *testing.T) {
	books := heldBooks{soldAtLoss("H1", "2019-08-02"), soldAtLoss("H2", "2019-08-02"), soldAtLoss("H3", "2019-08-02")}
	books[1].Household.Region = "CA"
	count := func(q TaxQuery) (ids string, err error) {
		err = ReportTax(t.Context(), books, q, func(r TaxReport) error { ids += string(r.Household) + " "; return nil }, func(int64) {})
		return ids, err
	}
	for _, c := range []struct {
		q    TaxQuery
		want string
		err  error
	}{
		{TaxQuery{Year: 2019}, "H1 H2 H3 ", nil},
		{TaxQuery{Year: 2019, Region: "US"}, "H1 H3 ", nil},
		{TaxQuery{Year: 2017}, "", nil},
		{TaxQuery{Year: 2017, Household: "H2"}, "H2 ", nil},
		{TaxQuery{Year: 2019, Account: "H3-A"}, "H3 ", nil},
		{TaxQuery{Year: 2019, Account: "H3-A", Household: "H1"}, "", ErrNotFound},
		{TaxQuery{Year: 2019, Household: "H9"}, "", ErrNotFound},
	} {
		if got, err := count(c.q); got != c.want || !errors.Is(err, c.err) {
			t.Errorf("ReportTax(%+v) = %q, %v, want %q, %v", c.q, got, err, c.want, c.err)
		}
	}
}

// TestVerifyTaxNamesWhatIsBroken: invariant 10 looks at each household that folds, and one that does
// not is named by check 2b.
func TestVerifyTaxNamesWhatIsBroken(t *testing.T) {
	books := heldBooks{soldAtLoss("H1", "2019-05-20"), soldAtLoss("H2", "2019-05-20")}
	books[1].Fault = &rebalance.Fault{Code: ReasonBadInput, Detail: "tax history: cut off"}
	checks, err := VerifyTax(t.Context(), books)
	if err != nil || len(checks) != 3 {
		t.Fatalf("VerifyTax = %+v, %v, want three checks", checks, err)
	}
	if lots := checks[0]; lots.OK || lots.Checked != 2 || len(lots.Broken) != 1 {
		t.Errorf("VerifyTax: %+v, want 2 looked at and H2 broken", lots)
	}
	if kept := checks[1]; !kept.OK || kept.Checked != 1 || kept.Invariant != "10 tax: gains, losses and cost are conserved" {
		t.Errorf("VerifyTax: %+v, want 1 looked at and none broken", kept)
	}
}
