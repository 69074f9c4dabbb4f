package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var testNow = time.Date(2026, 3, 6, 14, 0, 0, 0, time.UTC)

// smallWith returns the small definition with one text replaced.
func smallWith(t *testing.T, old, replacement string) *Definition {
	t.Helper()
	if !strings.Contains(smallDocument, old) {
		t.Fatalf("the document has no %q", old)
	}
	d, problems := Parse([]byte(strings.Replace(smallDocument, old, replacement, 1)), testActions)
	if d == nil {
		t.Fatal(problems)
	}
	return d
}

// begun returns an instance of a definition at its start.
func begun(t *testing.T, d *Definition, env Env) Instance {
	t.Helper()
	in, err := d.Begin(Instance{ID: "I1", Household: "H1", Context: []byte(`{"text":"abc","day":"2026-03-09","list":[]}`)}, env)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func response(status string) Result {
	return Result{Response: []byte(`{"ok":true,"status":"` + status + `","total":"7.50"}`)}
}

func failing(code, message string) Result {
	return Result{Failure: Failure{Code: code, Message: message}}
}

func TestAdvance(t *testing.T) {
	t.Parallel()
	plain, elapsed := smallWith(t, "small", "small"), Result{Elapsed: true}
	past := smallWith(t, `"now + duration('5m')"`, `"at(ctx.day, '09:00', 'America/Toronto')", "past": "fail", "max_seconds": 86400`)
	continues := smallWith(t, `"now + duration('5m')"`, `"at(ctx.day, '09:00', 'America/Toronto')", "past": "continue", "max_seconds": 86400`)
	for _, c := range []struct {
		name    string
		d       *Definition
		now     time.Time
		results []Result
		state   State
		node    string
		outcome Outcome
		code    string
		due     time.Time
	}{
		{"a response", plain, testNow, []Result{response("ok")}, Done, "done", Moved, "", time.Time{}},
		{"the default", plain, testNow, []Result{response("bad")}, Failed, "failed", Failing, "BAD", time.Time{}},
		{"into a wait", plain, testNow, []Result{response("late")}, Waiting, "later", Moved, "", testNow.Add(5 * time.Minute)},
		{"out of it", plain, testNow, []Result{response("late"), elapsed}, Running, "work", Moved, "", time.Time{}},
		{"first retry", plain, testNow, []Result{failing(CodeUnavailable, "down")}, Waiting, "work", Retried, CodeUnavailable, testNow.Add(10 * time.Second)},
		{"the retry is due", plain, testNow, []Result{failing(CodeUnavailable, "down"), elapsed}, Running, "work", Resumed, "", time.Time{}},
		{"second retry, cut to the longest", plain, testNow, []Result{failing(CodeUnavailable, ""), elapsed, failing(CodeUnavailable, "")}, Waiting, "work", Retried, CodeUnavailable, testNow.Add(20 * time.Second)},
		{"no third", plain, testNow, []Result{failing(CodeUnavailable, ""), elapsed, failing(CodeUnavailable, ""), elapsed, failing(CodeUnavailable, "")}, Failed, "work", Failing, CodeUnavailable, time.Time{}},
		{"caught", plain, testNow, []Result{failing(CodeTimeout, "")}, Failed, "failed", Failing, "BAD", time.Time{}},
		{"not caught", plain, testNow, []Result{failing(CodePanic, "")}, Failed, "work", Failing, CodePanic, time.Time{}},
		{"no JSON", plain, testNow, []Result{{Response: []byte(`<html>`)}}, Failed, "work", Failing, CodeBadResponse, time.Time{}},
		{"a field is missing", plain, testNow, []Result{{Response: []byte(`{"ok":true,"status":"ok"}`)}}, Failed, "work", Failing, CodeBadResponse, time.Time{}},
		{"another type", plain, testNow, []Result{{Response: []byte(`{"ok":1,"status":"ok","total":"1"}`)}}, Failed, "work", Failing, CodeBadResponse, time.Time{}},
		{"no word of the enumeration", plain, testNow, []Result{response("great")}, Failed, "work", Failing, CodeBadResponse, time.Time{}},
		{"white space and another order", plain, testNow, []Result{{Response: []byte(` {"total" : "1", "status":"ok", "ok":true, "new": [1.5]} `)}}, Done, "done", Moved, "", time.Time{}},
		{"a response where none is due", plain, testNow, []Result{response("late"), response("ok")}, Waiting, "later", Refused, CodeBadState, testNow.Add(5 * time.Minute)},
		{"a wait over where none is", plain, testNow, []Result{elapsed}, Running, "work", Refused, CodeBadState, time.Time{}},
		{"a response after the end", plain, testNow, []Result{response("ok"), response("ok")}, Done, "done", Refused, CodeBadState, time.Time{}},
		{"a wait for tomorrow", past, testNow.AddDate(0, 0, 2), []Result{response("late")}, Failed, "later", Failing, CodeDeadline, time.Time{}},
		{"a wait too long", past, testNow, []Result{response("late")}, Failed, "later", Failing, CodeWaitTooLong, time.Time{}},
		{"a wait that is past", past, testNow.AddDate(0, 0, 4), []Result{response("late")}, Failed, "later", Failing, CodeWaitPast, time.Time{}},
		{"a wait that is past and goes on", continues, testNow.AddDate(0, 0, 4), []Result{response("late")}, Waiting, "later", Moved, "", testNow.AddDate(0, 0, 4)},
	} {
		env := Env{Now: c.now, Functions: testFunctions}
		in := begun(t, c.d, env)
		var step Step
		for _, r := range c.results {
			in, step = c.d.Advance(in, r, env)
		}
		if in.State != c.state || in.Node != c.node || step.Outcome != c.outcome || step.Failure.Code != c.code || !in.Due.Equal(c.due) {
			t.Errorf("%s: Advance = state %d at %s, outcome %d, %v, due %s, want state %d at %s, outcome %d, %s, due %s",
				c.name, in.State, in.Node, step.Outcome, step.Failure, in.Due, c.state, c.node, c.outcome, c.code, c.due)
		}
	}
}

func TestDeadline(t *testing.T) {
	t.Parallel()
	d := smallWith(t, "small", "small")
	in := begun(t, d, Env{Now: testNow})
	if want := testNow.Add(time.Hour); !in.Deadline.Equal(want) {
		t.Fatalf("Begin: deadline %s, want %s", in.Deadline, want)
	}
	for _, c := range []struct {
		name   string
		after  time.Duration
		result Result
		want   string
	}{
		{"an end in time", time.Hour - 1, response("ok"), ""},
		{"an end too late counts", time.Hour, response("ok"), ""},
		{"a wait that ends after it", 55*time.Minute + 1, response("late"), CodeDeadline},
		{"a wait that ends with it", 55 * time.Minute, response("late"), ""},
		{"a retry that is due before it", time.Hour - 10*time.Second - 1, failing(CodeUnavailable, ""), ""},
		{"a retry that is due with it keeps its own failure", time.Hour - 10*time.Second, failing(CodeUnavailable, ""), CodeUnavailable},
	} {
		got, step := d.Advance(in, c.result, Env{Now: testNow.Add(c.after)})
		code := ""
		if got.State == Failed {
			code = step.Failure.Code
		}
		if code != c.want {
			t.Errorf("%s: Advance failed with %q, want %q", c.name, code, c.want)
		}
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	d := smallWith(t, "small", "small")
	in := begun(t, d, Env{Now: testNow})
	got, err := d.Request(in, Env{Now: testNow})
	if want := `{"count":0,"text":"abc"}`; err != nil || string(got) != want {
		t.Errorf("Request = %s, %v, want %s", got, err, want)
	}
	in.State, in.Node = Done, "done"
	var f Failure
	if _, err := d.Request(in, Env{Now: testNow}); !errors.As(err, &f) || f.Code != CodeBadState {
		t.Errorf("Request at an end = %v, want %s", err, CodeBadState)
	}
}

func TestContextIsAssigned(t *testing.T) {
	t.Parallel()
	d := smallWith(t, "small", "small")
	in := begun(t, d, Env{Now: testNow})
	before := bytes.Clone(in.Context)
	got, _ := d.Advance(in, response("ok"), Env{Now: testNow})
	if want := `{"day":"2026-03-09","list":[],"text":"abc","total":"7.50"}`; string(got.Context) != want {
		t.Errorf("Advance: context %s, want %s", got.Context, want)
	}
	if !bytes.Equal(in.Context, before) {
		t.Errorf("Advance changed the context that it was given: %s", in.Context)
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	d := smallWith(t, `"out.status == 'ok'"`, `"params.rate * dec(2) < out.total"`)
	params, err := d.ParseParams([]byte(`{"rate": "3.75"}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		params map[string]any
		want   string
	}{{"by default", nil, "done"}, {"in force", params, "failed"}} {
		env := Env{Now: testNow, Params: c.params}
		if got, _ := d.Advance(begun(t, d, env), response("ok"), env); got.Node != c.want {
			t.Errorf("%s: Advance leads to %s, want %s", c.name, got.Node, c.want)
		}
	}
	for _, text := range []string{`{"rate": 3}`, `{"speed": "3"}`, `{"rate": "x"}`, `[]`} {
		if _, err := d.ParseParams([]byte(text)); !errors.Is(err, ErrValue) {
			t.Errorf("ParseParams(%s) = %v, want ErrValue", text, err)
		}
	}
}

func TestStepsAreBounded(t *testing.T) {
	t.Parallel()
	d := smallWith(t, `"timeout_seconds": 3600`, `"timeout_seconds": 34560000`)
	in, env := begun(t, d, Env{Now: testNow}), Env{Now: testNow}
	for n := 0; in.State != Failed; n++ {
		r := response("late")
		if in.State == Waiting {
			env.Now, r = in.Due, Result{Elapsed: true}
		}
		if in, _ = d.Advance(in, r, env); n > StepsMax {
			t.Fatalf("an instance that goes in circles took %d steps, want at most %d", n, StepsMax)
		}
	}
	if in.Failure.Code != CodeStepsMax {
		t.Errorf("Advance in circles failed with %v, want %s", in.Failure, CodeStepsMax)
	}
}

func TestJitter(t *testing.T) {
	t.Parallel()
	d := smallWith(t, `"max_delay_seconds": 20`, `"max_delay_seconds": 20, "jitter_strategy": "FULL"`)
	seen := map[time.Time]bool{}
	for _, id := range []string{"I1", "I2", "I3", "I4"} {
		in := begun(t, d, Env{Now: testNow})
		in.ID = id
		a, _ := d.Advance(in, failing(CodeUnavailable, ""), Env{Now: testNow})
		b, _ := d.Advance(in, failing(CodeUnavailable, ""), Env{Now: testNow})
		if !a.Due.Equal(b.Due) || !a.Due.After(testNow) || a.Due.After(testNow.Add(10*time.Second)) {
			t.Errorf("%s is due at %s and %s, want one instant within 10 s", id, a.Due, b.Due)
		}
		seen[a.Due] = true
	}
	if len(seen) < 3 {
		t.Errorf("4 instances are due at %d instants, want different ones", len(seen))
	}
}

func TestRestartAndPatch(t *testing.T) {
	t.Parallel()
	d, env := smallWith(t, "small", "small"), Env{Now: testNow}
	failed, _ := d.Advance(begun(t, d, env), failing(CodePanic, "boom"), env)
	again, err := d.Restart(failed, "work", env)
	if err != nil || again.State != Running || again.Attempt != 1 || again.Failure.Code != "" {
		t.Errorf("Restart = %+v, %v, want it Running at its first attempt", again, err)
	}
	if later, err := d.Restart(failed, "later", env); err != nil || later.State != Waiting || !later.Due.Equal(testNow.Add(5*time.Minute)) {
		t.Errorf("Restart at a wait = %+v, %v, want it Waiting for 5 minutes", later, err)
	}
	if _, err := d.Restart(failed, "nowhere", env); !errors.Is(err, ErrNoNode) {
		t.Errorf("Restart nowhere = %v, want ErrNoNode", err)
	}
	for _, c := range []struct {
		context string
		isOK    bool
	}{
		{`{"text":"x","day":"2026-03-09","list":[]}`, true},
		{`{"text":"x","day":"2026-02-29","list":[]}`, false},
		{`{"text":"x","list":[]}`, false},
		{`{"text":"x","day":"2026-03-09","list":[],"color":"red"}`, false},
		{`{"text":"` + strings.Repeat("x", 100) + `","day":"2026-03-09","list":[]}`, true},
		{`{"text":"` + strings.Repeat("x", 101) + `","day":"2026-03-09","list":[]}`, false},
	} {
		if _, err := d.Patch(failed, []byte(c.context)); (err == nil) != c.isOK || err != nil && !errors.Is(err, ErrValue) {
			t.Errorf("Patch(%.60s) = %v, want ok %v", c.context, err, c.isOK)
		}
	}
}

// TestCheckMove is check 12: instances that stand somewhere fit the new version, or not.
func TestCheckMove(t *testing.T) {
	t.Parallel()
	d := smallWith(t, "small", "small")
	env := Env{Now: testNow}
	atWork := begun(t, d, env)
	atLater, _ := d.Advance(atWork, response("late"), env)
	for _, c := range []struct {
		name    string
		changes []string // old and new texts in turn
		in      Instance
		want    string
	}{
		{"the same version", nil, atLater, ""},
		{"its node has another name", []string{`"later"`, `"after"`}, atLater, "not there any more"},
		{"another node has another name", []string{`"later"`, `"after"`}, atWork, ""},
		{"a field is shorter", []string{`"total": {"type": "string", "format": "decimal"}, "list"`, `"total": {"type": "string", "maxLength": 3}, "list"`, `"out.total"}`, `"string(out.ok)"}`}, atLater, "total"},
		{"it waits at a call", []string{`{"type": "wait", "until": "now + duration('5m')", "next": "work"}`, `{"type": "call", "action": "test.work", "next": "done"}`}, atLater, "no wait any more"},
		{"a field that is read later is not set", []string{`"text": "ctx.text"`, `"text": "string(ctx.more)"`, `["text", "day", "list"]`, `["text", "day", "list", "more"]`}, atLater, "ctx.more"},
	} {
		text := strings.NewReplacer(c.changes...).Replace(strings.Join(strings.Fields(smallDocument), " "))
		next, problems := Parse([]byte(text), testActions)
		if next == nil {
			t.Errorf("%s: %v", c.name, problems)
			continue
		}
		got := next.CheckMove(c.in)
		if (len(got) > 0) != (c.want != "") || len(got) > 0 && !strings.Contains(got[0].Reason, c.want) {
			t.Errorf("%s: CheckMove = %v, want %q", c.name, got, c.want)
		}
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ message, want string }{
		{"household H000012 has no price for VCN2", "household # has no price for #"},
		{"household H7 has no price for XIC", "household # has no price for XIC"},
		{`cannot read "a b" at 3:4`, `cannot read "…" at #`},
		{"", ""},
	} {
		if got := Signature(c.message); got != c.want {
			t.Errorf("Signature(%q) = %q, want %q", c.message, got, c.want)
		}
	}
}

// TestSameArgumentsSameStep advances instances by random results: twice the same, never a panic,
// and the context stays of its type.
func TestSameArgumentsSameStep(t *testing.T) {
	t.Parallel()
	d := smallWith(t, "small", "small")
	rapid.Check(t, func(t *rapid.T) {
		env := Env{Now: testNow, Functions: testFunctions}
		in, err := d.Begin(Instance{ID: rapid.String().Draw(t, "id"), Context: []byte(`{"text":"abc","day":"2026-03-09","list":[]}`)}, env)
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			r := rapid.SampledFrom([]Result{
				response("ok"), response("late"), response("bad"), {Elapsed: true}, failing(CodeUnavailable, "down 1"), failing(CodeTimeout, "x"), {Response: []byte(`{`)},
			}).Draw(t, "result")
			env.Now = env.Now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "seconds")) * time.Second)
			a, first := d.Advance(in, r, env)
			fresh := in
			fresh.Context, fresh.layout = bytes.Clone(in.Context), layout{}
			b, second := d.Advance(fresh, r, env)
			a.layout, b.layout = layout{}, layout{}
			if x, y := asJSON(t, a, first), asJSON(t, b, second); x != y {
				t.Fatalf("Advance twice = %s and %s", x, y)
			}
			if err := d.Context.check(a.Context); err != nil {
				t.Fatalf("Advance left the context %s: %v", a.Context, err)
			}
			in = a
		}
	})
}

func asJSON(t *rapid.T, values ...any) string {
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
