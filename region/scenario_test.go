package region_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

const scenarioFolder = "../testdata/tax"

// scenario is one file of testdata/tax: a heading, settings, facts and what they must come to.
// testdata/tax/README.md explains the lines.
type scenario struct {
	file     string
	region   string
	settings region.Settings
	scope    region.Scope
	events   []region.Event
	wants    []string
}

// mutation changes a scenario before it is folded, to show that some want notices.
type mutation struct {
	rules    func(text string) string // of the rule file
	settings func(o *region.Settings)
	event    func(e *region.Event) bool // false drops it
}

func readScenarios(t *testing.T) []*scenario {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(scenarioFolder, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	var all []*scenario
	for _, file := range files {
		s, err := readScenario(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func readScenario(file string) (*scenario, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &scenario{file: filepath.Base(file), scope: region.Scope{Identical: map[market.Symbol]string{}}}
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.read(words); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", s.file, i+1, err)
		}
	}
	return s, nil
}

func (s *scenario) read(words []string) error {
	switch words[0] {
	case "region":
		s.region = words[1]
	case "set":
		return s.set(words[1], words[2])
	case "identical":
		for _, w := range words[1:] {
			s.scope.Identical[market.Symbol(w)] = words[1]
		}
	case "outside":
		for _, w := range words[1:] {
			s.scope.Outside = append(s.scope.Outside, portfolio.OwnerID(w))
		}
	case "circle": // circle OWNER FROM TO|-
		o := portfolio.Owner{ID: portfolio.OwnerID(words[1]), From: market.MustDay(words[2]), To: market.NoDay}
		if words[3] != "-" {
			o.To = market.MustDay(words[3])
		}
		s.scope.Circle = append(s.scope.Circle, o)
	case "want":
		s.wants = append(s.wants, strings.Join(words[1:], " "))
	default:
		return s.fact(words)
	}
	return nil
}

func (s *scenario) set(key, value string) error {
	o := &s.settings
	switch key {
	case "alloc":
		o.Alloc = value
	case "b_scope":
		o.BScope = value
	case "orphan":
		o.Orphan = value
	case "acb_timing":
		o.ACBTiming = value
	case "date_basis":
		o.DateBasis = value
	case "lot_method":
		o.LotMethod = value
	case "tacking":
		o.Tacking = value
	case "same_lot_replaces":
		o.SameLotReplaces = value == "true"
	case "ignore_household":
		o.IgnoreHousehold = value == "true"
	case "loss_limit":
		limit := money.MustParse(value)
		o.LossLimit = &limit
	case "carry_st":
		o.CarryIn = &region.Carry{ST: money.MustParse(value)}
	case "carry_lt":
		o.CarryIn = &region.Carry{LT: money.MustParse(value)}
	default:
		return fmt.Errorf("unknown setting %q", key)
	}
	return nil
}

// fact reads DATE VERB SYMBOL [SHARES] and then pairs of a word and its value.
func (s *scenario) fact(words []string) error {
	if len(words) < 3 {
		return errors.New("a fact needs a day, a verb and a symbol")
	}
	day, err := market.ParseDay(words[0])
	if err != nil {
		return err
	}
	e := region.Event{ID: fmt.Sprintf("%s#%d", words[0], len(s.events)), Kind: region.Kind(words[1]), Day: day, Settle: day,
		Seq: int64(len(s.events)), Owner: "me", AccountType: "taxable", Symbol: market.Symbol(words[2])}
	rest := words[3:]
	if len(rest) > 0 && rest[0][0] >= '0' && rest[0][0] <= '9' {
		if n, over, isRatio := strings.Cut(rest[0], ":"); isRatio {
			e.Ratio = money.MustRat(n).Div(money.MustRat(over))
		} else {
			e.Shares = money.MustRat(rest[0])
		}
		rest = rest[1:]
	}
	account := ""
	for ; len(rest) >= 2; rest = rest[2:] {
		if err := s.detail(&e, &account, rest[0], rest[1]); err != nil {
			return err
		}
	}
	if len(rest) > 0 {
		return fmt.Errorf("%q has no value", rest[0])
	}
	if e.Kind == "hold" { // held for years before anything else happens
		e.Kind, e.Seq = region.Buy, int64(len(s.events)-1000)
		if e.Acquired != 0 {
			e.Day, e.Settle, e.Acquired = e.Acquired, e.Acquired, 0
		} else {
			e.Day, e.Settle = e.Day-900, e.Day-900
		}
	}
	if account == "" {
		account = e.AccountType
	}
	e.Account = portfolio.AccountID(string(e.Owner) + "/" + account)
	if e.ToAccountType != "" {
		e.ToAccount = portfolio.AccountID(string(e.Owner) + "/" + e.ToAccountType)
	}
	s.events = append(s.events, e)
	return nil
}

func (s *scenario) detail(e *region.Event, account *string, word, value string) (err error) {
	switch word {
	case "@":
		e.Amount = money.MustParse(value).MulRat(e.Shares)
	case "for", "cost":
		e.Amount, err = money.Parse(value)
	case "each":
		e.PerShare, err = money.Parse(value)
	case "fee":
		e.Commission, err = money.Parse(value)
	case "settles":
		e.Settle, err = market.ParseDay(value)
	case "since":
		e.Acquired, err = market.ParseDay(value)
	case "by":
		e.Owner = portfolio.OwnerID(value)
	case "in":
		e.AccountType, _, _ = strings.Cut(value, "-") // taxable-2 is a second taxable account
		*account = value
	case "to":
		e.ToAccountType = value
	case "order":
		e.Order = value
	case "id":
		e.ID = value
	case "lot":
		name, n, _ := strings.Cut(value, ":")
		e.Lots = append(e.Lots, region.LotShares{Lot: name, Shares: money.MustRat(n)})
	case "currency":
		e.Currency = market.Currency(value)
	case "fx":
		e.FX, err = money.Parse(value)
	case "feefx":
		e.CommissionFX, err = money.Parse(value)
	default:
		return fmt.Errorf("unknown word %q", word)
	}
	return err
}

// run folds the scenario and returns what its wants find wrong.
func (s *scenario) run(m mutation) []string {
	rules, err := s.rules(m)
	if err != nil {
		return []string{err.Error()}
	}
	var events []region.Event
	for _, e := range s.events {
		if m.event == nil || m.event(&e) {
			events = append(events, e)
		}
	}
	var faults []string
	for _, want := range s.wants {
		c := &checker{rules: rules, scope: s.scope, events: events, words: strings.Fields(want)}
		if err := c.check(); err != nil {
			faults = append(faults, fmt.Sprintf("want %s: %v", want, err))
		}
	}
	return faults
}

func (s *scenario) rules(m mutation) (*region.Rules, error) {
	text, err := os.ReadFile("rules/" + strings.ToLower(s.region) + ".json")
	if err != nil {
		return nil, err
	}
	if m.rules != nil {
		text = []byte(m.rules(string(text)))
	}
	rules, err := region.Parse(text)
	if err != nil {
		return nil, err
	}
	o := s.settings
	if m.settings != nil {
		m.settings(&o)
	}
	return rules.With(o)
}

// checker checks one want line.
type checker struct {
	rules  *region.Rules
	scope  region.Scope
	events []region.Event
	words  []string
}

func (c *checker) check() error {
	b, err := region.Fold(c.rules, c.scope, region.Checkpoint{}, c.events)
	if err != nil {
		return err
	}
	switch {
	case len(c.words[0]) == 4:
		return c.year(b)
	case c.words[0] == "lot":
		return c.lot(b)
	case slices.Contains(c.words, "held"):
		return c.held()
	}
	return c.sale(b)
}

// value returns the word after a word, and whether it is there.
func (c *checker) value(word string) (string, bool) {
	i := slices.Index(c.words, word)
	if i < 0 || i+1 >= len(c.words) {
		return "", false
	}
	return c.words[i+1], true
}

func (c *checker) owner() portfolio.OwnerID {
	if o, ok := c.value("by"); ok {
		return portfolio.OwnerID(o)
	}
	return "me"
}

// compare checks every amount that the line names.
func (c *checker) compare(got map[string]money.Dec) error {
	for i := 0; i+1 < len(c.words); i++ {
		have, ok := got[c.words[i]]
		if !ok {
			continue
		}
		want, err := money.Parse(c.words[i+1])
		if err != nil {
			return err
		}
		if have.Sub(want).Abs().Cmp(money.MustParse("0.005")) >= 0 {
			return fmt.Errorf("%s = %s, want %s", c.words[i], have, want)
		}
	}
	return nil
}

// sale checks DATE SYMBOL …: the sum of the sales of that trade day.
func (c *checker) sale(b *region.Book) error {
	day, symbol := market.MustDay(c.words[0]), market.Symbol(c.words[1])
	traded := map[string]bool{}
	for _, e := range c.events {
		traded[e.ID] = e.Day == day && e.Symbol == symbol && e.Owner == c.owner()
	}
	got := map[string]money.Dec{"loss": {}, "gross": {}, "gain": {}, "denied": {}, "lost": {}, "proceeds": {}, "basis": {}, "oversold": {},
		"ST": {}, "LT": {}}
	found := 0
	for _, s := range b.Sales() {
		if !traded[s.Event] {
			continue
		}
		found++
		for key, amount := range map[string]money.Dec{"loss": s.Gross.Neg(), "gross": s.Gross, "gain": s.Gain, "denied": s.Denied,
			"lost": s.Lost, "proceeds": s.Proceeds, "basis": s.Cost, "oversold": s.Oversold.Dec()} {
			got[key] = got[key].Add(amount)
		}
		for _, p := range s.Parts {
			got[string(p.Term)] = got[string(p.Term)].Add(p.Gain)
		}
		if err := c.state(&s); err != nil {
			return err
		}
		for _, d := range s.To {
			name := string(d.Account)
			if name == "" {
				name = string(d.Owner)
			}
			got["to-"+name] = d.Amount
		}
	}
	if found == 0 {
		return errors.New("no such sale")
	}
	for i, w := range c.words {
		if _, ok := got[w]; !ok && strings.HasPrefix(w, "to-") && i+1 < len(c.words) {
			got[w] = money.Zero
		}
	}
	return c.compare(got)
}

func (c *checker) state(s *region.SaleOutcome) error {
	for _, state := range []region.State{region.Provisional, region.Final} {
		on, ok := c.value(string(state))
		if ok && s.State(market.MustDay(on)) != state {
			return fmt.Errorf("on %s it is %s, want %s", on, s.State(market.MustDay(on)), state)
		}
	}
	return nil
}

// held checks DATE SYMBOL held N cost X, at the end of the day, with all that is known later.
func (c *checker) held() error {
	day, symbol := market.MustDay(c.words[0]), market.Symbol(c.words[1])
	account, isNamed := c.value("in")
	got := map[string]money.Dec{"held": {}, "cost": {}}
	if c.rules.Mechanism == "lots" || isNamed {
		if !isNamed {
			account = "taxable"
		}
		upTo := slices.DeleteFunc(slices.Clone(c.events), func(e region.Event) bool { return e.Day > day })
		b, err := region.Fold(c.rules, c.scope, region.Checkpoint{}, upTo)
		if err != nil {
			return err
		}
		for _, h := range b.Holdings(portfolio.AccountID(string(c.owner()) + "/" + account)) {
			if h.Symbol == symbol {
				got["held"], got["cost"] = got["held"].Add(h.Shares.Dec()), got["cost"].Add(h.Cost)
			}
		}
		return c.compare(got)
	}
	b, err := region.Trace(c.rules, c.scope, c.events)
	if err != nil {
		return err
	}
	days := map[string]market.Day{}
	for _, e := range c.events {
		if c.scope.Property(e.Symbol) == c.scope.Property(symbol) {
			days[e.ID] = e.Day
		}
	}
	for _, a := range b.After() {
		if d, ok := days[a.Event]; ok && d <= day && a.Owner == c.owner() && a.Account == "" {
			got["held"], got["cost"] = a.Shares.Dec(), a.Cost
		}
	}
	return c.compare(got)
}

// lot checks lot NAME pieces SHARES/BASIS/START …, in their order; none: the lot is gone.
func (c *checker) lot(b *region.Book) error {
	var got []string
	for _, s := range b.Seats() {
		for _, h := range b.Holdings(s.Account) {
			if h.Lot == c.words[1] && h.Symbol == s.Symbol {
				got = append(got, fmt.Sprintf("%s/%s/%s", h.Shares, h.Cost.Round(2), h.Start))
			}
		}
	}
	if want := c.words[3:]; !slices.Equal(got, want) {
		return fmt.Errorf("pieces %v, want %v", got, want)
	}
	return nil
}

// year checks YEAR …: the totals of an owner, or netted over all.
func (c *checker) year(b *region.Book) error {
	var year int
	if _, err := fmt.Sscan(c.words[0], &year); err != nil {
		return err
	}
	y := b.Year(c.owner(), year)
	var carry region.Carry
	if in := c.rules.Settings.CarryIn; in != nil {
		carry = *in
	}
	var net region.YearNet
	for _, t := range b.Years() {
		if t.Year <= year && t.Owner == c.owner() {
			net = c.rules.Net(t.Year, t.ST, t.LT, carry)
			carry = net.CarryOut
		}
	}
	return c.compare(map[string]money.Dec{"gains": y.Gains, "losses": y.Losses, "denied": y.Denied, "lost": y.Lost, "ST": y.ST, "LT": y.LT,
		"net": y.Net(), "deduction": net.Deduction, "carry_st": carry.ST, "carry_lt": carry.LT})
}

func TestScenarios(t *testing.T) {
	all := readScenarios(t)
	if len(all) < 60 {
		t.Errorf("%d scenarios, want 60 or more", len(all))
	}
	for _, s := range all {
		if len(s.wants) == 0 {
			t.Errorf("%s wants nothing", s.file)
		}
		for _, fault := range s.run(mutation{}) {
			t.Errorf("%s: %s", s.file, fault)
		}
	}
}

// TestMutationsAreNoticed changes one rule, setting or reading at a time: a scenario must notice.
func TestMutationsAreNoticed(t *testing.T) {
	replace := func(old, new string) mutation {
		return mutation{rules: func(text string) string { return strings.ReplaceAll(text, old, new) }}
	}
	days := func(n int) mutation { return mutation{settings: func(o *region.Settings) { o.WindowDays = &n }} }
	limit := money.MustParse("1500")
	mutations := map[string]mutation{
		"window of 29 days":                 days(29),
		"window of 31 days":                 days(31),
		"trade for settlement days":         replace(`"date_basis": "settle"`, `"date_basis": "trade"`),
		"settlement for trade days":         replace(`"date_basis": "trade"`, `"date_basis": "settle"`),
		"each owner alone":                  {settings: func(o *region.Settings) { o.IgnoreHousehold = true }},
		"denied to holdings":                replace(`"alloc": "substituted"`, `"alloc": "holdings"`),
		"acquirers' shares only":            replace(`"b_scope": "all"`, `"b_scope": "acquirers"`),
		"orphans denied":                    replace(`"orphan": "allow"`, `"orphan": "deny"`),
		"denied loss joins at the sale":     replace(`"acb_timing": "acquisition"`, `"acb_timing": "sale"`),
		"last in first out":                 replace(`"lot_method": "fifo"`, `"lot_method": "lifo"`),
		"dearest first":                     replace(`"lot_method": "fifo"`, `"lot_method": "hifo"`),
		"start of the lot sold":             replace(`"tacking": "add_days"`, `"tacking": "original_date"`),
		"same lot replaces":                 {settings: func(o *region.Settings) { o.SameLotReplaces = true }},
		"IRA as taxable":                    replace(`{"name": "ira", "sheltered": true}`, `{"name": "ira", "sheltered": false}`),
		"Roth as taxable":                   replace(`{"name": "roth", "sheltered": true}`, `{"name": "roth", "sheltered": false}`),
		"RRSP as taxable":                   replace(`{"name": "rrsp", "sheltered": true}`, `{"name": "rrsp", "sheltered": false}`),
		"TFSA as taxable":                   replace(`{"name": "tfsa", "sheltered": true}`, `{"name": "tfsa", "sheltered": false}`),
		"taxable as sheltered":              replace(`{"name": "taxable", "sheltered": false}`, `{"name": "taxable", "sheltered": true}`),
		"no terms":                          replace(`"long_after_years": 1`, `"long_after_years": 0`),
		"long after two years":              replace(`"long_after_years": 1`, `"long_after_years": 2`),
		"contribution loss allowed":         replace(`"contribution_loss": "nil"`, `"contribution_loss": "allowed"`),
		"deduction of 1,500":                {settings: func(o *region.Settings) { o.LossLimit = &limit }},
		"year from January":                 replace(`"year_start": "04-06"`, `"year_start": "01-01"`),
		"year from April":                   replace(`"year_start": "01-01"`, `"year_start": "04-06"`),
		"pool for matching":                 replace(`"mechanism": "matched"`, `"mechanism": "average"`),
		"splits by property":                replace(`"split_scope": "symbol"`, `"split_scope": "property"`),
		"splits ignored":                    {event: func(e *region.Event) bool { return e.Kind != region.Split }},
		"reinvested dividends ignored":      {event: func(e *region.Event) bool { return e.Kind != region.Drip }},
		"returns of capital ignored":        {event: func(e *region.Event) bool { return e.Kind != region.ROC }},
		"reinvested gains ignored":          {event: func(e *region.Event) bool { return e.Kind != region.RICG }},
		"reinvested income ignored":         {event: func(e *region.Event) bool { return e.Kind != region.RIDiv }},
		"gains distributions ignored":       {event: func(e *region.Event) bool { return e.Kind != region.CGDiv }},
		"commissions ignored":               {event: func(e *region.Event) bool { e.Commission = money.Zero; return true }},
		"exchange rates ignored":            {event: func(e *region.Event) bool { e.FX = money.One; return true }},
		"commission at the price's rate":    {event: func(e *region.Event) bool { e.CommissionFX = money.Zero; return true }},
		"sheltered purchases ignored":       {event: func(e *region.Event) bool { return e.AccountType == "taxable" }},
		"named lots ignored":                {event: func(e *region.Event) bool { e.Lots = nil; return true }},
		"orders ignored":                    {event: func(e *region.Event) bool { e.Order = ""; return true }},
		"contribution as transfer at cost":  {event: func(e *region.Event) bool { return e.Kind != region.Contribute }},
		"one account for all of a taxpayer": {event: func(e *region.Event) bool { e.Account = portfolio.AccountID(e.Owner); return true }},
	}
	all := readScenarios(t)
	for name, m := range mutations {
		noticed := slices.ContainsFunc(all, func(s *scenario) bool { return len(s.run(m)) > 0 })
		if !noticed {
			t.Errorf("mutation %q: no scenario notices", name)
		}
	}
}
