package web_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestTheNextRun(t *testing.T) {
	t.Parallel()
	s := open(t, false)
	ana, eve := s.as("ana"), s.as("eve")
	form := url.Values{"session": {"2020-03-16"}}
	_, text := s.get(ana, "/")
	s.mention("the empty page", text, "Next run: Mon 2020-03-16", "in 15 hours 0 minutes", "Start it now")
	if _, text := s.get(eve, "/runs"); len(text) == 0 {
		t.Error("the list of runs is empty for a viewer")
	}
	if status, _, _ := s.post(eve, "/runs", form); status != http.StatusForbidden {
		t.Errorf("a viewer starts a run = %d, want 403", status)
	}
	if status, _, _ := s.post(ana, "/runs", url.Values{"session": {"tomorrow"}}); status != http.StatusBadRequest {
		t.Errorf("start the run of no day = %d, want 400", status)
	}
	if status, _, to := s.post(ana, "/runs", form); status != http.StatusSeeOther || to != "/runs/2020-03-16.1" {
		t.Errorf("start = %d to %q, want 303 to the run", status, to)
	}
	if status, _, _ := s.post(ana, "/runs", form); status != http.StatusConflict {
		t.Errorf("start again = %d, want 409", status)
	}
	if maker := scalar[string](s, "SELECT maker FROM run"); maker != "ana" {
		t.Errorf("the run's maker is %q, want ana", maker)
	}
	_, text = s.get(ana, "/runs")
	s.mention("the list", text, "Next run: Tue 2020-03-17")
}
