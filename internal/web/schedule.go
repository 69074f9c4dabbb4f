package web

import (
	"context"
	"net/http"
	"time"

	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/pipeline"
)

// Schedule is the run to come and how a person starts it before its time.
type Schedule interface {
	// Now is the time that the installation's clock shows; a sample's stands in another year.
	Now() time.Time
	// StartRun starts the run of a session in the name of a person, who then cannot approve it.
	StartRun(ctx context.Context, session market.Day, by string) (pipeline.Run, error)
}

// nextRun is what pages say of the run to come.
type nextRun struct {
	Session  market.Day
	Starts   time.Time
	In       string // until then, by the installation's clock
	MayStart bool
}

// next returns the first session to come that has no run yet; nil where there is no schedule.
func (s *Server) next(r *http.Request, runs []pipeline.Run) (*nextRun, error) {
	if s.config.Schedule == nil {
		return nil, nil
	}
	now := s.config.Schedule.Now()
	planned, err := pipeline.NextRun(now)
	for err == nil && hasRun(runs, planned.Session) {
		planned, err = pipeline.NextRun(planned.CutOff)
	}
	if err != nil {
		return nil, err
	}
	in := max(planned.Starts.Sub(now), 0).Round(time.Minute)
	return &nextRun{
		Session: planned.Session, Starts: planned.Starts, MayStart: userOf(r).May(access.StartRun),
		In: plural(int64(in/time.Hour), "hour", "hours") + " " + plural(int64(in%time.Hour/time.Minute), "minute", "minutes"),
	}, nil
}

func hasRun(runs []pipeline.Run, session market.Day) bool {
	for _, r := range runs {
		if r.Session == session && r.State != pipeline.RunCanceled {
			return true
		}
	}
	return false
}

// start starts the run of the session that the form names.
func (s *Server) start(w http.ResponseWriter, r *http.Request) error {
	session, err := market.ParseDay(r.PostFormValue("session"))
	if err != nil || s.config.Schedule == nil {
		return refused{http.StatusBadRequest, "The form does not name a session."}
	}
	run, err := s.config.Schedule.StartRun(context.WithoutCancel(r.Context()), session, userOf(r).Name)
	if err != nil {
		return err
	}
	http.Redirect(w, r, runPath(run.ID), http.StatusSeeOther)
	return nil
}
