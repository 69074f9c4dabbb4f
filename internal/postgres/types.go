package postgres

import (
	"fmt"
	"math/big"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"daybreak/market"
	"daybreak/money"
)

// registerTypes teaches a connection's type map that money.Dec is numeric and market.Day is date.
func registerTypes(m *pgtype.Map) {
	m.TryWrapEncodePlanFuncs = append([]pgtype.TryWrapEncodePlanFunc{wrapEncode}, m.TryWrapEncodePlanFuncs...)
	m.TryWrapScanPlanFuncs = append([]pgtype.TryWrapScanPlanFunc{wrapScan}, m.TryWrapScanPlanFuncs...)
	m.RegisterDefaultPgType(money.Dec{}, "numeric")
	if numerics, ok := m.TypeForOID(pgtype.NumericArrayOID); ok {
		m.RegisterType(&pgtype.Type{Name: numerics.Name, OID: numerics.OID, Codec: decsCodec{numerics.Codec}})
	}
	m.RegisterDefaultPgType(market.Day(0), "date")
}

func wrapEncode(value any) (pgtype.WrappedEncodePlanNextSetter, any, bool) {
	switch v := value.(type) {
	case money.Dec:
		return &encodeDec{}, dec(v), true
	case market.Day:
		return &encodeDay{}, day(v), true
	}
	return nil, nil, false
}

func wrapScan(target any) (pgtype.WrappedScanPlanNextSetter, any, bool) {
	switch v := target.(type) {
	case *money.Dec:
		return &scanDec{}, (*dec)(v), true
	case *market.Day:
		return &scanDay{}, (*day)(v), true
	}
	return nil, nil, false
}

// shortPlaces are the decimals of most amounts and shares; shortUnit is one of the last of them,
// counted in units of a Dec.
const shortPlaces = 4

var shortUnit = big.NewInt(100_000_000)

// dec is money.Dec as pgx's numeric sees it.
type dec money.Dec

// NumericValue implements pgtype.NumericValuer.
func (d dec) NumericValue() (pgtype.Numeric, error) {
	units := money.Dec(d).Big()
	if short := money.Dec(d).RoundDown(shortPlaces); short == money.Dec(d) {
		// Most amounts have few places: a small number is much cheaper to write.
		return pgtype.Numeric{Int: units.Quo(units, shortUnit), Exp: -shortPlaces, Valid: true}, nil
	}
	return pgtype.Numeric{Int: units, Exp: -money.Places, Valid: true}, nil
}

// ScanNumeric implements pgtype.NumericScanner; a number that a Dec cannot hold exactly is an error.
func (d *dec) ScanNumeric(n pgtype.Numeric) error {
	if !n.Valid || n.NaN || n.InfinityModifier != pgtype.Finite {
		return fmt.Errorf("numeric %v: %w", n, money.ErrSyntax)
	}
	units := new(big.Int).Set(n.Int)
	shift := int64(n.Exp) + money.Places
	power := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(shift, -shift)), nil)
	if shift >= 0 {
		units.Mul(units, power)
	} else if _, rest := units.QuoRem(units, power, new(big.Int)); rest.Sign() != 0 {
		return fmt.Errorf("numeric with scale %d: %w", n.Exp, money.ErrPlaces)
	}
	v, fits := money.FromBig(units)
	if !fits {
		return fmt.Errorf("numeric: %w", money.ErrRange)
	}
	*d = dec(v)
	return nil
}

// day is market.Day as pgx's date sees it; NoDay is NULL.
type day market.Day

// DateValue implements pgtype.DateValuer.
func (d day) DateValue() (pgtype.Date, error) {
	if market.Day(d) == market.NoDay {
		return pgtype.Date{}, nil
	}
	return pgtype.Date{Time: market.Day(d).Time(), Valid: true}, nil
}

// ScanDate implements pgtype.DateScanner.
func (d *day) ScanDate(v pgtype.Date) error {
	if !v.Valid {
		*d = day(market.NoDay)
		return nil
	}
	*d = day(market.DayOf(v.Time.In(time.UTC)))
	return nil
}

type encodeDec struct{ next pgtype.EncodePlan }

func (p *encodeDec) SetNext(next pgtype.EncodePlan) { p.next = next }
func (p *encodeDec) Encode(value any, buf []byte) ([]byte, error) {
	return p.next.Encode(dec(value.(money.Dec)), buf)
}

type encodeDay struct{ next pgtype.EncodePlan }

func (p *encodeDay) SetNext(next pgtype.EncodePlan) { p.next = next }
func (p *encodeDay) Encode(value any, buf []byte) ([]byte, error) {
	return p.next.Encode(day(value.(market.Day)), buf)
}

type scanDec struct{ next pgtype.ScanPlan }

func (p *scanDec) SetNext(next pgtype.ScanPlan) { p.next = next }
func (p *scanDec) Scan(src []byte, target any) error {
	return p.next.Scan(src, (*dec)(target.(*money.Dec)))
}

type scanDay struct{ next pgtype.ScanPlan }

func (p *scanDay) SetNext(next pgtype.ScanPlan) { p.next = next }
func (p *scanDay) Scan(src []byte, target any) error {
	return p.next.Scan(src, (*day)(target.(*market.Day)))
}

// decsCodec is the codec of numeric[] with a short way for []money.Dec, which batches are full of.
type decsCodec struct{ pgtype.Codec }

// PlanEncode implements pgtype.Codec.
func (c decsCodec) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.([]money.Dec); ok && format == pgtype.BinaryFormatCode {
		return encodeDecs{}
	}
	return c.Codec.PlanEncode(m, oid, format, value)
}

type encodeDecs struct{}

// Encode implements pgtype.EncodePlan.
func (encodeDecs) Encode(value any, buf []byte) ([]byte, error) {
	all := value.([]money.Dec)
	if all == nil {
		return nil, nil
	}
	c := copyBuffer{}
	c.array(pgtype.NumericOID, len(all), func(i int) { c.dec(all[i]) })
	return append(buf, c.bytes[4:]...), nil // without its length, which pgx writes
}
