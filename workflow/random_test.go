package workflow

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// grammar has ways to write an expression of a type: each %x is an expression of the type x.
var grammar = map[byte][]string{
	'b': {"true", "out.ok", "has(ctx.more)", "%b && %b", "%b || %b", "!%b", "%i < %i", "%d >= %d", "%s == %s", "%t < %t", "%s.startsWith(%s)", "%s.matches('^a+$')",
		"%l.exists(x, x.count > %i)", "%l.all(x, x.name == %s)", "market.isOpen(%s, %t)", "%s in [%s, %s]", "(%b ? %b : %b)", "ctx.more"},
	'i': {"0", "1", "9223372036854775807", "instance.attempt", "size(%s)", "size(%l)", "(%i + %i)", "(%i * %i)", "(%i - %i)", "(%i / %i)", "(%i % %i)", "-(%i)", "(%b ? %i : %i)",
		"%l.map(x, x.count)[%i]", "ctx.byname[%s]", "ctx.list[%i].count"},
	's': {"''", "'aé'", "ctx.text", "ctx.day", "out.status", "(%s + %s)", "string(%i)", "string(%d)", "string(%t)", "(%b ? %s : %s)", "date(%t, 'America/Toronto')", "ctx.list[%i].name", "instance.id"},
	'd': {"dec('0')", "dec('99999999999999999999999999')", "out.total", "ctx.total", "params.rate", "(%d + %d)", "(%d - %d)", "(%d * %d)", "(%d / %d)", "-(%d)", "dec(%i)", "dec(%s)", "money.round(%d, %i)"},
	't': {"now", "ctx.since", "timestamp(%s)", "(%t + duration('5m'))", "market.nextOpen(%s, %t)", "at(%s, '09:30', 'America/Toronto')", "at(ctx.day, '02:30', 'America/Toronto')"},
	'l': {"ctx.list", "%l.filter(x, x.count < %i)", "(%l + %l)", "[ctx.list[%i]]"},
}

// written draws an expression of a type; deep ones end soon.
func written(t *rapid.T, kind byte, depth int) string {
	ways := grammar[kind]
	if depth <= 0 {
		ways = ways[:2]
		if kind == 'l' {
			ways = ways[:1]
		}
	}
	way := rapid.SampledFrom(ways).Draw(t, "way")
	text := ""
	for i := 0; i < len(way); i++ {
		if way[i] == '%' && i+1 < len(way) && way[i+1] != ' ' {
			i++
			text += written(t, way[i], depth-1)
			continue
		}
		text += way[i : i+1]
	}
	return text
}

// TestRandomExpressions evaluates expressions that a grammar makes: each is refused with a reason, or
// costs little and gives a value or an error.
func TestRandomExpressions(t *testing.T) {
	t.Parallel()
	s, v := fuzzScope(t)
	compiled, values := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		kind := rapid.SampledFrom([]byte("bisdtl")).Draw(t, "type")
		text := written(t, kind, rapid.IntRange(0, 5).Draw(t, "depth"))
		e, err := s.compile(text)
		if err != nil {
			if err.Error() == "" {
				t.Fatalf("compile(%q) failed without a reason", text)
			}
			return
		}
		compiled++
		if e.Cost > costMax {
			t.Fatalf("compile(%q) may cost %d, at most %d", text, e.Cost, costMax)
		}
		if out, err := e.eval(v); err == nil {
			values++
			again, err := e.eval(v)
			if err != nil {
				t.Fatalf("%q gave a value, then %v", text, err)
			}
			first, err := appendValue(nil, out, 0)
			second, errAgain := appendValue(nil, again, 0)
			if (err == nil) != (errAgain == nil) || !bytes.Equal(first, second) || len(first) > 64*costMax {
				t.Fatalf("%q gave %.200q, then %.200q", text, first, second)
			}
		}
	})
	if compiled == 0 || values == 0 {
		t.Errorf("%d expressions compiled and %d gave a value, want many", compiled, values)
	}
	t.Logf("%d compiled, %d gave a value", compiled, values)
}

// TestWorstExpression evaluates the longest expressions that the bounds allow, and looks at how much
// they give: what is refused is refused by its cost, not by the time it took.
func TestWorstExpression(t *testing.T) {
	t.Parallel()
	s, v := fuzzScope(t)
	for _, c := range []struct{ name, text string }{
		{"lists that double", "[ctx.text]" + repeated(".map(x, x + x)", 200)},
		{"texts that double", repeated("(", 20) + "ctx.text" + repeated(" + ctx.text)", 20)},
		{"loops over loops", "ctx.list.map(x, ctx.list.map(y, x.name + y.name))"},
		{"a long list", "[" + repeated("1, ", 900) + "1].map(x, x * 2).map(x, x * 2)"},
		{"a slow pattern", "ctx.text.matches('" + repeated("a?", 30) + repeated("a", 30) + "')"},
	} {
		e, err := s.compile(c.text)
		if err != nil {
			t.Logf("%s: refused: %v", c.name, err)
			continue
		}
		out, err := e.eval(v)
		if err != nil {
			continue
		}
		raw, err := appendValue(nil, out, 0)
		if err != nil || len(raw) > 64*costMax {
			t.Errorf("%s gave %d bytes, %v", c.name, len(raw), err)
		}
	}
}

func repeated(text string, n int) string {
	all := ""
	for range n {
		all += text
	}
	return all
}
