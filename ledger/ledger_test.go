package ledger_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"daybreak/ledger"
	"daybreak/money"
)

var dec = money.MustParse

func TestPurchaseAndSale(t *testing.T) {
	same := ledger.Trade{Account: "A1", Symbol: "VTI", Shares: dec("3"), Price: dec("10.005"), Commission: dec("1"), Currency: "USD",
		AccountCurrency: "USD", FX: money.One}
	other := same
	other.AccountCurrency, other.FX = "CAD", dec("1.35")
	tiny := same
	tiny.Shares, tiny.Price, tiny.Commission = dec("0.0001"), dec("5"), money.Zero
	tests := []struct {
		name  string
		moves []ledger.Move
		want  string
	}{
		{"purchase", ledger.Purchase(same), "[{{A1 cash} USD -31.02} {{A1 units} VTI 3} {{~broker clearing} USD 30.02} {{~broker clearing} VTI -3} {{~broker fees} USD 1}]"},
		{"sale", ledger.Sale(same), "[{{A1 cash} USD 29.02} {{A1 units} VTI -3} {{~broker clearing} USD -30.02} {{~broker clearing} VTI 3} {{~broker fees} USD 1}]"},
		{"purchase in another currency", ledger.Purchase(other), "[{{A1 cash} CAD -41.88} {{A1 units} VTI 3} {{~bank exchange} CAD 41.88} {{~bank exchange} USD -31.02} {{~broker clearing} USD 30.02} {{~broker clearing} VTI -3} {{~broker fees} USD 1}]"},
		{"sale in another currency", ledger.Sale(other), "[{{A1 cash} CAD 39.18} {{A1 units} VTI -3} {{~bank exchange} CAD -39.18} {{~bank exchange} USD 29.02} {{~broker clearing} USD -30.02} {{~broker clearing} VTI 3} {{~broker fees} USD 1}]"},
		{"less than half a cent", ledger.Purchase(tiny), "[{{A1 units} VTI 0.0001} {{~broker clearing} VTI -0.0001}]"},
		{"deposit", ledger.Deposit("A1", "CAD", dec("5.005")), "[{{A1 cash} CAD 5} {{~outside external} CAD -5}]"},
		{"withdrawal", ledger.Deposit("A1", "CAD", dec("-5.01")), "[{{A1 cash} CAD -5.01} {{~outside external} CAD 5.01}]"},
		{"dividend", ledger.Dividend("A1", "USD", dec("0.125")), "[{{A1 cash} USD 0.12} {{~issuer income} USD -0.12}]"},
		{"opening", ledger.Opening("A1", "VTI", dec("2.5")), "[{{A1 units} VTI 2.5} {{~outside external} VTI -2.5}]"},
		{"nothing", ledger.Opening("A1", "VTI", money.Zero), "[]"},
	}
	for _, tt := range tests {
		if got := fmt.Sprint(ledger.Balances(tt.moves)); got != tt.want {
			t.Errorf("%s: balances = %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestValid(t *testing.T) {
	a, b := ledger.Account{Owner: "A1", Kind: ledger.Cash}, ledger.Account{Owner: "A2", Kind: ledger.Cash}
	tests := []struct {
		name string
		move ledger.Move
		ok   bool
	}{
		{"least amount", ledger.Move{From: a, To: b, Commodity: "CAD", Amount: dec("0.000000000001")}, true},
		{"nothing moves", ledger.Move{From: a, To: b, Commodity: "CAD"}, false},
		{"below zero", ledger.Move{From: a, To: b, Commodity: "CAD", Amount: dec("-1")}, false},
		{"to itself", ledger.Move{From: a, To: a, Commodity: "CAD", Amount: money.One}, false},
		{"no commodity", ledger.Move{From: a, To: b, Amount: money.One}, false},
	}
	for _, tt := range tests {
		if err := tt.move.Valid(); (err == nil) != tt.ok {
			t.Errorf("%s: Valid = %v, want ok %v", tt.name, err, tt.ok)
		}
	}
}

// TestEveryTradeBalances checks that each commodity sums to zero over all ledger accounts, that the
// reversal leaves nothing, and that Change agrees with Balances.
func TestEveryTradeBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trade := ledger.Trade{Account: "A1", Symbol: "VTI", Currency: "USD", AccountCurrency: "USD", FX: money.One,
			Shares:     money.FromUnits(rapid.Int64Range(1, 1e9).Draw(t, "shares"), 4),
			Price:      money.FromUnits(rapid.Int64Range(1, 1e8).Draw(t, "price"), 4),
			Commission: money.FromUnits(rapid.Int64Range(-100, 10000).Draw(t, "commission"), 3)}
		if rapid.Bool().Draw(t, "another currency") {
			trade.AccountCurrency, trade.FX = "CAD", money.FromUnits(rapid.Int64Range(1, 5e6).Draw(t, "fx"), 6)
		}
		moves := ledger.Purchase(trade)
		if rapid.Bool().Draw(t, "sale") {
			moves = ledger.Sale(trade)
		}
		sums := map[string]money.Dec{}
		for _, b := range ledger.Balances(moves) {
			sums[b.Commodity] = sums[b.Commodity].Add(b.Amount)
			if got := ledger.Change(moves, b.Account, b.Commodity); got != b.Amount {
				t.Errorf("Change of %v in %s = %s, want %s", b.Account, b.Commodity, got, b.Amount)
			}
		}
		for commodity, sum := range sums {
			if !sum.IsZero() {
				t.Errorf("%s sums to %s, want 0", commodity, sum)
			}
		}
		for _, m := range moves {
			if err := m.Valid(); err != nil {
				t.Error(err)
			}
			if m.Commodity != "VTI" && m.Amount != ledger.Cents(m.Amount) {
				t.Errorf("%s %s is no whole number of cents", m.Amount, m.Commodity)
			}
		}
		if left := ledger.Balances(append(moves, ledger.Reverse(moves)...)); len(left) != 0 {
			t.Errorf("a trade and its reversal leave %v, want nothing", left)
		}
	})
}

func ExamplePurchase() {
	moves := ledger.Purchase(ledger.Trade{Account: "A1", Symbol: "VTI", Shares: money.FromInt(2), Price: money.FromInt(100),
		Commission: money.One, Currency: "USD", AccountCurrency: "USD", FX: money.One})
	for _, m := range moves {
		fmt.Println(m.From.Owner, m.From.Kind, "→", m.To.Owner, m.To.Kind, m.Amount, m.Commodity)
	}
	// Output:
	// A1 cash → ~broker clearing 200 USD
	// ~broker clearing → A1 units 2 VTI
	// A1 cash → ~broker fees 1 USD
}
