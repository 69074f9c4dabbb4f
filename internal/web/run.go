package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

// runsMax bounds the list of runs.
const runsMax = 100

// home shows the latest run, or how to start one.
func (s *Server) home(w http.ResponseWriter, r *http.Request) error {
	latest, err := s.views.LatestRuns(r.Context(), 1)
	if err != nil {
		return err
	}
	if len(latest) == 0 {
		next, err := s.next(r, nil)
		if err != nil {
			return err
		}
		return s.show(w, r, view{Name: "empty", Title: "No run yet", Section: "run", Body: next})
	}
	http.Redirect(w, r, runPath(latest[0].ID), http.StatusSeeOther)
	return nil
}

func runPath(id string) string { return "/runs/" + url.PathEscape(id) }

// runsBody is what the list of runs shows.
type runsBody struct {
	Runs []pipeline.Run
	Next *nextRun
}

func (s *Server) runs(w http.ResponseWriter, r *http.Request) error {
	all, err := s.views.LatestRuns(r.Context(), runsMax)
	if err != nil {
		return err
	}
	next, err := s.next(r, all)
	if err != nil {
		return err
	}
	v := view{Name: "runs", Title: "Runs", Section: "runs", Body: runsBody{all, next}}
	if len(all) > 0 {
		v.Run = all[0].ID
	}
	return s.show(w, r, v)
}

// runBody is what the page of a run shows.
type runBody struct {
	Run      pipeline.Run
	Live     live
	Details  details
	Hours    []hours
	MaySend  bool
	MadeByMe bool
}

// hours are the trading hours of a run's session at one exchange; Closed says why there are none.
type hours struct {
	Exchange    string
	Open, Close time.Time
	Closed      string
}

func (s *Server) run(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	overview, err := s.views.RunOverview(ctx, r.PathValue("run"))
	if err != nil {
		return err
	}
	d, err := s.views.RunDetails(ctx, overview.Run.ID)
	if err != nil {
		return err
	}
	user := userOf(r)
	body := runBody{Run: overview.Run, Live: s.liveOf(overview), Details: detailsOf(overview.Run.ID, d),
		Hours: hoursOf(overview.Run.Session), MaySend: user.May(access.Submit), MadeByMe: user.Name == overview.Run.Maker}
	return s.show(w, r, view{Name: "run", Title: "Run " + overview.Run.ID, Section: "run", Run: overview.Run.ID, Body: body,
		Parts: map[string]any{"run-details": body.Details}})
}

func hoursOf(day market.Day) []hours {
	var all []hours
	for _, name := range market.Exchanges() {
		x, err := market.Calendar(name)
		if err != nil {
			continue
		}
		h := hours{Exchange: name}
		h.Open, h.Close = x.Hours(day)
		if h.Open.IsZero() {
			h.Closed = "closed"
			if e, ok := x.Exception(day); ok {
				h.Closed = "closed: " + e.Name
			}
		}
		all = append(all, h)
	}
	return all
}

// live is the part of a run's page that changes while it runs.
type live struct {
	Run       pipeline.Run
	Decided   int64
	Of        int64
	Parked    int64
	PerSecond string
	Left      time.Duration // until all households are decided, at the present rate; 0 when they are
	Elapsed   time.Duration
	Overview  pipeline.RunOverview
	Funnel    []funnelStep
}

// liveOf derives the moving figures of a run from its counters.
func (s *Server) liveOf(o pipeline.RunOverview) live {
	end := s.now()
	if o.Run.Finished != nil {
		end = *o.Run.Finished
	}
	l := live{Run: o.Run, Decided: o.Decided, Of: int64(o.Run.Households), Parked: o.Parked, Overview: o,
		Elapsed: end.Sub(o.Run.Started), Funnel: funnel(o), PerSecond: "–"}
	if seconds := int64(l.Elapsed / time.Millisecond); seconds > 0 && o.Decided > 0 {
		rate := o.Decided * 1000 / seconds
		l.PerSecond = count(rate)
		if rate == 0 {
			l.PerSecond = "< 1"
		}
		if o.Run.State == pipeline.RunStarted {
			l.Left = time.Duration(int64(l.Elapsed) / o.Decided * (l.Of - o.Decided))
		}
	}
	return l
}

// details is the part of a run's page that is loaded again when the run has moved.
type details struct {
	Run       string
	Sides     []sideLine
	Regions   []pipeline.RunRegion
	Harvests  []harvestLine
	Reasons   []reasonLine
	NotTraded []reasonLine
	Skipped   []reasonLine
	Faults    []reasonLine
	Codes     []string // the regions, as columns
	Drift     histogram
	Before    money.Dec // mean drift
	After     money.Dec
	Accounts  int
	Parked    []pipeline.ParkedHousehold
	MoreFault int64 // parked households that are not listed
	Orders    int
}

// sideLine is one side of one region in one currency, with the address of its orders.
type sideLine struct {
	pipeline.SideTotal
	Href string
}

// harvestLine is what one region harvests, in its home currency.
type harvestLine struct {
	Region        string
	Currency      market.Currency
	Harvests      int
	Harvested     money.Dec
	DeniedAvoided money.Dec
	TaxValue      money.Dec
}

// reasonLine is one reason with its count in each region, in the order of the columns.
type reasonLine struct {
	Code   string
	Counts []int
	Total  int
	Href   string // the orders with it, where orders have it
}

func detailsOf(run string, d pipeline.RunDetails) details {
	s := d.Summary
	codes := regionCodes(d)
	v := details{
		Run: run, Regions: d.Regions, Codes: codes, Drift: drawDrift(d.Drift), Before: s.DriftBefore, After: s.DriftAfter,
		Accounts: s.Accounts, MoreFault: int64(max(s.Parked-len(d.Parked), 0)), Orders: s.Orders,
		Reasons: reasonLines(s.ByReason, codes), NotTraded: reasonLines(s.NotTraded, codes),
		Skipped: reasonLines(d.Skipped, codes), Faults: reasonLines(s.ParkedReasons, codes),
	}
	v.Parked = slices.Clone(d.Parked)
	for i, p := range v.Parked { // the reason stands beside it
		v.Parked[i].Detail = strings.ReplaceAll(p.Detail, p.Reason+": ", "")
	}
	for i := range v.Reasons {
		l := list{run: run, sort: pipeline.ByNotional, down: true}
		l.filter.Reasons = []string{v.Reasons[i].Code}
		v.Reasons[i].Href = l.address(nil)
	}
	for _, t := range s.BySide {
		l := list{run: run, sort: pipeline.ByNotional, down: true}
		l.filter.Sides, l.filter.Regions, l.filter.Currencies = []string{t.Side}, []string{t.Region}, []string{t.Currency}
		v.Sides = append(v.Sides, sideLine{t, l.address(nil)})
	}
	v.Harvests = harvestLines(d)
	return v
}

// regionCodes returns the regions that a run has anything in, in order.
func regionCodes(d pipeline.RunDetails) []string {
	var codes []string
	for _, r := range d.Regions {
		codes = append(codes, r.Region)
	}
	for _, group := range [][]pipeline.ReasonTotal{d.Summary.ByReason, d.Summary.NotTraded, d.Summary.ParkedReasons, d.Skipped} {
		for _, r := range group {
			codes = append(codes, r.Region)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// harvestLines adds the currencies of a region up: what accounts harvest is in its home currency.
func harvestLines(d pipeline.RunDetails) []harvestLine {
	var lines []harvestLine
	for _, r := range d.Regions {
		if len(lines) == 0 || lines[len(lines)-1].Region != r.Region {
			lines = append(lines, harvestLine{Region: r.Region, Currency: homeCurrency(r.Region), Harvests: d.Summary.ByRegion[r.Region].Harvests})
		}
		l := &lines[len(lines)-1]
		l.Harvested = l.Harvested.Add(r.Harvested)
		l.DeniedAvoided = l.DeniedAvoided.Add(r.DeniedAvoided)
		l.TaxValue = l.TaxValue.Add(r.TaxValue)
	}
	return lines
}

// reasonLines turns counts by region and reason into lines by reason, the most frequent first.
func reasonLines(totals []pipeline.ReasonTotal, codes []string) []reasonLine {
	var lines []reasonLine
	for _, t := range totals {
		i := slices.IndexFunc(lines, func(l reasonLine) bool { return l.Code == t.Reason })
		if i < 0 {
			i = len(lines)
			lines = append(lines, reasonLine{Code: t.Reason, Counts: make([]int, len(codes))})
		}
		if c := slices.Index(codes, t.Region); c >= 0 {
			lines[i].Counts[c] += t.Count
		}
		lines[i].Total += t.Count
	}
	slices.SortFunc(lines, func(a, b reasonLine) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Code, b.Code))
	})
	return lines
}
