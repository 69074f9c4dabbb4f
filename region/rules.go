package region

import (
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"

	"daybreak/market"
	"daybreak/money"
)

//go:embed rules/*.json
var files embed.FS

var (
	// ErrNoRegion is wrapped with the name where there is no rule file of that name. Callers park
	// the household on it.
	ErrNoRegion = errors.New("unknown region")
	// ErrSetting is wrapped with the key and value where a setting is not one of those that the
	// rules allow.
	ErrSetting = errors.New("unknown setting")
)

// Rules say everything about a region. They are read from one file, never changed afterwards, and
// may be shared.
type Rules struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	From     market.Day      `json:"from"` // first tax day that the file is made for
	Home     market.Currency `json:"home"`
	Sources  []Source        `json:"sources"`
	Accounts []AccountType   `json:"accounts"`
	// YearStart is the month and day on which a tax year begins, as "01-01".
	YearStart string `json:"year_start"`
	// Mechanism says what a sale uses up: "average" (one pool for each owner and property), "lots",
	// or "matched" (same day, then the days after, then the pool).
	Mechanism string `json:"mechanism"`
	// SplitScope is "property" where all symbols of an identical group are one class of shares, and
	// "symbol" where a group may hold funds of several issuers.
	SplitScope string `json:"split_scope"`
	// LongAfterYears is the number of years of holding past which a gain is long-term; 0: no such
	// distinction.
	LongAfterYears int `json:"long_after_years"`
	// ContributionLoss is "nil" where a loss on shares contributed in kind to a sheltered account is
	// gone, and "allowed" where it counts like any other.
	ContributionLoss string       `json:"contribution_loss"`
	Settings         Settings     `json:"settings"` // all of them, with their defaults
	Allowed          []Choice     `json:"allowed"`  // values that a setting may take
	Netting          Netting      `json:"netting"`
	Harvest          Harvest      `json:"harvest"`
	Thresholds       []Threshold  `json:"thresholds"`
	Rates            []DatedRates `json:"rates"`

	fingerprint string
	yearDay     int // month × 100 + day of YearStart
	window      market.Day
	bySettle    bool
}

// Source is where a rule comes from.
type Source struct {
	Rule string `json:"rule"`
	Law  string `json:"law"`
	Note string `json:"note,omitempty"`
}

// AccountType is a type of account that the region knows. The purchases of a sheltered one count
// for the loss rules, but it has neither cost nor gain, and a loss denied for it is gone.
type AccountType struct {
	Name      string `json:"name"`
	Sheltered bool   `json:"sheltered"`
}

// Choice lists what a setting may be.
type Choice struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
	Harsh  string   `json:"harsh"` // the value for a check before trading
}

// Settings are the readings on which sources differ, and the measures of the loss rule. In an
// override the zero value of a field, and a nil pointer, mean: as in the rule file.
type Settings struct {
	Alloc           string     `json:"alloc,omitempty"`             // which held shares take a denied loss: substituted, holdings
	BScope          string     `json:"b_scope,omitempty"`           // whose shares at the end of the window count: all, acquirers
	Orphan          string     `json:"orphan,omitempty"`            // no acquirer still holds, another does: allow, deny
	ACBTiming       string     `json:"acb_timing,omitempty"`        // when a denied loss joins the cost: acquisition, sale
	DateBasis       string     `json:"date_basis,omitempty"`        // settle, trade
	LotMethod       string     `json:"lot_method,omitempty"`        // where a sale names no lots: fifo, named (as fifo), hifo, lifo
	Tacking         string     `json:"tacking,omitempty"`           // add_days, original_date
	SameLotReplaces bool       `json:"same_lot_replaces,omitempty"` // the rest of a lot replaces what was sold of it
	IgnoreHousehold bool       `json:"ignore_household,omitempty"`  // each owner stands alone
	WindowDays      *int       `json:"window_days,omitempty"`       // days before and after a sale
	CarryIn         *Carry     `json:"carryover_in,omitempty"`      // losses of earlier years, positive
	LossLimit       *money.Dec `json:"loss_limit,omitempty"`        // net loss of a year that counts against other income
}

// Carry is a loss brought forward, as positive amounts of each term; a region without terms uses ST.
type Carry struct {
	ST money.Dec `json:"st"`
	LT money.Dec `json:"lt"`
}

// Netting says how the gains and losses of a year meet.
type Netting struct {
	CarryBackYears int       `json:"carry_back_years"` // years back to which a net loss may go
	LossLimit      money.Dec `json:"loss_limit"`       // net loss of a year deductible from other income
	// TaxUnit says whose results meet: "household", all owners, or "owner", each alone.
	TaxUnit string `json:"tax_unit"`
}

// Harvest are the estimates by which the value of a loss is weighed against its cost. They are a
// firm's to set; docs/harvest.md says what the ones in the file rest on.
type Harvest struct {
	Waits   money.Dec `json:"waits"`    // worth of a loss that waits for gains, share of what it would be worth now
	WayBack money.Dec `json:"way_back"` // share of replacements that are exchanged back for what was sold
	// LostRise × LostChance of the proceeds is the gain that the replacement's shorter holding period
	// is expected to make short-term: how far it rises in the time, and how often it is sold then.
	LostRise   money.Dec `json:"lost_rise"`
	LostChance money.Dec `json:"lost_chance"`
}

// Threshold is the least loss worth harvesting, as a share of cost and in home currency, for a term
// ("" for all) and from a month and day on ("" for the whole year), and the least that it must be
// worth after costs.
type Threshold struct {
	Term   string    `json:"term,omitempty"`
	From   string    `json:"from,omitempty"`
	Share  money.Dec `json:"share"`
	Amount money.Dec `json:"amount"`
	Value  money.Dec `json:"value"` // tax saved less all costs, home currency
}

// DatedRates are the rates of tax years from From on, until the next entry.
type DatedRates struct {
	From      int       `json:"from"`
	Inclusion money.Dec `json:"inclusion"` // share of a gain that is taxed
	Short     money.Dec `json:"short"`     // rate on a short-term gain, or on any where terms don't matter
	Long      money.Dec `json:"long"`      // rate on a long-term gain
	Source    string    `json:"source"`
}

// loaded reads each embedded file once, when it is first asked for.
var loaded = func() map[string]func() (*Rules, error) {
	all := map[string]func() (*Rules, error){}
	for _, name := range Names() {
		all[name] = sync.OnceValues(func() (*Rules, error) {
			text, err := files.ReadFile("rules/" + strings.ToLower(name) + ".json")
			if err != nil {
				return nil, err
			}
			return Parse(text)
		})
	}
	return all
}()

// Load returns the embedded rules of a region, such as "CA", or ErrNoRegion, wrapped with the name.
// All callers share them.
func Load(name string) (*Rules, error) {
	rules, ok := loaded[name]
	if !ok {
		return nil, fmt.Errorf("%q: %w", name, ErrNoRegion)
	}
	return rules()
}

// Parse reads a rule file and checks that it is whole.
func Parse(text []byte) (*Rules, error) {
	r := new(Rules)
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("rule file: %w", err)
	}
	if err := r.derive(); err != nil {
		return nil, fmt.Errorf("rules of %s: %w", r.Name, err)
	}
	return r, nil
}

// With returns the rules with the settings of o in place of their own, or ErrSetting.
func (r *Rules) With(o Settings) (*Rules, error) {
	c := *r
	s := &c.Settings
	for _, f := range []struct{ to, from *string }{
		{&s.Alloc, &o.Alloc}, {&s.BScope, &o.BScope}, {&s.Orphan, &o.Orphan}, {&s.ACBTiming, &o.ACBTiming},
		{&s.DateBasis, &o.DateBasis}, {&s.LotMethod, &o.LotMethod}, {&s.Tacking, &o.Tacking},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	s.SameLotReplaces = s.SameLotReplaces || o.SameLotReplaces
	s.IgnoreHousehold = s.IgnoreHousehold || o.IgnoreHousehold
	if o.WindowDays != nil {
		s.WindowDays = o.WindowDays
	}
	if o.CarryIn != nil {
		s.CarryIn = o.CarryIn
	}
	if o.LossLimit != nil {
		s.LossLimit = o.LossLimit
		c.Netting.LossLimit = *o.LossLimit
	}
	return &c, c.derive()
}

// Harshest returns the rules with the value of each open reading that denies most, for a check
// before trading; the books use the defaults.
func (r *Rules) Harshest() *Rules {
	c := *r
	for _, a := range r.Allowed {
		if field := c.Settings.field(a.Key); field != nil && a.Harsh != "" {
			*field = a.Harsh
		}
	}
	if err := c.derive(); err != nil {
		panic(fmt.Errorf("rules of %s: harshest: %w", r.Name, err)) // the file is checked by Load
	}
	return &c
}

func (s *Settings) field(key string) *string {
	switch key {
	case "alloc":
		return &s.Alloc
	case "b_scope":
		return &s.BScope
	case "orphan":
		return &s.Orphan
	case "acb_timing":
		return &s.ACBTiming
	case "date_basis":
		return &s.DateBasis
	case "lot_method":
		return &s.LotMethod
	case "tacking":
		return &s.Tacking
	}
	return nil
}

// derive checks the rules and sets what is computed from them.
func (r *Rules) derive() error {
	for _, a := range r.Allowed {
		field := r.Settings.field(a.Key)
		if field == nil || !slices.Contains(a.Values, *field) {
			return fmt.Errorf("%s: %w", a.Key, ErrSetting)
		}
	}
	if _, ok := mechanisms[r.Mechanism]; !ok {
		return fmt.Errorf("mechanism %q: %w", r.Mechanism, ErrSetting)
	}
	if r.SplitScope != "property" && (r.SplitScope != "symbol" || r.Mechanism != "lots") {
		return fmt.Errorf("split_scope %q with %s: %w", r.SplitScope, r.Mechanism, ErrSetting)
	}
	if r.Netting.TaxUnit != HouseholdUnit && r.Netting.TaxUnit != OwnerUnit {
		return fmt.Errorf("tax_unit %q: %w", r.Netting.TaxUnit, ErrSetting)
	}
	if r.Settings.WindowDays == nil || *r.Settings.WindowDays < 0 {
		return fmt.Errorf("window_days: %w", ErrSetting)
	}
	month, day, _ := strings.Cut(r.YearStart, "-")
	m, err1 := strconv.Atoi(month)
	d, err2 := strconv.Atoi(day)
	if err1 != nil || err2 != nil {
		return fmt.Errorf("year_start %q: %w", r.YearStart, ErrSetting)
	}
	r.yearDay = m*100 + d
	r.window = market.Day(*r.Settings.WindowDays)
	r.bySettle = r.Settings.DateBasis == "settle"
	text, err := json.Marshal(r.Settings)
	if err != nil {
		return err
	}
	h := fnv.New64a()
	h.Write(text)
	r.fingerprint = r.Name + "/" + r.Version + "/" + strconv.FormatUint(h.Sum64(), 36)
	return nil
}

// Fingerprint names the rules with their settings. A checkpoint of another one is void.
func (r *Rules) Fingerprint() string { return r.fingerprint }

// Shelters reports whether an account of that type has neither cost nor gain; false for a type
// that the region does not know.
func (r *Rules) Shelters(accountType string) bool {
	i := slices.IndexFunc(r.Accounts, func(a AccountType) bool { return a.Name == accountType })
	return i >= 0 && r.Accounts[i].Sheltered
}

// Known reports whether the region knows accounts of that type.
func (r *Rules) Known(accountType string) bool {
	return slices.ContainsFunc(r.Accounts, func(a AccountType) bool { return a.Name == accountType })
}

// TaxDay returns the day on which a trade counts for tax: settlement or trade day, as the region's
// date basis says. A settlement day that is absent or before the trade counts as the trade day.
func (r *Rules) TaxDay(trade, settle market.Day) market.Day {
	if r.bySettle && settle > trade {
		return settle
	}
	return trade
}

// WindowDays returns the days before and after a sale within which a purchase denies its loss.
func (r *Rules) WindowDays() int { return int(r.window) }

// TaxYear returns the tax year of a tax day, named by the calendar year in which it begins.
func (r *Rules) TaxYear(d market.Day) int {
	year, month, day := d.Date()
	if month*100+day < r.yearDay {
		return year - 1
	}
	return year
}

// TermOf returns the term of a gain on shares whose holding period began on start, sold on a tax day;
// "" where the region makes no difference.
func (r *Rules) TermOf(start, day market.Day) Term { return r.term(start, day) }

// RatesOf returns the rates of a tax year: those of the last entry that begins in or before it,
// and zero where there is none.
func (r *Rules) RatesOf(year int) DatedRates {
	var found DatedRates
	for _, e := range r.Rates {
		if e.From <= year && e.From >= found.From {
			found = e
		}
	}
	return found
}

// Threshold returns the least loss worth harvesting for a term on a tax day: of the entries for the
// term or for all, and for that time of the year, the last one in the file; zero where none applies.
func (r *Rules) Threshold(term Term, day market.Day) Threshold {
	_, month, dayOfMonth := day.Date()
	now := fmt.Sprintf("%02d-%02d", month, dayOfMonth)
	var found Threshold
	for _, t := range r.Thresholds {
		if (t.Term == "" || t.Term == string(term)) && t.From <= now {
			found = t
		}
	}
	return found
}
