package pipeline

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// memoryBook is a HouseholdStore in maps.
type memoryBook struct {
	*memoryStore
	hashes   map[portfolio.HouseholdID]string
	accounts map[portfolio.AccountID]portfolio.HouseholdID
	openings map[portfolio.HouseholdID]Opening
	calls    int
	failAt   int // the call of AddHouseholds that fails; 0: none
}

func newMemoryBook() *memoryBook {
	return &memoryBook{memoryStore: newMemoryStore("VTI", "SCHB", "XIC.TO"), hashes: map[portfolio.HouseholdID]string{},
		accounts: map[portfolio.AccountID]portfolio.HouseholdID{}, openings: map[portfolio.HouseholdID]Opening{}}
}

func (b *memoryBook) HouseholdStandings(_ context.Context, openings []Opening) ([]Standing, error) {
	standings := make([]Standing, len(openings))
	for i, p := range openings {
		standings[i] = StandingOf(p, b.hashes, b.accounts)
	}
	return standings, nil
}

func (b *memoryBook) AddHouseholds(ctx context.Context, openings []Opening, _ time.Time) ([]Standing, error) {
	if b.calls++; b.calls == b.failAt {
		return nil, errors.New("no database")
	}
	standings, err := b.HouseholdStandings(ctx, openings)
	for i, p := range openings {
		if standings[i] != StandingNew {
			continue
		}
		b.hashes[p.Household.ID], b.openings[p.Household.ID] = p.SourceHash, p
		for _, a := range p.Household.Accounts {
			b.accounts[a.ID] = p.Household.ID
		}
	}
	return standings, err
}

// lineOf returns a good household of one US account with 30 shares of VTI, after edits of its JSON:
// each pair is a text of it and what stands there instead.
func lineOf(t *testing.T, id string, edits ...string) string {
	t.Helper()
	line := `{"id":"` + id + `","region":"US","as_of":"2020-03-13","owners":[{"id":"A","from":"2010-01-01"}],` +
		`"accounts":[{"id":"` + id + `-T","owner":"A","type":"taxable","currency":"USD","model":"m","opened":"2019-01-02",` +
		`"policy":{"band":"0.03"},"cash":[{"currency":"USD","amount":"12.34"}],"positions":[{"symbol":"VTI","shares":"30"}]}],` +
		`"events":[` +
		`{"id":"1","kind":"buy","day":"2019-01-02","settle":"2019-01-04","seq":1,"owner":"A","account":"` + id + `-T","account_type":"taxable","symbol":"VTI","shares":"40","amount":"5000","currency":"USD"},` +
		`{"id":"2","kind":"sell","day":"2019-06-03","settle":"2019-06-05","seq":2,"owner":"A","account":"` + id + `-T","account_type":"taxable","symbol":"VTI","shares":"10","amount":"1500","commission":"1","currency":"USD"}]}`
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(line, edits[i]) {
			t.Fatalf("the line lacks %s", edits[i])
		}
		line = strings.Replace(line, edits[i], edits[i+1], 1)
	}
	return line
}

// importText imports a text as a file of households.
func importText(t *testing.T, book HouseholdStore, text string, strict bool) ImportSummary {
	t.Helper()
	summary, err := ImportHouseholdFile(t.Context(), book, HouseholdFile{
		Name: "h.jsonl", Strict: strict,
		Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

func TestOpenHousehold(t *testing.T) {
	t.Parallel()
	book := newMemoryBook()
	importText(t, book, lineOf(t, "H1"), false)
	p := book.openings["H1"]
	account := p.Household.Accounts[0]
	if len(account.Positions) != 1 || account.Positions[0] != (portfolio.Position{Symbol: "VTI", Shares: money.FromInt(30)}) {
		t.Errorf("positions = %v, want 30 VTI", account.Positions)
	}
	if p.Household.RoutingKey != "H1" || p.Household.Owners[0].To != market.NoDay || p.EventCount != 2 {
		t.Errorf("routing key %q, owner until %v, %d events, want H1, none, 2", p.Household.RoutingKey, p.Household.Owners[0].To, p.EventCount)
	}
	want := []ledger.Balance{
		{Account: ledger.Account{Owner: "H1-T", Kind: ledger.Cash}, Commodity: "USD", Amount: money.MustParse("12.34")},
		{Account: ledger.Account{Owner: "H1-T", Kind: ledger.Units}, Commodity: "VTI", Amount: money.FromInt(30)},
		{Account: ledger.Account{Owner: ledger.Outside, Kind: ledger.External}, Commodity: "USD", Amount: money.MustParse("-12.34")},
		{Account: ledger.Account{Owner: ledger.Outside, Kind: ledger.External}, Commodity: "VTI", Amount: money.FromInt(-30)},
	}
	if got := ledger.Balances(p.Moves); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("balances of the opening = %v, want %v", got, want)
	}
}

// TestOpenedBook folds a later sale from the stored checkpoint and from the stored history: the book
// must be the same.
func TestOpenedBook(t *testing.T) {
	t.Parallel()
	book := newMemoryBook()
	importText(t, book, lineOf(t, "H1"), false)
	p := book.openings["H1"]
	var history []region.Event
	var checkpoint region.Checkpoint
	for body, into := range map[*[]byte]any{&p.Events: &history, &p.Checkpoint: &checkpoint} {
		text, err := Decompress(*body)
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	rules, err := region.Load("US")
	if err != nil {
		t.Fatal(err)
	}
	later := history[1]
	later.ID, later.Day, later.Settle, later.Seq = "3", market.MustDay("2020-03-16"), market.MustDay("2020-03-18"), 3
	securities, err := book.Securities(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scope := region.ScopeOf(p.Household, market.IdenticalGroups(securities))
	fromStart, err1 := region.Fold(rules, scope, region.Checkpoint{}, append(history, later))
	fromCheckpoint, err2 := region.Fold(rules, scope, checkpoint, []region.Event{later})
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	got, want := fmt.Sprint(fromCheckpoint.Holdings("H1-T")), fmt.Sprint(fromStart.Holdings("H1-T"))
	if got != want || !strings.Contains(got, "20") {
		t.Errorf("holdings from the checkpoint = %s, want %s with 20 shares", got, want)
	}
}

// TestBadHouseholds walks what a line can have wrong. The good lines around it are kept.
func TestBadHouseholds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		edits []string
		want  market.Code
	}{
		{"unknown field", []string{`"region"`, `"colour":"blue","region"`}, codeBadJSON},
		{"unknown field of an event", []string{`"seq":1`, `"sequence":1`}, codeBadJSON},
		{"not JSON", []string{`{"id"`, `{id`}, codeBadJSON},
		{"two values", []string{`"currency":"USD"}]}`, `"currency":"USD"}]} {}`}, codeBadJSON},
		{"a list", []string{`{"id":"H9"`, `[{"id":"H9"`, `"currency":"USD"}]}`, `"currency":"USD"}]}]`}, codeBadJSON},
		{"wrong type", []string{`"owners":[{"id":"A","from":"2010-01-01"}]`, `"owners":"A"`}, codeBadJSON},
		{"NaN", []string{`"12.34"`, `"NaN"`}, market.CodeBadNumber},
		{"a bare NaN", []string{`"12.34"`, `NaN`}, codeBadJSON},
		{"1e400", []string{`"12.34"`, `"1e400"`}, market.CodeBadNumber},
		{"a bare 1e400", []string{`"12.34"`, `1e400`}, market.CodeBadNumber},
		{"a bare number", []string{`"12.34"`, `12.34`}, market.CodeBadNumber},
		{"cash that is not in cents", []string{`"12.34"`, `"12.345"`}, market.CodeBadNumber},
		{"cash out of range", []string{`"12.34"`, `"1000000000000000"`}, market.CodeBadNumber},
		{"shares out of range", []string{`"shares":"40"`, `"shares":"1000000000000000"`}, market.CodeBadNumber},
		{"a day that is none", []string{`"2020-03-13"`, `"2020-02-30"`}, market.CodeBadDate},
		{"no as_of", []string{`"as_of":"2020-03-13",`, ``}, market.CodeBadDate},
		{"no day of an event", []string{`"day":"2019-01-02",`, ``}, market.CodeBadDate},
		{"an event after as_of", []string{`"day":"2019-06-03"`, `"day":"2020-03-14"`}, market.CodeBadDate},
		{"an account opened after as_of", []string{`"opened":"2019-01-02"`, `"opened":"2020-03-14"`}, market.CodeBadDate},
		{"an owner who left before he came", []string{`"from":"2010-01-01"`, `"from":"2010-01-01","to":"2010-01-01"`}, market.CodeBadDate},
		{"no id", []string{`"id":"H9"`, `"id":""`}, market.CodeBadText},
		{"an id of a counterparty", []string{`"id":"H9-T"`, `"id":"~bank"`}, market.CodeBadText},
		{"unknown region", []string{`"region":"US"`, `"region":"ZZ"`}, codeUnknownRegion},
		{"no accounts", []string{`"accounts":[{`, `"accounts":[],"events":[{`}, codeBadJSON},
		{"unknown account type", []string{`"type":"taxable"`, `"type":"tfsa"`}, codeUnknownAccountType},
		{"another account type in an event", []string{`"account_type":"taxable"`, `"account_type":"ira"`}, codeUnknownAccountType},
		{"unknown owner", []string{`"owner":"A","type"`, `"owner":"B","type"`}, codeUnknownOwner},
		{"an event of another owner", []string{`"seq":1,"owner":"A"`, `"seq":1,"owner":"B"`}, codeUnknownOwner},
		{"an event of an unknown account", []string{`"account":"H9-T"`, `"account":"H8-T"`}, codeUnknownAccount},
		{"unknown security", []string{`"symbol":"VTI","shares":"40"`, `"symbol":"VTX","shares":"40"`}, market.CodeUnknownSecurity},
		{"unknown security in a position", []string{`[{"symbol":"VTI","shares":"30"}]`, `[{"symbol":"VTX","shares":"30"}]`}, market.CodeUnknownSecurity},
		{"unknown restricted security", []string{`"band":"0.03"`, `"restricted":["VTX"]`}, market.CodeUnknownSecurity},
		{"unknown currency", []string{`"currency":"USD","model"`, `"currency":"XXX","model"`}, market.CodeUnknownCurrency},
		{"a band above one", []string{`"band":"0.03"`, `"band":"1.01"`}, codeBadPolicy},
		{"an unknown kind", []string{`"kind":"buy"`, `"kind":"gift"`}, codeBadEvent},
		{"a purchase of nothing", []string{`"shares":"40",`, ``}, codeBadEvent},
		{"a negative amount", []string{`"amount":"5000"`, `"amount":"-5000"`}, market.CodeNegative},
		{"the same event twice", []string{`"id":"2"`, `"id":"1"`}, market.CodeDuplicate},
		{"an unknown lot", []string{`"shares":"10"`, `"lots":[{"lot":"3","shares":"10"}],"shares":"10"`}, codeUnknownLot},
		{"a lot of no shares", []string{`"shares":"10"`, `"lots":[{"lot":"1","shares":"0"}],"shares":"10"`}, codeUnknownLot},
		{"a named lot", []string{`"shares":"10"`, `"lots":[{"lot":"1","shares":"10"}],"shares":"10"`}, ""},
		{"more sold than bought", []string{`"shares":"10"`, `"shares":"41"`, `,"positions":[{"symbol":"VTI","shares":"30"}]`, ``}, codeOversold},
		{"positions that differ", []string{`[{"symbol":"VTI","shares":"30"}]`, `[{"symbol":"VTI","shares":"31"}]`}, codeLotsDiffer},
		{"a position that is missing", []string{`[{"symbol":"VTI","shares":"30"}]`, `[]`}, codeLotsDiffer},
		{"no positions given", []string{`,"positions":[{"symbol":"VTI","shares":"30"}]`, ``}, ""},
		{"cash below zero", []string{`"12.34"`, `"-12.34"`}, ""},
		{"the last day", []string{`"day":"2019-06-03","settle":"2019-06-05"`, `"day":"2020-03-13","settle":"2020-03-17"`}, ""},
		{"positions that were made to differ", []string{`[{"symbol":"VTI","shares":"30"}]`, `[{"symbol":"VTI","shares":"31"}]`,
			`"region"`, `"planted_fault":"LOTS_DIFFER","region"`}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			book := newMemoryBook()
			text := lineOf(t, "H1") + "\n" + lineOf(t, "H9", c.edits...) + "\n" + lineOf(t, "H2") + "\n"
			got := importText(t, book, text, false)
			var code market.Code
			if len(got.Faults) > 0 {
				code = got.Faults[0].Code
			}
			want := 3
			if c.want != "" {
				want = 2
			}
			if code != c.want || got.Inserted != want || len(book.openings) != want {
				t.Errorf("import = %+v with %v, want code %q and %d households", got, got.Faults, c.want, want)
			}
			if c.want != "" && (got.Faults[0].Line != 2 || got.Faults[0].Message == "") {
				t.Errorf("fault = %+v, want line 2 and a message", got.Faults[0])
			}
		})
	}
}

func TestNoAccounts(t *testing.T) {
	t.Parallel()
	line := `{"id":"H1","region":"US","as_of":"2020-03-13","owners":[{"id":"A","from":"2010-01-01"}],"accounts":[]}`
	for text, want := range map[string]market.Code{
		line: codeNoAccounts,
		strings.Replace(line, `[{"id":"A","from":"2010-01-01"}]`, `[]`, 1): codeNoOwners,
		"":                               codeEmptyFile,
		"\n\n":                           codeEmptyFile,
		"null":                           codeUnknownRegion,
		strings.Repeat("x", recordMax+1): market.CodeLongLine,
	} {
		got := importText(t, newMemoryBook(), text, false)
		if len(got.Faults) != 1 || got.Faults[0].Code != want {
			t.Errorf("import of %.60s = %v, want one fault %s", text, got.Faults, want)
		}
	}
}

// TestHostileMessages says that what a file may contain cannot fill a summary.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for _, edits := range [][]string{
		{`"region"`, `"` + long + `":1,"region"`},
		{`"2020-03-13"`, `"` + long + `"`},
		{`"12.34"`, `"` + long + `"`},
		{`"id":"H9"`, `"id":"` + long + `"`},
		{`"id":"H9"`, `"id":"` + long + `"`, `"region":"US"`, `"region":"` + long + `"`},
		{`"symbol":"VTI"`, `"symbol":"` + long + `"`},
		{`"id":"1"`, `"id":"` + long + `"`},
	} {
		got := importText(t, newMemoryBook(), lineOf(t, "H9", edits...), false)
		if len(got.Faults) != 1 || len(got.Faults[0].Message) > 1000 {
			t.Errorf("import of a line with a megabyte instead of %s = %d faults, the first with %d bytes", edits[0], len(got.Faults), len(fmt.Sprint(got.Faults)))
		}
	}
}

func TestStrictHouseholds(t *testing.T) {
	t.Parallel()
	book := newMemoryBook()
	text := lineOf(t, "H1") + "\n" + lineOf(t, "H2", `"region":"US"`, `"region":"ZZ"`) + "\n"
	got := importText(t, book, text, true)
	if got.Refused == "" || got.Inserted != 0 || len(book.openings) != 0 {
		t.Errorf("strict import = %+v with %d households in the book, want refused and none", got, len(book.openings))
	}
	got = importText(t, book, lineOf(t, "H1"), true)
	if got.Refused != "" || got.Inserted != 1 || len(book.openings) != 1 {
		t.Errorf("strict import of a good file = %+v, want one inserted", got)
	}
}

func TestHouseholdsTwice(t *testing.T) {
	t.Parallel()
	book := newMemoryBook()
	importText(t, book, lineOf(t, "H1")+"\n"+lineOf(t, "H2"), false)
	for _, c := range []struct {
		name, line     string
		unchanged, bad int
		want           market.Code
	}{
		{"the same", lineOf(t, "H1"), 1, 0, ""},
		{"written otherwise", lineOf(t, "H1", `"region":"US"`, `"routing_key":"H1",  "region":"US"`), 1, 0, ""},
		{"other content", lineOf(t, "H1", `"12.34"`, `"12.35"`), 0, 1, codeConflict},
		{"another household's account", lineOf(t, "H3", `"id":"H3-T"`, `"id":"H2-T"`, `"account":"H3-T"`, `"account":"H2-T"`, `"account":"H3-T"`, `"account":"H2-T"`), 0, 1, codeConflict},
		{"twice in one file", lineOf(t, "H1") + "\n" + lineOf(t, "H1"), 1, 1, market.CodeDuplicate},
	} {
		got := importText(t, book, c.line, false)
		var code market.Code
		if len(got.Faults) > 0 {
			code = got.Faults[0].Code
		}
		if got.Inserted != 0 || got.Unchanged != c.unchanged || got.Bad != c.bad || code != c.want {
			t.Errorf("%s: import = %+v with %v, want %d unchanged, %d bad, code %q", c.name, got, got.Faults, c.unchanged, c.bad, c.want)
		}
	}
}

// TestHouseholdImportStops says that a store which fails ends the import, and that the same import completes it.
func TestHouseholdImportStops(t *testing.T) {
	t.Parallel()
	var lines strings.Builder
	const n = 2*storeMax + 10
	for i := range n {
		lines.WriteString(lineOf(t, fmt.Sprintf("H%04d", i)) + "\n")
	}
	book := newMemoryBook()
	book.failAt = 2
	file := HouseholdFile{Name: "h.jsonl", Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(lines.String())), nil }}
	if _, err := ImportHouseholdFile(t.Context(), book, file); err == nil || len(book.openings) != storeMax {
		t.Fatalf("import over a failing store = %v with %d households stored, want an error and %d", err, len(book.openings), storeMax)
	}
	got, err := ImportHouseholdFile(t.Context(), book, file)
	if err != nil || got.Inserted != n-storeMax || got.Unchanged != storeMax {
		t.Errorf("the same import again = %+v, %v, want %d inserted and %d unchanged", got, err, n-storeMax, storeMax)
	}
}

func TestGzippedHouseholds(t *testing.T) {
	t.Parallel()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.WriteString(z, lineOf(t, "H1")+"\n"+lineOf(t, "H2")+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if got := importText(t, newMemoryBook(), packed.String(), false); got.Inserted != 2 || got.Bad != 0 {
		t.Errorf("import of a gzipped file = %+v, want 2 inserted", got)
	}
	cut := packed.String()[:packed.Len()-12]
	if got := importText(t, newMemoryBook(), cut, false); got.Bad != 1 || got.Faults[len(got.Faults)-1].Code != codeBadFile {
		t.Errorf("import of a file that is cut off = %+v with %v, want one bad line, %s", got, got.Faults, codeBadFile)
	}
}

func FuzzDecodeHousehold(f *testing.F) {
	f.Add([]byte(`{"id":"H1","region":"US","as_of":"2020-03-13","owners":[{"id":"A","from":"2010-01-01"}],"accounts":[]}`))
	f.Add([]byte(`{"id":1}`))
	f.Add([]byte(`{"events":[{"shares":"1/0"}]}`))
	opener := NewOpener([]market.Security{{Symbol: "VTI"}})
	f.Fuzz(func(t *testing.T, line []byte) {
		h, err := DecodeHousehold(line)
		if err == nil {
			_, err = opener.Open(h)
		}
		var bad *market.LineError
		if err != nil && !errors.As(err, &bad) {
			t.Errorf("Open(%s) = %v, want a *market.LineError", line, err)
		}
	})
}

func TestInOrder(t *testing.T) {
	t.Parallel()
	const n = 100
	for _, workers := range []int{1, 3, 8} {
		next := 0
		var got []int
		err := InOrder(t.Context(), workers,
			func() (int, bool, error) { next++; return next, next <= n, nil },
			func(i int) (int, error) { return i * i, nil },
			func(_ context.Context, square int) error { got = append(got, square); return nil })
		if err != nil || len(got) != n {
			t.Fatalf("InOrder with %d workers = %d results, %v, want %d", workers, len(got), err, n)
		}
		for i, square := range got {
			if square != (i+1)*(i+1) {
				t.Fatalf("InOrder with %d workers: result %d = %d, want %d", workers, i, square, (i+1)*(i+1))
			}
		}
	}
}

func TestInOrderStops(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	fails := func(at string, is string) error {
		if at == is {
			return broken
		}
		return nil
	}
	for _, at := range []string{"next", "work", "save"} {
		next := 0
		err := InOrder(t.Context(), 2,
			func() (int, bool, error) {
				if next++; next == 10 {
					return 0, false, fails(at, "next")
				}
				return next, true, nil
			},
			func(i int) (int, error) { return i, fails(at, "work") },
			func(context.Context, int) error { return fails(at, "save") })
		if !errors.Is(err, broken) {
			t.Errorf("InOrder with a fault in %s = %v, want %v", at, err, broken)
		}
	}
}
