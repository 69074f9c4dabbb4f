// Package sim makes what Daybreak is tried on without a client's data: worlds of households that
// lived through real prices, and the load of a trading day. The same seed gives the same bytes on
// every machine, with any number of workers.
package sim

import (
	"errors"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// ErrWorld is wrapped where a world cannot be made of what was asked for and imported. Commands
// report it as a fault of usage.
var ErrWorld = errors.New("no such world")

// WorldSettings say which world to make. Rates are in parts per million of the households.
type WorldSettings struct {
	Households int
	Seed       uint64
	To         market.Day // the day of the morning run; the world ends on the evening before
	Years      int        // depth of the history
	FaultsPPM  int        // households with one planted fault
	DirectPPM  int        // households with a direct-indexing account
}

// The bounds of a world.
const (
	householdsMax = 1_000_000
	yearsMax      = 30
)

// Validate returns the first setting that is out of its range, wrapped with ErrWorld, or nil.
func (s WorldSettings) Validate() error {
	for _, f := range []struct {
		name           string
		value, low, up int
	}{
		{"households", s.Households, 1, householdsMax}, {"years", s.Years, 1, yearsMax},
		{"faults", s.FaultsPPM, 0, million}, {"direct-indexing", s.DirectPPM, 0, million},
	} {
		if f.value < f.low || f.value > f.up {
			return fmt.Errorf("%s is %d, and must be from %d to %d: %w", f.name, f.value, f.low, f.up, ErrWorld)
		}
	}
	return nil
}

// World makes households one by one; household i depends on the settings' seed and on i, not on
// how many there are. A World is safe for concurrent use.
type World struct {
	settings WorldSettings
	asOf     market.Day
	tape     *tape
	regions  []*country
	added    *market.History
}

// NewWorld prepares a world over a market. It returns ErrWorld, wrapped with what is missing,
// where the market has no model portfolio of a country that the simulation knows, or no prices
// before the day.
func NewWorld(s WorldSettings, m *market.History) (*World, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	w := &World{settings: s, asOf: lastEvening(s.To)}
	from := s.To.AddYears(-s.Years)
	m = withoutAdditions(m)
	w.added = additions(m, s.To)
	m = &market.History{
		Securities: slices.Concat(m.Securities, w.added.Securities), Prices: slices.Concat(m.Prices, w.added.Prices),
		Rates: m.Rates, Replacements: m.Replacements, Weights: slices.Concat(m.Weights, w.added.Weights),
	}
	var err error
	if w.tape, err = newTape(m, from, w.asOf); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrWorld, err)
	}
	if w.regions, err = countries(m, w.tape); err != nil {
		return nil, err
	}
	if len(w.regions) == 0 {
		return nil, fmt.Errorf("no model portfolio of CA or US with prices before %s: import securities, prices and models first: %w", s.To, ErrWorld)
	}
	return w, nil
}

// AsOf returns the last day that the households lived through.
func (w *World) AsOf() market.Day { return w.asOf }

// Added returns what the world needs beyond the market that it was given: the securities behind
// planted faults with their prices, and direct-indexing models where the market has none.
func (w *World) Added() *market.History { return w.added }

// lastEvening returns the last day before to on which an exchange had a session.
func lastEvening(to market.Day) market.Day {
	last := market.NoDay
	for _, name := range market.Exchanges() {
		if calendar, err := market.Calendar(name); err == nil {
			last = max(last, calendar.PrevSession(to))
		}
	}
	return last
}

// accountPlan says how often people have an account of a type, and how much of their wealth is in
// it. The figures are made up; only their order of size matters.
type accountPlan struct {
	accountType string
	label       string     // in the account's id
	perMille    int        // of owners who have one
	weight      int        // share of the household's wealth, relative to its other accounts
	since       market.Day // when the law began to allow it
}

// country is where a household lives: its accounts, models and what can be bought there.
type country struct {
	region    string
	exchange  string
	home      market.Currency
	namesLots bool // sales in taxable accounts name their lots
	inKind    bool // registered accounts take contributions in kind
	accounts  []accountPlan

	rules    *region.Rules
	models   []*model
	direct   []*model
	stocks   []int // securities that an employer may have given
	delisted int   // a security whose price is weeks old
	unpriced int   // a security without any price
}

// plans are the countries that the simulation knows. FHSA: Income Tax Act s. 146.6, in force since
// 2023-04-01.
func plans() []*country {
	return []*country{
		{region: "CA", exchange: market.XTSE, home: market.CAD, inKind: true, accounts: []accountPlan{
			{"taxable", "TAXABLE", 880, 50, market.NoDay}, {"tfsa", "TFSA", 800, 16, market.NoDay},
			{"rrsp", "RRSP", 700, 34, market.NoDay}, {"fhsa", "FHSA", 250, 4, market.NewDay(2023, 4, 1)},
		}},
		{region: "US", exchange: market.XNYS, home: market.USD, namesLots: true, accounts: []accountPlan{
			{"taxable", "TAXABLE", 940, 55, market.NoDay}, {"ira", "IRA", 650, 34, market.NoDay}, {"roth", "ROTH", 450, 11, market.NoDay},
		}},
	}
}

// countries returns the plans for which the market has models, with all that they need.
func countries(m *market.History, t *tape) ([]*country, error) {
	snapshot := market.NewSnapshot(market.Snapshot{
		Securities: slices.Clone(m.Securities), Replacements: slices.Clone(m.Replacements), Weights: slices.Clone(m.Weights),
	})
	var found []*country
	for _, c := range plans() {
		var err error
		if c.rules, err = region.Load(c.region); err != nil {
			return nil, fmt.Errorf("rules of %s: %w", c.region, err)
		}
		if err := c.addModels(snapshot, t); err != nil {
			return nil, err
		}
		c.addStocks(t)
		if len(c.models) > 0 {
			found = append(found, c)
		}
	}
	return found, nil
}

// model is a model portfolio by numbers of the tape.
type model struct {
	name    string
	sleeves []sleeve
}

type sleeve struct {
	weight  int64 // millionths
	members []int // securities, the first is bought unless sold at a loss
}

// directNamesMin is the number of weighted names of one class from which a model is direct indexing.
const directNamesMin = 10

// addModels takes the region's models whose securities have prices, in order of name.
func (c *country) addModels(snapshot *market.Snapshot, t *tape) error {
	for i, row := range snapshot.Weights {
		if row.Region != c.region || i > 0 && snapshot.Weights[i-1].Model == row.Model {
			continue
		}
		mix, err := portfolio.NewMix(snapshot, row.Model)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWorld, err)
		}
		x, names := modelOf(mix, t)
		switch {
		case !x.isPriced(t):
		case names >= directNamesMin:
			c.direct = append(c.direct, x)
		default:
			c.models = append(c.models, x)
		}
	}
	return nil
}

// modelOf returns a mix by numbers, and how many of its sleeves are single names of a class.
func modelOf(mix *portfolio.Mix, t *tape) (x *model, names int) {
	x = &model{name: mix.Name}
	for _, s := range mix.Sleeves {
		if s.Symbol != "" {
			names++
		}
		members := make([]int, 0, len(s.Members))
		for _, symbol := range s.Members {
			members = append(members, t.number[symbol])
		}
		x.sleeves = append(x.sleeves, sleeve{weight: micros(s.Weight), members: members})
	}
	return x, names
}

// isPriced reports whether the first security of each sleeve has a price on the tape's last day.
func (x *model) isPriced(t *tape) bool {
	last := len(t.days) - 1
	return !slices.ContainsFunc(x.sleeves, func(s sleeve) bool { return t.marks[s.members[0]][last] == 0 })
}

// addStocks finds the home market's stocks that had a price all along, those of any market where
// home has none, and the securities behind planted faults.
func (c *country) addStocks(t *tape) {
	for _, atHome := range []bool{true, false} {
		for number, s := range t.securities {
			if s.Kind == market.Stock && s.AssetClass != addedClass && (s.Exchange == c.exchange || !atHome) && t.isLive(number) {
				c.stocks = append(c.stocks, number)
			}
		}
		if len(c.stocks) > 0 {
			break
		}
	}
	for number, s := range t.securities {
		switch {
		case s.AssetClass != addedClass || s.Exchange != c.exchange:
		case s.Index == delistedIndex:
			c.delisted = number
		case s.Index == unpricedIndex:
			c.unpriced = number
		}
	}
}

// isLive reports whether a security traded at the beginning and on the last days of the tape.
func (t *tape) isLive(number int) bool {
	if t.marks[number][0] == 0 {
		return false
	}
	for d := max(0, len(t.days)-5); d < len(t.days); d++ {
		if t.trades[number][d] {
			return true
		}
	}
	return false
}

// household returns the id of household i.
func household(i int) portfolio.HouseholdID {
	return portfolio.HouseholdID(fmt.Sprintf("H%06d", i+1))
}

// Household makes household i, from 0.
func (w *World) Household(i int) pipeline.HouseholdRecord {
	r := newRandom(w.settings.Seed, i)
	l := newLife(w, r, household(i))
	l.live()
	record := l.record()
	w.carry(&record, i)
	if r.chancePPM(w.settings.FaultsPPM) {
		l.plant(&record)
	}
	return record
}
