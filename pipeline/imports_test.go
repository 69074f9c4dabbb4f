package pipeline

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"daybreak/market"
	"daybreak/money"
	sample "daybreak/testdata/market"
)

// memoryStore is an ImportStore in maps, by the keys of the tables.
type memoryStore struct {
	securities   map[market.Symbol]market.Security
	prices       map[priceKey]market.Quote
	adjustments  map[market.Symbol]market.Adjustment
	rates        map[string]market.Rate
	replacements map[string]market.Replacement
	weights      map[string]market.Weight
	fails        error // what every save returns
}

type priceKey struct {
	symbol market.Symbol
	day    market.Day
}

func newMemoryStore(symbols ...market.Symbol) *memoryStore {
	m := &memoryStore{securities: map[market.Symbol]market.Security{}, prices: map[priceKey]market.Quote{},
		adjustments: map[market.Symbol]market.Adjustment{}, rates: map[string]market.Rate{},
		replacements: map[string]market.Replacement{}, weights: map[string]market.Weight{}}
	for _, s := range symbols {
		security := market.Security{Symbol: s, Name: string(s), Currency: market.USD, Exchange: market.XNYS, Kind: market.ETF,
			AssetClass: "us_equity", IdenticalGroup: "security:" + string(s)}
		if strings.HasSuffix(string(s), ".TO") {
			security.Currency, security.Exchange = market.CAD, market.XTSE
		}
		m.securities[s] = security
	}
	return m
}

func (m *memoryStore) Securities(context.Context) ([]market.Security, error) {
	return slices.SortedFunc(maps.Values(m.securities), func(a, b market.Security) int { return cmp.Compare(a.Symbol, b.Symbol) }), nil
}

func (m *memoryStore) Adjustments(context.Context) (map[market.Symbol]market.Adjustment, error) {
	return maps.Clone(m.adjustments), nil
}

func (m *memoryStore) ClosesBefore(_ context.Context, days map[market.Symbol]market.Day) (map[market.Symbol]market.Price, error) {
	last := map[market.Symbol]market.Price{}
	for k, q := range m.prices {
		if day, asked := days[k.symbol]; asked && k.day < day && (last[k.symbol].Close.IsZero() || k.day > last[k.symbol].Day) {
			last[k.symbol] = q.Price
		}
	}
	return last, nil
}

// upsert puts rows into a table and counts what that did.
func upsert[K, V comparable](m *memoryStore, table map[K]V, rows []V, key func(V) K) (Saved, error) {
	var n Saved
	if m.fails != nil {
		return n, m.fails
	}
	for _, r := range rows {
		switch old, known := table[key(r)]; {
		case !known:
			n.Inserted++
		case old != r:
			n.Changed++
		default:
			n.Unchanged++
		}
		table[key(r)] = r
	}
	return n, nil
}

func (m *memoryStore) SaveSecurities(_ context.Context, rows []market.Security) (Saved, error) {
	return upsert(m, m.securities, rows, func(s market.Security) market.Symbol { return s.Symbol })
}

func (m *memoryStore) SavePrices(_ context.Context, rows []market.Quote, a market.Adjustment) (Saved, error) {
	for _, q := range rows {
		m.adjustments[q.Symbol] = a
	}
	return upsert(m, m.prices, rows, func(q market.Quote) priceKey { return priceKey{q.Symbol, q.Day} })
}

func (m *memoryStore) SaveRates(_ context.Context, rows []market.Rate) (Saved, error) {
	return upsert(m, m.rates, rows, func(r market.Rate) string { return fmt.Sprint(r.Base, r.Quote, r.Day) })
}

func (m *memoryStore) SaveReplacements(_ context.Context, rows []market.Replacement) (Saved, error) {
	return upsert(m, m.replacements, rows, func(r market.Replacement) string { return fmt.Sprint(r.Symbol, "/", r.Replacement) })
}

func (m *memoryStore) SaveWeights(_ context.Context, rows []market.Weight) (Saved, error) {
	return upsert(m, m.weights, rows, func(w market.Weight) string { return fmt.Sprint(w.Model, "/", w.AssetClass, "/", w.Symbol) })
}

// rowsHeld counts what a store holds beside securities.
func (m *memoryStore) rowsHeld() int {
	return len(m.prices) + len(m.rates) + len(m.replacements) + len(m.weights)
}

func mustImport(t *testing.T, m *memoryStore, f MarketFile) ImportSummary {
	t.Helper()
	if f.Name == "" {
		f.Name = "file.csv"
	}
	s, err := Import(t.Context(), m, f)
	if err != nil {
		t.Fatalf("Import(%s) = %v", f.Name, err)
	}
	return s
}

// faults returns the faults of a summary as "line CODE".
func faultsOf(s ImportSummary) string {
	var all []string
	for _, f := range s.Faults {
		all = append(all, fmt.Sprintf("%d %s", f.Line, f.Code))
	}
	return strings.Join(all, ", ")
}

const priceHeader = "date,symbol,currency,close,dividend\n"

func priceFile(lines ...string) MarketFile {
	return MarketFile{Kind: ImportPrices, Adjustment: market.SplitAdjusted, Body: strings.NewReader(priceHeader + strings.Join(lines, "\n") + "\n")}
}

func TestImportLeavesBadLinesOut(t *testing.T) {
	t.Parallel()
	rates := "date,base,quote,rate\n2020-03-16,USD,CAD,1.39\n2020-03-16,USD,CAD,1.40\n2020-03-16,USD,USD,1\n"
	replacements := "symbol,replacement,rank\nVTI,SCHB,1\nVTI,VTI,2\nVTI,ZZZ,3\nZZZ,VTI,1\nVTI,TWIN,2\n"
	securities := "symbol,name,currency,exchange,kind,asset_class,index,identical_group\n" +
		"NEW,\"Gold, hedged\",USD,XNYS,etf,gold,,security:NEW\nVTI,VTI,CAD,XTSE,etf,us_equity,,security:VTI\nNEW,again,USD,XNYS,etf,gold,,security:NEW\n"
	models := "model,region,asset_class,symbol,rank,weight\ngood,US,a,VTI,0,1\ngood,US,a,SCHB,1,0\nlow,US,a,VTI,0,0.9\n" +
		"lacks,US,a,VTI,0,1\nlacks,US,a,ZZZ,1,0\n"
	for _, c := range []struct {
		name       string
		file       MarketFile
		want       string
		kept, held int
	}{
		{"prices", priceFile("2020-03-16,VTI,USD,119.27,0", "2020-03-16,VTI,USD,NaN,0", "2020-03-17,VTI,USD,1e400,0", "2020-03-17,VTI,USD,-1,0",
			"2020-03-17,ZZZ,USD,1,0", "2020-04-10,VTI,USD,1,0", "2020-02-30,VTI,USD,1,0", "2020-03-17,VTI,CAD,1,0", "2020-03-16,VTI,USD,119.27,0",
			"2020-03-17,VTI,USD", "2020-03-17,\"VTI,USD,1,0", "2020-03-17,VTI,USD,120,0"),
			"3 BAD_NUMBER, 4 BAD_NUMBER, 5 NOT_POSITIVE, 6 UNKNOWN_SECURITY, 7 NO_SESSION, 8 BAD_DATE, 9 OTHER_CURRENCY, 10 DUPLICATE, 11 BAD_FIELDS, 12 BAD_QUOTES", 2, 2},
		{"a long line", priceFile("2020-03-16,VTI,USD,119.27,"+strings.Repeat("0", lineMax), "2020-03-17,VTI,USD,120,0"), "2 LONG_LINE", 1, 1},
		{"rates", MarketFile{Kind: ImportFX, Source: "ECB", Body: strings.NewReader(rates)}, "3 DUPLICATE, 4 OTHER_CURRENCY", 1, 1},
		{"replacements", MarketFile{Kind: ImportReplacements, Body: strings.NewReader(replacements)},
			"3 IDENTICAL, 4 UNKNOWN_SECURITY, 5 UNKNOWN_SECURITY, 6 IDENTICAL", 1, 1},
		{"securities", MarketFile{Kind: ImportSecurities, Body: strings.NewReader(securities)}, "3 OTHER_CURRENCY, 4 DUPLICATE", 1, 0},
		{"models", MarketFile{Kind: ImportModels, Body: strings.NewReader(models)}, "4 BAD_MODEL, 5 BAD_MODEL, 6 UNKNOWN_SECURITY", 2, 2},
	} {
		m := newMemoryStore("VTI", "SCHB", "TWIN")
		twin := m.securities["TWIN"]
		twin.IdenticalGroup = "security:VTI"
		m.securities["TWIN"] = twin
		s := mustImport(t, m, c.file)
		if got := faultsOf(s); got != c.want {
			t.Errorf("%s: faults = %s, want %s", c.name, got, c.want)
		}
		if bad := strings.Count(c.want, ",") + 1; s.Bad != bad || s.Inserted != c.kept || s.Lines != bad+c.kept || m.rowsHeld() != c.held {
			t.Errorf("%s: summary %+v with %d rows held, want %d bad, %d inserted, %d held", c.name, s, m.rowsHeld(), bad, c.kept, c.held)
		}
	}
}

func TestImportStrict(t *testing.T) {
	t.Parallel()
	m := newMemoryStore("VTI")
	f := priceFile("2020-03-16,VTI,USD,119.27,0", "2020-03-17,VTI,USD,NaN,0")
	f.Strict = true
	if s := mustImport(t, m, f); s.Refused == "" || s.Inserted != 0 || s.Bad != 1 || m.rowsHeld() != 0 {
		t.Errorf("strict import of a bad line: %+v with %d rows held, want it refused", s, m.rowsHeld())
	}
	f = priceFile("2020-03-16,VTI,USD,119.27,0", "2020-03-17,VTI,USD,200,0")
	f.Strict = true
	if s := mustImport(t, m, f); s.Refused != "" || s.Inserted != 2 || s.Flagged != 1 {
		t.Errorf("strict import of a flagged line: %+v, want it written", s)
	}
}

// failingReader gives what it has and then an error other than the end.
type failingReader struct{ r io.Reader }

func (f failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("device gone")
	}
	return n, err
}

func gzipped(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

func TestImportRefusesFiles(t *testing.T) {
	t.Parallel()
	good := priceHeader + "2020-03-16,VTI,USD,119.27,0\n"
	packed := gzipped(good)
	for _, c := range []struct {
		name string
		body io.Reader
		want string // "" where the file is good
		says string
	}{
		{"plain", strings.NewReader(good), "", ""},
		{"without a last line end", strings.NewReader(strings.TrimSuffix(good, "\n")), "", ""},
		{"lines of Windows", strings.NewReader("\ufeff" + strings.ReplaceAll(good, "\n", "\r\n") + "\r\n"), "", ""},
		{"gzipped", bytes.NewReader(packed), "", ""},
		{"empty", strings.NewReader(""), "1 EMPTY_FILE", "want the header date,symbol,currency,close,dividend"},
		{"empty lines", strings.NewReader("\n\n"), "1 EMPTY_FILE", "is empty"},
		{"header alone", strings.NewReader(priceHeader), "1 EMPTY_FILE", "no lines after the header"},
		{"no header", strings.NewReader("2020-03-16,VTI,USD,119.27,0\n"), "1 BAD_HEADER", `header is "2020-03-16,VTI,USD,119.27,0", want date,symbol`},
		{"columns in another order", strings.NewReader("symbol,date,currency,close,dividend\n"), "1 BAD_HEADER", "want date,symbol,currency,close,dividend"},
		{"of another kind", strings.NewReader("date,base,quote,rate\n"), "1 BAD_HEADER", "`daybreak import fx`"},
		{"not text", bytes.NewReader([]byte("PK\x03\x04\x00\x00\xff\xff")), "1 BAD_HEADER", `"PK\x03\x04`},
		{"cut gzip", bytes.NewReader(packed[:len(packed)-6]), "3 BAD_FILE", "unexpected EOF"},
		{"damaged gzip", bytes.NewReader(append([]byte{0x1f, 0x8b, 9}, packed[3:]...)), "1 BAD_FILE", "gzip"},
		{"unreadable half way", failingReader{strings.NewReader(good)}, "3 BAD_FILE", "device gone"},
		{"unreadable", failingReader{strings.NewReader("")}, "1 BAD_FILE", "device gone"},
	} {
		m := newMemoryStore("VTI")
		s := mustImport(t, m, MarketFile{Kind: ImportPrices, Adjustment: market.Raw, Body: c.body})
		if got := faultsOf(s); got != c.want || !strings.Contains(s.Refused, c.says) || (s.Refused == "") != (c.want == "") {
			t.Errorf("%s: faults = %q, refused %q, want %q, %q", c.name, got, s.Refused, c.want, c.says)
		}
		if want := map[bool]int{true: 1, false: 0}[c.want == ""]; m.rowsHeld() != want {
			t.Errorf("%s: %d rows held, want %d", c.name, m.rowsHeld(), want)
		}
	}
}

func TestImportTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	m := newMemoryStore("VTI", "XIC.TO")
	lines := []string{"2020-03-16,VTI,USD,119.27,0", "2020-03-16,XIC.TO,CAD,18.5,0.1"}
	if s := mustImport(t, m, priceFile(lines...)); s.Inserted != 2 {
		t.Errorf("first import: %+v, want 2 inserted", s)
	}
	if s := mustImport(t, m, priceFile(lines...)); s.Inserted != 0 || s.Changed != 0 || s.Unchanged != 2 {
		t.Errorf("second import: %+v, want 2 unchanged", s)
	}
	lines[0] = "2020-03-16,VTI,USD,119.28,0"
	if s := mustImport(t, m, priceFile(lines...)); s.Changed != 1 || s.Unchanged != 1 {
		t.Errorf("import of a correction: %+v, want 1 changed, 1 unchanged", s)
	}
}

func TestImportKeepsOneAdjustment(t *testing.T) {
	t.Parallel()
	m := newMemoryStore("VTI", "SCHB")
	mustImport(t, m, priceFile("2020-03-16,VTI,USD,119.27,0"))
	f := priceFile("2020-03-17,VTI,USD,119.27,0", "2020-03-17,SCHB,USD,57,0")
	f.Adjustment = market.DividendAdjusted
	if s := mustImport(t, m, f); faultsOf(s) != "2 OTHER_ADJUSTMENT" || s.Inserted != 1 {
		t.Errorf("another adjustment: %s, %+v, want line 2 left out", faultsOf(s), s)
	}
}

func TestImportFlagsMoves(t *testing.T) {
	t.Parallel()
	m := newMemoryStore("VTI")
	mustImport(t, m, priceFile("2020-03-13,VTI,USD,100,0"))
	s := mustImport(t, m, priceFile("2020-03-18,VTI,USD,80,0", "2020-03-16,VTI,USD,59,0", "2020-03-17,VTI,USD,61,0"))
	if got, want := faultsOf(s), "3 MOVE"; got != want || s.Inserted != 3 || s.Flagged != 1 || s.Bad != 0 || !s.Faults[0].Warning {
		t.Errorf("faults = %s, %+v, want %s, and all lines kept", got, s, want)
	}
}

func TestImportStops(t *testing.T) {
	t.Parallel()
	m := newMemoryStore("VTI")
	m.fails = errors.New("database gone")
	f := priceFile("2020-03-16,VTI,USD,119.27,0")
	if _, err := Import(t.Context(), m, f); !errors.Is(err, m.fails) {
		t.Errorf("Import into a store that fails = %v, want %v", err, m.fails)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Import(ctx, newMemoryStore("VTI"), priceFile("2020-03-16,VTI,USD,119.27,0")); !errors.Is(err, context.Canceled) {
		t.Errorf("Import with a canceled context = %v, want %v", err, context.Canceled)
	}
}

func TestImportBoundsFaults(t *testing.T) {
	t.Parallel()
	lines := slices.Repeat([]string{"2020-03-16,VTI,USD,NaN,0"}, ImportFaultsMax+1)
	if s := mustImport(t, newMemoryStore("VTI"), priceFile(lines...)); s.Bad != ImportFaultsMax+1 || len(s.Faults) != ImportFaultsMax {
		t.Errorf("%d bad, %d faults, want %d and %d", s.Bad, len(s.Faults), ImportFaultsMax+1, ImportFaultsMax)
	}
}

// The sample market must import without a bad line, every model hold together, and the day of the
// demo have a close of all 25 securities.
func TestSampleMarketImports(t *testing.T) {
	t.Parallel()
	m := newMemoryStore()
	results, err := ImportFolder(t.Context(), m, sample.Files, MarketFile{Adjustment: sample.Adjustment, Source: sample.Source})
	if err != nil {
		t.Fatal(err)
	}
	lines := map[ImportKind]int{ImportSecurities: 25, ImportPrices: 56_600, ImportFX: 4_612, ImportReplacements: 24, ImportModels: 102}
	for _, s := range results {
		if s.Lines != lines[s.Kind] || s.Inserted != s.Lines || s.Bad != 0 {
			t.Errorf("%s: %+v, want %d lines inserted", s.File, s, lines[s.Kind])
		}
		if s.Kind == ImportPrices && faultsOf(s) != "14503 MOVE" {
			t.Errorf("%s: faults %s, want the one move of AMD", s.File, faultsOf(s))
		}
	}
	if len(results) != len(lines) {
		t.Errorf("%d files, want %d", len(results), len(lines))
	}
	day := market.MustDay("2020-03-16")
	for symbol := range m.securities {
		if q, ok := m.prices[priceKey{symbol, day}]; !ok || q.Close.Sign() <= 0 {
			t.Errorf("close of %s on %s = %v, want one", symbol, day, q)
		}
	}
	if got, want := m.rates[fmt.Sprint(market.USD, market.CAD, day)].Rate, money.MustParse("1.392758"); got != want {
		t.Errorf("USD/CAD on %s = %s, want %s", day, got, want)
	}
}

func TestImportFolderStops(t *testing.T) {
	t.Parallel()
	m := newMemoryStore()
	files := fstest.MapFS{"securities.csv": {Data: []byte(strings.Join(market.SecurityHeader, ",") + "\n")}}
	if results, err := ImportFolder(t.Context(), m, files, MarketFile{}); len(results) != 1 || err == nil || !strings.Contains(err.Error(), "no lines after the header") {
		t.Errorf("ImportFolder with an empty file = %v, %v, want it to stop there", results, err)
	}
	if _, err := ImportFolder(t.Context(), m, fstest.MapFS{}, MarketFile{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ImportFolder without files = %v, want %v", err, fs.ErrNotExist)
	}
}

func FuzzImport(f *testing.F) {
	f.Add([]byte(priceHeader + "2020-03-16,VTI,USD,119.27,0\n"))
	f.Add(gzipped(priceHeader + "2020-03-16,\"VTI\",USD,119.27,0\r\n"))
	f.Add([]byte("date,base,quote,rate\n2020-03-16,USD,CAD,1.39\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, kind := range []ImportKind{ImportPrices, ImportFX, ImportModels} {
			m := newMemoryStore("VTI")
			s, err := Import(t.Context(), m, MarketFile{Name: "f", Kind: kind, Adjustment: market.Raw, Source: "ECB", Body: bytes.NewReader(body)})
			if err != nil {
				t.Fatal(err)
			}
			if s.Refused != "" && m.rowsHeld() != 0 || s.Refused == "" && s.Inserted+s.Changed+s.Unchanged+s.Bad != s.Lines {
				t.Errorf("%s: %+v with %d rows held", kind, s, m.rowsHeld())
			}
		}
	})
}
