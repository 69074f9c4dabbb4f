package filter

import "daybreak/pipeline/engine"

// InstanceFields are the fields of an instance of a workflow that waits, has failed or is paused.
var InstanceFields = []Field{
	{"id", Text, "id of the instance"},
	{"household", Text, "id of the household"},
	{"workflow", Text, "name of the workflow"},
	{"version", Text, "hash of the definition"},
	{"node", Text, "where it stands"},
	{"state", Text, "running, waiting, failed or paused"},
	{"attempt", Number, "of the call that it stands at"},
	{"code", Text, "of its failure, empty for none"},
	{"signature", Text, "message of its failure without numbers and names"},
	{"message", Text, "message of its failure"},
}

// Instances returns a function that reports whether an instance passes a filter; nil for an empty
// text, which all pass.
func Instances(text string) (func(engine.Listed) (bool, error), error) {
	if text == "" {
		return nil, nil
	}
	f, err := Compile(text, InstanceFields)
	if err != nil {
		return nil, err
	}
	return func(l engine.Listed) (bool, error) {
		return f.Match(map[string]any{
			"id": l.ID, "household": l.Household, "workflow": l.Workflow, "version": l.Version, "node": l.Node, "state": l.State,
			"attempt": int64(l.Attempt), "code": l.Failure.Code, "signature": l.Failure.Signature, "message": l.Failure.Message,
		})
	}, nil
}
