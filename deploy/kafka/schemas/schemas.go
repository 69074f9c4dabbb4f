// Package schemas carries the Avro schemas of the topics, so that the binary and a registry have the
// same bytes.
package schemas

import _ "embed"

// Fill is the schema of topic daybreak.fills.
//
//go:embed fill.avsc
var Fill string
