package ledger

import (
	"testing"

	"daybreak/money"
)

func TestCompareFindsTheCause(t *testing.T) {
	t.Parallel()
	dec := money.MustParse
	all := func(texts ...string) (amounts []money.Dec) {
		for _, text := range texts {
			amounts = append(amounts, dec(text))
		}
		return amounts
	}
	for _, c := range []struct {
		name string
		b    Reported
		want Cause // "" for no break
	}{
		{"equal", Reported{Theirs: dec("10.00"), Ours: dec("10")}, ""},
		{"account unknown", Reported{Theirs: dec("10")}, MissingFill},
		{"unsettled, all of it", Reported{IsKnown: true, Theirs: dec("100"), Ours: dec("70"), Unsettled: dec("-30")}, Unsettled},
		{"unsettled, not all of it", Reported{IsKnown: true, Theirs: dec("100"), Ours: dec("70"), Unsettled: dec("-29")}, Unknown},
		{"late", Reported{IsKnown: true, Theirs: dec("100"), Ours: dec("70"), Late: dec("-30")}, LateCorrection},
		{"unsettled before late", Reported{IsKnown: true, Theirs: dec("100"), Ours: dec("70"), Unsettled: dec("-30"), Late: dec("-30")}, Unsettled},
		{"a dead letter", Reported{IsKnown: true, Theirs: dec("100"), Ours: dec("70"), Waiting: 1, Movements: all("-30")}, MissingFill},
		{"they have it twice", Reported{IsKnown: true, Theirs: dec("60"), Ours: dec("30"), Movements: all("5", "30")}, Duplicate},
		{"we have it twice", Reported{IsKnown: true, Theirs: dec("30"), Ours: dec("60"), Movements: all("30", "30")}, Duplicate},
		{"they lack it", Reported{IsKnown: true, Theirs: dec("30"), Ours: dec("60"), Movements: all("30", "31")}, Missing},
		{"a cent", Reported{IsKnown: true, Kind: CashBalance, Theirs: dec("10.01"), Ours: dec("10")}, Rounding},
		{"two cents", Reported{IsKnown: true, Kind: CashBalance, Theirs: dec("10.02"), Ours: dec("10")}, Unknown},
		{"two cents, one movement", Reported{IsKnown: true, Kind: CashBalance, Theirs: dec("10.02"), Ours: dec("10"), Movements: all("7")}, Rounding},
		{"a ten-thousandth share", Reported{IsKnown: true, Kind: PositionBalance, Theirs: dec("9.9999"), Ours: dec("10")}, Rounding},
		{"more of a share", Reported{IsKnown: true, Kind: PositionBalance, Theirs: dec("9.9998"), Ours: dec("10")}, Unknown},
	} {
		got := Cause("")
		breaks := Compare([]Reported{c.b})
		if len(breaks) > 0 {
			got = breaks[0].Cause
		}
		if got != c.want {
			t.Errorf("Compare(%s) = %q, want %q", c.name, got, c.want)
		}
		if len(breaks) > 0 && breaks[0].Differs.Cmp(c.b.Theirs.Sub(c.b.Ours)) != 0 {
			t.Errorf("Compare(%s) differs by %s, want theirs less ours", c.name, breaks[0].Differs)
		}
	}
}
