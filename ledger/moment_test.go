package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"daybreak/ledger"
	"daybreak/market"
)

func TestVersionAt(t *testing.T) {
	at := func(second int64) time.Time { return time.Unix(second, 0) }
	stamps := []ledger.Stamp{{Version: 0, Known: at(10)}, {Version: 1, Known: at(20)}, {Version: 3, Known: at(30)}, {Version: 2, Known: at(40)}}
	tests := []struct {
		second int64
		want   int64
		known  bool
	}{{9, 0, false}, {10, 0, true}, {19, 0, true}, {20, 1, true}, {29, 1, true}, {30, 3, true}, {40, 3, true}}
	for _, tt := range tests {
		if got, known := ledger.VersionAt(stamps, at(tt.second)); got != tt.want || known != tt.known {
			t.Errorf("VersionAt(%d) = %d, %v, want %d, %v", tt.second, got, known, tt.want, tt.known)
		}
	}
}

func TestAtShowsTheBookAsItWasAndAsItWasKnown(t *testing.T) {
	day := market.MustDay("2020-03-16")
	entry := func(version int64, effective market.Day, moves []ledger.Move) ledger.Entry {
		return ledger.Entry{Version: version, Effective: effective, Move: moves[0]}
	}
	bought := ledger.Opening("A1", "VTI", dec("10"))
	entries := []ledger.Entry{
		entry(3, day, ledger.Reverse(bought)), entry(1, day, bought), entry(4, day, ledger.Opening("A1", "VTI", dec("8"))), // corrected to 8
		entry(2, day+30, ledger.Opening("A1", "VTI", dec("5"))),
	}
	tests := []struct {
		day     market.Day
		version int64
		want    string
	}{
		{day - 1, 4, "0"}, {day, 0, "0"}, {day, 1, "10"}, {day, 2, "10"}, {day, 3, "0"}, {day, 4, "8"}, {day + 29, 4, "8"}, {day + 30, 1, "10"},
		{day + 30, 2, "15"}, {day + 30, 4, "13"},
	}
	for _, tt := range tests {
		units := ledger.Account{Owner: "A1", Kind: ledger.Units}
		got := ledger.Change(ledger.Moves(ledger.At(entries, tt.day, tt.version)), units, "VTI").String()
		if got != tt.want {
			t.Errorf("At(%s, version %d) holds %s, want %s", tt.day, tt.version, got, tt.want)
		}
	}
	if got := fmt.Sprint(len(ledger.At(entries, day+30, 4)), ledger.At(entries, day+30, 4)[0].Version); got != "4 1" {
		t.Errorf("At has %s entries and first version, want 4 1", got)
	}
}
