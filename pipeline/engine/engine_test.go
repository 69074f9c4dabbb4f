package engine

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"daybreak/market"
	"daybreak/pipeline"
)

func TestBreaker(t *testing.T) {
	t.Parallel()
	node := nodeName{"trade", "decide"}
	for _, c := range []struct {
		name   string
		passed int
		failed map[string]int
		want   string
	}{
		{"one less than alike", 0, map[string]int{"A": alikeMin - 1}, ""},
		{"just alike", 0, map[string]int{"A": alikeMin}, "A"},
		{"half of all", alikeMin, map[string]int{"A": alikeMin}, "A"},
		{"less than half", alikeMin + 1, map[string]int{"A": alikeMin}, ""},
		{"not alike", 0, map[string]int{"A": alikeMin - 1, "B": alikeMin - 1}, ""},
		{"no failure", 1_000, nil, ""},
	} {
		if got := newBreaker().count(node, c.passed, c.failed); got != c.want {
			t.Errorf("%s: count(%d, %v) = %q, want %q", c.name, c.passed, c.failed, got, c.want)
		}
	}
	b := newBreaker()
	b.count(node, 0, map[string]int{"A": alikeMin - 1})
	b.count(node, windowMax, nil) // the window is over
	if got := b.count(node, 0, map[string]int{"A": 1}); got != "" {
		t.Errorf("a failure of a new window trips with those of the old one: %q", got)
	}
}

func TestStages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		act  string
		n    int
		want []int
	}{
		{ActRetry, 10, []int{10}}, {ActRetry, 11, []int{10, 11}}, {ActRetry, 100, []int{10, 100}}, {ActRetry, 110, []int{10, 11, 110}},
		{ActRetry, 150_000, []int{10, 15_000, 150_000}}, {ActPause, 150_000, []int{150_000}}, {ActMove, 200, []int{10, 20, 200}},
	} {
		var got []int
		for _, part := range stages(c.act, c.n) {
			got = append(got, part.end)
		}
		if len(got) != len(c.want) {
			t.Errorf("stages(%s, %d) end at %v, want %v", c.act, c.n, got, c.want)
			continue
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("stages(%s, %d) end at %v, want %v", c.act, c.n, got, c.want)
			}
		}
	}
}

func TestMergePatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":1,"b":2}`, `{"b":3}`, `{"a":1,"b":3}`},
		{`{"a":1,"b":2}`, `{"b":null}`, `{"a":1}`},
		{`{"a":{"x":1,"y":2}}`, `{"a":{"y":null,"z":3}}`, `{"a":{"x":1,"z":3}}`},
		{`{"a":[1,2]}`, `{"a":[3]}`, `{"a":[3]}`},
		{`{"a":"text"}`, `{"a":{"x":1}}`, `{"a":{"x":1}}`},
	} {
		if got, err := mergePatch([]byte(c.target), []byte(c.patch)); err != nil || string(got) != c.want {
			t.Errorf("mergePatch(%s, %s) = %s, %v, want %s", c.target, c.patch, got, err, c.want)
		}
	}
	for _, patch := range []string{"", "1", "null", "[]"} {
		if got, err := mergePatch([]byte("{}"), []byte(patch)); err == nil {
			t.Errorf("mergePatch({}, %s) = %s, want an error", patch, got)
		}
	}
}

func TestReadRecord(t *testing.T) {
	t.Parallel()
	day := market.NewDay(2026, 3, 16)
	start := Start{Instance: "i1", Household: "H1", RoutingKey: "k", Workflow: "trade@live", Day: day, Context: []byte(`{}`)}
	q, err := readRecord(start.Record("t", 24))
	if err != nil || q.start.Instance != "i1" || q.start.Household != "H1" || q.start.Workflow != "trade@live" || q.start.Day != day || string(q.start.Context) != "{}" {
		t.Errorf("readRecord(start) = %+v, %v", q, err)
	}
	q, err = readRecord(WakeRecord("t", Timer{ID: "i1", Revision: 7}))
	if err != nil || q.wake != (Ref{"i1", 7}) {
		t.Errorf("readRecord(wake) = %+v, %v", q, err)
	}
	for _, r := range []pipeline.Record{
		{}, {Key: []byte("i1")}, {Key: make([]byte, idMax+1)},
		{Key: []byte("i1"), Headers: []pipeline.Header{{Key: headerWake, Value: []byte("x")}}},
		{Key: []byte("i1"), Headers: []pipeline.Header{{Key: headerWake, Value: []byte("0")}}},
		{Key: []byte("i1"), Headers: []pipeline.Header{{Key: headerWorkflow, Value: []byte("w")}, {Key: headerHousehold, Value: []byte("H")}}},
	} {
		if q, err := readRecord(r); err == nil {
			t.Errorf("readRecord(%+v) = %+v, want an error", r, q)
		}
	}
}

// book is timers in memory, and a publisher that notes when each was sent.
type book struct {
	mu     sync.Mutex
	timers []Timer
	sent   map[string][]time.Time
	reads  int
}

func (b *book) Assign(_ context.Context, _, _ string, partitions []int32) (map[int32]pipeline.Position, error) {
	all := map[int32]pipeline.Position{}
	for _, p := range partitions {
		all[p] = pipeline.Position{Epoch: 1}
	}
	return all, nil
}

func (b *book) Due(_ context.Context, q DueQuery) ([]Timer, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	var due []Timer
	for _, t := range b.timers {
		if t.Partition == q.Partition && !t.Due.After(q.Until) && q.After.ID == "" {
			due = append(due, t)
		}
	}
	return due, nil
}

func (b *book) Publish(_ context.Context, records []pipeline.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range records {
		b.sent[string(r.Key)] = append(b.sent[string(r.Key)], time.Now())
	}
	return nil
}

func (b *book) Partitions(context.Context, string) (int32, error) { return 1, nil }

// TestWakerIsExact has timers in the next hour, some set by others and one by this process, and
// checks in virtual time that each is sent when it is due, with a reading each half minute.
func TestWakerIsExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		b := &book{sent: map[string][]time.Time{}}
		for i, d := range []time.Duration{time.Second, 59 * time.Second, 61 * time.Second, 10*time.Minute + 300*time.Millisecond, time.Hour} {
			b.timers = append(b.timers, Timer{ID: string(rune('a' + i)), Revision: 1, Due: start.Add(d)})
		}
		w := NewWaker(WakerConfig{Offsets: b, Timers: b, Publisher: b, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		ctx, stop := context.WithTimeout(t.Context(), 61*time.Minute)
		defer stop()
		if _, err := w.Assign(ctx, "t", "id", []int32{0}); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		synctest.Wait()
		soon := start.Add(3 * time.Second)
		w.set("t", Live{ID: "own", State: StateWaiting, Due: &soon}, 2)
		if err := <-ended; err != nil {
			t.Errorf("Run = %v", err)
		}
		for _, timer := range append(b.timers, Timer{ID: "own", Due: soon}) {
			sent := b.sent[timer.ID]
			if len(sent) == 0 || !sent[0].Equal(timer.Due) {
				t.Errorf("%s, due after %s, was sent at %v", timer.ID, timer.Due.Sub(start), sent)
			}
		}
		// Nobody handles them here: each is sent again every half minute, as a lost wake would be.
		if got := len(b.sent["e"]); got < 2 || got > 4 {
			t.Errorf("the last one was sent %d times in a minute, want 2 to 4", got)
		}
		if b.reads > 130 {
			t.Errorf("%d readings in an hour, want one each half minute", b.reads)
		}
	})
}
