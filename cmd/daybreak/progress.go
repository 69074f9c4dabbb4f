package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// plain reports whether output must do without colours and pictures: NO_COLOR is set, the terminal
// is dumb, or there is none.
func (a *app) plain() bool {
	for _, e := range a.environ {
		if name, value, _ := strings.Cut(e, "="); value != "" && name == "NO_COLOR" || e == "TERM=dumb" {
			return true
		}
	}
	return !isTerminal(a.out)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// progress shows on stderr how far long work is: a bar in a terminal, else a line every few seconds.
type progress struct {
	out   io.Writer
	unit  string
	bar   *progressbar.ProgressBar // nil without a terminal
	total int64
	next  time.Time
	now   func() time.Time
}

const progressEvery = 5 * time.Second

// newProgress returns the progress of work that is counted in unit.
func (a *app) newProgress(unit string) *progress {
	p := &progress{out: a.errOut, unit: unit, now: a.now}
	if isTerminal(a.errOut) && !slices.Contains(a.environ, "TERM=dumb") {
		p.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(a.errOut), progressbar.OptionShowCount(),
			progressbar.OptionShowIts(), progressbar.OptionSetItsString(unit), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100*time.Millisecond))
	}
	return p
}

// show reports done of total, and a note beside it.
func (p *progress) show(done, total int64, note string) {
	if p.bar != nil {
		if p.total != total {
			p.total = total
			p.bar.ChangeMax64(total)
		}
		p.bar.Describe(note)
		_ = p.bar.Set64(done)
		return
	}
	if now := p.now(); now.After(p.next) || done == total && p.total != done {
		p.next = now.Add(progressEvery)
		if done == total {
			p.total = done
		}
		fmt.Fprintf(p.out, "%d of %d %s; %s\n", done, total, p.unit, note)
	}
}

// end takes the bar away.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
