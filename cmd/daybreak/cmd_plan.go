package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance/optimum"
	"daybreak/rebalance/optimum/workload"
)

// gapAbove is the code of the exception on a plan whose certified gap is above the limit asked for.
const gapAbove = "GAP_ABOVE_LIMIT"

// planFlags are the flags of the plan command.
type planFlags struct {
	roles, mode string
	exact       bool
	gapMax      float64
	households  householdFlags
}

// options returns the options of the optimiser, or a usage error.
func (f planFlags) options() (optimum.Options, error) {
	o := optimum.DefaultOptions()
	o.Exact = f.exact
	switch o.Roles = optimum.Roles(f.roles); o.Roles {
	case optimum.Mixed, optimum.Fixed:
	default:
		return o, usageError("--roles is %q, not mixed or fixed", f.roles)
	}
	switch o.Mode = optimum.Mode(f.mode); o.Mode {
	case "full":
		o.Mode = optimum.Full
	case optimum.CashOnly, optimum.HarvestOnly, optimum.Nothing:
	default:
		return o, usageError("--mode is %q, not full, cash_only, harvest_only or nothing", f.mode)
	}
	return o, nil
}

// newPlanCmd returns the command that plans the accounts of a file, without a database.
func newPlanCmd(a *app) *cobra.Command {
	var f planFlags
	c := &cobra.Command{
		Use:   "plan FILE",
		Short: "Plan the accounts of a file, with a proof of how near the optimum each plan is",
		Long: "Reads accounts in the format rebalance-workload/1, or households as JSON lines as\n" +
			"docs/household.schema.json describes them, either plain or gzipped (- is stdin), and writes one\n" +
			"line of JSON for each account, households in their order with accounts by id: its trades, the\n" +
			"objective recomputed from them, a lower bound of what any trades could reach, and a reason for\n" +
			"every security. An account that cannot be planned gets a line with a named exception, the others\n" +
			"go on, and the exit code is 3. The accounts of a household are planned together.\n" +
			"Households are planned over the sample market where --market names no other. Fields, codes and\n" +
			"parameters are in docs/optimiser.md.",
		Example: "  daybreak plan accounts.json.gz --exact\n" +
			"  daybreak plan world.jsonl --date 2020-03-16 --securities world.securities.csv --prices world.prices.csv",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			options, err := f.options()
			if err != nil {
				return err
			}
			params, err := f.households.parse(options)
			if err != nil {
				return err
			}
			data, err := readAll(a.in, args[0])
			if err != nil {
				return err
			}
			if isHouseholds(data) {
				return planHouseholds(c.Context(), a, data, &f, params)
			}
			return planFile(a, data, options, f.gapMax)
		},
	}
	c.Flags().StringVar(&f.roles, "roles", string(optimum.Mixed), "mixed: the optimisation decides what is harvested; fixed: the harvest threshold does")
	c.Flags().StringVar(&f.mode, "mode", "full", "full, cash_only, harvest_only or nothing")
	c.Flags().BoolVar(&f.exact, "exact", false, "branch until the optimum is proven")
	c.Flags().Float64Var(&f.gapMax, "gap-max", 1, "certified gap in basis points above which a plan is an exception")
	f.households.addTo(c.Flags())
	return c
}

// expandedMax bounds what a gzipped file may expand to.
const expandedMax = 4 << 30

// readAll returns a file, or stdin for "-", expanded where it is gzipped.
func readAll(in io.Reader, name string) ([]byte, error) {
	var data []byte
	var err error
	if name == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(name)
	}
	if err != nil || !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data, err
	}
	expander, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if data, err = io.ReadAll(io.LimitReader(expander, expandedMax+1)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > expandedMax {
		return nil, fmt.Errorf("%s: expands to more than %d bytes", name, expandedMax)
	}
	return data, nil
}

// planFile plans every account of a file and writes its line.
func planFile(a *app, data []byte, o optimum.Options, gapMax float64) error {
	file, err := workload.Decode(data)
	if errors.Is(err, workload.ErrSchema) {
		return fmt.Errorf("plan reads %s files: %w", workload.Schema, err)
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(a.out)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	universe := file.Universe()
	var solver optimum.Solver
	exceptions := 0
	for k := range file.Accounts {
		line := planAccount(a, &solver, universe, accountOf{file, k, &o, gapMax})
		if line.Exception != nil {
			exceptions++
		}
		if err := encoder.Encode(line); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	return planOutcome(exceptions, len(file.Accounts))
}

// planOutcome returns the error that says how many lines are exceptions, or nil for none.
func planOutcome(exceptions, lines int) error {
	if exceptions == 0 {
		return nil
	}
	return exitWith(exitExceptions, fmt.Errorf("%d of %d accounts are exceptions", exceptions, lines))
}

// accountOf names one account of a file and how to plan it.
type accountOf struct {
	file   *workload.File
	index  int
	o      *optimum.Options
	gapMax float64
}

// planAccount returns the line of one account. Its time is that of the optimiser, from exact
// numbers to exact trades, without reading and writing JSON.
func planAccount(a *app, solver *optimum.Solver, u *optimum.Universe, of accountOf) planLine {
	line := planLine{Account: of.file.Accounts[of.index].ID}
	account, err := of.file.Account(of.index)
	if err == nil {
		start := a.now()
		var plan *optimum.Plan
		if plan, err = solver.Solve(u, account, of.o); err == nil {
			took := a.now().Sub(start)
			line.planNumbers = numbersOf(plan, u, account)
			line.Micros = float64(took) / float64(time.Microsecond)
			line.Exception = gapException(plan, of.gapMax)
			return line
		}
	}
	line.Exception = exceptionOf(err)
	return line
}

// gapException returns the exception of a plan whose certified gap is above the limit, or nil. What
// keeping the accounts of a household apart costs is no part of it: the household's own gap counts
// that.
func gapException(plan *optimum.Plan, gapMax float64) *planException {
	gap := plan.GapBP - float64(1e4*plan.Coupling)
	if gap <= gapMax {
		return nil
	}
	return &planException{Code: gapAbove, Detail: fmt.Sprintf("gap %.4f bp, limit %g", gap, gapMax)}
}

// exceptionOf names why something was not planned.
func exceptionOf(err error) *planException {
	var fault *optimum.Fault
	if errors.As(err, &fault) {
		return &planException{fault.Code, fault.Security, fault.Detail}
	}
	return &planException{Code: workload.BadInput, Detail: err.Error()}
}

// planLine is one line of output. An account that was not planned has an exception and no numbers.
type planLine struct {
	Account string `json:"account"`
	*planNumbers
	Exception *planException `json:"exception,omitempty"`
}

// planNumbers is what is said of a planned account. Fractions are of the account's value.
type planNumbers struct {
	Objective      float64      `json:"objective"`
	Bound          float64      `json:"bound"`
	GapBP          float64      `json:"gap_bp"`
	GapMoney       number       `json:"gap_money"`
	FixedObjective *float64     `json:"fixed_objective"`
	FixedBound     float64      `json:"fixed_bound"`
	CouplingBP     *float64     `json:"coupling_bp,omitempty"`
	HouseholdGapBP *float64     `json:"household_gap_bp,omitempty"`
	BandsLifted    bool         `json:"bands_lifted,omitempty"`
	PlannedWith    []string     `json:"planned_with,omitempty"`
	NoTrade        float64      `json:"no_trade"`
	TrackingError  float64      `json:"tracking_error"`
	Tax            float64      `json:"tax"`
	Cash           float64      `json:"cash"`
	Trades         []planTrade  `json:"trades"`
	Conversions    []planMoney  `json:"conversions,omitempty"`
	Reasons        []planReason `json:"reasons"`
	Micros         float64      `json:"micros"`
}

// planException is why an account was not planned, or what is wrong with its plan.
type planException struct {
	Code     string `json:"code"`
	Security string `json:"security,omitempty"`
	Detail   string `json:"detail,omitempty"`
}

// planTrade is a purchase, or a sale from one lot; value is in the account's currency.
type planTrade struct {
	Side     string    `json:"side"`
	Security string    `json:"security"`
	Lot      *string   `json:"lot"`
	Shares   money.Dec `json:"shares"`
	Value    number    `json:"value"`
}

// planMoney is a conversion of currency: the amount bought, or sold where it is below zero, in the
// account's currency.
type planMoney struct {
	Currency market.Currency `json:"currency"`
	Value    number          `json:"value"`
}

// planReason is why a security trades or does not.
type planReason struct {
	Security string             `json:"security"`
	Code     string             `json:"code"`
	Numbers  map[string]float64 `json:"numbers,omitempty"`
	Until    *market.Day        `json:"until,omitempty"`
	By       string             `json:"by,omitempty"`
}

// number is an exact decimal that JSON carries as a number.
type number money.Dec

// MarshalJSON writes the shortest decimal that is exactly n.
func (n number) MarshalJSON() ([]byte, error) { return []byte(money.Dec(n).String()), nil }

// numbersOf copies what a plan says; the plan itself belongs to the solver.
func numbersOf(p *optimum.Plan, u *optimum.Universe, a *optimum.Account) *planNumbers {
	n := &planNumbers{Objective: p.Objective, Bound: p.Bound, GapBP: p.GapBP, GapMoney: number(p.GapMoney), FixedBound: p.Fixed.Bound,
		NoTrade: p.NoTrade, BandsLifted: p.AreBandsLifted, TrackingError: p.TrackingError, Tax: p.Parts.Tax, Cash: p.CashAfter.Float() / p.Value.Float(),
		Trades: make([]planTrade, len(p.Trades)), Reasons: make([]planReason, len(p.Reasons))}
	if p.With != "" {
		n.PlannedWith = strings.Split(p.With, "+")
	}
	if p.Fixed.IsFeasible {
		objective := p.Fixed.Objective
		n.FixedObjective = &objective
	}
	for k, t := range p.Trades {
		n.Trades[k] = planTrade{Side: "buy", Security: u.Securities[t.Security].ID, Shares: t.Shares, Value: number(t.Value)}
		if t.Lot >= 0 {
			n.Trades[k].Side, n.Trades[k].Lot = "sell", &a.Lots[t.Lot].ID
		}
	}
	for _, c := range p.Conversions {
		n.Conversions = append(n.Conversions, planMoney{a.Balances[c.Balance].Currency, number(c.Amount)})
	}
	for k, r := range p.Reasons {
		n.Reasons[k] = reasonOf(r, u)
	}
	return n
}

func reasonOf(r optimum.Reason, u *optimum.Universe) planReason {
	out := planReason{Security: u.Securities[r.Security].ID, Code: r.Code, By: r.Bar.By}
	for _, n := range r.Numbers {
		if n.Name != "" {
			if out.Numbers == nil {
				out.Numbers = map[string]float64{}
			}
			out.Numbers[n.Name] = n.Value
		}
	}
	if until := r.Bar.Until; r.Bar.By != "" && until != 0 && until != market.NoDay {
		out.Until = &until
	}
	return out
}
