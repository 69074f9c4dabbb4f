package workflow

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"daybreak/money"
)

// The names of aliases, which say what a version is for: Live plans every household that is in no
// other one, Canary a part of them for real, Test a part beside its live version, without effects.
const (
	Live   = "live"
	Canary = "canary"
	Test   = "test"
)

// Alias names a version of a workflow and says for whom it is, as data.
type Alias struct {
	Name    string `json:"alias"`
	Version string `json:"version"` // hash of a definition
	// ShareBP is the part of all households, in basis points, that a hash of their ids picks. Raising
	// it adds households and drops none.
	ShareBP int `json:"share_bp,omitzero"`
	// Cohort is an expression over household, region, accounts and value; it adds to the share.
	Cohort string `json:"cohort,omitzero"`
	// Params are values of parameters instead of the version's defaults, a JSON object.
	Params RawParams `json:"params,omitzero"`
}

// RawParams is the JSON of parameters by name.
type RawParams []byte

// MarshalJSON returns the JSON as it is.
func (r RawParams) MarshalJSON() ([]byte, error) { return r, nil }

// UnmarshalJSON keeps the JSON.
func (r *RawParams) UnmarshalJSON(data []byte) error {
	*r = slices.Clone(data)
	return nil
}

// IsZero reports whether there is no JSON.
func (r RawParams) IsZero() bool { return len(r) == 0 }

// Facts are what a cohort may ask of a household.
type Facts struct {
	Household string
	Region    string // name of its tax rules
	Accounts  int
	Value     money.Dec // of all accounts, in its currency
}

// ErrAlias is wrapped where aliases contradict each other or name no cohort. Commands exit with 2.
var ErrAlias = errors.New("not an alias")

// shareMax is the whole in basis points.
const shareMax = 10_000

// Routes picks versions of one workflow for households. It is immutable and safe for concurrent use.
type Routes struct {
	workflow string
	aliases  []route
}

type route struct {
	Alias
	cohort *Cohort
}

// cohortOptions declare the fields of Facts.
func cohortOptions() []cel.EnvOption {
	return append(Decimals(),
		cel.ParserExpressionSizeLimit(textMax),
		cel.ParserRecursionLimit(nestingMax),
		cel.ParserErrorRecoveryLimit(1),
		cel.ExpressionNodeLimit(nodesMax),
		cel.RegexProgramSizeLimit(patternMax),
		cel.Variable("household", cel.StringType),
		cel.Variable("region", cel.StringType),
		cel.Variable("accounts", cel.IntType),
		cel.Variable("value", DecimalType),
	)
}

// NewRoutes returns the routes of a workflow's aliases, or ErrAlias, wrapped: there is one of each
// name at most, live has neither share nor cohort, the others have one of them.
func NewRoutes(workflow string, aliases []Alias) (*Routes, error) {
	r := &Routes{workflow: workflow}
	for _, name := range []string{Test, Canary, Live} {
		for _, a := range aliases {
			if a.Name != name {
				continue
			}
			if len(r.aliases) > 0 && r.aliases[len(r.aliases)-1].Name == name {
				return nil, fmt.Errorf("%s: %s is there twice: %w", workflow, name, ErrAlias)
			}
			one, err := a.compile()
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", workflow, name, err)
			}
			r.aliases = append(r.aliases, one)
		}
	}
	if len(r.aliases) != len(aliases) {
		return nil, fmt.Errorf("%s: an alias is none of live, canary and test: %w", workflow, ErrAlias)
	}
	return r, nil
}

func (a Alias) compile() (route, error) {
	one := route{Alias: a}
	switch {
	case a.Version == "":
		return one, fmt.Errorf("it names no version: %w", ErrAlias)
	case a.ShareBP < 0 || a.ShareBP > shareMax:
		return one, fmt.Errorf("a share of %d basis points, from 0 to %d: %w", a.ShareBP, shareMax, ErrAlias)
	case a.Name == Live && (a.ShareBP != 0 || a.Cohort != ""):
		return one, fmt.Errorf("it is for all households that no other one takes, and has a share or a cohort: %w", ErrAlias)
	case a.Name != Live && a.ShareBP == 0 && a.Cohort == "":
		return one, fmt.Errorf("it is for nobody: give it a share or a cohort: %w", ErrAlias)
	case a.Cohort == "":
		return one, nil
	}
	var err error
	if one.cohort, err = NewCohort(a.Cohort); err != nil {
		return one, fmt.Errorf("cohort %q: %w: %w", a.Cohort, err, ErrAlias)
	}
	return one, nil
}

// Cohort is an expression that says which households are in. It is safe for concurrent use.
type Cohort struct{ program cel.Program }

// NewCohort returns the cohort of an expression over household, region, accounts and value.
func NewCohort(text string) (c *Cohort, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			c, err = nil, fmt.Errorf("it cannot be planned: %v", cause)
		}
	}()
	if err := CheckText(text); err != nil {
		return nil, err
	}
	env, err := cel.NewEnv(cohortOptions()...)
	if err != nil {
		return nil, err
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, firstFault(issues)
	}
	if checked.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("it gives a %s, not true or false", checked.OutputType())
	}
	program, err := env.Program(checked, cel.CostLimit(costMax))
	return &Cohort{program}, err
}

// Has reports whether a household is in. One on which the expression fails is not.
func (c *Cohort) Has(f Facts) bool {
	out, _, err := c.program.Eval(map[string]any{"household": f.Household, "region": f.Region, "accounts": f.Accounts, "value": f.Value})
	return err == nil && out == types.True
}

// Bucket returns the number from 0 to 9,999 that a household has in a workflow: those below an
// alias's share are in it. Workflows shuffle households each in their own way.
func Bucket(workflow, household string) int { return int(hashOf(workflow, household) % shareMax) }

// takes reports whether a route is for a household.
func (r *route) takes(workflow string, f Facts) bool {
	if r.Name == Live || Bucket(workflow, f.Household) < r.ShareBP {
		return true
	}
	return r.cohort != nil && r.cohort.Has(f)
}

// Pick returns the alias whose version plans a household: canary where it is for it, else live; and
// the test alias that runs beside it, where there is one for it. It reports false where there is
// none that plans it.
func (r *Routes) Pick(f Facts) (chosen Alias, test *Alias, ok bool) {
	for i := range r.aliases {
		one := &r.aliases[i]
		if !one.takes(r.workflow, f) {
			continue
		}
		if one.Name == Test {
			test = &one.Alias
			continue
		}
		return one.Alias, test, true
	}
	return Alias{}, test, false
}

// ShareText returns a share as people read it, such as "2.5 %".
func (a Alias) ShareText() string {
	return strconv.FormatInt(int64(a.ShareBP/100), 10) + strings.TrimRight(strings.TrimRight(fmt.Sprintf(".%02d", a.ShareBP%100), "0"), ".") + " %"
}
