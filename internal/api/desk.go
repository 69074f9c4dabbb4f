package api

import (
	"context"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// isText reports whether the database can hold a text that came from outside.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// AccountPath names an account.
type AccountPath struct {
	Account string `path:"account" maxLength:"80" pattern:"^[A-Za-z0-9._~-]+$"`
}

// accountOf asks for an account.
type accountOf struct {
	AccountPath
	AsOf  string `query:"as_of" format:"date" doc:"as it stood at the end of this day; as it is now if not given"`
	Limit int    `query:"limit" default:"30" minimum:"1" maximum:"500" doc:"entries of the timeline at most, and as many of taxes"`
}

// replayAccount asks for a decision again.
type replayAccount struct {
	AccountPath
	Body struct {
		Run string            `json:"run" maxLength:"40"`
		Set map[string]string `json:"set,omitempty" doc:"parameters to change first"`
	}
}

// taxReportOf asks for a tax report.
type taxReportOf struct {
	Year      int    `query:"year" required:"true" minimum:"1900" maximum:"2199"`
	Household string `query:"household" maxLength:"80"`
	Account   string `query:"account" maxLength:"80"`
	AsOf      string `query:"as_of" format:"date"`
}

func (a *API) accounts() {
	register(a, operation{id: "showAccount", method: http.MethodGet, path: "/api/v1/accounts/{account}", action: access.Read,
		summary: "An account: positions, lots or pools, cash, what a sale today would come to, what not to buy, what happened"},
		func(ctx context.Context, in *accountOf) (*body[pipeline.AccountPage], error) {
			q := pipeline.AccountRequest{Account: portfolio.AccountID(in.Account), Today: market.DayOf(a.Runs.Now()), Limit: in.Limit}
			var err error
			if q.AsOf, err = dayOf(in.AsOf); err != nil {
				return nil, err
			}
			return answer(pipeline.LookAtAccount(ctx, a.Book, q))
		})
	register(a, operation{id: "replayAccount", method: http.MethodPost, path: "/api/v1/accounts/{account}/replay",
		summary: "Decide an account again from its recorded inputs", action: access.Replay},
		func(ctx context.Context, in *replayAccount) (*body[pipeline.Replayed], error) {
			q := pipeline.ReplayRequest{Account: portfolio.AccountID(in.Account), Run: in.Body.Run, Build: a.Build}
			for _, key := range sortedKeys(in.Body.Set) {
				q.Settings = append(q.Settings, pipeline.Setting{Key: key, Value: in.Body.Set[key]})
			}
			return answer(pipeline.Replay(ctx, a.Book, q))
		})
	register(a, operation{id: "taxReport", method: http.MethodGet, path: "/api/v1/tax-report", action: access.Read,
		summary: "What a household, or an account, realised in a tax year"},
		func(ctx context.Context, in *taxReportOf) (*body[pipeline.TaxReport], error) {
			if (in.Household == "") == (in.Account == "") {
				return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalid, "Name either a household or an account.")
			}
			q := pipeline.TaxQuery{Year: in.Year, AsOf: market.DayOf(a.Runs.Now()), Household: portfolio.HouseholdID(in.Household), Account: portfolio.AccountID(in.Account)}
			if day, err := dayOf(in.AsOf); err != nil {
				return nil, err
			} else if day != market.NoDay {
				q.AsOf = day
			}
			var report pipeline.TaxReport
			err := pipeline.ReportTax(ctx, a.Book, q, func(r pipeline.TaxReport) error { report = r; return nil }, func(int64) {})
			return answer(report, err)
		})
}

func dayOf(text string) (market.Day, error) {
	if text == "" {
		return market.NoDay, nil
	}
	day, err := market.ParseDay(text)
	if err != nil {
		return day, newProblem(http.StatusUnprocessableEntity, CodeInvalid, err.Error())
	}
	return day, nil
}

// fillList asks for executions.
type fillList struct {
	Limit int `query:"limit" default:"100" minimum:"1" maximum:"1000"`
}

// exceptionList asks for exceptions.
type exceptionList struct {
	All bool `query:"all" doc:"closed ones too"`
}

// closeException asks for the end of one.
type closeException struct {
	ID   int64 `path:"id" minimum:"1"`
	Body struct {
		Why string `json:"why" minLength:"1" maxLength:"1000" pattern:"\\S"`
	}
}

// setKillSwitch asks for the kill switch.
type setKillSwitch struct {
	Body struct {
		Active bool   `json:"active" doc:"no order is sent"`
		Reason string `json:"reason" minLength:"1" maxLength:"1000" pattern:"\\S"`
	}
}

// auditList asks for rows of the audit trail.
type auditList struct {
	Actor    string    `query:"actor" maxLength:"100"`
	Action   string    `query:"action" maxLength:"100" doc:"or its beginning"`
	Subject  string    `query:"subject" maxLength:"100"`
	From     time.Time `query:"from"`
	To       time.Time `query:"to" doc:"not included"`
	Before   int64     `query:"before" minimum:"0" doc:"number of the last row of the page before"`
	PageSize int       `query:"page_size" default:"100" minimum:"1" maximum:"1000"`
}

func (in auditList) query() pipeline.AuditQuery {
	q := pipeline.AuditQuery{Before: in.Before, Actor: in.Actor, Action: in.Action, Subject: in.Subject, Limit: in.PageSize}
	if !in.From.IsZero() {
		q.From = &in.From
	}
	if !in.To.IsZero() {
		q.To = &in.To
	}
	return q
}

func (a *API) desk() {
	register(a, operation{id: "listFills", method: http.MethodGet, path: "/api/v1/fills", summary: "The latest executions, newest first", action: access.Read},
		func(ctx context.Context, in *fillList) (*body[items[pipeline.ExecutionRow]], error) {
			rows, err := a.Book.Fills(ctx, in.Limit)
			return answer(items[pipeline.ExecutionRow]{rows}, err)
		})
	register(a, operation{id: "listStreams", method: http.MethodGet, path: "/api/v1/streams", summary: "How far each topic was applied", action: access.Read},
		func(ctx context.Context, _ *struct{}) (*body[items[pipeline.StreamRow]], error) {
			rows, err := a.Book.Streams(ctx)
			return answer(items[pipeline.StreamRow]{rows}, err)
		})
	register(a, operation{id: "listExceptions", method: http.MethodGet, path: "/api/v1/exceptions", summary: "Exceptions of the book, the oldest first", action: access.Read},
		func(ctx context.Context, in *exceptionList) (*body[items[pipeline.BookException]], error) {
			found, err := a.Book.Exceptions(ctx, in.All)
			return answer(items[pipeline.BookException]{found}, err)
		})
	register(a, operation{id: "closeException", method: http.MethodPost, path: "/api/v1/exceptions/{id}/close", action: access.CloseException,
		summary: "Close an exception: its household takes part in runs again", status: http.StatusNoContent},
		func(ctx context.Context, in *closeException) (*struct{}, error) {
			return &struct{}{}, a.Book.CloseException(ctx, in.ID, by(ctx), in.Body.Why, a.Now())
		})
	register(a, operation{id: "showKillSwitch", method: http.MethodGet, path: "/api/v1/kill-switch", summary: "Whether orders are sent", action: access.Read},
		func(ctx context.Context, _ *struct{}) (*body[pipeline.KillSwitch], error) {
			return answer(a.Book.KillSwitch(ctx))
		})
	register(a, operation{id: "setKillSwitch", method: http.MethodPut, path: "/api/v1/kill-switch", action: access.Stop,
		summary: "Stop every order from being sent, or let them go again, which fewer may"},
		func(ctx context.Context, in *setKillSwitch) (*body[pipeline.KillSwitch], error) {
			if !in.Body.Active && !access.Of(ctx).May(access.Unstop) {
				return nil, newProblem(http.StatusForbidden, CodeRole, "Your role does not allow to take the kill switch back.")
			}
			if err := a.Book.SetKillSwitch(ctx, in.Body.Active, in.Body.Reason, by(ctx), a.Now()); err != nil {
				return nil, err
			}
			return answer(a.Book.KillSwitch(ctx))
		})
	register(a, operation{id: "listAudit", method: http.MethodGet, path: "/api/v1/audit", summary: "The audit trail, newest first", action: access.ReadAudit},
		func(ctx context.Context, in *auditList) (*body[items[pipeline.AuditLink]], error) {
			links, err := a.Book.Audit(ctx, in.query())
			return answer(items[pipeline.AuditLink]{links}, err)
		})
	register(a, operation{id: "verifyAudit", method: http.MethodGet, path: "/api/v1/audit/verification", action: access.ReadAudit,
		summary: "Walk the audit trail's chain from its beginning"},
		func(ctx context.Context, _ *struct{}) (*body[pipeline.Check], error) {
			return answer(a.Book.VerifyAudit(ctx))
		})
}

// stream describes the events, which the server of the pages sends.
func (a *API) stream() {
	a.huma.OpenAPI().AddOperation(&huma.Operation{OperationID: "followEvents", Method: http.MethodGet, Path: "/api/v1/events", Tags: []string{"events"},
		Summary:     "Server-sent events: run, fills, reload",
		Description: "An event says what changed, as {\"run\": …} or {}. A client that comes back with Last-Event-ID gets what it missed, or reload. Action `read` of the table of permissions.",
		Parameters:  []*huma.Param{{Name: "Last-Event-ID", In: "header", Schema: &huma.Schema{Type: "string"}}},
		Extensions:  map[string]any{"x-action": string(access.Read)},
		Responses: map[string]*huma.Response{
			"200": {Description: "A stream without end.", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}}},
			"401": {Description: "Nobody is signed in.", Content: map[string]*huma.MediaType{problemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}}},
		}})
}
