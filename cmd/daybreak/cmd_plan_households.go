package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/pflag"

	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/members"
	"daybreak/region"
	sample "daybreak/testdata/market"
)

// sampleFS is the market that the binary carries.
var sampleFS fs.FS = sample.Files

// householdFlags are the flags of plan that are for files of households.
type householdFlags struct {
	market                           marketFlags
	date                             string
	halfSpread, commission, fxSpread string
	gainBudget                       string
	location                         string
	aversion, idleCash               float64
	isNetted                         bool
	risk                             members.RiskParams
}

// addTo declares the flags.
func (f *householdFlags) addTo(flags *pflag.FlagSet) {
	defaults := members.DefaultParams()
	f.risk = members.DefaultRiskParams
	flags.StringVar(&f.market.base, "market", "", "households: a folder as the sample market's, a JSON snapshot of the market, or none; empty for the sample market")
	f.market.files = map[pipeline.ImportKind]*[]string{}
	for _, kind := range marketKinds {
		f.market.files[kind] = flags.StringArray(string(kind), nil, "households: CSV file of "+string(kind)+" on top of --market; may be given again")
	}
	flags.StringVar(&f.date, "date", "", "households: trade date; empty for that of the snapshot, or the first session after the latest as_of of the file")
	flags.StringVar(&f.halfSpread, "half-spread", defaults.HalfSpread.String(), "households: half the spread, share of the value traded")
	flags.StringVar(&f.commission, "commission", defaults.Commission.String(), "households: commission, share of the value traded")
	flags.StringVar(&f.fxSpread, "fx-spread", defaults.FXSpread.String(), "households: cost of converting a currency one way, share of the amount")
	flags.StringVar(&f.gainBudget, "gain-budget", "", "households: most that each owner may realise in net gains this year, home currency; empty for no limit")
	flags.BoolVar(&f.isNetted, "netting", false, "households: tax short- and long-term gains as the year of each owner nets them")
	flags.StringVar(&f.location, "location", locationGiven, "households: given: targets of the household where its line asks for them; off: of each account")
	flags.Float64Var(&f.aversion, "risk-aversion", defaults.Options.RiskAversion, "households: objective for a variance of 1 a year")
	flags.Float64Var(&f.idleCash, "idle-cash", defaults.Options.IdleCash, "households: cost of holding cash, a year")
	flags.IntVar(&f.risk.Years, "risk-years", f.risk.Years, "households: years of closes before the date that the risk model rests on")
	flags.IntVar(&f.risk.Factors, "risk-factors", f.risk.Factors, "households: factors of the risk model")
}

// The values of --location.
const (
	locationGiven = "given"
	locationOff   = "off"
)

// parse returns the parameters of a plan of households, or a usage error.
func (f *householdFlags) parse(o optimum.Options) (members.Params, error) {
	p := members.DefaultParams()
	p.Options = o
	p.Options.RiskAversion, p.Options.IdleCash = f.aversion, f.idleCash
	p.IsNetted = f.isNetted
	if f.location != locationGiven && f.location != locationOff {
		return p, usageError("--location is %q, not given or off", f.location)
	}
	for _, share := range []struct {
		flag, text string
		to         *money.Dec
	}{{"half-spread", f.halfSpread, &p.HalfSpread}, {"commission", f.commission, &p.Commission}, {"fx-spread", f.fxSpread, &p.FXSpread}} {
		v, err := money.Parse(share.text)
		if err != nil || v.Sign() < 0 || !v.Less(money.One) {
			return p, usageError("--%s: %q is not a share from 0 to below 1", share.flag, share.text)
		}
		*share.to = v
	}
	if f.gainBudget != "" {
		v, err := money.Parse(f.gainBudget)
		if err != nil || v.Sign() < 0 {
			return p, usageError("--gain-budget: %q is not an amount of at least 0", f.gainBudget)
		}
		p.HasBudget, p.Budget = true, v
	}
	if !(f.idleCash >= 0) || f.risk.Years < 1 || f.risk.Years > 30 || f.risk.Factors < 1 || f.risk.Factors > 64 {
		return p, usageError("--idle-cash must be at least 0, --risk-years from 1 to 30, --risk-factors from 1 to 64")
	}
	return p, nil
}

// isHouseholds reports whether a file holds households and not a workload: its first line that is
// JSON, or all of it, is an object with owners and without a schema.
func isHouseholds(data []byte) bool {
	var head struct {
		Schema json.RawMessage `json:"schema"`
		Owners json.RawMessage `json:"owners"`
	}
	for line := range bytes.Lines(data) {
		if json.Unmarshal(line, &head) == nil {
			return head.Schema == nil && head.Owners != nil
		}
	}
	return json.Unmarshal(data, &head) == nil && head.Schema == nil && head.Owners != nil
}

// householdLine is one line of a file of households; err is why it cannot be read.
type householdLine struct {
	number int
	record pipeline.HouseholdRecord
	err    error
}

// readHouseholds reads households as JSON lines; a file that is one JSON object over several lines
// is one household.
func readHouseholds(data []byte) []householdLine {
	if json.Valid(data) {
		data = bytes.ReplaceAll(bytes.TrimSpace(data), []byte("\n"), []byte(" "))
	}
	var lines []householdLine
	number := 0
	for text := range bytes.Lines(data) {
		number++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		line := householdLine{number: number}
		line.record, line.err = pipeline.DecodeHousehold(text)
		lines = append(lines, line)
	}
	return lines
}

// householdPlanner plans the households of one file for one day.
type householdPlanner struct {
	a      *app
	flags  *planFlags
	params members.Params
	day    market.Day
	market *planMarket
	today  *market.Snapshot
	opener *pipeline.Opener
	solver optimum.Solver
	risk   map[market.Currency]*members.Model
	seen   map[string]int // household and account ids to their lines
}

// planHouseholds plans every household of a file and writes the lines of its accounts.
func planHouseholds(ctx context.Context, a *app, data []byte, f *planFlags, params members.Params) error {
	m, err := f.households.market.load(ctx)
	if err != nil {
		return err
	}
	lines := readHouseholds(data)
	p := &householdPlanner{a: a, flags: f, params: params, market: m, risk: map[market.Currency]*members.Model{}, seen: map[string]int{}}
	if p.day, err = f.households.day(m, lines); err != nil {
		return err
	}
	if p.today, err = m.at(p.day); err != nil {
		return err
	}
	p.opener = pipeline.NewOpener(p.today.Securities)
	out := bufio.NewWriter(a.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	exceptions, written := 0, 0
	for _, line := range lines {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, l := range p.plan(line) {
			written++
			if l.Exception != nil {
				exceptions++
			}
			if err := encoder.Encode(l); err != nil {
				return err
			}
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return planOutcome(exceptions, written)
}

// day returns the trade date: the flag's, the snapshot's, or the first session after the latest
// as_of of the households.
func (f *householdFlags) day(m *planMarket, lines []householdLine) (market.Day, error) {
	calendar, err := market.Calendar(market.XNYS)
	if err != nil {
		return market.NoDay, err
	}
	other, err := market.Calendar(market.XTSE)
	if err != nil {
		return market.NoDay, err
	}
	if f.date != "" {
		day, err := market.ParseDay(f.date)
		if err != nil || !calendar.IsSession(day) && !other.IsSession(day) {
			return day, usageError("--date: %q is not a day with a session, as YYYY-MM-DD", f.date)
		}
		return day, nil
	}
	if m.fixed != nil {
		return m.fixed.Day, nil
	}
	latest := market.NoDay
	for _, l := range lines {
		if l.err == nil {
			latest = max(latest, l.record.AsOf)
		}
	}
	if latest == market.NoDay {
		return latest, errors.New("no household of the file can be read")
	}
	return min(calendar.NextSession(latest), other.NextSession(latest)), nil
}

// plan returns the lines of one household, by account. Where it cannot be planned each of them has
// the exception; a household whose accounts cannot even be read has one line without an account.
func (p *householdPlanner) plan(line householdLine) []planLine {
	if line.err != nil {
		return []planLine{{Exception: lineException(line.number, line.err)}}
	}
	accounts := slices.Clone(line.record.Accounts)
	slices.SortFunc(accounts, func(a, b pipeline.AccountRecord) int { return cmp.Compare(a.ID, b.ID) })
	out := make([]planLine, len(accounts))
	for i, a := range accounts {
		out[i].Account = string(a.ID)
	}
	err := p.isFirst(line)
	if err == nil {
		err = p.fill(line.record, out)
	}
	if err != nil {
		e := lineException(line.number, err)
		if len(out) == 0 {
			return []planLine{{Exception: e}}
		}
		for i := range out {
			out[i] = planLine{Account: out[i].Account, Exception: e}
		}
	}
	return out
}

// isFirst refuses a household or account that an earlier line has.
func (p *householdPlanner) isFirst(line householdLine) error {
	keys := []string{"household " + string(line.record.ID)}
	for _, a := range line.record.Accounts {
		keys = append(keys, "account "+string(a.ID))
	}
	for _, key := range keys {
		if first, twice := p.seen[key]; twice && first != line.number {
			return &market.LineError{Code: market.CodeDuplicate, Message: fmt.Sprintf("%s is on line %d already", key, first)}
		}
		p.seen[key] = line.number
	}
	return nil
}

// lineException names what is wrong with a household.
func lineException(number int, err error) *planException {
	var bad *market.LineError
	var member *optimum.MemberFault
	switch {
	case errors.As(err, &bad):
		return &planException{Code: string(bad.Code), Detail: fmt.Sprintf("line %d: %s", number, bad.Message)}
	case errors.As(err, &member):
		e := exceptionOf(member.Fault)
		e.Detail = fmt.Sprintf("account %s: %s", member.Account, e.Detail)
		return e
	}
	e := exceptionOf(err)
	e.Detail = fmt.Sprintf("line %d: %s", number, e.Detail)
	return e
}

// fill plans a household and fills the lines of its accounts.
func (p *householdPlanner) fill(record pipeline.HouseholdRecord, lines []planLine) error {
	in, err := p.input(record)
	if err != nil {
		return err
	}
	list, err := members.Of(in)
	if err != nil {
		return err
	}
	start := p.a.now()
	plan, list, faults, err := p.solve(list)
	if err != nil {
		return err
	}
	micros := float64(p.a.now().Sub(start)) / float64(time.Microsecond) / float64(max(len(list), 1))
	k := 0
	for i := range lines {
		if f, ok := faults[lines[i].Account]; ok {
			lines[i].Exception = exceptionOf(f)
			continue
		}
		if k == len(list) || list[k].Account.ID != lines[i].Account {
			lines[i].planNumbers = emptyNumbers()
			continue
		}
		lines[i].planNumbers = numbersOf(&plan.Plans[k], list[k].Universe, list[k].Account)
		lines[i].Micros = micros
		lines[i].takeHousehold(plan, k, p.flags.gapMax)
		k++
	}
	return nil
}

// takeHousehold adds what the household's plan says of account k, and the exception of a gap above the
// limit: of the account under the household's decisions, or of these decisions.
func (l *planLine) takeHousehold(plan *optimum.HouseholdPlan, k int, gapMax float64) {
	coupling := 1e4 * plan.Plans[k].Coupling
	l.CouplingBP, l.HouseholdGapBP = &coupling, &plan.GapBP
	if l.Exception = gapException(&plan.Plans[k], gapMax); l.Exception == nil && coupling > gapMax && plan.GapBP > gapMax {
		l.Exception = &planException{Code: gapAbove, Detail: fmt.Sprintf("household's gap %.4f bp, limit %g", plan.GapBP, gapMax)}
	}
}

// solve plans the members of a household. One whose rules cannot be met, such as a withdrawal that
// is more than it can raise, is left as it is, and the others are planned without it. It returns the
// members planned and the faults of the others by account.
func (p *householdPlanner) solve(list []optimum.Member) (*optimum.HouseholdPlan, []optimum.Member, map[string]error, error) {
	faults := map[string]error{}
	for {
		plan, err := p.solver.SolveHousehold(list)
		var fault *optimum.MemberFault
		if err == nil || !errors.As(err, &fault) {
			return plan, list, faults, err
		}
		faults[fault.Account] = fault.Fault
		list = slices.DeleteFunc(list, func(m optimum.Member) bool { return m.Account.ID == fault.Account })
	}
}

// emptyNumbers are those of an account without any value.
func emptyNumbers() *planNumbers {
	zero := 0.0
	return &planNumbers{FixedObjective: &zero, Trades: []planTrade{}, Reasons: []planReason{}}
}

// input opens a record and returns what its members depend on.
func (p *householdPlanner) input(record pipeline.HouseholdRecord) (in members.Input, err error) {
	opening, err := p.opener.Open(record)
	if err != nil {
		return in, err
	}
	if record.AsOf >= p.day {
		return in, &market.LineError{Code: market.CodeBadDate, Message: fmt.Sprintf("household %s: as_of %s is not before the trade date %s", record.ID, record.AsOf, p.day)}
	}
	in = members.Input{Day: p.day, Household: opening.Household, Market: p.today, Params: p.params, Risk: p.risk, Location: opening.Household.Location}
	if in.Rules, err = region.Load(record.Region); err != nil {
		return in, err
	}
	if in.Book, err = p.book(in.Rules, opening); err != nil {
		return in, err
	}
	today, err := parseToday(record)
	if err != nil {
		return in, err
	}
	today.enter(&in, p.flags.households.location == locationGiven)
	for _, a := range opening.Household.Accounts {
		if err := p.estimate(a); err != nil {
			return in, err
		}
	}
	return in, nil
}

// book returns the tax book of an opening.
func (p *householdPlanner) book(rules *region.Rules, opening pipeline.Opening) (*region.Book, error) {
	text, err := pipeline.Decompress(opening.Checkpoint)
	if err != nil {
		return nil, err
	}
	var from region.Checkpoint
	if err := json.Unmarshal(text, &from); err != nil {
		return nil, err
	}
	return region.Fold(rules, region.ScopeOf(opening.Household, p.today.Identical()), from, nil)
}

// estimate makes the risk model of an account's currency, once for the file.
func (p *householdPlanner) estimate(a portfolio.Account) error {
	if _, ok := p.risk[a.Currency]; ok {
		return nil
	}
	model, err := members.EstimateModel(p.market.history, p.day, a.Currency, p.flags.households.risk)
	if err != nil {
		return &optimum.MemberFault{Account: string(a.ID), Fault: &optimum.Fault{Code: optimum.BadRisk, Detail: err.Error()}}
	}
	p.risk[a.Currency] = model
	return nil
}
