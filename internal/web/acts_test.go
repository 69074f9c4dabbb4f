package web_test

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestApproveHoldRejectSubmit(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	ana, ben, eve := s.as("ana"), s.as("ben"), s.as("eve")
	page := "/runs/" + testRun + "/approve"
	root := func(text string) string {
		return regexp.MustCompile(`name="root" value="([0-9a-f]*)"`).FindStringSubmatch(text)[1]
	}
	_, text := s.get(ben, page+"?symbol=VTI")
	open := scalar[int](s, "SELECT count(*) FROM trade_order WHERE symbol = 'VTI' AND held_by = '' AND exception = ''")
	s.mention(page, text, "Approve "+strconv.Itoa(open)+" orders", `security == "VTI"`)
	signed := url.Values{"symbol": {"VTI"}, "root": {root(text)}, "comment": {"as discussed"}}

	if status, _, _ := s.post(eve, page, signed); status != http.StatusForbidden {
		t.Errorf("a viewer's approval = %d, want 403", status)
	}
	if status, _, _ := s.post(ben, page, url.Values{"symbol": {"VTI"}}); status != http.StatusBadRequest {
		t.Errorf("an approval of no named set = %d, want 400", status)
	}
	if status, _, _ := s.post(ben, page, url.Values{"chosen": {"1"}, "root": {"x"}}); status != http.StatusBadRequest {
		t.Errorf("an approval of chosen orders without any = %d, want 400", status)
	}
	one := scalar[string](s, "SELECT min(id) FROM trade_order WHERE symbol = 'VTI' AND held_by = '' AND exception = ''")
	if status, text, to := s.post(ana, "/runs/"+testRun+"/orders/"+one+"/hold", url.Values{"comment": {"client called"}, "back": {"/fills"}}); status != 303 || to != "/fills" {
		t.Fatalf("hold = %d to %q, want 303 to /fills\n%s", status, to, words(text))
	}
	if status, text, _ := s.post(ben, page, signed); status != http.StatusConflict {
		t.Errorf("an approval of a set that has changed = %d, want 409\n%s", status, words(text))
	} else {
		s.mention(page, text, "the orders have changed since they were shown")
	}
	if n := scalar[int](s, "SELECT count(*) FROM approval"); n != 0 {
		t.Errorf("%d approvals are recorded, want none yet", n)
	}
	_, text = s.get(ben, page+"?symbol=VTI")
	signed.Set("root", root(text))
	if status, text, to := s.post(ben, page, signed); status != 303 || to != "/runs/"+testRun+"/orders?symbol=VTI" {
		t.Fatalf("approve = %d to %q, want 303 back to the list\n%s", status, to, words(text))
	}
	if n := scalar[int](s, "SELECT count(*) FROM approval_order"); n != open-1 {
		t.Errorf("%d orders are approved, want %d", n, open-1)
	}
	if got := scalar[string](s, "SELECT approver || ' ' || filter || ' ' || comment FROM approval"); got != `ben security == "VTI" as discussed` {
		t.Errorf("the approval says %q", got)
	}
	_, text = s.get(ben, "/runs/"+testRun+"/orders?symbol=VTI")
	s.mention("the list", text, "You approved "+strconv.Itoa(open-1)+" orders.", "Approved")
	if _, text = s.get(ben, "/runs/"+testRun+"/orders?symbol=VTI"); strings.Contains(text, "You approved") {
		t.Error("the list says twice what was approved")
	}

	_, text = s.get(ana, "/runs/"+testRun+"/orders/"+one)
	s.mention("the held order", text, "held by ana", "client called", "No longer hold")
	if status, _, _ := s.post(ana, "/runs/"+testRun+"/orders/"+one+"/release", nil); status != 303 {
		t.Errorf("release = %d, want 303", status)
	}
	if status, _, _ := s.post(ana, "/runs/"+testRun+"/orders/"+one+"/reject", url.Values{"comment": {"no"}}); status != 303 {
		t.Errorf("reject = %d, want 303", status)
	}
	if status, text, _ := s.post(ana, "/runs/"+testRun+"/orders/"+one+"/hold", url.Values{"comment": {"late"}}); status != http.StatusConflict {
		t.Errorf("hold of a rejected order = %d, want 409\n%s", status, words(text))
	}
	if status, _, to := s.post(ben, "/runs/"+testRun+"/submit", nil); status != 303 || to != "/runs/"+testRun {
		t.Errorf("submit = %d to %q, want 303 to the run", status, to)
	}
	_, text = s.get(ben, "/runs/"+testRun)
	s.mention("the run", text, strconv.Itoa(open-1)+" orders are with the gateway.")
}

func TestMakerCannotApprove(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	s.exec("UPDATE run SET maker = 'ben'")
	ben := s.as("ben")
	_, text := s.get(ben, "/runs/"+testRun+"/orders")
	s.mention("the list", text, "You started this run: another person must approve.")
	status, text, _ := s.post(ben, "/runs/"+testRun+"/approve", url.Values{"root": {"x"}})
	if status != http.StatusConflict || scalar[int](s, "SELECT count(*) FROM approval") != 0 {
		t.Errorf("the maker's approval = %d, want 409 and nothing recorded\n%s", status, words(text))
	}
}

// streamed is one event as a browser reads it.
type streamed struct{ id, kind, data string }

// stream opens the events and sends them on a channel until the test ends.
func (s *site) stream(client *http.Client, last string) <-chan streamed {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/events", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	answer, err := client.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	if got := answer.Header.Get("Content-Type"); got != "text/event-stream" {
		s.t.Fatalf("events come as %q", got)
	}
	out := make(chan streamed, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var e streamed
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.kind = value
			case "data":
				e.data = value
			case "":
				if e.kind != "" {
					out <- e
				}
				e = streamed{}
			}
		}
	}()
	s.t.Cleanup(func() { stop(); answer.Body.Close(); <-done })
	return out
}

// next waits for the next event of a kind.
func (s *site) next(events <-chan streamed, kind string) streamed {
	s.t.Helper()
	limit := time.NewTimer(10 * time.Second)
	defer limit.Stop()
	for {
		select {
		case e := <-events:
			if e.kind == kind {
				return e
			}
		case <-limit.C:
			s.t.Fatalf("no event of kind %s after 10 s", kind)
		}
	}
}

// fill records an execution of an approved order, as the consumer of fills does, at an offset.
func (s *site) fill(order string, offset int) {
	s.t.Helper()
	s.exec(`INSERT INTO execution (household, version, key, exec_type, order_id, run, account, symbol, side, quantity, price, commission, fees, currency,
			fx, fx_day, trade_date, settle_date, broker_time, effective, source_partition, source_offset, venue, note)
		SELECT household, 100 + $2, id || '/' || $2, 'F', id, run, account, symbol, side, quantity, price, 0, 0, currency, 1, session, session, session,
			'2020-03-16 13:30:00+00'::timestamptz + $2 * interval '1 second', true, 1, $2, 'XNYS', ''
		FROM trade_order WHERE id = $1`, order, offset)
	s.exec("UPDATE trade_order SET state = 'Filled', sent = now(), cum_qty = order_qty, leaves_qty = 0 WHERE id = $1", order)
	s.exec("UPDATE stream_offset SET next_offset = $1, applied = applied + 1, last_record = now() WHERE topic = 'daybreak.fills' AND partition = 1", offset+1)
	s.exec("SELECT pg_notify('daybreak_fills', '')")
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	eve := s.as("eve")
	events := s.stream(eve, "")
	s.next(events, "reload") // the server has begun to listen
	s.exec("SELECT pg_notify('daybreak_run', $1)", testRun)
	first := s.next(events, "run")
	if !strings.Contains(first.data, `"run":"`+testRun+`"`) || !strings.Contains(first.data, "households decided") {
		t.Errorf("a run's event holds %s", first.data)
	}
	order := scalar[string](s, "SELECT min(id) FROM trade_order WHERE symbol = 'VTI' AND held_by = '' AND exception = ''")
	s.fill(order, 0)
	fill := s.next(events, "fills")
	if !strings.Contains(fill.data, order) || !strings.Contains(fill.data, `"count":1`) {
		t.Errorf("the fill's event holds %s, want order %s", fill.data, order)
	}
	s.exec(`INSERT INTO execution SELECT household, 99, 'new', '0', refers, order_id, run, account, symbol, side, 0, 0, 0, 0, currency, fx, fx_day,
		trade_date, settle_date, venue, broker_time, note, lots, false, 1, 99 FROM execution`)
	_, page := s.get(eve, "/fills")
	if n := strings.Count(page, "data-key="); n != 1 {
		t.Errorf("/fills shows %d rows, want the trade and not the report that the order is new", n)
	}
	_, page = s.get(eve, "/runs/"+testRun+"/orders/"+order)
	s.mention("the order", page, "Trade", "New", "339 of 339 filled")
	a, errA := strconv.ParseInt(first.id, 10, 64)
	b, errB := strconv.ParseInt(fill.id, 10, 64)
	if errA != nil || errB != nil || a >= b {
		t.Errorf("ids are %s and then %s, want increasing ones", first.id, fill.id)
	}
	again := s.stream(eve, first.id)
	if got := s.next(again, "fills"); got != fill {
		t.Errorf("resumed after %s: %v, want %v", first.id, got, fill)
	}
	s.next(s.stream(eve, "17"), "reload")
}

func TestMetricsAndHealth(t *testing.T) {
	t.Parallel()
	s := open(t, true)
	nobody := &http.Client{}
	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ready", "/metrics": `daybreak_run_households{outcome="parked"} 12`,
	} {
		if status, text := s.get(nobody, path); status != http.StatusOK || !strings.Contains(text, want) {
			t.Errorf("GET %s = %d, want 200 with %q\n%s", path, status, want, text)
		}
	}
	_, text := s.get(nobody, "/metrics")
	for _, want := range []string{`daybreak_orders{state="Held"}`, `daybreak_stream_records_total{outcome="applied",topic="daybreak.fills"} 0`, "daybreak_database_up 1"} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}
