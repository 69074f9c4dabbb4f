package members_test

import (
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum/members"
	"daybreak/region"
)

// TestOfCountsOpenOrders walks a purchase and a sale that may still trade: cash, lots and cost as if
// filled at the last close of 100 home dollars, and the security left alone.
func TestOfCountsOpenOrders(t *testing.T) {
	for _, c := range []struct {
		name               string
		side               portfolio.Side
		leaves             int64
		cash, shares, cost string
	}{
		{"a purchase of 2", portfolio.Buy, 2, "799.9", "10", "1250"},
		{"a sale of 4", portfolio.Sell, 4, "1399.8", "6", "750"},
		{"a sale of more than is held", portfolio.Sell, 40, "1999.5", "", ""},
	} {
		m := taxable(t, couple(t, func(in *members.Input, _ *[]region.Event) {
			in.Open = []portfolio.OpenOrder{{ID: "O1", Account: "T", Symbol: "A", Side: c.side, Leaves: money.FromInt(c.leaves)}}
		}))
		if got := m.Account.Cash.String(); got != c.cash {
			t.Errorf("Of(%s): cash = %s, want %s", c.name, got, c.cash)
		}
		if r := m.Account.Rules[0]; !r.NoBuy || !r.NoSell || r.BuyBar.By == "" && !r.BuyBarred {
			t.Errorf("Of(%s): rule = %+v, want neither bought nor sold, for the order", c.name, r)
		}
		lots := m.Account.Lots
		if c.shares == "" {
			if len(lots) != 0 {
				t.Errorf("Of(%s): lots = %+v, want none", c.name, lots)
			}
			continue
		}
		if lots[0].Shares.String() != c.shares || lots[0].Cost.String() != c.cost {
			t.Errorf("Of(%s): lot = %s shares that cost %s, want %s and %s", c.name, lots[0].Shares, lots[0].Cost, c.shares, c.cost)
		}
		if isBuy := c.side == portfolio.Buy; isBuy != (len(lots) == 2) || isBuy && (lots[1].ID != "O1" || lots[1].Shares.String() != "2") {
			t.Errorf("Of(%s): lots = %+v, want the purchase as a lot of its own", c.name, lots)
		}
	}
}

// TestOfLocates asks for targets of the household: one model for all, and the drag of each class where it
// is held.
func TestOfLocates(t *testing.T) {
	in := couple(t, func(in *members.Input, _ *[]region.Event) {
		in.Location = &portfolio.Location{Drags: []portfolio.Drag{{AssetClass: "A", AccountType: "taxable", Cost: money.MustParse("0.02")}}}
	})
	m := taxable(t, in)
	if !m.IsLocated || m.Owner != "P" || len(m.Account.Drag) != 2 || m.Account.Drag[0].String() != "0.02" || !m.Account.Drag[1].IsZero() {
		t.Errorf("member = located %t, owner %q, drag %v, want located, P, 0.02 of A and 0 of B", m.IsLocated, m.Owner, m.Account.Drag)
	}
	list, err := members.Of(in)
	if err != nil || !list[0].Account.Drag[0].IsZero() {
		t.Errorf("Of = %v, drag %v of the registered account, want none", err, list[0].Account.Drag)
	}
	in.Location.Model = "none"
	if _, err := members.Of(in); err == nil {
		t.Error("Of with an unknown model of the household = nil, want a fault")
	}
	if in.Household.Accounts[0].Model != "m" || market.CAD != in.Household.Accounts[0].Currency {
		t.Error("Of changed its input")
	}
}
