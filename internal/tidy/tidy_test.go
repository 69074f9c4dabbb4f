package tidy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestTree(t *testing.T) {
	t.Parallel()
	faults, err := Check("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// lines returns a function of n lines, its braces counted.
func lines(n int) string {
	return "func f() {\n" + strings.Repeat("\t_ = 1\n", n-2) + "}\n"
}

func TestRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		path string
		text string // after the package clause
		want string // rule that catches it, "" for none
	}{
		{"an import to the left", "region/a.go", `import _ "daybreak/money"`, ""},
		{"an import to the right", "money/a.go", `import _ "daybreak/region"`, "layers"},
		{"an import of a sub-package's parent", "rebalance/optimum/a.go", `import _ "daybreak/money"`, ""},
		{"a sub-package that looks up", "rebalance/optimum/a.go", `import _ "daybreak/orders"`, "layers"},
		{"the ledger knows no tax", "ledger/a.go", `import _ "daybreak/region"`, "layers"},
		{"the core knows no use case", "fills/a.go", `import _ "daybreak/pipeline"`, "layers"},
		{"the core knows no technology", "tlh/a.go", `import _ "daybreak/internal/postgres"`, "layers"},
		{"a definition of a workflow knows money", "workflow/a.go", `import _ "daybreak/money"`, ""},
		{"but no market", "workflow/a.go", `import _ "daybreak/market"`, "layers"},
		{"a use case knows the core", "pipeline/a.go", `import _ "daybreak/fills"`, ""},
		{"a use case knows no technology", "pipeline/a.go", `import _ "daybreak/internal/kafka"`, "layers"},
		{"a technology implements use cases", "internal/kafka/a.go", `import _ "daybreak/pipeline"`, ""},
		{"a technology knows no other one", "internal/kafka/a.go", `import _ "daybreak/internal/postgres"`, "layers"},
		{"a technology knows no simulation", "internal/web/a.go", `import _ "daybreak/sim"`, "layers"},
		{"the simulation knows technologies", "sim/a.go", `import _ "daybreak/internal/postgres"`, ""},
		{"a test helper starts a server", "internal/postgres/pgtest/a.go", `import _ "daybreak/internal/embedded"`, ""},
		{"the package beside it does not", "internal/postgres/a.go", `import _ "daybreak/internal/embedded"`, "layers"},
		{"a test may", "internal/postgres/a_test.go", `import _ "daybreak/internal/embedded"`, ""},
		{"nothing imports a command", "sim/a.go", `import _ "daybreak/cmd/daybreak"`, "layers"},
		{"not even a test", "sim/a_test.go", `import _ "daybreak/cmd/daybreak"`, "layers"},
		{"a package of no layer", "util/a.go", ``, "layers"},
		{"a name that only begins like a layer", "moneybags/a.go", ``, "layers"},

		{"files in the core", "money/a.go", `import _ "os"`, "purity"},
		{"programs in the core", "money/a.go", `import _ "os/exec"`, "purity"},
		{"random in the core", "tlh/a.go", `import _ "math/rand/v2"`, "purity"},
		{"logs in the core", "tlh/a.go", `import _ "log/slog"`, "purity"},
		{"a context in the core", "orders/a.go", `import _ "context"`, "purity"},
		{"mathematics in the core", "money/a.go", `import _ "math/bits"`, ""},
		{"files in a test of the core", "money/a_test.go", `import _ "os"`, ""},
		{"files in the shell", "internal/web/a.go", `import _ "os"`, ""},
		{"the clock in the core", "fills/a.go", "import \"time\"\nvar t = time.Now()", "purity"},
		{"the clock under another name", "fills/a.go", "import clock \"time\"\nvar t = clock.Since", "purity"},
		{"a timer in the core", "fills/a.go", "import \"time\"\nvar t = time.NewTimer(1)", "purity"},
		{"a date in the core", "fills/a.go", "import \"time\"\nvar t = time.Date(1, 1, 1, 1, 1, 1, 1, time.UTC)", ""},
		{"a channel in the core", "region/a.go", "var c chan int", "purity"},
		{"a send in the core", "region/a.go", "func f(c any) { c <- 1 }", "purity"},
		{"a receive in the core", "region/a.go", "func f(c any) { <-c }", "purity"},
		{"a select in the core", "region/a.go", "func f() { select {} }", "purity"},
		{"a goroutine in the core", "region/a.go", "func f() { go f() }", "purity goroutines"},

		{"a float in the core", "region/a.go", "var x float64", "floats"},
		{"a short float in the core", "region/a.go", "var x []float32", "floats"},
		{"a literal in the core", "region/a.go", "var x = 1.5", "floats"},
		{"a whole number in the core", "region/a.go", "var x = 15", ""},
		{"an exact number made a float", "region/a.go", "func f(d interface{ Float() }) { d.Float() }", "floats"},
		{"a float in the optimiser", "rebalance/optimum/a.go", "var x float64", ""},
		{"a float in the planner", "rebalance/a.go", "var x float64", ""},
		{"a float in the shell", "internal/web/a.go", "var x float64", ""},
		{"Float of money", "money/a.go", "type d struct{}\n// Float is.\nfunc (d) Float() float64 { return 1.5 }", ""},
		{"another float of money", "money/a.go", "func half() float64 { return 0.5 }", "floats floats"},

		{"rounding in the planner", "rebalance/a.go", "import \"math\"\nvar x = math.Round(1)", "rounding"},
		{"rounding in the optimiser", "rebalance/optimum/a.go", "import \"math\"\nvar x = math.Floor(1)", ""},
		{"a square root", "rebalance/a.go", "import \"math\"\nvar x = math.Sqrt(1)", ""},

		{"a goroutine in a use case", "pipeline/a.go", "func f() { go f() }", ""},
		{"a goroutine in the deployment", "deploy/a.go", "func f() { go f() }", "goroutines"},

		{"a function at the limit", "money/a.go", lines(functionLinesMax), ""},
		{"a function over it", "money/a.go", lines(functionLinesMax + 1), "sizes"},
		{"a test over it", "money/a_test.go", lines(functionLinesMax + 1), ""},
		{"parameters at the limit", "money/a.go", "func f(a, b, c, d, e int) {}", ""},
		{"parameters over it", "money/a.go", "func f(a, b, c, d, e int, f string) {}", "sizes"},
		{"parameters of a function value", "money/a.go", "var f func(a, b, c, d, e, f int)", "sizes"},
		{"a file at the limit", "money/a.go", strings.Repeat("\n", fileLinesMax-1), ""},
		{"a file over it", "money/a.go", strings.Repeat("\n", fileLinesMax), "sizes"},

		{"a function without a comment", "money/a.go", "func F() {}", "comments"},
		{"a comment with another name", "money/a.go", "// G is.\nfunc F() {}", "comments"},
		{"a comment with a longer name", "money/a.go", "// Far is.\nfunc F() {}", "comments"},
		{"a comment", "money/a.go", "// F is.\nfunc F() {}", ""},
		{"an article", "money/a.go", "// A Day is.\ntype Day int", ""},
		{"a type without a comment", "money/a.go", "type T int", "comments"},
		{"types under one comment", "money/a.go", "// Types.\ntype (\n\tT int\n\tU int\n)", ""},
		{"a type in a bare group", "money/a.go", "type (\n\tT int\n)", "comments"},
		{"a method without a comment", "money/a.go", "// T is.\ntype T int\nfunc (*T) M() {}", "comments"},
		{"a method of a hidden type", "money/a.go", "type t int\nfunc (t) M() {}", ""},
		{"a method of a generic type", "money/a.go", "// T is.\ntype T[K any] struct{}\nfunc (*T[K]) M() {}", "comments"},
		{"a constant without a comment", "money/a.go", "const C = 1", "comments"},
		{"constants under one comment", "money/a.go", "// Some.\nconst (\n\tC = 1\n\tD = 2\n)", ""},
		{"an error beside a comment", "money/a.go", "var (\n\tE = 1 // is\n)", ""},
		{"a hidden function", "money/a.go", "func f() {}", ""},
		{"a command's function", "cmd/daybreak/a.go", "func F() {}", "main"},

		{"a test that sleeps", "money/a_test.go", "import \"time\"\nfunc f() { time.Sleep(1) }", "sleeps"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			name := "x"
			if c.want == "main" {
				name, c.want = "main", ""
			}
			s, err := parse(c.path, "package "+name+"\n"+c.text)
			if err != nil {
				t.Fatal(err)
			}
			faults := s.faults()
			var got []string
			for _, f := range faults {
				got = append(got, f.Rule)
			}
			if !slices.Equal(got, strings.Fields(c.want)) {
				t.Errorf("faults(%s) = %v, want %q", c.path, faults, c.want)
			}
		})
	}
}

func TestPackageComment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		texts []string
		want  int
	}{
		{[]string{"// Package x is.\npackage x\n", "package x\n"}, 0},
		{[]string{"package x\n", "// Package x is.\npackage x\n"}, 0},
		{[]string{"package x\n", "package x\n"}, 1},
		{[]string{"// A note.\n\npackage x\n"}, 1},
	} {
		var sources []*source
		for i, text := range c.texts {
			s, err := parse(fmt.Sprintf("money/%d.go", i), text)
			if err != nil {
				t.Fatal(err)
			}
			sources = append(sources, s)
		}
		if got := packageFaults(sources); len(got) != c.want {
			t.Errorf("packageFaults(%q) = %v, want %d", c.texts, got, c.want)
		}
	}
}

// TestLayersHaveNoCycle walks the tables: what may import another one is never imported by it.
func TestLayersHaveNoCycle(t *testing.T) {
	t.Parallel()
	var all []string
	for _, table := range []map[string][]string{core, shell} {
		for row := range table {
			all = append(all, row)
		}
	}
	slices.Sort(all)
	for _, a := range all {
		for _, b := range all {
			if a < b && !within(b, a) && mayImport(a, b) && mayImport(b, a) {
				t.Errorf("%s and %s may import each other", a, b)
			}
		}
	}
}
