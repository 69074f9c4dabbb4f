package postgres_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// TestLoadOfSettlementAndTargets opens a household with targets of its own and enters executions on both
// sides of the run's day: only sales that count and settle after it are unsettled, in the account's
// currency.
func TestLoadOfSettlementAndTargets(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	day := market.MustDay("2020-03-16")
	location := &portfolio.Location{Model: "m", Drags: []portfolio.Drag{{AssetClass: "bonds", AccountType: "taxable", Cost: money.MustParse("0.01")}}}
	record := pipeline.HouseholdRecord{
		ID: "H1", Region: "CA", AsOf: day - 3, Owners: []pipeline.OwnerRecord{{ID: "P", From: day - 900}}, Location: location,
		Accounts: []pipeline.AccountRecord{{ID: "A1", Owner: "P", Type: "taxable", Currency: market.CAD, Model: "m", Opened: day - 900,
			Cash: []portfolio.Cash{{Currency: market.CAD, Amount: money.FromInt(1000)}}}},
	}
	opening, err := pipeline.NewOpener(nil).Open(record)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.AddHouseholds(t.Context(), []pipeline.Opening{opening}, time.Now()); err != nil {
		t.Fatal(err)
	}
	for i, e := range []struct {
		side, currency, settle string
		effective              bool
	}{
		{"sell", "CAD", "2020-03-16", true}, {"sell", "CAD", "2020-03-17", true}, {"sell", "USD", "2020-03-17", true},
		{"sell", "CAD", "2020-03-18", true}, {"sell", "CAD", "2020-03-18", false}, {"buy", "CAD", "2020-03-18", true},
	} {
		if _, err := db.Pool().Exec(t.Context(), `INSERT INTO execution (household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price,
			commission, fees, currency, fx, fx_day, trade_date, settle_date, venue, broker_time, note, effective, source_partition, source_offset)
			VALUES ('H1', $1, $1::bigint::text, 'F', 'O', 'R', 'A1', 'X', $2, 3, 33.335, 1, 0.5, $3, 1.4, '2020-03-13', '2020-03-13', $4::date, '', now(), '', $5, 0, $1)`,
			i+1, e.side, e.currency, e.settle, e.effective); err != nil {
			t.Fatal(err)
		}
	}
	l, err := db.HouseholdAt(t.Context(), "A1", day)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(l.Input.Household.Location, location) {
		t.Errorf("Location = %+v, want %+v", l.Input.Household.Location, location)
	}
	want := []portfolio.Unsettled{ // 3 × 33.335 = 100.005 less 1.5; the same in US dollars at 1.4
		{Account: "A1", Amount: money.MustParse("236.42"), Settle: market.MustDay("2020-03-17")},
		{Account: "A1", Amount: money.MustParse("98.51"), Settle: market.MustDay("2020-03-18")},
	}
	if !reflect.DeepEqual(l.Input.Unsettled, want) {
		t.Errorf("Unsettled = %+v, want %+v", l.Input.Unsettled, want)
	}
	var again pipeline.Loaded
	if text, err := json.Marshal(l); err != nil || json.Unmarshal(text, &again) != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(again.Input.Unsettled, want) || !reflect.DeepEqual(again.Input.Household.Location, location) {
		t.Errorf("recorded input = %+v, want it to have both", again.Input)
	}
}
