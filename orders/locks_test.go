package orders_test

import (
	"testing"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/tlh"
)

func TestBarring(t *testing.T) {
	t.Parallel()
	taxDay := session + 2
	lock := func(order string, until market.Day) tlh.Lock {
		return tlh.Lock{Property: "VTI", Order: order, Until: until}
	}
	for _, c := range []struct {
		name   string
		change func(o *orders.Order, f *orders.Facts, v *orders.Override)
		want   int
	}{
		{"the very order and lock", func(*orders.Order, *orders.Facts, *orders.Override) {}, 0},
		{"no override", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) { f.Overrides = nil }, 1},
		{"another content", func(o *orders.Order, _ *orders.Facts, _ *orders.Override) { o.Quantity = dec("10.0001") }, 1},
		{"by the maker", func(_ *orders.Order, _ *orders.Facts, v *orders.Override) { v.Maker = v.Approver }, 1},
		{"by nobody", func(_ *orders.Order, _ *orders.Facts, v *orders.Override) { v.Approver = "" }, 1},
		{"a lock as long", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) { f.Locks[0].Until = taxDay + 5 }, 0},
		{"a longer lock", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) { f.Locks[0].Until = taxDay + 6 }, 1},
		{"the lock of another sale", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) { f.Locks[0].Order = "T" }, 1},
		{"a further lock", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) {
			f.Locks = append(f.Locks, lock("T", taxDay))
		}, 1},
		{"a further lock that is over", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) {
			f.Locks = append(f.Locks, lock("T", taxDay-1))
		}, 0},
		{"a lock of another property", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) {
			f.Locks = append(f.Locks, tlh.Lock{Property: "VTV", Order: "T", Until: taxDay})
		}, 0},
		{"two locks and no override", func(_ *orders.Order, f *orders.Facts, _ *orders.Override) {
			f.Overrides, f.Locks = nil, append(f.Locks, lock("T", taxDay))
		}, 2},
		{"a sale", func(o *orders.Order, f *orders.Facts, _ *orders.Override) { o.Side, f.Overrides = portfolio.Sell, nil }, 0},
	} {
		o, f := passing(portfolio.Buy)
		v := &orders.Override{Maker: "mia", Approver: "ana", ContentHash: o.Content(), Locks: []tlh.Lock{lock("S", taxDay+5)}}
		f.TaxDay, f.Locks, f.Overrides = taxDay, []tlh.Lock{lock("S", taxDay+5)}, []orders.Override{*v}
		c.change(&o, &f, v)
		if len(f.Overrides) > 0 {
			f.Overrides[0] = *v
		}
		if got := orders.Barring(o, f); len(got) != c.want {
			t.Errorf("%s: Barring = %+v, want %d locks", c.name, got, c.want)
		}
		if v := orders.Check(orders.BeforeApproval, o, f, orders.DefaultLimits); (v != nil && v.Code == orders.TaxLock) != (c.want > 0) {
			t.Errorf("%s: Check before approval = %+v, want TAX_LOCK: %t", c.name, v, c.want > 0)
		}
	}
}

func TestLockNumbers(t *testing.T) {
	t.Parallel()
	locks := []tlh.Lock{{Property: "VTI", Order: "S", Until: session}, {Property: "VTI", Order: "T", Until: session + 9}, {Property: "VTI", Order: "U", Until: session + 1}}
	got := orders.LockNumbers(locks, tlh.LossOf("CAD", []tlh.Destroyed{{Amount: money.FromInt(100), Tax: dec("22.5")}, {Amount: dec("0.505"), Gone: dec("0.505")}}))
	for name, want := range map[string]string{"order": "T", "until": "2020-03-25", "property": "VTI", "destroys": "100.50", "gone": "0.50", "tax": "22.50", "currency": "CAD"} {
		if got[name] != want {
			t.Errorf("LockNumbers says %s %q, want %q", name, got[name], want)
		}
	}
	if got := orders.LockNumbers(locks, tlh.Loss{}); len(got) != 3 {
		t.Errorf("LockNumbers of a loss that is not known = %v, want none of it", got)
	}
}
