package workflow

// layout is where the fields of a context are.
type layout struct {
	of    []byte
	spans []span
}
