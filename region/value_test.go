package region_test

import (
	"fmt"
	"math/big"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"

	"pgregory.net/rapid"
)

// yearTax is the tax of an American year in cents, counted another way than the engine does: gains
// and losses of a term are set off dollar by dollar in the order of Schedule D.
func yearTax(st, lt, carryST, carryLT int64) (tax *big.Rat, leftST, leftLT int64) {
	gainST, lossST := max(st, 0), max(-st, 0)+carryST
	gainLT, lossLT := max(lt, 0), max(-lt, 0)+carryLT
	meet := func(gain, loss *int64) {
		n := min(*gain, *loss)
		*gain, *loss = *gain-n, *loss-n
	}
	meet(&gainST, &lossST) // each term by itself, then across
	meet(&gainLT, &lossLT)
	meet(&gainLT, &lossST)
	meet(&gainST, &lossLT)
	limit := int64(300_000)
	deducted := int64(0)
	for _, loss := range []*int64{&lossST, &lossLT} {
		n := min(limit-deducted, *loss)
		deducted, *loss = deducted+n, *loss-n
	}
	tax = new(big.Rat).SetFrac64(35*(gainST-deducted)+15*gainLT, 100)
	return tax, lossST, lossLT
}

// TestValueIsTheDifferenceOfTwoYears computes the two taxes of the year without the engine.
func TestValueIsTheDifferenceOfTwoYears(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	cents := func(n int64) money.Dec { return money.FromUnits(n, 2) }
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Int64Range(-2_000_000, 2_000_000)
		st, lt := draw.Draw(t, "st"), draw.Draw(t, "lt")
		carryST, carryLT := max(0, draw.Draw(t, "carry st")), max(0, draw.Draw(t, "carry lt"))
		short, long := max(0, draw.Draw(t, "short loss")), max(0, draw.Draw(t, "long loss"))
		s := region.Standing{Year: 2020, ST: cents(st), LT: cents(lt), In: region.Carry{ST: cents(carryST), LT: cents(carryLT)}}
		v := rules.ValueOf(s, cents(-short), cents(-long))
		without, beforeST, beforeLT := yearTax(st, lt, carryST, carryLT)
		with, afterST, afterLT := yearTax(st-short, lt-long, carryST, carryLT)
		saved := new(big.Rat).Sub(without, with) // cents
		later := new(big.Rat).SetFrac64(35*(afterST-beforeST)+15*(afterLT-beforeLT), 200)
		got := fmt.Sprint(v.Without, v.With, v.Later, v.Value, v.Waits)
		want := fmt.Sprint(inDollars(without), inDollars(with), inDollars(later), inDollars(saved.Add(saved, later)), cents(afterST+afterLT-beforeST-beforeLT))
		if got != want {
			t.Errorf("ValueOf(%+v, -%d, -%d) = %s, want %s", s, short, long, got, want)
		}
		if v.Value.Sign() < 0 {
			t.Errorf("ValueOf(%+v, -%d, -%d) = %s, want at least 0", s, short, long, v.Value)
		}
	})
}

func inDollars(cents *big.Rat) money.Dec {
	return money.MustParse(new(big.Rat).Mul(cents, big.NewRat(1, 100)).FloatString(6))
}

// TestMoreGainsNeverLowerTheValue holds where every loss meets the dearest gains first: in a region
// of one rate, and among short-term results alone. It does not hold of long-term ones: without any
// gains 3,000 of a loss save the ordinary rate, with long-term gains the lower one.
func TestMoreGainsNeverLowerTheValue(t *testing.T) {
	for _, name := range []string{"CA", "US", "UK"} {
		rules, err := region.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			draw := rapid.Int64Range(-2_000_000, 2_000_000)
			s := region.Standing{Year: 2025, ST: money.FromUnits(draw.Draw(t, "so far"), 2)}
			s.In.ST = money.FromUnits(max(0, draw.Draw(t, "carry")), 2)
			if name == "CA" && s.In.ST.IsZero() {
				s.Back = []region.PastGain{{Year: 2023, Gain: money.FromUnits(1+max(0, draw.Draw(t, "past gain")), 2)}}
			}
			loss := money.FromUnits(-max(0, draw.Draw(t, "loss")), 2)
			more := s.Add(money.FromUnits(max(0, draw.Draw(t, "gain")), 2), money.Zero)
			was, is := rules.ValueOf(s, loss, money.Zero).Value, rules.ValueOf(more, loss, money.Zero).Value
			if is.Less(was) {
				t.Errorf("%s: ValueOf(%+v, %s) = %s, want at least %s, as with less gains", name, more, loss, is, was)
			}
		})
	}
}

func TestALongGainCanLowerTheValue(t *testing.T) {
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	loss := money.FromInt(-3000)
	none := rules.ValueOf(region.Standing{Year: 2020}, money.Zero, loss).Value
	some := rules.ValueOf(region.Standing{Year: 2020, LT: money.FromInt(3000)}, money.Zero, loss).Value
	if none != money.FromInt(1050) || some != money.FromInt(450) {
		t.Errorf("ValueOf(long loss of 3,000) = %s without gains, %s with long gains; want 1050, 450", none, some)
	}
}

// TestStanding walks years of gains and losses through carry-over and carry-back.
func TestStanding(t *testing.T) {
	type result struct {
		day   string
		price int64 // of 100 shares bought at 50
	}
	for _, c := range []struct {
		name, region string
		results      []result
		brought      []region.Brought
		want         string // st lt, carry st lt, past gains
	}{
		{"nothing", "US", nil, nil, "0 0 0 0 []"},
		{"this year's short gain", "US", []result{{"2020-03-02", 60}}, nil, "1000 0 0 0 []"},
		{"a loss of last year below the limit", "US", []result{{"2019-03-04", 30}}, nil, "0 0 0 0 []"},
		{"a loss of last year above it", "US", []result{{"2019-03-04", 10}}, nil, "0 0 1000 0 []"},
		{"a loss of three years ago, used up by deductions", "US", []result{{"2017-03-06", 10}}, nil, "0 0 0 0 []"},
		{"brought in", "US", nil, []region.Brought{{Owner: "P", Year: 2019, Carry: region.Carry{ST: money.FromInt(500), LT: money.FromInt(4000)}}}, "0 0 0 1500 []"},
		{"brought into the next year", "US", nil, []region.Brought{{Owner: "P", Year: 2021, Carry: region.Carry{ST: money.FromInt(500)}}}, "0 0 0 0 []"},
		{"a gain of three years ago", "CA", []result{{"2017-03-06", 60}}, nil, "0 0 0 0 [{2017 1000}]"},
		{"a gain of four years ago", "CA", []result{{"2016-03-07", 60}}, nil, "0 0 0 0 []"},
		{"a loss goes back to the oldest gain", "CA", []result{{"2017-03-06", 60}, {"2018-03-05", 60}, {"2019-03-04", 35}}, nil, "0 0 0 0 [{2018 500}]"},
		{"what is left of a loss goes on", "CA", []result{{"2018-03-05", 60}, {"2019-03-04", 20}}, nil, "0 0 2000 0 []"},
		{"a carried loss meets a later gain first", "CA", []result{{"2018-03-05", 20}, {"2019-03-04", 60}}, nil, "0 0 2000 0 []"},
		{"brought in, nothing to go back to", "CA", []result{{"2018-03-05", 60}}, []region.Brought{{Owner: "P", Year: 2020, Carry: region.Carry{ST: money.FromInt(9)}}}, "0 0 9 0 []"},
	} {
		rules, err := region.Load(c.region)
		if err != nil {
			t.Fatal(err)
		}
		var events []region.Event
		for i, r := range c.results {
			symbol := market.Symbol(fmt.Sprint("S", i))
			day := market.MustDay(r.day)
			e := region.Event{ID: fmt.Sprint("b", i), Kind: region.Buy, Day: day - 40, Settle: day - 40, Owner: "P", Account: "A", AccountType: "taxable",
				Symbol: symbol, Shares: money.RatInt(100), Amount: money.FromInt(5000)}
			s := e
			s.ID, s.Kind, s.Day, s.Settle, s.Amount = fmt.Sprint("s", i), region.Sell, day, day, money.FromInt(100*r.price)
			events = append(events, e, s)
		}
		book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, events)
		if err != nil {
			t.Fatal(err)
		}
		s := book.Standing("P", 2020, c.brought)
		if got := fmt.Sprint(s.ST, s.LT, s.In.ST, s.In.LT, s.Back); got != c.want {
			t.Errorf("Standing(%s, %s) = %s, want %s", c.region, c.name, got, c.want)
		}
	}
}

// TestStandingOfTheUnit asks about two owners: one unit in one region, two in the other.
func TestStandingOfTheUnit(t *testing.T) {
	for name, want := range map[string]string{"US": "1000", "CA": "0"} {
		rules, err := region.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		day := market.MustDay("2020-03-02")
		buy := region.Event{ID: "b", Kind: region.Buy, Day: day - 40, Owner: "SPOUSE", Account: "A", AccountType: "taxable", Symbol: "S",
			Shares: money.RatInt(100), Amount: money.FromInt(5000)}
		sell := buy
		sell.ID, sell.Kind, sell.Day, sell.Amount = "s", region.Sell, day, money.FromInt(6000)
		book, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, []region.Event{buy, sell})
		if err != nil {
			t.Fatal(err)
		}
		if got := book.Standing("CLIENT", 2020, nil).ST.String(); got != want {
			t.Errorf("Standing(%s, client) = %s from the spouse, want %s", name, got, want)
		}
	}
}
