package workflow

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// morningResponses are what the actions of a planned morning answer, by node.
var morningResponses = map[string]string{
	"load":         `{"accounts":3,"book_version":41,"region":"CA","snapshot":"6f1ed002ab5595859014ebf0951522d9","status":"loaded"}`,
	"check_data":   `{"code":"","detail":"","status":"good"}`,
	"harvest":      `{"candidates":2,"loss":"-812.55","worth":"203.14"}`,
	"rebalance":    `{"code":"","detail":"","notional":"18233.10","orders":7,"plan":"b4a8c1b2ab5595859014ebf0951522d9","status":"planned"}`,
	"check_orders": `{"orders":7,"status":"passed","violations":[]}`,
	"propose":      `{"proposed":7}`,
}

// morningOf4KB returns the morning definition with holdings in its context, and an instance whose
// context has 4 KB.
func morningOf4KB(tb testing.TB) (*Definition, Instance, Env) {
	tb.Helper()
	text, _ := Document("morning")
	with := strings.Replace(string(text), `"date": {`, `"holdings": {"type": "array", "items": {"type": "object", "properties": {"symbol": {"type": "string"}}}}, "date": {`, 1)
	d, problems := Parse([]byte(with), Builtin())
	if d == nil {
		tb.Fatal(problems)
	}
	var holdings []string
	for i := range 39 {
		holdings = append(holdings, fmt.Sprintf(`{"cost":"%d.%02d","lot":"L%06d","price":"%d.%02d","quantity":"%d","since":"2019-03-%02d","symbol":"VCN%d"}`,
			40+i, i, i*7919, 50+i, 3*i%100, 100+i, 1+i%28, i))
	}
	context := `{"date":"2020-03-16","holdings":[` + strings.Join(holdings, ",") + `]}`
	env := Env{Now: time.Date(2020, 3, 16, 13, 0, 0, 0, time.UTC)}
	in, err := d.Begin(Instance{ID: "2020-03-16.1/H000003", Household: "H000003", Context: []byte(context)}, env)
	if err != nil {
		tb.Fatal(err)
	}
	return d, in, env
}

func BenchmarkMorning(b *testing.B) {
	d, in, env := morningOf4KB(b)
	responses := map[string][]byte{}
	for node, text := range morningResponses {
		responses[node] = []byte(text)
	}
	b.ReportAllocs()
	b.ResetTimer()
	steps, before := 0, processorTime(b)
	for range b.N {
		at := in
		for at.State == Running {
			request, err := d.Request(at, env)
			if err != nil {
				b.Fatal(err)
			}
			at, _ = d.Advance(at, Result{Request: request, Response: responses[at.Node]}, env)
			steps++
		}
		if at.State != Done || at.Node != "planned" {
			b.Fatalf("the morning ended %v at %s: %v", at.State, at.Node, at.Failure)
		}
	}
	b.ReportMetric(float64(steps)/(processorTime(b)-before).Seconds(), "steps/core-s")
}

// processorTime returns what the process has used of all cores, the collector of garbage included.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func BenchmarkParse(b *testing.B) {
	document, _ := Document("morning")
	actions := Builtin()
	for range b.N {
		if d, problems := Parse(document, actions); d == nil {
			b.Fatal(problems)
		}
	}
}
