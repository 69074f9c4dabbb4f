package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybreak/internal/kafka"
	"daybreak/pipeline"
)

// testBrokers are one of this process, or those of DAYBREAK_EMPTY_BROKERS: a cluster that nothing has used,
// for one test by hand, since topics have the same names in every installation.
func testBrokers(t *testing.T) []string {
	t.Helper()
	brokers := strings.FieldsFunc(os.Getenv("DAYBREAK_EMPTY_BROKERS"), func(r rune) bool { return r == ',' })
	if len(brokers) > 0 {
		return brokers
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// TestBalancesSurviveKills streams balances by a process that is killed at random moments while
// deposits come to all accounts, and checks that the topic ends as the book does and that each version
// of an account is there once, in order.
func TestBalancesSurviveKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	t.Parallel()
	const kills, rounds = 8, 60
	a, s := eventWorldOn(t, testBrokers(t))
	play := func() *process {
		return start(t, "", "serve", roleBalances, "--instance", "b", "--database-url", a.settings.DatabaseURL, "--brokers", strings.Join(a.settings.Brokers, ","))
	}
	ctx, stop := context.WithCancel(t.Context())
	applied := make(chan error, 1)
	go func() { applied <- s.fills(ctx) }()
	sent := make(chan error, 1)
	go func() { sent <- depositEverywhere(t, s, rounds) }()
	random := rand.New(rand.NewPCG(1, 2))
	for range kills {
		p := play()
		select {
		case <-time.After(time.Duration(200+random.IntN(900)) * time.Millisecond):
		case <-p.ended:
			t.Fatalf("the process ended: %s", &p.errOut)
		}
		if err := p.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.ended
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	last := play()
	waitFor(t, last, func() bool { return topicsReached(t, s, rounds) })
	stop()
	if err := <-applied; err != nil {
		t.Fatal(err)
	}
	wantStreamed(t, s)
}

// depositEverywhere sends deposits to every account, round by round.
func depositEverywhere(t *testing.T, s *services, rounds int) error {
	rows, err := s.db.Pool().Query(t.Context(), "SELECT household, id, currency FROM account ORDER BY id")
	if err != nil {
		return err
	}
	var all []holder
	for rows.Next() {
		var h holder
		if err := rows.Scan(&h.household, &h.account, &h.currency); err != nil {
			return err
		}
		all = append(all, h)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	pace := time.NewTicker(100 * time.Millisecond)
	defer pace.Stop()
	for round := range rounds {
		<-pace.C
		var records []map[string]any
		for _, h := range all {
			records = append(records, h.record("CashMovement", fmt.Sprintf("K%d-%s", round, h.account), "deposit", map[string]any{"amount": "1.00"}))
		}
		if _, err := s.publishEvents(t.Context(), []string{writeLines(t, fmt.Sprintf("round%d.jsonl", round), records...)}); err != nil {
			return err
		}
	}
	return nil
}

// topicsReached reports whether every record was applied and the relay has come to the last change.
func topicsReached(t *testing.T, s *services, rounds int) bool {
	t.Helper()
	var isDone bool
	err := s.db.Pool().QueryRow(t.Context(), `SELECT (SELECT coalesce(sum(applied), 0) FROM stream_offset WHERE topic = $1) = $2 * (SELECT count(*) FROM account)
		AND NOT EXISTS (SELECT FROM book_change c, book_relay r WHERE (c.xid, c.id) > (r.xid::text::xid8, r.id))`, pipeline.TopicEvents, rounds).Scan(&isDone)
	if err != nil {
		t.Fatal(err)
	}
	return isDone
}

// wantStreamed compares daybreak.balances with the book.
func wantStreamed(t *testing.T, s *services) {
	t.Helper()
	codec, err := kafka.NewBookCodec(t.Context(), s.registry)
	if err != nil {
		t.Fatal(err)
	}
	records, err := kafka.ReadTopic(t.Context(), s.where.Brokers, pipeline.TopicBalances, nil, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	last := map[string]pipeline.Balance{}
	for _, r := range records {
		b, err := codec.DecodeBalance(r.Value)
		if err != nil || string(r.Key) != string(b.Account) {
			t.Fatalf("record of %s is of %s, %v", r.Key, b.Account, err)
		}
		if before, seen := last[string(r.Key)]; seen && b.Version <= before.Version {
			t.Errorf("%s: version %d after %d", r.Key, b.Version, before.Version)
		}
		for _, h := range r.Headers {
			if h.Key == pipeline.HeaderVersion && string(h.Value) != strconv.FormatInt(b.Version, 10) {
				t.Errorf("%s: header says version %s, want %d", r.Key, h.Value, b.Version)
			}
		}
		last[string(r.Key)] = b
	}
	rows, err := s.db.Pool().Query(t.Context(), `SELECT a.id, h.book_version,
		coalesce((SELECT string_agg(currency || trim_scale(amount), ' ' ORDER BY currency) FROM cash WHERE account = a.id AND amount <> 0), ''),
		coalesce((SELECT string_agg(symbol || trim_scale(shares), ' ' ORDER BY symbol) FROM position WHERE account = a.id AND shares <> 0), '')
		FROM account a JOIN household h ON h.id = a.household`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	accounts := 0
	for rows.Next() {
		var id, cash, positions string
		var version int64
		if err := rows.Scan(&id, &version, &cash, &positions); err != nil {
			t.Fatal(err)
		}
		accounts++
		b, got := last[id], [2][]string{}
		for _, m := range b.Cash {
			got[0] = append(got[0], string(m.Currency)+m.Amount.String())
		}
		for _, p := range b.Positions {
			got[1] = append(got[1], string(p.Symbol)+p.Shares.String())
		}
		if strings.Join(got[0], " ") != cash || strings.Join(got[1], " ") != positions || b.Version > version {
			t.Errorf("%s is streamed as %v at version %d, want %s and %s, at most %d", id, got, b.Version, cash, positions, version)
		}
	}
	if len(last) != accounts || accounts == 0 {
		t.Errorf("%d accounts are streamed, want %d", len(last), accounts)
	}
	t.Logf("%d records of %d accounts", len(records), accounts)
}
