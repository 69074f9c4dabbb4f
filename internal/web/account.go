package web

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// accountBody is what the page of an account shows.
type accountBody struct {
	pipeline.AccountView
	Lines []positionLine
	Cash  []portfolio.Cash
}

// positionLine is a position with its value in the security's currency.
type positionLine struct {
	pipeline.PositionRow
	Value money.Dec
}

func (s *Server) account(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	a, err := s.views.Account(ctx, portfolio.AccountID(r.PathValue("account")))
	if err != nil {
		return err
	}
	b := accountBody{AccountView: a, Cash: a.Cash}
	for _, p := range a.Positions {
		b.Lines = append(b.Lines, positionLine{p, p.Shares.Mul(p.Price)})
	}
	slices.SortStableFunc(b.Lines, func(x, y positionLine) int { return y.Value.Cmp(x.Value) })
	v := view{Name: "account", Title: "Account " + string(a.ID), Section: "account", Body: b}
	if len(a.Decisions) > 0 {
		v.Run = a.Decisions[0].Run
	}
	return s.show(w, r, v)
}

// search leads to what a text is the id of; a symbol leads to its orders in the latest run.
func (s *Server) search(w http.ResponseWriter, r *http.Request) error {
	text := r.FormValue("q")
	if text == "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	if len(text) > valueMax {
		return refused{http.StatusBadRequest, "That is too long to be an id."}
	}
	found, err := s.views.Find(r.Context(), text)
	if err != nil {
		return err
	}
	http.Redirect(w, r, placeOf(found), http.StatusSeeOther)
	return nil
}

func placeOf(f pipeline.Found) string {
	switch f.Kind {
	case "run":
		return runPath(f.ID)
	case "order":
		return runPath(f.Run) + "/orders/" + url.PathEscape(f.ID)
	case "symbol":
		if f.Run == "" {
			return "/"
		}
		return list{run: f.Run, sort: pipeline.ByNotional, down: true,
			filter: pipeline.OrderFilter{Symbols: []string{f.ID}}}.address(nil)
	}
	return "/accounts/" + url.PathEscape(f.ID)
}
