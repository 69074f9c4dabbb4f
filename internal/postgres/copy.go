package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"

	"github.com/jackc/pgx/v5"

	"daybreak/market"
	"daybreak/money"
)

// copyBuffer are rows in the binary format of COPY. What fills write goes through it: pgx plans and
// boxes each value anew, which costs more than all the rest of a fill. Values come in the order of the
// columns.
type copyBuffer struct{ bytes []byte }

// copyHeader begins the format: its signature, no flags, no extension.
const copyHeader = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// row begins a row of so many values.
func (c *copyBuffer) row(values int) {
	if len(c.bytes) == 0 {
		c.bytes = append(c.bytes, copyHeader...)
	}
	c.bytes = binary.BigEndian.AppendUint16(c.bytes, uint16(values))
}

func (c *copyBuffer) null() { c.bytes = append(c.bytes, 0xff, 0xff, 0xff, 0xff) }

func (c *copyBuffer) text(s string) {
	c.bytes = binary.BigEndian.AppendUint32(c.bytes, uint32(len(s)))
	c.bytes = append(c.bytes, s...)
}

func (c *copyBuffer) bool(b bool) {
	c.bytes = append(c.bytes, 0, 0, 0, 1, 0)
	if b {
		c.bytes[len(c.bytes)-1] = 1
	}
}

func (c *copyBuffer) int32(n int32) {
	c.bytes = binary.BigEndian.AppendUint32(append(c.bytes, 0, 0, 0, 4), uint32(n))
}

func (c *copyBuffer) int64(n int64) {
	c.bytes = binary.BigEndian.AppendUint64(append(c.bytes, 0, 0, 0, 8), uint64(n))
}

// The epoch of PostgreSQL's dates and times.
var (
	epochDay  = market.NewDay(2000, 1, 1)
	epochTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
)

// day writes a date; NoDay is NULL.
func (c *copyBuffer) day(d market.Day) {
	if d == market.NoDay {
		c.null()
		return
	}
	c.int32(int32(d - epochDay))
}

func (c *copyBuffer) time(t time.Time) { c.int64(t.UnixMicro() - epochTime) }

// jsonb writes v as JSON.
func (c *copyBuffer) jsonb(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	c.bytes = binary.BigEndian.AppendUint32(c.bytes, uint32(1+len(text)))
	c.bytes = append(append(c.bytes, 1), text...) // the version of jsonb's format
	return nil
}

// Of PostgreSQL's numeric: a digit is one of base 10,000, and those of a Dec's places are three.
const (
	numericBase   = 10_000
	numericPlaces = money.Places / 4
)

// dec writes a numeric: count of digits, weight of the first, sign, decimals, digits.
func (c *copyBuffer) dec(d money.Dec) {
	high, low := d.Abs().Bits()
	hi, lo := uint64(high), low
	var digits [10]uint16 // of 2^127, the least first
	n := 0
	for ; hi > 0; n++ {
		var rest uint64
		hi, rest = hi/numericBase, hi%numericBase
		lo, rest = bits.Div64(rest, lo, numericBase)
		digits[n] = uint16(rest)
	}
	for ; lo > 0; n++ {
		digits[n], lo = uint16(lo%numericBase), lo/numericBase
	}
	first := 0
	for first < n && digits[first] == 0 {
		first++
	}
	c.bytes = binary.BigEndian.AppendUint32(c.bytes, uint32(8+2*(n-first)))
	c.bytes = binary.BigEndian.AppendUint16(c.bytes, uint16(n-first))
	c.bytes = binary.BigEndian.AppendUint16(c.bytes, uint16(n-1-numericPlaces))
	sign := uint16(0)
	if d.Sign() < 0 {
		sign = 0x4000
	}
	c.bytes = binary.BigEndian.AppendUint16(c.bytes, sign)
	c.bytes = binary.BigEndian.AppendUint16(c.bytes, uint16(4*max(numericPlaces-first, 0)))
	for i := n - 1; i >= first; i-- {
		c.bytes = binary.BigEndian.AppendUint16(c.bytes, digits[i])
	}
}

// array writes an array of one dimension with n elements, which each writes.
func (c *copyBuffer) array(oid uint32, n int, each func(i int)) {
	at := len(c.bytes)
	for _, word := range []uint32{0, 1, 0, oid, uint32(n), 1} { // its length, which is known at the end; dimensions, no NULL, type, size, first index
		c.bytes = binary.BigEndian.AppendUint32(c.bytes, word)
	}
	for i := range n {
		each(i)
	}
	binary.BigEndian.PutUint32(c.bytes[at:], uint32(len(c.bytes)-at-4))
}

// send ends the format and copies the rows by a statement; nothing where there are none.
func (c *copyBuffer) send(ctx context.Context, tx pgx.Tx, statement string) error {
	if len(c.bytes) == 0 {
		return nil
	}
	c.bytes = append(c.bytes, 0xff, 0xff)
	if _, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(c.bytes), statement); err != nil {
		return fmt.Errorf("store rows: %w", err)
	}
	return nil
}
