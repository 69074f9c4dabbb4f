package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"

	"daybreak/internal/access"
	"daybreak/internal/filter"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
)

// OrderFilter chooses orders by their fields: values of one field are alternatives.
type OrderFilter struct {
	State    []string `query:"state,explode" maxItems:"50" doc:"Proposed, Flagged, Held, Approved, Submitted, then FIX's own"`
	Side     []string `query:"side,explode" maxItems:"2" enum:"buy,sell"`
	Region   []string `query:"region,explode" maxItems:"50"`
	Currency []string `query:"currency,explode" maxItems:"50"`
	Reason   []string `query:"reason,explode" maxItems:"50"`
	Symbol   []string `query:"symbol,explode" maxItems:"500"`
	Account  []string `query:"account,explode" maxItems:"500"`
	ID       []string `query:"id,explode" maxItems:"500"`
	Min      string   `query:"min" maxLength:"40" pattern:"^[0-9]{1,20}(\\.[0-9]{1,12})?$" doc:"least notional"`
}

func (f OrderFilter) filter() (pipeline.OrderFilter, error) {
	out := pipeline.OrderFilter{States: f.State, Sides: f.Side, Regions: f.Region, Currencies: f.Currency, Reasons: f.Reason,
		Symbols: f.Symbol, Accounts: f.Account, IDs: f.ID}
	for _, values := range [][]string{f.State, f.Side, f.Region, f.Currency, f.Reason, f.Symbol, f.Account, f.ID} {
		for _, v := range values {
			if !isText(v) {
				return out, newProblem(http.StatusBadRequest, CodeInvalid, "The filter holds a value that cannot be one.")
			}
		}
	}
	if f.Min == "" {
		return out, nil
	}
	var err error
	if out.NotionalMin, err = money.Parse(f.Min); err != nil {
		return out, newProblem(http.StatusBadRequest, CodeInvalid, "min: "+err.Error())
	}
	return out, nil
}

// orderList asks for a page of a run's orders.
type orderList struct {
	RunPath
	OrderFilter
	Sort      string `query:"sort" default:"-notional" enum:"notional,-notional,symbol,-symbol,account,-account" doc:"a minus turns it around; ties by id"`
	PageSize  int    `query:"page_size" default:"100" minimum:"1" maximum:"1000"`
	PageToken string `query:"page_token" maxLength:"400" doc:"next_page_token of the page before, with the same sort"`
}

// page is one page of a list; next_page_token is absent on the last one.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next_page_token,omitempty"`
}

// place is what a page token holds.
type place struct {
	Sort  string `json:"s"`
	Value string `json:"v"`
	ID    string `json:"i"`
}

func (p place) token() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings are JSON
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func readPlace(token, sort string) (*pipeline.OrderCursor, error) {
	if token == "" {
		return nil, nil
	}
	var p place
	text, err := base64.RawURLEncoding.DecodeString(token)
	bad := newProblem(http.StatusBadRequest, CodeInvalid, "The page_token is not one of this list.")
	if err != nil || json.Unmarshal(text, &p) != nil || p.Sort != sort || p.ID == "" || !isText(p.Value) || !isText(p.ID) {
		return nil, bad
	}
	if _, err := money.Parse(p.Value); strings.HasSuffix(sort, string(pipeline.ByNotional)) && err != nil {
		return nil, bad
	}
	return &pipeline.OrderCursor{Value: p.Value, ID: p.ID}, nil
}

func (a *API) listOrders(ctx context.Context, in *orderList) (*body[page[pipeline.OrderRow]], error) {
	name, down := strings.CutPrefix(in.Sort, "-")
	q := pipeline.OrderPage{Run: in.Run, Sort: pipeline.OrderSort(name), Down: down, Limit: in.PageSize + 1}
	var err error
	if q.Filter, err = in.filter(); err != nil {
		return nil, err
	}
	if q.After, err = readPlace(in.PageToken, in.Sort); err != nil {
		return nil, err
	}
	if _, err := a.Book.Run(ctx, in.Run); err != nil {
		return nil, err
	}
	rows, err := a.Book.Orders(ctx, q)
	if err != nil {
		return nil, err
	}
	out := page[pipeline.OrderRow]{Items: rows}
	if len(rows) > in.PageSize {
		out.Items = rows[:in.PageSize]
		last := out.Items[in.PageSize-1]
		at := map[pipeline.OrderSort]string{pipeline.ByNotional: last.Notional.String(), pipeline.BySymbol: string(last.Symbol),
			pipeline.ByAccount: string(last.Account)}[q.Sort]
		out.Next = place{in.Sort, at, string(last.ID)}.token()
	}
	return answer(out, nil)
}

// orderTotals are the sums over a run's orders that match, and how many have each value.
type orderTotals struct {
	Totals []pipeline.OrderTotal `json:"totals"`
	Facets []pipeline.FacetCount `json:"facets"`
}

// orderTotalsOf asks for them.
type orderTotalsOf struct {
	RunPath
	OrderFilter
}

// OrderPath names an order.
type OrderPath struct {
	RunPath
	Order string `path:"order" maxLength:"40" pattern:"^[A-Za-z0-9._~-]+$" doc:"ClOrdID"`
}

func (a *API) readOrders() {
	register(a, operation{id: "listOrders", method: http.MethodGet, path: "/api/v1/runs/{run}/orders", summary: "Orders of a run that match, a page at a time",
		action: access.Read}, a.listOrders)
	register(a, operation{id: "sumOrders", method: http.MethodGet, path: "/api/v1/runs/{run}/order-totals",
		summary: "Counts and amounts of a run's orders that match", action: access.Read},
		func(ctx context.Context, in *orderTotalsOf) (*body[orderTotals], error) {
			f, err := in.filter()
			if err != nil {
				return nil, err
			}
			if _, err := a.Book.Run(ctx, in.Run); err != nil {
				return nil, err
			}
			totals, err := a.Book.OrderTotals(ctx, in.Run, f)
			if err != nil {
				return nil, err
			}
			facets, err := a.Book.OrderFacets(ctx, in.Run, f)
			return answer(orderTotals{totals, facets}, err)
		})
	register(a, operation{id: "showOrder", method: http.MethodGet, path: "/api/v1/runs/{run}/orders/{order}",
		summary: "An order with all that explains it", action: access.Read},
		func(ctx context.Context, in *OrderPath) (*body[pipeline.OrderDetail], error) {
			o, err := a.Book.Order(ctx, in.Run, orders.ID(in.Order))
			out, err := answer(o, err)
			if err == nil {
				out.ETag = quoted(o.Version())
			}
			return out, err
		})
}

// actOnSet asks for an act on the orders of a run that match.
type actOnSet struct {
	RunPath
	Body struct {
		Where   string `json:"where,omitempty" maxLength:"20000" doc:"CEL expression over the fields of an order; empty: all"`
		Comment string `json:"comment,omitempty" maxLength:"1000"`
	}
}

// approveSet asks for the approval of a frozen set.
type approveSet struct {
	RunPath
	IfMatch string `header:"If-Match" maxLength:"80" doc:"ETag of the preview, in place of root"`
	Body    struct {
		Where   string `json:"where,omitempty" maxLength:"20000"`
		Comment string `json:"comment,omitempty" maxLength:"1000"`
		Root    string `json:"root,omitempty" maxLength:"64" doc:"of the preview: where the set is another by now, nothing is approved"`
	}
}

// actOnOrder asks for an act on one order.
type actOnOrder struct {
	OrderPath
	IfMatch string `header:"If-Match" maxLength:"80" doc:"ETag of the order: the act is refused where the order is another by now"`
	Body    struct {
		Comment string `json:"comment,omitempty" maxLength:"1000"`
		Root    string `json:"root,omitempty" maxLength:"64" doc:"of an override: the loss that was shown"`
	}
}

// acted is what an act on orders came to.
type acted struct {
	Run    string `json:"run"`
	Orders int    `json:"orders"`
}

func (a *API) act(ctx context.Context, run, where, comment string) (pipeline.Act, error) {
	chosen, err := filter.Orders(where)
	return pipeline.Act{Run: run, Where: where, Chosen: chosen, By: by(ctx), Comment: comment, Now: a.Now()}, err
}

// actOne returns an act on one order, which is refused where the order has another version by now.
func (a *API) actOne(ctx context.Context, in *actOnOrder) pipeline.Act {
	return pipeline.Act{Run: in.Run, Where: `id == "` + in.Order + `"`, By: by(ctx), Comment: in.Body.Comment, Root: in.Body.Root, Now: a.Now(),
		Chosen: pipeline.OneOrder(orders.ID(in.Order), strings.Trim(in.IfMatch, `"`))}
}

// excluding is one of the acts that say only how many orders they changed.
type excluding struct {
	verb, set, summary string
	action             access.Action
	do                 func(context.Context, pipeline.Act) (int, error)
}

func (a *API) writeOrders() {
	for _, e := range []excluding{
		{"hold", "holds", "Keep orders from being sent", access.Hold, a.Desk.Hold},
		{"release", "releases", "Let orders go that are held, or flagged and looked at", access.Release, a.Desk.Release},
		{"reject", "rejections", "End orders that were not sent", access.Reject, a.Desk.Reject},
	} {
		a.exclude(e)
	}
	register(a, operation{id: "previewApproval", method: http.MethodPost, path: "/api/v1/runs/{run}/approvals/preview",
		summary: "The set that an approval would sign now, and what a check would stop", action: access.Approve},
		func(ctx context.Context, in *actOnSet) (*body[pipeline.ApprovalResult], error) {
			act, err := a.act(ctx, in.Run, in.Body.Where, in.Body.Comment)
			if err != nil {
				return nil, err
			}
			result, err := a.Desk.Preview(ctx, act)
			out, err := answer(result, err)
			if err == nil {
				out.ETag = quoted(result.Root)
			}
			return out, err
		})
	register(a, operation{id: "approve", method: http.MethodPost, path: "/api/v1/runs/{run}/approvals",
		summary: "Sign a frozen set, as another person than the run's maker", action: access.Approve, status: http.StatusCreated},
		func(ctx context.Context, in *approveSet) (*body[pipeline.ApprovalResult], error) {
			act, err := a.act(ctx, in.Run, in.Body.Where, in.Body.Comment)
			if err != nil {
				return nil, err
			}
			act.Root = in.Body.Root
			if act.Root == "" {
				act.Root = strings.Trim(in.IfMatch, `"`)
			}
			if act.Root == "" {
				return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalid, "An approval names the set that it signs: root, or If-Match.")
			}
			return answer(a.Desk.Approve(ctx, act))
		})
	register(a, operation{id: "overrideOrder", method: http.MethodPost, path: "/api/v1/runs/{run}/orders/{order}/override",
		summary: "Let an order buy what tax locks forbid, in spite of the loss", action: access.Override},
		func(ctx context.Context, in *actOnOrder) (*body[pipeline.OverrideResult], error) {
			return answer(a.Desk.Override(ctx, a.actOne(ctx, in)))
		})
	register(a, operation{id: "submit", method: http.MethodPost, path: "/api/v1/runs/{run}/submissions",
		summary: "Hand approved orders to the gateway", action: access.Submit},
		func(ctx context.Context, in *actOnSet) (*body[pipeline.SubmitResult], error) {
			act, err := a.act(ctx, in.Run, in.Body.Where, in.Body.Comment)
			if err != nil {
				return nil, err
			}
			return answer(a.Desk.Submit(ctx, act))
		})
}

// exclude registers an act on one order and on all that match. An act that changes no order is refused
// for one, and says 0 for a set.
func (a *API) exclude(e excluding) {
	register(a, operation{id: e.verb + "Order", method: http.MethodPost, path: "/api/v1/runs/{run}/orders/{order}/" + e.verb,
		summary: e.summary + ": one", action: e.action},
		func(ctx context.Context, in *actOnOrder) (*body[acted], error) {
			n, err := e.do(ctx, a.actOne(ctx, in))
			if err == nil && n == 0 {
				err = newProblem(http.StatusConflict, CodeState, "The order is not in a state that allows this.")
			}
			return answer(acted{in.Run, n}, err)
		})
	register(a, operation{id: e.verb + "Orders", method: http.MethodPost, path: "/api/v1/runs/{run}/" + e.set,
		summary: e.summary + ": all that match", action: e.action},
		func(ctx context.Context, in *actOnSet) (*body[acted], error) {
			act, err := a.act(ctx, in.Run, in.Body.Where, in.Body.Comment)
			if err != nil {
				return nil, err
			}
			n, err := e.do(ctx, act)
			return answer(acted{in.Run, n}, err)
		})
}
