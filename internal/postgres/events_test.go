package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// jsonEvents is an EventCodec whose bytes a test can read.
type jsonEvents struct{}

func (jsonEvents) Decode(value []byte) (pipeline.EventMessage, error) {
	var m pipeline.EventMessage
	if err := json.Unmarshal(value, &m); err != nil || m.Event == nil && m.Rate == nil && m.Action == nil {
		return m, &pipeline.BadRecord{Reason: "BAD_AVRO", Detail: fmt.Sprint(err)}
	}
	return m, nil
}

func newEventStream(t testing.TB, db *postgres.DB) *stream {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	s := &stream{t: t, db: db, topic: pipeline.TopicEvents, handler: pipeline.NewEvents(db, jsonEvents{}, clock, slog.New(slog.DiscardHandler))}
	s.assign()
	return s
}

func happened(household int, id string, kind fills.EventKind, edit func(e *fills.Event)) pipeline.EventMessage {
	e := fills.Event{Source: "test", ID: id, Kind: kind, Household: portfolio.HouseholdID(fmt.Sprintf("H%05d", household)),
		Account: portfolio.AccountID(fmt.Sprintf("A%05d", household)), Currency: "CAD", Effective: session}
	edit(&e)
	return pipeline.EventMessage{Event: &e}
}

func amount(text string) func(e *fills.Event) { return func(e *fills.Event) { e.Amount = dec(text) } }

// events is a stream with every kind of event in it, and with records that are dead letters.
func manyEvents(t testing.TB) [][]byte {
	t.Helper()
	reverses := func(id string) func(e *fills.Event) {
		return func(e *fills.Event) { e.Reverses, e.Currency = id, "" }
	}
	shares := func(symbol, n, cost string) func(e *fills.Event) {
		return func(e *fills.Event) { e.Symbol, e.Shares, e.Amount = market.Symbol(symbol), dec(n), dec(cost) }
	}
	var values [][]byte
	for _, m := range []pipeline.EventMessage{
		happened(1, "D1", fills.EventDeposit, amount("100.01")), happened(0, "W1", fills.EventWithdrawal, amount("7.50")),
		happened(1, "D1", fills.EventDeposit, amount("100.01")), happened(1, "D1", fills.EventDeposit, amount("100.02")),
		happened(1, "F1", fills.EventFee, amount("3.00")), happened(9, "D9", fills.EventDeposit, amount("1.00")),
		happened(1, "P1", fills.EventDrip, shares("AAA", "2.5", "25.00")), happened(0, "P2", fills.EventDrip, shares("AAA", "1", "10.00")),
		happened(1, "X1", fills.EventReversal, reverses("P1")), happened(1, "X2", fills.EventReversal, reverses("P1")),
		happened(2, "X3", fills.EventReversal, reverses("P9")),
		happened(2, "T1", fills.EventTransfer, shares("AAA", "120", "0")),
		{Rate: &pipeline.RateFact{Source: "test", ID: "R1", Base: "EUR", Quote: "CAD", Day: session, Rate: dec("1.5")}},
		{Rate: &pipeline.RateFact{Source: "test", ID: "R2", Base: "EUR", Quote: "CAD", Day: session, Rate: dec("1.6")}},
		{Rate: &pipeline.RateFact{Source: "test", ID: "R1", Base: "EUR", Quote: "CAD", Day: session, Rate: dec("1.5")}},
		{Action: &fills.Action{Source: "test", ID: "S1", Kind: fills.EventSplit, Symbol: "AAA", ExDate: session + 1, New: 3, Old: 2}},
		{Action: &fills.Action{Source: "test", ID: "S1", Kind: fills.EventSplit, Symbol: "AAA", ExDate: session + 1, New: 2, Old: 1}},
		happened(1, "BAD", fills.EventDeposit, amount("0")),
	} {
		value, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	return append(values, []byte("no json"))
}

func eventBookText(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	return bookText(t, pool,
		`SELECT household, version, key, kind, account, symbol, effective, body, reversed, source_offset FROM book_event ORDER BY 1, 2`,
		`SELECT key, symbol, kind, ex_date, due, body, next_household, holders, applied IS NULL FROM corporate_action ORDER BY 1`,
		`SELECT base, quote, day, rate, source FROM fx_rate ORDER BY 1, 2, 3`)
}

func TestEventsAnyBatchingIsTheSameBook(t *testing.T) {
	t.Parallel()
	want := ""
	for _, size := range []int{1, 3, 100} {
		pool := pgtest.Schema(t)
		seedBook(t, pool, 4)
		s := newEventStream(t, postgres.New(pool))
		s.feed(s.records(manyEvents(t)), size)
		got := eventBookText(t, pool)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("batches of %d left another book than batches of 1:\n%s\nwant\n%s", size, got, want)
		}
	}
	for _, part := range []string{`"CONFLICT"`, `"UNKNOWN_ACCOUNT"`, `"ALREADY_REVERSED"`, `"UNKNOWN_EVENT"`, `"BAD_TERMS"`, `"BAD_AVRO"`, `"SHORT_POSITION"`,
		`["EUR","CAD","2020-03-16T00:00:00Z",1.6`, `"action|test|S1","AAA","split"`} {
		if !strings.Contains(want, part) {
			t.Errorf("the book lacks %s:\n%s", part, want)
		}
	}
}

func TestTimelineTellsEvents(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 4)
	s := newEventStream(t, db)
	s.feed(s.records(manyEvents(t)), 100)
	entries, err := db.Timeline(t.Context(), "A00001", 20)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Kind == "event" {
			got = append(got, e.Detail)
		}
	}
	want := []string{"deposit 100.01 CAD", "fee 3 CAD", "drip 2.5 AAA 25 CAD (taken back)", "reversal of P1"}
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("the timeline tells %q, want %q", got, want)
	}
}

func TestEventsDeliveredTwiceChangeNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 4)
	s := newEventStream(t, postgres.New(pool))
	values := manyEvents(t)
	s.feed(s.records(values), 5)
	before := eventBookText(t, pool)
	s.feed(s.records(append(values, values...)), 4)
	after := eventBookText(t, pool)
	cut := func(book string) string {
		first, rest, _ := strings.Cut(book, "-- SELECT source_offset")
		_, last, _ := strings.Cut(rest, "-- SELECT household, version, key, kind")
		return first + last
	}
	if cut(before) != cut(after) {
		t.Errorf("records twice left\n%s\nwant\n%s", cut(after), cut(before))
	}
}

func TestEventsAreFenced(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	zombie := newEventStream(t, postgres.New(pool))
	newEventStream(t, postgres.New(pool))
	before := eventBookText(t, pool)
	all := zombie.records(manyEvents(t))
	if err := zombie.handler.Handle(t.Context(), zombie.batch(all)); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("Handle under an old epoch = %v, want ErrFenced", err)
	}
	if after := eventBookText(t, pool); after != before {
		t.Errorf("a fenced batch left\n%s\nwant\n%s", after, before)
	}
}

func TestRehearsalLeavesNothing(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 4)
	db := postgres.New(pool)
	before := eventBookText(t, pool)
	s := newEventStream(t, db)
	verdicts, err := s.handler.(*pipeline.Events).Rehearse(t.Context(), s.records(manyEvents(t)))
	if err != nil {
		t.Fatal(err)
	}
	outcomes := map[string]int{}
	for _, v := range verdicts {
		outcomes[v.Outcome]++
	}
	want := map[string]int{"APPLIED": 10, "DUPLICATE": 2, "CONFLICT": 2, "UNKNOWN_ACCOUNT": 1, "ALREADY_REVERSED": 1, "UNKNOWN_EVENT": 1, "BAD_TERMS": 1, "BAD_AVRO": 1}
	for outcome, n := range want {
		if outcomes[outcome] != n {
			t.Errorf("Rehearse = %d %s, want %d; all: %v", outcomes[outcome], outcome, n, outcomes)
		}
	}
	cut := func(book string) string { return book[:strings.Index(book, "-- SELECT partition, next_offset")] }
	if after := eventBookText(t, pool); cut(after) != cut(before) {
		t.Errorf("a rehearsal left\n%s\nwant\n%s", after, before)
	}
}

// openJournal gives every seeded position its opening entry.
func openJournal(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	_, err := pool.Exec(t.Context(), `INSERT INTO journal (household, version, line, event, kind, effective, known, from_owner, from_kind, to_owner, to_kind, commodity, amount)
		SELECT household, 0, row_number() OVER (PARTITION BY household ORDER BY account), 'opening:' || household, 'opening', $1, now(), '~outside', 'external', account, 'units', symbol, shares
		FROM position`, session-30)
	if err != nil {
		t.Fatal(err)
	}
}

func splitOf(t testing.TB, id string, ex market.Day) []byte {
	t.Helper()
	value, err := json.Marshal(pipeline.EventMessage{Action: &fills.Action{Source: "test", ID: id, Kind: fills.EventSplit, Symbol: "AAA", ExDate: ex, New: 3, Old: 2}})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func fanoutOf(db *postgres.DB, today market.Day) *pipeline.Fanout {
	return &pipeline.Fanout{Book: db, Today: func() market.Day { return today }, Now: func() time.Time { return time.Unix(1, 0) }, Log: slog.New(slog.DiscardHandler)}
}

// TestFillsBesideAFanOut has trades of before an ex-date come while, and after, the split is brought to
// their households: whatever the order, every account ends with the split of all that it held.
func TestFillsBesideAFanOut(t *testing.T) {
	t.Parallel()
	const households = 1_200 // three pages
	pool := pgtest.Schema(t)
	seedBook(t, pool, households)
	openJournal(t, pool)
	db := postgres.New(pool)
	actions := newEventStream(t, db)
	actions.feed(actions.records([][]byte{splitOf(t, "S1", session+1)}), 1)
	trades := newStream(t, db)
	var values [][]byte
	for h := range households {
		values = append(values, encode(t, filled(h, portfolio.Sell, "1", "40", "10"))...)
	}
	fanned := make(chan error, 1)
	go func() { fanned <- fanoutOf(db, session+1).Due(t.Context()) }()
	trades.feed(trades.records(values), 100)
	if err := <-fanned; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := fanoutOf(db, session+1).Due(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	var wrong, left int
	err := pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE shares <> 90), (SELECT count(*) FROM action_recheck) FROM position WHERE symbol = 'AAA'`).Scan(&wrong, &left)
	if err != nil || wrong != 0 || left != 0 {
		t.Errorf("%d of %d accounts do not have 90 shares, %d households wait, %v", wrong, households, left, err)
	}
}

func BenchmarkEvents(b *testing.B) {
	const households, size = 10_000, 2_000
	pool := pgtest.Schema(b)
	seedBook(b, pool, households)
	var values [][]byte
	for i := range 2 * households {
		value, err := json.Marshal(happened(i%households, fmt.Sprint("D", i), fills.EventDeposit, amount("10.00")))
		if err != nil {
			b.Fatal(err)
		}
		values = append(values, value)
	}
	s := newEventStream(b, postgres.New(pool))
	b.ResetTimer()
	start := time.Now()
	for range b.N {
		s.feed(s.records(values), size)
	}
	b.ReportMetric(float64(len(values))/time.Since(start).Seconds(), "events/s")
}

func BenchmarkFanOut(b *testing.B) {
	const households = 10_000
	pool := pgtest.Schema(b)
	seedBook(b, pool, households)
	openJournal(b, pool)
	db := postgres.New(pool)
	s := newEventStream(b, db)
	s.feed(s.records([][]byte{splitOf(b, "S1", session+1)}), 1)
	b.ResetTimer()
	start := time.Now()
	for range b.N {
		if err := fanoutOf(db, session+1).Due(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(households/time.Since(start).Seconds(), "accounts/s")
}
