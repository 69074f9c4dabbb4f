package web

import (
	"cmp"
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"daybreak/fills"
	"daybreak/internal/access"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
)

// zone is whose clock the pages show: both exchanges keep the same one.
var zone = mustCalendar(market.XNYS)

func mustCalendar(name string) *market.Exchange {
	x, err := market.Calendar(name)
	if err != nil {
		panic(err)
	}
	return x
}

// formats are the functions that templates write values with.
var formats = template.FuncMap{
	"count": count, "money": amount, "price": price, "shares": shares, "percent": percent, "when": when, "clock": clock, "hour": hour, "kind": execWord, "reversed": isReversed, "home": homeCurrency,
	"day": longDay, "duration": duration, "short": short, "stateClass": stateClass, "reason": reasonTitle,
	"explain": explain, "facts": facts, "sideWord": sideWord, "action": actionWords, "plural": plural, "asset": assetPath,
	"dec": func(d money.Dec) string { return grouped(d.Fixed(2)) }, "isZero": money.Dec.IsZero, "mayAudit": func(p *access.Person) bool { return p.May(access.ReadAudit) }, "share": share,
	"accountType": func(s string) string { return strings.ReplaceAll(s, "_", " ") }, "dict": dict, "plus": money.Dec.Add, "int64": func(n int) int64 { return int64(n) },
}

// dict makes a map of keys and values, for templates that take more than one.
func dict(pairs ...any) (map[string]any, error) {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		key, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("key %v is no text", pairs[i])
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// grouped writes thousands separators into a plain decimal number, and a true minus sign.
func grouped(number string) string {
	sign := ""
	if strings.HasPrefix(number, "-") {
		sign, number = "−", number[1:]
	}
	whole, fraction, has := strings.Cut(number, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if has {
		b.WriteByte('.')
		b.WriteString(fraction)
	}
	return b.String()
}

// count writes a whole number of any integer type with thousands separators.
func count(n any) string { return grouped(fmt.Sprint(n)) }

// amount writes money with two places and its currency.
func amount(d money.Dec, c market.Currency) template.HTML {
	return template.HTML(`<span class="money">` + grouped(d.Fixed(2)) + `&nbsp;<span class="ccy">` +
		template.HTMLEscapeString(string(c)) + `</span></span>`)
}

// price writes a price with two to four places.
func price(d money.Dec) string { return grouped(trimmed(d.Fixed(4), 2)) }

// shares writes a number of shares with up to four places.
func shares(d money.Dec) string { return grouped(trimmed(d.Fixed(4), 0)) }

// percent writes a share of one as a percentage with two places.
func percent(d money.Dec) string { return grouped(d.Mul(hundred).Fixed(2)) + "\u00a0%" }

var hundred = money.FromInt(100)

// trimmed removes zeros at the end of a decimal fraction down to a number of places.
func trimmed(number string, placesMin int) string {
	whole, fraction, _ := strings.Cut(number, ".")
	for len(fraction) > placesMin && strings.HasSuffix(fraction, "0") {
		fraction = fraction[:len(fraction)-1]
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

// share returns part of whole in whole percent, for words beside a bar; 0 of 0 is 0.
func share(part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	return part * 100 / whole
}

// when writes an instant by the exchange's clock, with UTC on hover.
func when(t time.Time) template.HTML { return instant(t, "2006-01-02 15:04:05 MST") }

// clock writes the time of day of an instant by the exchange's clock, with the day and UTC on hover.
func clock(t time.Time) template.HTML { return instant(t, "15:04:05") }

// hour writes the hour and minute of an instant by the exchange's clock.
func hour(t time.Time) template.HTML { return instant(t, "15:04") }

func instant(t time.Time, layout string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` +
		t.UTC().Format("2006-01-02 15:04:05") + ` UTC">` + zone.Local(t).Format(layout) + `</time>`)
}

// longDay writes a day with its weekday; "–" where there is none.
func longDay(d market.Day) string {
	if d == market.NoDay {
		return "–"
	}
	return d.Weekday().String()[:3] + " " + d.String()
}

// duration writes a span of time as people say it.
func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "–"
	case d < time.Minute:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
}

// short is the beginning of a hash.
func short(hash string) string { return hash[:min(len(hash), 10)] }

// plural writes a count with its noun.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

func sideWord(side any) string {
	if fmt.Sprint(side) == "sell" {
		return "Sell"
	}
	return "Buy"
}

// execWords are the types of execution reports in FIX 4.4's words.
var execWords = map[fills.ExecType]string{
	fills.New: "New", fills.DoneForDay: "Done for day", fills.Canceled: "Canceled", fills.PendingCancel: "Pending cancel",
	fills.Rejected: "Rejected", fills.PendingNew: "Pending new", fills.Expired: "Expired",
	fills.Trade: "Trade", fills.TradeCorrect: "Trade correct", fills.TradeCancel: "Trade cancel",
}

// execWord returns the words of a type; one without words stays as it is.
func execWord(execType string) string {
	return cmp.Or(execWords[fills.ExecType(execType)], execType)
}

// isReversed reports whether an execution moved shares and was taken back since; reports that only
// tell a state never move any.
func isReversed(e pipeline.ExecutionRow) bool { return !e.Effective && e.Quantity.Sign() > 0 }

// stateClass is the look of a state: its words always stand beside the colour.
func stateClass(state any) string {
	switch fmt.Sprint(state) {
	case "Filled", "finished", "planned", "final":
		return "good"
	case "Flagged", "Rejected", "parked", "Expired", "restated", "withdrawn":
		return "bad"
	case "Held", "paused", "canceled", "Canceled", "PendingCancel", "DoneForDay", "provisional":
		return "warn"
	case "Approved", "Submitted", "started", "PendingNew", "New", "PartiallyFilled", "fixed":
		return "busy"
	}
	return "plain"
}
