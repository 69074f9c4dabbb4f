package web

import (
	"context"
	"net/http"
	"time"

	"daybreak/pipeline"
)

// fillsBody is what the page of fills shows.
type fillsBody struct {
	Fills   []pipeline.ExecutionRow
	Streams []streamLine
}

// streamLine is how far a topic was applied, and the age of its last record.
type streamLine struct {
	pipeline.StreamRow
	Age time.Duration
}

func (s *Server) fills(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), pageTimeout)
	defer cancel()
	var b fillsBody
	var err error
	if b.Fills, err = s.views.Fills(ctx, fillsPageMax); err != nil {
		return err
	}
	streams, err := s.views.Streams(ctx)
	if err != nil {
		return err
	}
	for _, t := range streams {
		line := streamLine{StreamRow: t, Age: -1}
		if t.LastRecord != nil {
			line.Age = s.now().Sub(*t.LastRecord)
		}
		b.Streams = append(b.Streams, line)
	}
	latest, err := s.views.LatestRuns(ctx, 1)
	if err != nil {
		return err
	}
	v := view{Name: "fills", Title: "Fills", Section: "fills", Body: b, Parts: map[string]any{"fills-table": b, "streams": b}}
	if len(latest) > 0 {
		v.Run = latest[0].ID
	}
	return s.show(w, r, v)
}
