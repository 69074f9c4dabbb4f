package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/pipeline"
)

// RunPath names a run.
type RunPath struct {
	Run string `path:"run" maxLength:"40" example:"2020-03-16.1" doc:"DATE.N"`
}

// runList asks for runs.
type runList struct {
	Limit int `query:"limit" default:"20" minimum:"1" maximum:"200"`
}

// items is a list that is whole.
type items[T any] struct {
	Items []T `json:"items"`
}

func (a *API) readRuns() {
	register(a, operation{id: "listRuns", method: http.MethodGet, path: "/api/v1/runs", summary: "Runs, the newest first", action: access.Read},
		func(ctx context.Context, in *runList) (*body[items[pipeline.Run]], error) {
			runs, err := a.Book.LatestRuns(ctx, in.Limit)
			return answer(items[pipeline.Run]{runs}, err)
		})
	register(a, operation{id: "showRun", method: http.MethodGet, path: "/api/v1/runs/{run}", summary: "A run and how far it has come", action: access.Read},
		func(ctx context.Context, in *RunPath) (*body[pipeline.RunOverview], error) {
			overview, err := a.Book.RunOverview(ctx, in.Run)
			out, err := answer(overview, err)
			if err == nil {
				out.ETag = quoted(string(overview.Run.State))
			}
			return out, err
		})
	register(a, operation{id: "showRunDetails", method: http.MethodGet, path: "/api/v1/runs/{run}/details",
		summary: "The figures of a run: harvests, cash, drift, what was not traded, parked households", action: access.Read},
		func(ctx context.Context, in *RunPath) (*body[pipeline.RunDetails], error) {
			return answer(a.Book.RunDetails(ctx, in.Run))
		})
}

// startRun asks for the run of a session.
type startRun struct {
	Body struct {
		Date string `json:"date" format:"date" doc:"session"`
	}
}

// steerRun asks for another state of a run.
type steerRun struct {
	RunPath
	IfMatch string `header:"If-Match" maxLength:"80" doc:"ETag of the run: it is refused where the run's state is another by now"`
	Body    struct {
		Why string `json:"why" maxLength:"1000" doc:"for the audit trail"`
	}
}

func (a *API) writeRuns() {
	register(a, operation{id: "startRun", method: http.MethodPost, path: "/api/v1/runs", summary: "Start the run of a session; who starts it cannot approve it",
		action: access.StartRun, status: http.StatusCreated},
		func(ctx context.Context, in *startRun) (*body[pipeline.Run], error) {
			day, err := market.ParseDay(in.Body.Date)
			if err != nil {
				return nil, newProblem(http.StatusUnprocessableEntity, CodeInvalid, "date: "+err.Error())
			}
			return answer(a.Runs.StartRun(ctx, day, by(ctx)))
		})
	for _, s := range []struct {
		verb, summary string
		action        access.Action
		to            pipeline.RunState
	}{
		{"pause", "Let workers leave a run alone until it is resumed", access.PauseRun, pipeline.RunPaused},
		{"resume", "Go on with a run", access.ResumeRun, pipeline.RunStarted},
		{"cancel", "End a run of which nothing was sent", access.CancelRun, pipeline.RunCanceled},
	} {
		register(a, operation{id: s.verb + "Run", method: http.MethodPost, path: "/api/v1/runs/{run}/" + s.verb, summary: s.summary, action: s.action},
			func(ctx context.Context, in *steerRun) (*body[pipeline.Run], error) {
				change := pipeline.RunChange{Run: in.Run, To: s.to, By: by(ctx), Why: in.Body.Why, Now: a.Now()}
				for _, from := range access.StatesOf(s.action) {
					change.From = append(change.From, pipeline.RunState(from))
				}
				if in.IfMatch != "" {
					now, err := a.Book.Run(ctx, in.Run)
					if err != nil {
						return nil, err
					}
					if quoted(string(now.State)) != in.IfMatch {
						return nil, pipeline.ErrChanged
					}
					change.From = slices.DeleteFunc(change.From, func(from pipeline.RunState) bool { return from != now.State })
					if len(change.From) == 0 {
						return nil, fmt.Errorf("run %s is %s: %w", in.Run, now.State, pipeline.ErrState)
					}
				}
				return answer(a.Runs.Steer(ctx, change))
			})
	}
}

func quoted(tag string) string { return `"` + tag + `"` }
