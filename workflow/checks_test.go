package workflow

import (
	"fmt"
	"strings"
	"testing"
)

// checkCase is smallDocument with one text replaced, and the check that finds it.
type checkCase struct {
	name     string
	old, new string
	want     Check  // 0: no problem at all
	reason   string // part of it
}

func (c checkCase) document() string {
	if c.old == "" {
		return smallDocument
	}
	if !strings.Contains(smallDocument, c.old) {
		panic(fmt.Sprintf("%s: the document has no %q", c.name, c.old))
	}
	return strings.Replace(smallDocument, c.old, c.new, 1)
}

const (
	conditionOK  = `{"condition": "out.status == 'ok'", "next": "done"}`
	twoChoices   = conditionOK + `, {"condition": "out.status == 'late'", "next": "later"}], "default": "failed"`
	laterNode    = `"later": {"type": "wait", "until": "now + duration('5m')", "next": "work"}`
	argumentText = `"arguments": {"text": "ctx.text", "count": "size(ctx.list)"}`
)

// checkCases are documents that fail one check, each with the nearest ones that pass.
var checkCases = []checkCase{
	{"as it is", "", "", 0, ""},

	{"1 no JSON", `"name": "small",`, `"name": "small"`, CheckShape, "comma"},
	{"1 a second document", `"cause": "It was bad."}}}`, `"cause": "It was bad."}}} {}`, CheckShape, "follows"},
	{"1 a field that is not there", `"name": "small",`, `"name": "small", "color": "red",`, CheckShape, `no field "color"`},
	{"1 the comment that is", `"name": "small",`, `"name": "small", "comment": "red",`, 0, ""},
	{"1 another kind", `"timeout_seconds": 3600`, `"timeout_seconds": "3600"`, CheckShape, "a text"},
	{"1 too small", `"timeout_seconds": 3600`, `"timeout_seconds": 0`, CheckShape, "is 0"},
	{"1 the smallest", `"timeout_seconds": 3600`, `"timeout_seconds": 301`, 0, ""},
	{"1 next beside choices", `"default": "failed"`, `"next": "failed"`, CheckShape, "next beside choices"},
	{"1 an end without its code", `"error": "BAD", `, ``, CheckShape, "lacks error"},
	{"1 a backoff rate below one", `"backoff_rate": "3"`, `"backoff_rate": "0.9"`, CheckShape, "backoff_rate"},
	{"1 a backoff rate of one", `"backoff_rate": "3"`, `"backoff_rate": "1"`, 0, ""},

	{"2 no start", `"start_at": "work"`, `"start_at": "walk"`, CheckReferences, `"walk"`},
	{"2 no next", `"next": "done"}`, `"next": "gone"}`, CheckReferences, `"gone"`},
	{"2 no action", `"test.work"`, `"test.walk"`, CheckReferences, `"test.walk"`},
	{"2 a node twice", laterNode, laterNode + ", " + laterNode, CheckReferences, "twice"},
	{"2 another node like it", laterNode, laterNode + ", " + strings.Replace(laterNode, "later", "later2", 1), CheckReachable, "no way leads here"},
	{"2 required, but no property", `["text", "day", "list"]`, `["text", "day", "list", "lot"]`, CheckReferences, `"lot"`},
	{"2 required, and one", `["text", "day", "list"]`, `["text", "day", "list", "more"]`, 0, ""},
	{"2 longer than the action takes", argumentText, argumentText + `, "timeout_seconds": 61`, CheckReferences, "at most 60"},
	{"2 as long", argumentText, argumentText + `, "timeout_seconds": 60`, 0, ""},
	{"2 more than the action takes", argumentText, argumentText + `, "max_batch": 11`, CheckReferences, "at most 10"},
	{"2 as many", argumentText, argumentText + `, "max_batch": 10`, 0, ""},

	{"3 a node beside", laterNode, laterNode + `, "beside": {"type": "terminal", "status": "succeeded"}`, CheckReachable, "no way leads here"},
	{"3 led to", `"default": "failed"},`, `"default": "beside"}, "beside": {"type": "terminal", "status": "succeeded"},`, 0, ""},

	{"4 a wait for itself", `"next": "work"}`, `"next": "later"}`, CheckEnds, "to an end"},
	{"4 a wait for an end", `"next": "work"}`, `"next": "done"}`, 0, ""},

	{"5 no default", twoChoices, conditionOK + `, {"condition": "out.status == 'late'", "next": "later"}]`, CheckTotal, "no default"},
	{"5 every value", twoChoices, conditionOK + `, {"condition": "out.status == 'late'", "next": "later"}, {"condition": "out.status == 'bad'", "next": "failed"}]`, 0, ""},
	{"5 every value in two", twoChoices, conditionOK + `, {"condition": "out.status == 'late'", "next": "later"}, {"condition": "out.status in ['bad', 'ok']", "next": "failed"}]`, 0, ""},
	{"5 every value, by or", twoChoices, `{"condition": "out.status == 'ok' || 'bad' == out.status", "next": "failed"}, {"condition": "out.status == 'late'", "next": "later"}]`, CheckReachable, "no way leads"},
	{"5 true and false", twoChoices, `{"condition": "out.ok", "next": "done"}, {"condition": "!out.ok", "next": "later"}]`, 0, ""},
	{"5 true alone", twoChoices, `{"condition": "out.ok", "next": "done"}]`, CheckTotal, "no default"},
	{"5 a default beside every value", twoChoices, `{"condition": "out.ok", "next": "done"}, {"condition": "!out.ok", "next": "later"}], "default": "failed"`, CheckTotal, "never taken"},
	{"5 never", `"out.status == 'late'"`, `"1 == 2"`, CheckTotal, "never holds"},
	{"5 always", twoChoices, `{"condition": "true", "next": "later"}, ` + conditionOK + `], "default": "failed"`, CheckTotal, "never taken"},

	{"6 work for work", `"default": "failed"}`, `"default": "work"}`, CheckCycles, "without a wait"},
	{"6 a circle without an end of time", `"timeout_seconds": 3600,`, ``, CheckCycles, "nothing ends it"},

	{"7 no expression", `"ctx.text"`, `"ctx."`, CheckTypes, "Syntax error"},
	{"7 a bracket that is open", `"ctx.text"`, `"(((ctx.text))"`, CheckTypes, "not closed"},
	{"7 brackets that are closed", `"ctx.text"`, `"(((ctx.text)))"`, 0, ""},
	{"7 brackets too deep", `"ctx.text"`, `"` + strings.Repeat("(", 25) + `ctx.text` + strings.Repeat(")", 25) + `"`, CheckTypes, "deeper than 24"},
	{"7 brackets as deep as can be", `"ctx.text"`, `"` + strings.Repeat("(", 24) + `ctx.text` + strings.Repeat(")", 24) + `"`, 0, ""},
	{"7 no variable", `"ctx.text"`, `"context.text"`, CheckTypes, "undeclared reference"},
	{"7 no field", `"ctx.text"`, `"ctx.test"`, CheckTypes, "undefined field"},
	{"7 another type", `"ctx.text"`, `"size(ctx.text)"`, CheckTypes, "is a string"},
	{"7 as text", `"ctx.text"`, `"string(size(ctx.text))"`, 0, ""},
	{"7 a decimal and a number", `"out.status == 'late'"`, `"out.total > 5"`, CheckTypes, "no matching overload"},
	{"7 two decimals", `"out.status == 'late'"`, `"out.total > dec('5')"`, 0, ""},
	{"7 no condition", `"out.status == 'late'"`, `"out.total"`, CheckTypes, "not a bool"},
	{"7 no argument", argumentText, `"arguments": {"texts": "ctx.text"}`, CheckTypes, "no field texts"},
	{"7 read before it is set", `"ctx.text"`, `"string(ctx.total)"`, CheckTypes, "not every way here has set it"},
	{"7 asked for first", `"ctx.text"`, `"has(ctx.total) ? string(ctx.total) : ''"`, 0, ""},
	{"7 read after it is set", `"out.status == 'late'"`, `"ctx.total > dec('5')"`, 0, ""},
	{"7 the response in a request", `"ctx.text"`, `"out.status"`, CheckTypes, "undeclared reference"},
	{"7 a zone of the machine", `"ctx.text"`, `"string(now.getHours('America/Toronto'))"`, CheckTypes, "depends on the machine"},
	{"7 a zone that is given", `"ctx.text"`, `"clock(now, 'America/Toronto')"`, 0, ""},
	{"7 a default of another type", `"default": "0.5"`, `"default": "half"`, CheckTypes, "no decimal"},
	{"7 a word of no enumeration", `"out.status == 'late'"`, `"params.rate == dec('x')"`, 0, ""},

	{"8 a loop in a loop over many", `"out.status == 'late'"`, `"out.items.exists(a, out.items.exists(b, a.name == b.name))"`, CheckCost, "may cost"},
	{"8 a loop in a loop over few", `"out.status == 'late'"`, `"ctx.list.exists(a, ctx.list.exists(b, a.name == b.name))"`, 0, ""},
	{"8 three loops", `"out.status == 'late'"`, `"ctx.list.exists(a, ctx.list.exists(b, ctx.list.exists(c, a == c)))"`, CheckTypes, "nesting"},

	{"9 a write without a key", `"test.work", ` + argumentText + `, "assign": {"total": "out.total"}`, `"test.write", "arguments": {"text": "ctx.text"}`, CheckKeys, "no idempotency_key"},
	{"9 a key of each attempt", `"test.work", ` + argumentText + `, "assign": {"total": "out.total"}`, `"test.write", "arguments": {"text": "ctx.text"}, "idempotency_key": "instance.id + string(instance.attempt)"`, CheckKeys, "at each attempt"},
	{"9 a key of all", `"test.work", ` + argumentText + `, "assign": {"total": "out.total"}`, `"test.write", "arguments": {"text": "ctx.text"}, "idempotency_key": "'key'"`, CheckKeys, "every instance"},

	{"10 always past", `now + duration('5m')`, `now - duration('5m')`, CheckWaits, "always past"},
	{"10 perhaps past", `now + duration('5m')`, `at(ctx.day, '09:30', 'America/Toronto')`, CheckWaits, "may be past"},
	{"10 perhaps for ever", `now + duration('5m')"`, `at(ctx.day, '09:30', 'America/Toronto')", "past": "continue"`, CheckWaits, "for ever"},
	{"10 with its bounds", `now + duration('5m')"`, `at(ctx.day, '09:30', 'America/Toronto')", "past": "continue", "max_seconds": 86400`, 0, ""},
	{"10 the next opening", `now + duration('5m')`, `market.nextOpen('XTSE', now) + duration('5m')`, 0, ""},
	{"10 before the next opening", `now + duration('5m')`, `market.nextOpen('XTSE', now) - duration('5m')`, CheckWaits, "may be past"},
	{"10 one of two", `now + duration('5m')`, `ctx.text == '' ? now : market.nextOpen('XTSE', now)`, 0, ""},

	{"11 attempts beyond the session", `"max_attempts": 2, "interval_seconds": 10, "backoff_rate": "3", "max_delay_seconds": 20`, `"max_attempts": 4, "interval_seconds": 5776, "backoff_rate": "1", "max_delay_seconds": 90000`, CheckRetries, "a session"},
	{"11 attempts within it", `"max_attempts": 2, "interval_seconds": 10, "backoff_rate": "3", "max_delay_seconds": 20`, `"max_attempts": 4, "interval_seconds": 5775, "backoff_rate": "1", "max_delay_seconds": 90000`, 0, ""},
}

func TestChecks(t *testing.T) {
	t.Parallel()
	for _, c := range checkCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d, problems := Parse([]byte(c.document()), testActions)
			if c.want == 0 {
				if d == nil || len(problems) > 0 {
					t.Fatalf("Parse = %v, want no problem", problems)
				}
				return
			}
			if d != nil || len(problems) == 0 {
				t.Fatalf("Parse found nothing, want %s", c.want)
			}
			found := false
			for _, p := range problems {
				found = found || p.Check == c.want && strings.Contains(p.Reason, c.reason)
				if p.Line < 1 || p.Remedy == "" {
					t.Errorf("a problem without line or remedy: %+v", p)
				}
			}
			if !found {
				t.Errorf("Parse = %v, want check %s with %q", problems, c.want, c.reason)
			}
		})
	}
}

func TestProblemPlace(t *testing.T) {
	t.Parallel()
	_, problems := Parse([]byte("{\n \"name\": \"small\",\n \"start_at\": \"a\", \"context\": {\"type\": \"object\", \"properties\": {}},\n \"nodes\": {\"a\": {\"type\": \"wait\",\n  \"until\": \"now + dura('5m')\", \"next\": \"b\"}, \"b\": {\"type\": \"terminal\", \"status\": \"succeeded\"}}}"), testActions)
	if len(problems) != 1 || problems[0].Line != 5 || problems[0].Column != 23 || problems[0].Node != "a" {
		t.Errorf("Parse = %v, want one problem at 5:23, node a", problems)
	}
}
