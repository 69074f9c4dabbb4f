package web

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
)

// auditRows is the number of rows of one page of the audit trail.
const auditRows = 100

// auditBody is what the page of the audit trail shows.
type auditBody struct {
	Actor, Action, Subject, From, To string
	Rows                             []pipeline.AuditLink
	Older                            string // address of the next page, "" for none
}

// audit shows the audit trail, newest first; all of where a person is in it stands in the address.
func (s *Server) audit(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	form := r.URL.Query()
	b := auditBody{Actor: form.Get("actor"), Action: form.Get("action"), Subject: form.Get("subject"), From: form.Get("from"), To: form.Get("to")}
	q := pipeline.AuditQuery{Actor: b.Actor, Action: b.Action, Subject: b.Subject, Limit: auditRows + 1}
	var err error
	if q.From, err = startOf(b.From, 0); err != nil {
		return err
	}
	if q.To, err = startOf(b.To, 1); err != nil {
		return err
	}
	if before := form.Get("before"); before != "" {
		if q.Before, err = strconv.ParseInt(before, 10, 64); err != nil || q.Before < 1 {
			return refused{http.StatusBadRequest, "This page of the audit trail is not one."}
		}
	}
	if b.Rows, err = s.views.Audit(ctx, q); err != nil {
		return err
	}
	if len(b.Rows) > auditRows {
		b.Rows = b.Rows[:auditRows]
		form.Set("before", strconv.FormatInt(b.Rows[auditRows-1].ID, 10))
		b.Older = (&url.URL{Path: "/audit", RawQuery: form.Encode()}).String()
	}
	return s.show(w, r, view{Name: "audit", Title: "Audit", Section: "audit", Body: b})
}

// startOf returns when a day, or the one so many days after it, starts in UTC; nil for no day.
func startOf(day string, after market.Day) (*time.Time, error) {
	if day == "" {
		return nil, nil
	}
	d, err := market.ParseDay(day)
	if err != nil {
		return nil, refused{http.StatusBadRequest, "A day of the filter is not one: " + day}
	}
	at := (d + after).Time()
	return &at, nil
}
