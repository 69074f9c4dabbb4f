package main

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/region"
)

func writeTaxReport(w io.Writer, r pipeline.TaxReport) error {
	p := &printer{w: w}
	p.line("Household %s (%s), tax year %d, as of %s, in %s", r.Household, r.Region, r.Year, r.AsOf, r.Currency)
	if hasLots(r.Region) {
		for _, l := range r.Lines {
			p.line("  %-18s %-36s %s to %s  %s  proceeds %14s  cost %14s  %1s %12s  gain %14s  %s", l.Account, clipped(l.Description), l.Acquired,
				l.Sold, l.Term, cents(l.Proceeds), cents(l.Cost), l.Code, cents(l.Adjustment), cents(l.Gain), stateText(l.State, l.FinalAfter))
		}
	} else {
		for _, s := range r.Properties {
			p.line("  %-14s %-10s %3d sales  proceeds %14s  ACB %14s  outlays %9s  gain %14s  denied %12s  counts %14s  %s", s.Owner, s.Property,
				s.Sales, cents(s.Proceeds), cents(s.Cost), cents(s.Outlays), cents(s.Gross), cents(s.Denied), cents(s.Gain), s.State)
			if len(s.DeniedTo) > 0 {
				p.line("      denied: %s", clipped(pipeline.DeniedText(s.DeniedTo)))
			}
		}
	}
	for i := range r.Slips {
		writeSlip(p, &r.Slips[i])
	}
	if len(r.Units) == 0 {
		p.line("  nothing was realized, and no loss is carried into the year")
	}
	for _, u := range r.Units {
		p.line("  total %v: gains %s, losses allowed %s, denied %s, of it lost %s; net %s after %s carried in; carried out %s ST, %s LT  %s", u.Owners,
			cents(u.Gains), cents(u.Losses), cents(u.Denied), cents(u.Lost), cents(u.Net), cents(u.CarryIn.ST.Add(u.CarryIn.LT)),
			cents(u.CarryOut.ST), cents(u.CarryOut.LT), u.State)
	}
	return p.err
}

// writeSlip writes a slip that was issued and, of the last one, what the book says otherwise now.
func writeSlip(p *printer, s *pipeline.ShownSlip) {
	p.line("  slip %d of %s, issued %s by %s as of %s (book version %d): %d lines, gains %s, losses allowed %s, denied %s", s.Number, s.Owner,
		s.Issued.UTC().Format(time.DateOnly), s.By, s.AsOf, s.BookVersion, len(s.Lines), cents(s.Totals.Gains), cents(s.Totals.Losses), cents(s.Totals.Denied))
	if !s.IsLast {
		return
	}
	for i := range s.Changes {
		c := &s.Changes[i]
		p.line("    %-7s  %s", c.Kind, changeText(c))
		for k := range c.Causes {
			p.line("             by %s", c.Causes[k].Text())
		}
	}
	if a := s.Amendment; a != nil {
		p.line("    now: gains %s, losses allowed %s, denied %s", cents(a.Now.Gains), cents(a.Now.Losses), cents(a.Now.Denied))
	}
}

// changeText says old and new figures of a line.
func changeText(c *pipeline.SlipChange) string {
	l := cmp.Or(c.Now, c.Issued)
	text := clipped(l.Description)
	if c.Event != "" {
		text += " sold " + l.Sold.String()
	}
	switch {
	case c.Issued == nil:
		return fmt.Sprintf("%s: not on the slip → gain %s, denied %s", text, cents(l.Gain), cents(l.Adjustment))
	case c.Now == nil:
		return fmt.Sprintf("%s: gain %s, denied %s → withdrawn", text, cents(l.Gain), cents(l.Adjustment))
	}
	return fmt.Sprintf("%s: gain %s → %s, denied %s → %s", text, cents(c.Issued.Gain), cents(c.Now.Gain), cents(c.Issued.Adjustment), cents(c.Now.Adjustment))
}

// stateText says until when a provisional outcome can change.
func stateText(state region.State, until market.Day) string {
	if state == region.Provisional {
		return string(state) + " until " + until.String()
	}
	return string(state)
}
