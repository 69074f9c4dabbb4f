package access

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"daybreak/orders"
	"daybreak/pipeline"
)

// reviewStates are the states of an order for a person, and runStates those of a run.
var (
	reviewStates = []string{"Proposed", "Flagged", "Held", "Approved", "Submitted", string(orders.PendingNew), string(orders.New),
		string(orders.PartiallyFilled), string(orders.Filled), string(orders.Canceled), string(orders.Rejected)}
	runStates = []string{string(pipeline.RunStarted), string(pipeline.RunPaused), string(pipeline.RunFinished), string(pipeline.RunCanceled)}
)

// TestTableIsAsDocumented wants docs/security.md to hold the table of permissions as it is: a change of
// who may do what is a change of that page.
func TestTableIsAsDocumented(t *testing.T) {
	var b strings.Builder
	b.WriteString("| action |")
	for _, r := range Roles {
		fmt.Fprintf(&b, " %s |", r)
	}
	b.WriteString(" states | firm |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, rule := range Rules {
		fmt.Fprintf(&b, "| %s |", rule.Action)
		for _, r := range Roles {
			mark := ""
			if rule.Allows([]Role{r}) {
				mark = "yes"
			}
			fmt.Fprintf(&b, " %s |", mark)
		}
		states, firm := "any", ""
		if len(rule.States) > 0 {
			states = strings.Join(rule.States, ", ")
		}
		if rule.Firm {
			firm = "yes"
		}
		fmt.Fprintf(&b, " %s | %s |\n", states, firm)
	}
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), b.String()) {
		t.Errorf("docs/security.md does not hold this table:\n%s", b.String())
	}
}

// TestEveryCell walks role × action × state × books: allowed is what the row names and nothing else.
func TestEveryCell(t *testing.T) {
	cells := 0
	for _, rule := range Rules {
		for _, role := range append(slices.Clone(Roles), "", "root") {
			for _, state := range slices.Concat([]string{""}, reviewStates, runStates, []string{"nonsense"}) {
				for _, books := range [][]string{nil, {"north"}} {
					p := &Person{Name: "x", Roles: []Role{role}, Books: books}
					want := Allowed
					switch {
					case !slices.Contains(rule.Roles, role):
						want = NotRole
					case rule.Firm && books != nil:
						want = NotBook
					case state != "" && len(rule.States) > 0 && !slices.Contains(rule.States, state):
						want = NotState
					}
					cells++
					if got := Judge(p, rule.Action, state); got != want {
						t.Errorf("Judge(%s of %v, %s, %q) = %d, want %d", role, books, rule.Action, state, got, want)
					}
				}
			}
		}
		if got := Judge(nil, rule.Action, ""); got != NoPerson {
			t.Errorf("Judge(nobody, %s) = %d, want %d", rule.Action, got, NoPerson)
		}
	}
	if want := len(Rules) * (len(Roles) + 2) * (2 + len(reviewStates) + len(runStates)) * 2; cells != want {
		t.Errorf("%d cells were looked at, want %d", cells, want)
	}
}

func TestRules(t *testing.T) {
	seen := map[Action]bool{}
	for _, r := range Rules {
		if seen[r.Action] || len(r.Roles) == 0 {
			t.Errorf("action %s has two rows, or is nobody's", r.Action)
		}
		seen[r.Action] = true
	}
	if got := Judge(&Person{Roles: Roles}, "unknown", ""); got != NotRole {
		t.Errorf("Judge(all roles, an unknown action) = %d, want %d", got, NotRole)
	}
	for _, a := range []Action{Approve, Override, Submit, Hold, Release, Reject} {
		for _, r := range []Role{Viewer, Ops, Admin, Auditor} {
			if Judge(&Person{Roles: []Role{r}}, a, "") == Allowed {
				t.Errorf("%s may %s: who keeps the system going must not trade", r, a)
			}
		}
	}
}

func TestContext(t *testing.T) {
	if Of(context.Background()) != nil || Books(context.Background()) != nil {
		t.Error("a context without a person has one")
	}
	ctx := With(context.Background(), &Person{Name: "mia", Books: []string{"north"}})
	if Of(ctx).Name != "mia" || !slices.Equal(Books(ctx), []string{"north"}) || Of(With(ctx, nil)) != nil {
		t.Errorf("Of(With(mia)) = %v of %v", Of(ctx), Books(ctx))
	}
}

func TestTokens(t *testing.T) {
	a, hash := NewTokenOf("mia.b")
	b, _ := NewTokenOf("mia.b")
	if a == b || len(a) < 40 || HashToken(a) != hash || NameOf(a) != "mia.b" || NameOf("dbk_x") != "" {
		t.Errorf("NewTokenOf = %s with %s, named %q", a, hash, NameOf(a))
	}
	for name, want := range map[string]bool{"north": true, "a_b-1": true, "": false, "no,rth": false, "North": false, "-a": false, strings.Repeat("a", 41): false} {
		if got := IsBook(name); got != want {
			t.Errorf("IsBook(%q) = %t, want %t", name, got, want)
		}
	}
}
