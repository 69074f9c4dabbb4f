package web_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axe is axe-core 4.14.1 (MPL-2.0, its licence is beside it), which looks for barriers in a page.
//
//go:embed testdata/axe.min.js
var axe string

// screenshotsVariable names a folder to keep pictures of the pages in.
const screenshotsVariable = "DAYBREAK_SCREENSHOTS"

// browserTimeout bounds one test in the browser.
const browserTimeout = 4 * time.Minute

// browser is a Chromium of the test's own.
type browser struct {
	*site
	ctx  context.Context
	mu   sync.Mutex
	said []string // uncaught errors and console errors of the pages
}

// browse starts a Chromium on a site. Without one the test fails and says how to get it; -short leaves
// it out.
func browse(s *site, width, height int) *browser {
	s.t.Helper()
	if testing.Short() {
		s.t.Skip("-short leaves the browser out")
	}
	path, err := chromium()
	if err != nil {
		s.t.Fatal(err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WindowSize(width, height),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("hide-scrollbars", false))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	ctx, stop := context.WithTimeout(context.Background(), browserTimeout)
	s.t.Cleanup(stop)
	ctx, stop = chromedp.NewExecAllocator(ctx, options...)
	s.t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	s.t.Cleanup(stop)
	b := &browser{site: s, ctx: ctx}
	b.do("open the browser", chromedp.EmulateViewport(int64(width), int64(height)))
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		s.t.Fatal(err)
	}
	return b
}

// hear notes what the pages' scripts complain about.
func (b *browser) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		b.said = append(b.said, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			for _, a := range e.Args {
				b.said = append(b.said, string(a.Value)+" "+a.Description)
			}
		}
	}
}

// chromium returns the path of a Chromium or Chrome.
func chromium() (string, error) {
	for _, name := range []string{os.Getenv("DAYBREAK_CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium for the tests in a browser: on Debian and Ubuntu, " +
		"apt-get install --no-install-recommends chromium fonts-dejavu-core; or name one in DAYBREAK_CHROMIUM; or leave them out with -short")
}

// stepTimeout bounds one step.
const stepTimeout = 40 * time.Second

// do runs steps in the browser. The first call starts it, and its context must be the browser's own.
func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx := b.ctx
	if chromedp.FromContext(ctx).Target != nil {
		limited, stop := context.WithTimeout(ctx, stepTimeout)
		defer stop()
		ctx = limited
	}
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.failed(what, err)
	}
}

func (b *browser) failed(what string, err error) {
	b.t.Helper()
	b.keep("failed")
	at, _ := chromedp.Run(b.ctx, chromedp.Location())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("%s: %v (at %s; the pages said %q)", what, err, at, b.said)
}

// eval returns what a script gives.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, stepTimeout)
	defer stop()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.failed(script, err)
	}
	return v
}

// until waits until a script gives true, over loads of other pages too.
func (b *browser) until(what, script string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, stepTimeout)
	defer stop()
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	for {
		if v, err := chromedp.Run(ctx, chromedp.Evaluate[bool](script)); err == nil && v {
			return
		}
		select {
		case <-ctx.Done():
			b.failed(what, fmt.Errorf("not so after %v: %s", stepTimeout, script))
		case <-again.C:
		}
	}
}

// open goes to a page of the site.
func (b *browser) open(path string) {
	b.t.Helper()
	b.do("open "+path, chromedp.Navigate(b.url+path))
}

// click presses what a selector finds. A page that goes away between finding and pressing took no
// press: it is tried again on the next one.
func (b *browser) click(selector string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, stepTimeout)
	defer stop()
	again := time.NewTicker(30 * time.Millisecond)
	defer again.Stop()
	for {
		err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector)))
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "node with given id") {
			b.failed("click "+selector, err)
		}
		select {
		case <-ctx.Done():
			b.failed("click "+selector, err)
		case <-again.C:
		}
	}
}

// signIn chooses a sample user and goes to a page.
func (b *browser) signIn(user, path string) {
	b.t.Helper()
	b.open("/login?next=" + path)
	b.click(`button[value="` + user + `"]`)
	b.until("signed in", "document.querySelector('nav[aria-label=Main]') !== null")
}

// press sends one key to the page.
func (b *browser) press(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do("press "+k, chromedp.KeyEvent(k))
	}
}

// keep writes a picture of the page where the environment names a folder.
func (b *browser) keep(name string) {
	dir := os.Getenv(screenshotsVariable)
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, strings.ReplaceAll(b.t.Name(), "/", "-")+"-"+name+".png"), picture, 0o644)
	}
	if err != nil {
		b.t.Logf("picture %s: %v", name, err)
	}
}

// barrier is a rule that a page breaks.
type barrier struct {
	ID     string `json:"id"`
	Impact string `json:"impact"`
	Help   string `json:"help"`
	Nodes  []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// accessible fails the test for every barrier on the page, in light and in dark. It looks at a grid
// from its top: axe takes rows that are scrolled away under the head of a table for covered ones.
func (b *browser) accessible(name string) {
	b.t.Helper()
	for _, scheme := range []string{"light", "dark"} {
		b.colours(&emulation.MediaFeature{Name: "prefers-color-scheme", Value: scheme},
			&emulation.MediaFeature{Name: "prefers-reduced-motion", Value: "reduce"})
		b.do("to the top", chromedp.Evaluate[chromedp.Void]("document.querySelector('#grid')?.scrollTo(0, 0)"))
		b.do("load axe", chromedp.Evaluate[chromedp.Void](axe))
		found := eval[[]barrier](b, `axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})
			.then(r => r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help,
				nodes: v.nodes.map(n => ({html: n.html, failureSummary: n.failureSummary}))})))`)
		for _, f := range found {
			for _, n := range f.Nodes {
				b.t.Errorf("%s, %s: %s (%s): %s\n%s\n%s", name, scheme, f.ID, f.Impact, f.Help, n.HTML, n.Summary)
			}
		}
		b.keep(name + "-" + scheme)
	}
	b.colours()
}

// colours sets what the browser says that the person prefers.
func (b *browser) colours(features ...*emulation.MediaFeature) {
	b.t.Helper()
	b.do("set colours", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features})
		return err
	}))
}

// quiet fails the test for what the pages' scripts complained about.
func (b *browser) quiet() {
	b.t.Helper()
	if eval[bool](b, "window.pwned === 1") {
		b.t.Error("a script in a name ran")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, said := range b.said {
		b.t.Errorf("a page said: %s", said)
	}
}
