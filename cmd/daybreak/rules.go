package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"daybreak/region"
)

// rulesHash names all rules that this build decides by: a run pins it.
func rulesHash() (string, error) {
	hash := sha256.New()
	for _, name := range region.Names() {
		rules, err := region.Load(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %s\n", name, rules.Fingerprint())
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}
