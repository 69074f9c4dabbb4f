package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"daybreak/orders"
)

// RequestKey names a write: who asked, the key that the client gave it, and what was asked.
type RequestKey struct {
	Person  string
	Key     string
	Request string // hash over method, path and body
}

// StoredAnswer is what a write was answered, to be answered again.
type StoredAnswer struct {
	Status  int
	Headers map[string]string
	Body    []byte
}

// ErrBusy is wrapped where the same request is under way already. The API answers it with 409.
var ErrBusy = errors.New("under way already")

// ErrChanged is wrapped where something is another by now than what the caller names. The API answers
// it with 412.
var ErrChanged = errors.New("it has changed since it was looked at")

// orderVersion names an order's content and where it stands for a person.
func orderVersion(content string, state ReviewState, exception, heldBy string) string {
	text, err := json.Marshal([]string{content, string(state), exception, heldBy})
	if err != nil {
		panic(err) // strings are JSON
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Version names the order as a person sees it now: another content or state has another one.
func (o OrderDetail) Version() string {
	return orderVersion(o.ContentHash, o.State, o.Exception, o.HeldBy)
}

// Version is that of the OrderDetail of the same order.
func (o ReviewOrder) Version() string {
	return orderVersion(o.ContentHash, o.Review(), o.Exception, o.HeldBy)
}

// OneOrder chooses the order of an id; where version is not empty, an act on it is refused with
// ErrChanged unless the order still has that version.
func OneOrder(id orders.ID, version string) func(ReviewOrder) (bool, error) {
	return func(o ReviewOrder) (bool, error) {
		if o.ID != id {
			return false, nil
		}
		if version != "" && o.Version() != version {
			return false, ErrChanged
		}
		return true, nil
	}
}
