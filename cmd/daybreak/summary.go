package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"daybreak/money"
	"daybreak/pipeline"
)

// writeSummary writes the summary of a run as text; with plain without the picture of drift.
func writeSummary(w io.Writer, s pipeline.Summary, plain bool) error {
	p := &printer{w: w}
	p.line("Run %s is %s: %d households, %d accounts, %.1f s", s.Run, s.State, s.Households, s.Accounts, s.Seconds)
	p.line("  planned %d   nothing to do %d   parked %d   undecided %d", s.Planned, s.NothingToDo, s.Parked, s.Undecided)
	p.line("")
	p.line("Orders %d for %d accounts, notional %s", s.Orders, s.AccountsPlanned, amounts(s.Notional))
	for _, t := range s.BySide {
		p.line("  %-3s %-4s %8d  %18s", t.Region, t.Side, t.Orders, grouped(t.Notional)+" "+t.Currency)
	}
	for _, region := range slices.Sorted(maps.Keys(s.ByRegion)) {
		t := s.ByRegion[region]
		p.line("  %s: %d households, %d harvests of losses worth %s", region, t.Households, t.Harvests, grouped(t.Harvested))
	}
	p.line("Losses harvested %s (denied ones left alone: %s), worth %s of tax", amounts(s.Harvested), amounts(s.DeniedAvoided), amounts(s.TaxValue))
	p.line("Cash %s before, %s after", amounts(s.CashBefore), amounts(s.CashAfter))
	p.line("Drift %s %% before, %s %% after, on average", percent(s.DriftBefore), percent(s.DriftAfter))
	if g := s.Gaps; g.Certified > 0 {
		p.line("Certified gap to the optimum %s bp at the median, %s at most; above their limit %d, planned without a rule %d",
			g.Median.Fixed(3), g.Max.Fixed(1), g.AboveLimit, g.Relaxed)
	}
	if !plain {
		p.drift(s.DriftLevels)
	}
	p.reasons("Reasons of orders", s.ByReason)
	p.reasons("Accounts not traded", s.NotTraded)
	p.reasons("Parked households", s.ParkedReasons)
	return p.err
}

// printer remembers the first error of many writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) reasons(title string, all []pipeline.ReasonTotal) {
	if len(all) == 0 {
		return
	}
	p.line("%s", title)
	for _, r := range all {
		p.line("  %-3s %-32s %8d", r.Region, r.Reason, r.Count)
	}
}

// barWidth is the length of the longest bar of the picture, in characters.
const barWidth = 28

// drift draws how many accounts have which drift: before to the left, after to the right.
func (p *printer) drift(levels []pipeline.DriftLevel) {
	most := 1
	for _, l := range levels {
		most = max(most, l.Before, l.After)
	}
	p.line("  %*s  drift from  %s", barWidth+7, "before", "after")
	for _, l := range levels {
		p.line("  %6d %*s  %7s %%  %-*s %d", l.Before, barWidth, bar(l.Before, most), percent(l.From), barWidth, bar(l.After, most), l.After)
	}
}

func bar(n, most int) string {
	length := (n*barWidth + most - 1) / most
	return strings.Repeat("█", length)
}

// percent returns a share as percent with one decimal.
func percent(share money.Dec) string { return share.Mul(money.FromInt(100)).Fixed(1) }

// amounts lists amounts by currency, none as 0.
func amounts(by map[string]money.Dec) string {
	var parts []string
	for _, currency := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, grouped(by[currency])+" "+currency)
	}
	if len(parts) == 0 {
		return "0"
	}
	return strings.Join(parts, ", ")
}

// grouped writes an amount in whole units with a comma every three digits.
func grouped(amount money.Dec) string {
	digits, negative := strings.CutPrefix(amount.Fixed(0), "-")
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if negative {
		return "-" + digits
	}
	return digits
}
