package web

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybreak/internal/filter"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

func TestNumbersInWords(t *testing.T) {
	dec := money.MustParse
	for _, tc := range []struct{ name, got, want string }{
		{"grouped below a thousand", grouped("999"), "999"},
		{"grouped thousand", grouped("1000"), "1,000"},
		{"grouped million", grouped("-1234567.80"), "−1,234,567.80"},
		{"count", count(int64(12345)), "12,345"},
		{"shares whole", shares(dec("1200")), "1,200"},
		{"shares in parts", shares(dec("3.1250")), "3.125"},
		{"price two places", price(dec("33.25")), "33.25"},
		{"price four places", price(dec("0.12345")), "0.1234"}, // half to even
		{"percent", percent(dec("0.08125")), "8.12\u00a0%"},
		{"percent below zero", percent(dec("-0.5")), "−50.00\u00a0%"},
		{"money", string(amount(dec("-12.5"), "CAD")), `<span class="money">−12.50&nbsp;<span class="ccy">CAD</span></span>`},
		{"money of markup", string(amount(dec("1"), "<b>")), `<span class="money">1.00&nbsp;<span class="ccy">&lt;b&gt;</span></span>`},
		{"seconds", duration(9500 * time.Millisecond), "9.5 s"},
		{"minutes", duration(61 * time.Second), "1 min 01 s"},
		{"hours", duration(3*time.Hour + 5*time.Minute), "3 h 05 min"},
		{"day", longDay(market.MustDay("2020-03-16")), "Mon 2020-03-16"},
		{"no day", longDay(market.NoDay), "–"},
		{"winter", string(when(time.Date(2020, 1, 2, 14, 30, 0, 0, time.UTC))),
			`<time datetime="2020-01-02T14:30:00Z" title="2020-01-02 14:30:00 UTC">2020-01-02 09:30:00 EST</time>`},
		{"summer", string(clock(time.Date(2020, 7, 2, 13, 30, 0, 0, time.UTC))),
			`<time datetime="2020-07-02T13:30:00Z" title="2020-07-02 13:30:00 UTC">09:30:00</time>`},
		{"one", plural(1, "order", "orders"), "1 order"},
		{"many", plural(1000, "order", "orders"), "1,000 orders"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}

func TestReasonsInWords(t *testing.T) {
	numbers := map[string]string{"loss": "1234.5", "cost": "9000.00", "tax_value": "300", "replacement": "SCHB", "until": "2020-04-15"}
	want := "Realises a loss of 1,234.50 CAD on a cost of 9,000.00 CAD, worth about 300.00 CAD in tax; held instead: SCHB. Not to be bought back through 2020-04-15."
	if got := explain("HARVEST", numbers, "CA", "USD"); got != want {
		t.Errorf("explain(HARVEST) = %q, want %q", got, want)
	}
	delete(numbers, "loss")
	if got := explain("HARVEST", numbers, "CA", "USD"); got != "" {
		t.Errorf("explain(a number is absent) = %q, want none", got)
	}
	if got := reasonTitle("SOME_NEW_CODE"); got != "Some new code" {
		t.Errorf("reasonTitle(unknown) = %q, want words", got)
	}
	got := facts(map[string]string{"held": "0.231", "amount": "50", "class": "us_equity", "by": "a_1"}, "US", "USD")
	for i, want := range []fact{{"Amount", "50.00 USD"}, {"In account", "a_1"}, {"Asset class", "us equity"}, {"Weight held", "23.10\u00a0%"}} {
		if got[i] != want {
			t.Errorf("facts()[%d] = %v, want %v", i, got[i], want)
		}
	}
}

func TestLocalPath(t *testing.T) {
	for path, want := range map[string]string{
		"/runs?x=1": "/runs?x=1", "": "/", "runs": "/", "//evil.example": "/", "https://evil.example/": "/", `/\evil.example`: "/",
		"/%zz": "/", "javascript:alert(1)": "/",
	} {
		if got := localPath(path); got != want {
			t.Errorf("localPath(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:8080": true, "localhost:80": true, "LOCALHOST": true, "[::1]:8080": true, "[::1]": true, "127.3.2.1": true,
		"0.0.0.0:8080": false, ":8080": false, "10.0.0.1:80": false, "localhost.evil.example:80": false, "daybreak.local": false, "": false,
	} {
		if got := isLoopback(address); got != want {
			t.Errorf("isLoopback(%q) = %t, want %t", address, got, want)
		}
	}
	if _, err := New(Config{Listen: "0.0.0.0:0", DevLogin: true}); !errors.Is(err, ErrExposed) {
		t.Errorf("New(sample users, all addresses) = %v, want ErrExposed", err)
	}
}

// TestQuote checks that a text written into an expression is that text again, whatever it holds, and
// nothing else.
func TestQuote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{`"`, `\`, `\"`, `" || true || "`, "\x00", "\n", "é", "\u2028", "🙂", `\U00000041`})).Draw(t, "text")
		literal, err := quote(text)
		if err != nil {
			t.Fatal(err)
		}
		matches, err := filter.Orders("account == " + literal)
		if err != nil {
			t.Fatalf("quote(%q) = %s, which is no literal: %v", text, literal, err)
		}
		for _, account := range []string{text, text + "x", ""} {
			got, err := matches(pipeline.ReviewOrder{Account: portfolio.AccountID(account)})
			if err != nil || got != (account == text) {
				t.Errorf("quote(%q) = %s: matches %q = %t, %v, want %t", text, literal, account, got, err, account == text)
			}
		}
	})
	if _, err := quote("\xff"); err == nil {
		t.Error("quote(a text that is not UTF-8) gave no error")
	}
}

func TestReadFilter(t *testing.T) {
	form := url.Values{"side": {"sell", "", "sell"}, "symbol": {" vti ", "AGG"}, "min": {"10,000"}, "unknown": {"x"}}
	f, err := readFilter(form)
	if err != nil {
		t.Fatal(err)
	}
	expression, err := where(f)
	if want := `side == "sell" && security in ["AGG", "VTI"] && notional >= dec("10000")`; err != nil || expression != want {
		t.Errorf("where(readFilter(%v)) = %s, %v, want %s", form, expression, err, want)
	}
	if got := filterValues(f).Encode(); got != "min=10000&side=sell&symbol=AGG&symbol=VTI" {
		t.Errorf("filterValues = %s", got)
	}
	for name, form := range map[string]url.Values{
		"a number that is none": {"min": {"1e9"}}, "below zero": {"min": {"-1"}}, "too long": {"account": {string(make([]byte, valueMax+1))}},
		"no UTF-8": {"account": {"\xff"}}, "a null": {"account": {"a\x00b"}},
	} {
		if _, err := readFilter(form); err == nil {
			t.Errorf("readFilter(%s) gave no error", name)
		}
	}
}

func TestDrawDrift(t *testing.T) {
	counts := []pipeline.DriftCount{{Step: 0, Before: 10, After: 90}, {Step: 9, Before: 80, After: 10}, {Step: 400, Before: 1, After: 0}}
	h := drawDrift(counts)
	var before, after int64
	for _, r := range h.Rows {
		before, after = before+r.Before, after+r.After
	}
	if before != 91 || after != 100 {
		t.Errorf("drawDrift rows hold %d before and %d after, want 91 and 100", before, after)
	}
	if got := h.Rows[len(h.Rows)-1]; got.Before != 1 || got.Range != "6 % and more" {
		t.Errorf("last row = %+v, want one account of 6 %% and more", got)
	}
	if n := len(h.Before.Bars); n != 3 || h.After.Bars[0].H != panelHeight {
		t.Errorf("%d bars before, the tallest after has height %d, want 3 and %d", n, h.After.Bars[0].H, panelHeight)
	}
	if !drawDrift(nil).Empty {
		t.Error("drawDrift(nothing) is not empty")
	}
}

func TestFunnel(t *testing.T) {
	steps := funnel(pipeline.RunOverview{Accounts: 1000, Planned: 500, Orders: 2000, Approved: 1000, Sent: 1, Filled: 0})
	for i, want := range []struct{ width, share int64 }{{1000, 0}, {500, 50}, {1000, 0}, {500, 50}, {4, 0}, {0, 0}} {
		if steps[i].Width != want.width || steps[i].Share != want.share {
			t.Errorf("funnel()[%d] %s = width %d, share %d, want %d, %d", i, steps[i].Name, steps[i].Width, steps[i].Share, want.width, want.share)
		}
	}
}
