// Package workload reads and makes files of the schema rebalance-workload/1: independent accounts
// over one universe of securities, for measuring the optimiser.
package workload

import (
	"encoding/json"
	"errors"
	"fmt"

	"daybreak/market"
	"daybreak/money"
	"daybreak/rebalance/optimum"
)

// Schema is the name of the format.
const Schema = "rebalance-workload/1"

// ErrSchema is wrapped with the schema found where a file is of another one. Commands branch on it
// to try other formats.
var ErrSchema = errors.New("not a " + Schema + " file")

// BadInput is the code of a Fault of an account whose JSON cannot be read.
const BadInput = "BAD_INPUT"

// windowDays is the length of the loss window on either side; both ends count.
const windowDays = 30

// File is a workload. Amounts are integers: cents, 1e-4 shares, parts per million, 1e-6 loadings.
type File struct {
	Schema     string     `json:"schema"`
	Scenario   string     `json:"scenario"`
	Seed       uint64     `json:"seed"`
	AsOf       market.Day `json:"as_of"`
	Factors    int        `json:"factors"`
	Securities []Security `json:"securities"`
	Accounts   []Account  `json:"accounts"`
}

// Security is one security of a workload; the one-way trading cost is half its spread.
type Security struct {
	ID         string  `json:"id"`
	Class      string  `json:"class"`
	Rank       int     `json:"rank"`
	PriceCents int64   `json:"price_cents"`
	SpreadBps  int64   `json:"spread_bps"`
	SpecVolBps int64   `json:"spec_vol_bps"`
	LoadE6     []int64 `json:"load_e6"`
}

// Account is one account of a workload.
type Account struct {
	ID              string  `json:"id"`
	Household       string  `json:"household"`
	CashCents       int64   `json:"cash_cents"`
	WithdrawalCents int64   `json:"withdrawal_cents"`
	TargetPPM       []int64 `json:"target_ppm"`
	CashTargetPPM   int64   `json:"cash_target_ppm"`
	Lots            []Lot   `json:"lots"`
	Recent          []Trade `json:"recent_household_trades"`
	fault           error   // what is wrong with its JSON
}

// Lot is a tax lot; its cost is the total.
type Lot struct {
	ID        string     `json:"id"`
	Security  int        `json:"security"`
	QtyE4     int64      `json:"qty_e4"`
	CostCents int64      `json:"cost_cents"`
	Acquired  market.Day `json:"acquired"`
	AgeDays   int        `json:"age_days"`
}

// Trade is a purchase, or a sale at a loss, of the household in the window before the file's day.
type Trade struct {
	Security      int        `json:"security"`
	Side          string     `json:"side"`
	QtyE4         int64      `json:"qty_e4"`
	CostCents     int64      `json:"cost_cents"`
	ProceedsCents int64      `json:"proceeds_cents"`
	Acquired      market.Day `json:"acquired"`
	Date          market.Day `json:"date"`
	DaysAgo       int        `json:"days_ago"`
	Account       string     `json:"account"`
}

// shortDaysMax is the age up to which a lot is short term.
const shortDaysMax = 365

// Decode reads a workload. It returns ErrSchema, wrapped, where the file names another schema. An
// account that cannot be read does not fail the file: Account returns its fault.
func Decode(data []byte) (*File, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	if head.Schema != Schema {
		return nil, fmt.Errorf("schema %q: %w", head.Schema, ErrSchema)
	}
	type file File // without the accounts' type
	in := struct {
		*file
		Accounts []json.RawMessage `json:"accounts"`
	}{file: new(file)}
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("workload: %w", err)
	}
	f := (*File)(in.file)
	if f.Factors < 0 {
		return nil, fmt.Errorf("workload: %d factors", f.Factors)
	}
	f.Accounts = make([]Account, len(in.Accounts))
	for k, raw := range in.Accounts {
		if err := json.Unmarshal(raw, &f.Accounts[k]); err != nil {
			f.Accounts[k].fault = err
		}
	}
	return f, nil
}

// Universe returns the securities and the risk model.
func (f *File) Universe() *optimum.Universe {
	out := make([]optimum.Security, len(f.Securities))
	for i, s := range f.Securities {
		load := make([]float64, len(s.LoadE6))
		for k, l := range s.LoadE6 {
			load[k] = float64(l) / 1e6
		}
		out[i] = optimum.Security{ID: s.ID, Price: money.FromUnits(s.PriceCents, 2),
			Cost: money.FromUnits(5*s.SpreadBps, 5), SpecificVol: float64(s.SpecVolBps) / 1e4, Load: load}
	}
	return optimum.NewUniverse(f.Factors, out)
}

// Account returns account k for the optimiser, with the bars that the household's recent trades
// and the young lots make. It returns a *optimum.Fault where the account's JSON has another shape
// or a trade names no security of the file.
func (f *File) Account(k int) (*optimum.Account, error) {
	in := &f.Accounts[k]
	if in.fault != nil {
		return nil, &optimum.Fault{Code: BadInput, Detail: in.fault.Error()}
	}
	out := &optimum.Account{ID: in.ID, Cash: money.FromUnits(in.CashCents, 2), Withdrawal: money.FromUnits(in.WithdrawalCents, 2),
		CashTarget: money.FromUnits(in.CashTargetPPM, 6), Targets: make([]money.Dec, len(in.TargetPPM)),
		Lots: make([]optimum.Lot, len(in.Lots)), Rules: make([]optimum.Rule, len(f.Securities))}
	for i, t := range in.TargetPPM {
		out.Targets[i] = money.FromUnits(t, 6)
	}
	for _, t := range in.Recent {
		if t.Security < 0 || t.Security >= len(f.Securities) {
			return nil, &optimum.Fault{Code: optimum.BadLot, Detail: fmt.Sprintf("a recent trade of security %d", t.Security)}
		}
		f.addBar(&out.Rules[t.Security], t)
	}
	f.addLots(out, in)
	return out, nil
}

// addBar makes a recent trade a bar: a sale at a loss bars purchases, a purchase bars losses, each
// through day 30.
func (f *File) addBar(r *optimum.Rule, t Trade) {
	if t.DaysAgo > windowDays {
		return
	}
	bar := optimum.Bar{Until: f.AsOf - market.Day(t.DaysAgo) + windowDays, By: t.Account}
	switch {
	case t.Side == "sell" && t.ProceedsCents < t.CostCents:
		r.BuyBarred = true
		if r.BuyBar.Until < bar.Until || r.BuyBar.By == "" {
			r.BuyBar = bar
		}
	case t.Side == "buy":
		r.LossBarred = true
		if r.LossBar.Until < bar.Until || r.LossBar.By == "" {
			r.LossBar = bar
		}
	}
}

// addLots adds the lots; a lot's loss is barred where another lot of its security is young.
func (f *File) addLots(out *optimum.Account, in *Account) {
	young := make([]int, len(f.Securities))
	for _, l := range in.Lots {
		if l.AgeDays <= windowDays && l.Security >= 0 && l.Security < len(young) {
			young[l.Security]++
		}
	}
	for j, l := range in.Lots {
		out.Lots[j] = optimum.Lot{Security: int32(l.Security), ID: l.ID, Shares: money.FromUnits(l.QtyE4, 4),
			Cost: money.FromUnits(l.CostCents, 2), IsShort: l.AgeDays <= shortDaysMax}
		if l.Security < 0 || l.Security >= len(young) {
			continue
		}
		others := young[l.Security]
		if l.AgeDays <= windowDays {
			others--
		}
		out.Lots[j].LossBarred = others > 0
	}
}
