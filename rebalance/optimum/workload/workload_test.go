package workload

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/rebalance/optimum"
)

func TestDecodeNamesAnotherSchema(t *testing.T) {
	for text, want := range map[string]error{
		`{"schema":"rebalance-workload/1","factors":1}`: nil,
		`{"schema":"rebalance-workload/2"}`:             ErrSchema,
		`{"id":"H1","region":"CA"}`:                     ErrSchema,
	} {
		if _, err := Decode([]byte(text)); !errors.Is(err, want) {
			t.Errorf("Decode(%s) = %v, want %v", text, err, want)
		}
	}
	for _, text := range []string{``, `[]`, `{"schema":"rebalance-workload/1","factors":-1}`, `{"schema":"rebalance-workload/1","securities":3}`} {
		if _, err := Decode([]byte(text)); err == nil {
			t.Errorf("Decode(%q) = nil, want an error", text)
		}
	}
}

func TestOneBadAccountDoesNotFailTheFile(t *testing.T) {
	f, err := Decode([]byte(`{"schema":"rebalance-workload/1","factors":0,"securities":[{"id":"A","price_cents":100,"spec_vol_bps":100}],
		"accounts":[{"id":"X","cash_cents":"much"},{"id":"Y","cash_cents":100,"cash_target_ppm":1000000,"target_ppm":[0]},
		{"id":"Z","recent_household_trades":[{"security":4}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for k, want := range []string{BadInput, "", optimum.BadLot} {
		_, err := f.Account(k)
		var fault *optimum.Fault
		if want == "" && err != nil || want != "" && (!errors.As(err, &fault) || fault.Code != want) {
			t.Errorf("Account(%d) = %v, want %q", k, err, want)
		}
	}
}

// A purchase, or a sale at a loss, bars through day 30: both sides of the bound, both kinds.
func TestBarsThroughDay30(t *testing.T) {
	day := market.MustDay("2026-06-15")
	for _, c := range []struct {
		trade     Trade
		buy, loss bool
	}{
		{Trade{Side: "sell", CostCents: 200, ProceedsCents: 100, DaysAgo: 29}, true, false},
		{Trade{Side: "sell", CostCents: 200, ProceedsCents: 100, DaysAgo: 30}, true, false},
		{Trade{Side: "sell", CostCents: 200, ProceedsCents: 100, DaysAgo: 31}, false, false},
		{Trade{Side: "sell", CostCents: 100, ProceedsCents: 100, DaysAgo: 1}, false, false},
		{Trade{Side: "buy", CostCents: 100, DaysAgo: 29}, false, true},
		{Trade{Side: "buy", CostCents: 100, DaysAgo: 30}, false, true},
		{Trade{Side: "buy", CostCents: 100, DaysAgo: 31}, false, false},
	} {
		f := &File{AsOf: day, Securities: []Security{{ID: "A"}}, Accounts: []Account{{Recent: []Trade{c.trade}}}}
		a, err := f.Account(0)
		if err != nil {
			t.Fatal(err)
		}
		r := a.Rules[0]
		if r.BuyBarred != c.buy || r.LossBarred != c.loss {
			t.Errorf("Account(%+v) bars purchases %t and losses %t, want %t and %t", c.trade, r.BuyBarred, r.LossBarred, c.buy, c.loss)
		}
		if want := day - market.Day(c.trade.DaysAgo) + 30; c.buy && r.BuyBar.Until != want {
			t.Errorf("Account(%+v) bars until %s, want %s", c.trade, r.BuyBar.Until, want)
		}
	}
}

// A young lot bars the losses of the others, not its own: it is not bought again by its sale.
func TestYoungLotBarsTheOthers(t *testing.T) {
	for age, want := range map[int][]bool{29: {false, true}, 30: {false, true}, 31: {false, false}} {
		f := &File{Securities: []Security{{ID: "A"}}, Accounts: []Account{{Lots: []Lot{{ID: "young", AgeDays: age}, {ID: "old", AgeDays: 400}}}}}
		a, err := f.Account(0)
		if err != nil {
			t.Fatal(err)
		}
		for j, barred := range want {
			if a.Lots[j].LossBarred != barred {
				t.Errorf("young lot of %d days: lot %s barred = %t, want %t", age, a.Lots[j].ID, a.Lots[j].LossBarred, barred)
			}
		}
	}
}

func TestShortTermThroughDay365(t *testing.T) {
	f := &File{Securities: []Security{{ID: "A"}}, Accounts: []Account{{Lots: []Lot{{AgeDays: 365}, {AgeDays: 366}}}}}
	a, err := f.Account(0)
	if err != nil {
		t.Fatal(err)
	}
	if !a.Lots[0].IsShort || a.Lots[1].IsShort {
		t.Errorf("lots of 365 and 366 days are short = %t, %t, want true, false", a.Lots[0].IsShort, a.Lots[1].IsShort)
	}
}

// The generator must give the same bytes on every machine, whatever the number of accounts.
func TestGenerateIsPinned(t *testing.T) {
	s := Specs[0]
	s.Accounts = 3
	text, err := json.Marshal(Generate(s))
	if err != nil {
		t.Fatal(err)
	}
	const want = "2b8babbe3f7d81eb"
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:8]) != want {
		t.Errorf("Generate(%+v) hashes to %x, want %s", s, sum[:8], want)
	}
	s.Accounts = 2
	fewer, err := json.Marshal(Generate(s).Accounts)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), strings.Trim(string(fewer), "[]")) {
		t.Error("with fewer accounts the others change")
	}
	f, err := Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(text, again) {
		t.Error("a generated file changes when it is read and written")
	}
}

func TestGeneratedTargetsSumToOne(t *testing.T) {
	for _, s := range Specs {
		s.Accounts = 2
		for _, a := range Generate(s).Accounts {
			sum := a.CashTargetPPM
			for _, w := range a.TargetPPM {
				sum += w
			}
			if sum != 1_000_000 || len(a.Lots) != s.Lots {
				t.Errorf("%s: targets sum to %d with %d lots, want 1000000 with %d", a.ID, sum, len(a.Lots), s.Lots)
			}
		}
	}
}
