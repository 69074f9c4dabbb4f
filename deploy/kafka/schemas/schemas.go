// Package schemas carries the Avro schemas of the topics, so that the binary and a registry have the
// same bytes.
package schemas

import "embed"

// Files are schemas.yaml, the schemas that it names, and their versions under history/.
//
//go:embed schemas.yaml *.avsc history
var Files embed.FS
