package orders

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Leaf is one order of a frozen set: its id and the hash of what was approved.
type Leaf struct {
	ID      ID
	Content string
}

// The first byte of what is hashed tells leaves from nodes, so that no set passes for another.
const (
	leafByte = 0
	nodeByte = 1
)

// Root returns the Merkle root over a set of orders, in hexadecimal: SHA-256 over leaves in order of
// id; an odd node goes up as it is. The root of no orders is empty. The order of the argument does
// not matter and it is not changed.
func Root(set []Leaf) string {
	if len(set) == 0 {
		return ""
	}
	sorted := slices.SortedFunc(slices.Values(set), func(a, b Leaf) int { return cmp.Compare(a.ID, b.ID) })
	level := make([][sha256.Size]byte, len(sorted))
	for i, l := range sorted {
		body := append([]byte{leafByte}, l.ID...)
		body = append(append(body, 0), l.Content...)
		level[i] = sha256.Sum256(body)
	}
	for len(level) > 1 {
		level = parents(level)
	}
	return hex.EncodeToString(level[0][:])
}

func parents(level [][sha256.Size]byte) [][sha256.Size]byte {
	up := level[:0]
	for i := 0; i < len(level); i += 2 {
		if i+1 == len(level) {
			up = append(up, level[i])
			break
		}
		body := append([]byte{nodeByte}, level[i][:]...)
		up = append(up, sha256.Sum256(append(body, level[i+1][:]...)))
	}
	return up
}
