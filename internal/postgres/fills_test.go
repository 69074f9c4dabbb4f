package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// jsonCodec is a FillCodec whose bytes a test can read.
type jsonCodec struct{}

func (jsonCodec) Encode(e fills.Execution) ([]byte, error) { return json.Marshal(e) }

func (jsonCodec) Decode(value []byte) (fills.Execution, error) {
	e := fills.Execution{RefTradeDate: market.NoDay}
	if err := json.Unmarshal(value, &e); err != nil {
		return e, &pipeline.BadRecord{Reason: "BAD_AVRO", Detail: err.Error()}
	}
	return e, nil
}

var (
	session = market.MustDay("2020-03-16")
	settles = market.MustDay("2020-03-18")
	dec     = money.MustParse
)

// seedBook stores n households, every other one in Canada, each with an account, a sent sale of 100
// AAA with a lock, and a sent purchase of 50 BBB.
func seedBook(t testing.TB, pool *pgxpool.Pool, n int) {
	t.Helper()
	var households, accounts, cash, positions, orderRows, locks [][]any
	for i := range n {
		h, a := fmt.Sprintf("H%05d", i), fmt.Sprintf("A%05d", i)
		region, currency, fx := "US", "USD", money.One
		if i%2 == 1 {
			region, currency, fx = "CA", "CAD", dec("1.4")
		}
		households = append(households, []any{h, region, h, 1, session})
		accounts = append(accounts, []any{a, h, "O" + h, "taxable", currency, "M", []byte("{}"), session})
		cash = append(cash, []any{a, currency, h, dec("100000")})
		positions = append(positions, []any{a, "AAA", h, dec("100")})
		for _, side := range []portfolio.Side{portfolio.Sell, portfolio.Buy} {
			symbol, quantity := "AAA", dec("100")
			lots := `[{"lot":"L1","shares":"60"},{"lot":"L2","shares":"40"}]`
			if side == portfolio.Buy {
				symbol, quantity, lots = "BBB", dec("50"), "[]"
			}
			id := orderID(i, side)
			orderRows = append(orderRows, []any{"2020-03-16.1", id, h, a, symbol, side, session, 1, quantity, "limit", dec("10"), "day",
				"USD", dec("10"), session, fx, quantity.Mul(dec("10")), currency, quantity.Mul(dec("10")).Mul(fx), []byte(lots), []byte("[]"),
				"TEST", []byte("{}"), 1, "hash", "PendingNew", quantity, quantity, time.Unix(1, 0)})
			if side == portfolio.Sell {
				locks = append(locks, []any{h, "AAA", string(id), "2020-03-16.1", a, "AAA", session + 32, "provisional"})
			}
		}
	}
	for _, c := range []struct {
		table   string
		columns string
		rows    [][]any
	}{
		{"household", "id region routing_key book_version opened", households},
		{"account", "id household owner type currency model policy opened", accounts},
		{"cash", "account currency household amount", cash},
		{"position", "account symbol household shares", positions},
		{"trade_order", "run id household account symbol side session sequence quantity type limit_price time_in_force currency price price_day fx notional account_currency value lots waits_for reason numbers book_version content_hash state order_qty leaves_qty sent", orderRows},
		{"tax_lock", "household property order_id run account symbol until state", locks},
		{"fx_rate", "base quote day rate source", [][]any{{"USD", "CAD", settles - 1, dec("1.38"), "test"}}},
	} {
		if _, err := pool.CopyFrom(t.Context(), pgx.Identifier{c.table}, strings.Fields(c.columns), pgx.CopyFromRows(c.rows)); err != nil {
			t.Fatalf("seed %s: %v", c.table, err)
		}
	}
}

func orderID(household int, side portfolio.Side) orders.ID {
	return orders.ID(fmt.Sprintf("%s%05d", strings.ToUpper(string(side)), household))
}

// report returns a report on the order of a household's side.
func report(household int, side portfolio.Side, id string, kind fills.ExecType) fills.Execution {
	e := fills.Execution{
		Session: "SIM", ExecID: fmt.Sprintf("%s%05d-%s", side, household, id), Type: kind, RefTradeDate: market.NoDay,
		OrderID: orderID(household, side), Account: portfolio.AccountID(fmt.Sprintf("A%05d", household)),
		Household: portfolio.HouseholdID(fmt.Sprintf("H%05d", household)), Symbol: "AAA", Side: side, Currency: "USD", FX: money.One,
		FXDay: session, TradeDate: session, SettleDate: settles, Venue: "XNYS", BrokerTime: session.Time().Add(15 * time.Hour),
	}
	if household%2 == 1 {
		e.FX = dec("1.4")
	}
	if side == portfolio.Buy {
		e.Symbol = "BBB"
	}
	return e
}

func filled(household int, side portfolio.Side, id, shares, price string) fills.Execution {
	e := report(household, side, id, fills.Trade)
	e.Quantity, e.Price, e.Commission = dec(shares), dec(price), dec("0.35")
	return e
}

// stream feeds records of partition 0 of a topic to a handler as its owner would.
type stream struct {
	t       testing.TB
	db      *postgres.DB
	topic   string
	handler pipeline.Handler
	at      pipeline.Position
}

func newStream(t testing.TB, db *postgres.DB) *stream {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	s := &stream{t: t, db: db, topic: pipeline.TopicFills, handler: pipeline.NewFills(db, jsonCodec{}, clock, slog.New(slog.DiscardHandler))}
	s.assign()
	return s
}

func (s *stream) assign() {
	s.t.Helper()
	at, err := s.db.Assign(s.t.Context(), s.topic, "topic", []int32{0})
	if err != nil {
		s.t.Fatal(err)
	}
	s.at = at[0]
}

// records numbers values as the records of the partition.
func records(values [][]byte) []pipeline.Record {
	all := make([]pipeline.Record, len(values))
	for i, v := range values {
		all[i] = pipeline.Record{Topic: pipeline.TopicFills, Offset: int64(i), Value: v, Time: session.Time()}
	}
	return all
}

// records numbers values as the records of the stream's partition.
func (s *stream) records(values [][]byte) []pipeline.Record {
	all := records(values)
	for i := range all {
		all[i].Topic = s.topic
	}
	return all
}

// feed hands over records in batches of a size, from the stream's offset on.
func (s *stream) feed(all []pipeline.Record, size int) {
	s.t.Helper()
	for s.at.Next < int64(len(all)) {
		part := all[s.at.Next:min(s.at.Next+int64(size), int64(len(all)))]
		if err := s.handler.Handle(s.t.Context(), s.batch(part)); err != nil {
			s.t.Fatal(err)
		}
		s.at.Next += int64(len(part))
	}
}

func (s *stream) batch(part []pipeline.Record) pipeline.Batch {
	return pipeline.Batch{Topic: s.topic, Records: part, Spans: []pipeline.Span{{
		First: s.at.Next, Next: s.at.Next + int64(len(part)), Epoch: s.at.Epoch, LastRecord: session.Time(),
	}}}
}

func encode(t testing.TB, all ...fills.Execution) [][]byte {
	t.Helper()
	values := make([][]byte, len(all))
	for i, e := range all {
		var err error
		if values[i], err = (jsonCodec{}).Encode(e); err != nil {
			t.Fatal(err)
		}
	}
	return values
}

// bookText returns all of the book as text, without the instants at which it learned something, and
// what more queries say.
func bookText(t testing.TB, pool *pgxpool.Pool, more ...string) string {
	t.Helper()
	var b strings.Builder
	for _, q := range append([]string{
		`SELECT id, book_version FROM household ORDER BY 1`,
		`SELECT id, state, order_qty, cum_qty, leaves_qty, lots_left FROM trade_order ORDER BY 1`,
		`SELECT account, symbol, shares FROM position ORDER BY 1, 2`,
		`SELECT account, currency, amount FROM cash ORDER BY 1, 2`,
		`SELECT household, version, line, event, kind, effective, from_owner, from_kind, to_owner, to_kind, commodity, amount FROM journal ORDER BY 1, 2, 3`,
		`SELECT household, version, event, effective, body, withdrawn FROM tax_event ORDER BY 1, 2`,
		`SELECT household, property, order_id, until, state FROM tax_lock ORDER BY 1, 2, 3`,
		`SELECT key, content_hash FROM execution_key ORDER BY 1`,
		`SELECT household, version, key, exec_type, refers, quantity, price, lots, effective, source_offset FROM execution ORDER BY 1, 2`,
		`SELECT key, waits_for, released IS NULL FROM held_execution ORDER BY 1`,
		`SELECT account, code, subject, detail, closed IS NULL FROM book_exception ORDER BY 1, 2, 3, id`,
		`SELECT source_offset, reason, detail, convert_from(value, 'UTF8') FROM dead_letter ORDER BY 1`,
		`SELECT partition, next_offset, applied, duplicate, held, dead FROM stream_offset ORDER BY 1`,
	}, more...) {
		rows, err := pool.Query(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		values, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (string, error) {
			v, err := r.Values()
			for i := range v {
				if d, ok := v[i].(interface{ Value() (any, error) }); ok {
					v[i], _ = d.Value()
				}
			}
			text, _ := json.Marshal(v)
			return string(text), err
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "-- %s\n%s\n", q, strings.Join(values, "\n"))
	}
	return b.String()
}

// eventful is a stream with everything in it: fills in parts, corrections and busts on time and
// early, duplicates, rejects, exceptions, and records that are dead letters.
func eventful(t testing.TB) [][]byte {
	t.Helper()
	correct := func(h int, side portfolio.Side, id, ref, shares, price string) fills.Execution {
		e := filled(h, side, id, shares, price)
		e.Type, e.RefExecID = fills.TradeCorrect, fmt.Sprintf("%s%05d-%s", side, h, ref)
		return e
	}
	bust := func(h int, side portfolio.Side, id, ref string) fills.Execution {
		e := report(h, side, id, fills.TradeCancel)
		e.RefExecID = fmt.Sprintf("%s%05d-%s", side, h, ref)
		return e
	}
	conflict := filled(0, portfolio.Sell, "1", "31", "10")
	stranger := filled(0, portfolio.Sell, "9", "1", "10")
	stranger.Household = "H99999"
	all := []fills.Execution{
		report(0, portfolio.Sell, "0", fills.New), report(1, portfolio.Sell, "0", fills.New),
		filled(0, portfolio.Sell, "1", "30", "10.01"), filled(1, portfolio.Sell, "1", "70.5", "9.99"),
		filled(0, portfolio.Sell, "1", "30", "10.01"), conflict, stranger,
		correct(1, portfolio.Sell, "3", "2", "20", "10"), bust(1, portfolio.Sell, "4", "3"),
		filled(0, portfolio.Sell, "2", "70", "10.02"), filled(1, portfolio.Sell, "2", "29.5", "10"),
		bust(0, portfolio.Sell, "3", "2"),
		report(2, portfolio.Sell, "0", fills.Rejected), filled(2, portfolio.Buy, "1", "60", "2000"),
		filled(3, portfolio.Buy, "1", "50", "11"), report(3, portfolio.Buy, "2", fills.Canceled),
		bust(2, portfolio.Buy, "2", "1"), filled(3, portfolio.Sell, "1", "120", "10"),
		correct(3, portfolio.Sell, "2", "1", "99.9999", "10.05"),
		filled(7, portfolio.Sell, "1", "1", "10"),
	}
	values := encode(t, all...)
	return append(values[:5:5], append([][]byte{[]byte("no json"), {}}, values[5:]...)...)
}

func TestFillsAnyBatchingIsTheSameBook(t *testing.T) {
	t.Parallel()
	want := ""
	for _, size := range []int{1, 2, 5, 100} {
		pool := pgtest.Schema(t)
		seedBook(t, pool, 4)
		s := newStream(t, postgres.New(pool))
		s.feed(records(eventful(t)), size)
		got := bookText(t, pool)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("batches of %d left another book than batches of 1:\n%s\nwant\n%s", size, got, want)
		}
	}
	for _, part := range []string{
		`["A00000","USD",100299.95`, // two fills, one of them busted
		`["SELL00000","Canceled"`, `["SELL00002","Rejected"`, `["BUY00003","Filled"`,
		`"OVERFILL"`, `"NEGATIVE_CASH"`, `"CONFLICT"`, `"BAD_AVRO"`, `"UNKNOWN_ACCOUNT"`,
	} {
		if !strings.Contains(want, part) {
			t.Errorf("the book lacks %s:\n%s", part, want)
		}
	}
}

func TestFillsDeliveredTwiceChangeNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 4)
	s := newStream(t, postgres.New(pool))
	values := eventful(t)
	s.feed(records(values), 7)
	before := bookText(t, pool)
	s.feed(records(append(values, values...)), 3)
	after := bookText(t, pool)
	cut := func(book string) string { return book[:strings.Index(book, "-- SELECT source_offset")] }
	if cut(before) != cut(after) {
		t.Errorf("records twice left\n%s\nwant\n%s", cut(after), cut(before))
	}
}

func TestFillsAreFenced(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	zombie := newStream(t, postgres.New(pool))
	owner := newStream(t, postgres.New(pool))
	before := bookText(t, pool)
	all := records(encode(t, filled(0, portfolio.Sell, "1", "30", "10"), filled(1, portfolio.Sell, "1", "30", "10")))
	if err := zombie.handler.Handle(t.Context(), zombie.batch(all)); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("Handle under an old epoch = %v, want ErrFenced", err)
	}
	if after := bookText(t, pool); after != before {
		t.Errorf("a fenced batch left\n%s\nwant\n%s", after, before)
	}
	owner.feed(all, 2)
	late := owner.batch(all)
	late.Spans[0].First = 0
	if err := owner.handler.Handle(t.Context(), late); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("Handle of offsets that were moved = %v, want ErrFenced", err)
	}
}

func BenchmarkFills(b *testing.B) {
	const households, parts, size = 10_000, 2, 2_000
	pool := pgtest.Schema(b)
	seedBook(b, pool, households)
	var values [][]byte
	for part := range parts {
		for h := range households {
			values = append(values, encode(b, filled(h, portfolio.Sell, fmt.Sprint(part), "50", "10.01"), filled(h, portfolio.Buy, fmt.Sprint(part), "25", "9.99"))...)
		}
	}
	all := records(values)
	s := newStream(b, postgres.New(pool))
	b.ResetTimer()
	start := time.Now()
	for range b.N {
		s.feed(all, size)
	}
	b.ReportMetric(float64(len(all))/time.Since(start).Seconds(), "fills/s")
}
