package postgres_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// replayerOf replays letters of the test codecs, long after they were stored.
func replayerOf(db *postgres.DB) *pipeline.Replayer {
	clock := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	log := slog.New(slog.DiscardHandler)
	return &pipeline.Replayer{Letters: db, Fills: pipeline.NewFills(db, jsonCodec{}, clock, log), Events: pipeline.NewEvents(db, jsonEvents{}, clock, log),
		Build: "B1", Now: func() time.Time { return time.Now().Add(24 * time.Hour) }, Log: log}
}

func lettersOf(t testing.TB, db *postgres.DB, state pipeline.LetterState) []pipeline.Letter {
	t.Helper()
	all, err := db.Letters(t.Context(), pipeline.LetterQuery{State: state, Limit: 1_000})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// replayAll replays all open letters and returns the outcomes, by offset.
func replayAll(t testing.TB, r *pipeline.Replayer, db *postgres.DB, dry bool) string {
	t.Helper()
	verdicts, err := r.Replay(t.Context(), lettersOf(t, db, pipeline.LetterOpen), "ana", dry)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, v := range verdicts {
		all = append(all, fmt.Sprintf("%d %s>%s", v.Offset, v.Reason, v.Outcome))
	}
	return strings.Join(all, "\n")
}

// book is the text of the book alone, without how records ended.
func bookAlone(t testing.TB, pool *pgxpool.Pool) string {
	t.Helper()
	text := bookText(t, pool)
	return text[:strings.Index(text, "-- SELECT source_offset, reason")]
}

func wantEnds(t testing.TB, db *postgres.DB) {
	t.Helper()
	checks, err := db.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if (c.Invariant[0] == '8' || c.Invariant[0] == '9' || c.Invariant[0] == '4') && !c.OK {
			t.Errorf("invariant %s: %v", c.Invariant, c.Broken)
		}
	}
}

// newcomer has fills of a household that the book does not have yet, with a correction before its dead
// trade, a duplicate, and what stays dead; and between them fills of another household.
func newcomer(t testing.TB) [][]byte {
	correct := filled(2, portfolio.Sell, "2", "25", "10.10")
	correct.Type, correct.RefExecID = fills.TradeCorrect, "sell00002-1"
	conflict := filled(0, portfolio.Sell, "1", "31", "10")
	values := encode(t, filled(0, portfolio.Sell, "1", "30", "10.01"), filled(2, portfolio.Sell, "1", "20", "10"), correct,
		filled(0, portfolio.Buy, "1", "5", "11"), filled(2, portfolio.Sell, "1", "20", "10"), conflict, filled(2, portfolio.Sell, "3", "30", "10.20"))
	return append(values, []byte("no json"))
}

// arrive stores what seedBook stores of household 2 and of households below it.
func arrive(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	for _, q := range []string{
		`INSERT INTO household (id, region, routing_key, book_version, opened) VALUES ('H00002', 'US', 'H00002', 1, '2020-03-16')`,
		`INSERT INTO account (id, household, owner, type, currency, model, policy, opened) VALUES ('A00002', 'H00002', 'OH00002', 'taxable', 'USD', 'M', '{}', '2020-03-16')`,
		`INSERT INTO position (account, symbol, household, shares) VALUES ('A00002', 'AAA', 'H00002', 100)`,
		`INSERT INTO cash (account, currency, household, amount) VALUES ('A00002', 'USD', 'H00002', 100000)`,
		`INSERT INTO trade_order (run, id, household, account, symbol, side, session, sequence, quantity, type, limit_price, time_in_force,
			currency, price, price_day, fx, notional, account_currency, value, lots, waits_for, reason, numbers, book_version, content_hash,
			state, order_qty, leaves_qty, sent)
		 SELECT run, 'SELL00002', 'H00002', 'A00002', symbol, side, session, sequence, quantity, type, limit_price, time_in_force,
			currency, price, price_day, fx, notional, account_currency, value, lots, waits_for, reason, numbers, book_version, content_hash,
			'PendingNew', 100, 100, sent
		 FROM trade_order WHERE id = 'SELL00000'`,
	} {
		if _, err := pool.Exec(t.Context(), q); err != nil {
			t.Fatal(q, err)
		}
	}
}

func TestLettersAreReplayedOnce(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newStream(t, db)
	s.feed(records(newcomer(t)), 3)
	r := replayerOf(db)
	before := bookText(t, pool)
	stays := "1 UNKNOWN_ACCOUNT>UNKNOWN_ACCOUNT\n2 UNKNOWN_ACCOUNT>UNKNOWN_ACCOUNT\n4 UNKNOWN_ACCOUNT>UNKNOWN_ACCOUNT\n5 CONFLICT>CONFLICT\n6 UNKNOWN_ACCOUNT>UNKNOWN_ACCOUNT\n7 BAD_AVRO>BAD_AVRO"
	if got := replayAll(t, r, db, true); got != stays {
		t.Errorf("Replay(dry) = %s, want %s", got, stays)
	}
	if after := bookText(t, pool); after != before {
		t.Errorf("a rehearsal left\n%s\nwant\n%s", after, before)
	}
	if due, err := db.DueLetters(t.Context(), time.Now().Add(-time.Minute), 100); err != nil || len(due) != 0 {
		t.Errorf("DueLetters before anything has come = %v, %v, want none", due, err)
	}
	arrive(t, pool)
	due, err := db.DueLetters(t.Context(), time.Now(), 100)
	if err != nil || len(due) != 4 {
		t.Fatalf("DueLetters after the account came = %d letters, %v, want its 4", len(due), err)
	}
	want := "1 UNKNOWN_ACCOUNT>APPLIED\n2 UNKNOWN_ACCOUNT>APPLIED\n4 UNKNOWN_ACCOUNT>DUPLICATE\n5 CONFLICT>CONFLICT\n6 UNKNOWN_ACCOUNT>APPLIED\n7 BAD_AVRO>BAD_AVRO"
	if got := replayAll(t, r, db, true); got != want {
		t.Errorf("Replay(dry, account there) = %s, want %s", got, want)
	}
	if got := replayAll(t, r, db, false); got != want {
		t.Errorf("Replay = %s, want %s", got, want)
	}
	wantEnds(t, db)
	once := bookAlone(t, pool)
	if got, want := replayAll(t, r, db, false), "5 CONFLICT>CONFLICT\n7 BAD_AVRO>BAD_AVRO"; got != want {
		t.Errorf("Replay again = %s, want %s", got, want)
	}
	ended := lettersOf(t, db, pipeline.LetterReplayed)
	if got, err := r.Replay(t.Context(), ended, "ana", false); err != nil || len(got) != 0 {
		t.Errorf("Replay of what has ended = %v, %v, want none", got, err)
	}
	if twice := bookAlone(t, pool); twice != once {
		t.Errorf("letters twice left\n%s\nwant\n%s", twice, once)
	}
	open := lettersOf(t, db, pipeline.LetterOpen)
	if len(open) != 2 || open[0].Attempts != 3 || open[1].Attempts != 3 || open[0].Actor != "ana" || open[0].Build != "B1" {
		t.Errorf("open letters are %+v, want two with 3 attempts", open)
	}
	wantEnds(t, db)
}

// TestLettersLikeNoLetters has the same book where records were dead first and where they were not.
func TestLettersLikeNoLetters(t *testing.T) {
	t.Parallel()
	var books []string
	for _, early := range []bool{true, false} {
		pool := pgtest.Schema(t)
		seedBook(t, pool, 2)
		db := postgres.New(pool)
		if early {
			arrive(t, pool)
		}
		s := newStream(t, db)
		s.feed(records(newcomer(t)), 2)
		if !early {
			arrive(t, pool)
			replayAll(t, replayerOf(db), db, false)
		}
		wantEnds(t, db)
		books = append(books, bookAlone(t, pool))
	}
	if books[0] != books[1] {
		t.Errorf("replayed letters left\n%s\nwant\n%s", books[1], books[0])
	}
}

// failing ends the work of a pool at its n-th statement, as a kill would: what was not committed is gone.
type failing struct {
	left atomic.Int64
	stop context.CancelFunc
}

func (f *failing) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return f.count(ctx)
}
func (f *failing) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (f *failing) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return f.count(ctx)
}
func (f *failing) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

func (f *failing) count(ctx context.Context) context.Context {
	if f.left.Add(-1) == 0 {
		f.stop()
	}
	return ctx
}

// TestReplayKilledAnywhere kills a replay at every statement that it sends: what a second one, undisturbed,
// leaves is always the same.
func TestReplayKilledAnywhere(t *testing.T) {
	t.Parallel()
	want, kills := "", 0
	for n, killed := int64(1), true; killed; n++ {
		pool := pgtest.Schema(t)
		seedBook(t, pool, 2)
		db := postgres.New(pool)
		s := newStream(t, db)
		s.feed(records(newcomer(t)), 3)
		arrive(t, pool)
		ctx, stop := context.WithCancel(t.Context())
		tracer := &failing{stop: stop}
		config := pool.Config()
		config.ConnConfig.Tracer = tracer
		dying, err := pgxpool.NewWithConfig(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		open := lettersOf(t, db, pipeline.LetterOpen)
		tracer.left.Store(n)
		_, err = replayerOf(postgres.New(dying)).Replay(ctx, open, "ana", false)
		killed = ctx.Err() != nil
		if killed {
			kills++
		} else if err != nil {
			t.Fatal(err)
		}
		stop()
		dying.Close()
		wantEnds(t, db)
		replayAll(t, replayerOf(db), db, false)
		wantEnds(t, db)
		got := bookAlone(t, pool)
		if want == "" {
			want = got
		}
		if got != want {
			t.Fatalf("killed at statement %d left\n%s\nwant\n%s", n, got, want)
		}
	}
	if kills < 5 {
		t.Errorf("%d kills, want one at each of several statements", kills)
	}
}

// TestLettersAfterARewind has what was dead read again: it is counted as a duplicate, and the letter stays.
func TestLettersAfterARewind(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newStream(t, db)
	values := newcomer(t)
	s.feed(records(values), 3)
	dead := len(lettersOf(t, db, ""))
	arrive(t, pool)
	s.feed(records(append(values, values...)), 3)
	if got := len(lettersOf(t, db, "")); got != dead+2 { // other offsets: the conflict and what cannot be read
		t.Errorf("%d letters after the records came twice, want %d", got, dead+2)
	}
	want := "1 UNKNOWN_ACCOUNT>DUPLICATE\n2 UNKNOWN_ACCOUNT>DUPLICATE\n4 UNKNOWN_ACCOUNT>DUPLICATE\n5 CONFLICT>CONFLICT\n6 UNKNOWN_ACCOUNT>DUPLICATE\n7 BAD_AVRO>BAD_AVRO\n13 CONFLICT>CONFLICT\n15 BAD_AVRO>BAD_AVRO"
	if got := replayAll(t, replayerOf(db), db, false); got != want {
		t.Errorf("Replay = %s, want %s", got, want)
	}
	wantEnds(t, db)
}

// TestHeldLetterThatDies replays a bust as held, and has its trade busted by another one first: the letter
// is open again.
func TestHeldLetterThatDies(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	bust := func(id string) fills.Execution {
		e := report(2, portfolio.Sell, id, fills.TradeCancel)
		e.RefExecID = "sell00002-1"
		return e
	}
	s := newStream(t, db)
	values := encode(t, bust("2"), bust("3"))
	s.feed(records(values), 2)
	arrive(t, pool)
	if got, want := replayAll(t, replayerOf(db), db, false), "0 UNKNOWN_ACCOUNT>HELD\n1 UNKNOWN_ACCOUNT>HELD"; got != want {
		t.Fatalf("Replay = %s, want %s", got, want)
	}
	values = append(values, encode(t, filled(2, portfolio.Sell, "1", "20", "10"))...)
	s.feed(records(values), 1)
	open := lettersOf(t, db, pipeline.LetterOpen)
	if len(open) != 1 || open[0].Offset != 1 || open[0].Reason != string(fills.AlreadyBusted) {
		t.Errorf("open letters are %+v, want the second bust, ALREADY_BUSTED", open)
	}
	wantEnds(t, db)
}

func TestLettersOfEvents(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newEventStream(t, db)
	var values [][]byte
	for _, m := range []pipeline.EventMessage{happened(2, "D1", fills.EventDeposit, amount("100.01")), happened(0, "D2", fills.EventDeposit, amount("0")),
		happened(1, "X1", fills.EventReversal, func(e *fills.Event) { e.Reverses, e.Currency = "D7", "" })} {
		value, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	s.feed(s.records(values), 2)
	arrive(t, pool)
	want := "0 UNKNOWN_ACCOUNT>APPLIED\n1 BAD_TERMS>BAD_TERMS\n2 UNKNOWN_EVENT>UNKNOWN_EVENT"
	for range 2 {
		if got := replayAll(t, replayerOf(db), db, false); got != want {
			t.Errorf("Replay = %s, want %s", got, want)
		}
		want = "1 BAD_TERMS>BAD_TERMS\n2 UNKNOWN_EVENT>UNKNOWN_EVENT"
	}
	var cash string
	if err := pool.QueryRow(t.Context(), `SELECT trim_scale(amount)::text FROM cash WHERE account = 'A00002' AND currency = 'CAD'`).Scan(&cash); err != nil || cash != "100.01" {
		t.Errorf("cash of A00002 is %s, %v, want 100.01", cash, err)
	}
	wantEnds(t, db)
}

func TestDroppedLetters(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newStream(t, db)
	s.feed(records(newcomer(t)), 3)
	open := lettersOf(t, db, pipeline.LetterOpen)
	ids := []int64{open[0].ID, open[1].ID}
	if err := db.DropLetters(t.Context(), ids, "ana", "a test of the broker", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := db.DropLetters(t.Context(), ids[:1], "ana", "again", time.Now()); err == nil {
		t.Error("DropLetters of a dropped letter = nil, want ErrState")
	}
	if got := lettersOf(t, db, pipeline.LetterDropped); len(got) != 2 || got[0].Why != "a test of the broker" || got[0].Actor != "ana" {
		t.Errorf("dropped letters are %+v, want two by ana", got)
	}
	if got, err := replayerOf(db).Replay(t.Context(), open[:2], "ana", false); err != nil || len(got) != 0 {
		t.Errorf("Replay of dropped letters = %v, %v, want nothing", got, err)
	}
	wantEnds(t, db)
}

// TestRelayMayBeSentAgain has every letter sent, with its place and reason, and again where it is asked for.
func TestRelayMayBeSentAgain(t *testing.T) {
	t.Parallel()
	pool := pgtest.Schema(t)
	seedBook(t, pool, 2)
	db := postgres.New(pool)
	s := newStream(t, db)
	s.feed(records(newcomer(t)), 3)
	topic := &sentRecords{}
	relay := &pipeline.LetterRelay{Letters: db, Publisher: topic, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	for i, want := range []int{6, 0} {
		if n, err := relay.Send(t.Context()); err != nil || n != want {
			t.Errorf("Send, %d. time = %d, %v, want %d", i+1, n, err, want)
		}
	}
	id := lettersOf(t, db, "")[5].ID
	if _, err := db.ResendLetters(t.Context(), []int64{id}); err != nil {
		t.Fatal(err)
	}
	if n, err := relay.Send(t.Context()); err != nil || n != 1 || len(topic.records) != 7 {
		t.Fatalf("Send after ResendLetters = %d, %v, want 1", n, err)
	}
	for i, want := range []string{"", "", "", "", "", "7 BAD_AVRO", "7 BAD_AVRO"} {
		r := topic.records[i]
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if got := headers[pipeline.HeaderLetterOffset] + " " + headers[pipeline.HeaderLetterReason]; want != "" && (got != want || string(r.Value) != "no json" || headers[pipeline.HeaderLetterID] != fmt.Sprint(id)) {
			t.Errorf("record %d is %s of %v, want %s", i, r.Value, headers, want)
		}
	}
}

// sentRecords is a Publisher that keeps what it was given.
type sentRecords struct{ records []pipeline.Record }

func (s *sentRecords) Publish(_ context.Context, all []pipeline.Record) error {
	s.records = append(s.records, all...)
	return nil
}

func (s *sentRecords) Partitions(context.Context, string) (int32, error) { return 12, nil }
