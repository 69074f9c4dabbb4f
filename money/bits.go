package money

import "math/bits"

// The 128- and 256-bit steps under Dec: magnitudes are unsigned, signs are carried beside them.

var powers = [...]uint64{1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000,
	1_000_000_000, 10_000_000_000, 100_000_000_000, scale}

func pow10(n int) uint64 { return powers[n] }

func abs64(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// magnitude returns |d| as two words, and whether d is negative.
func (d Dec) magnitude() (hi, lo uint64, neg bool) {
	if d.hi >= 0 {
		return uint64(d.hi), d.lo, false
	}
	lo, borrow := bits.Sub64(0, d.lo, 0)
	hi, _ = bits.Sub64(0, uint64(d.hi), borrow)
	return hi, lo, true
}

// signed returns the Dec of a magnitude and a sign; it panics where the top bit is taken.
func signed(hi, lo uint64, neg bool) Dec {
	if hi>>63 != 0 {
		panic(ErrRange)
	}
	d := Dec{int64(hi), lo}
	if neg {
		return d.Neg()
	}
	return d
}

// mul128 returns |d|·|e| as four words, lowest first.
func mul128(d, e Dec) [4]uint64 {
	ah, al, _ := d.magnitude()
	bh, bl, _ := e.magnitude()
	var p [4]uint64
	h00, l00 := bits.Mul64(al, bl)
	p[0] = l00
	h01, l01 := bits.Mul64(al, bh)
	h10, l10 := bits.Mul64(ah, bl)
	h11, l11 := bits.Mul64(ah, bh)
	var c1, c2, c uint64
	p[1], c1 = bits.Add64(h00, l01, 0)
	p[1], c2 = bits.Add64(p[1], l10, 0)
	p[2], c = bits.Add64(h01, h10, c1)
	p[3] = h11 + c
	p[2], c = bits.Add64(p[2], l11, c2)
	p[3] += c
	return p
}

// signedDiv returns num ÷ (fh, fl), rounded half to even, with the sign asked for.
func signedDiv(num [4]uint64, fh, fl uint64, neg bool) Dec {
	var qh, ql, rh, rl uint64
	if fh == 0 {
		qh, ql, rl = divWord(num, fl)
	} else {
		qh, ql, rh, rl = divWide(num, fh, fl)
	}
	// Round half to even: compare twice the remainder with the divisor.
	th, tl := rh<<1|rl>>63, rl<<1
	over := rh>>63 != 0 || th > fh || th == fh && tl > fl
	if over || th == fh && tl == fl && ql&1 == 1 {
		var carry uint64
		ql, carry = bits.Add64(ql, 1, 0)
		qh += carry
	}
	return signed(qh, ql, neg)
}

// divWord divides four words by one; the quotient must fit two words.
func divWord(num [4]uint64, f uint64) (qh, ql, r uint64) {
	if num[3] != 0 || num[2] >= f {
		panic(ErrRange)
	}
	r = num[2]
	qh, r = bits.Div64(r, num[1], f)
	ql, r = bits.Div64(r, num[0], f)
	return qh, ql, r
}

// divWide divides four words by two, bit by bit from the top; the quotient must fit two words.
// Divisors above 2^64 units (18 million) are rare, so plain beats quick here.
func divWide(num [4]uint64, fh, fl uint64) (qh, ql, rh, rl uint64) {
	rh, rl = num[3], num[2]
	if rh > fh || rh == fh && rl >= fl {
		panic(ErrRange)
	}
	low := [2]uint64{num[1], num[0]}
	for range 128 {
		top := rh >> 63
		rh = rh<<1 | rl>>63
		rl = rl<<1 | low[0]>>63
		low[0] = low[0]<<1 | low[1]>>63
		low[1] <<= 1
		qh = qh<<1 | ql>>63
		ql <<= 1
		if top == 1 || rh > fh || rh == fh && rl >= fl {
			var borrow uint64
			rl, borrow = bits.Sub64(rl, fl, 0)
			rh, _ = bits.Sub64(rh, fh, borrow)
			ql |= 1
		}
	}
	return qh, ql, rh, rl
}

// divSmall returns the low word of (hi, lo) ÷ f and the remainder.
func divSmall(hi, lo, f uint64) (q, rem uint64) {
	return bits.Div64(hi%f, lo, f)
}

// divMod10 returns (hi, lo) ÷ 10 and the digit that remains.
func divMod10(hi, lo uint64) (qh, ql, rem uint64) {
	qh, r := hi/10, hi%10
	ql, rem = bits.Div64(r, lo, 10)
	return qh, ql, rem
}

// mulSmall returns (hi, lo) × f; it panics where the product needs a third word.
func mulSmall(hi, lo, f uint64) (uint64, uint64) {
	over, h := bits.Mul64(hi, f)
	carry, l := bits.Mul64(lo, f)
	sum, c := bits.Add64(h, carry, 0)
	if over != 0 || c != 0 {
		panic(ErrRange)
	}
	return sum, l
}

// appendDigits returns (hi, lo) × 10^len(s) + s, for a text of digits.
func appendDigits(hi, lo uint64, s string) (uint64, uint64) {
	for i := range len(s) {
		hi, lo = mulSmall(hi, lo, 10)
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(s[i]-'0'), 0)
		hi += carry
	}
	return hi, lo
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// clip shortens a hostile text for an error message.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
