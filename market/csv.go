package market

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"daybreak/money"
)

// Code names a reason why a line of an imported file is left out or flagged. It is stable: scripts
// branch on it.
type Code string

// The codes of a line. Where several hold, the first in the order of the file's columns wins, and
// faults of a field win over those that need the other lines or what is stored.
const (
	CodeLongLine        Code = "LONG_LINE"        // longer than a line may be
	CodeBadQuotes       Code = "BAD_QUOTES"       // quotes that do not close
	CodeBadFields       Code = "BAD_FIELDS"       // another number of fields than the header
	CodeBadText         Code = "BAD_TEXT"         // empty, too long, or characters that a name cannot have
	CodeBadDate         Code = "BAD_DATE"         // not a real day
	CodeBadNumber       Code = "BAD_NUMBER"       // not a plain decimal number in range
	CodeNotPositive     Code = "NOT_POSITIVE"     // a price or rate of zero or less
	CodeNegative        Code = "NEGATIVE"         // a dividend, weight or rank below zero
	CodeUnknownCurrency Code = "UNKNOWN_CURRENCY" // not a currency that Daybreak knows
	CodeUnknownExchange Code = "UNKNOWN_EXCHANGE" // an exchange without a calendar
	CodeBadKind         Code = "BAD_KIND"         // neither stock nor etf
	CodeUnknownSecurity Code = "UNKNOWN_SECURITY" // no such security
	CodeOtherCurrency   Code = "OTHER_CURRENCY"   // not the security's currency; or a pair of one currency
	CodeNoSession       Code = "NO_SESSION"       // the exchange was closed on the day
	CodeOtherAdjustment Code = "OTHER_ADJUSTMENT" // stored closes are adjusted otherwise
	CodeIdentical       Code = "IDENTICAL"        // a replacement that is identical property
	CodeDuplicate       Code = "DUPLICATE"        // the key of an earlier line
	CodeBadModel        Code = "BAD_MODEL"        // a line of a model portfolio that does not hold together
	CodeMove            Code = "MOVE"             // warning: a close far from the one before it
)

// LineError is what is wrong with one line; its text says what is wrong and what would be right.
type LineError struct {
	Code    Code
	Message string
}

// Error implements error.
func (e *LineError) Error() string { return string(e.Code) + ": " + e.Message }

func fault(code Code, format string, args ...any) error {
	return &LineError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// The headers of the files, in order; a file has exactly these columns.
var (
	SecurityHeader    = []string{"symbol", "name", "currency", "exchange", "kind", "asset_class", "index", "identical_group"}
	PriceHeader       = []string{"date", "symbol", "currency", "close", "dividend"}
	RateHeader        = []string{"date", "base", "quote", "rate"}
	ReplacementHeader = []string{"symbol", "replacement", "rank"}
	WeightHeader      = []string{"model", "region", "asset_class", "symbol", "rank", "weight"}
)

// Bounds of what a line may say. Prices stay below amountMax, so that shares × price is in range.
const (
	symbolMax = 32
	labelMax  = 64
	nameMax   = 200
	rankMax   = 999
	yearMin   = 1900
	yearMax   = 2199
)

var amountMax = money.FromInt(1_000_000_000_000)

// Quote is one line of a file of prices: a price and the currency that it is in.
type Quote struct {
	Price
	Currency Currency
}

// DecodeSecurity reads the fields of SecurityHeader. Its error is a *LineError.
func DecodeSecurity(fields []string) (Security, error) {
	d := decoder{fields: fields, header: SecurityHeader}
	s := Security{Symbol: d.symbol(0), Name: d.text(1), Currency: d.currency(2), Exchange: d.exchange(3),
		Kind: d.kind(4), AssetClass: d.label(5), Index: d.optional(6), IdenticalGroup: d.text(7)}
	return s, d.err
}

// DecodePrice reads the fields of PriceHeader; an empty dividend is 0. Its error is a *LineError.
func DecodePrice(fields []string) (Quote, error) {
	d := decoder{fields: fields, header: PriceHeader}
	day, symbol, currency := d.day(0), d.symbol(1), d.currency(2)
	return Quote{Price{Symbol: symbol, Day: day, Close: d.positive(3), Dividend: d.notNegative(4)}, currency}, d.err
}

// DecodeRate reads the fields of RateHeader as published by source. Its error is a *LineError.
func DecodeRate(fields []string, source string) (Rate, error) {
	d := decoder{fields: fields, header: RateHeader}
	r := Rate{Day: d.day(0), Base: d.currency(1), Quote: d.currency(2), Rate: d.positive(3), Source: source}
	if d.err == nil && r.Base == r.Quote {
		d.refuse(fault(CodeOtherCurrency, "base and quote are both %s", r.Base))
	}
	return r, d.err
}

// DecodeReplacement reads the fields of ReplacementHeader; ranks count from 1. Its error is a
// *LineError.
func DecodeReplacement(fields []string) (Replacement, error) {
	d := decoder{fields: fields, header: ReplacementHeader}
	return Replacement{Symbol: d.symbol(0), Replacement: d.symbol(1), Rank: d.rank(2, 1)}, d.err
}

// DecodeWeight reads the fields of WeightHeader; ranks count from 0. Its error is a *LineError.
func DecodeWeight(fields []string) (Weight, error) {
	d := decoder{fields: fields, header: WeightHeader}
	return Weight{Model: d.label(0), Region: d.label(1), AssetClass: d.label(2), Symbol: d.symbol(3),
		Rank: d.rank(4, 0), Weight: d.notNegative(5)}, d.err
}

// decoder reads the fields of one line and keeps the first fault. Each field is read once, in the
// order of the columns.
type decoder struct {
	fields []string
	header []string
	err    error
}

func (d *decoder) refuse(err error) {
	if d.err == nil {
		d.err = err
	}
}

// field returns a field's text, "" once a fault is known.
func (d *decoder) field(i int) string {
	if len(d.fields) != len(d.header) {
		d.refuse(fault(CodeBadFields, "%d fields, want %d: %s", len(d.fields), len(d.header), strings.Join(d.header, ",")))
	}
	if d.err != nil {
		return ""
	}
	return d.fields[i]
}

func (d *decoder) symbol(i int) Symbol {
	s := d.field(i)
	if d.err == nil && !(len(s) <= symbolMax && isToken(s)) {
		d.refuse(fault(CodeBadText, "%s %s is not a symbol: letters, digits and . - / _ only, at most %d", d.header[i], show(s), symbolMax))
	}
	return Symbol(s)
}

func (d *decoder) label(i int) string {
	s := d.field(i)
	if d.err == nil && !(len(s) <= labelMax && isToken(s)) {
		d.refuse(fault(CodeBadText, "%s %s is not a name: letters, digits and . - / _ only, at most %d", d.header[i], show(s), labelMax))
	}
	return s
}

func (d *decoder) text(i int) string {
	s := d.optional(i)
	if d.err == nil && strings.TrimSpace(s) == "" {
		d.refuse(fault(CodeBadText, "%s is empty", d.header[i]))
	}
	return s
}

func (d *decoder) optional(i int) string {
	s := d.field(i)
	if len(s) > nameMax || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		d.refuse(fault(CodeBadText, "%s %s is not a line of UTF-8 text of at most %d bytes", d.header[i], show(s), nameMax))
	}
	return s
}

func (d *decoder) day(i int) Day {
	s := d.field(i)
	if d.err != nil {
		return NoDay
	}
	day, err := ParseDay(s)
	if err != nil {
		d.refuse(fault(CodeBadDate, "%s %s is not a day of the form YYYY-MM-DD", d.header[i], show(s)))
	} else if y := day.Year(); y < yearMin || y > yearMax {
		d.refuse(fault(CodeBadDate, "%s %s is not within %d to %d", d.header[i], s, yearMin, yearMax))
	}
	return day
}

func (d *decoder) currency(i int) Currency {
	s := d.field(i)
	if d.err == nil && !Currency(s).Known() {
		d.refuse(fault(CodeUnknownCurrency, "%s %s is not a known ISO 4217 code", d.header[i], show(s)))
	}
	return Currency(s)
}

func (d *decoder) exchange(i int) string {
	s := d.field(i)
	if _, err := Calendar(s); d.err == nil && err != nil {
		d.refuse(fault(CodeUnknownExchange, "%s %s is not one of %s", d.header[i], show(s), strings.Join(Exchanges(), ", ")))
	}
	return s
}

func (d *decoder) kind(i int) Kind {
	k := Kind(d.field(i))
	if d.err == nil && k != Stock && k != ETF {
		d.refuse(fault(CodeBadKind, "%s %s is neither %s nor %s", d.header[i], show(string(k)), Stock, ETF))
	}
	return k
}

func (d *decoder) number(i int) money.Dec {
	s := d.field(i)
	if d.err != nil {
		return money.Zero
	}
	n, err := money.Parse(s)
	switch {
	case errors.Is(err, money.ErrPlaces):
		d.refuse(fault(CodeBadNumber, "%s %s has more than %d decimal places", d.header[i], show(s), money.Places))
	case errors.Is(err, money.ErrRange) || err == nil && !n.Abs().Less(amountMax):
		d.refuse(fault(CodeBadNumber, "%s %s is not below %s", d.header[i], show(s), amountMax))
	case err != nil:
		d.refuse(fault(CodeBadNumber, "%s %s is not a plain decimal number such as 12.34", d.header[i], show(s)))
	}
	return n
}

func (d *decoder) positive(i int) money.Dec {
	n := d.number(i)
	if d.err == nil && n.Sign() <= 0 {
		d.refuse(fault(CodeNotPositive, "%s %s is not above 0", d.header[i], n))
	}
	return n
}

// notNegative reads a number of 0 or more; an empty field is 0.
func (d *decoder) notNegative(i int) money.Dec {
	if d.field(i) == "" {
		return money.Zero
	}
	n := d.number(i)
	if d.err == nil && n.Sign() < 0 {
		d.refuse(fault(CodeNegative, "%s %s is below 0", d.header[i], n))
	}
	return n
}

func (d *decoder) rank(i, least int) int {
	s := d.field(i)
	if d.err != nil {
		return 0
	}
	n, err := strconv.Atoi(s)
	if err != nil || n > rankMax {
		d.refuse(fault(CodeBadNumber, "%s %s is not a whole number of at most %d", d.header[i], show(s), rankMax))
	} else if n < least {
		d.refuse(fault(CodeNegative, "%s %d is below %d", d.header[i], n, least))
	}
	return n
}

// isToken reports whether s is a name without blanks: ASCII letters, digits and . - / _.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && !('0' <= c && c <= '9') && !strings.ContainsRune(".-/_", rune(c)) {
			return false
		}
	}
	return s != ""
}

// show quotes a text for a message and shortens a hostile one.
func show(s string) string {
	if len(s) > 40 {
		return strconv.QuoteToASCII(s[:40]) + "…"
	}
	return strconv.QuoteToASCII(s)
}

// currencies are those that the European Central Bank or the Bank of Canada publishes a rate of,
// and the euro, in order.
var currencies = []Currency{"AUD", "BGN", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "HKD", "HRK", "HUF", "IDR", "ILS",
	"INR", "ISK", "JPY", "KRW", "MXN", "MYR", "NOK", "NZD", "PEN", "PHP", "PLN", "RON", "RUB", "SAR", "SEK", "SGD", "THB", "TRY", "TWD", "USD", "VND", "ZAR"}

// Known reports whether c is a currency that exchange rates are published for.
func (c Currency) Known() bool {
	_, ok := slices.BinarySearch(currencies, c)
	return ok
}
