package web

import (
	"fmt"

	"daybreak/money"
	"daybreak/pipeline"
)

// funnelWidth is the width of the longest bar, in the units of the drawing.
const funnelWidth = 1000

// funnelStep is one step of the way from accounts to fills: its count, the width of its bar, and
// what share of the step before it is.
type funnelStep struct {
	Name  string
	Count int64
	Width int64
	Share int64
	Of    string // the step that Share refers to; "" for none
	State string // filter of the orders page that shows it; "" for none
	Order bool   // counts orders, not accounts
}

// funnel draws the run's way from accounts to filled orders. Bars of accounts and bars of orders have
// a scale each, as an account has many orders.
func funnel(o pipeline.RunOverview) []funnelStep {
	steps := []funnelStep{
		{Name: "Accounts decided", Count: o.Accounts},
		{Name: "Accounts with orders", Count: o.Planned, Of: "of accounts"},
		{Name: "Orders", Count: o.Orders, Order: true},
		{Name: "Approved", Count: o.Approved, Of: "of orders", Order: true},
		{Name: "Sent", Count: o.Sent, Of: "of approved", Order: true},
		{Name: "Filled", Count: o.Filled, Of: "of sent", Order: true, State: "Filled"},
	}
	for i := range steps {
		s := &steps[i]
		whole := max(o.Accounts, 1)
		if s.Order {
			whole = max(o.Orders, 1)
		}
		s.Width = min(s.Count*funnelWidth/whole, funnelWidth)
		if s.Count > 0 {
			s.Width = max(s.Width, 4) // a single one is seen
		}
		if s.Of != "" {
			s.Share = share(s.Count, steps[i-1].Count)
		}
	}
	return steps
}

// The drawing of drift: two panels over one axis, in its own units.
const (
	binsMax     = 24 // bins before the last one, which holds the rest
	plotLeft    = 44
	plotWidth   = 720
	panelHeight = 96
	panelGap    = 26
	binGap      = 2
)

// binSteps are the widths of a bin that may be chosen, in steps of pipeline.DriftStep.
var binSteps = []int{1, 2, 4, 8, 20}

// histogram is the number of accounts by drift, before and after, ready to be drawn.
type histogram struct {
	Empty  bool
	Width  int
	Height int
	Before panel
	After  panel
	Ticks  []tick
	Rows   []driftRow
}

// panel is one row of bars on the baseline Base.
type panel struct {
	Name  string
	Bars  []bar
	Base  int
	Top   int
	Label int // the count at Top
	TopY  int // baseline of the words at Top, and below it of the name
	NameY int
}

// Panels returns both panels, from the top.
func (h histogram) Panels() []panel { return []panel{h.Before, h.After} }

// bar is one bar with its words.
type bar struct {
	X, Y, W, H int
	Text       string
}

// tick is a mark of the axis.
type tick struct {
	X    int
	Y    int
	Text string
}

// driftRow is a row of the table that says the same as the drawing.
type driftRow struct {
	Range  string
	Before int64
	After  int64
}

// drawDrift draws counts of accounts by drift. The bins are as narrow as lets 99 accounts of 100 lie
// before the last bin; both panels have the same scale.
func drawDrift(counts []pipeline.DriftCount) histogram {
	if len(counts) == 0 {
		return histogram{Empty: true}
	}
	steps := chooseBin(counts)
	rows := make([]driftRow, binsMax+1)
	for i := range rows {
		rows[i].Range = binRange(i, steps)
	}
	for _, c := range counts {
		i := min(max(c.Step, 0)/steps, binsMax)
		rows[i].Before += c.Before
		rows[i].After += c.After
	}
	top := int64(1)
	for _, r := range rows {
		top = max(top, r.Before, r.After)
	}
	h := histogram{Width: plotLeft + plotWidth + 8, Height: 2*panelHeight + panelGap + 44, Rows: rows}
	h.Before = drawPanel("Before", rows, func(r driftRow) int64 { return r.Before }, top, 16)
	h.After = drawPanel("After", rows, func(r driftRow) int64 { return r.After }, top, 16+panelHeight+panelGap)
	for i := 0; i <= binsMax; i += 4 {
		h.Ticks = append(h.Ticks, tick{plotLeft + i*plotWidth/(binsMax+1), h.After.Base + 16, binEdge(i, steps)})
	}
	return h
}

func drawPanel(name string, rows []driftRow, of func(driftRow) int64, top int64, y int) panel {
	p := panel{Name: name, Base: y + panelHeight, Top: y, Label: int(top), TopY: y + 4, NameY: y + 16}
	for i, r := range rows {
		n := of(r)
		if n == 0 {
			continue
		}
		height := max(int(n*panelHeight/top), 1)
		x, next := plotLeft+i*plotWidth/len(rows), plotLeft+(i+1)*plotWidth/len(rows)
		p.Bars = append(p.Bars, bar{X: x, Y: p.Base - height, W: next - x - binGap, H: height,
			Text: fmt.Sprintf("%s: %s with drift %s", name, plural(n, "account", "accounts"), r.Range)})
	}
	return p
}

// chooseBin returns the narrowest bin, in steps, that leaves at most one account of a hundred for the
// last bin.
func chooseBin(counts []pipeline.DriftCount) int {
	var all int64
	for _, c := range counts {
		all += c.Before + c.After
	}
	for _, steps := range binSteps {
		var beyond int64
		for _, c := range counts {
			if c.Step >= steps*binsMax {
				beyond += c.Before + c.After
			}
		}
		if beyond*100 <= all {
			return steps
		}
	}
	return binSteps[len(binSteps)-1]
}

// binEdge is where a bin begins, in percent.
func binEdge(i, steps int) string {
	return trimmed(pipeline.DriftStep.Mul(money.FromInt(int64(i*steps))).Mul(hundred).Fixed(2), 0) + " %"
}

func binRange(i, steps int) string {
	if i == binsMax {
		return binEdge(i, steps) + " and more"
	}
	return binEdge(i, steps) + " to " + binEdge(i+1, steps)
}
