package money_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybreak/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"integer", "12", "12"},
		{"negative", "-12.50", "-12.5"},
		{"plus", "+3", "3"},
		{"leading point", ".5", "0.5"},
		{"negative zero", "-0.0", "0"},
		{"twelve places", "0.000000000001", "0.000000000001"},
		{"zeros past the twelfth place", "1.0000000000000", "1"},
		{"26 digits", "99999999999999999999999999.999999999999", "99999999999999999999999999.999999999999"},
	} {
		got, err := money.Parse(c.in)
		if err != nil || got.String() != c.want {
			t.Errorf("%s: Parse(%q) = %v, %v, want %s", c.name, c.in, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   string
		want error
	}{
		{"", money.ErrSyntax}, {".", money.ErrSyntax}, {"-", money.ErrSyntax}, {"1.", money.ErrSyntax},
		{"NaN", money.ErrSyntax}, {"Inf", money.ErrSyntax}, {"1e400", money.ErrSyntax}, {" 1", money.ErrSyntax},
		{"1,5", money.ErrSyntax}, {"--1", money.ErrSyntax}, {"0x10", money.ErrSyntax},
		{"100000000000000000000000000", money.ErrRange},
		{"0.0000000000001", money.ErrPlaces},
	} {
		if got, err := money.Parse(c.in); !errors.Is(err, c.want) {
			t.Errorf("Parse(%q) = %v, %v, want error %v", c.in, got, err, c.want)
		}
	}
}

// decimals draws numbers of every size up to 18 digits either side of zero.
func decimals() *rapid.Generator[money.Dec] {
	return rapid.Custom(func(t *rapid.T) money.Dec {
		return money.FromUnits(rapid.Int64().Draw(t, "units"), rapid.IntRange(0, 12).Draw(t, "places"))
	})
}

func exact(d money.Dec) decimal.Decimal { return decimal.RequireFromString(d.String()) }

func TestArithmeticAgreesWithShopspring(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals().Draw(t, "a"), decimals().Draw(t, "b")
		if got, want := exact(a.Add(b)), exact(a).Add(exact(b)); !got.Equal(want) {
			t.Fatalf("%v + %v = %v, want %v", a, b, got, want)
		}
		if got, want := exact(a.Sub(b)), exact(a).Sub(exact(b)); !got.Equal(want) {
			t.Fatalf("%v - %v = %v, want %v", a, b, got, want)
		}
		if got, want := a.Cmp(b), exact(a).Cmp(exact(b)); got != want {
			t.Fatalf("Cmp(%v, %v) = %d, want %d", a, b, got, want)
		}
		places := rapid.IntRange(0, 12).Draw(t, "to")
		if got, want := exact(a.Round(places)), exact(a).RoundBank(int32(places)); !got.Equal(want) {
			t.Fatalf("Round(%v, %d) = %v, want %v", a, places, got, want)
		}
		if got, want := exact(a.RoundDown(places)), exact(a).Truncate(int32(places)); !got.Equal(want) {
			t.Fatalf("RoundDown(%v, %d) = %v, want %v", a, places, got, want)
		}
	})
}

// halfEven rounds a rational at the twelfth place, half to even, by big integers.
func halfEven(r *big.Rat) *big.Int {
	num := new(big.Int).Mul(r.Num(), big.NewInt(1_000_000_000_000))
	q, rem := new(big.Int).QuoRem(num, r.Denom(), new(big.Int))
	twice := new(big.Int).Abs(rem)
	twice.Lsh(twice, 1)
	if c := twice.Cmp(r.Denom()); c > 0 || c == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(num.Sign())))
	}
	return q
}

func TestMulDivAgreesWithRationals(t *testing.T) {
	t.Parallel()
	small := rapid.Custom(func(t *rapid.T) money.Dec {
		return money.FromUnits(rapid.Int64Range(-1e15, 1e15).Draw(t, "units"), rapid.IntRange(3, 12).Draw(t, "places"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := small.Draw(t, "a"), small.Draw(t, "b"), small.Draw(t, "c")
		if c.IsZero() {
			return
		}
		r := new(big.Rat).SetFrac(a.Big(), c.Big())
		r.Mul(r, new(big.Rat).SetFrac(b.Big(), big.NewInt(1_000_000_000_000)))
		want, fits := money.FromBig(halfEven(r))
		if !fits {
			return
		}
		if got := a.MulDiv(b, c); got != want {
			t.Fatalf("%v * %v / %v = %v, want %v", a, b, c, got, want)
		}
	})
}

func TestOutOfRangePanics(t *testing.T) {
	t.Parallel()
	most := money.MustParse("99999999999999999999999999")
	defer func() {
		if err, _ := recover().(error); !errors.Is(err, money.ErrRange) {
			t.Errorf("%v * itself: recovered %v, want %v", most, err, money.ErrRange)
		}
	}()
	_ = most.Mul(most)
}

func TestFixed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in     string
		places int
		want   string
	}{{"2.675", 2, "2.68"}, {"2.665", 2, "2.66"}, {"-0.005", 2, "0.00"}, {"3", 2, "3.00"}, {"1234.5678", 0, "1235"}} {
		if got := money.MustParse(c.in).Fixed(c.places); got != c.want {
			t.Errorf("Fixed(%s, %d) = %s, want %s", c.in, c.places, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.5", "-0", "1e9", "99999999999999999999999999.9", "..", "+.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := money.Parse(s)
		if err != nil {
			return
		}
		again, err := money.Parse(d.String())
		if err != nil || again != d {
			t.Errorf("Parse(%q) = %v, which reads back as %v, %v", s, d, again, err)
		}
	})
}

func BenchmarkMulRound(b *testing.B) {
	price, shares := money.MustParse("123.4567"), money.MustParse("17.2504")
	for b.Loop() {
		_ = price.Mul(shares).Round(2)
	}
}
