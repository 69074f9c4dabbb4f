package workflow_test

import (
	"fmt"
	"time"

	"daybreak/workflow"
)

// An engine asks for the request, has the action answer it, and gives the answer to Advance.
func ExampleDefinition_Advance() {
	document, _ := workflow.Document("withdrawal")
	d, problems := workflow.Parse(document, workflow.Builtin())
	if d == nil {
		fmt.Println(problems)
		return
	}
	env := workflow.Env{Now: time.Date(2026, 3, 9, 15, 0, 0, 0, time.UTC)}
	in, err := d.Begin(workflow.Instance{
		ID: "W7", Household: "H12",
		Context: []byte(`{"event": "W7", "account": "A1", "amount": "500", "currency": "CAD"}`),
	}, env)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, answer := range []string{`{"available": "812.40", "settling": "0"}`, `{"status": "paid", "reference": "C-1"}`} {
		request, err := d.Request(in, env)
		if err != nil {
			fmt.Println(err)
			return
		}
		key, _ := d.Key(in, env)
		fmt.Printf("%s %s %q\n", in.Node, request, key)
		in, _ = d.Advance(in, workflow.Result{Request: request, Response: []byte(answer)}, env)
	}
	fmt.Println(in.Node, in.State == workflow.Done, string(in.Context))
	// Output:
	// look {"account":"A1","currency":"CAD"} ""
	// pay {"account":"A1","amount":"500","currency":"CAD","event":"W7"} "withdrawal:W7"
	// paid true {"account":"A1","amount":"500","available":"812.40","currency":"CAD","event":"W7","reference":"C-1","settling":"0"}
}
