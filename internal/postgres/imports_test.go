package postgres_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	sample "daybreak/testdata/market"
)

// importSample imports the sample market and returns what became of each file.
func importSample(t *testing.T, db *postgres.DB) []pipeline.ImportSummary {
	t.Helper()
	results, err := pipeline.ImportFolder(t.Context(), db, sample.Files, pipeline.MarketFile{Adjustment: sample.Adjustment, Source: sample.Source})
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// importText imports lines of a file of its kind and returns its counts.
func importText(t *testing.T, db *postgres.DB, kind pipeline.ImportKind, lines ...string) string {
	t.Helper()
	headers := map[pipeline.ImportKind][]string{pipeline.ImportSecurities: market.SecurityHeader, pipeline.ImportPrices: market.PriceHeader,
		pipeline.ImportFX: market.RateHeader, pipeline.ImportReplacements: market.ReplacementHeader, pipeline.ImportModels: market.WeightHeader}
	body := strings.Join(headers[kind], ",") + "\n" + strings.Join(lines, "\n") + "\n"
	s, err := pipeline.Import(t.Context(), db, pipeline.MarketFile{Name: "file.csv", Kind: kind, Body: strings.NewReader(body),
		Adjustment: market.DividendAdjusted, Source: "ECB"})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d inserted, %d changed, %d unchanged, %d removed, %d bad", s.Inserted, s.Changed, s.Unchanged, s.Removed, s.Bad)
}

func TestImportSampleTwice(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	for _, s := range importSample(t, db) {
		if s.Inserted != s.Lines || s.Changed+s.Unchanged+s.Bad != 0 {
			t.Errorf("first import of %s: %+v, want all lines inserted", s.Kind, s)
		}
	}
	before := markets(t, db)
	for _, s := range importSample(t, db) {
		if s.Unchanged != s.Lines || s.Inserted+s.Changed+s.Removed+s.Bad != 0 {
			t.Errorf("second import of %s: %+v, want all lines unchanged", s.Kind, s)
		}
	}
	if after := markets(t, db); !bytes.Equal(before, after) {
		t.Errorf("the second import changed the market")
	}
}

// markets returns the JSON of snapshots around the day of the demo.
func markets(t *testing.T, db *postgres.DB) []byte {
	t.Helper()
	var all []byte
	for day := market.MustDay("2020-03-13"); day <= market.MustDay("2020-03-17"); day++ {
		s, err := db.MarketSnapshot(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	return all
}

// A snapshot that the database makes is, byte for byte, the one that the core makes of the history.
func TestSnapshotIsThatOfTheHistory(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	importSample(t, db)
	h, err := db.MarketHistory(t.Context(), market.MustDay("2030-12-31"))
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Prices) != 56_600 || len(h.Rates) != 4_612 {
		t.Fatalf("history has %d prices and %d rates, want 56600 and 4612", len(h.Prices), len(h.Rates))
	}
	for _, text := range []string{"2013-12-31", "2014-01-01", "2014-01-02", "2020-03-15", "2020-03-16", "2022-12-28", "2023-01-12", "2023-01-13", "2023-01-14", "2026-01-01"} {
		day := market.MustDay(text)
		got, err := db.MarketSnapshot(t.Context(), day)
		if err != nil {
			t.Fatal(err)
		}
		want, err := h.Snapshot(day)
		if err != nil {
			t.Fatal(err)
		}
		gotText, _ := json.Marshal(got)
		wantText, _ := json.Marshal(want)
		if !bytes.Equal(gotText, wantText) {
			t.Errorf("MarketSnapshot(%s) has %d prices, %d rates; the history's has %d, %d; or they differ within",
				day, len(got.Prices), len(got.Rates), len(want.Prices), len(want.Rates))
		}
	}
}

func TestMarketHistoryEnds(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	importSample(t, db)
	day := market.MustDay("2020-03-16")
	h, err := db.MarketHistory(t.Context(), day)
	if err != nil {
		t.Fatal(err)
	}
	closes := h.Closes("KO")
	if last := closes[len(closes)-1]; last.Day != day {
		t.Errorf("last close of KO in the history until %s is of %s", day, last.Day)
	}
	if h, err = db.MarketHistory(t.Context(), day-1); err != nil || len(h.Closes("KO")) != len(closes)-1 {
		t.Errorf("history until the day before has %d closes of KO, %v, want %d", len(h.Closes("KO")), err, len(closes)-1)
	}
}

func TestImportChangesAndRemoves(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	importSample(t, db)
	for _, c := range []struct {
		name  string
		kind  pipeline.ImportKind
		lines []string
		want  string
	}{
		{"a corrected close", pipeline.ImportPrices, []string{"2020-03-16,KO,USD,38.5,0", "2020-03-13,KO,USD,NaN,0"},
			"0 inserted, 1 changed, 0 unchanged, 0 removed, 1 bad"},
		{"again", pipeline.ImportPrices, []string{"2020-03-16,KO,USD,38.50,0"}, "0 inserted, 0 changed, 1 unchanged, 0 removed, 0 bad"},
		{"a new day", pipeline.ImportPrices, []string{"2023-01-03,KO,USD,60,0"}, "1 inserted, 0 changed, 0 unchanged, 0 removed, 0 bad"},
		{"a corrected rate", pipeline.ImportFX, []string{"2020-03-16,USD,CAD,1.4", "2023-01-03,USD,CAD,1.36"}, "1 inserted, 1 changed, 0 unchanged, 0 removed, 0 bad"},
		{"a new name", pipeline.ImportSecurities, []string{"KO,The Coca-Cola Company,USD,XNYS,stock,us_stock,,security:KO"}, "0 inserted, 1 changed, 0 unchanged, 0 removed, 0 bad"},
		{"a shorter list", pipeline.ImportReplacements, []string{"XOM,CVX,2"}, "0 inserted, 1 changed, 0 unchanged, 1 removed, 0 bad"},
		{"another model", pipeline.ImportModels, []string{"us-factor-growth,US,us_growth,QUAL,0,1", "us-factor-growth,US,us_growth,MTUM,1,0"},
			"0 inserted, 2 changed, 0 unchanged, 3 removed, 0 bad"},
		{"a model that does not add up", pipeline.ImportModels, []string{"us-factor-growth,US,us_growth,QUAL,0,0.5"}, "0 inserted, 0 changed, 0 unchanged, 0 removed, 1 bad"},
	} {
		if got := importText(t, db, c.kind, c.lines...); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	s, err := db.MarketSnapshot(t.Context(), market.MustDay("2020-03-16"))
	if err != nil {
		t.Fatal(err)
	}
	if rows := s.Model("us-factor-growth"); len(rows) != 2 || rows[0].Symbol != "QUAL" || rows[0].Weight != money.One {
		t.Errorf("model after its import = %v, want QUAL alone with weight, and MTUM", rows)
	}
	if rows := s.Model("us-factor-balanced"); len(rows) != 5 {
		t.Errorf("model that the file does not name has %d rows, want its 5", len(rows))
	}
	if rows := s.ReplacementsOf("CVX"); len(rows) != 2 {
		t.Errorf("replacements of CVX, which the file does not name = %v, want its 2", rows)
	}
	if p, err := s.Price("KO"); err != nil || p.Close != money.MustParse("38.5") {
		t.Errorf("Price(KO) = %v, %v, want 38.5", p, err)
	}
}

// Two imports that declare different adjustments at the same time both pass the check before they
// write; the second to write must fail and leave nothing.
func TestSavePricesRefusesMixedAdjustments(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	importText(t, db, pipeline.ImportSecurities, "KO,Coca-Cola,USD,XNYS,stock,us_stock,,security:KO")
	quote := func(day, value string) []market.Quote {
		return []market.Quote{{Price: market.Price{Symbol: "KO", Day: market.MustDay(day), Close: money.MustParse(value)}, Currency: market.USD}}
	}
	if _, err := db.SavePrices(t.Context(), quote("2020-03-16", "38"), market.SplitAdjusted); err != nil {
		t.Fatal(err)
	}
	if _, err := db.SavePrices(t.Context(), quote("2020-03-17", "39"), market.Raw); err == nil || !strings.Contains(err.Error(), "two adjustments") {
		t.Errorf("SavePrices of another adjustment = %v, want an error that says so", err)
	}
	h, err := db.MarketHistory(t.Context(), market.MustDay("2020-03-31"))
	if err != nil || len(h.Prices) != 1 {
		t.Errorf("history has %d closes, %v, want 1", len(h.Prices), err)
	}
	if a, err := db.Adjustments(t.Context()); err != nil || len(a) != 1 || a["KO"] != market.SplitAdjusted {
		t.Errorf("Adjustments = %v, %v, want KO adjusted for splits", a, err)
	}
}

func TestClosesBefore(t *testing.T) {
	t.Parallel()
	db := pgtest.DB(t)
	importSample(t, db)
	closes, err := db.ClosesBefore(t.Context(), map[market.Symbol]market.Day{
		"KO": market.MustDay("2020-03-16"), "PEP": market.MustDay("2014-01-02"), "NONE": market.MustDay("2020-03-16")})
	if err != nil || len(closes) != 1 || closes["KO"].Day != market.MustDay("2020-03-13") {
		t.Errorf("ClosesBefore = %v, %v, want the close of KO on 2020-03-13 alone", closes, err)
	}
}
