package region_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// outcome reads a text of cases and returns the lines written for it.
func outcome(text string) (lines string, used bool) {
	var b strings.Builder
	used = true
	region.ReadCases(text, func(c *region.Case) {
		used = c.WriteOutcome(func(p []byte) { b.Write(p) }) && used
	})
	return b.String(), used
}

// caseOf wraps transactions as a case of a region.
func caseOf(name string, transactions ...string) string {
	return fmt.Sprintf(`{"format":"taxcase/1","id":"c","region":%q,"settings":{},"transactions":[%s]}`, name, strings.Join(transactions, ","))
}

const buy10 = `{"id":"b","date":"2025-01-06","action":"buy","owner":"me","account":"me/1","account_type":"taxable","symbol":"XYZ","shares":"10","price":"4"}`

func TestCaseErrors(t *testing.T) {
	// with returns buy10 as transaction x with some fields set anew.
	with := func(fields string) string {
		var first, second map[string]any
		if json.Unmarshal([]byte(buy10), &first) != nil || json.Unmarshal([]byte(`{"id":"x",`+fields+`}`), &second) != nil {
			t.Fatalf("bad test: %s", fields)
		}
		for k, v := range second {
			if first[k] = v; v == nil {
				delete(first, k)
			}
		}
		text, _ := json.Marshal(first)
		return string(text)
	}
	for _, c := range []struct{ name, region, transaction, code string }{
		{"sells what is held", "CA", with(`"action":"sell"`), ""},
		{"sells more", "CA", with(`"action":"sell","shares":"10.001"`), "OVERSOLD"},
		{"sells another's", "CA", with(`"action":"sell","owner":"spouse"`), "OVERSOLD"},
		{"sells more of a lot account", "US", with(`"action":"sell","shares":"11"`), "OVERSOLD"},
		{"contributes more", "CA", with(`"action":"contribute","shares":"11","to_account":"me/t","to_account_type":"tfsa"`), "OVERSOLD"},
		{"registered sells more", "CA", with(`"action":"sell","account":"me/r","account_type":"rrsp"`), "OVERSOLD"},
		{"names its lot", "US", with(`"action":"sell","lots":[{"lot":"b","shares":"10"}]`), ""},
		{"names another lot", "US", with(`"action":"sell","lots":[{"lot":"zz","shares":"10"}]`), "UNKNOWN_LOT"},
		{"lots name too much", "US", with(`"action":"sell","shares":"5","lots":[{"lot":"b","shares":"6"}]`), "BAD_NUMBER"},
		{"no price", "CA", with(`"price":null`), "NO_PRICE"},
		{"an amount instead", "CA", with(`"price":null,"amount":"12"`), ""},
		{"nothing to pay", "CA", with(`"price":"0"`), ""},
		{"another currency", "CA", with(`"currency":"USD"`), "NO_RATE"},
		{"another currency with a rate", "CA", with(`"currency":"USD","fx":"1.4"`), ""},
		{"a rate of nothing", "CA", with(`"currency":"USD","fx":"0"`), "BAD_NUMBER"},
		{"home currency", "US", with(`"currency":"USD"`), ""},
		{"the day before", "CA", with(`"date":"2025-01-05"`), "OUT_OF_ORDER"},
		{"the same day", "CA", with(`"date":"2025-01-06"`), ""},
		{"settles before", "CA", with(`"date":"2025-01-08","settle":"2025-01-07"`), "OUT_OF_ORDER"},
		{"no such action", "CA", with(`"action":"short"`), "UNKNOWN_ACTION"},
		{"no such account", "CA", with(`"account_type":"ira"`), "UNKNOWN_ACCOUNT_TYPE"},
		{"the other country's", "US", with(`"account_type":"rrsp"`), "UNKNOWN_ACCOUNT_TYPE"},
		{"to a taxable account", "CA", with(`"action":"contribute","to_account":"me/2","to_account_type":"taxable"`), "UNKNOWN_ACCOUNT_TYPE"},
		{"no number", "CA", with(`"shares":"ten"`), "BAD_NUMBER"},
		{"no shares", "CA", with(`"shares":null`), "BAD_NUMBER"},
		{"nothing bought", "CA", with(`"shares":"0"`), "BAD_NUMBER"},
		{"fewer than nothing", "CA", with(`"shares":"-1"`), "BAD_NUMBER"},
		{"a third", "CA", with(`"shares":"1/3"`), ""},
		{"over nothing", "CA", with(`"shares":"1/0"`), "BAD_NUMBER"},
		{"too many", "CA", with(`"shares":"1000000000001"`), "BAD_NUMBER"},
		{"many", "CA", with(`"shares":"1000000000000"`), ""},
		{"an exponent", "CA", with(`"price":"1e3"`), "BAD_NUMBER"},
		{"a list for a number", "CA", with(`"price":["1"]`), "BAD_NUMBER"},
		{"a split into nothing", "CA", with(`"action":"split","ratio":"0"`), "BAD_NUMBER"},
		{"a split without ratio", "CA", with(`"action":"split"`), "BAD_NUMBER"},
		{"no date", "CA", with(`"date":null`), "BAD_DATE"},
		{"the thirtieth of February", "CA", with(`"date":"2025-02-30"`), "BAD_DATE"},
		{"settled never", "CA", with(`"settle":"soon"`), "BAD_DATE"},
	} {
		lines, used := outcome(caseOf(c.region, buy10, c.transaction))
		var got struct {
			Error *struct{ Transaction, Code, Message string }
		}
		if err := json.Unmarshal([]byte(lines), &got); err != nil {
			t.Fatalf("%s: %s: %v", c.name, lines, err)
		}
		switch {
		case c.code == "" && (got.Error != nil || !used):
			t.Errorf("%s: %v, want no error", c.name, got.Error)
		case c.code != "" && (got.Error == nil || used || got.Error.Code != c.code || got.Error.Transaction != "x"):
			t.Errorf("%s: %+v, want %s at x", c.name, got.Error, c.code)
		}
	}
}

func TestFirstFaultWins(t *testing.T) {
	sell := strings.NewReplacer(`"b"`, `"s"`, `"buy"`, `"sell"`, `"10"`, `"11"`).Replace(buy10)
	bad := strings.NewReplacer(`"b"`, `"n"`, `"10"`, `"ten"`).Replace(buy10)
	lines, _ := outcome(caseOf("CA", buy10, sell, bad))
	if want := `"transaction":"s","code":"OVERSOLD"`; !strings.Contains(lines, want) {
		t.Errorf("outcome = %s, want %s", lines, want)
	}
}

func TestTooLargeForTheBook(t *testing.T) {
	huge := strings.NewReplacer(`"10"`, `"1000000000000"`, `"price":"4"`, `"price":"1000000000000","currency":"USD","fx":"1000000000000"`).Replace(buy10)
	lines, used := outcome(caseOf("CA", huge) + caseOf("CA", buy10))
	if used || !strings.Contains(lines, "BAD_NUMBER") || !strings.Contains(lines, `"outcome"`) {
		t.Errorf("outcome = %s, want an error and an outcome", lines)
	}
}

func TestOneOrManyCases(t *testing.T) {
	good, bad := caseOf("CA", buy10), caseOf("XX", buy10)
	for name, text := range map[string]string{
		"lines":      good + "\n" + bad + "\n" + good + "\n",
		"an array":   "[" + good + ",\n" + bad + "," + good + "]",
		"pretty":     strings.ReplaceAll(good, ",", ",\n  ") + bad + good,
		"key order":  good + bad + strings.Replace(good, `"settings":{},`, "", 1)[:1] + `"settings":{},` + strings.Replace(good, `"settings":{},`, "", 1)[1:],
		"at the end": good + bad + strings.TrimSuffix(strings.Replace(good, `"settings":{},`, "", 1), "}") + `,"settings":{}}`,
	} {
		lines, used := outcome(text)
		all := strings.Split(strings.TrimSpace(lines), "\n")
		if len(all) != 3 || used || all[0] != all[2] || !strings.Contains(all[0], `"outcome"`) || !strings.Contains(all[1], "UNKNOWN_REGION") {
			t.Errorf("%s: %s", name, lines)
		}
	}
}

func TestBrokenCase(t *testing.T) {
	for _, text := range []string{"{", `{"id":"c","region":"CA","transactions":[{]}`, "[1]", "nonsense", caseOf("CA", buy10) + "}", `{"id":"c","region":"CA","settings":{"x":1}}`} {
		if lines, used := outcome(text); used || !strings.Contains(lines, `"error"`) {
			t.Errorf("outcome(%s) = %s, want an error", text, lines)
		}
	}
}

func FuzzReadCases(f *testing.F) {
	f.Add(caseOf("CA", buy10))
	f.Add(caseOf("US", buy10, strings.Replace(buy10, "buy", "sell", 1)))
	f.Add(`[{"id":"\u00e9\ud83d\ude00\n","region":"UK","settings":{"window_days":5,"identical":[["A","B"]]},"transactions":[]}]`)
	f.Fuzz(func(t *testing.T, text string) {
		lines, _ := outcome(text)
		for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
			if line != "" && !json.Valid([]byte(line)) {
				t.Errorf("outcome(%q) = %s, want JSON", text, line)
			}
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	rules, err := region.Load("US")
	if err != nil {
		f.Fatal(err)
	}
	g := newGenerator(7, true)
	b, err := region.Fold(rules, region.Scope{}, region.Checkpoint{}, g.history())
	if err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(b.Checkpoint(g.day - 20))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(text))
	f.Fuzz(func(t *testing.T, text string) {
		var c, again region.Checkpoint
		if json.Unmarshal([]byte(text), &c) != nil {
			return
		}
		first, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		if second, _ := json.Marshal(again); string(second) != string(first) {
			t.Errorf("%s reads back as %s", first, second)
		}
	})
}

func TestFoldRefusesWhatItCannotContinue(t *testing.T) {
	ca := load(t, "CA")
	day := market.MustDay("2025-03-03")
	buy := region.Event{ID: "b", Kind: region.Buy, Day: day, Settle: day, Owner: "me", Account: "me/1", AccountType: "taxable", Symbol: "XYZ",
		Shares: money.RatInt(10), Amount: money.FromInt(100)}
	b, err := region.Fold(ca, region.Scope{}, region.Checkpoint{}, []region.Event{buy})
	if err != nil {
		t.Fatal(err)
	}
	c := b.Checkpoint(day)
	trade, _ := ca.With(region.Settings{DateBasis: "trade"})
	next, late, unknown := buy, buy, buy
	next.ID, next.Day, next.Settle = "n", day+1, day+1
	late.ID = "l"
	unknown.ID, unknown.Kind, unknown.Day, unknown.Settle = "u", "short", day+1, day+1
	for _, x := range []struct {
		name   string
		rules  *region.Rules
		scope  region.Scope
		events []region.Event
		want   error
	}{
		{"the next day", ca, region.Scope{}, []region.Event{next}, nil},
		{"the same day", ca, region.Scope{}, []region.Event{late}, region.ErrLate},
		{"an unknown kind", ca, region.Scope{}, []region.Event{unknown}, region.ErrEvent},
		{"other settings", trade, region.Scope{}, nil, region.ErrVoid},
		{"another country", load(t, "US"), region.Scope{}, nil, region.ErrVoid},
		{"another circle", ca, region.Scope{Outside: []portfolio.OwnerID{"kid"}}, nil, region.ErrVoid},
		{"another group", ca, region.Scope{Identical: map[market.Symbol]string{"XYZ": "ABC"}}, nil, region.ErrVoid},
	} {
		if _, err := region.Fold(x.rules, x.scope, c, x.events); !errors.Is(err, x.want) {
			t.Errorf("%s: Fold = %v, want %v", x.name, err, x.want)
		}
	}
}
