package web_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// firstOrder is an order to sell that is open for approval.
const firstOrder = "SELECT min(id) FROM trade_order WHERE symbol = 'VTI' AND side = 'sell' AND held_by = '' AND exception = ''"

// TestPagesInTheBrowser looks for barriers on every page, in light and in dark, at the smallest width
// that the pages are made for.
func TestPagesInTheBrowser(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	order := scalar[string](s, firstOrder)
	account := scalar[string](s, "SELECT account FROM trade_order WHERE id = $1", order)
	for i := range 30 {
		s.fill(scalar[string](s, "SELECT id FROM trade_order WHERE side = 'sell' AND held_by = '' AND exception = '' AND symbol <> 'VTI' ORDER BY id OFFSET $1 LIMIT 1", i*7), i)
	}
	s.exec(`INSERT INTO book_exception (household, account, code, subject, detail, owner, opened)
		SELECT household, account, 'OVERFILL', id, '12 shares more than were ordered', 'ops', now() FROM trade_order WHERE id = $1`, order)
	locked := s.lockedPurchase()
	b := browse(s, 1280, 800)
	b.open("/")
	b.accessible("login")
	b.signIn("ben", "/")
	b.until("the live link", "document.querySelector('#link').textContent === 'Live'")
	b.accessible("run")
	b.do("scroll", chromedp.Evaluate[chromedp.Void]("scrollTo(0, 700)"))
	b.keep("run-lower")
	for _, p := range []struct{ name, path string }{
		{"orders", "/runs/" + testRun + "/orders"}, {"panel", "/runs/" + testRun + "/orders?symbol=VTI&order=" + order},
		{"nothing", "/runs/" + testRun + "/orders?account=none"}, {"order", "/runs/" + testRun + "/orders/" + order}, {"runs", "/runs"},
		{"account", "/accounts/" + account}, {"fills", "/fills"}, {"approve", "/runs/" + testRun + "/approve?side=sell&min=1000"},
		{"submit", "/runs/" + testRun + "/submit"}, {"missing", "/accounts/none"},
		{"locked", "/runs/" + testRun + "/orders/" + locked}, {"locked-approve", "/runs/" + testRun + "/approve?id=" + locked},
	} {
		b.open(p.path)
		b.accessible(p.name)
	}
	b.do("help", chromedp.KeyEvent("?"))
	b.accessible("help")
	b.quiet()
}

// TestMorningOfAManager is the morning of a portfolio manager, in a browser: from the run to the
// orders, through a filter to an approval, and on to fills as they come.
func TestMorningOfAManager(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	b := browse(s, 1440, 900)
	b.signIn("ben", "/")
	b.until("the latest run", "location.pathname === '/runs/"+testRun+"'")
	b.until("the live link", "document.querySelector('#link').textContent === 'Live'")
	b.click("a.primary[href$='/orders']")
	b.until("the orders", "document.querySelectorAll('#grid tbody tr').length >= 100")

	b.do("choose the sales", chromedp.Evaluate[chromedp.Void]("[...document.querySelectorAll('.facets a')].find(a => a.textContent.startsWith('Sell')).click()"))
	b.until("the filter", "location.search === '?side=sell' && document.querySelector('.chips') !== null")
	b.do("open the first", chromedp.Evaluate[chromedp.Void]("document.querySelector('#grid a[data-open]').click()"))
	b.until("the side panel", "document.querySelector('#panel .why') !== null && location.search.includes('order=')")
	b.keep("panel")
	b.press(kb.Escape)
	b.until("no side panel", "document.querySelector('#panel').hidden && !location.search.includes('order=')")

	b.click("#approve-all")
	b.until("the question", "document.querySelector('#sign') !== null")
	n := scalar[int](s, "SELECT count(*) FROM trade_order WHERE side = 'sell' AND held_by = '' AND exception = ''")
	if got := eval[string](b, "document.querySelector('#sign').textContent"); got != fmt.Sprintf("Approve %d orders", n) {
		t.Errorf("the button says %q, want the count, %d", got, n)
	}
	b.keep("question")
	b.click("#sign")
	b.until("the answer", fmt.Sprintf("document.querySelector('.flash')?.textContent === 'You approved %d orders.'", n))
	b.open("/runs/" + testRun + "/submit")
	b.click("#send")
	b.until("submitted", fmt.Sprintf("document.querySelector('.flash')?.textContent.startsWith('%d orders are with the gateway')", n))

	b.open("/fills")
	b.until("the live link", "document.querySelector('#link').textContent === 'Live'")
	order := scalar[string](s, firstOrder)
	s.fill(order, 0)
	b.until("the fill", "document.querySelector('#fill-rows')?.textContent.includes('"+order+"')")
	s.fill(scalar[string](s, "SELECT max(id) FROM trade_order WHERE released"), 1)
	b.until("the next fill", "document.querySelectorAll('#fill-rows tr').length === 2")
	b.keep("fills")
	b.open("/runs/" + testRun)
	b.until("the live link", "document.querySelector('#link').textContent === 'Live'")
	b.until("two are filled", "[...document.querySelectorAll('.funnel li')].at(-1).querySelector('.n').textContent === '2'")
	s.fill(scalar[string](s, "SELECT min(id) FROM trade_order WHERE released AND state = 'Proposed'"), 2)
	b.until("three are filled, without a reload", "[...document.querySelectorAll('.funnel li')].at(-1).querySelector('.n').textContent === '3'")
	b.keep("run")
	b.quiet()
}

// TestKeysAlone uses no mouse: it moves, chooses, opens, finds and approves by keys.
func TestKeysAlone(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	b := browse(s, 1280, 800)
	b.signIn("ben", "/")
	b.until("the latest run", "location.pathname === '/runs/"+testRun+"'")
	b.press("g", "o")
	b.until("the orders", "location.pathname.endsWith('/orders') && document.documentElement.classList.contains('js')")
	b.press("j", "j", "k", "j")
	second := eval[string](b, "document.querySelectorAll('#grid tr[data-id]')[1].dataset.id")
	if at := eval[string](b, "document.activeElement.closest('tr').dataset.id"); at != second {
		t.Errorf("after j j k j the focus is on %s, want the second row, %s", at, second)
	}
	b.press("x", "j", "x")
	b.until("two are chosen", "document.querySelector('#approve-chosen').textContent.includes('2 chosen')")
	b.press(kb.Enter)
	b.until("the side panel", "document.activeElement.id === 'panel-title'")
	b.press(kb.Escape)
	b.until("back on the row", "document.activeElement.closest('tr')?.dataset.id === document.querySelectorAll('#grid tr[data-id]')[2].dataset.id")
	b.press("/")
	b.until("the search", "document.activeElement.id === 'find'")
	b.press("j")
	if got := eval[string](b, "document.querySelector('#find').value"); !strings.HasSuffix(got, "j") { // the driver types the slash as well
		t.Errorf("the search holds %q after j was typed into it, want j", got)
	}
	b.press(kb.Escape)
	b.press("a")
	b.until("the question", "document.querySelector('#sign')?.textContent === 'Approve 2 orders' && document.documentElement.classList.contains('js')")
	b.press("?")
	b.until("the keys", "document.querySelector('#help').open")
	b.quiet()
}

// TestGridIsAWindow scrolls through all orders and back: every row comes by once, and the document
// never holds more than a few pages of them.
func TestGridIsAWindow(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	b := browse(s, 1280, 800)
	b.signIn("eve", "/runs/"+testRun+"/orders")
	b.until("the first page", "document.querySelectorAll('#grid tr[data-id]').length >= 100")
	want := scalar[int](s, "SELECT count(*) FROM trade_order")
	walk := func(name, step string) {
		got := eval[[]int](b, `(async () => {
			const grid = document.querySelector('#grid'), seen = new Set();
			let most = 0;
			for (let steps = 0; seen.size < `+strconv.Itoa(want)+` && steps < 6000; steps++) {
				const rows = [...grid.querySelectorAll('tr[data-id]')];
				rows.forEach(r => seen.add(r.dataset.id));
				most = Math.max(most, rows.length);
				grid.scrollTop += `+step+`;
				await new Promise(r => setTimeout(r, 8));
			}
			return [seen.size, most];
		})()`)
		if got[0] != want || got[1] > 900 {
			t.Errorf("%s: %d of %d orders came by, at most %d rows at once, want all and at most 900", name, got[0], want, got[1])
		}
	}
	walk("down", "1500")
	walk("up", "-1500")
	b.quiet()
}

// TestWithoutScript shows that reading, filtering and approving need no JavaScript.
func TestWithoutScript(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	b := browse(s, 1280, 800)
	b.do("scripts off", chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
		return err
	}))
	b.signIn("ben", "/runs/"+testRun+"/orders")
	b.click(".facets ul li a")
	b.click("a[rel=next]")
	b.click("#grid a[data-open]")
	b.do("the panel", chromedp.WaitVisible(chromedp.CSS("#panel .why")))
	b.click("[data-close]")
	b.click("#approve-all")
	b.click("#sign")
	b.do("the answer", chromedp.WaitVisible(chromedp.CSS(".flash")))
	if n := scalar[int](s, "SELECT count(*) FROM approval"); n != 1 {
		t.Errorf("%d approvals, want 1", n)
	}
}
