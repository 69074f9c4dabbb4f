package workflow

import (
	"strings"
	"testing"
	"time"
)

// FuzzParse feeds documents to the parser: each gives problems with a place, a reason and a remedy,
// or a definition that begins and advances without a panic.
func FuzzParse(f *testing.F) {
	for _, name := range Definitions() {
		data, _ := Document(name)
		f.Add(data)
	}
	f.Add([]byte(smallDocument))
	for _, c := range checkCases {
		f.Add([]byte(c.document()))
	}
	actions := Builtin()
	f.Fuzz(func(t *testing.T, data []byte) {
		d, problems := Parse(data, actions)
		if (d == nil) != HasFault(problems) {
			t.Fatalf("Parse(%q) = %v with %v", data, d, problems)
		}
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Reason == "" || p.Remedy == "" || p.Check < CheckShape || p.Check > CheckRetries {
				t.Fatalf("Parse(%q): a problem without its parts: %+v", data, p)
			}
		}
		if d == nil {
			return
		}
		again, problems := Parse(d.Canonical, actions)
		if again == nil || again.Hash != d.Hash {
			t.Fatalf("Parse(canonical of %q) = %v, want the same definition", data, problems)
		}
		in, err := d.Begin(Instance{ID: "i", Household: "h", Context: []byte(`{}`)}, Env{Now: time.Unix(0, 0)})
		if err == nil {
			d.Advance(in, Result{Response: []byte(`{}`)}, Env{Now: time.Unix(1, 0)})
		}
	})
}

// fuzzScope is a scope with values of each type, and variables for it.
func fuzzScope(tb testing.TB) (*scope, *variables) {
	tb.Helper()
	d, problems := Parse([]byte(smallDocument), testActions)
	if d == nil {
		tb.Fatal(problems)
	}
	n := d.node("work")
	s, err := newScope(d, n.Action.Response)
	if err != nil {
		tb.Fatal(err)
	}
	in := Instance{ID: "i", Household: "h", Node: "work", Attempt: 1, Context: []byte(smallContext)}
	env := Env{Now: time.Date(2026, 3, 8, 6, 59, 0, 0, time.UTC), Functions: testFunctions}
	v := d.variables(&in, &env)
	v.out = object{t: n.Action.Response, raw: []byte(smallResponse)}
	return s, v
}

// FuzzExpression feeds texts to the compiler and evaluates what compiles: neither panics, and what an
// expression may cost bounds the time that it takes and the bytes that it gives.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"out.status == 'ok' && out.total > dec('1000')", "ctx.list.exists(x, x.name == 'a' && x.count > 1)",
		"at(ctx.day, '09:30', 'America/Toronto') + duration('5m')", "market.nextOpen('XTSE', now)",
		"[1,2,3].map(x, x * 2).filter(x, x > 2)", "ctx.list.map(x, ctx.list.map(y, x.name + y.name))",
		"'a' + 'b' + ctx.text", "ctx.text.matches('^(a+)+$')", "money.round(out.total / dec(3), 2)", "{'a': [1], 'b': [2]}['a'][0] == 1",
		"size(ctx.text) > 3 ? 'x' : string(out.total)", "has(ctx.more) && ctx.more", "timestamp('2026-01-01T00:00:00Z') < now", "int('9223372036854775807') + 1",
		"-out.total * dec('1e3')", "1.5 / 0.0 > 1.0", "b'abc' == bytes(ctx.text)", "ctx.list[ctx.list.size() - 1].name", "type(ctx)", "params.rate + dec(1)",
		"[[[1]]].map(x, x.map(y, y.map(z, z)))", "ctx == ctx", "duration('1h').getHours()", "now.getHours('America/Toronto')",
	} {
		f.Add(text)
	}
	s, v := fuzzScope(f)
	f.Fuzz(func(t *testing.T, text string) {
		e, err := s.compile(text)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatalf("compile(%q) failed without a reason", text)
			}
			return
		}
		if e.Cost > costMax {
			t.Fatalf("compile(%q) may cost %d, at most %d", text, e.Cost, costMax)
		}
		out, err := e.eval(v)
		if err != nil {
			return
		}
		const bytesMax = 64 * costMax
		if raw, err := appendValue(nil, out, 0); err == nil && len(raw) > bytesMax {
			t.Fatalf("%q gave %d bytes, at most %d", text, len(raw), bytesMax)
		}
	})
}
