package pipeline

import (
	"cmp"
	"context"
	"slices"

	"daybreak/market"
	"daybreak/orders"
	"daybreak/portfolio"
)

// RunDifference is one wish on which two runs differ: the quantity, reason or lots of an order, or
// an order that only one of them has.
type RunDifference struct {
	Change   string              `json:"change"` // added, removed, changed: from A to B
	Account  portfolio.AccountID `json:"account"`
	Security market.Symbol       `json:"security"`
	Side     portfolio.Side      `json:"side"`
	A        string              `json:"a"` // quantity and reason, "" where A has no such order
	B        string              `json:"b"`
}

// Exports reads the orders of a run as they are exported.
type Exports interface {
	// ExportOrders calls each for every order of a run by id, or returns ErrNotFound.
	ExportOrders(ctx context.Context, run string, each func(orders.Export) error) error
}

// DiffRuns compares two runs by account, security and side: runs of two sessions too, whose order
// ids differ. Differences come in that order.
func DiffRuns(ctx context.Context, exports Exports, a, b string) ([]RunDifference, error) {
	var sides [2][]orders.Export
	for i, id := range []string{a, b} {
		err := exports.ExportOrders(ctx, id, func(e orders.Export) error {
			sides[i] = append(sides[i], e)
			return nil
		})
		if err != nil {
			return nil, err
		}
		slices.SortFunc(sides[i], compareWish)
	}
	return diffOrders(sides[0], sides[1]), nil
}

func compareWish(a, b orders.Export) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Security, b.Security), cmp.Compare(a.Side, b.Side))
}

// diffOrders merges two sorted lists.
func diffOrders(a, b []orders.Export) []RunDifference {
	var all []RunDifference
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && compareWish(a[0], b[0]) < 0:
			all = append(all, difference("removed", a[0], wish(a[0]), ""))
			a = a[1:]
		case len(a) == 0 || compareWish(a[0], b[0]) > 0:
			all = append(all, difference("added", b[0], "", wish(b[0])))
			b = b[1:]
		default:
			if was, is := wish(a[0]), wish(b[0]); was != is {
				all = append(all, difference("changed", a[0], was, is))
			}
			a, b = a[1:], b[1:]
		}
	}
	return all
}

func difference(change string, o orders.Export, a, b string) RunDifference {
	return RunDifference{Change: change, Account: o.Account, Security: o.Security, Side: o.Side, A: a, B: b}
}

// wish is what two runs must agree on: quantity, reason and lots.
func wish(o orders.Export) string {
	text := o.Quantity.String() + " " + o.Reason
	for _, l := range o.Lots {
		text += " " + l.Lot + ":" + l.Shares.String()
	}
	return text
}
