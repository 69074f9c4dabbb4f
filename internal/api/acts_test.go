package api_test

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"daybreak/internal/access"
	"daybreak/internal/api"
	"daybreak/pipeline"
)

// inState puts an order that nothing is open about into a state.
var inState = map[pipeline.ReviewState]string{
	pipeline.ReviewProposed:  "UPDATE trade_order SET state = 'Proposed' WHERE id = $1",
	pipeline.ReviewFlagged:   "UPDATE trade_order SET exception = 'STALE' WHERE id = $1",
	pipeline.ReviewHeld:      "UPDATE trade_order SET held_by = 'ana' WHERE id = $1",
	pipeline.ReviewApproved:  approveSQL,
	pipeline.ReviewSubmitted: "UPDATE trade_order SET released = true WHERE id = $1",
	"Rejected":               "UPDATE trade_order SET state = 'Rejected' WHERE id = $1",
	"New":                    "UPDATE trade_order SET state = 'New', released = true, sent = now() WHERE id = $1",
	"Filled":                 "UPDATE trade_order SET state = 'Filled', released = true, sent = now() WHERE id = $1",
}

const approveSQL = `WITH a AS (INSERT INTO approval (run, filter, orders, notional, root, maker, approver, decided)
	SELECT run, '', 1, '{}', 'r', 'scheduler', 'approver', now() FROM trade_order WHERE id = $1 RETURNING id, run)
	INSERT INTO approval_order (run, order_id, approval, content_hash)
	SELECT o.run, o.id, a.id, o.content_hash FROM trade_order o CROSS JOIN a WHERE o.id = $1`

const resetSQL = `UPDATE trade_order SET state = 'Proposed', exception = '', held_by = '', released = false, sent = NULL WHERE id = $1`

// TestEveryCellOfRoleActionAndState asks for every act on an order in every role and in every state.
func TestEveryCellOfRoleActionAndState(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := scalar[string](s, "SELECT min(id) FROM trade_order WHERE side = 'sell' AND held_by = '' AND exception = '' AND state = 'Proposed'")
	path := "/api/v1/runs/" + testRun + "/orders/" + id + "/"
	one := map[string]any{"where": fmt.Sprintf("id == %q", id)}
	ask := map[access.Action]func(who string) reply{
		access.Hold:    func(who string) reply { return s.call(who, "POST", path+"hold", map[string]any{}) },
		access.Release: func(who string) reply { return s.call(who, "POST", path+"release", map[string]any{}) },
		access.Reject:  func(who string) reply { return s.call(who, "POST", path+"reject", map[string]any{}) },
		access.Approve: func(who string) reply {
			root := "none"
			if p := s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals/preview", one); p.status == 200 {
				root = p.field("root")
			}
			return s.call(who, "POST", "/api/v1/runs/"+testRun+"/approvals", map[string]any{"where": one["where"], "root": root})
		},
	}
	cells := 0
	for action, do := range ask {
		for state, put := range inState {
			for _, role := range access.Roles {
				s.exec("DELETE FROM approval_order WHERE order_id = $1", id)
				s.exec(resetSQL, id)
				s.exec(put, id)
				if got := scalar[string](s, "SELECT review_state FROM order_review WHERE id = $1", id); got != string(state) {
					t.Fatalf("the order is %s, want %s", got, state)
				}
				r := do(string(role))
				verdict := access.Judge(&access.Person{Roles: []access.Role{role}}, action, string(state))
				cells++
				changed := r.status < 300 && !(action == access.Approve && r.field("orders") == "0")
				if r.status >= 500 || changed != (verdict == access.Allowed) || verdict == access.NotRole && r.status != 403 {
					t.Errorf("%s of an order that is %s by %s = %d, the table says %d\n%s", action, state, role, r.status, verdict, r.body)
				}
			}
		}
	}
	if want := len(ask) * len(inState) * len(access.Roles); cells != want {
		t.Errorf("%d cells were asked, want %d", cells, want)
	}
}

func TestWhoMadeARunCannotApproveIt(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.exec("UPDATE run SET maker = 'pm'")
	preview := s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals/preview", map[string]any{})
	s.want("preview", preview, 200, "")
	root := map[string]any{"root": preview.field("root")}
	s.want("approval by the maker", s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals", root), 409, api.CodeState)
	s.want("approval by another", s.call("approver", "POST", "/api/v1/runs/"+testRun+"/approvals", root), 201, "")
	if _, err := s.db.Pool().Exec(t.Context(), "UPDATE approval SET approver = maker"); err == nil {
		t.Error("the database lets one person make and approve")
	}
}

// TestClicksAreOneApproval sends the same approval 100 times, with DAYBREAK_LONG 1,000 times, from many
// clients at once: under one key, and under a key each.
func TestClicksAreOneApproval(t *testing.T) {
	t.Parallel()
	clicks := 100
	if os.Getenv("DAYBREAK_LONG") != "" {
		clicks = 1_000
	}
	s := open(t)
	path := "/api/v1/runs/" + testRun + "/approvals"
	root := s.call("pm", "POST", path+"/preview", map[string]any{"where": `side == "sell"`}).field("root")
	content := fmt.Sprintf(`{"where":"side == \"sell\"","root":%q}`, root)
	statuses := make([]int, clicks)
	var group sync.WaitGroup
	slots := make(chan struct{}, 64)
	for i := range clicks {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			request, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+path, strings.NewReader(content))
			request.Header.Set("Content-Type", "application/json")
			request.Header.Set("Authorization", "Bearer "+s.tokens["approver"])
			key := "one"
			if i%2 == 1 {
				key = fmt.Sprintf("click-%d", i)
			}
			request.Header.Set("Idempotency-Key", key)
			statuses[i] = s.send(request).status
		})
	}
	group.Wait()
	if n := scalar[int](s, "SELECT count(*) FROM approval"); n != 1 {
		t.Errorf("%d clicks made %d approvals, want 1", clicks, n)
	}
	if n := scalar[int](s, "SELECT count(*) FROM audit WHERE action = 'order.approve'"); n != 1 {
		t.Errorf("the audit trail holds %d approvals, want 1", n)
	}
	for _, status := range statuses {
		if status != 201 && status != 409 {
			t.Fatalf("a click = %d, want 201 or 409", status)
		}
	}
	if !slices.Contains(statuses, 201) {
		t.Error("no click was told of the approval")
	}
	if check, err := s.db.VerifyAudit(t.Context()); err != nil || !check.OK {
		t.Errorf("the audit trail after so many writers: %+v, %v", check, err)
	}
}

func TestAKeyStandsForOneRequest(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := scalar[string](s, "SELECT min(id) FROM trade_order WHERE held_by = '' AND exception = '' AND state = 'Proposed'")
	path := "/api/v1/runs/" + testRun + "/orders/" + id
	why := map[string]any{"comment": "wait"}
	s.want("a write without a key", s.call("pm", "POST", path+"/hold", why, "Idempotency-Key", ""), 400, api.CodeNoKey)
	first := s.call("pm", "POST", path+"/hold", why, "Idempotency-Key", "k")
	s.want("hold", first, 200, "")
	again := s.call("pm", "POST", path+"/hold", why, "Idempotency-Key", "k")
	s.want("the same again", again, 200, "")
	if string(again.body) != string(first.body) || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("the same request again is answered %s, %v, want the first answer", again.body, again.header)
	}
	s.want("another body under the key", s.call("pm", "POST", path+"/hold", map[string]any{"comment": "no"}, "Idempotency-Key", "k"), 409, api.CodeKeyReused)
	s.want("another path under the key", s.call("pm", "POST", path+"/release", why, "Idempotency-Key", "k"), 409, api.CodeKeyReused)
	s.want("another's key of the same name", s.call("approver", "POST", path+"/release", why, "Idempotency-Key", "k"), 200, "")
	if n := scalar[int](s, "SELECT count(*) FROM audit WHERE action IN ('order.hold', 'order.release')"); n != 2 {
		t.Errorf("%d acts were done, want 2", n)
	}
	s.want("a viewer's", s.call("viewer", "POST", path+"/hold", why, "Idempotency-Key", "v"), 403, api.CodeRole)
	s.exec("UPDATE person SET roles = '{pm}' WHERE name = 'viewer'")
	s.want("the same once the role allows it", s.call("viewer", "POST", path+"/hold", why, "Idempotency-Key", "v"), 200, "")
	s.exec("INSERT INTO idempotent_request (person, key, request, began) SELECT person, 'busy', request, now() FROM idempotent_request WHERE person = 'pm' AND key = 'k'")
	s.want("while it is under way", s.call("pm", "POST", path+"/hold", why, "Idempotency-Key", "busy"), 409, api.CodeInProgress)
	made := s.call("admin", "POST", "/api/v1/tokens", map[string]any{"person": "pm", "label": "x", "days": 1}, "Idempotency-Key", "t")
	s.want("a token", made, 201, "")
	s.want("its secret a second time", s.call("admin", "POST", "/api/v1/tokens", map[string]any{"person": "pm", "label": "x", "days": 1}, "Idempotency-Key", "t"), 409, api.CodeToldOnce)
	if n := scalar[int](s, "SELECT count(*) FROM idempotent_request WHERE position($1::bytea IN body) > 0", []byte(made.field("secret"))); n != 0 {
		t.Error("the secret of a token is kept in the database")
	}
}

func TestAnActNamesTheVersionThatWasSeen(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := scalar[string](s, "SELECT min(id) FROM trade_order WHERE held_by = '' AND exception = '' AND state = 'Proposed'")
	path := "/api/v1/runs/" + testRun + "/orders/" + id
	seen := s.call("pm", "GET", path, nil).header.Get("ETag")
	s.want("hold of the version seen", s.call("pm", "POST", path+"/hold", map[string]any{}, "If-Match", seen), 200, "")
	s.want("reject of the version before", s.call("pm", "POST", path+"/reject", map[string]any{}, "If-Match", seen), 412, api.CodeChanged)
	seen = s.call("pm", "GET", path, nil).header.Get("ETag")
	s.want("release of the version now", s.call("pm", "POST", path+"/release", map[string]any{}, "If-Match", seen), 200, "")
	run := s.call("ops", "GET", "/api/v1/runs/"+testRun, nil).header.Get("ETag")
	s.want("cancel of a run in another state", s.call("ops", "POST", "/api/v1/runs/"+testRun+"/cancel", map[string]any{"why": "x"}, "If-Match", `"started"`), 412, api.CodeChanged)
	s.want("pause of a finished run", s.call("ops", "POST", "/api/v1/runs/"+testRun+"/pause", map[string]any{"why": "x"}, "If-Match", run), 409, api.CodeState)
	preview := s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals/preview", map[string]any{})
	s.call("pm", "POST", path+"/hold", map[string]any{})
	s.want("approval of a set that has changed", s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals", map[string]any{}, "If-Match", preview.header.Get("ETag")), 409, api.CodeState)
	s.want("approval of no named set", s.call("pm", "POST", "/api/v1/runs/"+testRun+"/approvals", map[string]any{}), 422, api.CodeInvalid)
}

func TestPagesFollowByKey(t *testing.T) {
	t.Parallel()
	s := open(t)
	for _, sort := range []string{"notional", "-notional", "symbol", "-symbol", "account", "-account"} {
		want := scalar[int](s, "SELECT count(*) FROM trade_order WHERE side = 'buy'")
		seen, token := map[string]bool{}, ""
		for pages := 0; ; pages++ {
			r := s.call("viewer", "GET", "/api/v1/runs/"+testRun+"/orders?side=buy&page_size=500&sort="+sort+"&page_token="+token, nil)
			s.want("a page by "+sort, r, 200, "")
			for _, row := range listed(r) {
				id, _ := row["id"].(string)
				if seen[id] || row["side"] != "buy" {
					t.Fatalf("by %s: order %s comes twice, or does not match", sort, id)
				}
				seen[id] = true
			}
			if token = r.field("next_page_token"); token == "<nil>" || pages > 100 {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("by %s: %d orders on all pages, want %d", sort, len(seen), want)
		}
	}
	first := s.call("viewer", "GET", "/api/v1/runs/"+testRun+"/orders?page_size=1&sort=symbol", nil).field("next_page_token")
	s.want("a token of another sort", s.call("viewer", "GET", "/api/v1/runs/"+testRun+"/orders?sort=account&page_token="+first, nil), 400, api.CodeInvalid)
	s.want("a token that is none", s.call("viewer", "GET", "/api/v1/runs/"+testRun+"/orders?page_token=x", nil), 400, api.CodeInvalid)
}

func TestEventsResume(t *testing.T) {
	t.Parallel()
	s := open(t)
	follow := func(last string) (*bufio.Scanner, func() error) {
		request, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/v1/events", nil)
		request.Header.Set("Authorization", "Bearer "+s.tokens["viewer"])
		if last != "" {
			request.Header.Set("Last-Event-ID", last)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil || answer.Header.Get("Content-Type") != "text/event-stream" {
			t.Fatalf("events: %v, %v", answer, err)
		}
		return bufio.NewScanner(answer.Body), answer.Body.Close
	}
	next := func(lines *bufio.Scanner) (id, kind, data string) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "event":
				kind = value
			case "data":
				return id, kind, value
			}
		}
		t.Fatalf("the stream ended: %v", lines.Err())
		return
	}
	lines, end := follow("1") // an id of long ago
	id, kind, _ := next(lines)
	if kind != "reload" {
		t.Errorf("a client of long ago gets %s, want reload", kind)
	}
	s.exec("SELECT pg_notify('daybreak_run', $1)", testRun)
	first, kind, data := next(lines)
	for kind == "reload" { // the server has begun to listen
		s.exec("SELECT pg_notify('daybreak_run', $1)", testRun)
		first, kind, data = next(lines)
	}
	if kind != "run" || data != `{"run":"`+testRun+`"}` || first <= id {
		t.Errorf("event %s = %s %s, want the run without parts of a page", first, kind, data)
	}
	s.exec("SELECT pg_notify('daybreak_run', $1)", testRun)
	second, _, _ := next(lines)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	lines, end = follow(first)
	defer end()
	if id, kind, _ := next(lines); id != second || kind != "run" {
		t.Errorf("a client that saw %s gets %s %s, want run %s", first, id, kind, second)
	}
}
