package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"daybreak/internal/access"
)

// listed returns the items of a list.
func listed(r reply) []map[string]any {
	var list struct {
		Items []map[string]any `json:"items"`
	}
	_ = json.Unmarshal(r.body, &list)
	return list.Items
}

// TestNobodySeesAnothersBook calls every operation, and every page, as a person of each of two books,
// about what is of the other one: nothing of it is in any answer, and nothing of it changes.
func TestNobodySeesAnothersBook(t *testing.T) {
	t.Parallel()
	c := newClient(open(t))
	s := c.site
	for _, role := range []access.Role{access.Viewer, access.PM, access.Ops} {
		s.person("north."+string(role), role, "north")
		s.person("south."+string(role), role, "south")
	}
	s.exec(`INSERT INTO book_exception (household, account, code, subject, detail, owner, opened)
		SELECT household, min(id), 'NEGATIVE_CASH', 'test', 'test', 'ops', now() FROM account GROUP BY household ORDER BY household LIMIT 40`)
	reset := func() {
		s.exec("DELETE FROM approval_order")
		s.exec("UPDATE trade_order SET state = 'Proposed', held_by = '', exception = '', released = false, order_qty = quantity, leaves_qty = quantity WHERE sent IS NULL")
	}
	other := map[string]string{"north": "south", "south": "north"}
	for mine, theirs := range other {
		reset()
		order := scalar[string](s, `SELECT min(o.id) FROM trade_order o JOIN household h ON h.id = o.household
			WHERE h.book = $1 AND o.held_by = '' AND o.exception = '' AND o.state = 'Proposed'`, theirs)
		account := scalar[string](s, "SELECT account FROM trade_order WHERE id = $1", order)
		exception := scalar[int64](s, "SELECT min(x.id) FROM book_exception x JOIN household h ON h.id = x.household WHERE h.book = $1", theirs)
		c.values = map[string]string{"run": testRun, "order": order, "account": account, "id": fmt.Sprint(exception), "name": "zoe"}
		state := func() string {
			return scalar[string](s, `SELECT md5(string_agg(o.id || o.state || o.held_by || o.exception || coalesce(a.approval, 0)::text, ',' ORDER BY o.id))
				FROM trade_order o JOIN household h ON h.id = o.household LEFT JOIN approval_order a ON a.run = o.run AND a.order_id = o.id WHERE h.book = $1`, theirs)
		}
		before := state()
		for _, o := range operations(t) {
			if o.id == "followEvents" {
				continue
			}
			for _, role := range []string{"viewer", "pm", "ops"} {
				r := c.do(mine+"."+role, o)
				c.check(o, r)
				named := strings.Contains(o.path, "{order}") || strings.Contains(o.path, "{account}") || o.id == "taxReport" || o.id == "closeException"
				if named && r.status < 400 {
					c.t.Errorf("%s about the other book by %s = %d\n%.300s", o.id, role, r.status, r.body)
				}
				foreign(c, mine, o.id, r)
			}
		}
		if after := state(); after != before {
			t.Errorf("a person of %s changed orders of %s", mine, theirs)
		}
		reset()
		before = state()
		for _, where := range []string{"", `account == "` + account + `"`, `id == "` + order + `"`} {
			set := map[string]any{"where": where, "comment": "test"}
			for _, path := range []string{"holds", "releases"} {
				s.call(mine+".pm", http.MethodPost, "/api/v1/runs/"+testRun+"/"+path, set)
			}
			root := s.call(mine+".pm", http.MethodPost, "/api/v1/runs/"+testRun+"/approvals/preview", set).field("root")
			set["root"] = root
			if r := s.call(mine+".pm", http.MethodPost, "/api/v1/runs/"+testRun+"/approvals", set); (r.status == 201) != (where == "") {
				t.Errorf("approval of %q by a person of %s = %d\n%s", where, mine, r.status, r.body)
			}
		}
		if after := state(); after != before {
			t.Errorf("a person of %s changed orders of %s", mine, theirs)
		}
		pagesOf(c, mine, order, account)
	}
}

// foreign fails the test where an answer names an account of a book that is not mine.
func foreign(c *client, mine, what string, r reply) {
	c.t.Helper()
	rows, err := c.db.Pool().Query(c.t.Context(), `SELECT a.id FROM account a JOIN household h ON h.id = a.household WHERE h.book <> $1`, mine)
	if err != nil {
		c.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			c.t.Fatal(err)
		}
		if r.status < 400 && strings.Contains(string(r.body), `"`+id+`"`) {
			c.t.Errorf("%s shows a person of %s account %s\n%.200s", what, mine, id, r.body)
			return
		}
	}
}

// pagesOf asks for the pages of what is of the other book, signed in by a token.
func pagesOf(c *client, mine, order, account string) {
	c.t.Helper()
	household, _, _ := strings.Cut(account, "-")
	for _, path := range []string{"/runs/" + testRun + "/orders/" + order, "/accounts/" + account, "/search?q=" + url.QueryEscape(household), "/search?q=" + order} {
		if r := c.call(mine+".pm", http.MethodGet, path, nil); r.status != http.StatusNotFound {
			c.t.Errorf("GET %s about the other book = %d, want 404", path, r.status)
		}
	}
	for _, path := range []string{"/runs/" + testRun + "/orders", "/runs/" + testRun, "/runs/" + testRun + "/orders?account=" + account, "/fills"} {
		r := c.call(mine+".pm", http.MethodGet, path, nil)
		if r.status != http.StatusOK {
			c.t.Errorf("GET %s = %d, want 200", path, r.status)
		}
		if path == "/runs/"+testRun+"/orders" {
			foreignPage(c, mine, path, r)
		}
	}
	for _, act := range []string{"hold", "release", "reject"} {
		if r := c.call(mine+".pm", http.MethodPost, "/runs/"+testRun+"/orders/"+order+"/"+act, nil); r.status < 400 {
			c.t.Errorf("POST %s of the other book = %d, want it refused", act, r.status)
		}
	}
}

func foreignPage(c *client, mine, path string, r reply) {
	c.t.Helper()
	theirs := scalar[[]string](c.site, `SELECT array_agg(a.id) FROM account a JOIN household h ON h.id = a.household WHERE h.book <> $1`, mine)
	for _, id := range theirs {
		if strings.Contains(string(r.body), ">"+id+"<") {
			c.t.Errorf("GET %s shows a person of %s account %s", path, mine, id)
			return
		}
	}
}
