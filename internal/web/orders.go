package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"daybreak/internal/access"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// pageRows is the number of orders of one page of the grid.
const pageRows = 100

// facetShown is how many values of a facet stand open; the rest are behind a fold.
const facetShown = 8

// ordersBody is what the page of a run's orders shows.
type ordersBody struct {
	Run      pipeline.Run
	Orders   int64
	Totals   []pipeline.OrderTotal
	Facets   []facet
	Chips    []chip
	Clear    string
	Columns  []column
	Rows     ordersPage
	Panel    *orderBody
	Filter   url.Values
	MayAct   bool
	MadeByMe bool
	Approve  string // the page that asks whether all that match are to be approved
	Least    string // the least notional of the filter, as typed
}

// facet is one field with the values that the matching orders have.
type facet struct {
	Label  string
	Values []facetValue
	More   []facetValue
}

// facetValue is a value that can be chosen, or given up.
type facetValue struct {
	Text  string
	Count int64
	On    bool
	Href  string
}

// column is one column that orders can be sorted by.
type column struct {
	Sort   pipeline.OrderSort
	Href   string
	Marked string // aria-sort: ascending, descending or none
}

// ordersPage is one page of the grid, with the addresses of its neighbours.
type ordersPage struct {
	Rows []orderLine
	Self string
	Next string
	Prev string
	Pick bool // rows can be chosen
}

// orderLine is an order with the address of the list in which it is open.
type orderLine struct {
	pipeline.OrderRow
	Href string
	Open bool
}

func (s *Server) orders(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	if err := r.ParseForm(); err != nil {
		return refused{http.StatusBadRequest, "The address cannot be read."}
	}
	l, err := readList(r.PathValue("run"), r.Form)
	if err != nil {
		return err
	}
	page, err := s.orderRows(ctx, l, r)
	if err != nil {
		return err
	}
	if r.Header.Get(fragmentHeader) == "order-rows" {
		return s.show(w, r, view{Name: "orders", Parts: map[string]any{"order-rows": page}})
	}
	body, err := s.ordersBody(ctx, l, userOf(r))
	if err != nil {
		return err
	}
	body.Rows = page
	return s.show(w, r, view{Name: "orders", Title: "Orders of " + l.run, Section: "orders", Run: l.run, Body: body,
		Parts: map[string]any{"orders-sum": body}})
}

func (s *Server) ordersBody(ctx context.Context, l list, user *access.Person) (ordersBody, error) {
	b := ordersBody{Chips: l.chips(), Filter: filterValues(l.filter), MayAct: user.May(access.Approve)}
	run, err := s.views.Run(ctx, l.run)
	if err != nil {
		return b, err
	}
	b.Run, b.MadeByMe = run, run.Maker == user.Name
	if b.Totals, err = s.views.OrderTotals(ctx, l.run, l.filter); err != nil {
		return b, err
	}
	for _, t := range b.Totals {
		b.Orders += t.Orders
	}
	counts, err := s.views.OrderFacets(ctx, l.run, l.filter)
	if err != nil {
		return b, err
	}
	b.Facets = facetsOf(l, counts)
	b.Clear = l.address(func(c *list) { c.filter = pipeline.OrderFilter{}; c.open = "" })
	b.Approve = l.path(runPath(l.run)+"/approve", func(c *list) { c.open, c.sort, c.down = "", pipeline.ByNotional, true }, nil)
	if !l.filter.NotionalMin.IsZero() {
		b.Least = l.filter.NotionalMin.String()
	}
	for _, by := range []pipeline.OrderSort{pipeline.BySymbol, pipeline.ByNotional, pipeline.ByAccount} {
		c := column{Sort: by, Href: l.sorted(by), Marked: "none"}
		if l.sort == by {
			c.Marked = map[bool]string{true: "descending", false: "ascending"}[l.down]
		}
		b.Columns = append(b.Columns, c)
	}
	if l.open != "" {
		if b.Panel, err = s.orderBody(ctx, l.run, orders.ID(l.open), user); err != nil {
			return b, err
		}
		b.Panel.Close = l.address(func(c *list) { c.open = "" })
	}
	return b, nil
}

// orderRows reads one page of the grid. It asks for one row more than it shows, to know whether there
// is another page.
func (s *Server) orderRows(ctx context.Context, l list, r *http.Request) (ordersPage, error) {
	q := pipeline.OrderPage{Run: l.run, Filter: l.filter, Sort: l.sort, Down: l.down, Limit: pageRows + 1}
	after, before := r.Form.Get("after"), r.Form.Get("before")
	cursor := pipeline.OrderCursor{Value: r.Form.Get("at"), ID: after + before}
	if cursor.ID != "" {
		if _, err := money.Parse(cursor.Value); l.sort == pipeline.ByNotional && err != nil {
			return ordersPage{}, refused{http.StatusBadRequest, "This page of the list is not one."}
		}
		if before != "" {
			q.Before = &cursor
		} else {
			q.After = &cursor
		}
	}
	rows, err := s.views.Orders(ctx, q)
	if err != nil {
		return ordersPage{}, err
	}
	user := userOf(r)
	p := ordersPage{Self: r.URL.RequestURI(), Pick: user.May(access.Approve)}
	more := len(rows) > pageRows
	if more && q.Before != nil {
		rows = rows[1:]
	} else if more {
		rows = rows[:pageRows]
	}
	if len(rows) > 0 {
		if more || q.Before != nil {
			p.Next = l.cursor("after", rows[len(rows)-1])
		}
		if (more && q.Before != nil) || q.After != nil {
			p.Prev = l.cursor("before", rows[0])
		}
	}
	for _, o := range rows {
		p.Rows = append(p.Rows, orderLine{o, l.address(func(c *list) { c.open = string(o.ID) }), string(o.ID) == l.open})
	}
	return p, nil
}

// cursor returns the address of the page after, or before, an order.
func (l list) cursor(direction string, o pipeline.OrderRow) string {
	at := map[pipeline.OrderSort]string{pipeline.ByNotional: o.Notional.String(), pipeline.BySymbol: string(o.Symbol),
		pipeline.ByAccount: string(o.Account)}[l.sort]
	return l.path(runPath(l.run)+"/orders", nil, url.Values{direction: {string(o.ID)}, "at": {at}})
}

// facetsOf arranges counts by field. A chosen value is shown even where no order has it any more.
func facetsOf(l list, counts []pipeline.FacetCount) []facet {
	var all []facet
	for _, d := range fields {
		if d.key == "account" || d.key == "id" {
			continue
		}
		f := facet{Label: d.label}
		chosen := *d.values(&l.filter)
		seen := map[string]bool{}
		add := func(value string, n int64) {
			text := wordOf(d, value)
			v := facetValue{text, n, slices.Contains(chosen, value), l.toggled(d, value)}
			seen[value] = true
			if len(f.Values) < facetShown || v.On {
				f.Values = append(f.Values, v)
			} else {
				f.More = append(f.More, v)
			}
		}
		for _, c := range counts {
			if c.Facet == d.key {
				add(c.Value, c.Count)
			}
		}
		for _, v := range chosen {
			if !seen[v] {
				add(v, 0)
			}
		}
		if len(f.Values) > 0 {
			all = append(all, f)
		}
	}
	return all
}

// orderBody is what the side panel, or the page of one order, shows.
type orderBody struct {
	pipeline.OrderDetail
	Close      string // the list without the panel
	Bar        int64  // filled part of the order, in thousandths
	Waits      []string
	MayAct     bool
	MadeByMe   bool
	CanHold    bool
	CanReject  bool
	CanRelease bool
	CanApprove bool
	Path       string
	Stop       *pipeline.LockStop // by tax locks that no override names
}

func (s *Server) order(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	b, err := s.orderBody(ctx, r.PathValue("run"), orders.ID(r.PathValue("order")), userOf(r))
	if err != nil {
		return err
	}
	if r.Header.Get(fragmentHeader) != "" { // in the side panel, whose script knows the list's address
		b.Close = runPath(b.Run) + "/orders"
	}
	return s.show(w, r, view{Name: "order", Title: "Order " + string(b.ID), Section: "orders", Run: b.Run, Body: b,
		Parts: map[string]any{"order-panel": b}})
}

func (s *Server) orderBody(ctx context.Context, run string, id orders.ID, user *access.Person) (*orderBody, error) {
	o, err := s.views.Order(ctx, run, id)
	if err != nil {
		return nil, err
	}
	b := &orderBody{OrderDetail: o, MayAct: user.May(access.Approve), Path: runPath(run) + "/orders/" + url.PathEscape(string(id))}
	if o.OrderQty.Sign() > 0 {
		b.Bar = int64(1000 * money.Min(o.CumQty.Div(o.OrderQty), money.One).Float())
	}
	made, err := s.views.Run(ctx, run)
	if err != nil {
		return nil, err
	}
	b.MadeByMe = made.Maker == user.Name
	if o.Side == portfolio.Buy && o.Sent == nil {
		if b.Stop, err = s.actions.Stop(ctx, run, o.Household, id); err != nil {
			return nil, err
		}
	}
	b.CanApprove = o.State == pipeline.ReviewProposed && b.Stop == nil
	b.CanHold = o.State == pipeline.ReviewProposed || o.State == pipeline.ReviewApproved
	b.CanReject = b.CanHold || o.State == pipeline.ReviewFlagged
	b.CanRelease = o.State == pipeline.ReviewHeld
	return b, nil
}

// CanOverride reports whether the lock is all that stops the order and its loss can be told.
func (b *orderBody) CanOverride() bool {
	onlyLocked := b.Exception == "" && b.HeldBy == "" || b.State == pipeline.ReviewFlagged && b.Exception == orders.TaxLock
	return b.Stop != nil && b.Stop.Unknown == "" && onlyLocked
}
