package fills_test

import (
	"fmt"
	"testing"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/tlh"
)

// on moves an execution by days: its trade, and its settlement with it.
func on(days market.Day, e fills.Execution) fills.Execution {
	e.TradeDate, e.SettleDate = e.TradeDate+days, e.SettleDate+days
	return e
}

// ofDay makes a correction or a bust refer to a trade of another day.
func ofDay(days market.Day, e fills.Execution) fills.Execution {
	e.RefTradeDate = day + days
	return e
}

// TestLockOfAnOrderThatSells follows the lock of a harvest: void where its order ends with nothing
// filled, else through the thirtieth day after the last fill that counts, by trade date in the United
// States and by settlement date in Canada.
func TestLockOfAnOrderThatSells(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		sequence []fills.Execution
		state    fills.LockState
		after    int // days from the first session to the fill that the lock counts from
	}{
		{"ends with nothing filled", []fills.Execution{report("E1", fills.New, sellID), report("E2", fills.Canceled, sellID)}, fills.LockVoid, 0},
		{"refused", []fills.Execution{report("E1", fills.Rejected, sellID)}, fills.LockVoid, 0},
		{"one fill", []fills.Execution{trade("E1", sellID, "30", "10")}, fills.LockFixed, 0},
		{"ends with a share filled", []fills.Execution{trade("E1", sellID, "0.0001", "10"), report("E2", fills.Canceled, sellID)}, fills.LockFixed, 0},
		{"the last of two fills", []fills.Execution{trade("E1", sellID, "30", "10"), on(1, trade("E2", sellID, "30", "10"))}, fills.LockFixed, 1},
		{"the last of two fills comes first", []fills.Execution{on(1, trade("E2", sellID, "30", "10")), trade("E1", sellID, "30", "10")}, fills.LockFixed, 1},
		{"the last fill is busted", []fills.Execution{trade("E1", sellID, "30", "10"), on(1, trade("E2", sellID, "30", "10")), ofDay(1, on(2, bust("E3", "E2", sellID)))},
			fills.LockFixed, 0},
		{"the first fill is busted", []fills.Execution{trade("E1", sellID, "30", "10"), on(1, trade("E2", sellID, "30", "10")), ofDay(0, on(2, bust("E3", "E1", sellID)))},
			fills.LockFixed, 1},
		{"the last fill is corrected to a day before", []fills.Execution{on(2, trade("E1", sellID, "30", "10")), ofDay(2, on(1, correct("E2", "E1", sellID, "30", "9")))},
			fills.LockFixed, 1},
		{"all is busted, then it ends", []fills.Execution{trade("E1", sellID, "30", "10"), bust("E2", "E1", sellID), report("E3", fills.Canceled, sellID)}, fills.LockVoid, 0},
		{"it ends, then all is busted", []fills.Execution{trade("E1", sellID, "30", "10"), report("E2", fills.Canceled, sellID), bust("E3", "E1", sellID)}, fills.LockVoid, 0},
		{"a fill after it was void", []fills.Execution{report("E1", fills.Canceled, sellID), on(1, trade("E2", sellID, "30", "10"))}, fills.LockFixed, 1},
	}
	for _, place := range []string{"US", "CA"} {
		for _, tt := range tests {
			s := book(t, place)
			for _, r := range fills.Post(s, tt.sequence) {
				if r.Outcome != fills.Applied {
					t.Errorf("%s: %s: %s = %s, want it applied", place, tt.name, r.Execution.ExecID, r.Outcome)
				}
			}
			l := s.Locks[sellID][0]
			if l.State != tt.state {
				t.Errorf("%s: %s: lock = %s, want %s", place, tt.name, l.State, tt.state)
			}
			if tt.state != fills.LockFixed {
				continue
			}
			sold := map[string]market.Day{"US": day, "CA": later}[place] + market.Day(tt.after)
			got := fmt.Sprintf("day 30 %t, day 31 %t", bars(l, sold+30), bars(l, sold+31))
			if want := "day 30 true, day 31 false"; got != want {
				t.Errorf("%s: %s: lock until %s bars a purchase on %s, want %s", place, tt.name, l.Until, got, want)
			}
		}
	}
}

// bars reports whether a lock stops a purchase that counts for tax on a day.
func bars(l fills.Lock, taxDay market.Day) bool {
	f := orders.Facts{Property: l.Property, TaxDay: taxDay, Locks: []tlh.Lock{{Property: l.Property, Order: string(l.Order), Until: l.Until}}}
	return len(orders.Barring(orders.Order{Side: portfolio.Buy}, f)) > 0
}
