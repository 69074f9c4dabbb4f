package kafka

import (
	"context"
	"fmt"
	"math/big"
	"time"
	"unicode/utf8"

	"github.com/twmb/avro"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

// fillCodec writes and reads executions as Avro in the Confluent wire format.
type fillCodec struct {
	writer  writer
	readers *readers
}

// fillFile is the schema of topic daybreak.fills.
const fillFile = "fill.avsc"

// fillSchema is the schema that executions are read by and written with.
var fillSchema = avro.MustParse(mustSubject(fillFile).Schema, rawDecimals)

// NewFillCodec returns the codec of executions, which is safe for concurrent use. It registers this
// build's schema, whose id its records carry, and reads those of any other version that the registry
// has.
func NewFillCodec(ctx context.Context, r Registry) (pipeline.FillCodec, error) {
	id, err := r.Register(ctx, mustSubject(fillFile))
	if err != nil {
		return nil, err
	}
	return fillCodec{writer: writer{fillSchema, id}, readers: newReaders(r, fillSchema)}, nil
}

// wireFill is fill.avsc in Go.
type wireFill struct {
	Session      string    `avro:"session"`
	ExecID       string    `avro:"exec_id"`
	Allocation   int32     `avro:"allocation"`
	Type         string    `avro:"exec_type"`
	RefExecID    string    `avro:"exec_ref_id"`
	RefTradeDate *int32    `avro:"ref_trade_date"`
	OrderID      string    `avro:"order_id"`
	Account      string    `avro:"account"`
	Household    string    `avro:"household"`
	Security     string    `avro:"security"`
	Side         string    `avro:"side"`
	Quantity     []byte    `avro:"quantity"`
	Price        []byte    `avro:"price"`
	Commission   []byte    `avro:"commission"`
	Fees         []byte    `avro:"fees"`
	Currency     string    `avro:"currency"`
	FX           []byte    `avro:"fx"`
	FXDate       int32     `avro:"fx_date"`
	TradeDate    int32     `avro:"trade_date"`
	SettleDate   int32     `avro:"settle_date"`
	Venue        string    `avro:"venue"`
	BrokerTime   time.Time `avro:"broker_time"`
	Text         string    `avro:"text"`
}

// Encode implements pipeline.FillCodec.
func (c fillCodec) Encode(e fills.Execution) ([]byte, error) {
	w := wireFill{
		Session: e.Session, ExecID: e.ExecID, Allocation: int32(e.Allocation), Type: string(e.Type), RefExecID: e.RefExecID,
		OrderID: string(e.OrderID), Account: string(e.Account), Household: string(e.Household), Security: string(e.Symbol),
		Side: string(e.Side), Quantity: decBytes(e.Quantity), Price: decBytes(e.Price), Commission: decBytes(e.Commission),
		Fees: decBytes(e.Fees), Currency: string(e.Currency), FX: decBytes(e.FX), FXDate: int32(e.FXDay),
		TradeDate: int32(e.TradeDate), SettleDate: int32(e.SettleDate), Venue: e.Venue, BrokerTime: e.BrokerTime, Text: e.Text,
	}
	if e.RefTradeDate != market.NoDay {
		day := int32(e.RefTradeDate)
		w.RefTradeDate = &day
	}
	b, err := c.writer.appendRecord(&w)
	if err != nil {
		return nil, fmt.Errorf("execution %s: encode: %w", e.ExecID, err)
	}
	return b, nil
}

// Decode implements pipeline.FillCodec.
func (c fillCodec) Decode(value []byte) (fills.Execution, error) {
	r, body, err := c.readers.open(value)
	if err != nil {
		return fills.Execution{}, err
	}
	var w wireFill
	if err := r.decode(body, &w); err != nil {
		return fills.Execution{}, err
	}
	return w.execution()
}

func (w *wireFill) execution() (fills.Execution, error) {
	e := fills.Execution{
		Session: w.Session, ExecID: w.ExecID, Allocation: int(w.Allocation), Type: fills.ExecType(w.Type), RefExecID: w.RefExecID,
		RefTradeDate: market.NoDay, OrderID: orders.ID(w.OrderID), Account: portfolio.AccountID(w.Account),
		Household: portfolio.HouseholdID(w.Household), Symbol: market.Symbol(w.Security), Side: portfolio.Side(w.Side),
		Currency: market.Currency(w.Currency), FXDay: market.Day(w.FXDate), TradeDate: market.Day(w.TradeDate),
		SettleDate: market.Day(w.SettleDate), Venue: w.Venue, BrokerTime: w.BrokerTime.UTC(), Text: w.Text,
	}
	for _, s := range []string{w.Session, w.ExecID, w.Type, w.RefExecID, w.OrderID, w.Account, w.Household, w.Security, w.Side, w.Currency, w.Venue, w.Text} {
		if !utf8.ValidString(s) {
			return fills.Execution{}, bad("BAD_TEXT", "%q is not UTF-8", s)
		}
	}
	for _, d := range []struct {
		name string
		raw  []byte
		to   *money.Dec
	}{
		{"quantity", w.Quantity, &e.Quantity}, {"price", w.Price, &e.Price}, {"commission", w.Commission, &e.Commission},
		{"fees", w.Fees, &e.Fees}, {"fx", w.FX, &e.FX},
	} {
		var fits bool
		if *d.to, fits = bytesDec(d.raw); !fits {
			return fills.Execution{}, bad("BAD_NUMBER", "%s has %d bytes, which no numeric(38,12) needs", d.name, len(d.raw))
		}
	}
	if w.RefTradeDate != nil {
		e.RefTradeDate = market.Day(*w.RefTradeDate)
	}
	return e, checkDays(e)
}

// The days that are believed: those that text of the form 2006-01-02 can show, and some centuries less.
var (
	dayFirst = market.NewDay(1900, 1, 1)
	dayLast  = market.NewDay(2999, 12, 31)
)

func checkDays(e fills.Execution) error {
	for _, d := range []market.Day{e.FXDay, e.TradeDate, e.SettleDate} {
		if d < dayFirst || d > dayLast {
			return bad("BAD_DATE", "day %d", d)
		}
	}
	if d := e.RefTradeDate; d != market.NoDay && (d < dayFirst || d > dayLast) {
		return bad("BAD_DATE", "day %d", d)
	}
	if y := e.BrokerTime.Year(); y < 1900 || y > 2999 {
		return bad("BAD_DATE", "broker time in year %d", y)
	}
	return nil
}

func bad(reason, format string, args ...any) error {
	return &pipeline.BadRecord{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// decBytes returns a decimal as Avro does: its count of 10^-12 in two's complement, big endian, in
// as few bytes as hold it.
func decBytes(d money.Dec) []byte {
	i := d.Big()
	n := i.BitLen()/8 + 1
	if i.Sign() < 0 {
		// −2^(8n−1) needs no byte more than 2^(8n−1) − 1 does.
		n = new(big.Int).Not(i).BitLen()/8 + 1
		i.Add(i, new(big.Int).Lsh(big.NewInt(1), uint(8*n)))
	}
	return i.FillBytes(make([]byte, n))
}

// decimalMax is the largest magnitude of numeric(38,12), counted in 10^-12.
var decimalMax = new(big.Int).Sub(new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil), big.NewInt(1))

// bytesDec reads what decBytes writes, and longer forms of it; it reports false where the number
// does not fit numeric(38,12).
func bytesDec(b []byte) (money.Dec, bool) {
	if len(b) > 2*16 {
		return money.Zero, false
	}
	i := new(big.Int).SetBytes(b)
	if len(b) > 0 && b[0] >= 0x80 {
		i.Sub(i, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	if i.CmpAbs(decimalMax) > 0 {
		return money.Zero, false
	}
	return money.FromBig(i)
}
