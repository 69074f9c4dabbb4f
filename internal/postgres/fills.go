package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

var _ pipeline.FillBook = (*DB)(nil)

// UpdateBook implements pipeline.FillBook.
func (db *DB) UpdateBook(ctx context.Context, incoming []pipeline.Incoming, decide func(pipeline.FillLoad) (pipeline.FillChanges, error)) error {
	return db.inTx(ctx, func(tx pgx.Tx) error {
		l := newFillLoader(incoming)
		if err := l.load(ctx, tx); err != nil {
			return err
		}
		changes, err := decide(l.out)
		if err != nil {
			return err
		}
		if err := commitOffsets(ctx, tx, changes.Batch); err != nil {
			return err
		}
		if err := saveFills(ctx, tx, changes, l.known); err != nil {
			return err
		}
		if err := recheckFills(ctx, tx, changes.Results, l.started); err != nil {
			return err
		}
		if len(l.acquired.meets) == 0 {
			return nil
		}
		return l.acquired.denials(ctx, tx, postingsOf(changes.Results), changes.Now)
	})
}

// fillLoader loads what the executions of a batch meet, with a fixed number of queries.
type fillLoader struct {
	out        pipeline.FillLoad
	incoming   []pipeline.Incoming
	executions map[portfolio.HouseholdID][]fills.Execution
	households []string
	orders     []string
	sales      []string // orders that sell: only they have locks
	corrected  []string // orders of corrections and busts
	keys       []string // of the executions and of those that they refer to
	accounts   []string // of positions, with symbols beside
	symbols    []string
	purses     []string // accounts
	known      knownBalances
	acquired   acquired
	started    map[market.Symbol]market.Day // last ex-date of corporate actions that reached accounts before a trade came
}

// knownBalances are the rows of positions and cash that were loaded.
type knownBalances struct {
	positions map[fills.Holding]bool
	cash      map[fills.Purse]bool
}

func newFillLoader(incoming []pipeline.Incoming) *fillLoader {
	l := &fillLoader{incoming: incoming, acquired: newAcquired(), executions: map[portfolio.HouseholdID][]fills.Execution{}}
	l.out.States = map[portfolio.HouseholdID]*fills.State{}
	l.known = knownBalances{map[fills.Holding]bool{}, map[fills.Purse]bool{}}
	held := map[fills.Holding]bool{}
	for _, in := range incoming {
		e := in.Execution
		l.executions[e.Household] = append(l.executions[e.Household], e)
		l.households = append(l.households, string(e.Household))
		l.orders = append(l.orders, string(e.OrderID))
		l.purses = append(l.purses, string(e.Account))
		if e.Side == portfolio.Sell {
			l.sales = append(l.sales, string(e.OrderID))
		} else if e.Moves() {
			l.acquired.add(e.Household, e.Symbol, e.TradeDate)
		}
		l.keys = append(l.keys, e.Key().String())
		if e.RefExecID != "" {
			l.keys = append(l.keys, e.Refers().String())
			l.corrected = append(l.corrected, string(e.OrderID))
		}
		if h := (fills.Holding{Account: e.Account, Symbol: e.Symbol}); !held[h] {
			held[h] = true
			l.accounts, l.symbols = append(l.accounts, string(e.Account)), append(l.symbols, string(e.Symbol))
		}
	}
	for _, list := range []*[]string{&l.households, &l.orders, &l.sales, &l.corrected, &l.keys, &l.purses} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return l
}

// load locks the households first; what it reads after that nobody else can change.
func (l *fillLoader) load(ctx context.Context, tx pgx.Tx) error {
	if len(l.incoming) == 0 {
		return nil
	}
	if err := l.lockHouseholds(ctx, tx); err != nil {
		return err
	}
	b := &pgx.Batch{}
	l.queueAccounts(b)
	l.queueOrders(b)
	l.queueBalances(b)
	l.queueKeys(b)
	l.queueHeld(b)
	l.queuePosted(b)
	l.queueRates(b)
	l.queueStarted(b)
	l.acquired.queue(b, "LockedPurchases")
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("load book: %w", err)
	}
	return nil
}

func (l *fillLoader) lockHouseholds(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, query("FillHouseholds"), l.households)
	if err != nil {
		return fmt.Errorf("lock households: %w", err)
	}
	var id portfolio.HouseholdID
	var name string
	var version int64
	rules := map[string]*region.Rules{}
	_, err = pgx.ForEachRow(rows, []any{&id, &name, &version}, func() error {
		if rules[name] == nil {
			r, err := region.Load(name)
			if errors.Is(err, region.ErrNoRegion) {
				return nil // nothing can be posted for it: its executions are dead letters until it is corrected
			}
			if err != nil {
				return err
			}
			rules[name] = r
		}
		s := fills.NewState(id, rules[name])
		s.Version = version
		l.out.States[id] = s
		return nil
	})
	if err != nil {
		return fmt.Errorf("lock households: %w", err)
	}
	return nil
}

// queue adds a query whose first column is a household; each is called with the household's state
// for every row, and rows of other households are passed over.
func (l *fillLoader) queue(b *pgx.Batch, name string, args, targets []any, each func(s *fills.State) error) {
	b.Queue(query(name), args...).Query(func(rows pgx.Rows) error {
		var id portfolio.HouseholdID
		_, err := pgx.ForEachRow(rows, append([]any{&id}, targets...), func() error {
			if s, ok := l.out.States[id]; ok {
				return each(s)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}

func (l *fillLoader) queueAccounts(b *pgx.Batch) {
	var a fills.Account
	l.queue(b, "FillAccounts", []any{l.households}, []any{&a.ID, &a.Owner, &a.Type, &a.Currency}, func(s *fills.State) error {
		s.Accounts[a.ID] = a
		return nil
	})
}

func (l *fillLoader) queueOrders(b *pgx.Batch) {
	var o fills.Order
	p := &o.Progress
	targets := []any{&o.Run, &o.ID, &o.Account, &o.Symbol, &o.Side, &o.Currency, &o.Asked, &o.LotsLeft, &p.State, &p.OrderQty, &p.CumQty, &p.LeavesQty}
	l.queue(b, "FillOrders", []any{l.orders}, targets, func(s *fills.State) error {
		s.Orders[o.ID] = o
		o.LotsLeft = nil
		return nil
	})
	var k fills.Lock
	targets = []any{&k.Run, &k.Order, &k.Property, &k.Until, &k.State}
	l.queue(b, "FillLocks", []any{l.sales}, targets, func(s *fills.State) error {
		if s.Orders[k.Order].Run == k.Run { // another run's proposal of the same order locks nothing any more
			s.Locks[k.Order] = append(s.Locks[k.Order], k)
		}
		return nil
	})
}

func (l *fillLoader) queueBalances(b *pgx.Batch) {
	var h fills.Holding
	var shares money.Dec
	l.queue(b, "FillPositions", []any{l.accounts, l.symbols}, []any{&h.Account, &h.Symbol, &shares}, func(s *fills.State) error {
		s.Positions[h] = shares
		l.known.positions[h] = true
		return nil
	})
	var p fills.Purse
	var amount money.Dec
	l.queue(b, "FillCash", []any{l.purses}, []any{&p.Account, &p.Currency, &amount}, func(s *fills.State) error {
		s.Cash[p] = amount
		l.known.cash[p] = true
		return nil
	})
}

// queueKeys loads which keys the book knows. They are known to every household of the batch: a key
// that belongs to another one is as taken.
func (l *fillLoader) queueKeys(b *pgx.Batch) {
	b.Queue(query("FillSeen"), l.keys).Query(func(rows pgx.Rows) error {
		seen := map[string]string{}
		var key, content string
		_, err := pgx.ForEachRow(rows, []any{&key, &content}, func() error {
			seen[key] = content
			return nil
		})
		if err != nil || len(seen) == 0 {
			return err
		}
		for id, executions := range l.executions {
			if s, ok := l.out.States[id]; ok {
				remember(s.Seen, seen, executions)
			}
		}
		return nil
	})
}

func remember(to, seen map[string]string, executions []fills.Execution) {
	for _, e := range executions {
		for _, key := range []string{e.Key().String(), e.Refers().String()} {
			if content, ok := seen[key]; ok {
				to[key] = content
			}
		}
	}
}

func (l *fillLoader) queueHeld(b *pgx.Batch) {
	b.Queue(query("FillHeld"), l.orders).Query(func(rows pgx.Rows) error {
		r := pipeline.Record{Topic: pipeline.TopicFills}
		_, err := pgx.ForEachRow(rows, []any{&r.Value, &r.Partition, &r.Offset}, func() error {
			l.out.Held = append(l.out.Held, r)
			r.Value = nil
			return nil
		})
		return err
	})
}

func (l *fillLoader) queuePosted(b *pgx.Batch) {
	var p fills.Posted
	var content string
	e := &p.Execution
	targets := []any{&p.Version, &p.Key, &content, &e.Type, &p.Refers, &e.OrderID, &p.Run, &e.Account, &e.Symbol, &e.Side,
		&e.Quantity, &e.Price, &e.Commission, &e.Fees, &e.Currency, &e.FX, &e.FXDay, &e.TradeDate, &e.SettleDate, &e.Venue,
		&e.BrokerTime, &e.Text, &p.Lots, &p.Effective}
	l.queue(b, "FillPosted", []any{l.corrected, l.orders}, targets, func(s *fills.State) error {
		p.Household = s.Household
		s.Remember(p, content)
		p.Lots = nil
		return nil
	})
}

func (l *fillLoader) queueRates(b *pgx.Batch) {
	needed := map[fills.Pair][]*fills.State{}
	for id, s := range l.out.States {
		for _, p := range fills.TaxDays(s.Rules, l.executions[id]) {
			needed[p] = append(needed[p], s)
		}
	}
	queuePairs(b, needed)
}

// queuePairs loads published rates into the states that need them.
func queuePairs(b *pgx.Batch, needed map[fills.Pair][]*fills.State) {
	if len(needed) == 0 {
		return
	}
	var bases, quotes []string
	var days []market.Day
	for p := range needed {
		bases, quotes, days = append(bases, string(p.Base)), append(quotes, string(p.Quote)), append(days, p.Day)
	}
	b.Queue(query("FillRates"), bases, quotes, days).Query(func(rows pgx.Rows) error {
		var p fills.Pair
		var direct bool
		var rate money.Dec
		_, err := pgx.ForEachRow(rows, []any{&p.Base, &p.Quote, &p.Day, &direct, &rate}, func() error {
			if !direct {
				rate = money.One.Div(rate)
			}
			for _, s := range needed[p] {
				s.Rates[p] = rate
			}
			return nil
		})
		return err
	})
}

// queueStarted looks for corporate actions that a trade of the batch comes too late for.
func (l *fillLoader) queueStarted(b *pgx.Batch) {
	first := map[market.Symbol]market.Day{}
	for _, in := range l.incoming {
		e := in.Execution
		traded := e.TradeDate
		if e.RefTradeDate != market.NoDay {
			traded = min(traded, e.RefTradeDate) // what a correction takes back
		}
		if day, ok := first[e.Symbol]; !ok || traded < day {
			first[e.Symbol] = traded
		}
	}
	l.started = queueStarted(b, first)
}
