package sim_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/sim"
	sample "daybreak/testdata/market"
)

var evening = time.Date(2020, 3, 14, 0, 0, 0, 0, time.UTC)

// bookTables are the tables that an opening fills, with what orders their rows; a book_exception's
// id is left out.
var bookTables = map[string]string{
	"household":       "SELECT h::text FROM household h ORDER BY id",
	"household_owner": "SELECT o::text FROM household_owner o ORDER BY household, id",
	"account":         "SELECT a::text FROM account a ORDER BY id",
	"planted_fault":   "SELECT f::text FROM planted_fault f ORDER BY household",
	"cash":            "SELECT c::text FROM cash c ORDER BY account, currency",
	"position":        "SELECT p::text FROM position p ORDER BY account, symbol",
	"journal":         "SELECT j::text FROM journal j ORDER BY household, version, line",
	"tax_history":     "SELECT t::text FROM tax_history t ORDER BY household",
	"tax_checkpoint":  "SELECT t::text FROM tax_checkpoint t ORDER BY household, version",
	"book_exception":  "SELECT (household, account, code, subject, detail, owner, opened, closed)::text FROM book_exception ORDER BY account, code, subject",
}

func rowsOf(t *testing.T, db *postgres.DB) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for table, query := range bookTables {
		rows, err := db.Pool().Query(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		if all[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func compareBooks(t *testing.T, what string, got, want map[string][]string) {
	t.Helper()
	for table := range bookTables {
		if len(want[table]) == 0 {
			t.Errorf("%s: no row of %s to compare", what, table)
		}
		if fmt.Sprint(got[table]) != fmt.Sprint(want[table]) {
			t.Errorf("%s: %s has %d rows, want %d, or their content differs", what, table, len(got[table]), len(want[table]))
		}
	}
}

// bookWithMarket returns a database that has the sample market.
func bookWithMarket(t *testing.T) *postgres.DB {
	t.Helper()
	db := pgtest.DB(t)
	for _, file := range []struct {
		name string
		kind pipeline.ImportKind
	}{
		{"securities.csv", pipeline.ImportSecurities}, {"replacements.csv", pipeline.ImportReplacements},
		{"models.csv", pipeline.ImportModels}, {"prices.csv.gz", pipeline.ImportPrices}, {"fx.csv.gz", pipeline.ImportFX},
	} {
		body, err := sample.Files.Open(file.name)
		if err != nil {
			t.Fatal(err)
		}
		summary, err := pipeline.Import(t.Context(), db, pipeline.MarketFile{
			Name: file.name, Kind: file.kind, Body: body, Adjustment: sample.Adjustment, Source: sample.Source,
		})
		if err != nil || summary.Bad > 0 {
			t.Fatalf("import of %s: %v, %v", file.name, err, summary.Faults)
		}
	}
	return db
}

func worldOver(t *testing.T, db *postgres.DB, s sim.WorldSettings) *sim.World {
	t.Helper()
	history, err := db.MarketHistory(t.Context(), s.To)
	if err != nil {
		t.Fatal(err)
	}
	return newWorld(t, s, history)
}

func build(t *testing.T, db *postgres.DB, w *sim.World, workers int) sim.WorldSummary {
	t.Helper()
	summary, err := w.Build(t.Context(), db, workers, evening, nil)
	if err != nil {
		t.Fatal(err)
	}
	return summary
}

// TestWorldInTheBook makes a world directly, with 1 and with 4 workers, and by a file that is
// imported: the book must have the same rows. Making or importing it again changes nothing.
func TestWorldInTheBook(t *testing.T) {
	t.Parallel()
	direct, parallel, imported := bookWithMarket(t), bookWithMarket(t), bookWithMarket(t)
	s := settings()
	s.FaultsPPM = 400_000
	summary := build(t, direct, worldOver(t, direct, s), 1)
	want := rowsOf(t, direct)
	if summary.Households != s.Households || summary.Unchanged != 0 || summary.Accounts != len(want["account"]) || summary.Owners != len(want["household_owner"]) {
		t.Errorf("summary = %+v, want %d households and the book's rows", summary, s.Households)
	}
	build(t, parallel, worldOver(t, parallel, s), 4)
	compareBooks(t, "4 workers", rowsOf(t, parallel), want)

	w := worldOver(t, imported, s)
	text := written(t, w, 2)
	saveAdded(t, imported, w.Added())
	for _, unchanged := range []int{0, s.Households} {
		got, err := pipeline.ImportHouseholdFile(t.Context(), imported, pipeline.HouseholdFile{
			Name: "world.jsonl", Now: evening, Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(text)), nil },
		})
		if err != nil || got.Bad > 0 || got.Unchanged != unchanged || got.Inserted != s.Households-unchanged {
			t.Fatalf("import = %+v, %v, %v, want %d unchanged and the others inserted", got, err, got.Faults, unchanged)
		}
		compareBooks(t, "import", rowsOf(t, imported), want)
	}
	if again := build(t, direct, worldOver(t, direct, s), 2); again.Unchanged != s.Households {
		t.Errorf("the same world again = %+v, want %d unchanged", again, s.Households)
	}
	compareBooks(t, "the same world again", rowsOf(t, direct), want)
}

// saveAdded stores what `sim world --out` writes beside the households.
func saveAdded(t *testing.T, db *postgres.DB, added *market.History) {
	t.Helper()
	if _, err := db.SaveSecurities(t.Context(), added.Securities); err != nil {
		t.Fatal(err)
	}
	if len(added.Weights) == 0 {
		return
	}
	if _, err := db.SaveWeights(t.Context(), added.Weights); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherWorldIsAConflict(t *testing.T) {
	t.Parallel()
	db := bookWithMarket(t)
	s := settings()
	s.Households = 5
	build(t, db, worldOver(t, db, s), 2)
	want := rowsOf(t, db)
	s.Seed, s.Households = s.Seed+1, 20
	if _, err := worldOver(t, db, s).Build(t.Context(), db, 2, evening, nil); !errors.Is(err, pipeline.ErrState) {
		t.Errorf("another world in the same book = %v, want %v", err, pipeline.ErrState)
	}
	got := rowsOf(t, db)
	for table := range bookTables {
		if fmt.Sprint(got[table]) != fmt.Sprint(want[table]) {
			t.Errorf("another world changed %s", table)
		}
	}
}
