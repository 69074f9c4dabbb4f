package money

import (
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// ratDigitsMax bounds the digits of a numerator or denominator that ParseRat reads, so that a
// hostile text cannot make the book slow.
const ratDigitsMax = 60

// Rat is an exact rational number: share counts in the tax book, where a split of 1 for 3 must
// still sell out, and the ratios of splits. The zero value is 0. A Rat is kept in lowest terms,
// in two machine words where it fits and in math/big where it does not; compare with Cmp or Equal,
// not with ==. Nothing rounds but the methods that return a Dec.
type Rat struct {
	num  int64
	less int64    // denominator − 1, so that the zero value is 0/1
	wide *big.Rat // the number, where it does not fit num and less; never changed once set
}

// RatInt returns n as a Rat.
func RatInt(n int64) Rat { return Rat{num: n} }

// RatOf returns num ÷ den in lowest terms. It panics where den is 0.
func RatOf(num, den int64) Rat {
	if den == 0 {
		panic("money: rational with denominator 0")
	}
	if num == math.MinInt64 || den == math.MinInt64 {
		return narrow(big.NewRat(num, den))
	}
	if den < 0 {
		num, den = -num, -den
	}
	if g := gcd(abs64(num), uint64(den)); g > 1 {
		num, den = num/int64(g), den/int64(g)
	}
	return Rat{num: num, less: den - 1}
}

// RatDec returns d as a Rat, exactly.
func RatDec(d Dec) Rat {
	hi, lo, neg := d.magnitude()
	if hi != 0 || lo > math.MaxInt64 {
		return narrow(new(big.Rat).SetFrac(d.Big(), big.NewInt(scale)))
	}
	g := gcd(lo, scale)
	num := int64(lo / g)
	if neg {
		num = -num
	}
	return Rat{num: num, less: int64(scale/g) - 1}
}

// ParseRat reads a plain decimal such as "-12.5", or a quotient of two whole numbers such as "10/3".
// It takes no exponent and no blanks, and as many decimals as are written; it returns ErrSyntax or
// ErrRange, wrapped with the text.
func ParseRat(s string) (Rat, error) {
	p, q, quotient := strings.Cut(s, "/")
	if !quotient {
		return parseDecimal(s)
	}
	num, err := parseDecimal(p)
	if err != nil {
		return Rat{}, fmt.Errorf("%q: %w", clip(s), ErrSyntax)
	}
	den, err := parseDecimal(q)
	if err != nil || strings.ContainsAny(s, ".") || strings.ContainsAny(q, "+-") || den.IsZero() {
		return Rat{}, fmt.Errorf("%q: %w", clip(s), ErrSyntax)
	}
	return num.Div(den), nil
}

// MustRat is ParseRat for constants and tests; it panics on an error.
func MustRat(s string) Rat {
	r, err := ParseRat(s)
	if err != nil {
		panic(err)
	}
	return r
}

// parseDecimal reads a decimal of any number of places.
func parseDecimal(s string) (Rat, error) {
	digits, neg := strings.CutPrefix(s, "-")
	if !neg {
		digits = strings.TrimPrefix(digits, "+")
	}
	whole, frac, point := strings.Cut(digits, ".")
	if whole == "" && frac == "" || point && frac == "" || !allDigits(whole) || !allDigits(frac) {
		return Rat{}, fmt.Errorf("%q: %w", clip(s), ErrSyntax)
	}
	if len(whole)+len(frac) > ratDigitsMax {
		return Rat{}, fmt.Errorf("%q: %w", clip(s), ErrRange)
	}
	if len(whole)+len(frac) > 18 {
		r, _ := new(big.Rat).SetString(s)
		return narrow(r), nil
	}
	var n int64
	den := int64(1)
	for i := range len(whole) {
		n = n*10 + int64(whole[i]-'0')
	}
	for i := range len(frac) {
		n = n*10 + int64(frac[i]-'0')
		den *= 10
	}
	if neg {
		n = -n
	}
	if den == 1 {
		return Rat{num: n}, nil
	}
	return RatOf(n, den), nil
}

// Add returns r + s.
func (r Rat) Add(s Rat) Rat {
	if r.wide != nil || s.wide != nil {
		return narrow(new(big.Rat).Add(r.Big(), s.Big()))
	}
	if r.less == s.less {
		if sum, ok := addInt(r.num, s.num); ok {
			if r.less == 0 {
				return Rat{num: sum}
			}
			return RatOf(sum, r.less+1)
		}
	}
	return r.addUnlike(s)
}

// addUnlike adds over the least common denominator, and in math/big where a word is too small.
func (r Rat) addUnlike(s Rat) Rat {
	rd, sd := r.less+1, s.less+1
	g := int64(gcd(uint64(rd), uint64(sd)))
	a, ok1 := mulInt(r.num, sd/g)
	b, ok2 := mulInt(s.num, rd/g)
	den, ok3 := mulInt(rd, sd/g)
	if ok1 && ok2 && ok3 {
		if sum, ok := addInt(a, b); ok {
			// Only divisors of g can be common to the sum and the denominator.
			if h := int64(gcd(abs64(sum), uint64(g))); h > 1 {
				return Rat{num: sum / h, less: den/h - 1}
			}
			return Rat{num: sum, less: den - 1}
		}
	}
	return narrow(new(big.Rat).Add(r.Big(), s.Big()))
}

// Sub returns r − s.
func (r Rat) Sub(s Rat) Rat { return r.Add(s.Neg()) }

// Neg returns −r.
func (r Rat) Neg() Rat {
	if r.wide != nil {
		return narrow(new(big.Rat).Neg(r.wide))
	}
	return Rat{num: -r.num, less: r.less}
}

// Abs returns r without its sign.
func (r Rat) Abs() Rat {
	if r.Sign() < 0 {
		return r.Neg()
	}
	return r
}

// Mul returns r × s.
func (r Rat) Mul(s Rat) Rat {
	if r.wide == nil && s.wide == nil {
		if r.less == 0 && s == (Rat{num: 1}) {
			return r
		}
		// Cross-cancel first: the product of what is left is in lowest terms.
		g := int64(gcd(abs64(r.num), uint64(s.less+1)))
		h := int64(gcd(abs64(s.num), uint64(r.less+1)))
		num, ok1 := mulInt(r.num/g, s.num/h)
		den, ok2 := mulInt((r.less+1)/h, (s.less+1)/g)
		if ok1 && ok2 {
			return Rat{num: num, less: den - 1}
		}
	}
	return narrow(new(big.Rat).Mul(r.Big(), s.Big()))
}

// Div returns r ÷ s. It panics where s is 0.
func (r Rat) Div(s Rat) Rat { return r.Mul(s.Inverse()) }

// Inverse returns 1 ÷ r. It panics where r is 0.
func (r Rat) Inverse() Rat {
	if r.IsZero() {
		panic("money: division by zero")
	}
	if r.wide != nil {
		return narrow(new(big.Rat).Inv(r.wide))
	}
	if r.num < 0 {
		return Rat{num: -(r.less + 1), less: -r.num - 1}
	}
	return Rat{num: r.less + 1, less: r.num - 1}
}

// Cmp returns −1, 0 or 1 as r is below, equal to or above s.
func (r Rat) Cmp(s Rat) int {
	if r.wide != nil || s.wide != nil {
		return r.Big().Cmp(s.Big())
	}
	if r.less == s.less {
		return compareInt(r.num, s.num)
	}
	if (r.num < 0) != (s.num < 0) {
		return compareInt(r.num, s.num)
	}
	ah, al := bits.Mul64(abs64(r.num), uint64(s.less+1))
	bh, bl := bits.Mul64(abs64(s.num), uint64(r.less+1))
	order := 0
	switch {
	case ah < bh || ah == bh && al < bl:
		order = -1
	case ah != bh || al != bl:
		order = 1
	}
	if r.num < 0 {
		return -order
	}
	return order
}

// Equal reports whether r and s are the same number.
func (r Rat) Equal(s Rat) bool { return r.Cmp(s) == 0 }

// Less reports whether r < s.
func (r Rat) Less(s Rat) bool { return r.Cmp(s) < 0 }

// Sign returns −1, 0 or 1.
func (r Rat) Sign() int {
	if r.wide != nil {
		return r.wide.Sign()
	}
	return compareInt(r.num, 0)
}

// IsZero reports whether r is 0.
func (r Rat) IsZero() bool { return r.num == 0 && r.wide == nil }

// MinRat returns the smaller of r and s.
func MinRat(r, s Rat) Rat {
	if s.Less(r) {
		return s
	}
	return r
}

// Dec returns r rounded half to even at the twelfth place. It panics with ErrRange where r does
// not fit.
func (r Rat) Dec() Dec { return One.MulRat(r) }

// IsDec reports whether r is a decimal of at most twelve places.
func (r Rat) IsDec() bool {
	if r.wide != nil {
		return new(big.Int).Rem(big.NewInt(scale), r.wide.Denom()).Sign() == 0
	}
	return scale%(r.less+1) == 0
}

// MulRat returns d × r with one rounding, half to even at the twelfth place.
func (d Dec) MulRat(r Rat) Dec {
	if r.wide != nil {
		return roundBig(new(big.Rat).Mul(new(big.Rat).SetInt(d.Big()), r.wide))
	}
	if r.less == 0 && r.num == 1 {
		return d
	}
	e := Dec{lo: abs64(r.num)}
	if r.num < 0 {
		d = d.Neg()
	}
	return d.MulDiv(e, Dec{lo: uint64(r.less + 1)})
}

// Share returns d × part ÷ whole with one rounding, half to even at the twelfth place: what falls
// on part of the shares of an amount that belongs to all of them. It panics where whole is 0.
func (d Dec) Share(part, whole Rat) Dec {
	if part.wide != nil || whole.wide != nil {
		return d.MulRat(part.Div(whole))
	}
	if (part.num < 0) != (whole.num < 0) {
		d = d.Neg()
	}
	e, f := Dec{lo: abs64(part.num)}, Dec{lo: abs64(whole.num)}
	if part == whole {
		return d
	}
	if part.less != whole.less {
		e = product(e.lo, uint64(whole.less+1))
		f = product(f.lo, uint64(part.less+1))
	}
	return d.MulDiv(e, f)
}

// product returns a × b as a raw count.
func product(a, b uint64) Dec {
	hi, lo := bits.Mul64(a, b)
	return Dec{hi: int64(hi), lo: lo}
}

// roundBig returns a count of units, rounded half to even.
func roundBig(units *big.Rat) Dec {
	q, rem := new(big.Int).QuoRem(units.Num(), units.Denom(), new(big.Int))
	twice := new(big.Int).Lsh(rem.Abs(rem), 1)
	order := twice.Cmp(units.Denom())
	if order > 0 || order == 0 && q.Bit(0) == 1 {
		q.Add(q, big.NewInt(int64(units.Sign())))
	}
	d, ok := FromBig(q)
	if !ok {
		panic(ErrRange)
	}
	return d
}

// Big returns r as a big.Rat that the caller must not change.
func (r Rat) Big() *big.Rat {
	if r.wide != nil {
		return r.wide
	}
	return big.NewRat(r.num, r.less+1)
}

// narrow returns b as a Rat, in machine words where it fits.
func narrow(b *big.Rat) Rat {
	num, den := b.Num(), b.Denom()
	if num.IsInt64() && den.IsInt64() && num.Int64() != math.MinInt64 {
		return Rat{num: num.Int64(), less: den.Int64() - 1}
	}
	return Rat{wide: b}
}

// String returns the decimal that is exactly r where one of at most eighteen places is, else
// "p/q" in lowest terms.
func (r Rat) String() string { return string(r.append(nil)) }

// AppendText appends the text of String.
func (r Rat) AppendText(b []byte) ([]byte, error) { return r.append(b), nil }

func (r Rat) append(b []byte) []byte {
	if r.wide != nil {
		return appendWide(b, r.wide)
	}
	if r.less == 0 {
		return strconv.AppendInt(b, r.num, 10)
	}
	if scale%(r.less+1) == 0 {
		hi, lo := bits.Mul64(abs64(r.num), uint64(scale/(r.less+1)))
		return signed(hi, lo, r.num < 0).append(b, 0)
	}
	if places, ok := decimalPlaces(uint64(r.less + 1)); ok {
		return append(b, r.Big().FloatString(places)...)
	}
	b = strconv.AppendInt(b, r.num, 10)
	b = append(b, '/')
	return strconv.AppendInt(b, r.less+1, 10)
}

func appendWide(b []byte, r *big.Rat) []byte {
	if r.IsInt() {
		return r.Num().Append(b, 10)
	}
	if r.Denom().IsUint64() {
		if places, ok := decimalPlaces(r.Denom().Uint64()); ok {
			return append(b, r.FloatString(places)...)
		}
	}
	return append(b, r.String()...)
}

// decimalPlaces returns how many decimals a fraction over den needs, and whether 18 are enough.
func decimalPlaces(den uint64) (int, bool) {
	twos := bits.TrailingZeros64(den)
	den >>= twos
	fives := 0
	for den%5 == 0 {
		den /= 5
		fives++
	}
	places := max(twos, fives)
	return places, den == 1 && places <= 18
}

// MarshalText returns the text of String.
func (r Rat) MarshalText() ([]byte, error) { return r.append(nil), nil }

// UnmarshalText reads what ParseRat reads.
func (r *Rat) UnmarshalText(text []byte) error {
	v, err := ParseRat(string(text))
	if err != nil {
		return err
	}
	*r = v
	return nil
}

// Float returns the nearest float64, for the optimiser and for pictures; never for the book.
func (r Rat) Float() float64 {
	f, _ := r.Big().Float64()
	return f
}

// gcd returns the greatest common divisor; gcd(0, b) is b.
func gcd(a, b uint64) uint64 {
	if a == 0 {
		return b
	}
	if a == 1 || b == 1 {
		return 1
	}
	if b == 0 {
		return a
	}
	shift := bits.TrailingZeros64(a | b)
	a >>= bits.TrailingZeros64(a)
	for b != 0 {
		b >>= bits.TrailingZeros64(b)
		if a > b {
			a, b = b, a
		}
		b -= a
	}
	return a << shift
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// addInt returns a + b and whether it fits, −2^63 left out.
func addInt(a, b int64) (int64, bool) {
	s := a + b
	return s, (a < 0) != (b < 0) || (s < 0) == (a < 0) && s != math.MinInt64
}

// mulInt returns a × b and whether it fits, −2^63 left out.
func mulInt(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(abs64(a), abs64(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}
