// Package deploy holds the files that describe a deployment and that the binary needs as well.
package deploy

import _ "embed"

// Topics is kafka/topics.yaml: the topics of an installation as they must be.
//
//go:embed kafka/topics.yaml
var Topics []byte
