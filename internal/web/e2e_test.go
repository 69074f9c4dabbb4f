package web_test

import (
	"testing"

	"github.com/chromedp/chromedp"
)

func TestPagesInTheBrowser(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	b := browse(s, 1280, 800)
	b.open("/")
	b.accessible("login")
	b.signIn("ben", "/")
	b.until("the live link", "document.querySelector('#link').textContent === 'Live'")
	b.accessible("run")
	b.do("scroll", chromedp.Evaluate[chromedp.Void]("scrollTo(0, 760)"))
	b.keep("run-lower")
	b.open("/runs/" + testRun + "/orders")
	b.accessible("orders")
	order := scalar[string](s, "SELECT min(id) FROM trade_order WHERE symbol = 'VTI'")
	account := scalar[string](s, "SELECT account FROM trade_order WHERE id = $1", order)
	b.open("/runs/" + testRun + "/orders?symbol=VTI&order=" + order)
	b.accessible("panel")
	for name, path := range map[string]string{"order": "/runs/" + testRun + "/orders/" + order, "runs": "/runs", "account": "/accounts/" + account,
		"fills": "/fills", "approve": "/runs/" + testRun + "/approve?side=sell", "submit": "/runs/" + testRun + "/submit", "missing": "/accounts/none"} {
		b.open(path)
		b.accessible(name)
	}
	b.quiet()
}
