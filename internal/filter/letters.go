package filter

import "daybreak/pipeline"

// LetterFields are the fields of a dead letter.
var LetterFields = []Field{
	{"id", Number, "number of the letter"},
	{"topic", Text, "daybreak.fills or daybreak.events"},
	{"partition", Number, "that the record came from"},
	{"offset", Number, "of the record"},
	{"reason", Text, "code of the last attempt"},
	{"detail", Text, "of the reason, in words"},
	{"attempts", Number, "that were made"},
	{"state", Text, "open, replayed or dropped"},
	{"heals", Text, "time, build or hand: what can make it succeed"},
	{"account", Text, "that it is about, empty where it cannot be read"},
	{"order", Text, "that it is about, empty for none"},
}

// Letters returns a function that reports whether a dead letter passes a filter; nil for an empty text,
// which all pass.
func Letters(text string) (func(pipeline.Letter) (bool, error), error) {
	if text == "" {
		return nil, nil
	}
	f, err := Compile(text, LetterFields)
	if err != nil {
		return nil, err
	}
	return func(l pipeline.Letter) (bool, error) {
		return f.Match(map[string]any{
			"id": l.ID, "topic": l.Topic, "partition": int64(l.Partition), "offset": l.Offset, "reason": l.Reason, "detail": l.Detail,
			"attempts": int64(l.Attempts), "state": string(l.State), "heals": string(l.Heals), "account": l.Account, "order": l.Order,
		})
	}, nil
}
