package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"daybreak/internal/filter"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// Actions are the acts of people on orders. A refusal wraps pipeline.ErrState or pipeline.ErrNotFound;
// its text is shown.
type Actions interface {
	Preview(ctx context.Context, a pipeline.Act) (pipeline.ApprovalResult, error)
	Approve(ctx context.Context, a pipeline.Act) (pipeline.ApprovalResult, error)
	Override(ctx context.Context, a pipeline.Act) (pipeline.OverrideResult, error)
	// Stop returns what stops an order that was not sent, or nil where no tax lock does.
	Stop(ctx context.Context, run string, household portfolio.HouseholdID, id orders.ID) (*pipeline.LockStop, error)
	Reject(ctx context.Context, a pipeline.Act) (int, error)
	Hold(ctx context.Context, a pipeline.Act) (int, error)
	Release(ctx context.Context, a pipeline.Act) (int, error)
	Submit(ctx context.Context, a pipeline.Act) (pipeline.SubmitResult, error)
}

// Desk is the Actions of the book.
type Desk struct {
	pipeline.Review
	Submission pipeline.Submit
}

// Submit implements Actions.
func (d Desk) Submit(ctx context.Context, a pipeline.Act) (pipeline.SubmitResult, error) {
	return d.Submission.Submit(ctx, a)
}

// chosenMax is how many orders one act can name one by one: their ids must fit into one expression.
const chosenMax = 150

// flaggedMax bounds the orders that a page lists one by one as stopped by a check.
const flaggedMax = 20

// commentMax bounds what a person may write beside an act.
const commentMax = 1_000

// approveBody is what the page shows that asks before an approval.
type approveBody struct {
	Run      pipeline.Run
	Frozen   pipeline.Frozen
	Flagged  []pipeline.Flag       // that a check would stop, at most flaggedMax
	More     int                   // beyond those
	Amounts  []pipeline.OrderTotal // of what matches, by side and currency
	Matching int64
	Chips    []chip
	Filter   url.Values
	Where    string
	Back     string
	MadeByMe bool
}

func (s *Server) askApprove(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	act, l, err := s.actOf(r)
	if err != nil {
		return err
	}
	run, err := s.views.Run(ctx, act.Run)
	if err != nil {
		return err
	}
	b := approveBody{Run: run, Chips: l.chips(), Filter: filterValues(l.filter), Where: act.Where, Back: l.address(nil),
		MadeByMe: run.Maker == act.By}
	preview, err := s.actions.Preview(ctx, act)
	if err != nil {
		return err
	}
	b.Frozen, b.Flagged = preview.Frozen, preview.Flagged[:min(len(preview.Flagged), flaggedMax)]
	b.More = len(preview.Flagged) - len(b.Flagged)
	if b.Amounts, err = s.views.OrderTotals(ctx, act.Run, l.filter); err != nil {
		return err
	}
	for _, t := range b.Amounts {
		b.Matching += t.Orders
	}
	return s.show(w, r, view{Name: "approve", Title: "Approve orders", Section: "orders", Run: act.Run, Body: b})
}

// actOf reads an act from a form or an address: the filter it holds, the comment, and who asks.
func (s *Server) actOf(r *http.Request) (pipeline.Act, list, error) {
	if err := r.ParseForm(); err != nil {
		return pipeline.Act{}, list{}, refused{http.StatusBadRequest, "The form cannot be read."}
	}
	l, err := readList(r.PathValue("run"), r.Form)
	if err != nil {
		return pipeline.Act{}, l, err
	}
	if r.Form.Get("chosen") != "" && len(l.filter.IDs) == 0 {
		return pipeline.Act{}, l, refused{http.StatusBadRequest, "No order is chosen. Choose some, or approve all that match."}
	}
	act, err := s.actOn(r, l.run, l.filter)
	act.Root = r.PostForm.Get("root")
	return act, l, err
}

// actOn returns an act of the person who sent r on the orders of a run that match a filter.
func (s *Server) actOn(r *http.Request, run string, f pipeline.OrderFilter) (pipeline.Act, error) {
	comment := strings.TrimSpace(r.FormValue("comment"))
	if len(comment) > commentMax {
		return pipeline.Act{}, refused{http.StatusBadRequest, "The comment is too long."}
	}
	expression, err := where(f)
	if err != nil {
		return pipeline.Act{}, err
	}
	chosen, err := filter.Orders(expression) // what is recorded is what is applied
	if errors.Is(err, filter.ErrFilter) {
		return pipeline.Act{}, refused{http.StatusBadRequest, "That is too much for one act: choose at most " +
			strconv.Itoa(chosenMax) + " orders, or use a filter."}
	}
	if err != nil {
		return pipeline.Act{}, err
	}
	return pipeline.Act{Run: run, Where: expression, Chosen: chosen, By: userOf(r).Name, Comment: comment, Now: s.now()}, nil
}

func (s *Server) approve(w http.ResponseWriter, r *http.Request) error {
	act, l, err := s.actOf(r)
	if err != nil {
		return err
	}
	if act.Root == "" {
		return refused{http.StatusBadRequest, "An approval names the set that it signs. Open the page to approve again."}
	}
	result, err := s.actions.Approve(context.WithoutCancel(r.Context()), act)
	if err != nil {
		return err
	}
	l.filter.IDs = nil
	said := "You approved " + plural(int64(result.Orders), "order", "orders") + "."
	if n := len(result.Flagged); n > 0 {
		said += " A check stopped " + plural(int64(n), "order", "orders") + ": look at what is flagged."
	}
	s.tell(r, said)
	http.Redirect(w, r, l.address(nil), http.StatusSeeOther)
	return nil
}

// submitBody is what the page shows that asks before approved orders go out.
type submitBody struct {
	Run    pipeline.Run
	Ready  int64
	Totals []pipeline.OrderTotal
}

// approvedOnly are the orders that can go out.
var approvedOnly = pipeline.OrderFilter{States: []string{string(pipeline.ReviewApproved)}}

func (s *Server) askSubmit(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	run, err := s.views.Run(ctx, r.PathValue("run"))
	if err != nil {
		return err
	}
	b := submitBody{Run: run}
	if b.Totals, err = s.views.OrderTotals(ctx, b.Run.ID, approvedOnly); err != nil {
		return err
	}
	for _, t := range b.Totals {
		b.Ready += t.Orders
	}
	return s.show(w, r, view{Name: "submit", Title: "Submit approved orders", Section: "orders", Run: b.Run.ID, Body: b})
}

func (s *Server) submit(w http.ResponseWriter, r *http.Request) error {
	act, err := s.actOn(r, r.PathValue("run"), pipeline.OrderFilter{})
	if err != nil {
		return err
	}
	result, err := s.actions.Submit(context.WithoutCancel(r.Context()), act) // a closed page does not stop halfway
	if err != nil {
		return err
	}
	said := plural(int64(result.Orders), "order is", "orders are") + " with the gateway. Purchases wait for the sales that fund them."
	if n := len(result.Stale); n > 0 {
		said += " Flagged and not sent, as they no longer hold: " + plural(int64(n), "order", "orders") + "."
	}
	s.tell(r, said)
	http.Redirect(w, r, runPath(r.PathValue("run")), http.StatusSeeOther)
	return nil
}

func (s *Server) hold(w http.ResponseWriter, r *http.Request) error {
	return s.actOnOne(w, r, s.actions.Hold, "Order %s is held.")
}

func (s *Server) release(w http.ResponseWriter, r *http.Request) error {
	return s.actOnOne(w, r, s.actions.Release, "Order %s is no longer held.")
}

// override lets one order buy what tax locks forbid: the person has seen the loss and says why.
func (s *Server) override(w http.ResponseWriter, r *http.Request) error {
	if strings.TrimSpace(r.PostFormValue("comment")) == "" {
		return refused{http.StatusBadRequest, "An override of a tax lock says why: write it down."}
	}
	if r.PostFormValue("root") == "" {
		return refused{http.StatusBadRequest, "An override names the loss that was shown. Open the order's page again."}
	}
	do := func(ctx context.Context, act pipeline.Act) (int, error) {
		act.Root = r.PostForm.Get("root")
		result, err := s.actions.Override(context.WithoutCancel(ctx), act)
		if err == nil && len(result.Flagged) > 0 {
			err = refused{http.StatusConflict, "The order stays stopped: " + result.Flagged[0].Text()}
		}
		return result.Orders, err
	}
	return s.actOnOne(w, r, do, "Order %s is approved and may buy in spite of the tax lock.")
}

func (s *Server) reject(w http.ResponseWriter, r *http.Request) error {
	return s.actOnOne(w, r, s.actions.Reject, "Order %s is rejected.")
}

// actOnOne does one act on the order of the address and goes back to where the person came from.
func (s *Server) actOnOne(w http.ResponseWriter, r *http.Request, do func(context.Context, pipeline.Act) (int, error), done string) error {
	run, id := r.PathValue("run"), r.PathValue("order")
	act, err := s.actOn(r, run, pipeline.OrderFilter{IDs: []string{id}})
	if err != nil {
		return err
	}
	n, err := do(r.Context(), act)
	if err != nil {
		return err
	}
	if n == 0 {
		return refused{http.StatusConflict, "The order is no longer in a state that allows this."}
	}
	s.tell(r, fmt.Sprintf(done, id))
	back := localPath(r.PostFormValue("back"))
	if back == "/" {
		back = runPath(run) + "/orders/" + url.PathEscape(id)
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
	return nil
}
