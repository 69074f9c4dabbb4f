package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// soldBook is a book of one American household that bought 100 AAA at 15 in 2018 and sold 60 at 10 in
// the session, with the slips of the year issued in the next one.
type soldBook struct {
	t  *testing.T
	db *postgres.DB
	*stream
	said *[][]byte
}

func newSoldBook(t *testing.T) soldBook {
	t.Helper()
	db := pgtest.DB(t)
	seedBook(t, db.Pool(), 1)
	lots := []region.Event{}
	for i, shares := range []int64{60, 40} {
		lots = append(lots, region.Event{ID: fmt.Sprintf("L%d", i+1), Kind: region.Buy, Day: market.MustDay("2018-01-02"), Settle: market.MustDay("2018-01-04"),
			Seq: int64(i), Owner: "OH00000", Account: "A00000", AccountType: "taxable", Symbol: "AAA", Shares: money.RatInt(shares), Amount: money.FromInt(15 * shares)})
	}
	text, err := json.Marshal(lots)
	if err != nil {
		t.Fatal(err)
	}
	b := soldBook{t: t, db: db, said: &[][]byte{}}
	b.exec("INSERT INTO household_owner (household, id, since) VALUES ('H00000', 'OH00000', '2010-01-01')")
	b.exec("INSERT INTO security (symbol, name, currency, exchange, kind, asset_class, identical_group) VALUES ('AAA', 'AAA', 'USD', 'XNYS', 'stock', 'x', 'AAA')")
	b.exec("INSERT INTO tax_history (household, through, events) VALUES ('H00000', '2020-03-13', $1)", pipeline.Compress(text))
	b.stream = newStream(t, db)
	b.say(filled(0, portfolio.Sell, "1", "60", "10"))
	return b
}

func (b soldBook) exec(sql string, args ...any) {
	b.t.Helper()
	if _, err := b.db.Pool().Exec(b.t.Context(), sql, args...); err != nil {
		b.t.Fatalf("%s: %v", sql, err)
	}
}

// say feeds executions as the next records.
func (b soldBook) say(all ...fills.Execution) {
	b.t.Helper()
	*b.said = append(*b.said, encode(b.t, all...)...)
	b.feed(records(*b.said), 10)
}

func (b soldBook) issue() pipeline.IssueResult {
	b.t.Helper()
	q := pipeline.IssueRequest{Year: 2020, AsOf: market.MustDay("2026-01-03"), By: "ana", Now: time.Unix(1_800_000_000, 0)}
	result, err := pipeline.IssueSlips(b.t.Context(), b.db, q, func(int64) {})
	if err != nil {
		b.t.Fatal(err)
	}
	return result
}

// broken returns what the checks of slips and of the audit trail say is broken.
func (b soldBook) broken() string {
	b.t.Helper()
	checks, err := b.db.Verify(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	tax, err := pipeline.VerifyTax(b.t.Context(), b.db)
	if err != nil {
		b.t.Fatal(err)
	}
	var broken []string
	for _, c := range append(checks, tax...) {
		if strings.HasPrefix(c.Invariant, "15") || strings.HasPrefix(c.Invariant, "12") {
			broken = append(broken, c.Broken...)
		}
	}
	return strings.Join(broken, "|")
}

// TestACorrectionAfterTheSlip: the broker corrects a sale of a year whose slip is out. The slip stays, the
// report names the correction, the timeline tells both facts, and the amended slip is number 2.
func TestACorrectionAfterTheSlip(t *testing.T) {
	t.Parallel()
	b := newSoldBook(t)
	if got := b.issue(); got.Issued != 1 || got.Lines != 1 || got.Provisional != 0 {
		t.Fatalf("issue = %+v, want one slip of one final line", got)
	}
	e := filled(0, portfolio.Sell, "2", "60", "11")
	e.Type, e.RefExecID = fills.TradeCorrect, "sell00000-1"
	b.say(e)
	var changes []pipeline.SlipChange
	q := pipeline.TaxQuery{Year: 2020, AsOf: market.MustDay("2026-01-03"), Household: "H00000"}
	err := pipeline.ReportTax(t.Context(), b.db, q, func(r pipeline.TaxReport) error { changes = r.Slips[0].Changes; return nil }, func(int64) {})
	if err != nil || len(changes) != 2 {
		t.Fatalf("ReportTax: %d changes, %v, want the sale gone and the corrected one", len(changes), err)
	}
	for i, want := range []string{"-300.35 correction", "-240.35 correction"} {
		l := changes[i].Issued
		if i == 1 {
			l = changes[i].Now
		}
		if got := l.Gain.String() + " " + string(changes[i].Causes[0].Kind); got != want || changes[i].Kind != pipeline.Amended {
			t.Errorf("change %d = %s, %s, want %s, amended", i, got, changes[i].Kind, want)
		}
	}
	marks, err := b.db.TaxMarks(t.Context(), "A00000", market.MustDay("2026-01-03"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for i := range marks {
		fmt.Fprintf(&text, "%s %s; ", marks[i].Day, marks[i].State())
	}
	if want := "2026-01-02 final; 2026-01-02 withdrawn; 2026-01-02 final; 2026-01-02 withdrawn; "; text.String() != want {
		t.Errorf("TaxMarks = %s, want %s", text.String(), want)
	}
	if got := b.broken(); got != "" {
		t.Errorf("with an amendment %s is broken", got)
	}
	if got := b.issue(); got.Amended != 1 {
		t.Errorf("issue again = %+v, want an amended slip", got)
	}
	if got := b.issue(); got.Issued != 0 || got.Unchanged != 1 {
		t.Errorf("issue a third time = %+v, want none", got)
	}
	if got := b.broken(); got != "" {
		t.Errorf("with two slips %s is broken", got)
	}
}

// TestSlipsStay: rows of slips are not changed or deleted, a number is given once, and what got around
// that shows in verification.
func TestSlipsStay(t *testing.T) {
	t.Parallel()
	b := newSoldBook(t)
	b.issue()
	for _, sql := range []string{"UPDATE tax_slip SET actor = 'eve'", "DELETE FROM tax_slip", "TRUNCATE tax_slip", "UPDATE tax_slip SET actor = actor WHERE false"} {
		if _, err := b.db.Pool().Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "stay as they are") {
			t.Errorf("%s = %v, want it refused", sql, err)
		}
	}
	h, err := b.db.TaxHousehold(t.Context(), "H00000")
	if err != nil || len(h.Slips) != 1 {
		t.Fatalf("TaxHousehold = %d slips, %v, want one", len(h.Slips), err)
	}
	slip := h.Slips[0].Slip
	slip.Lines = slices.Clone(slip.Lines)
	if err := b.db.SaveSlips(t.Context(), []pipeline.Slip{slip}, "ana", time.Unix(1, 0)); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("SaveSlips of number 1 again = %v, want ErrState", err)
	}
	if got := b.broken(); got != "" {
		t.Errorf("a slip refused breaks %s", got)
	}
	slip.Lines[0].Gain = money.FromInt(-1)
	body, hash := slip.Pack()
	b.exec("ALTER TABLE tax_slip DISABLE TRIGGER tax_slip_stays")
	for _, c := range []struct{ sql, want string }{
		{"UPDATE tax_slip SET body = $1", "it is not what was issued"},
		{"UPDATE tax_slip SET hash = $2, body = $1", "are not those that the audit trail names"},
		{"UPDATE tax_slip SET as_of = as_of - 1", "it is not what was issued"},
		{"DELETE FROM tax_slip", "its slips are missing"},
	} {
		b.exec(strings.NewReplacer("$1", fmt.Sprintf(`'\x%x'`, body), "$2", "'"+hash+"'").Replace(c.sql))
		if got := b.broken(); !strings.Contains(got, c.want) {
			t.Errorf("after %s: broken %q, want %q", c.sql, got, c.want)
		}
		b.exec("DELETE FROM tax_slip")
		b.restore(h.Slips[0])
	}
}

// restore puts a slip back as it was.
func (b soldBook) restore(s pipeline.IssuedSlip) {
	b.t.Helper()
	body, hash := s.Pack()
	b.exec(`INSERT INTO tax_slip (household, owner, year, number, book_version, as_of, rules, circle, identical, body, hash, root, actor, issued)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		s.Household, s.Owner, s.Year, s.Number, s.BookVersion, s.AsOf, s.Rules, s.Circle, s.Identical, body, hash, s.Root, s.By, s.Issued)
	if got := b.broken(); got != "" {
		b.t.Fatalf("put back, %s is broken", got)
	}
}

// TestCarriedLossesReachThePlan: what owners of a world brought with them is in the inputs that are
// recorded with their plans.
func TestCarriedLossesReachThePlan(t *testing.T) {
	t.Parallel()
	db := smallWorld(t, 12)
	decided(t, db)
	rows, err := db.Pool().Query(t.Context(), `SELECT d.input, c.owner, c.end_of, c.lost::text
		FROM decision d
		JOIN (SELECT household, owner, end_of, trim_scale(sum(st) + sum(lt)) AS lost FROM carried_loss GROUP BY 1, 2, 3) AS c ON c.household = d.household`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := 0
	for ; rows.Next(); found++ {
		var body []byte
		var owner portfolio.OwnerID
		var endOf int
		var lost string
		if err := rows.Scan(&body, &owner, &endOf, &lost); err != nil {
			t.Fatal(err)
		}
		text, err := pipeline.Decompress(body)
		var loaded pipeline.Loaded
		if err := errors.Join(err, json.Unmarshal(text, &loaded)); err != nil {
			t.Fatal(err)
		}
		isThere := false
		for _, b := range loaded.Input.Brought {
			isThere = isThere || b.Owner == owner && b.Year == endOf+1 && b.ST.Add(b.LT).String() == lost
		}
		if !isThere {
			t.Errorf("the input has brought %v, want %s of %s at the end of %d", loaded.Input.Brought, lost, owner, endOf)
		}
	}
	if found == 0 || rows.Err() != nil {
		t.Errorf("%d owners of the world brought losses, %v, want some", found, rows.Err())
	}
}
