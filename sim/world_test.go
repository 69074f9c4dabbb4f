package sim_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/sim"
	sample "daybreak/testdata/market"
)

// readAll decodes a CSV file of the sample market.
func readAll[T any](t *testing.T, name string, decode func([]string) (T, error)) []T {
	t.Helper()
	file, err := sample.Files.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var body io.Reader = file
	if strings.HasSuffix(name, ".gz") {
		if body, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := csv.NewReader(body).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var rows []T
	for _, fields := range lines[1:] {
		row, err := decode(fields)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rows = append(rows, row)
	}
	return rows
}

// sampleHistory returns the sample market, and with dividends a dollar a quarter from each security,
// which the sample has none of.
func sampleHistory(t *testing.T, dividends bool) *market.History {
	t.Helper()
	h := &market.History{
		Securities:   readAll(t, "securities.csv", market.DecodeSecurity),
		Replacements: readAll(t, "replacements.csv", market.DecodeReplacement),
		Weights:      readAll(t, "models.csv", market.DecodeWeight),
		Rates:        readAll(t, "fx.csv.gz", func(f []string) (market.Rate, error) { return market.DecodeRate(f, sample.Source) }),
	}
	for _, q := range readAll(t, "prices.csv.gz", market.DecodePrice) {
		if _, month, day := q.Day.Date(); dividends && month%3 == 0 && day == 15 {
			q.Dividend = money.One
		}
		h.Prices = append(h.Prices, q.Price)
	}
	slices.SortStableFunc(h.Prices, func(a, b market.Price) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
	return h
}

// settings are those of a small world at the day of the demo.
func settings() sim.WorldSettings {
	return sim.WorldSettings{Households: 60, Seed: 7, To: market.MustDay("2020-03-16"), Years: 2, FaultsPPM: 100_000, DirectPPM: 200_000}
}

func newWorld(t *testing.T, s sim.WorldSettings, h *market.History) *sim.World {
	t.Helper()
	w, err := sim.NewWorld(s, h)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func written(t *testing.T, w *sim.World, workers int) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := w.Write(t.Context(), &out, workers, nil); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// market of a world: what was imported and what the world added.
func withAdded(h *market.History, w *sim.World) *market.History {
	added := w.Added()
	return &market.History{
		Securities: slices.Concat(h.Securities, added.Securities), Prices: slices.Concat(h.Prices, added.Prices),
		Weights: slices.Concat(h.Weights, added.Weights), Rates: h.Rates, Replacements: h.Replacements,
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	h := sampleHistory(t, true)
	w := newWorld(t, settings(), h)
	want := written(t, w, 1)
	if got := written(t, newWorld(t, settings(), h), 4); got != want {
		t.Error("4 workers write another world than 1")
	}
	// The market of a second world has what the first one added.
	if got := written(t, newWorld(t, settings(), withAdded(h, w)), 2); got != want {
		t.Error("a world over a market with an earlier world's additions differs from one without")
	}
	fewer := settings()
	fewer.Households = 23
	if got := written(t, newWorld(t, fewer, h), 2); !strings.HasPrefix(want, got) || strings.Count(got, "\n") != 23 {
		t.Error("the first 23 households of a world of 60 differ from a world of 23")
	}
	other := settings()
	other.Seed++
	if got := written(t, newWorld(t, other, h), 2); got == want {
		t.Error("another seed gives the same world")
	}
}

// TestWorldIsConserved opens each household as an import would: positions are what the events leave,
// and the journal is what the accounts have.
func TestWorldIsConserved(t *testing.T) {
	t.Parallel()
	h := sampleHistory(t, true)
	w := newWorld(t, settings(), h)
	opener := pipeline.NewOpener(withAdded(h, w).Securities)
	kinds := map[region.Kind]int{}
	for i := range settings().Households {
		record := w.Household(i)
		for _, e := range record.Events {
			kinds[e.Kind]++
		}
		p, err := opener.Open(record)
		if err != nil {
			t.Fatalf("household %d: %v", i, err)
		}
		balances := map[string]money.Dec{}
		for _, b := range ledger.Balances(p.Moves) {
			balances[b.Account.Owner+" "+b.Commodity] = b.Amount
		}
		for _, a := range p.Household.Accounts {
			for _, s := range a.Positions {
				if got := balances[string(a.ID)+" "+string(s.Symbol)]; got != s.Shares {
					t.Errorf("journal of %s has %s %s, want %s", a.ID, got, s.Symbol, s.Shares)
				}
			}
			for _, c := range a.Cash {
				if got := balances[string(a.ID)+" "+string(c.Currency)]; got != c.Amount {
					t.Errorf("journal of %s has %s %s, want %s", a.ID, got, c.Currency, c.Amount)
				}
				if c.Amount.Sign() < 0 && p.PlantedFault != pipeline.FaultNegativeCash {
					t.Errorf("account %s has %s %s and no planted fault", a.ID, c.Amount, c.Currency)
				}
			}
		}
	}
	for _, kind := range []region.Kind{region.Buy, region.Sell, region.Drip} {
		if kinds[kind] == 0 {
			t.Errorf("no %s among the events %v", kind, kinds)
		}
	}
}

// faultOf returns the code with which the planner parks a household, "" where it plans it.
func faultOf(t *testing.T, p pipeline.Opening, day market.Day, snapshot *market.Snapshot) string {
	t.Helper()
	text, err := pipeline.Decompress(p.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	in := rebalance.Input{Day: day, Household: p.Household}
	if err := json.Unmarshal(text, &in.Tax); err != nil {
		t.Fatal(err)
	}
	_, err = rebalance.Plan(in, snapshot)
	var fault *rebalance.Fault
	if err != nil && !errors.As(err, &fault) {
		t.Fatalf("household %s: %v", p.Household.ID, err)
	}
	if fault == nil {
		return ""
	}
	return fault.Code
}

// TestPlantedFaults plans every household: those with a fault are parked with its code, and no other
// one is.
func TestPlantedFaults(t *testing.T) {
	t.Parallel()
	h := sampleHistory(t, false)
	s := settings()
	s.FaultsPPM = 500_000
	w := newWorld(t, s, h)
	all := withAdded(h, w)
	slices.SortStableFunc(all.Prices, func(a, b market.Price) int { return strings.Compare(string(a.Symbol), string(b.Symbol)) })
	snapshot, err := all.Snapshot(s.To)
	if err != nil {
		t.Fatal(err)
	}
	opener := pipeline.NewOpener(all.Securities)
	planted := map[string]int{}
	for i := range s.Households {
		p, err := opener.Open(w.Household(i))
		if err != nil {
			t.Fatal(err)
		}
		planted[p.PlantedFault]++
		if got := faultOf(t, p, s.To, snapshot); got != p.PlantedFault {
			t.Errorf("household %s is parked with %q, want %q", p.Household.ID, got, p.PlantedFault)
		}
	}
	for _, code := range []string{"", pipeline.FaultNegativeCash, pipeline.FaultStalePrice, pipeline.FaultNoPrice, pipeline.FaultNoModel, pipeline.FaultLotsDiffer} {
		if planted[code] == 0 {
			t.Errorf("no household with fault %q among %v", code, planted)
		}
	}
	s.FaultsPPM = 0
	if healthy := written(t, newWorld(t, s, h), 2); strings.Contains(healthy, "planted_fault") {
		t.Error("a world without faults has one")
	}
}

// TestWorldHasLife looks for what a morning run needs to find: fresh losses, old gains, recent
// purchases in other accounts of a household, every account type when the law allows it.
func TestWorldHasLife(t *testing.T) {
	t.Parallel()
	h := sampleHistory(t, false)
	s := settings()
	s.To, s.Years = market.MustDay("2022-09-30"), 3
	w := newWorld(t, s, h)
	types := map[string]int{}
	var recent, lossSales, whole, withdrawals, restricted, couples, direct int
	for i := range s.Households {
		record := w.Household(i)
		for _, a := range record.Accounts {
			types[record.Region+" "+a.Type]++
			whole += count(a.Policy.WholeShares)
			withdrawals += count(a.Policy.WithdrawalCash.Sign() > 0)
			restricted += count(len(a.Policy.Restricted) > 0)
			direct += count(strings.Contains(string(a.ID), "DIRECT"))
		}
		couples += count(len(record.Owners) == 2)
		for _, e := range record.Events {
			recent += count(e.Kind == region.Buy && e.Day >= s.To-30 && e.AccountType != "taxable")
			lossSales += count(e.Kind == region.Sell && e.AccountType == "taxable")
		}
	}
	for what, n := range map[string]int{
		"CA taxable": types["CA taxable"], "CA tfsa": types["CA tfsa"], "CA rrsp": types["CA rrsp"],
		"US taxable": types["US taxable"], "US ira": types["US ira"], "US roth": types["US roth"],
		"recent purchases in registered accounts": recent, "sales in taxable accounts": lossSales, "accounts of whole shares": whole,
		"withdrawals": withdrawals, "restricted securities": restricted, "couples": couples, "direct indexing": direct,
	} {
		if n == 0 {
			t.Errorf("the world has no %s", what)
		}
	}
	if types["CA fhsa"] != 0 {
		t.Errorf("%d FHSA before the law of 2023", types["CA fhsa"])
	}
}

// flatHistory returns the sample's securities and models over a market where nothing moves.
func flatHistory(t *testing.T, from, to market.Day) *market.History {
	t.Helper()
	h := sampleHistory(t, false)
	h.Prices, h.Rates = nil, nil
	calendar, err := market.Calendar(market.XNYS)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range h.Securities {
		for _, day := range calendar.Sessions(from, to) {
			h.Prices = append(h.Prices, market.Price{Symbol: s.Symbol, Day: day, Close: money.FromInt(50)})
		}
	}
	for day := from; day <= to; day++ {
		h.Rates = append(h.Rates, market.Rate{Base: market.USD, Quote: market.CAD, Day: day, Rate: money.MustParse("1.25"), Source: "test"})
	}
	return h
}

// TestFHSA opens FHSAs from 2023-04-01 on, and none before.
func TestFHSA(t *testing.T) {
	t.Parallel()
	s := settings()
	s.Years = 1
	for _, c := range []struct {
		to     string
		exists bool
	}{{"2023-04-01", false}, {"2023-10-27", true}} {
		s.To = market.MustDay(c.to)
		w := newWorld(t, s, flatHistory(t, s.To.AddYears(-1), s.To))
		n := 0
		for i := range s.Households {
			for _, a := range w.Household(i).Accounts {
				if a.Type != "fhsa" {
					continue
				}
				n++
				if a.Opened < market.MustDay("2023-04-01") {
					t.Errorf("%s was opened on %s", a.ID, a.Opened)
				}
			}
		}
		if (n > 0) != c.exists {
			t.Errorf("a world until %s has %d FHSA, want some: %t", c.to, n, c.exists)
		}
	}
}

// TestRatesOfTaxDays looks at purchases of US securities in Canada: their rate for tax is that of the
// settlement day.
func TestRatesOfTaxDays(t *testing.T) {
	t.Parallel()
	s := settings()
	s.Years, s.FaultsPPM = 1, 0
	h := flatHistory(t, s.To.AddYears(-1), s.To)
	rateOf := func(day market.Day) money.Dec { return money.FromUnits(int64(day), 4) }
	for i := range h.Rates {
		h.Rates[i].Rate = rateOf(h.Rates[i].Day)
	}
	w := newWorld(t, s, h)
	compared := 0
	for i := range s.Households {
		record := w.Household(i)
		for _, e := range record.Events {
			want := money.Zero // at home
			if record.Region == "CA" {
				want = rateOf(min(e.Settle, w.AsOf()))
				compared++
			}
			if e.FX != want {
				t.Fatalf("%s of %s, settled %s, has the rate %s, want %s", e.Kind, e.Day, e.Settle, e.FX, want)
			}
		}
	}
	if compared == 0 {
		t.Error("no Canadian event to look at")
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func TestWorldIsRefused(t *testing.T) {
	t.Parallel()
	h := sampleHistory(t, false)
	for _, c := range []struct {
		name string
		edit func(*sim.WorldSettings, *market.History)
	}{
		{"no households", func(s *sim.WorldSettings, _ *market.History) { s.Households = 0 }},
		{"no years", func(s *sim.WorldSettings, _ *market.History) { s.Years = 0 }},
		{"a rate above one", func(s *sim.WorldSettings, _ *market.History) { s.FaultsPPM = 1_000_001 }},
		{"before the prices", func(s *sim.WorldSettings, _ *market.History) { s.To = market.MustDay("2013-06-03") }},
		{"no models", func(_ *sim.WorldSettings, m *market.History) { m.Weights = nil }},
		{"no prices", func(_ *sim.WorldSettings, m *market.History) { m.Prices = nil }},
	} {
		s, m := settings(), *h
		c.edit(&s, &m)
		if _, err := sim.NewWorld(s, &m); !errors.Is(err, sim.ErrWorld) {
			t.Errorf("%s: NewWorld = %v, want %v", c.name, err, sim.ErrWorld)
		}
	}
}

// TestSchema validates a world's records against the published schema, and compares its fields with
// those of the records.
func TestSchema(t *testing.T) {
	t.Parallel()
	schema, err := jsonschema.NewCompiler().Compile("../docs/household.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(strings.TrimSpace(written(t, newWorld(t, settings(), sampleHistory(t, true)), 2)), "\n") {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Fatalf("household %d: %v", i, err)
		}
	}
	root := schema
	account, event := root.Properties["accounts"].Items2020.Ref, root.Properties["events"].Items2020.Ref
	for _, c := range []struct {
		name   string
		schema *jsonschema.Schema
		record any
	}{
		{"household", root, pipeline.HouseholdRecord{}},
		{"owner", root.Properties["owners"].Items2020.Ref, pipeline.OwnerRecord{}},
		{"account", account, pipeline.AccountRecord{}},
		{"policy", account.Properties["policy"].Ref, portfolio.Policy{}},
		{"cash", account.Properties["cash"].Items2020.Ref, portfolio.Cash{}},
		{"position", account.Properties["positions"].Items2020.Ref, portfolio.Position{}},
		{"event", event, region.Event{}},
		{"lot", event.Properties["lots"].Items2020.Ref, region.LotShares{}},
	} {
		var published []string
		for name := range c.schema.Properties {
			published = append(published, name)
		}
		slices.Sort(published)
		if got := fieldsOf(c.record); fmt.Sprint(got) != fmt.Sprint(published) {
			t.Errorf("%s has the fields %v, its schema %v", c.name, got, published)
		}
	}
}

// fieldsOf returns the JSON names of a struct's fields, sorted.
func fieldsOf(record any) []string {
	var names []string
	for i := range reflect.TypeOf(record).NumField() {
		name, _, _ := strings.Cut(reflect.TypeOf(record).Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
