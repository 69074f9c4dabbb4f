package workflow

// Expression is a CEL expression, compiled.
type Expression struct {
	Text string
}
