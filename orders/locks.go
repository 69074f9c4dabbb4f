package orders

import (
	"cmp"
	"slices"

	"daybreak/portfolio"
	"daybreak/tlh"
)

// Override is a named person's decision that an order may buy what tax locks forbid. It holds for
// one content of the order and for the locks that it names, none of them longer than it was then.
type Override struct {
	Maker       string // of the order; never the Approver
	Approver    string
	ContentHash string
	Locks       []tlh.Lock
}

// covers reports whether the override lets an order with a content buy in spite of a lock.
func (v Override) covers(content string, l tlh.Lock) bool {
	return v.ContentHash == content && v.Approver != "" && v.Approver != v.Maker &&
		slices.ContainsFunc(v.Locks, func(named tlh.Lock) bool {
			return named.Property == l.Property && named.Order == l.Order && l.Until <= named.Until
		})
}

// Barring returns the locks that stop an order, in the order of the facts: those of its property
// that last to its tax day and that no override covers. A sale is stopped by none.
func Barring(o Order, f Facts) []tlh.Lock {
	if o.Side != portfolio.Buy {
		return nil
	}
	var all []tlh.Lock
	content := ""
	for _, l := range f.Locks {
		if l.Property != f.Property || f.TaxDay > l.Until {
			continue
		}
		if content == "" && len(f.Overrides) > 0 {
			content = o.Content()
		}
		if !slices.ContainsFunc(f.Overrides, func(v Override) bool { return v.covers(content, l) }) {
			all = append(all, l)
		}
	}
	return all
}

func taxLock(o Order, f Facts, _ Limits) (map[string]string, bool) {
	locks := Barring(o, f)
	if len(locks) == 0 {
		return nil, false
	}
	return LockNumbers(locks, f.Destroys), true
}

// LockNumbers returns the numbers of a TaxLock violation: the lock that ends last, and the loss
// where it is known.
func LockNumbers(locks []tlh.Lock, loss tlh.Loss) map[string]string {
	last := slices.MaxFunc(locks, func(a, b tlh.Lock) int { return cmp.Compare(a.Until, b.Until) })
	numbers := map[string]string{"property": last.Property, "until": last.Until.String(), "order": last.Order}
	if loss.Currency != "" {
		numbers["destroys"], numbers["gone"], numbers["tax"] = loss.Amount.Fixed(2), loss.Gone.Fixed(2), loss.Tax.Fixed(2)
		numbers["currency"] = string(loss.Currency)
	}
	return numbers
}
