package rebalance_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// scenario is a file of testdata/plan: one household, the market of one day, and what is wanted.
// testdata/plan/README.md describes its lines.
type scenario struct {
	in       rebalance.Input
	market   market.Snapshot
	wants    []string // "side account symbol shares code", for each trade
	hasWants bool
	reasons  []want
	skips    []want
	locks    []string
	fault    string
	figures  []want
	answers  []want
	codes    []want
	sides    []want // what a plan by the optimiser buys, sells or leaves, without its quantity
	proofs   []want // of certificates
	planner  rebalance.Planner
	noRisk   []market.Symbol // have no closes for the risk model; all for none at all
}

// want is a wish about one account: its words and, as key=value, its numbers.
type want struct {
	account portfolio.AccountID
	words   []string
	numbers map[string]string
}

func TestScenarios(t *testing.T) {
	var files []string
	for _, folder := range []string{"plan", "optimiser"} {
		found, err := filepath.Glob("../testdata/" + folder + "/*.txt")
		if err != nil || len(found) == 0 {
			t.Fatalf("Glob(%s) = %v, %v, want scenarios", folder, found, err)
		}
		files = append(files, found...)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			readScenario(t, file).run(t)
		})
	}
}

// TestScenariosByOptimiser puts the scenarios of the rules to the optimiser. What it trades is its own
// business, but faults are the same, everything that holds of every plan holds, and what is barred,
// for whichever reason, is not traded.
func TestScenariosByOptimiser(t *testing.T) {
	files, err := filepath.Glob("../testdata/plan/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v, want scenarios", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			s := readScenario(t, file)
			m := market.NewSnapshot(s.market)
			in := withRisk(s.in, m)
			plan, err := rebalance.Plan(in, m)
			var fault *rebalance.Fault
			if errors.As(err, &fault) || s.fault != "" {
				if fault == nil || strings.TrimSpace(fault.Code+" "+string(fault.Account)) != s.fault {
					t.Errorf("Plan = fault %v, want %q", fault, s.fault)
				}
				return
			}
			if plan.Planner != rebalance.Optimum {
				t.Fatalf("Plan = by %s because %s, want the optimiser", plan.Planner, plan.Because)
			}
			checkPlan(t, in, m, plan)
			for _, w := range s.skips {
				tr, ok := tradeIn(accountOf(t, plan, w.account), market.Symbol(w.words[0]))
				if ok && isAgainst(w.words[1], tr) {
					t.Errorf("account %s: %s %s %s although %s", w.account, tr.Reason.Code, tr.Side, tr.Symbol, w.words[1])
				}
			}
		})
	}
}

// isAgainst reports whether a trade does what the code of a law, a lock or a policy forbids. What a
// plan bars itself by what else it trades is not asked for: another plan trades other things.
func isAgainst(code string, tr rebalance.Trade) bool {
	switch code {
	case string(tlh.BarredPurchase), string(tlh.BarredOpenOrder), string(tlh.BarredDRIP), rebalance.HarvestOff:
		return tr.Reason.Code == rebalance.Harvest
	case string(tlh.Locked), string(tlh.BarredLossSale):
		return tr.Side == portfolio.Buy
	}
	return slices.Contains([]string{rebalance.Restricted, rebalance.MarketClosed, rebalance.OpenOrderLive}, code)
}

func readScenario(t *testing.T, file string) *scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseScenario(string(text))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return s
}

func (s *scenario) run(t *testing.T) {
	t.Helper()
	m := market.NewSnapshot(s.market)
	in := s.in
	if s.planner != "" && !slices.Contains(s.noRisk, allSecurities) {
		in = withRisk(in, m, s.noRisk...)
	}
	plan, err := rebalance.Plan(in, m)
	var fault *rebalance.Fault
	if errors.As(err, &fault) {
		if got := strings.TrimSpace(fault.Code + " " + string(fault.Account)); got != s.fault {
			t.Errorf("Plan = fault %v, want %q", fault, s.fault)
		}
		return
	}
	if s.fault != "" {
		t.Errorf("Plan = no fault, want %s", s.fault)
	}
	checkPlan(t, in, m, plan)
	if s.planner != "" && plan.Planner != s.planner {
		t.Errorf("Plan = by %s because %s, want by %s", plan.Planner, plan.Because, s.planner)
	}
	s.compareTrades(t, plan)
	s.compareSides(t, plan)
	s.compareLocks(t, plan)
	for _, w := range s.reasons {
		a := accountOf(t, plan, w.account)
		if !matches(a.Reason, w, "") {
			t.Errorf("account %s: reason = %+v, want %v %v", w.account, a.Reason, w.words, w.numbers)
		}
	}
	for _, w := range s.skips {
		a := accountOf(t, plan, w.account)
		symbol := market.Symbol(w.words[0])
		ok := slices.ContainsFunc(a.Skipped, func(r rebalance.Reason) bool {
			return matches(r, want{words: w.words[1:], numbers: w.numbers}, symbol)
		})
		if !ok {
			t.Errorf("account %s: skipped = %+v, want %v %v", w.account, a.Skipped, w.words, w.numbers)
		}
	}
	for _, w := range s.answers {
		s.compareAnswer(t, accountOf(t, plan, w.account), w)
	}
	for _, w := range s.codes {
		tr, _ := tradeIn(accountOf(t, plan, w.account), market.Symbol(w.words[0]))
		if !matches(tr.Reason, want{words: w.words[1:], numbers: w.numbers}, tr.Symbol) {
			t.Errorf("account %s: reason of the trade in %s = %+v, want %v %v", w.account, w.words[0], tr.Reason, w.words[1:], w.numbers)
		}
	}
	for _, w := range s.figures {
		a := accountOf(t, plan, w.account)
		got := map[string]money.Dec{
			"harvested": a.Harvested, "avoided": a.DeniedAvoided, "worth": a.TaxValue, "value": a.Value,
			"cash": a.CashAfter, "drift": a.DriftAfter, "drift_before": a.DriftBefore,
		}
		for key, number := range w.numbers {
			if got[key].Round(6) != money.MustParse(number) {
				t.Errorf("account %s: %s = %s, want %s", w.account, key, got[key], number)
			}
		}
	}
}

// allSecurities stands for a market without a risk model.
const allSecurities = "*"

// compareSides looks at which way a plan trades, and at its certificates.
func (s *scenario) compareSides(t *testing.T, plan rebalance.HouseholdPlan) {
	t.Helper()
	for _, w := range s.sides {
		tr, ok := tradeIn(accountOf(t, plan, w.account), market.Symbol(w.words[1]))
		got := "leaves"
		if ok {
			got = string(tr.Side) + "s"
		}
		if got != w.words[0] || len(w.words) > 2 && tr.Reason.Code != w.words[2] {
			t.Errorf("account %s %s %s (%s %v), want %v", w.account, got, w.words[1], tr.Shares, tr.Reason, w.words)
		}
	}
	for _, w := range s.proofs {
		c := accountOf(t, plan, w.account).Certificate
		if c == nil {
			t.Errorf("account %s has no certificate", w.account)
			continue
		}
		got := map[string]string{"exception": c.Exception, "mode": string(c.Mode), "relaxed": strings.Join(c.Relaxed, ","), "stand_ins": fmt.Sprint(c.StandIns)}
		for key, v := range w.numbers {
			if got[key] != v {
				t.Errorf("account %s: %s of its certificate = %q, want %q", w.account, key, got[key], v)
			}
		}
	}
}

// compareAnswer looks for the answer to one question about the account's harvest of a security.
func (s *scenario) compareAnswer(t *testing.T, a rebalance.AccountPlan, w want) {
	t.Helper()
	tr, ok := tradeIn(a, market.Symbol(w.words[0]))
	if !ok {
		t.Fatalf("account %s does not trade %s, want an answer about it", a.Account, w.words[0])
	}
	r := tr.Answers.Of(tlh.Question(w.words[1]))
	if !matches(rebalance.Reason{Code: string(r.Verdict), Numbers: r.Numbers}, want{words: w.words[2:], numbers: w.numbers}, "") {
		t.Errorf("account %s: %s of %s = %+v, want %v %v", a.Account, w.words[1], w.words[0], r, w.words[2:], w.numbers)
	}
}

func accountOf(t *testing.T, plan rebalance.HouseholdPlan, id portfolio.AccountID) rebalance.AccountPlan {
	t.Helper()
	for _, a := range plan.Accounts {
		if a.Account == id {
			return a
		}
	}
	t.Fatalf("plan has no account %s", id)
	return rebalance.AccountPlan{}
}

func matches(r rebalance.Reason, w want, symbol market.Symbol) bool {
	if r.Code != w.words[0] || r.Symbol != symbol {
		return false
	}
	for key, v := range w.numbers {
		if r.Numbers[key] != v {
			return false
		}
	}
	return true
}

func (s *scenario) compareTrades(t *testing.T, plan rebalance.HouseholdPlan) {
	t.Helper()
	if !s.hasWants {
		return
	}
	var got []string
	for _, a := range plan.Accounts {
		for _, tr := range a.Trades {
			line := fmt.Sprintf("%s %s %s %s %s", a.Account, tr.Side, tr.Symbol, tr.Shares, tr.Reason.Code)
			for _, l := range tr.Lots {
				line += fmt.Sprintf(" %s:%s", l.Lot, l.Shares)
			}
			got = append(got, line)
		}
	}
	slices.Sort(got)
	slices.Sort(s.wants)
	if !slices.Equal(got, s.wants) {
		t.Errorf("trades =\n  %s\nwant\n  %s\nplan: %+v", strings.Join(got, "\n  "), strings.Join(s.wants, "\n  "), plan)
	}
}

func (s *scenario) compareLocks(t *testing.T, plan rebalance.HouseholdPlan) {
	t.Helper()
	var got []string
	for _, l := range plan.Locks {
		got = append(got, fmt.Sprintf("%s %s %s", l.Account, l.Symbol, l.Until))
	}
	slices.Sort(got)
	slices.Sort(s.locks)
	if s.hasWants && !slices.Equal(got, s.locks) {
		t.Errorf("locks = %v, want %v", got, s.locks)
	}
}

func parseScenario(text string) (*scenario, error) {
	s := &scenario{in: rebalance.Input{Household: portfolio.Household{ID: "H1", RoutingKey: "H1"}}}
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if err := s.add(words); err != nil {
			return nil, fmt.Errorf("line %d: %q: %w", number+1, line, err)
		}
	}
	s.market.Day = s.in.Day
	return s, nil
}

// add reads one line.
func (s *scenario) add(words []string) (err error) {
	defer func() {
		if r := recover(); r != nil { // a number or day of the file is bad, or a word is missing
			err = fmt.Errorf("%v", r)
		}
	}()
	plain, numbers := split(words[1:])
	switch words[0] {
	case "region":
		s.in.Household.Region = plain[0]
	case "day":
		s.in.Day = market.MustDay(plain[0])
	case "security":
		s.addSecurity(plain, numbers)
	case "price":
		s.addPrice(plain, numbers)
	case "fx":
		base, quote, _ := strings.Cut(plain[0], "/")
		s.market.Rates = append(s.market.Rates, market.Rate{
			Base: market.Currency(base), Quote: market.Currency(quote), Day: s.in.Day, Rate: money.MustParse(plain[1])})
	case "replace":
		for i, r := range plain[1:] {
			s.market.Replacements = append(s.market.Replacements, market.Replacement{
				Symbol: market.Symbol(plain[0]), Replacement: market.Symbol(r), Rank: i + 1})
		}
	case "model":
		s.addModel(plain, numbers)
	case "account":
		return s.addAccount(plain, numbers)
	case "hold", "bought", "sold", "drip":
		s.addEvent(words[0], plain, numbers)
	case "open":
		s.in.Open = append(s.in.Open, portfolio.OpenOrder{
			ID: "O" + fmt.Sprint(len(s.in.Open)+1), Account: portfolio.AccountID(plain[0]), Side: portfolio.Side(plain[1]),
			Symbol: market.Symbol(plain[2]), Leaves: money.MustParse(plain[3])})
	case "lock":
		s.in.Locks = append(s.in.Locks, tlh.Lock{
			Property: s.propertyOf(plain[0]), Symbol: market.Symbol(plain[0]), Until: market.MustDay(numbers["until"])})
	case "dividend":
		s.market.Dividends = append(s.market.Dividends, market.Dividend{
			Symbol: market.Symbol(plain[0]), Amount: money.MustParse(plain[1]), ExDay: market.MustDay(plain[2])})
	case "set":
		for _, key := range slices.Sorted(maps.Keys(numbers)) {
			if err := s.in.Settings.Set(key, numbers[key]); err != nil {
				return err
			}
		}
	case "nohistory":
		for _, w := range plain {
			s.noRisk = append(s.noRisk, market.Symbol(w))
		}
	case "cost":
		s.in.Settings.CostRate = money.MustParse(plain[0])
	case "brought":
		year, _ := strconv.Atoi(plain[1])
		s.in.Brought = append(s.in.Brought, region.Brought{
			Owner: portfolio.OwnerID(plain[0]), Year: year, Carry: region.Carry{ST: money.MustParse(plain[2]), LT: money.MustParse(plain[3])}})
	case "want":
		return s.addWant(plain, numbers)
	default:
		return fmt.Errorf("unknown line %s", words[0])
	}
	return nil
}

// split parts the words of a line from its key=value pairs.
func split(words []string) (plain []string, numbers map[string]string) {
	numbers = map[string]string{}
	for _, w := range words {
		if key, v, ok := strings.Cut(w, "="); ok {
			numbers[key] = v
			continue
		}
		plain = append(plain, w)
	}
	return plain, numbers
}

// addSecurity reads: security SYMBOL EXCHANGE CLASS [kind=stock] [group=G]
func (s *scenario) addSecurity(plain []string, numbers map[string]string) {
	e := market.Security{
		Symbol: market.Symbol(plain[0]), Exchange: plain[1], Currency: market.USD, AssetClass: plain[2],
		Kind: market.ETF, IdenticalGroup: "security:" + plain[0],
	}
	if e.Exchange == market.XTSE {
		e.Currency = market.CAD
	}
	if g := numbers["group"]; g != "" {
		e.IdenticalGroup = g
	}
	if k := numbers["kind"]; k != "" {
		e.Kind = market.Kind(k)
	}
	s.market.Securities = append(s.market.Securities, e)
}

func (s *scenario) propertyOf(symbol string) string {
	for _, e := range s.market.Securities {
		if string(e.Symbol) == symbol {
			return e.IdenticalGroup
		}
	}
	return symbol
}

// addPrice reads: price SYMBOL CLOSE [day=D]
func (s *scenario) addPrice(plain []string, numbers map[string]string) {
	p := market.Price{Symbol: market.Symbol(plain[0]), Close: money.MustParse(plain[1]), Day: s.in.Day - 1}
	if d := numbers["day"]; d != "" {
		p.Day = market.MustDay(d)
	}
	s.market.Prices = append(s.market.Prices, p)
}

// addModel reads: model NAME CLASS SYMBOL WEIGHT [SYMBOL WEIGHT …]; weights of 0 take the next ranks
func (s *scenario) addModel(plain []string, _ map[string]string) {
	for i := 2; i+1 < len(plain); i += 2 {
		rank := (i - 2) / 2
		w := money.MustParse(plain[i+1])
		if w.Sign() > 0 {
			rank = 0
		}
		s.market.Weights = append(s.market.Weights, market.Weight{
			Model: plain[0], AssetClass: plain[1], Symbol: market.Symbol(plain[i]), Rank: rank, Weight: w})
	}
}

// addAccount reads: account ID TYPE CASH [owner=O] [model=M] [currency=C] [policy key=value …]
func (s *scenario) addAccount(plain []string, numbers map[string]string) error {
	rules, err := region.Load(s.in.Household.Region)
	if err != nil {
		return err
	}
	a := portfolio.Account{
		ID: portfolio.AccountID(plain[0]), Type: plain[1], Owner: "P1", Model: "mix", Currency: rules.Home,
		Cash: []portfolio.Cash{{Currency: rules.Home, Amount: money.MustParse(plain[2])}},
	}
	keys := make([]string, 0, len(numbers))
	for key := range numbers {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		switch v := numbers[key]; key {
		case "owner":
			a.Owner = portfolio.OwnerID(v)
		case "model":
			a.Model = v
		default:
			if err := a.Policy.Set(key, v); err != nil {
				return err
			}
		}
	}
	known := slices.ContainsFunc(s.in.Household.Owners, func(o portfolio.Owner) bool { return o.ID == a.Owner })
	if !known {
		s.in.Household.Owners = append(s.in.Household.Owners, portfolio.Owner{ID: a.Owner, From: market.NoDay, To: market.NoDay})
	}
	s.in.Household.Accounts = append(s.in.Household.Accounts, a)
	return nil
}

// addEvent reads: hold ACCOUNT SYMBOL SHARES PRICE DAY [id=LOT] [fx=F] (bought is the same, sold a
// sale); positions follow from the events.
func (s *scenario) addEvent(kind string, plain []string, numbers map[string]string) {
	i := slices.IndexFunc(s.in.Household.Accounts, func(a portfolio.Account) bool { return string(a.ID) == plain[0] })
	a := &s.in.Household.Accounts[i]
	shares, price, day := money.MustParse(plain[2]), money.MustParse(plain[3]), market.MustDay(plain[4])
	e := region.Event{
		ID: numbers["id"], Kind: region.Buy, Day: day, Seq: int64(len(s.in.Events)), Owner: a.Owner, Account: a.ID, AccountType: a.Type,
		Symbol: market.Symbol(plain[1]), Shares: money.RatDec(shares), Amount: shares.Mul(price), FX: money.One,
	}
	if e.ID == "" {
		e.ID = fmt.Sprintf("%s-%d", plain[1], len(s.in.Events)+1)
	}
	for _, sec := range s.market.Securities {
		if sec.Symbol == e.Symbol {
			e.Currency = sec.Currency
			e.Settle, _ = market.SettleDay(sec.Exchange, day)
		}
	}
	if fx := numbers["fx"]; fx != "" {
		e.FX = money.MustParse(fx)
	}
	if kind == "drip" {
		e.Kind = region.Drip
	}
	if kind == "sold" {
		e.Kind, shares = region.Sell, shares.Neg()
	}
	s.in.Events = append(s.in.Events, e)
	addPosition(a, e.Symbol, shares)
}

func addPosition(a *portfolio.Account, symbol market.Symbol, shares money.Dec) {
	j := slices.IndexFunc(a.Positions, func(p portfolio.Position) bool { return p.Symbol == symbol })
	if j < 0 {
		a.Positions = append(a.Positions, portfolio.Position{Symbol: symbol})
		j = len(a.Positions) - 1
	}
	p := &a.Positions[j]
	if p.Shares = p.Shares.Add(shares); p.Shares.IsZero() {
		a.Positions = slices.Delete(a.Positions, j, j+1)
	}
}

// addWant reads what the plan must say:
//
//	want trade ACCOUNT buy|sell SYMBOL SHARES CODE [LOT:SHARES …]   all trades are listed
//	want no trades
//	want lock ACCOUNT SYMBOL DAY                                    all locks are listed
//	want reason ACCOUNT CODE [key=value …]
//	want skipped ACCOUNT SYMBOL CODE [key=value …]
//	want figures ACCOUNT key=value …
//	want code ACCOUNT SYMBOL CODE [key=value …]                     the reason of a trade
//	want answer ACCOUNT SYMBOL QUESTION VERDICT [key=value …]
//	want fault CODE [ACCOUNT]
//	want buys|sells|leaves ACCOUNT SYMBOL [CODE]                    by the optimiser, whatever the quantity
//	want certificate ACCOUNT key=value …                            exception mode relaxed stand_ins
//	want planner optimum|rules
func (s *scenario) addWant(plain []string, numbers map[string]string) error {
	switch plain[0] {
	case "trade":
		s.hasWants = true
		s.wants = append(s.wants, strings.Join(plain[1:], " "))
	case "no":
		s.hasWants = true
	case "lock":
		s.hasWants = true
		s.locks = append(s.locks, strings.Join(plain[1:], " "))
	case "reason":
		s.reasons = append(s.reasons, want{portfolio.AccountID(plain[1]), plain[2:], numbers})
	case "skipped":
		s.skips = append(s.skips, want{portfolio.AccountID(plain[1]), plain[2:], numbers})
	case "code":
		s.codes = append(s.codes, want{portfolio.AccountID(plain[1]), plain[2:], numbers})
	case "answer":
		s.answers = append(s.answers, want{portfolio.AccountID(plain[1]), plain[2:], numbers})
	case "figures":
		s.figures = append(s.figures, want{portfolio.AccountID(plain[1]), plain[2:], numbers})
	case "buys", "sells", "leaves":
		s.sides = append(s.sides, want{portfolio.AccountID(plain[1]), append([]string{plain[0]}, plain[2:]...), nil})
	case "certificate":
		s.proofs = append(s.proofs, want{portfolio.AccountID(plain[1]), nil, numbers})
	case "planner":
		s.planner = rebalance.Planner(plain[1])
	case "fault":
		s.fault = strings.Join(plain[1:], " ")
	default:
		return fmt.Errorf("unknown want %s", plain[0])
	}
	return nil
}
