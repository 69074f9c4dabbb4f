package region_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// mutants are changes of the engine itself, one line each; a scenario must notice every one.
var mutants = []struct{ name, file, old, new string }{
	{"purchases ignored", "deny.go", "denied := money.MinRat(sold, money.MinRat(bought, held))", "denied := money.MinRat(sold, held)"},
	{"holdings ignored", "deny.go", "denied := money.MinRat(sold, money.MinRat(bought, held))", "denied := money.MinRat(sold, bought)"},
	{"sold ignored", "deny.go", "denied := money.MinRat(sold, money.MinRat(bought, held))", "denied := money.MinRat(bought, held)"},
	{"full denial only", "deny.go", "s.Denied = s.Gross.Neg().Share(denied, sold)", "s.Denied = s.Gross.Neg()"},
	{"window open at its start", "deny.go", "u.moves[u.through(from-1)].acquired)", "u.moves[u.through(from)].acquired)"},
	{"window open at its end", "deny.go", "c.acquired = u.moves[u.through(to)]", "c.acquired = u.moves[u.through(to-1)]"},
	{"held a day too early", "deny.go", "c.held = u.moves[u.through(last)].shares", "c.held = u.moves[u.through(last-1)].shares"},
	{"registered part not lost", "deny.go", "s.Lost = s.Lost.Add(d.Amount)", "_ = s.Lost.Add(d.Amount)"},
	{"emptied pool goes on", "deny.go", "k := u.buyFrom(max(now, emptied) + 1)", "k := u.buyFrom(now + 1)"},
	{"joins at the sale without new shares", "deny.go", "if holdsNew && emptied <= now {", "_ = holdsNew\n\tif emptied <= now {"},
	{"circle for ever", "deny.go", "first, last = max(first, from), min(last, to)", "_, _ = max(first, from), min(last, to)"},
	{"split not scaled", "fold.go", "return shares.Div(f.factors[at].by)", "return shares"},
	{"every split told counts", "fold.go", "if isOther && f.factorOf(s.Symbol) == at && s.Ratio.Equal(e.Ratio) {", "if false && isOther {"},
	{"trade before a split not scaled", "fold.go", "shares = shares.Mul(s.Ratio)", "_ = s.Ratio"},
	{"commission of a sale ignored", "amounts.go", "return inHome(e.Amount, fx).Sub(inHome(e.Commission, commissionFX)), known", "_ = commissionFX; return inHome(e.Amount, fx), known"},
	{"negative cost kept", "pool.go", "u.Cost = money.Zero\n", "\n"},
	{"denied loss forgotten", "pool.go", "u.Cost = u.Cost.Add(cost).Add(f.pool.joins[i])", "u.Cost = u.Cost.Add(cost)"},
	{"pool for each account", "pool.go", "if !s.Sheltered {\n\t\taccount = \"\"\n\t}", ""},
	{"oversold at no cost", "pool.go", "s.Proceeds = proceeds.Share(shares, st.n)", "s.Proceeds = proceeds"},
	{"long a day early", "amounts.go", "(start + 1).AddYears", "start.AddYears"},
	{"long by 366 days", "amounts.go", "return day >= (start + 1).AddYears(r.LongAfterYears)", "return day-start >= 366"},
	{"tacking off", "wash.go", "p.Start -= o.Day - o.Start", ""},
	{"basis not adjusted", "wash.go", "p.Basis, p.isPriced = p.Basis.Add(denied), false", ""},
	{"IRA takes the loss over", "wash.go", "if s.Sheltered {\n\t\treturn\n\t}\n\tp.Basis", "p.Basis"},
	{"a share replaces twice", "wash.go", "p.Used = true", "p.Used = false"},
	{"same lot replaces", "wash.go", "if p.Lot == o.Lot {\n\t\treturn true\n\t}", ""},
	{"fills of an order are lots of their own", "wash.go", "return o.Order != \"\" && p.Order == o.Order && s.Account == o.Account", "return false"},
	{"window a day short before", "wash.go", "p.Acquired < o.Day-f.rules.window", "p.Acquired <= o.Day-f.rules.window"},
	{"window a day short after", "wash.go", "if o.Day+f.rules.window < day {", "if o.Day+f.rules.window <= day {"},
	{"fills of a sale match alone", "lots.go", "return f.lot.lastOf == nil ||", "return true || f.lot.lastOf == nil ||"},
	{"gains shrink losses", "years.go", "n.Deduction = money.Min(r.Netting.LossLimit, n.Net.Neg())", "n.Deduction = n.Net.Neg()"},
	{"deduction long-term first", "years.go", "short := n.STNet.Add(n.Deduction)", "short := n.STNet"},
	{"rest before the adjusted piece", "lots.go", "f.append(at, adjusted)\n", "defer f.append(at, adjusted)\n"},
	{"latest replacement first", "wash.go", "index := f.lot.fresh[k]", "index := f.lot.fresh[len(f.lot.fresh)-1-k]"},
	{"same day rule off", "matched.go", "[]func(d *disposal){f.matchSameDay, f.matchDaysAfter}", "[]func(d *disposal){f.matchDaysAfter}"},
	{"pool before later days", "matched.go", "[]func(d *disposal){f.matchSameDay, f.matchDaysAfter}", "[]func(d *disposal){f.matchSameDay}"},
}

// TestMutants builds the package with each mutant in place and wants the scenarios to fail. It takes
// minutes, so it runs where DAYBREAK_MUTANTS is set: in make check-long.
func TestMutants(t *testing.T) {
	if os.Getenv("DAYBREAK_MUTANTS") == "" {
		t.Skip("set DAYBREAK_MUTANTS=1 to run")
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutants {
		source := filepath.Join(dir, m.file)
		text, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), m.old) {
			t.Errorf("mutant %q: %s has no %q", m.name, m.file, m.old)
			continue
		}
		temp := t.TempDir()
		mutated, overlay := filepath.Join(temp, m.file), filepath.Join(temp, "overlay.json")
		replaced, _ := json.Marshal(map[string]map[string]string{"Replace": {source: mutated}})
		if err := os.WriteFile(mutated, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(overlay, replaced, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("go", "test", "-vet=off", "-overlay", overlay, "-run", "TestScenarios$", ".").CombinedOutput()
		switch {
		case strings.Contains(string(out), "build failed"):
			t.Errorf("mutant %q does not build: %s", m.name, out)
		case err == nil:
			t.Errorf("mutant %q: no scenario notices", m.name)
		}
	}
}
