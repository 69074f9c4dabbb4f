package kafka

import (
	"encoding/binary"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

func sampleFill() fills.Execution {
	return fills.Execution{
		Session: "SIM", ExecID: "ABCDEFGHIJKLMNOPQRST-1", Allocation: 2, Type: fills.TradeCorrect, RefExecID: "ABCDEFGHIJKLMNOPQRST-0",
		RefTradeDate: market.MustDay("2020-03-13"), OrderID: "ABCDEFGHIJKLMNOPQRST", Account: "A1", Household: "H1", Symbol: "VTI",
		Side: portfolio.Sell, Quantity: money.MustParse("12.3456"), Price: money.MustParse("121.07"), Commission: money.MustParse("-0.35"),
		Fees: money.MustParse("0.01"), Currency: "USD", FX: money.MustParse("1.389512345678"), FXDay: market.MustDay("2020-03-13"),
		TradeDate: market.MustDay("2020-03-16"), SettleDate: market.MustDay("2020-03-18"), Venue: "XNYS",
		BrokerTime: time.Date(2020, 3, 16, 14, 30, 1, 250_000_000, time.UTC), Text: "é",
	}
}

func TestFillCodecRoundTrip(t *testing.T) {
	plain := sampleFill()
	plain.Type, plain.RefExecID, plain.RefTradeDate = fills.Trade, "", market.NoDay
	for _, want := range []fills.Execution{sampleFill(), plain} {
		b, err := testCodec(t).Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := testCodec(t).Decode(b)
		if err != nil || got != want {
			t.Errorf("Decode(Encode(%+v)) = %+v, %v", want, got, err)
		}
	}
}

func TestFillCodecRefuses(t *testing.T) {
	good, err := testCodec(t).Encode(sampleFill())
	if err != nil {
		t.Fatal(err)
	}
	change := func(edit func(b []byte) []byte) []byte { return edit(append([]byte(nil), good...)) }
	encode := func(edit func(e *fills.Execution)) []byte {
		e := sampleFill()
		edit(&e)
		b, err := testCodec(t).Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	tests := []struct {
		name  string
		value []byte
		want  string
	}{
		{"nothing", nil, "TOO_SHORT"},
		{"header only", good[:4], "TOO_SHORT"},
		{"no wire format", []byte(`{"exec_id":"E1"}`), "BAD_MAGIC"},
		{"another schema", change(func(b []byte) []byte { binary.BigEndian.PutUint32(b[1:], 9); return b }), "UNKNOWN_SCHEMA"},
		{"an id that no registry gives", change(func(b []byte) []byte { binary.BigEndian.PutUint32(b[1:], 1<<31); return b }), "UNKNOWN_SCHEMA"},
		{"cut off", good[:len(good)-3], "BAD_AVRO"},
		{"bytes after the record", change(func(b []byte) []byte { return append(b, 0) }), "BAD_AVRO"},
		{"too large", change(func(b []byte) []byte { return append(b, make([]byte, recordMax)...) }), "TOO_LARGE"},
		{"text that is none", encode(func(e *fills.Execution) { e.Venue = "\xff\xfe" }), "BAD_TEXT"},
		{"day out of range", encode(func(e *fills.Execution) { e.TradeDate = market.NewDay(3000, 1, 1) }), "BAD_DATE"},
		{"first day out of range", encode(func(e *fills.Execution) { e.SettleDate = market.NewDay(1899, 12, 31) }), "BAD_DATE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := testCodec(t).Decode(tt.value)
			var bad *pipeline.BadRecord
			if !errors.As(err, &bad) || bad.Reason != tt.want {
				t.Errorf("Decode = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDecimalBytes(t *testing.T) {
	tests := []struct{ number, bytes string }{
		{"0", "\x00"},
		{"0.000000000001", "\x01"},
		{"-0.000000000001", "\xff"},
		{"0.000000000127", "\x7f"},
		{"0.000000000128", "\x00\x80"},
		{"-0.000000000128", "\x80"},
		{"-0.000000000129", "\xff\x7f"},
		{"1", "\x00\xe8\xd4\xa5\x10\x00"},
	}
	for _, tt := range tests {
		if got := string(decBytes(money.MustParse(tt.number))); got != tt.bytes {
			t.Errorf("decBytes(%s) = %x, want %x", tt.number, got, tt.bytes)
		}
	}
	most := new(big.Int).Exp(big.NewInt(10), big.NewInt(38), nil)
	for _, b := range [][]byte{most.Bytes(), make([]byte, 33)} {
		if d, ok := bytesDec(b); ok {
			t.Errorf("bytesDec(%x) = %s, want it refused", b, d)
		}
	}
	nines := money.MustParse(strings.Repeat("9", 26) + "." + strings.Repeat("9", 12))
	for _, d := range []money.Dec{nines, nines.Neg()} {
		if got, ok := bytesDec(decBytes(d)); !ok || got != d {
			t.Errorf("bytesDec(decBytes(%s)) = %s, %v", d, got, ok)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := money.FromUnits(rapid.Int64().Draw(t, "units"), rapid.IntRange(0, 12).Draw(t, "places"))
		if got, ok := bytesDec(decBytes(d)); !ok || got != d {
			t.Fatalf("bytesDec(decBytes(%s)) = %s, %v", d, got, ok)
		}
	})
}

// FuzzFillCodec checks that no bytes panic the decoder, and that what it reads it writes again.
func FuzzFillCodec(f *testing.F) {
	codec := testCodec(f)
	good, err := codec.Encode(sampleFill())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := codec.Decode(value)
		if err != nil {
			if bad := (*pipeline.BadRecord)(nil); !errors.As(err, &bad) {
				t.Fatalf("Decode(%x) = %v, want a BadRecord", value, err)
			}
			return
		}
		again, err := codec.Encode(e)
		if err != nil {
			t.Fatalf("Encode(%+v) = %v", e, err)
		}
		if back, err := codec.Decode(again); err != nil || back != e {
			t.Fatalf("Decode(Encode(%+v)) = %+v, %v", e, back, err)
		}
	})
}

func BenchmarkFillCodecDecode(b *testing.B) {
	codec := testCodec(b)
	value, err := codec.Encode(sampleFill())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := codec.Decode(value); err != nil {
			b.Fatal(err)
		}
	}
}
