package money_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"daybreak/money"
)

// anyRat draws small numbers, numbers near the edge of a machine word, and wide ones.
func anyRat(t *rapid.T, label string) money.Rat {
	edge := rapid.SampledFrom([]int64{0, 1, -1, 2, 3, 7, 10_000, math.MaxInt64, math.MinInt64, 1 << 40, 3 << 50})
	num := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), edge).Draw(t, label+" num")
	den := rapid.OneOf(rapid.Int64Range(1, 1000), rapid.Int64Range(1, math.MaxInt64)).Draw(t, label+" den")
	r := money.RatOf(num, den)
	if rapid.Bool().Draw(t, label+" wide") {
		r = r.Mul(money.RatOf(math.MaxInt64, 3)).Add(money.RatOf(1, 1<<61-1))
	}
	return r
}

func TestRatAgreesWithBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyRat(t, "a"), anyRat(t, "b")
		same := func(name string, got money.Rat, want *big.Rat) {
			if got.Big().Cmp(want) != 0 {
				t.Fatalf("%s(%s, %s) = %s, want %s", name, a, b, got, want)
			}
			again, err := money.ParseRat(got.String())
			if len(got.String()) < 60 && (err != nil || !again.Equal(got) || again.String() != got.String()) {
				t.Fatalf("ParseRat(%s) = %s, %v, want the same", got, again, err)
			}
		}
		same("Add", a.Add(b), new(big.Rat).Add(a.Big(), b.Big()))
		same("Sub", a.Sub(b), new(big.Rat).Sub(a.Big(), b.Big()))
		same("Mul", a.Mul(b), new(big.Rat).Mul(a.Big(), b.Big()))
		same("Neg", a.Neg(), new(big.Rat).Neg(a.Big()))
		if !b.IsZero() {
			same("Div", a.Div(b), new(big.Rat).Quo(a.Big(), b.Big()))
		}
		if got, want := a.Cmp(b), a.Big().Cmp(b.Big()); got != want {
			t.Fatalf("Cmp(%s, %s) = %d, want %d", a, b, got, want)
		}
		if got, want := a.Sub(b).Sign(), a.Cmp(b); got != want {
			t.Fatalf("Sign(%s - %s) = %d, want %d", a, b, got, want)
		}
	})
}

// nearestUnit rounds half to even at the twelfth place, slowly.
func nearestUnit(r *big.Rat) *big.Int {
	units := new(big.Rat).Mul(r, big.NewRat(1_000_000_000_000, 1))
	floor := new(big.Int).Div(units.Num(), units.Denom())
	rest := new(big.Rat).Sub(units, new(big.Rat).SetInt(floor))
	switch rest.Cmp(big.NewRat(1, 2)) {
	case 1:
		floor.Add(floor, big.NewInt(1))
	case 0:
		floor.Add(floor, big.NewInt(int64(floor.Bit(0))))
	}
	return floor
}

func TestShareRoundsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := money.FromUnits(rapid.Int64().Draw(t, "units"), rapid.IntRange(2, 12).Draw(t, "places"))
		part := money.RatOf(rapid.Int64Range(-1e9, 1e9).Draw(t, "part"), rapid.Int64Range(1, 1e6).Draw(t, "den"))
		whole := money.RatOf(rapid.Int64Range(1, 1e9).Draw(t, "whole"), rapid.Int64Range(1, 1e6).Draw(t, "den2"))
		exact := new(big.Rat).SetFrac(d.Big(), big.NewInt(1_000_000_000_000))
		want := nearestUnit(new(big.Rat).Mul(exact, new(big.Rat).Quo(part.Big(), whole.Big())))
		if want.BitLen() < 120 {
			if got := d.Share(part, whole); got.Big().Cmp(want) != 0 {
				t.Fatalf("Share(%s, %s, %s) = %s, want %s units", d, part, whole, got, want)
			}
		}
		want = nearestUnit(new(big.Rat).Mul(exact, part.Big()))
		if want.BitLen() < 120 {
			if got := d.MulRat(part); got.Big().Cmp(want) != 0 {
				t.Fatalf("MulRat(%s, %s) = %s, want %s units", d, part, got, want)
			}
		}
		if got := money.RatDec(d); got.Big().Cmp(exact) != 0 || got.Dec() != d || !got.IsDec() {
			t.Fatalf("RatDec(%s) = %s, want the same number back", d, got)
		}
	})
}

func TestParseRat(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"30", "30"}, {"0.8", "0.8"}, {"-12.50", "-12.5"}, {"+3", "3"}, {"10/3", "10/3"},
		{"20/6", "10/3"}, {"6/3", "2"}, {"1/8", "0.125"}, {"-1/4", "-0.25"}, {".5", "0.5"},
		{"0.123456789012345678", "0.123456789012345678"}, {"12345678901234567890.5", "12345678901234567890.5"},
		{"1/3000000000000000000000", "1/3000000000000000000000"},
	} {
		got, err := money.ParseRat(c.in)
		if err != nil || got.String() != c.want {
			t.Errorf("ParseRat(%q) = %s, %v, want %s", c.in, got, err, c.want)
		}
	}
	for in, want := range map[string]error{
		"": money.ErrSyntax, "abc": money.ErrSyntax, "1e5": money.ErrSyntax, "1/0": money.ErrSyntax, "1/-3": money.ErrSyntax,
		"1.5/2": money.ErrSyntax, "1/2/3": money.ErrSyntax, "5.": money.ErrSyntax, " 1": money.ErrSyntax, "NaN": money.ErrSyntax,
		strings.Repeat("9", 61): money.ErrRange,
	} {
		if got, err := money.ParseRat(in); !errors.Is(err, want) {
			t.Errorf("ParseRat(%q) = %s, %v, want %v", in, got, err, want)
		}
	}
}

func TestRatJSON(t *testing.T) {
	type row struct {
		Shares money.Rat `json:"shares"`
		Ratio  money.Rat `json:"ratio,omitzero"`
	}
	text, err := json.Marshal(row{Shares: money.RatOf(10, 3)})
	if want := `{"shares":"10/3"}`; err != nil || string(text) != want {
		t.Errorf("Marshal = %s, %v, want %s", text, err, want)
	}
	var back row
	if err := json.Unmarshal(text, &back); err != nil || !back.Shares.Equal(money.RatOf(10, 3)) {
		t.Errorf("Unmarshal(%s) = %v, %v", text, back, err)
	}
}

func FuzzParseRat(f *testing.F) {
	for _, s := range []string{"1.5", "10/3", "-1/7", "1e9", "99999999999999999999999999.9", "/", "1/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := money.ParseRat(s)
		if err != nil {
			return
		}
		again, err := money.ParseRat(r.String())
		if err != nil || !again.Equal(r) {
			t.Errorf("ParseRat(%q) = %v, which reads back as %v, %v", s, r, again, err)
		}
	})
}

func BenchmarkRatAdd(b *testing.B) {
	sum, step := money.MustRat("1024.7504"), money.MustRat("17.125")
	for b.Loop() {
		_ = sum.Add(step)
	}
}

func BenchmarkShare(b *testing.B) {
	cost, part, whole := money.MustParse("10123.4567"), money.MustRat("17.25"), money.MustRat("1024.7504")
	for b.Loop() {
		_ = cost.Share(part, whole)
	}
}
