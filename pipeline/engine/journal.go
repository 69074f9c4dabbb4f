package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// EntryKind says what an entry of the journal is about.
type EntryKind byte

// The kinds of entries. An intent is written before a call that has an effect outside, so that one
// that was cut off is made again under the same key. Elapsed is the end of a wait, Set what a person
// changed.
const (
	EntryStarted EntryKind = iota + 1
	EntryIntent
	EntryStep
	EntryFault
	EntryElapsed
	EntrySet
)

// Entry is one line of an instance's history. Requests are not kept: they are a function of what is
// here, and RequestHash shows whether a build still computes the same one.
type Entry struct {
	Kind        EntryKind
	Instance    string
	Household   string // of EntryStarted
	Node        string
	Attempt     int
	At          time.Time // the now of the instance's expressions
	Duration    time.Duration
	RequestHash uint64
	Response    []byte // of EntryStep; the failure's message of EntryFault
	Code        string // of EntryFault
	Next        string // node after it
	Key         string // idempotency key of EntryIntent
	Params      []byte // of EntryStarted, JSON
	Context     []byte // of EntryStarted and EntrySet
}

// errJournal is wrapped where bytes are no journal.
var errJournal = errors.New("broken journal")

// appendEntry appends e to a body. Fields follow each other in the order of Entry, each text after
// its length.
func appendEntry(b []byte, e *Entry) []byte {
	b = append(b, byte(e.Kind))
	b = appendBytes(b, e.Instance)
	b = appendBytes(b, e.Household)
	b = appendBytes(b, e.Node)
	b = binary.AppendUvarint(b, uint64(e.Attempt))
	b = binary.AppendVarint(b, e.At.UnixMicro())
	b = binary.AppendUvarint(b, uint64(max(e.Duration.Microseconds(), 0)))
	b = binary.LittleEndian.AppendUint64(b, e.RequestHash)
	b = appendBytes(b, e.Response)
	b = appendBytes(b, e.Code)
	b = appendBytes(b, e.Next)
	b = appendBytes(b, e.Key)
	b = appendBytes(b, e.Params)
	return appendBytes(b, e.Context)
}

func appendBytes[T ~string | ~[]byte](b []byte, text T) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// ReadEntries returns the entries of an expanded body, in order. Bytes that are no entries are
// an error, whatever they are.
func ReadEntries(body []byte) ([]Entry, error) {
	r := reader{rest: body}
	var entries []Entry
	for len(r.rest) > 0 && r.err == nil {
		e := r.entry()
		if e.Kind < EntryStarted || e.Kind > EntrySet {
			r.fail("kind %d", e.Kind)
		}
		entries = append(entries, e)
	}
	if r.err != nil {
		return nil, r.err
	}
	return entries, nil
}

// reader takes fields off the front of a body; after the first fault it gives zeros.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errJournal, fmt.Sprintf(format, args...))
	}
	r.rest = nil
}

func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail("%d bytes wanted, %d left", n, len(r.rest))
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("number cut off")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	if n <= 0 {
		r.fail("number cut off")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) text() string { return string(r.take(r.uvarint())) }

func (r *reader) bytes() []byte {
	taken := r.take(r.uvarint())
	if len(taken) == 0 {
		return nil
	}
	return taken
}

func (r *reader) byte() byte {
	if taken := r.take(1); taken != nil {
		return taken[0]
	}
	return 0
}

func (r *reader) entry() Entry {
	e := Entry{Kind: EntryKind(r.byte()), Instance: r.text(), Household: r.text(), Node: r.text()}
	e.Attempt = int(r.uvarint() & 0xffff_ffff)
	e.At = time.UnixMicro(r.varint()).UTC()
	e.Duration = time.Duration(r.uvarint()&0xffff_ffff_ffff) * time.Microsecond
	if hash := r.take(8); hash != nil {
		e.RequestHash = binary.LittleEndian.Uint64(hash)
	}
	e.Response, e.Code, e.Next, e.Key = r.bytes(), r.text(), r.text(), r.text()
	e.Params, e.Context = r.bytes(), r.bytes()
	return e
}
