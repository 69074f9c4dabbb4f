package market_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
)

// codeOf returns the code of a line's fault, "" where there is none.
func codeOf(t *testing.T, err error) market.Code {
	t.Helper()
	var bad *market.LineError
	if err != nil && !errors.As(err, &bad) {
		t.Fatalf("error %v is not a *market.LineError", err)
	}
	if err == nil {
		return ""
	}
	return bad.Code
}

func TestDecodePrice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line string
		want market.Code
	}{
		{"2020-03-16,VTI,USD,119.27,0", ""},
		{"2020-03-16,VTI,USD,119.27,", ""},
		{"2020-03-16,XIC.TO,CAD,0.000000000001,0.5", ""},
		{"2020-03-16,VTI,USD,999999999999.999999999999,0", ""},
		{"2020-02-29,VTI,USD,1,0", ""},
		{"2020-03-16,VTI,USD,119.27", market.CodeBadFields},
		{"2020-03-16,VTI,USD,119.27,0,0", market.CodeBadFields},
		{"2021-02-29,VTI,USD,1,0", market.CodeBadDate},
		{"2020-3-16,VTI,USD,1,0", market.CodeBadDate},
		{"16/03/2020,VTI,USD,1,0", market.CodeBadDate},
		{"1899-12-31,VTI,USD,1,0", market.CodeBadDate},
		{"1900-01-01,VTI,USD,1,0", ""},
		{"2199-12-31,VTI,USD,1,0", ""},
		{"2200-01-01,VTI,USD,1,0", market.CodeBadDate},
		{",VTI,USD,1,0", market.CodeBadDate},
		{"2020-03-16,,USD,1,0", market.CodeBadText},
		{"2020-03-16,V TI,USD,1,0", market.CodeBadText},
		{"2020-03-16,VTI\x00,USD,1,0", market.CodeBadText},
		{"2020-03-16," + strings.Repeat("A", 32) + ",USD,1,0", ""},
		{"2020-03-16," + strings.Repeat("A", 33) + ",USD,1,0", market.CodeBadText},
		{"2020-03-16,VTI,usd,1,0", market.CodeUnknownCurrency},
		{"2020-03-16,VTI,XXX,1,0", market.CodeUnknownCurrency},
		{"2020-03-16,VTI,USD,NaN,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,Inf,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,1e400,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,1.0000000000001,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,1000000000000,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,100000000000000000000000000,0", market.CodeBadNumber},
		{"2020-03-16,VTI,USD,0,0", market.CodeNotPositive},
		{"2020-03-16,VTI,USD,-0.01,0", market.CodeNotPositive},
		{"2020-03-16,VTI,USD,1,-0.01", market.CodeNegative},
		{"bad,V TI,usd,NaN,-1", market.CodeBadDate}, // the first column's fault wins
	} {
		_, err := market.DecodePrice(strings.Split(c.line, ","))
		if got := codeOf(t, err); got != c.want {
			t.Errorf("DecodePrice(%q) = %v, want code %q", c.line, err, c.want)
		}
	}
	got, err := market.DecodePrice([]string{"2020-03-16", "VTI", "USD", "119.2700", "0.61"})
	want := market.Quote{Price: market.Price{Symbol: "VTI", Day: market.MustDay("2020-03-16"),
		Close: money.MustParse("119.27"), Dividend: money.MustParse("0.61")}, Currency: market.USD}
	if err != nil || got != want {
		t.Errorf("DecodePrice = %v, %v, want %v", got, err, want)
	}
}

func TestDecodeOthers(t *testing.T) {
	t.Parallel()
	security := func(f []string) error { _, err := market.DecodeSecurity(f); return err }
	rate := func(f []string) error { _, err := market.DecodeRate(f, "ECB"); return err }
	replacement := func(f []string) error { _, err := market.DecodeReplacement(f); return err }
	weight := func(f []string) error { _, err := market.DecodeWeight(f); return err }
	for _, c := range []struct {
		decode func([]string) error
		line   string
		want   market.Code
	}{
		{security, "VTI|Total Market|USD|XNYS|etf|us_equity|CRSP US Total Market|index:CRSP US Total Market", ""},
		{security, "VTI|Total Market|USD|XNYS|etf|us_equity||security:VTI", ""},
		{security, "VTI||USD|XNYS|etf|us_equity||security:VTI", market.CodeBadText},
		{security, "VTI|bell\a|USD|XNYS|etf|us_equity||security:VTI", market.CodeBadText},
		{security, "VTI|\xff|USD|XNYS|etf|us_equity||security:VTI", market.CodeBadText},
		{security, "VTI|" + strings.Repeat("x", 201) + "|USD|XNYS|etf|us_equity||security:VTI", market.CodeBadText},
		{security, "VTI|Total Market|USD|XLON|etf|us_equity||security:VTI", market.CodeUnknownExchange},
		{security, "VTI|Total Market|USD|XNYS|bond|us_equity||security:VTI", market.CodeBadKind},
		{security, "VTI|Total Market|USD|XNYS|etf|us equity||security:VTI", market.CodeBadText},
		{security, "VTI|Total Market|USD|XNYS|etf|us_equity|| ", market.CodeBadText},
		{rate, "2020-03-16|USD|CAD|1.392758", ""},
		{rate, "2020-03-15|USD|CAD|1.392758", ""}, // a Sunday: publishers keep their own calendars
		{rate, "2020-03-16|USD|USD|1", market.CodeOtherCurrency},
		{rate, "2020-03-16|USD|CAD|0", market.CodeNotPositive},
		{rate, "2020-03-16|USD|CAD|NaN", market.CodeBadNumber},
		{replacement, "VTI|SCHB|1", ""},
		{replacement, "VTI|SCHB|999", ""},
		{replacement, "VTI|SCHB|1000", market.CodeBadNumber},
		{replacement, "VTI|SCHB|0", market.CodeNegative},
		{replacement, "VTI|SCHB|first", market.CodeBadNumber},
		{weight, "us-growth|US|us_equity|VTI|0|0.42", ""},
		{weight, "us-growth|US|us_equity|VTI|1|", ""},
		{weight, "us-growth|US|us_equity|VTI|-1|0.42", market.CodeNegative},
		{weight, "us-growth|US|us_equity|VTI|0|-0.42", market.CodeNegative},
		{weight, "us growth|US|us_equity|VTI|0|0.42", market.CodeBadText},
		{weight, "us-growth||us_equity|VTI|0|0.42", market.CodeBadText},
	} {
		if got := codeOf(t, c.decode(strings.Split(c.line, "|"))); got != c.want {
			t.Errorf("decode(%q) = %q, want %q", c.line, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("2020-03-16,VTI,USD,119.27,0")
	f.Add("VTI,Total Market,USD,XNYS,etf,us_equity,,security:VTI")
	f.Add("us-growth,US,us_equity,VTI,0,0.42")
	f.Add("1900-01-01,A,JPY,-1e9,\x00")
	f.Fuzz(func(t *testing.T, line string) {
		fields := strings.Split(line, ",")
		if q, err := market.DecodePrice(fields); err == nil {
			if q.Close.Sign() <= 0 || q.Dividend.Sign() < 0 || !q.Currency.Known() || q.Symbol == "" {
				t.Errorf("DecodePrice(%q) = %v", line, q)
			}
			codeOf(t, market.CheckQuote(q, market.Security{Symbol: q.Symbol, Currency: market.USD, Exchange: market.XNYS}))
		}
		_, err := market.DecodeSecurity(fields)
		codeOf(t, err)
		_, err = market.DecodeRate(fields, "ECB")
		codeOf(t, err)
		_, err = market.DecodeReplacement(fields)
		codeOf(t, err)
		if w, err := market.DecodeWeight(fields); err == nil {
			codeOf(t, market.CheckModel([]market.Weight{w, w}))
		}
	})
}

func TestCheckQuote(t *testing.T) {
	t.Parallel()
	us := market.Security{Symbol: "VTI", Currency: market.USD, Exchange: market.XNYS}
	ca := market.Security{Symbol: "XIC.TO", Currency: market.CAD, Exchange: market.XTSE}
	for _, c := range []struct {
		day      string
		currency market.Currency
		security market.Security
		want     market.Code
		says     string
	}{
		{"2020-04-09", market.USD, us, "", ""},
		{"2020-04-10", market.USD, us, market.CodeNoSession, "Good Friday"},
		{"2020-04-11", market.USD, us, market.CodeNoSession, "Saturday"},
		{"2020-07-01", market.USD, us, "", ""},
		{"2020-07-01", market.CAD, ca, market.CodeNoSession, "Canada Day"},
		{"2020-04-09", market.CAD, us, market.CodeOtherCurrency, "VTI trades in USD"},
	} {
		q := market.Quote{Price: market.Price{Symbol: c.security.Symbol, Day: market.MustDay(c.day), Close: money.One}, Currency: c.currency}
		err := market.CheckQuote(q, c.security)
		if got := codeOf(t, err); got != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("CheckQuote(%s %s %s) = %v, want %q with %q", c.security.Symbol, c.day, c.currency, err, c.want, c.says)
		}
	}
}

func TestCheckReplacement(t *testing.T) {
	t.Parallel()
	of := market.Security{Symbol: "SPY", IdenticalGroup: "index:S&P 500"}
	for _, c := range []struct {
		by   market.Security
		want market.Code
	}{
		{market.Security{Symbol: "VTI", IdenticalGroup: "index:CRSP US Total Market"}, ""},
		{market.Security{Symbol: "VOO", IdenticalGroup: "index:S&P 500"}, market.CodeIdentical},
		{of, market.CodeIdentical},
	} {
		if got := codeOf(t, market.CheckReplacement(of, c.by)); got != c.want {
			t.Errorf("CheckReplacement(SPY, %s) = %q, want %q", c.by.Symbol, got, c.want)
		}
	}
}

func weights(lines ...string) []market.Weight {
	rows := make([]market.Weight, len(lines))
	for i, l := range lines {
		w, err := market.DecodeWeight(strings.Split(l, ","))
		if err != nil {
			panic(err)
		}
		rows[i] = w
	}
	return rows
}

func TestCheckModel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		rows []market.Weight
		says string // "" where the model is good
	}{
		{"primaries and a replacement", weights("m,US,a,VTI,0,0.6", "m,US,a,SCHB,1,0", "m,US,b,AGG,0,0.4"), ""},
		{"several primaries of a class", weights("m,US,a,KO,0,0.5", "m,US,a,PEP,0,0.5"), ""},
		{"sum too low", weights("m,US,a,VTI,0,0.6", "m,US,b,AGG,0,0.399999999999"), "sum to 0.999999999999"},
		{"sum too high", weights("m,US,a,VTI,0,0.6", "m,US,b,AGG,0,0.400000000001"), "sum to 1.000000000001"},
		{"class without a primary", weights("m,US,a,VTI,0,1", "m,US,b,AGG,1,0"), "class b has no security of rank 0"},
		{"primary without a weight", weights("m,US,a,VTI,0,1", "m,US,b,AGG,0,0"), "AGG has rank 0 in class b but no weight"},
		{"replacement with a weight", weights("m,US,a,VTI,0,0.6", "m,US,a,SCHB,1,0.4"), "only rank 0 has a weight"},
		{"two regions", weights("m,US,a,VTI,0,0.6", "m,CA,b,AGG,0,0.4"), "regions US and CA"},
	} {
		err := market.CheckModel(c.rows)
		if c.says == "" && err != nil || c.says != "" && (codeOf(t, err) != market.CodeBadModel || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: CheckModel = %v, want %q", c.name, err, c.says)
		}
	}
}

func closes(symbol market.Symbol, from string, values ...string) []market.Price {
	prices := make([]market.Price, len(values))
	for i, v := range values {
		prices[i] = market.Price{Symbol: symbol, Day: market.MustDay(from) + market.Day(i), Close: money.MustParse(v)}
	}
	return prices
}

func TestMoves(t *testing.T) {
	t.Parallel()
	dividend := closes("A", "2020-03-16", "100", "59")
	dividend[1].Dividend = money.One
	for _, c := range []struct {
		name   string
		before map[market.Symbol]market.Price
		closes []market.Price
		want   []string
	}{
		{"up by 40 %", nil, closes("A", "2020-03-16", "100", "140"), nil},
		{"up by more", nil, closes("A", "2020-03-16", "100", "140.01"), []string{"2020-03-17"}},
		{"down by 40 %", nil, closes("A", "2020-03-16", "100", "60"), nil},
		{"down by more", nil, closes("A", "2020-03-16", "100", "59.99"), []string{"2020-03-17"}},
		{"down by a dividend", nil, dividend, nil},
		{"in any order", nil, []market.Price{closes("A", "2020-03-17", "10")[0], closes("A", "2020-03-16", "100")[0]}, []string{"2020-03-17"}},
		{"of two securities", nil, append(closes("A", "2020-03-16", "1"), closes("B", "2020-03-17", "100")...), nil},
		{"from a stored close", map[market.Symbol]market.Price{"A": closes("A", "2020-03-13", "10")[0]}, closes("A", "2020-03-16", "100"), []string{"2020-03-16"}},
		{"of the largest prices", nil, closes("A", "2020-03-16", "0.000000000001", "999999999999.999999999999"), []string{"2020-03-17"}},
	} {
		var got []string
		for _, m := range market.Moves(c.before, c.closes) {
			got = append(got, m.Day.String())
			if !strings.Contains(m.String(), "moved") {
				t.Errorf("%s: %q does not say what moved", c.name, m)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: Moves = %v, want %v", c.name, got, c.want)
		}
	}
}

func TestParseAdjustment(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"raw", "splits", "splits+dividends"} {
		if got, err := market.ParseAdjustment(s); err != nil || string(got) != s {
			t.Errorf("ParseAdjustment(%q) = %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "none", "dividends", "Raw"} {
		if _, err := market.ParseAdjustment(s); !errors.Is(err, market.ErrAdjustment) {
			t.Errorf("ParseAdjustment(%q) = %v, want %v", s, err, market.ErrAdjustment)
		}
	}
}

func TestCurrencyKnown(t *testing.T) {
	t.Parallel()
	for c, want := range map[market.Currency]bool{"AUD": true, "CAD": true, "EUR": true, "GBP": true, "USD": true, "ZAR": true, "": false, "cad": false, "XXX": false} {
		if got := c.Known(); got != want {
			t.Errorf("Known(%q) = %v, want %v", c, got, want)
		}
	}
}
