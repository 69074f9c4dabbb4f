package portfolio_test

import (
	"errors"
	"slices"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

func row(class, symbol string, rank int, weight string) market.Weight {
	return market.Weight{Model: "m", AssetClass: class, Symbol: market.Symbol(symbol), Rank: rank, Weight: money.MustParse(weight)}
}

func TestNewMix(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []market.Weight
		want []string // sleeve, its weight and members
	}{
		{
			"ranks of one class are one sleeve",
			[]market.Weight{row("bonds", "AGG", 0, "0.4"), row("equity", "VTI", 0, "0.6"), row("equity", "SCHB", 1, "0")},
			[]string{"bonds 0.4 AGG", "equity 0.6 VTI SCHB IYY"},
		},
		{
			"several weighted rows are a sleeve each",
			[]market.Weight{row("stock", "A", 0, "0.5"), row("stock", "B", 0, "0.3"), row("stock", "C", 0, "0.2"), row("stock", "D", 1, "0")},
			[]string{"stock/A 0.5 A D", "stock/B 0.3 B", "stock/C 0.2 C"},
		},
		{
			"a class for each stock",
			[]market.Weight{row("a", "A", 0, "0.5"), row("b", "B", 0, "0.5")},
			[]string{"a 0.5 A", "b 0.5 B"},
		},
		{
			"a replacement that has a sleeve of its own stays in it",
			[]market.Weight{row("equity", "SCHB", 0, "0.5"), row("other", "IYY", 0, "0.5")},
			[]string{"equity 0.5 SCHB", "other 0.5 IYY"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := market.NewSnapshot(market.Snapshot{Weights: c.rows, Replacements: []market.Replacement{
				{Symbol: "SCHB", Replacement: "IYY", Rank: 1}, {Symbol: "VTI", Replacement: "SCHB", Rank: 1}}})
			x, err := portfolio.NewMix(m, "m")
			if err != nil {
				t.Fatalf("NewMix = %v, want nil", err)
			}
			var got []string
			for i, s := range x.Sleeves {
				line := s.Name() + " " + s.Weight.String()
				for _, symbol := range s.Members {
					line += " " + string(symbol)
					if at, ok := x.Sleeve(symbol); !ok || at != i {
						t.Errorf("Sleeve(%s) = %d, %t, want %d", symbol, at, ok, i)
					}
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("NewMix = %q, want %q", got, c.want)
			}
		})
	}
}

func TestNewMixGroups(t *testing.T) {
	stock := func(symbol string) market.Security {
		return market.Security{Symbol: market.Symbol(symbol), Kind: market.Stock, AssetClass: "us_stock"}
	}
	m := market.NewSnapshot(market.Snapshot{
		Securities: []market.Security{stock("A"), stock("B"), {Symbol: "VTI", Kind: market.ETF, AssetClass: "us_equity"}},
		Weights:    []market.Weight{row("a", "A", 0, "0.4"), row("b", "B", 0, "0.4"), row("c", "VTI", 0, "0.2")},
	})
	x, err := portfolio.NewMix(m, "m")
	if err != nil {
		t.Fatalf("NewMix = %v, want nil", err)
	}
	for i, want := range []string{"us_stock", "us_stock", ""} {
		if got := x.Sleeves[i].Group; got != want {
			t.Errorf("Sleeves[%d].Group = %q, want %q", i, got, want)
		}
	}
}

func TestNewMixRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []market.Weight
		want error
	}{
		{"no rows", nil, portfolio.ErrNoModel},
		{"just below one", []market.Weight{row("a", "A", 0, "0.999999999999")}, portfolio.ErrBadModel},
		{"just above one", []market.Weight{row("a", "A", 0, "1.000000000001")}, portfolio.ErrBadModel},
		{"a negative weight", []market.Weight{row("a", "A", 0, "1.5"), row("b", "B", 0, "-0.5")}, portfolio.ErrBadModel},
		{"one security for two classes", []market.Weight{row("a", "A", 0, "0.5"), row("b", "A", 0, "0.5")}, portfolio.ErrBadModel},
	} {
		if _, err := portfolio.NewMix(market.NewSnapshot(market.Snapshot{Weights: c.rows}), "m"); !errors.Is(err, c.want) {
			t.Errorf("NewMix(%s) = %v, want %v", c.name, err, c.want)
		}
	}
}

func TestDrift(t *testing.T) {
	weighed := func(pairs ...int64) (all []portfolio.Weighed) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, portfolio.Weighed{Held: money.FromInt(pairs[i]), Wanted: money.FromInt(pairs[i+1])})
		}
		return all
	}
	for _, c := range []struct {
		name    string
		classes []portfolio.Weighed
		value   int64
		want    string
	}{
		{"as wanted", weighed(60, 60, 40, 40), 100, "0"},
		{"nothing as wanted", weighed(100, 0, 0, 100), 100, "1"},
		{"ten of a hundred", weighed(70, 60, 30, 40), 100, "0.1"},
		{"an empty account", weighed(0, 0), 0, "0"},
	} {
		if got := portfolio.Drift(c.classes, money.FromInt(c.value)); got != money.MustParse(c.want) {
			t.Errorf("Drift(%s) = %s, want %s", c.name, got, c.want)
		}
	}
}
