package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"time"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// FillSettings say what a stream of fills is made of. Rates are in parts per million of trades.
type FillSettings struct {
	Seed       uint64
	Session    string // name of the broker session, which begins every ExecID; "": SIMFILLS
	Trades     int    // at most; the stream ends before where every order is filled
	PartsMax   int    // fills of one order, at most; 0: four
	Window     int    // orders that are filled at the same time; 0: 20,000
	Duplicates int    // delivered again, some time later
	Late       int    // come up to 50 records after their place
	Corrected  int    // a correction follows
	Early      int    // a correction comes before its trade
	Busted     int    // a bust follows; of a corrected trade it busts the correction
	Poison     int    // records beside the trades that no schema reads
	Unknown    int    // trades beside them for an account that the book lacks
}

// ErrFills is wrapped by all faults of FillSettings.
var ErrFills = errors.New("settings of the fills")

// Validate lists every fault of the settings.
func (s FillSettings) Validate() error {
	var faults []error
	for _, rate := range []struct {
		name string
		ppm  int
	}{{"duplicates", s.Duplicates}, {"late", s.Late}, {"corrections", s.Corrected}, {"early", s.Early}, {"busts", s.Busted}, {"poison", s.Poison}, {"unknown", s.Unknown}} {
		if rate.ppm < 0 || rate.ppm > million/2 {
			faults = append(faults, fmt.Errorf("%w: %s is %d of a million, want 0 to %d", ErrFills, rate.name, rate.ppm, million/2))
		}
	}
	if s.Trades < 1 {
		faults = append(faults, fmt.Errorf("%w: %d trades", ErrFills, s.Trades))
	}
	return errors.Join(faults...)
}

// Report is one record of a stream: an execution as the broker reports it, or bytes that are poison.
type Report struct {
	RoutingKey string
	Execution  fills.Execution
	Poison     []byte // nil where it is an execution
}

// FillStream makes reports on orders one after the other. The same settings over the same orders
// give the same stream.
type FillStream struct {
	settings FillSettings
	random   *random
	next     func() (pipeline.BrokerOrder, bool)
	open     []openOrder
	later    delayed
	place    int // of the next record
	trades   int
	count    int // of ExecIDs
}

// openOrder is an order whose fills come now.
type openOrder struct {
	order pipeline.BrokerOrder
	parts []money.Dec
	at    time.Time
}

// NewFillStream returns the stream over orders, which next gives one after the other until it
// reports false.
func NewFillStream(s FillSettings, next func() (pipeline.BrokerOrder, bool)) *FillStream {
	if s.Session == "" {
		s.Session = "SIMFILLS"
	}
	if s.PartsMax == 0 {
		s.PartsMax = 4
	}
	if s.Window == 0 {
		s.Window = 20_000
	}
	return &FillStream{settings: s, random: newRandom(s.Seed, 0), next: next}
}

// Next returns the next report; false at the end of the stream.
func (s *FillStream) Next() (Report, bool) {
	for {
		if len(s.later) > 0 && s.later[0].place <= s.place {
			s.place++
			return heap.Pop(&s.later).(delayedReport).report, true
		}
		s.refill()
		if s.trades == s.settings.Trades || len(s.open) == 0 {
			if len(s.later) == 0 {
				return Report{}, false
			}
			s.place = s.later[0].place
			continue
		}
		if r, ok := s.trade(); ok {
			s.place++
			return r, true
		}
	}
}

// refill opens orders up to the window.
func (s *FillStream) refill() {
	for len(s.open) < s.settings.Window {
		o, ok := s.next()
		if !ok {
			s.settings.Window = len(s.open)
			return
		}
		s.open = append(s.open, openOrder{o, s.split(o.Quantity), o.Session.Time().Add(15 * time.Hour)})
	}
}

// split cuts a quantity into parts, in whole shares where it is whole, else in ten-thousandths.
func (s *FillStream) split(quantity money.Dec) []money.Dec {
	places := 4
	if quantity == quantity.RoundDown(0) {
		places = 0
	}
	var all []money.Dec
	left := quantity
	for i := s.random.between(1, s.settings.PartsMax); i > 1; i-- {
		part := left.Mul(money.FromUnits(int64(s.random.between(1, million)), 6)).Div(money.FromInt(int64(i))).RoundDown(places)
		if part.Sign() > 0 && part.Less(left) {
			all, left = append(all, part), left.Sub(part)
		}
	}
	return append(all, left)
}

// trade takes the next fill of a random open order, and plans what comes of it later. It reports
// false where the fill itself comes later.
func (s *FillStream) trade() (Report, bool) {
	i := s.random.below(len(s.open))
	o := &s.open[i]
	e := s.fill(o)
	key := o.order.RoutingKey
	if o.parts = o.parts[1:]; len(o.parts) == 0 {
		s.open[i] = s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
	}
	s.trades++
	r := Report{RoutingKey: key, Execution: e}
	delay := s.follow(r)
	if s.random.chancePPM(s.settings.Poison) {
		s.put(0, Report{RoutingKey: key, Poison: s.poison()})
	}
	if s.random.chancePPM(s.settings.Unknown) {
		s.put(0, s.stranger(r))
	}
	if delay > 0 {
		s.put(delay, r)
		return Report{}, false
	}
	return r, true
}

// follow plans the duplicate, the correction and the bust of a trade, and returns after how many
// records the trade itself comes.
func (s *FillStream) follow(r Report) (delay int) {
	c := s.settings
	if s.random.chancePPM(c.Late) {
		delay = s.random.between(1, 50)
	}
	if s.random.chancePPM(c.Duplicates) {
		s.put(delay+s.random.between(1, 500), r)
	}
	latest := r
	switch {
	case s.random.chancePPM(c.Early):
		latest.Execution = s.correction(r.Execution)
		s.put(0, latest)
		delay = max(delay, s.random.between(1, 50))
	case s.random.chancePPM(c.Corrected):
		latest.Execution = s.correction(r.Execution)
		s.put(delay+s.random.between(1, 100), latest)
	}
	if s.random.chancePPM(c.Busted) {
		bust := latest
		bust.Execution = s.refer(latest.Execution, fills.TradeCancel)
		s.put(delay+s.random.between(101, 300), bust)
	}
	return delay
}

func (s *FillStream) put(after int, r Report) {
	s.count++
	heap.Push(&s.later, delayedReport{s.place + after, s.count, r})
}

// fill returns the report of an open order's next fill.
func (s *FillStream) fill(o *openOrder) fills.Execution {
	q := o.order
	o.at = o.at.Add(time.Duration(s.random.between(1, 900)) * time.Millisecond)
	e := fills.Execution{
		Session: s.settings.Session, ExecID: s.execID(), Type: fills.Trade, RefTradeDate: market.NoDay, OrderID: q.ID, Account: q.Account,
		Household: q.Household, Symbol: q.Symbol, Side: q.Side, Quantity: o.parts[0], Currency: q.Currency, FX: q.FX, FXDay: q.PriceDay,
		TradeDate: q.Session, SettleDate: q.Session + 2, Venue: q.Exchange, BrokerTime: o.at,
	}
	e.Price = s.price(q)
	e.Commission = e.Quantity.Mul(e.Price).Mul(money.FromUnits(3, 4)).Round(2)
	return e
}

func (s *FillStream) execID() string {
	s.count++
	return fmt.Sprintf("%s-%08d", s.settings.Session, s.count)
}

// price is within half a percent of the reference price, and not past the limit.
func (s *FillStream) price(o pipeline.BrokerOrder) money.Dec {
	p := o.Price.Mul(money.FromUnits(int64(s.random.between(9950, 10_050)), 4)).Round(4)
	if o.Side == portfolio.Buy {
		p = money.Min(p, o.LimitPrice)
	} else {
		p = money.Max(p, o.LimitPrice)
	}
	if p.Sign() <= 0 {
		return o.Price
	}
	return p
}

// refer returns a report of another type that refers to a trade or to its correction.
func (s *FillStream) refer(e fills.Execution, kind fills.ExecType) fills.Execution {
	e.RefExecID, e.ExecID, e.Type = e.ExecID, s.execID(), kind
	e.BrokerTime = e.BrokerTime.Add(time.Second)
	return e
}

// correction returns one of a trade, with other terms: it never makes more of the order than was
// asked for.
func (s *FillStream) correction(e fills.Execution) fills.Execution {
	c := s.refer(e, fills.TradeCorrect)
	c.Price = e.Price.Mul(money.FromUnits(int64(s.random.between(9900, 10_100)), 4)).Round(4)
	if c.Price.Sign() <= 0 {
		c.Price = e.Price
	}
	if less := e.Quantity.Sub(money.One); less.Sign() > 0 && s.random.chance(500) {
		c.Quantity = less
	}
	return c
}

// stranger is a trade like r for an account that no book has, in the same household.
func (s *FillStream) stranger(r Report) Report {
	r.Execution.ExecID = s.execID()
	r.Execution.Account = portfolio.AccountID("NOBODY-" + string(r.Execution.Account))
	return r
}

// poison is bytes that no schema reads, in turn of several kinds.
func (s *FillStream) poison() []byte {
	switch s.random.below(4) {
	case 0:
		return []byte{}
	case 1:
		return []byte(`{"not": "avro"}`)
	case 2:
		return []byte{0, 255, 255, 255, 254, 1, 2, 3}
	}
	return []byte{0, 0, 0, 0, 1, 250, 250}
}

// delayed are reports that come at a later place, in order of place and then of being planned.
type delayed []delayedReport

type delayedReport struct {
	place, number int
	report        Report
}

func (d delayed) Len() int { return len(d) }
func (d delayed) Less(i, j int) bool {
	return d[i].place < d[j].place || d[i].place == d[j].place && d[i].number < d[j].number
}
func (d delayed) Swap(i, j int) { d[i], d[j] = d[j], d[i] }

// Push implements heap.Interface.
func (d *delayed) Push(x any) { *d = append(*d, x.(delayedReport)) }

// Pop implements heap.Interface.
func (d *delayed) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// SyntheticOrder returns order n of made-up accounts that hold perAccount orders each: half of them
// sell what the account holds, half buy. PreloadBook stores what they need.
func SyntheticOrder(n, perAccount int, session market.Day) pipeline.BrokerOrder {
	account := n / perAccount
	slot := n % perAccount
	r := newRandom(17, n)
	currency, home, fx := market.Currency("USD"), market.Currency("USD"), money.One
	household := account / 2
	if household%2 == 1 {
		home, fx = "CAD", money.FromUnits(14, 1)
	}
	side := portfolio.Buy
	if slot%2 == 0 {
		side = portfolio.Sell
	}
	quantity, price := money.FromInt(int64(r.between(20, 400))), money.FromUnits(int64(r.between(1_000, 30_000)), 2)
	limit := money.FromUnits(11, 1)
	if side == portfolio.Sell {
		limit = money.FromUnits(9, 1)
	}
	o := pipeline.BrokerOrder{RoutingKey: SyntheticHousehold(household), Exchange: "XNYS"}
	o.Order = orders.Order{
		ID: orders.ID(fmt.Sprintf("S%010d", n)), Household: portfolio.HouseholdID(SyntheticHousehold(household)),
		Account: portfolio.AccountID(fmt.Sprintf("SA%08d", account)), Symbol: market.Symbol(fmt.Sprintf("SYN%03d", (account*7+slot)%500)),
		Side: side, Quantity: quantity, Session: session, Sequence: 1, Type: "limit", TimeInForce: "day", Currency: currency, Price: price,
		PriceDay: session, FX: fx, LimitPrice: price.Mul(limit).Round(2), Notional: quantity.Mul(price), AccountCurrency: home,
		Value: quantity.Mul(price).Mul(fx),
	}
	return o
}

// SyntheticHousehold returns the id of made-up household n, which is its routing key too.
func SyntheticHousehold(n int) string { return fmt.Sprintf("SH%08d", n) }
