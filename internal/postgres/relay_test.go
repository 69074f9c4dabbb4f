package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// plainBook is a BookCodec whose bytes a test can read.
type plainBook struct{}

func (plainBook) EncodeBalance(b pipeline.Balance) ([]byte, error) {
	return fmt.Appendf(nil, "%v %v", b.Cash, b.Positions), nil
}

func (plainBook) EncodeOrder(o pipeline.OrderState) ([]byte, error) {
	return fmt.Appendf(nil, "%s %s %s %s", o.State, o.OrderQty, o.CumQty, o.LeavesQty), nil
}

// topicLog is a broker's log of one partition a topic, with the fence of transactional producers.
type topicLog struct {
	mu      sync.Mutex
	epoch   int
	records []pipeline.Record
}

// logProducer is a FencedPublisher over it. die is asked at each point at which a process may be killed.
type logProducer struct {
	log   *topicLog
	epoch int
	die   func(where string) error
}

func (p *logProducer) Fence(_ context.Context, after pipeline.TopicEnds) ([]pipeline.Record, error) {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.epoch++
	p.epoch = p.log.epoch
	var tail []pipeline.Record
	for _, r := range p.log.records {
		if r.Offset >= after[r.Topic][r.Partition] {
			tail = append(tail, r)
		}
	}
	return tail, p.die("fenced")
}

func (p *logProducer) PublishAll(_ context.Context, records []pipeline.Record) (pipeline.TopicEnds, error) {
	if err := p.die("before publishing"); err != nil {
		return nil, err
	}
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	if p.epoch != p.log.epoch {
		return nil, errors.New("producer is fenced")
	}
	ends := pipeline.TopicEnds{}
	for _, r := range records {
		r.Offset = int64(len(p.log.records))
		p.log.records = append(p.log.records, r)
		ends[r.Topic] = map[int32]int64{0: r.Offset + 1}
	}
	return ends, p.die("published")
}

func (p *logProducer) Partitions(context.Context, string) (int32, error) { return 1, nil }
func (p *logProducer) Close()                                            {}

// dyingBook is a ChangeBook whose owner may be killed after each of its calls.
type dyingBook struct {
	*postgres.DB
	die func(where string) error
}

func (b dyingBook) AdvanceRelay(ctx context.Context, epoch int64, at pipeline.Place, ends pipeline.TopicEnds, lease time.Duration) error {
	if err := b.die("before advancing"); err != nil {
		return err
	}
	if err := b.DB.AdvanceRelay(ctx, epoch, at, ends, lease); err != nil {
		return err
	}
	return b.die("advanced")
}

// relayed runs a relay until its topics say what the book does.
func relayed(t *testing.T, db *postgres.DB, log *topicLog, die func(string) error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	r := &pipeline.Relay{Book: dyingBook{db, die}, Topics: func() (pipeline.FencedPublisher, error) { return &logProducer{log: log, die: die}, nil },
		Codec: plainBook{}, Owner: "test", Lease: 80 * time.Millisecond, Log: slog.New(slog.DiscardHandler)}
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for want := bookStates(t, db); log.states() != want; {
		select {
		case <-ctx.Done():
			t.Fatalf("the topics say\n%s\nwant\n%s", log.states(), want)
		case <-tick.C:
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run = %v", err)
	}
}

// states returns the last value of every key.
func (l *topicLog) states() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := map[string]string{}
	for _, r := range l.records {
		last[r.Topic+" "+string(r.Key)] = string(r.Value)
	}
	return fmt.Sprint(last)
}

// bookStates is what the topics must come to, by queries of its own.
func bookStates(t *testing.T, db *postgres.DB) string {
	t.Helper()
	rows, err := db.Pool().Query(t.Context(), `
		SELECT 'daybreak.balances ' || a.id, '[' || coalesce((SELECT string_agg('{' || currency || ' ' || trim_scale(amount) || '}', ' ' ORDER BY currency)
		           FROM cash c WHERE c.account = a.id AND amount <> 0), '') || '] [' ||
		       coalesce((SELECT string_agg('{' || symbol || ' ' || trim_scale(shares) || '}', ' ' ORDER BY symbol) FROM position p WHERE p.account = a.id AND shares <> 0), '') || ']'
		FROM account a
		UNION ALL
		SELECT 'daybreak.orders ' || id, state || ' ' || trim_scale(order_qty) || ' ' || trim_scale(cum_qty) || ' ' || trim_scale(leaves_qty)
		FROM trade_order o WHERE EXISTS (SELECT FROM execution e WHERE e.order_id = o.id)`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	states := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			t.Fatal(err)
		}
		states[key] = value
	}
	return fmt.Sprint(states)
}

// onceAndUpwards checks that every key's versions grow: none twice, none going back.
func (l *topicLog) onceAndUpwards(t *testing.T) {
	t.Helper()
	last := map[string]int64{}
	for _, r := range l.records {
		var version int64
		for _, h := range r.Headers {
			if h.Key == pipeline.HeaderVersion {
				_, _ = fmt.Sscan(string(h.Value), &version)
			}
		}
		key := r.Topic + " " + string(r.Key)
		if before, seen := last[key]; seen && version <= before {
			t.Errorf("%s: version %d after %d", key, version, before)
		}
		last[key] = version
	}
}

// manyFills are trades, corrections and busts of households.
func manyFills(households int) []fills.Execution {
	var all []fills.Execution
	for part := range 3 {
		for h := range households {
			id := fmt.Sprint(part)
			all = append(all, filled(h, portfolio.Sell, id, "20", "10.01"), filled(h, portfolio.Buy, id, "10", "9.99"))
			if h%3 == 0 {
				e := filled(h, portfolio.Sell, id+"c", "15", "10.02")
				e.Type, e.RefExecID = fills.TradeCorrect, fmt.Sprintf("sell%05d-%d", h, part)
				all = append(all, e)
			}
		}
	}
	return all
}

// TestRelayKilledAnywhereSendsEachVersionOnce applies fills in batches while the relay dies at random
// points and begins anew, and checks that the topics end as the book does, each version of a key there
// once and in order.
func TestRelayKilledAnywhereSendsEachVersionOnce(t *testing.T) {
	t.Parallel()
	deaths := map[string]int{}
	for seed := range uint64(3) {
		db := pgtest.DB(t)
		seedBook(t, db.Pool(), 30)
		log := &topicLog{}
		random := rand.New(rand.NewPCG(seed, 7))
		var mu sync.Mutex
		die := func(where string) error {
			mu.Lock()
			defer mu.Unlock()
			if random.IntN(3) == 0 {
				deaths[where]++
				return errors.New("killed: " + where)
			}
			return nil
		}
		s := newStream(t, db)
		records := records(encode(t, manyFills(30)...))
		for n := 0; n < len(records); n += 35 {
			s.feed(records[:min(n+35, len(records))], 7)
			relayed(t, db, log, die)
		}
		log.onceAndUpwards(t)
	}
	if len(deaths) < 5 {
		t.Errorf("deaths %v, want all five points", deaths)
	}
}

// TestANewOwnerKnowsWhatWasSentAhead has an owner send a version before its change is told, since an older
// transaction is under way, and another owner come to that change.
func TestANewOwnerKnowsWhatWasSentAhead(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 1)
	log, ctx := &topicLog{}, t.Context()
	s := newStream(t, db)
	all := records(encode(t, filled(0, portfolio.Sell, "1", "20", "10"), filled(0, portfolio.Sell, "2", "20", "10")))
	s.feed(all[:1], 1)
	older, err := db.Pool().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = older.Rollback(ctx) }()
	if _, err := older.Exec(ctx, "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	s.feed(all, 1)
	never := func(string) error { return nil }
	relayed(t, db, log, never)
	sent := len(log.records)
	if err := older.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	s.feed(append(all, records(encode(t, filled(0, portfolio.Buy, "1", "5", "10")))...), 1)
	relayed(t, db, log, never)
	log.onceAndUpwards(t)
	if len(log.records) != sent+2 {
		t.Errorf("%d records after a purchase, want %d: its account and its order", len(log.records), sent+2)
	}
}

// TestAZombieOfTheRelayWritesNothing lets an owner come back after another one has taken over.
func TestAZombieOfTheRelayWritesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	ctx := t.Context()
	first, ours, err := db.TakeRelay(ctx, "first", time.Minute)
	if err != nil || !ours {
		t.Fatalf("TakeRelay = %v, %v, want it", ours, err)
	}
	if _, ours, err = db.TakeRelay(ctx, "second", time.Minute); err != nil || ours {
		t.Errorf("TakeRelay under a lease = %v, %v, want none", ours, err)
	}
	if err := db.AdvanceRelay(ctx, first.Epoch, first.Place, pipeline.TopicEnds{}, 0); err != nil {
		t.Fatal(err)
	}
	second, ours, err := db.TakeRelay(ctx, "second", time.Minute)
	if err != nil || !ours || second.Epoch != first.Epoch+1 {
		t.Errorf("TakeRelay after a lease = %+v, %v, %v, want epoch %d", second, ours, err, first.Epoch+1)
	}
	if err := db.AdvanceRelay(ctx, first.Epoch, pipeline.Place{Xid: 9}, pipeline.TopicEnds{}, time.Minute); !errors.Is(err, pipeline.ErrFenced) {
		t.Errorf("AdvanceRelay of the first owner = %v, want ErrFenced", err)
	}
}

// TestChangesWaitForOlderTransactions keeps a transaction open that changed a household first, and
// checks that nothing after it is told before it is.
func TestChangesWaitForOlderTransactions(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 2)
	ctx := t.Context()
	// Tests of other databases have transactions under way too, which are waited for as well.
	changes := func(after pipeline.Place, rows int) pipeline.BookChanges {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			c, err := db.BookChanges(ctx, after, 100)
			if err != nil {
				t.Fatal(err)
			}
			if c.Rows >= rows {
				return c
			}
			<-tick.C
		}
	}
	start := changes(pipeline.Place{}, 1)
	if len(start.Balances) != 2 {
		t.Fatalf("BookChanges = %d balances, want 2", len(start.Balances))
	}
	older, err := db.Pool().Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = older.Rollback(ctx) }()
	if _, err := older.Exec(ctx, "UPDATE household SET book_version = 2 WHERE id = 'H00000'"); err != nil {
		t.Fatal(err)
	}
	newStream(t, db).feed(records(encode(t, filled(1, portfolio.Sell, "1", "20", "10"))), 1)
	if c, err := db.BookChanges(ctx, start.Last, 100); err != nil || c.Rows != 0 {
		t.Errorf("BookChanges beside an older transaction = %d rows, %v, want none", c.Rows, err)
	}
	if err := older.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if c := changes(start.Last, 2); c.Rows != 2 || len(c.Balances) != 1 || len(c.Orders) != 1 {
		t.Errorf("BookChanges after it = %d rows, %d balances, %d orders, want 2, 1, 1", c.Rows, len(c.Balances), len(c.Orders))
	}
}

// TestSlotsOfChangesAreEmptied moves changes to the slots of other hours.
func TestSlotsOfChangesAreEmptied(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 2)
	ctx := t.Context()
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Pool().Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	count := func() string {
		t.Helper()
		var b strings.Builder
		for slot := range 3 {
			var n int
			err := db.Pool().QueryRow(ctx, "SELECT count(*) FROM book_change WHERE slot = (extract(epoch FROM clock_timestamp())::bigint / 3600 + $1) % 3", slot).Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(&b, n, " ")
		}
		return b.String()
	}
	exec("UPDATE book_change SET slot = (slot + 1) % 3")
	if err := db.EmptyBookChanges(ctx); err != nil || count() != "0 1 0 " {
		t.Errorf("EmptyBookChanges before the relay came = %v, rows %s, want 0 1 0", err, count())
	}
	exec("UPDATE book_relay SET xid = (SELECT max(xid::text::bigint) FROM book_change), id = (SELECT max(id) FROM book_change)")
	exec("UPDATE household SET book_version = 5")
	if err := db.EmptyBookChanges(ctx); err != nil || count() != "1 0 0 " {
		t.Errorf("EmptyBookChanges after the relay came = %v, rows %s, want 1 0 0", err, count())
	}
}
