package filter

import (
	"errors"
	"strings"
	"testing"

	"daybreak/money"
)

var fields = []Field{{"side", Text, ""}, {"notional", Decimal, ""}, {"accounts", Number, ""}, {"held", Bool, ""}}

func TestMatch(t *testing.T) {
	row := map[string]any{"side": "sell", "notional": money.MustParse("5000"), "accounts": int64(3), "held": false}
	tests := []struct {
		text string
		want bool
	}{
		{`side == "sell" && notional < dec("5000")`, false},
		{`side == "sell" && notional <= dec("5000")`, true},
		{`notional > dec("4999.999999999999")`, true},
		{`notional > dec("5000")`, false},
		{`notional >= dec("5000.00")`, true},
		{`notional == dec("5000.0")`, true},
		{`notional != dec("5000")`, false},
		{`accounts >= 3 && !held`, true},
		{`side in ["buy", "short"]`, false},
		{`side.startsWith("s") ? accounts == 3 : held`, true},
	}
	for _, tt := range tests {
		f, err := Compile(tt.text, fields)
		if err != nil {
			t.Errorf("Compile(%s) = %v", tt.text, err)
			continue
		}
		if got, err := f.Match(row); got != tt.want || err != nil {
			t.Errorf("Match(%s) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"unknown field", `symbol == "VTI"`, "undeclared reference to 'symbol'"},
		{"unlike types", `notional < 5000`, "no matching overload"},
		{"no filter", `notional`, "gives a decimal, not true or false"},
		{"no expression", `side ==`, "Syntax error"},
		{"too long", strings.Repeat(" ", textMax) + "held", "characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Compile(tt.text, fields)
			if !errors.Is(err, ErrFilter) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Compile(%s) = %v, want ErrFilter with %q", tt.text, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") {
				t.Errorf("Compile(%s) = %q, want one line", tt.text, err)
			}
		})
	}
	_, err := Compile(`symbol == "VTI"`, fields)
	if want := `notional (decimal, as dec("12.50"))`; !strings.Contains(err.Error(), want) {
		t.Errorf("Compile with an unknown field = %v, want it to list %s", err, want)
	}
}

func TestMatchIsBounded(t *testing.T) {
	f, err := Compile(`[1,2,3,4,5,6,7,8,9].all(a, [1,2,3,4,5,6,7,8,9].all(b, [1,2,3,4,5,6,7,8,9].all(c, [1,2,3,4,5,6,7,8,9].all(d, a+b+c+d > 0))))`, fields)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Match(map[string]any{"side": "", "notional": money.Zero, "accounts": int64(0), "held": false}); err == nil {
		t.Error("Match of an expression of 6,561 comparisons = nil, want the cost limit")
	}
}

func TestMatchOfABadNumber(t *testing.T) {
	f, err := Compile(`notional < dec("1e400")`, fields)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Match(map[string]any{"side": "", "notional": money.Zero, "accounts": int64(0), "held": false}); err == nil {
		t.Error(`Match with dec("1e400") = nil, want an error`)
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`side == "sell" && notional < dec("5000")`)
	f.Add(`dec(`)
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := Compile(text, fields); err != nil && !errors.Is(err, ErrFilter) {
			t.Errorf("Compile(%q) = %v, want ErrFilter", text, err)
		}
	})
}
