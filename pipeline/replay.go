package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// DecidedAccount is what a run decided for one account, in the form that a replay compares.
type DecidedAccount struct {
	Outcome       string                 `json:"outcome"`
	Reason        string                 `json:"reason"`
	Detail        string                 `json:"detail,omitempty"` // of a parked household, or why the rules planned this one
	Numbers       map[string]string      `json:"numbers"`
	Currency      market.Currency        `json:"currency,omitempty"`
	Value         money.Dec              `json:"value"`
	CashBefore    money.Dec              `json:"cash_before"`
	CashAfter     money.Dec              `json:"cash_after"`
	DriftBefore   money.Dec              `json:"drift_before"`
	DriftAfter    money.Dec              `json:"drift_after"`
	Harvested     money.Dec              `json:"harvested"`
	DeniedAvoided money.Dec              `json:"denied_avoided"`
	TaxValue      money.Dec              `json:"tax_value"`
	Skipped       []rebalance.Reason     `json:"skipped"`
	Certificate   *rebalance.Certificate `json:"certificate,omitempty"`
	Orders        []orders.Export        `json:"orders"` // by id
}

// Recorded is all that was kept of one account's decision in a run.
type Recorded struct {
	Run       Run
	Household portfolio.HouseholdID
	Account   portfolio.AccountID
	Input     []byte // zstd of the JSON of Loaded
	Market    StoredMarket
	Risk      StoredMarket // with an empty hash where the run pinned none
	Record    DecidedAccount
}

// Records reads what runs decided.
type Records interface {
	// Recorded returns the decision of an account in a run, or ErrNotFound.
	Recorded(ctx context.Context, account portfolio.AccountID, run string) (Recorded, error)
}

// Setting is one parameter that a replay changes, by the name that it has in a policy.
type Setting struct{ Key, Value string }

// Difference is one place where a replay differs from the record: a path into the account's
// record, and both values as JSON; null where one side has nothing there.
type Difference struct {
	Path     string          `json:"path"`
	Recorded json.RawMessage `json:"recorded"`
	Now      json.RawMessage `json:"now"`
}

// Causes of a replay's differences.
const (
	CauseNone      = ""
	CauseParameter = "parameter" // a parameter was set for the replay
	CauseBuild     = "build"     // another build decided than the one that was recorded
	CauseUnknown   = "unknown"   // the same build and inputs decided otherwise: a defect
)

// Replayed is the outcome of a replay.
type Replayed struct {
	Account     portfolio.AccountID `json:"account"`
	Run         string              `json:"run"`
	Same        bool                `json:"same"`
	Cause       string              `json:"cause"`
	Differences []Difference        `json:"differences"`
}

// ReplayRequest asks for an account's decision again. Settings change the account's policy first.
type ReplayRequest struct {
	Account  portfolio.AccountID
	Run      string
	Build    string // that replays
	Settings []Setting
}

// ErrSetting is wrapped where a setting of a replay names no parameter, or has no such value. The
// command reports it as a fault of usage.
var ErrSetting = errors.New("not a parameter of an account")

// Replay decides an account's household again from the recorded inputs and the recorded market, and
// compares the account's part with what was recorded. Nothing that was corrected or imported since
// plays a part.
func Replay(ctx context.Context, records Records, q ReplayRequest) (Replayed, error) {
	recorded, err := records.Recorded(ctx, q.Account, q.Run)
	if err != nil {
		return Replayed{}, err
	}
	now, err := decideAgain(recorded, q.Settings)
	if err != nil {
		return Replayed{}, fmt.Errorf("account %s in run %s: %w", q.Account, q.Run, err)
	}
	differences, err := differ(recorded.Record, now)
	if err != nil {
		return Replayed{}, fmt.Errorf("account %s in run %s: %w", q.Account, q.Run, err)
	}
	if differences == nil {
		differences = []Difference{} // a list in JSON, also where it is empty
	}
	r := Replayed{Account: q.Account, Run: q.Run, Same: len(differences) == 0, Differences: differences}
	switch {
	case r.Same:
		r.Cause = CauseNone
	case len(q.Settings) > 0:
		r.Cause = CauseParameter
	case recorded.Run.Build != q.Build:
		r.Cause = CauseBuild
	default:
		r.Cause = CauseUnknown
	}
	return r, nil
}

func decideAgain(recorded Recorded, settings []Setting) (DecidedAccount, error) {
	text, err := Decompress(recorded.Input)
	if err != nil {
		return DecidedAccount{}, fmt.Errorf("recorded inputs: %w", err)
	}
	var l Loaded
	if err := json.Unmarshal(text, &l); err != nil {
		return DecidedAccount{}, fmt.Errorf("recorded inputs: %w", err)
	}
	if err := set(&l.Input, recorded.Account, settings); err != nil {
		return DecidedAccount{}, err
	}
	snapshot, err := LoadMarket(recorded.Market)
	if err != nil {
		return DecidedAccount{}, err
	}
	if recorded.Risk.Hash != "" {
		if l.Input.Risk, err = LoadRisk(recorded.Risk); err != nil {
			return DecidedAccount{}, err
		}
	}
	d, err := Decide(recorded.Run, l, snapshot)
	if err != nil {
		return DecidedAccount{}, err
	}
	return RecordOf(d, recorded.Account), nil
}

func set(in *rebalance.Input, account portfolio.AccountID, settings []Setting) error {
	for i := range in.Household.Accounts {
		a := &in.Household.Accounts[i]
		if a.ID != account {
			continue
		}
		for _, s := range settings {
			if slices.Contains(portfolio.PolicyKeys(), s.Key) || !slices.Contains(rebalance.SettingKeys(), s.Key) {
				if err := a.Policy.Set(s.Key, s.Value); err != nil {
					return fmt.Errorf("%w: %w", ErrSetting, err)
				}
			} else if err := in.Settings.Set(s.Key, s.Value); err != nil {
				return fmt.Errorf("%w: %w", ErrSetting, err)
			}
		}
	}
	return nil
}

// RecordOf returns an account's part of a decision in the form that is compared.
func RecordOf(d Decision, account portfolio.AccountID) DecidedAccount {
	r := DecidedAccount{Outcome: d.Outcome, Reason: d.Reason, Detail: d.Detail}
	for _, a := range d.Plan.Accounts {
		if a.Account == account {
			r = DecidedAccount{
				Detail: d.Detail, Outcome: string(a.Outcome), Reason: a.Reason.Code, Numbers: a.Reason.Numbers, Currency: a.Currency,
				Value: a.Value, CashBefore: a.CashBefore, CashAfter: a.CashAfter, DriftBefore: a.DriftBefore,
				DriftAfter: a.DriftAfter, Harvested: a.Harvested, DeniedAvoided: a.DeniedAvoided, TaxValue: a.TaxValue,
				Skipped: a.Skipped, Certificate: a.Certificate,
			}
		}
	}
	for _, o := range d.Orders {
		if o.Account == account {
			r.Orders = append(r.Orders, o.Export())
		}
	}
	slices.SortFunc(r.Orders, func(a, b orders.Export) int { return compareIDs(a.ID, b.ID) })
	return r
}

func compareIDs(a, b orders.ID) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// differ compares two records as JSON and returns what differs, in order of path.
func differ(recorded, now DecidedAccount) ([]Difference, error) {
	a, err := asJSON(recorded)
	if err != nil {
		return nil, err
	}
	b, err := asJSON(now)
	if err != nil {
		return nil, err
	}
	return compareJSON("", a, b)
}

func asJSON(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(text, &out)
}

// compareJSON walks two JSON values side by side. Absent, null and empty count as the same.
func compareJSON(path string, a, b any) ([]Difference, error) {
	if isEmpty(a) && isEmpty(b) {
		return nil, nil
	}
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			return compareObjects(path, x, y)
		}
	case []any:
		if y, ok := b.([]any); ok {
			return compareLists(path, x, y)
		}
	default:
		if a == b {
			return nil, nil
		}
	}
	recorded, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	now, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	return []Difference{{Path: path, Recorded: recorded, Now: now}}, nil
}

func isEmpty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(x) == 0
	case []any:
		return len(x) == 0
	}
	return false
}

func compareObjects(path string, a, b map[string]any) ([]Difference, error) {
	keys := maps.Clone(a)
	maps.Copy(keys, b)
	var all []Difference
	for _, k := range sortedKeys(keys) {
		d, err := compareJSON(path+"/"+k, a[k], b[k])
		if err != nil {
			return nil, err
		}
		all = append(all, d...)
	}
	return all, nil
}

// compareLists compares element by element. Elements that name themselves, by an "id" or a "symbol"
// that no other element of their list has, are matched by that name, the others by their place.
func compareLists(path string, a, b []any) ([]Difference, error) {
	return compareObjects(path, named(a), named(b))
}

func named(list []any) map[string]any {
	times := map[string]int{}
	for _, e := range list {
		times[nameOf(e)]++
	}
	all := make(map[string]any, len(list))
	for i, e := range list {
		name := nameOf(e)
		if name == "" || times[name] > 1 {
			name = strconv.Itoa(i)
		}
		all[name] = e
	}
	return all
}

// nameOf returns what an element of a list calls itself, or "".
func nameOf(element any) string {
	object, ok := element.(map[string]any)
	if !ok {
		return ""
	}
	for _, key := range []string{"id", "symbol"} {
		if name, ok := object[key].(string); ok {
			return name
		}
	}
	return ""
}
