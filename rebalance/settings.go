package rebalance

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"daybreak/money"
	"daybreak/portfolio"
)

// Planner says who finds the trades of a plan.
type Planner string

// The planners. The zero value is Optimum.
const (
	Optimum Planner = "optimum" // the optimiser, with a certificate
	Rules   Planner = "rules"   // bands and thresholds; also where there is no risk model
)

// LocationUse says whether targets of a household count. The zero value is LocationGiven.
type LocationUse string

// The uses of a household's targets.
const (
	LocationGiven LocationUse = "given" // where the household has them
	LocationOff   LocationUse = "off"   // each account follows its own
)

// Settings are the parameters of a run. Zero values mean those of DefaultSettings. An account's policy
// that names a parameter of the same name overrides it.
type Settings struct {
	StaleDays      int             `json:"stale_days,omitempty"`      // calendar days after which a close is too old to trade on
	CashBuffer     money.Dec       `json:"cash_buffer,omitzero"`      // rules: share of the money of purchases that stays unspent, for price moves
	CostRate       money.Dec       `json:"cost_rate,omitzero"`        // commission, share of each trade's value
	HalfSpread     money.Dec       `json:"half_spread,omitzero"`      // half the spread, share of a trade's value
	FXSpread       money.Dec       `json:"fx_spread,omitzero"`        // cost of a trade in another currency than the account's, share of its value
	Planner        Planner         `json:"planner,omitempty"`         // optimum or rules
	Mode           portfolio.Mode  `json:"mode,omitempty"`            // what a plan may do
	RiskAversion   money.Dec       `json:"risk_aversion,omitzero"`    // objective for a variance of 1 a year against the model
	IdleCash       money.Dec       `json:"idle_cash,omitzero"`        // objective for all in cash, a year
	GapMax         money.Dec       `json:"gap_max,omitzero"`          // certified gap above which a plan is an exception, basis points of value
	GapCashMin     money.Dec       `json:"gap_cash_min,omitzero"`     // gap in account currency below which it is none
	GainMin        money.Dec       `json:"gain_min,omitzero"`         // least fall of the objective for which an account is traded, basis points of value
	GainBudget     *money.Dec      `json:"gain_budget,omitempty"`     // most that each owner may realise in net gains this year, home currency; nil: no limit
	Netting        bool            `json:"netting,omitempty"`         // gains net over the year as the tax does, where an owner has one taxable account
	SpendUnsettled portfolio.Spend `json:"spend_unsettled,omitempty"` // which proceeds that have not settled may be spent
	Location       LocationUse     `json:"location,omitempty"`        // whether targets of a household count
	RiskYears      int             `json:"risk_years,omitempty"`      // of closes that the risk model rests on
	RiskFactors    int             `json:"risk_factors,omitempty"`    // of the risk model
}

// DefaultSettings are used where Settings say nothing: ten calendar days are five sessions with
// two weekends and a holiday between them; prices may move half a percent before a purchase fills; the
// funds and large stocks of a model trade at a spread of some six hundredths of a percent; a
// broker changes money at a fifth of a percent.
var DefaultSettings = Settings{
	StaleDays: 10, CashBuffer: money.MustParse("0.005"), HalfSpread: money.MustParse("0.0003"), FXSpread: money.MustParse("0.002"),
	Planner: Optimum, Mode: portfolio.ModeFull, SpendUnsettled: portfolio.SpendInTime, Location: LocationGiven, RiskAversion: money.FromInt(50), IdleCash: money.MustParse("0.01"),
	GapMax: money.One, GapCashMin: money.FromInt(10), GainMin: money.FromUnits(5, 1), RiskYears: 3, RiskFactors: 5,
}

// ErrSetting is wrapped with the known keys, or with the value, where a run has no such parameter or
// the parameter cannot take that value. Commands report it as a fault of usage.
var ErrSetting = errors.New("not a parameter of a run")

// settingDec is one decimal parameter: its JSON name, where it stands, and the least value that it
// must stay below; 0 for none.
type settingDec struct {
	key   string
	field *money.Dec
	below int64
}

func (s *Settings) decimals() []settingDec {
	return []settingDec{
		{"cash_buffer", &s.CashBuffer, 1}, {"cost_rate", &s.CostRate, 1}, {"half_spread", &s.HalfSpread, 1}, {"fx_spread", &s.FXSpread, 1},
		{"risk_aversion", &s.RiskAversion, 1_000_000}, {"idle_cash", &s.IdleCash, 10}, {"gap_max", &s.GapMax, 10_000},
		{"gap_cash_min", &s.GapCashMin, 1_000_000_000}, {"gain_min", &s.GainMin, 10_000},
	}
}

// settingInt is one whole parameter, from 1 to most.
type settingInt struct {
	key   string
	field *int
	most  int
}

func (s *Settings) integers() []settingInt {
	return []settingInt{{"stale_days", &s.StaleDays, 366}, {"risk_years", &s.RiskYears, 30}, {"risk_factors", &s.RiskFactors, 64}}
}

// SettingKeys returns the names of a run's parameters, sorted: those of its JSON.
func SettingKeys() []string {
	var s Settings
	keys := []string{"planner", "mode", "gain_budget", "netting", "spend_unsettled", "location"}
	for _, d := range s.decimals() {
		keys = append(keys, d.key)
	}
	for _, n := range s.integers() {
		keys = append(keys, n.key)
	}
	slices.Sort(keys)
	return keys
}

// Set gives the parameter key, named as in JSON, the value written as text. It returns ErrSetting,
// wrapped. A 0 is refused where it would stand for the default.
func (s *Settings) Set(key, value string) error {
	for _, d := range s.decimals() {
		if d.key == key {
			return d.set(value)
		}
	}
	for _, n := range s.integers() {
		if n.key == key {
			return n.set(value)
		}
	}
	switch key {
	case "planner":
		if p := Planner(value); p != Optimum && p != Rules {
			return fmt.Errorf("planner: %w: %q is neither optimum nor rules", ErrSetting, value)
		}
		s.Planner = Planner(value)
		return nil
	case "netting":
		v, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("netting: %w: %q is neither true nor false", ErrSetting, value)
		}
		s.Netting = v
		return nil
	case "location":
		if l := LocationUse(value); l != LocationGiven && l != LocationOff {
			return fmt.Errorf("location: %w: %q is neither given nor off", ErrSetting, value)
		}
		s.Location = LocationUse(value)
		return nil
	case "mode", "gain_budget", "spend_unsettled":
		var p portfolio.Policy
		if err := p.Set(key, value); err != nil {
			return fmt.Errorf("%w: %w", ErrSetting, err)
		}
		switch key {
		case "mode":
			s.Mode = p.Mode
		case "gain_budget":
			s.GainBudget = p.GainBudget
		default:
			s.SpendUnsettled = p.SpendUnsettled
		}
		return nil
	}
	return fmt.Errorf("%q: %w; known are %s", key, ErrSetting, strings.Join(SettingKeys(), ", "))
}

func (d settingDec) set(value string) error {
	v, err := money.Parse(value)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w: %w", d.key, ErrSetting, err)
	case v.Sign() <= 0 && d.key != "cost_rate" || v.Sign() < 0:
		return fmt.Errorf("%s: %w: %s; give a number above 0, which stands for the default", d.key, ErrSetting, value)
	case !v.Less(money.FromInt(d.below)):
		return fmt.Errorf("%s: %w: %s is not below %d", d.key, ErrSetting, value, d.below)
	}
	*d.field = v
	return nil
}

func (n settingInt) set(value string) error {
	v, err := strconv.Atoi(value)
	if err != nil || v < 1 || v > n.most {
		return fmt.Errorf("%s: %w: %q is no whole number from 1 to %d", n.key, ErrSetting, value, n.most)
	}
	*n.field = v
	return nil
}

// WithDefaults returns s with the defaults of DefaultSettings where s says nothing.
func (s Settings) WithDefaults() Settings {
	d := DefaultSettings
	for i, f := range s.decimals() {
		if f.field.IsZero() {
			*f.field = *d.decimals()[i].field
		}
	}
	for i, f := range s.integers() {
		if *f.field == 0 {
			*f.field = *d.integers()[i].field
		}
	}
	s.Planner = cmp.Or(s.Planner, d.Planner)
	s.Mode = cmp.Or(s.Mode, d.Mode)
	s.SpendUnsettled, s.Location = cmp.Or(s.SpendUnsettled, d.SpendUnsettled), cmp.Or(s.Location, d.Location)
	return s
}
