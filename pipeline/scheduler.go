package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"daybreak/market"
)

// scheduleLead is how long before the first exchange opens a session's run starts.
const scheduleLead = 30 * time.Minute

// ScheduledRun is when the run of a session starts, and until when it is worth starting late.
type ScheduledRun struct {
	Session market.Day `json:"session"`
	Starts  time.Time  `json:"starts"`
	CutOff  time.Time  `json:"cut_off"` // the last exchange's close
}

// Scheduler starts the run of each session half an hour before the first exchange opens. A run is
// keyed by its session, so that no clock change and no second scheduler starts it twice.
type Scheduler struct {
	Runs  Runs
	Work  Publisher
	Build string
	Rules string
	Maker string
	Now   func() time.Time // the installation's clock, which sessions go by
	Stamp func() time.Time // the machine's, which records go by
	Log   *slog.Logger
}

// lookAgain bounds how long a scheduler sleeps without a look at the clock: that of an installation
// moves when a sample world is made.
const lookAgain = 15 * time.Second

// Run starts the runs of the sessions to come until ctx ends. A run that was missed is started at
// once while an exchange of its session is open; after that it is left to people.
func (s *Scheduler) Run(ctx context.Context) error {
	var told, started market.Day
	for {
		next, err := NextRun(s.Now())
		if err == nil && next.Session == started {
			next, err = NextRun(next.CutOff)
		}
		if err != nil {
			return err
		}
		wait := next.Starts.Sub(s.Now())
		if told != next.Session {
			s.Log.Info("next run is scheduled", "run", next.Session.String(), "starts", next.Starts, "in", max(wait, 0).Round(time.Second))
			told = next.Session
		}
		if wait <= 0 {
			s.start(ctx, next.Session)
			started = next.Session
		}
		if !sleep(ctx, min(max(wait, time.Second), lookAgain)) {
			return nil
		}
	}
}

// start starts a session's run. Another scheduler may have been first; any other failure is logged
// and tried again until the attempts are used up: the day can then be started by hand.
func (s *Scheduler) start(ctx context.Context, session market.Day) {
	const attemptsMax = 10
	for attempt := range attemptsMax {
		run, err := StartRun(ctx, s.Runs, s.Work, RunRequest{
			Session: session, Maker: s.Maker, Build: s.Build, Rules: s.Rules, Now: s.Stamp(),
		})
		switch {
		case err == nil:
			s.Log.Info("run is started", "run", run.ID, "households", run.Households)
			return
		case errors.Is(err, ErrRunExists):
			s.Log.Info("session has its run already", "run", session.String())
			return
		}
		s.Log.Error("run cannot be started", "run", session.String(), "attempt", attempt+1, "error", err)
		if !sleep(ctx, time.Duration(attempt+1)*5*time.Second) {
			return
		}
	}
}

// NextRun returns the first session whose run is still worth starting at now: today's until its
// last exchange has closed, else the next one's.
func NextRun(now time.Time) (ScheduledRun, error) {
	const daysMax = 30
	for day := market.DayOf(now.UTC()) - 1; day < market.DayOf(now.UTC())+daysMax; day++ {
		r, open, err := scheduleOf(day)
		if err != nil {
			return ScheduledRun{}, err
		}
		if open && now.Before(r.CutOff) {
			return r, nil
		}
	}
	return ScheduledRun{}, fmt.Errorf("no session within %d days of %s: %w", daysMax, now.Format(time.DateOnly), ErrNoSession)
}

// scheduleOf returns when the run of a day starts, and false on a day without a session.
func scheduleOf(day market.Day) (ScheduledRun, bool, error) {
	r := ScheduledRun{Session: day}
	for _, name := range market.Exchanges() {
		exchange, err := market.Calendar(name)
		if err != nil {
			return r, false, err
		}
		if !exchange.IsSession(day) {
			continue
		}
		open, end := exchange.Hours(day)
		if starts := open.Add(-scheduleLead); r.Starts.IsZero() || starts.Before(r.Starts) {
			r.Starts = starts
		}
		if end.After(r.CutOff) {
			r.CutOff = end
		}
	}
	return r, !r.CutOff.IsZero(), nil
}

// sleep waits for d and reports whether it did: false where ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
