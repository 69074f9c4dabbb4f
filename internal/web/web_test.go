package web_test

import (
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"daybreak/internal/filter"
	"daybreak/internal/web"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
)

// get returns the status and text of a page.
func (s *site) get(client *http.Client, path string) (int, string) {
	s.t.Helper()
	answer, err := client.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.read(answer)
}

// part returns one part of a page, as its script asks for it.
func (s *site) part(client *http.Client, path, name string) string {
	s.t.Helper()
	request, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Daybreak-Fragment", name)
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	status, text := s.read(answer)
	if status != http.StatusOK || strings.Contains(text, "<html") {
		s.t.Fatalf("GET %s of %s = %d, want 200 and a part of it\n%s", name, path, status, text)
	}
	return text
}

// post returns the status and text of the answer to a form, and where it leads.
func (s *site) post(client *http.Client, path string, form url.Values) (status int, text, to string) {
	s.t.Helper()
	answer, err := client.PostForm(s.url+path, form)
	if err != nil {
		s.t.Fatal(err)
	}
	status, text = s.read(answer)
	return status, text, answer.Header.Get("Location")
}

func (s *site) read(answer *http.Response) (int, string) {
	s.t.Helper()
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// words returns a page's text without its markup.
func words(page string) string {
	page = regexp.MustCompile(`(?s)<(script|style).*?</(script|style)>`).ReplaceAllString(page, "")
	return strings.Join(strings.Fields(html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " "))), " ")
}

// mention fails the test where a page lacks one of some words.
func (s *site) mention(path, page string, wanted ...string) {
	s.t.Helper()
	have := words(page)
	for _, w := range wanted {
		if !strings.Contains(have, w) {
			s.t.Errorf("%s lacks %q:\n%s", path, w, have)
		}
	}
}

func TestPagesOfAMorning(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	ben := s.as("ben")
	order := scalar[string](s, "SELECT min(id) FROM trade_order WHERE symbol = 'VTI' AND side = 'sell' AND held_by = '' AND exception = ''")
	account := scalar[string](s, "SELECT account FROM trade_order WHERE id = $1", order)
	all := strconv.Itoa(scalar[int](s, "SELECT count(*) FROM trade_order"))
	all = all[:1] + "," + all[1:]
	for path, wanted := range map[string][]string{
		"/runs":                                  {testRun, "Mon 2020-03-16", "finished", "600"},
		"/runs/" + testRun:                       {"600 of 600 households decided", "Parked 12", all, "07:00:00 EDT", "planted by the sample world: stale_price", "Losses harvested"},
		"/runs/" + testRun + "/orders":           {all + " match", "Approve all " + all, "Tax-loss harvest"},
		"/runs/" + testRun + "/orders/" + order:  {"Sell", "VTI", "2018-05-04:VTI", "The account", "Weight", "Approve…"},
		"/runs/" + testRun + "/orders?side=sell": {"Side Sell ×"},
		"/runs/" + testRun + "/approve?side=buy": {`side == "buy"`},
		"/runs/" + testRun + "/submit":           {"No approved order waits to be sent."},
		"/accounts/" + account:                   {"Account " + account, "Positions", "Cash", "Decisions", "VTI", "Losses and their taxes"},
		"/fills":                                 {"daybreak.fills", "No fill yet."},
	} {
		status, text := s.get(ben, path)
		if status != http.StatusOK {
			t.Errorf("GET %s = %d, want 200\n%s", path, status, words(text))
		}
		if strings.Contains(text, markup) {
			t.Errorf("GET %s holds a name that is not escaped", path)
		}
		s.mention(path, text, wanted...)
	}
	if status, text := s.get(ben, "/"); status != http.StatusSeeOther {
		t.Errorf("GET / = %d, want 303 to the latest run\n%s", status, words(text))
	}
}

func TestPagesWithoutData(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	ana := s.as("ana")
	for path, wanted := range map[string]string{
		"/": "No run yet", "/runs": "No run has been started yet.", "/fills": "No fill yet.",
	} {
		status, text := s.get(ana, path)
		if status != http.StatusOK {
			t.Errorf("GET %s = %d, want 200", path, status)
		}
		s.mention(path, text, wanted)
	}
	s.exec(`INSERT INTO market_snapshot (hash, day, body) VALUES ('market', '2020-03-16', '\x00')`)
	s.exec(`INSERT INTO run (id, session, number, state, workflow, build, rules, market, maker, households, started)
		VALUES ($1, '2020-03-16', 1, 'started', 'morning-run@1', 'b', 'r', 'market', 'ana', 7, now())`, testRun)
	for path, wanted := range map[string]string{
		"/runs/" + testRun: "0 of 7 households decided", "/runs/" + testRun + "/orders": "This run has no orders yet.",
		"/runs/" + testRun + "/approve": "None of the 0 orders", "/runs/" + testRun + "/submit": "No approved order waits",
	} {
		status, text := s.get(ana, path)
		if status != http.StatusOK {
			t.Errorf("GET %s of an empty run = %d, want 200", path, status)
		}
		s.mention(path, text, wanted)
	}
}

func TestErrorsAreTold(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	eve, nobody := s.as("eve"), &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, tc := range []struct {
		name   string
		client *http.Client
		path   string
		status int
		text   string
	}{
		{"no such page", eve, "/nothing", 404, "There is nothing under this address."},
		{"no such run", eve, "/runs/2020-03-17.1", 404, "Not found: run 2020-03-17.1."},
		{"no such order", eve, "/runs/" + testRun + "/orders/NONE", 404, "Not found: order NONE"},
		{"no such account", eve, "/accounts/<b>", 404, "Not found: account <b>."},
		{"search that finds nothing", eve, "/search?q=zzz", 404, "Not found"},
		{"a sort that is none", eve, "/runs/" + testRun + "/orders?sort=price", 400, "cannot be sorted"},
		{"a page that is none", eve, "/runs/" + testRun + "/orders?after=X&at=much", 400, "not one"},
		{"a least notional that is none", eve, "/runs/" + testRun + "/orders?min=1e5", 400, "not a number"},
		{"a page above the role", eve, "/runs/" + testRun + "/approve", 403, "Your role, viewer, does not allow this."},
		{"signed out", nobody, "/runs", 303, ""},
		{"an asset that is none", nobody, "/assets/x/none.js", 404, ""},
	} {
		status, text := s.get(tc.client, tc.path)
		if status != tc.status {
			t.Errorf("%s: GET %s = %d, want %d", tc.name, tc.path, status, tc.status)
		}
		s.mention(tc.path, text, tc.text)
	}
}

func TestSearch(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	eve := s.as("eve")
	order := scalar[string](s, "SELECT min(id) FROM trade_order")
	for text, want := range map[string]string{
		testRun: "/runs/" + testRun, strings.ToLower(order): "/runs/" + testRun + "/orders/" + order, "H00002-1": "/accounts/H00002-1",
		"H00002": "/accounts/H00002-1", "vti": "/runs/" + testRun + "/orders?symbol=VTI", "": "/",
	} {
		answer, err := eve.Get(s.url + "/search?q=" + url.QueryEscape(text))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if to := answer.Header.Get("Location"); to != want {
			t.Errorf("search for %q leads to %q (%d), want %q", text, to, answer.StatusCode, want)
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	ben := s.as("ben")
	for _, path := range []string{"/login", "/logout", "/runs/" + testRun + "/approve", "/runs/" + testRun + "/submit",
		"/runs/" + testRun + "/orders/X/hold", "/runs/" + testRun + "/orders/X/release", "/runs/" + testRun + "/orders/X/reject"} {
		for header, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			request, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader("user=ben"))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set(header, value)
			answer, err := ben.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			if status, _ := s.read(answer); status != http.StatusForbidden {
				t.Errorf("POST %s with %s: %s = %d, want 403", path, header, value, status)
			}
		}
	}
	request, err := http.NewRequest(http.MethodGet, s.url+"/runs", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	answer, err := ben.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := s.read(answer); status != http.StatusMisdirectedRequest {
		t.Errorf("GET with the Host of another site = %d, want 421", status)
	}
}

func TestHeadersAndCookie(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.PostForm(s.url+"/login", url.Values{"user": {"ana"}, "next": {"//evil.example/"}})
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if to := answer.Header.Get("Location"); to != "/" {
		t.Errorf("sign in leads to %q, want / and not another site", to)
	}
	c := answer.Cookies()[0]
	if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || len(c.Value) < 40 {
		t.Errorf("session cookie = %v, want HttpOnly, SameSite=Strict and 256 bits", c)
	}
	for name, want := range map[string]string{"Content-Security-Policy": "default-src 'self'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"} {
		if got := answer.Header.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if status, _, _ := s.post(client, "/login", url.Values{"user": {"root"}}); status != http.StatusBadRequest {
		t.Errorf("sign in as nobody's user = %d, want 400", status)
	}
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|<script(?:[^>]*)>[^<]|\son[a-z]+=|javascript:`)
	filled := open(t, true)
	ben := filled.as("ben")
	for _, path := range []string{"/runs/" + testRun, "/runs/" + testRun + "/orders", "/fills", "/login"} {
		if _, text := filled.get(ben, path); inline.MatchString(text) {
			t.Errorf("%s holds something inline: %q", path, inline.FindString(text))
		}
	}
}

// TestEveryOrderOnce walks the grid forwards and back, by every column and direction, with and
// without a filter: the pages hold each order once, in order.
func TestEveryOrderOnce(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	eve := s.as("eve")
	row := regexp.MustCompile(`<tr data-id="([^"]+)"`)
	link := func(page, name string) string {
		if m := regexp.MustCompile(` data-` + name + `="([^"]+)"`).FindStringSubmatch(page); m != nil {
			return html.UnescapeString(m[1])
		}
		return ""
	}
	columns := map[string]string{"notional": "notional", "symbol": "symbol", "account": "account"}
	for _, where := range []struct{ address, sql string }{{"", "true"}, {"side=sell&", "side = 'sell'"}, {"symbol=VTI&symbol=AGG&min=5000&", "symbol IN ('VTI', 'AGG') AND notional >= 5000"}} {
		for _, sign := range []string{"", "-"} {
			for name, column := range columns {
				direction := map[string]string{"": "ASC", "-": "DESC"}[sign]
				want := scalar[[]string](s, "SELECT array_agg(id ORDER BY "+column+" "+direction+", id "+direction+") FROM trade_order WHERE "+where.sql)
				address := "/runs/" + testRun + "/orders?" + where.address + "sort=" + sign + name
				var got, back []string
				last, pages := "", 0
				for next := address; next != ""; pages++ {
					page := s.part(eve, next, "order-rows")
					for _, m := range row.FindAllStringSubmatch(page, -1) {
						got = append(got, m[1])
					}
					last, next = page, link(page, "next")
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %d rows over %d pages, want %d in order", address, len(got), pages, len(want))
				}
				for prev := link(last, "prev"); prev != ""; {
					page := s.part(eve, prev, "order-rows")
					var ids []string
					for _, m := range row.FindAllStringSubmatch(page, -1) {
						ids = append(ids, m[1])
					}
					back, prev = append(ids, back...), link(page, "prev")
				}
				if n := len(got) - len(back); n <= 0 || n > 100 || !slices.Equal(back, got[:len(back)]) {
					t.Errorf("%s: back from the last page: %d of %d rows, want all but the last page's", address, len(back), len(got))
				}
			}
		}
	}
}

// TestFilterSaysTheSame checks that the address of a list, the statement that reads it and the
// expression that an approval records choose the same orders, and that facets count them.
func TestFilterSaysTheSame(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	ctx := t.Context()
	all, err := s.db.Orders(ctx, pipeline.OrderPage{Run: testRun, Sort: pipeline.BySymbol, Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"", "side=sell", "side=sell&side=buy&region=CA", "state=Held", "state=Flagged&state=Proposed", "reason=HARVEST&min=1000.5",
		"symbol=VTI&symbol=XIC.TO", "account=H00003-1", "currency=CAD&side=buy", "id=" + string(all[7].ID), "account=" + url.QueryEscape(`" || true || "`)} {
		form, err := url.ParseQuery(address)
		if err != nil {
			t.Fatal(err)
		}
		f, err := web.ReadFilter(form)
		if err != nil {
			t.Fatal(err)
		}
		expression, err := web.Where(f)
		if err != nil {
			t.Fatal(err)
		}
		matches, err := filter.Orders(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		var want []orders.ID
		notional := money.Zero
		for _, o := range all {
			if ok, err := matches == nil, error(nil); !ok {
				if ok, err = matches(reviewed(o)); err != nil || !ok {
					if err != nil {
						t.Fatal(err)
					}
					continue
				}
			} else if err != nil {
				t.Fatal(err)
			}
			want, notional = append(want, o.ID), notional.Add(o.Notional)
		}
		read, err := s.db.Orders(ctx, pipeline.OrderPage{Run: testRun, Filter: f, Sort: pipeline.BySymbol, Limit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		var got []orders.ID
		for _, o := range read {
			got = append(got, o.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q reads %d orders, and the expression %s chooses %d", address, len(got), expression, len(want))
		}
		s.countsAgree(f, int64(len(want)), notional)
	}
}

// countsAgree checks totals and the facet of regions, which no filter here names alone.
func (s *site) countsAgree(f pipeline.OrderFilter, n int64, notional money.Dec) {
	s.t.Helper()
	totals, err := s.db.OrderTotals(s.t.Context(), testRun, f)
	if err != nil {
		s.t.Fatal(err)
	}
	var sum int64
	amount := money.Zero
	for _, t := range totals {
		sum, amount = sum+t.Orders, amount.Add(t.Notional)
	}
	if sum != n || amount != notional {
		s.t.Errorf("totals of %+v = %d orders for %s, want %d for %s", f, sum, amount, n, notional)
	}
	f.Regions = nil
	facets, err := s.db.OrderFacets(s.t.Context(), testRun, f)
	if err != nil {
		s.t.Fatal(err)
	}
	all, err := s.db.OrderTotals(s.t.Context(), testRun, f)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, t := range all {
		sum -= t.Orders
	}
	sum = n - sum // the orders of every region
	for _, c := range facets {
		if c.Facet == "region" {
			sum -= c.Count
		}
	}
	if sum != 0 {
		s.t.Errorf("the facet of regions misses %d orders of %+v", sum, f)
	}
}

// reviewed returns an order of a list as an act sees it.
func reviewed(o pipeline.OrderRow) pipeline.ReviewOrder {
	r := pipeline.ReviewOrder{Run: o.Run, ID: o.ID, Household: o.Household, Account: o.Account, Region: o.Region, Symbol: o.Symbol,
		Side: o.Side, Quantity: o.Quantity, Price: o.Price, Notional: o.Notional, Value: o.Value, Currency: o.Currency,
		AccountCurrency: o.AccountCurrency, Reason: o.Reason, State: orders.Proposed, HeldBy: o.HeldBy, Exception: o.Exception}
	r.Approved, r.Released = o.State == pipeline.ReviewApproved, o.State == pipeline.ReviewSubmitted
	return r
}
