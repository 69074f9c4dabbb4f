// Package api serves Daybreak to programs: everything that the pages show and do, under /api/v1, by the
// same use cases, described by an OpenAPI document that is made from this code.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// Version is the version of the API that the OpenAPI document carries.
const Version = "1.0.0"

// Book is what the API reads and keeps.
type Book interface {
	pipeline.AccountBook
	pipeline.TaxReports
	pipeline.Records
	Run(ctx context.Context, id string) (pipeline.Run, error)
	LatestRuns(ctx context.Context, limit int) ([]pipeline.Run, error)
	RunOverview(ctx context.Context, id string) (pipeline.RunOverview, error)
	RunDetails(ctx context.Context, run string) (pipeline.RunDetails, error)
	Orders(ctx context.Context, p pipeline.OrderPage) ([]pipeline.OrderRow, error)
	OrderTotals(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.OrderTotal, error)
	OrderFacets(ctx context.Context, run string, f pipeline.OrderFilter) ([]pipeline.FacetCount, error)
	Order(ctx context.Context, run string, id orders.ID) (pipeline.OrderDetail, error)
	Fills(ctx context.Context, limit int) ([]pipeline.ExecutionRow, error)
	Streams(ctx context.Context) ([]pipeline.StreamRow, error)
	Exceptions(ctx context.Context, all bool) ([]pipeline.BookException, error)
	CloseException(ctx context.Context, id int64, by, why string, now time.Time) error
	KillSwitch(ctx context.Context) (pipeline.KillSwitch, error)
	SetKillSwitch(ctx context.Context, active bool, reason, by string, now time.Time) error
	Audit(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLink, error)
	VerifyAudit(ctx context.Context, kept ...pipeline.AuditRoot) (pipeline.Check, error)
	People(ctx context.Context) ([]access.Account, error)
	SavePerson(ctx context.Context, a access.Account, by string) error
	Tokens(ctx context.Context) ([]access.Token, error)
	CreateToken(ctx context.Context, t access.Token, hash, by string) (int64, error)
	RevokeToken(ctx context.Context, id int64, by string, now time.Time) error
	Answers
}

// Desk is where people decide about orders.
type Desk interface {
	Preview(ctx context.Context, a pipeline.Act) (pipeline.ApprovalResult, error)
	Approve(ctx context.Context, a pipeline.Act) (pipeline.ApprovalResult, error)
	Override(ctx context.Context, a pipeline.Act) (pipeline.OverrideResult, error)
	Reject(ctx context.Context, a pipeline.Act) (int, error)
	Hold(ctx context.Context, a pipeline.Act) (int, error)
	Release(ctx context.Context, a pipeline.Act) (int, error)
	Submit(ctx context.Context, a pipeline.Act) (pipeline.SubmitResult, error)
}

// Runs starts runs and steers them.
type Runs interface {
	// Now is the time that the installation's clock shows.
	Now() time.Time
	StartRun(ctx context.Context, session market.Day, by string) (pipeline.Run, error)
	Steer(ctx context.Context, change pipeline.RunChange) (pipeline.Run, error)
}

// Config is what an API needs.
type Config struct {
	Book  Book
	Desk  Desk
	Runs  Runs
	Build string // id of the running build, which replays
	Log   *slog.Logger
	Now   func() time.Time
}

// API answers requests in whose context access.Of finds who sent them.
type API struct {
	Config
	huma    huma.API
	handler http.Handler
}

// New returns the API. It answers under /api/v1 and publishes /api/openapi.json and /api/openapi.yaml.
func New(c Config) *API {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	mux := http.NewServeMux()
	a := &API{Config: c, huma: humago.New(mux, config())}
	a.readRuns()
	a.writeRuns()
	a.readOrders()
	a.writeOrders()
	a.accounts()
	a.desk()
	a.people()
	a.stream()
	mux.HandleFunc("GET /api/v1/events", func(w http.ResponseWriter, r *http.Request) {
		problem := refusal(r.Context(), access.Read)
		if problem == nil {
			problem = newProblem(http.StatusServiceUnavailable, CodeInternal, "Events are sent by the server of the pages.")
		}
		write(w, problem)
	})
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		write(w, newProblem(http.StatusNotFound, CodeNotFound, "There is nothing under this address."))
	})
	a.handler = a.recovering(a.idempotent(mux))
	return a
}

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// OpenAPI returns the document that describes the API.
func (a *API) OpenAPI() ([]byte, error) { return a.huma.OpenAPI().MarshalJSON() }

// useProblems makes the library's errors problems of ours: it has one place for all of a process.
var useProblems = sync.OnceFunc(func() { huma.NewError = humaError })

func config() huma.Config {
	useProblems()
	registry := huma.NewMapRegistry("#/components/schemas/", schemaName)
	for _, text := range []any{market.Day(0), portfolio.Side("")} {
		registry.RegisterTypeAlias(reflect.TypeOf(text), reflect.TypeFor[string]())
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Daybreak", Version: Version, Description: "Runs, orders, approvals, accounts, fills and the audit trail. " +
				"Money and shares are decimal strings, days are 2006-01-02, instants RFC 3339. docs/api.md tells the rest."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"bearer": {Type: "http", Scheme: "bearer", Description: "Token of a machine or a person."},
				"cookie": {Type: "apiKey", In: "cookie", Name: "daybreak_session", Description: "Session of a browser that has signed in."},
			}},
			Security: []map[string][]string{{"bearer": {}}, {"cookie": {}}},
		},
		OpenAPIPath: "/api/openapi", Formats: huma.DefaultFormats, DefaultFormat: "application/json",
		RejectUnknownQueryParameters: true,
	}
}

// schemaName names a type's schema: by the package too where two packages have a type of that name.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	dir := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	switch dir {
	case "", "api", "pipeline", "huma":
		return name
	}
	return strings.ToUpper(dir[:1]) + dir[1:] + name
}

// timeout bounds what one request asks of the database.
const timeout = 30 * time.Second

// operation is one operation of the API, and the action of the table of permissions that it is.
type operation struct {
	id, method, path, summary string
	action                    access.Action
	status                    int // of an answer that went well; 0: 200
}

// register adds an operation. It is refused before its input is read where the person may not do the
// action; one that writes takes an Idempotency-Key.
func register[I, O any](a *API, o operation, handle func(context.Context, *I) (*O, error)) {
	tag := strings.Split(strings.TrimPrefix(o.path, "/api/v1/"), "/")[0]
	op := huma.Operation{OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary, Tags: []string{tag}, DefaultStatus: o.status,
		Description: "Action `" + string(o.action) + "` of the table of permissions.",
		Errors: []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
			http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusInternalServerError, http.StatusServiceUnavailable},
		Middlewares: huma.Middlewares{a.allow(o.action)}, Extensions: map[string]any{"x-action": string(o.action)}}
	if o.method != http.MethodGet {
		op.Parameters = append(op.Parameters, &huma.Param{Name: "Idempotency-Key", In: "header", Required: true,
			Description: "The same key with the same request gets the same answer again; with another one, 409.",
			Schema:      &huma.Schema{Type: "string", MinLength: pointer(1), MaxLength: pointer(keyMax), Pattern: "^[!-~]+$"}})
		op.MaxBodyBytes = bodyMax
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		out, err := handle(ctx, in)
		if err != nil {
			return nil, a.problem(ctx, err)
		}
		return out, nil
	})
}

func pointer[T any](v T) *T { return &v }

// allow refuses people who may not do an action.
func (a *API) allow(action access.Action) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if p := refusal(ctx.Context(), action); p != nil {
			writeTo(ctx, p)
			return
		}
		next(ctx)
	}
}

// refusal returns why whom a context acts for may not do an action; nil where that person may.
func refusal(ctx context.Context, action access.Action) *Problem {
	p := access.Of(ctx)
	switch access.Judge(p, action, "") {
	case access.Allowed:
		return nil
	case access.NoPerson:
		return newProblem(http.StatusUnauthorized, CodeNobody, "Send a bearer token, or sign in.")
	case access.NotBook:
		return newProblem(http.StatusForbidden, CodeBook, "This is about the whole firm, and you see some of its books.")
	}
	return newProblem(http.StatusForbidden, CodeRole, "Your role, "+p.Title()+", does not allow this.")
}

// body is an answer that is one value.
type body[T any] struct {
	ETag string `header:"ETag"`
	Body T
}

func answer[T any](value T, err error) (*body[T], error) {
	if err != nil {
		return nil, err
	}
	return &body[T]{Body: value}, nil
}

// by returns who sent a request; operations have made sure that somebody did.
func by(ctx context.Context) string { return access.Of(ctx).Name }
