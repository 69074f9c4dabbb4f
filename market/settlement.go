package market

import "slices"

// cycle says how many sessions after the trade date trades settle, from a trade date on.
type cycle struct {
	from     Day
	sessions int
}

// cyclesOf holds the settlement cycles of each exchange, oldest first: SEC Rule 15c6-1 and
// National Instrument 24-101 as amended in 2017 and 2024.
var cyclesOf = map[string][]cycle{
	XNYS: {
		{NoDay, 3},
		{NewDay(2017, 9, 5), 2},
		{NewDay(2024, 5, 28), 1},
	},
	XTSE: {
		{NoDay, 3},
		{NewDay(2017, 9, 5), 2},
		{NewDay(2024, 5, 27), 1},
	},
}

// SettleDay returns the day on which shares and money of a trade change hands: T+3, T+2 or T+1 by
// the trade date, counted in the exchange's sessions. Days on which the exchange trades and only
// the banks are closed count as sessions. It returns ErrExchange, wrapped with the name.
func SettleDay(exchange string, trade Day) (Day, error) {
	x, err := Calendar(exchange)
	if err != nil {
		return NoDay, err
	}
	return x.SettleDay(trade), nil
}

// SettleDay is the function SettleDay for this exchange, with the exceptions that With added.
func (x *Exchange) SettleDay(trade Day) Day { return x.AddSessions(trade, x.cycleAt(trade)) }

func (x *Exchange) cycleAt(trade Day) int {
	for _, c := range slices.Backward(x.cycles) {
		if c.from <= trade {
			return c.sessions
		}
	}
	return 0
}
