package kafka

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/avro"

	"daybreak/pipeline"
)

// The Confluent wire format: a zero byte, the schema's id in four bytes, big endian, then Avro.
const (
	wireMagic  = 0
	wireHeader = 5
)

// recordMax bounds the bytes of one record; a real one has about 300.
const recordMax = 64 << 10

// rawDecimals has decimals come as their bytes: they are turned into money.Dec without a rational
// between.
var rawDecimals = avro.CustomType{LogicalType: "decimal"}

// writer is a schema as its records are encoded: under the id that a registry gave it.
type writer struct {
	schema *avro.Schema
	id     int
}

// appendRecord returns v in the wire format.
func (w writer) appendRecord(v any) ([]byte, error) {
	b := make([]byte, wireHeader, 320)
	b[0] = wireMagic
	binary.BigEndian.PutUint32(b[1:], uint32(w.id))
	return w.schema.AppendEncode(b, v)
}

// readers decodes records by the schemas that they were written with: an id is asked for once and
// then kept, resolved to the reader's schema of the same name. It is safe for concurrent use.
type readers struct {
	registry Registry
	schemas  map[string]*avro.Schema // the reader's, by the record's name

	mu    sync.RWMutex
	known map[int]*reader
}

// reader is how records of one id are read, or why they cannot be.
type reader struct {
	schema  *avro.Schema
	name    string // of the record
	fault   *pipeline.BadRecord
	expires time.Time // of a fault: a schema may be registered later; else zero
}

// Bounds of the cache of readers. A stream has a handful of ids; only garbage has many.
const (
	readersMax  = 1_000
	faultsReask = 10 * time.Second
)

func newReaders(r Registry, all ...*avro.Schema) *readers {
	c := &readers{registry: r, schemas: map[string]*avro.Schema{}, known: map[int]*reader{}}
	for _, s := range all {
		c.schemas[s.Root().Name] = s
	}
	return c
}

// open returns how a record is read and its Avro bytes. Its error is a *pipeline.BadRecord where the
// record can't be read; any other one says that the registry cannot be asked now.
func (c *readers) open(value []byte) (*reader, []byte, error) {
	switch {
	case len(value) > recordMax:
		return nil, nil, bad("TOO_LARGE", "%d bytes, at most %d", len(value), recordMax)
	case len(value) < wireHeader:
		return nil, nil, bad("TOO_SHORT", "%d bytes", len(value))
	case value[0] != wireMagic:
		return nil, nil, bad("BAD_MAGIC", "first byte is %d", value[0])
	}
	id := binary.BigEndian.Uint32(value[1:])
	if id > math.MaxInt32 {
		return nil, nil, bad("UNKNOWN_SCHEMA", "schema id %d, which no registry gives", id)
	}
	r, err := c.of(int(id))
	if err != nil {
		return nil, nil, err
	}
	if r.fault != nil {
		return nil, nil, r.fault
	}
	return r, value[wireHeader:], nil
}

func (c *readers) of(id int) (*reader, error) {
	c.mu.RLock()
	r, ok := c.known[id]
	c.mu.RUnlock()
	if ok && (r.fault == nil || time.Now().Before(r.expires)) {
		return r, nil
	}
	r, err := c.ask(id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= readersMax {
		clear(c.known)
	}
	c.known[id] = r
	return r, nil
}

// ask gets a schema from the registry and resolves it.
func (c *readers) ask(id int) (*reader, error) {
	ctx, cancel := context.WithTimeout(context.Background(), registryTimeout)
	defer cancel()
	text, err := c.registry.SchemaByID(ctx, id)
	if errors.Is(err, pipeline.ErrNotFound) {
		return unreadable("UNKNOWN_SCHEMA", "schema id %d", id), nil
	}
	if err != nil {
		return nil, err
	}
	written, err := avro.Parse(text, rawDecimals)
	if err != nil {
		return unreadable("UNKNOWN_SCHEMA", "schema id %d: %v", id, err), nil
	}
	name := written.Root().Name
	wanted, ok := c.schemas[name]
	if !ok {
		return unreadable("UNKNOWN_SCHEMA", "schema id %d is of a %s, which this topic does not carry", id, name), nil
	}
	if err := readable(written, wanted); err != nil {
		return unreadable("UNKNOWN_SCHEMA", "schema id %d: %v", id, err), nil
	}
	resolved, err := avro.Resolve(written, wanted)
	if err != nil {
		return unreadable("UNKNOWN_SCHEMA", "schema id %d: %v", id, err), nil
	}
	return &reader{schema: resolved, name: name}, nil
}

func unreadable(reason, format string, args ...any) *reader {
	return &reader{fault: &pipeline.BadRecord{Reason: reason, Detail: fmt.Sprintf(format, args...)}, expires: time.Now().Add(faultsReask)}
}

// decode reads the Avro bytes of a record into v.
func (r *reader) decode(body []byte, v any) error {
	rest, err := r.schema.Decode(body, v)
	if err != nil {
		return bad("BAD_AVRO", "%v", err)
	}
	if len(rest) > 0 {
		return bad("BAD_AVRO", "%d bytes after the record", len(rest))
	}
	return nil
}
