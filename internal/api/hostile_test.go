package api_test

import (
	"net/http"
	"net/url"
	"testing"

	"daybreak/internal/api"
)

// hostile are values that break programs which build SQL, expressions, paths or pages from them.
var hostile = []string{"'", `"`, "' OR 1=1 --", "'; DROP TABLE audit; --", "%", "_", `\`, `" || true || "`, "<script>alert(1)</script>", "../../etc/passwd",
	"\x00", "\xff", "1e400", "-1", "99999999999999999999", "null", "{}", "[]", "é\u202e", "=cmd|' /C calc'!A0"}

// TestHostileValues puts each value into every place of the address that takes one, and into every text of
// an act: nothing fails on our side, and nothing is changed that was not named.
func TestHostileValues(t *testing.T) {
	t.Parallel()
	s := open(t)
	before := scalar[int](s, "SELECT count(*) FROM trade_order WHERE state = 'Proposed' AND held_by = ''")
	fields := []string{"state", "side", "region", "currency", "reason", "symbol", "account", "id", "min", "sort", "page_size", "page_token", "unknown"}
	for _, v := range hostile {
		for _, f := range fields {
			for _, list := range []string{"/orders", "/order-totals"} {
				r := s.call("viewer", http.MethodGet, "/api/v1/runs/"+testRun+list+"?"+url.Values{f: {v}}.Encode(), nil)
				if r.status >= 500 || r.status == 200 && len(listed(r)) > 0 && f != "page_token" {
					t.Errorf("%s with %s=%q = %d with %d orders, want none or 4xx", list, f, v, r.status, len(listed(r)))
				}
			}
		}
		for _, path := range []string{"/api/v1/runs/%s", "/api/v1/runs/" + testRun + "/orders/%s", "/api/v1/accounts/%s", "/api/v1/people/%s"} {
			r := s.call("viewer", http.MethodGet, path[:len(path)-2]+url.PathEscape(v), nil)
			if r.status < 300 || r.status >= 500 {
				t.Errorf("GET %s of %q = %d, want 3xx or 4xx", path, v, r.status)
			}
		}
		for _, f := range []string{"actor", "action", "subject", "from", "before"} {
			r := s.call("auditor", http.MethodGet, "/api/v1/audit?"+url.Values{f: {v}}.Encode(), nil)
			if r.status >= 500 || r.status == 200 && len(listed(r)) > 0 {
				t.Errorf("audit with %s=%q = %d with %d rows, want none or 4xx\n%s", f, v, r.status, len(listed(r)), r.body)
			}
		}
		set := map[string]any{"where": v, "comment": v}
		if r := s.call("pm", http.MethodPost, "/api/v1/runs/"+testRun+"/holds", set); r.status < 400 || r.status >= 500 {
			t.Errorf("holds where %q = %d, want 4xx\n%s", v, r.status, r.body)
		}
	}
	if after := scalar[int](s, "SELECT count(*) FROM trade_order WHERE state = 'Proposed' AND held_by = ''"); after != before {
		t.Errorf("%d orders are open, want %d as before", after, before)
	}
	s.want("a comment of nothing but a null", s.call("pm", http.MethodPost, "/api/v1/runs/"+testRun+"/holds", map[string]any{"comment": "\x00"}), 400, api.CodeInvalid)
	s.want("a field that the body does not have", s.call("pm", http.MethodPost, "/api/v1/runs/"+testRun+"/holds", map[string]any{"by": "ben"}), 422, api.CodeInvalid)
	if check, err := s.db.VerifyAudit(t.Context()); err != nil || !check.OK {
		t.Errorf("the audit trail: %+v, %v", check, err)
	}
}
