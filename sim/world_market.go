package sim

import (
	"cmp"
	"fmt"
	"math/big"
	"math/bits"
	"slices"

	"daybreak/market"
	"daybreak/money"
)

// microPlaces is the number of decimals of the integers that the simulation computes with: prices,
// rates and dividends in millionths, shares in ten-thousandths, money in cents. Products of them
// stay below 2^63 for positions up to a hundred million.
const (
	microPlaces = 6
	sharePlaces = 4
	micro       = 1_000_000
	wholeShare  = 10_000
	centsScale  = micro * wholeShare / 100 // price × shares is in this part of a cent
)

// tape is a market's history as the simulation reads it: by number of the day and of the security.
type tape struct {
	days       []market.Day
	securities []market.Security // by symbol
	number     map[market.Symbol]int
	marks      [][]int64 // [security][day] last close in millionths, 0 before the first
	trades     [][]bool  // [security][day] whether there is a close of that very day
	payouts    [][]payout
	rates      map[currencyPair][]int64 // [day] last rate in millionths, 0 before the first
	settle     map[string][]market.Day  // [exchange][day]
	sessions   map[string][]bool        // [exchange][day]
}

// payout is a dividend a share, in millionths of the security's currency, on its ex-date.
type payout struct {
	security int
	amount   int64
}

type currencyPair struct{ base, quote market.Currency }

// newTape lays a market out from one day to another, both included.
func newTape(m *market.History, from, to market.Day) (*tape, error) {
	t := &tape{number: map[market.Symbol]int{}, rates: map[currencyPair][]int64{}, settle: map[string][]market.Day{}, sessions: map[string][]bool{}}
	t.securities = slices.Clone(m.Securities)
	slices.SortFunc(t.securities, func(a, b market.Security) int { return cmp.Compare(a.Symbol, b.Symbol) })
	for i, s := range t.securities {
		t.number[s.Symbol] = i
	}
	if err := t.addDays(from, to); err != nil {
		return nil, err
	}
	if err := t.addPrices(m.Prices, to); err != nil {
		return nil, err
	}
	t.addRates(m.Rates, to)
	return t, nil
}

// addDays takes every day on which one of the exchanges has a session, and when its trades settle.
func (t *tape) addDays(from, to market.Day) error {
	for _, name := range market.Exchanges() {
		calendar, err := market.Calendar(name)
		if err != nil {
			return err
		}
		t.days = append(t.days, calendar.Sessions(from, to)...)
	}
	slices.Sort(t.days)
	t.days = slices.Compact(t.days)
	if len(t.days) == 0 {
		return fmt.Errorf("no session from %s to %s", from, to)
	}
	for _, name := range market.Exchanges() {
		calendar, err := market.Calendar(name)
		if err != nil {
			return err
		}
		for _, d := range t.days {
			t.settle[name] = append(t.settle[name], calendar.SettleDay(d))
			t.sessions[name] = append(t.sessions[name], calendar.IsSession(d))
		}
	}
	return nil
}

// day returns the number of the first day of the tape on or after d; len(t.days) where none is.
func (t *tape) day(d market.Day) int {
	i, _ := slices.BinarySearch(t.days, d)
	return i
}

// addPrices takes closes that come by day within each symbol, as a History has them.
func (t *tape) addPrices(prices []market.Price, to market.Day) error {
	t.marks, t.trades = make([][]int64, len(t.securities)), make([][]bool, len(t.securities))
	for i := range t.securities {
		t.marks[i], t.trades[i] = make([]int64, len(t.days)), make([]bool, len(t.days))
	}
	t.payouts = make([][]payout, len(t.days))
	for _, p := range prices {
		if p.Day > to {
			continue
		}
		s, known := t.number[p.Symbol]
		if !known {
			return fmt.Errorf("price of %s on %s: %w", p.Symbol, p.Day, market.ErrNoSecurity)
		}
		t.addPrice(s, p)
	}
	for s := range t.securities {
		carry(t.marks[s])
	}
	return nil
}

func (t *tape) addPrice(s int, p market.Price) {
	d := t.day(p.Day)
	onTape := d < len(t.days) && t.days[d] == p.Day
	if d == len(t.days) {
		return
	}
	// A close of before the tape, or of a day without a session, counts from the next day on.
	t.marks[s][d] = micros(p.Close)
	if !onTape {
		return
	}
	t.trades[s][d] = true
	if p.Dividend.Sign() > 0 {
		t.payouts[d] = append(t.payouts[d], payout{security: s, amount: micros(p.Dividend)})
	}
}

// addRates takes rates that come by day within each pair.
func (t *tape) addRates(rates []market.Rate, to market.Day) {
	for _, r := range rates {
		if r.Day > to {
			continue
		}
		for _, way := range []struct {
			pair currencyPair
			rate money.Dec
		}{{currencyPair{r.Base, r.Quote}, r.Rate}, {currencyPair{r.Quote, r.Base}, money.One.Div(r.Rate)}} {
			if t.rates[way.pair] == nil {
				t.rates[way.pair] = make([]int64, len(t.days))
			}
			// A rate of a day without a session counts from the next one on.
			if d := t.day(r.Day); d < len(t.days) {
				t.rates[way.pair][d] = micros(way.rate)
			}
		}
	}
	for _, series := range t.rates {
		carry(series)
	}
}

// carry fills the zeros of a series with the value before them.
func carry(series []int64) {
	for i := 1; i < len(series); i++ {
		if series[i] == 0 {
			series[i] = series[i-1]
		}
	}
}

// rate returns the last rate on or before a day, in millionths; 0 where there is none.
func (t *tape) rate(base, quote market.Currency, day int) int64 {
	if base == quote {
		return micro
	}
	series := t.rates[currencyPair{base, quote}]
	if series == nil {
		return 0
	}
	return series[day]
}

// micros returns d in millionths, cut towards zero.
func micros(d money.Dec) int64 {
	return new(big.Int).Quo(d.Big(), big.NewInt(1_000_000)).Int64()
}

// cents returns the value of shares at a price, to the nearest cent, half away from zero.
func cents(price, shares int64) int64 {
	return (price*shares + centsScale/2) / centsScale
}

// share returns whole × part ÷ of, cut towards zero, for numbers that are not negative; the product
// may exceed 64 bits.
func share(whole, part, of int64) int64 {
	hi, lo := bits.Mul64(uint64(whole), uint64(part))
	q, _ := bits.Div64(hi, lo, uint64(of))
	return int64(q)
}

// convert returns an amount in cents at a rate in millionths, to the nearest cent.
func convert(amount, rate int64) int64 {
	if amount < 0 {
		return -convert(-amount, rate)
	}
	return (amount*rate + micro/2) / micro
}
