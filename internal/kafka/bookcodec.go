package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/avro"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// The schemas of what the book streams on.
const (
	balanceFile = "balance.avsc"
	orderFile   = "order_state.avsc"
)

// BookCodec writes and reads the records of daybreak.balances and daybreak.orders. It is safe for
// concurrent use.
type BookCodec struct {
	balance writer
	order   writer
	readers *readers
}

var _ pipeline.BookCodec = (*BookCodec)(nil)

// NewBookCodec returns the codec of what the book streams on. It registers this build's schemas.
func NewBookCodec(ctx context.Context, r Registry) (*BookCodec, error) {
	c := &BookCodec{}
	var err error
	if c.balance, err = newWriter(ctx, r, balanceFile); err != nil {
		return nil, err
	}
	if c.order, err = newWriter(ctx, r, orderFile); err != nil {
		return nil, err
	}
	c.readers = newReaders(r, c.balance.schema, c.order.schema)
	return c, nil
}

// newWriter registers this build's schema of a file.
func newWriter(ctx context.Context, r Registry, file string) (writer, error) {
	subject := mustSubject(file)
	id, err := r.Register(ctx, subject)
	if err != nil {
		return writer{}, err
	}
	schema, err := avro.Parse(subject.Schema, rawDecimals)
	if err != nil {
		return writer{}, fmt.Errorf("schema %s: %w", file, err)
	}
	return writer{schema, id}, nil
}

type wireBalance struct {
	Account   string         `avro:"account"`
	Household string         `avro:"household"`
	Version   int64          `avro:"version"`
	Effective int32          `avro:"effective"`
	Known     time.Time      `avro:"known"`
	Currency  string         `avro:"currency"`
	Cash      []wireCash     `avro:"cash"`
	Positions []wirePosition `avro:"positions"`
}

type wireCash struct {
	Currency string `avro:"currency"`
	Amount   []byte `avro:"amount"`
}

type wirePosition struct {
	Security string `avro:"security"`
	Shares   []byte `avro:"shares"`
}

// EncodeBalance implements pipeline.BookCodec.
func (c *BookCodec) EncodeBalance(b pipeline.Balance) ([]byte, error) {
	w := wireBalance{Account: string(b.Account), Household: string(b.Household), Version: b.Version, Effective: int32(b.Effective), Known: b.Known,
		Currency: string(b.Currency), Cash: make([]wireCash, len(b.Cash)), Positions: make([]wirePosition, len(b.Positions))}
	for i, m := range b.Cash {
		w.Cash[i] = wireCash{string(m.Currency), decBytes(m.Amount)}
	}
	for i, p := range b.Positions {
		w.Positions[i] = wirePosition{string(p.Symbol), decBytes(p.Shares)}
	}
	value, err := c.balance.appendRecord(&w)
	if err != nil {
		return nil, fmt.Errorf("balance of %s: encode: %w", b.Account, err)
	}
	return value, nil
}

// DecodeBalance reads a record of daybreak.balances, but for its routing key. It returns a
// *pipeline.BadRecord where the bytes are none.
func (c *BookCodec) DecodeBalance(value []byte) (pipeline.Balance, error) {
	var w wireBalance
	if err := c.decode(value, &w); err != nil {
		return pipeline.Balance{}, err
	}
	b := pipeline.Balance{Account: portfolio.AccountID(w.Account), Household: portfolio.HouseholdID(w.Household), Version: w.Version,
		Effective: market.Day(w.Effective), Known: w.Known.UTC(), Currency: market.Currency(w.Currency)}
	for _, m := range w.Cash {
		amount, err := wireDec(m.Currency, m.Amount)
		if err != nil {
			return b, err
		}
		b.Cash = append(b.Cash, portfolio.Cash{Currency: market.Currency(m.Currency), Amount: amount})
	}
	for _, p := range w.Positions {
		shares, err := wireDec(p.Security, p.Shares)
		if err != nil {
			return b, err
		}
		b.Positions = append(b.Positions, portfolio.Position{Symbol: market.Symbol(p.Security), Shares: shares})
	}
	return b, nil
}

type wireOrder struct {
	ID        string    `avro:"order_id"`
	Run       string    `avro:"run"`
	Household string    `avro:"household"`
	Account   string    `avro:"account"`
	Security  string    `avro:"security"`
	Side      string    `avro:"side"`
	Currency  string    `avro:"currency"`
	State     string    `avro:"state"`
	OrderQty  []byte    `avro:"order_qty"`
	CumQty    []byte    `avro:"cum_qty"`
	LeavesQty []byte    `avro:"leaves_qty"`
	Version   int64     `avro:"version"`
	Known     time.Time `avro:"known"`
}

// EncodeOrder implements pipeline.BookCodec.
func (c *BookCodec) EncodeOrder(o pipeline.OrderState) ([]byte, error) {
	w := wireOrder{ID: string(o.ID), Run: o.Run, Household: string(o.Household), Account: string(o.Account), Security: string(o.Symbol), Side: string(o.Side),
		Currency: string(o.Currency), State: o.State, OrderQty: decBytes(o.OrderQty), CumQty: decBytes(o.CumQty), LeavesQty: decBytes(o.LeavesQty),
		Version: o.Version, Known: o.Known}
	value, err := c.order.appendRecord(&w)
	if err != nil {
		return nil, fmt.Errorf("order %s: encode: %w", o.ID, err)
	}
	return value, nil
}

// DecodeOrder reads a record of daybreak.orders, but for its routing key. It returns a
// *pipeline.BadRecord where the bytes are none.
func (c *BookCodec) DecodeOrder(value []byte) (pipeline.OrderState, error) {
	var w wireOrder
	if err := c.decode(value, &w); err != nil {
		return pipeline.OrderState{}, err
	}
	o := pipeline.OrderState{ID: orders.ID(w.ID), Run: w.Run, Household: portfolio.HouseholdID(w.Household), Account: portfolio.AccountID(w.Account),
		Symbol: market.Symbol(w.Security), Side: portfolio.Side(w.Side), Currency: market.Currency(w.Currency), State: w.State, Version: w.Version,
		Known: w.Known.UTC()}
	var err error
	for _, d := range []struct {
		name string
		raw  []byte
		to   *money.Dec
	}{{"order_qty", w.OrderQty, &o.OrderQty}, {"cum_qty", w.CumQty, &o.CumQty}, {"leaves_qty", w.LeavesQty, &o.LeavesQty}} {
		if *d.to, err = wireDec(d.name, d.raw); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (c *BookCodec) decode(value []byte, v any) error {
	r, body, err := c.readers.open(value)
	if err != nil {
		return err
	}
	return r.decode(body, v)
}

func wireDec(name string, raw []byte) (money.Dec, error) {
	d, fits := bytesDec(raw)
	if !fits {
		return d, bad("BAD_NUMBER", "%s has %d bytes, which no numeric(38,12) needs", name, len(raw))
	}
	return d, nil
}
