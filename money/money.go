// Package money holds the exact numbers of the book: decimal amounts with twelve places and
// exact rationals for shares. It is the only package that rounds.
package money

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strings"
)

// Places is the number of decimal places that a Dec carries.
const Places = 12

// digitsMax bounds the digits before the decimal point, so that a parsed number always
// fits numeric(38,12).
const digitsMax = 26

// scale is 10^Places, the units in one.
const scale = 1_000_000_000_000

var (
	// ErrSyntax is wrapped where a text is not a plain decimal number. Importers branch on it
	// to report BAD_NUMBER.
	ErrSyntax = errors.New("not a decimal number")
	// ErrRange is wrapped where a number has more than 26 digits before the point. Importers
	// branch on it to report BAD_NUMBER.
	ErrRange = errors.New("number out of range")
	// ErrPlaces is wrapped where a text has non-zero digits past the twelfth place, which a
	// Dec would have to round away.
	ErrPlaces = errors.New("more than 12 decimal places")
)

// Dec is a decimal with twelve places in 128 bits: money, prices, rates, and share counts that
// can be traded. The zero value is 0. Dec is comparable: equal numbers are equal values.
// Arithmetic that leaves the range panics with ErrRange; the caller's barrier parks the household.
type Dec struct {
	hi int64
	lo uint64
}

// Zero and One are the numbers 0 and 1.
var (
	Zero = Dec{}
	One  = FromInt(1)
)

// FromInt returns n as a Dec.
func FromInt(n int64) Dec { return FromUnits(n, 0) }

// FromUnits returns units × 10^-places; places is from 0 to 12. FromUnits(1999, 2) is 19.99.
func FromUnits(units int64, places int) Dec {
	if places < 0 || places > Places {
		panic(fmt.Errorf("places %d: %w", places, ErrRange))
	}
	neg := units < 0
	hi, lo := bits.Mul64(abs64(units), pow10(Places-places))
	return signed(hi, lo, neg)
}

// FromBig returns i × 10^-12 and reports false where it does not fit. Codecs use it.
func FromBig(i *big.Int) (Dec, bool) {
	if i.BitLen() > 127 {
		return Zero, false
	}
	var abs big.Int
	abs.Abs(i)
	var mask big.Int
	mask.SetUint64(^uint64(0))
	lo := mask.And(&mask, &abs).Uint64()
	hi := abs.Rsh(&abs, 64).Uint64()
	return signed(hi, lo, i.Sign() < 0), true
}

// Big returns d × 10^12, exactly.
func (d Dec) Big() *big.Int {
	hi, lo, neg := d.magnitude()
	i := new(big.Int).SetUint64(hi)
	i.Lsh(i, 64).Or(i, new(big.Int).SetUint64(lo))
	if neg {
		i.Neg(i)
	}
	return i
}

// Bits returns d as two words of two's complement: d is (hi × 2^64 + lo) / 10^Places.
func (d Dec) Bits() (hi int64, lo uint64) { return d.hi, d.lo }

// Add returns d + e.
func (d Dec) Add(e Dec) Dec {
	lo, carry := bits.Add64(d.lo, e.lo, 0)
	hi, _ := bits.Add64(uint64(d.hi), uint64(e.hi), carry)
	sum := Dec{int64(hi), lo}
	if (d.hi < 0) == (e.hi < 0) && (sum.hi < 0) != (d.hi < 0) {
		panic(ErrRange)
	}
	return sum
}

// Sub returns d − e.
func (d Dec) Sub(e Dec) Dec { return d.Add(e.Neg()) }

// Neg returns −d.
func (d Dec) Neg() Dec {
	lo, borrow := bits.Sub64(0, d.lo, 0)
	hi, _ := bits.Sub64(0, uint64(d.hi), borrow)
	return Dec{int64(hi), lo}
}

// Abs returns d without its sign.
func (d Dec) Abs() Dec {
	if d.hi < 0 {
		return d.Neg()
	}
	return d
}

// Sign returns −1, 0 or 1.
func (d Dec) Sign() int {
	switch {
	case d.hi < 0:
		return -1
	case d.hi == 0 && d.lo == 0:
		return 0
	}
	return 1
}

// IsZero reports whether d is 0.
func (d Dec) IsZero() bool { return d == Dec{} }

// Cmp returns −1, 0 or 1 as d is below, equal to or above e.
func (d Dec) Cmp(e Dec) int {
	switch {
	case d.hi < e.hi || d.hi == e.hi && d.lo < e.lo:
		return -1
	case d == e:
		return 0
	}
	return 1
}

// Less reports whether d < e.
func (d Dec) Less(e Dec) bool { return d.Cmp(e) < 0 }

// Min returns the smaller of d and e.
func Min(d, e Dec) Dec {
	if e.Less(d) {
		return e
	}
	return d
}

// Max returns the larger of d and e.
func Max(d, e Dec) Dec {
	if d.Less(e) {
		return e
	}
	return d
}

// Mul returns d × e, rounded half to even at the twelfth place.
func (d Dec) Mul(e Dec) Dec {
	if d.hi == 0 && e.hi == 0 { // the usual sizes, in one division
		if h, l := bits.Mul64(d.lo, e.lo); h < scale {
			q, r := bits.Div64(h, l, scale)
			if r > scale/2 || r == scale/2 && q&1 == 1 {
				var carry uint64
				q, carry = bits.Add64(q, 1, 0)
				return Dec{int64(carry), q}
			}
			return Dec{0, q}
		}
	}
	return d.MulDiv(e, One)
}

// Div returns d ÷ e, rounded half to even at the twelfth place. It panics where e is 0.
func (d Dec) Div(e Dec) Dec { return d.MulDiv(One, e) }

// MulDiv returns d × e ÷ f with one rounding, half to even at the twelfth place. The product is
// not rounded before the division, so a share of a total (total × part ÷ whole) is exact where
// it can be. It panics where f is 0.
func (d Dec) MulDiv(e, f Dec) Dec {
	if f.IsZero() {
		panic(errors.New("division by zero"))
	}
	neg := (d.hi < 0) != (e.hi < 0) != (f.hi < 0)
	num := mul128(d, e)
	fh, fl, _ := f.magnitude()
	return signedDiv(num, fh, fl, neg)
}

// Round returns d rounded half to even at places, from 0 to 12.
func (d Dec) Round(places int) Dec {
	unit := unitOf(places)
	q := d.MulDiv(FromUnits(1, Places), unit) // whole units of the last place
	return q.scaleUp(unit)
}

// RoundDown returns d cut towards zero at places, from 0 to 12.
func (d Dec) RoundDown(places int) Dec {
	hi, lo, neg := d.magnitude()
	_, rem := divSmall(hi, lo, pow10(Places-places))
	low, borrow := bits.Sub64(lo, rem, 0)
	return signed(hi-borrow, low, neg)
}

// scaleUp returns d × unit for a d that counts units: both are raw counts, nothing is rounded.
func (d Dec) scaleUp(unit Dec) Dec {
	hi, lo, neg := d.magnitude()
	h1, l := bits.Mul64(lo, unit.lo)
	h2, h := bits.Mul64(hi, unit.lo)
	sum, carry := bits.Add64(h1, h, 0)
	if h2 != 0 || carry != 0 {
		panic(ErrRange)
	}
	return signed(sum, l, neg)
}

func unitOf(places int) Dec {
	if places < 0 || places > Places {
		panic(fmt.Errorf("places %d: %w", places, ErrRange))
	}
	return Dec{0, pow10(Places - places)}
}

// Parse reads a plain decimal such as "-12.5". It takes no exponent, no blanks, no grouping, no
// "NaN" and no "Inf"; it returns ErrSyntax, ErrRange or ErrPlaces, wrapped with the text.
func Parse(s string) (Dec, error) {
	digits, neg := strings.CutPrefix(s, "-")
	if !neg {
		digits = strings.TrimPrefix(digits, "+")
	}
	whole, frac, point := strings.Cut(digits, ".")
	if whole == "" && frac == "" || point && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return Zero, fmt.Errorf("%q: %w", clip(s), ErrSyntax)
	}
	whole = strings.TrimLeft(whole, "0")
	frac = strings.TrimRight(frac, "0")
	if len(whole) > digitsMax {
		return Zero, fmt.Errorf("%q: %w", clip(s), ErrRange)
	}
	if len(frac) > Places {
		return Zero, fmt.Errorf("%q: %w", clip(s), ErrPlaces)
	}
	var hi, lo uint64
	hi, lo = appendDigits(hi, lo, whole)
	hi, lo = appendDigits(hi, lo, frac)
	hi, lo = mulSmall(hi, lo, pow10(Places-len(frac)))
	return signed(hi, lo, neg), nil
}

// MustParse is Parse for constants and tests; it panics on an error.
func MustParse(s string) Dec {
	d, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return d
}

// String returns the shortest decimal that is exactly d: no exponent, no trailing zeros.
func (d Dec) String() string { return string(d.append(nil, 0)) }

// Fixed returns d with exactly places decimals, rounded half to even.
func (d Dec) Fixed(places int) string { return string(d.Round(places).append(nil, places)) }

// MarshalText returns the text of String; JSON carries a Dec as a string.
func (d Dec) MarshalText() ([]byte, error) { return d.append(nil, 0), nil }

// AppendText appends the text of String.
func (d Dec) AppendText(b []byte) ([]byte, error) { return d.append(b, 0), nil }

// UnmarshalText reads what Parse reads.
func (d *Dec) UnmarshalText(text []byte) error {
	v, err := Parse(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// Float returns the nearest float64, for the optimiser and for pictures; never for the book.
func (d Dec) Float() float64 {
	if d.hi == 0 && d.lo <= math.MaxInt64 {
		return float64(int64(d.lo)) / scale
	}
	hi, lo, neg := d.magnitude()
	f := (float64(hi)*0x1p64 + float64(lo)) / scale
	if neg {
		return -f
	}
	return f
}

// append writes d with at least placesMin decimals.
func (d Dec) append(b []byte, placesMin int) []byte {
	hi, lo, neg := d.magnitude()
	var digits [40]byte
	n := len(digits)
	for hi != 0 || lo != 0 || n > len(digits)-Places-1 {
		var rem uint64
		hi, lo, rem = divMod10(hi, lo)
		n--
		digits[n] = '0' + byte(rem)
	}
	point := len(digits) - Places
	end := len(digits)
	for end > point+placesMin && digits[end-1] == '0' {
		end--
	}
	if neg {
		b = append(b, '-')
	}
	b = append(b, digits[n:point]...)
	if end > point {
		b = append(b, '.')
		b = append(b, digits[point:end]...)
	}
	return b
}
