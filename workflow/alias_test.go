package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"daybreak/money"
)

func TestPick(t *testing.T) {
	t.Parallel()
	live := Alias{Name: Live, Version: "v1"}
	for _, c := range []struct {
		name       string
		aliases    []Alias
		facts      Facts
		want, test string
		isNone     bool
	}{
		{"live alone", []Alias{live}, Facts{Household: "H1"}, "v1", "", false},
		{"a canary for all", []Alias{live, {Name: Canary, Version: "v2", ShareBP: 10_000}}, Facts{Household: "H1"}, "v2", "", false},
		{"a cohort that has it", []Alias{live, {Name: Canary, Version: "v2", Cohort: "region == 'CA' && value > dec('1000')"}},
			Facts{Household: "H1", Region: "CA", Value: money.MustParse("1000.01")}, "v2", "", false},
		{"a cohort that has not", []Alias{live, {Name: Canary, Version: "v2", Cohort: "region == 'CA' && value > dec('1000')"}},
			Facts{Household: "H1", Region: "CA", Value: money.MustParse("1000")}, "v1", "", false},
		{"a cohort that fails", []Alias{live, {Name: Canary, Version: "v2", Cohort: "1 / (accounts - 1) == 0"}}, Facts{Household: "H1", Accounts: 1}, "v1", "", false},
		{"a test beside live", []Alias{live, {Name: Test, Version: "v3", ShareBP: 10_000}}, Facts{Household: "H1"}, "v1", "v3", false},
		{"a test and no live", []Alias{{Name: Test, Version: "v3", ShareBP: 10_000}}, Facts{Household: "H1"}, "", "v3", true},
	} {
		r, err := NewRoutes("morning", c.aliases)
		if err != nil {
			t.Errorf("%s: NewRoutes: %v", c.name, err)
			continue
		}
		got, test, ok := r.Pick(c.facts)
		version := ""
		if test != nil {
			version = test.Version
		}
		if got.Version != c.want || version != c.test || ok == c.isNone {
			t.Errorf("%s: Pick = %s, %s, %v, want %s, %s", c.name, got.Version, version, ok, c.want, c.test)
		}
	}
}

func TestRoutesRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		aliases []Alias
	}{
		{"two live", []Alias{{Name: Live, Version: "a"}, {Name: Live, Version: "b"}}},
		{"another name", []Alias{{Name: "beta", Version: "a"}}},
		{"no version", []Alias{{Name: Live}}},
		{"a live share", []Alias{{Name: Live, Version: "a", ShareBP: 1}}},
		{"a canary for nobody", []Alias{{Name: Canary, Version: "a"}}},
		{"more than all", []Alias{{Name: Canary, Version: "a", ShareBP: 10_001}}},
		{"no expression", []Alias{{Name: Canary, Version: "a", Cohort: "region =="}}},
		{"no condition", []Alias{{Name: Canary, Version: "a", Cohort: "region"}}},
		{"no field", []Alias{{Name: Canary, Version: "a", Cohort: "age > 3"}}},
	} {
		if _, err := NewRoutes("morning", c.aliases); !errors.Is(err, ErrAlias) {
			t.Errorf("%s: NewRoutes = %v, want ErrAlias", c.name, err)
		}
	}
}

// TestShare counts households: a share has nearly its part of them, and a larger one has all of a
// smaller one's.
func TestShare(t *testing.T) {
	t.Parallel()
	const households, shareBP = 20_000, 1_000
	in, others := 0, 0
	for i := range households {
		id := fmt.Sprintf("H%06d", i)
		if Bucket("morning", id) < shareBP {
			in++
			if Bucket("deposit", id) < shareBP {
				others++
			}
		}
	}
	if in < 1_850 || in > 2_150 {
		t.Errorf("a share of %d bp has %d of %d households, want nearly 2000", shareBP, in, households)
	}
	if others < 120 || others > 280 {
		t.Errorf("%d of them are in another workflow's share too, want nearly 200", others)
	}
}

func TestAliasJSON(t *testing.T) {
	t.Parallel()
	const text = `{"alias":"canary","version":"v2","share_bp":250,"params":{"drift_max":"0.1"}}`
	var a Alias
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(a)
	if err != nil || string(again) != text || a.ShareText() != "2.5 %" {
		t.Errorf("Marshal = %s, %v, share %s, want %s and 2.5 %%", again, err, a.ShareText(), text)
	}
}
