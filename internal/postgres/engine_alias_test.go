package postgres_test

import (
	"strings"
	"testing"

	"daybreak/pipeline"
	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// TestStartsTakeTheirVersion has a canary for Canadian households beside the live version, and starts
// that name a version or one that is not there.
func TestStartsTakeTheirVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	_, err := r.db.Pool().Exec(t.Context(), "INSERT INTO household (id, region, routing_key, opened) VALUES ('Hi00000', 'CA', 'k', '2020-01-01'), ('Hi00001', 'US', 'k', '2020-01-01')")
	if err != nil {
		t.Fatal(err)
	}
	d, problems := workflow.Parse([]byte(strings.Replace(testWorkflow, `"start_at"`, `"comment": "the next one", "start_at"`, 1)), r.registry)
	if d == nil {
		t.Fatal(problems)
	}
	stored, isNew, err := r.db.ApplyDefinition(t.Context(), engine.StoredDefinition{Name: d.Name, Hash: d.Hash, Body: d.Canonical, Applied: r.clock.now(), Actor: "ana"})
	if err != nil || !isNew {
		t.Fatalf("ApplyDefinition = %v, %v, want a new version", isNew, err)
	}
	if _, isNew, err = r.db.ApplyDefinition(t.Context(), stored); err != nil || isNew {
		t.Errorf("ApplyDefinition once more = %v, %v, want the same one", isNew, err)
	}
	err = r.db.SetAlias(t.Context(), engine.Alias{Name: "trade", Alias: workflow.Canary, Definition: stored.Number, Cohort: `region == "CA"`,
		Params: []byte("{}"), Changed: r.clock.now(), Actor: "ana"}, "try")
	if err != nil {
		t.Fatal(err)
	}
	records := r.starts(0, "keep", "keep", "keep", "keep", "keep")
	name := func(i int, to string) {
		for k, h := range records[i].Headers {
			if h.Key == "workflow" {
				records[i].Headers[k] = pipeline.Header{Key: h.Key, Value: []byte(to)}
			}
		}
	}
	name(2, "trade@"+d.Hash[:10])
	name(3, "trade@live")
	name(4, "unknown")
	r.handle(r.engine(nil), records)
	inspector := engine.NewInspector(r.db, r.registry, workflow.Functions{})
	for id, wantCanary := range map[string]bool{"i00000": true, "i00001": false, "i00002": true, "i00003": false} {
		trace, err := inspector.Show(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if got := trace.Version == d.Hash; got != wantCanary {
			t.Errorf("%s runs in %.8s, want the canary's %.8s: %v", id, trace.Version, d.Hash, wantCanary)
		}
	}
	if got := r.count("SELECT count(*) FROM dead_letter WHERE reason = 'UNKNOWN_WORKFLOW'"); got != 1 {
		t.Errorf("%d dead letters, want the start of an unknown workflow", got)
	}
}
