package region

import (
	"encoding/json"
	"slices"
	"strconv"

	"daybreak/market"
	"daybreak/money"
)

// WriteOutcome folds the case and hands its one line of JSON to write in pieces that it may keep
// only until write returns: `{"id":…,"outcome":…}` or `{"id":…,"error":…}`, and a line feed. It
// reports whether the case could be used.
func (c *Case) WriteOutcome(write func([]byte)) bool {
	w := writer{write: write, b: make([]byte, 0, 1<<12)}
	w.raw(`{"id":`)
	w.text(c.ID)
	book, err := c.Book()
	if err != nil {
		w.fault(err.(*CaseError))
		w.raw("\n")
		write(w.b)
		return false
	}
	w.raw(`,"outcome":{`)
	if c.rules.Mechanism == "lots" {
		w.lotOutcome(book)
	} else {
		w.poolOutcome(book)
	}
	w.raw("}}\n")
	write(w.b)
	return true
}

// writer appends JSON.
type writer struct {
	b     []byte
	write func([]byte)
}

// spillSize is the length from which a writer hands on what it has.
const spillSize = 1 << 16

// spill hands on a long text but for its last byte, which comma looks at.
func (w *writer) spill() {
	if last := len(w.b) - 1; last >= spillSize {
		w.write(w.b[:last])
		w.b[0] = w.b[last]
		w.b = w.b[:1]
	}
}

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

// comma separates items: nothing after an opening bracket.
func (w *writer) comma() {
	if c := w.b[len(w.b)-1]; c != '{' && c != '[' {
		w.b = append(w.b, ',')
	}
}

func (w *writer) key(k string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, k...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) text(s string) {
	for i := range len(s) {
		if s[i] < ' ' || s[i] == '"' || s[i] == '\\' || s[i] >= 0x7f {
			quoted, _ := json.Marshal(s) // a string always marshals
			w.b = append(w.b, quoted...)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}

func (w *writer) field(k, v string) {
	w.key(k)
	w.text(v)
}

func (w *writer) dec(k string, d money.Dec) {
	w.key(k)
	w.b = append(w.b, '"')
	w.b, _ = d.AppendText(w.b)
	w.b = append(w.b, '"')
}

func (w *writer) rat(k string, r money.Rat) {
	w.key(k)
	w.b = append(w.b, '"')
	w.b, _ = r.AppendText(w.b)
	w.b = append(w.b, '"')
}

func (w *writer) day(k string, d market.Day) { w.field(k, d.String()) }

func (w *writer) fault(e *CaseError) {
	w.raw(`,"error":{"transaction":`)
	if e.Transaction == "" {
		w.raw("null")
	} else {
		w.text(e.Transaction)
	}
	w.field("code", e.Code)
	w.field("message", e.Message)
	w.raw("}}")
}

// bySeq returns the sales of the book in the order of the transactions.
func (b *Book) bySeq() []*SaleOutcome {
	type entry struct {
		seq  int64
		sale *SaleOutcome
	}
	var all []entry
	for _, f := range b.folds {
		for i := range f.sales {
			all = append(all, entry{f.events[f.saleAt[i]].Seq, &f.sales[i]})
		}
	}
	slices.SortFunc(all, func(x, y entry) int { return int(x.seq - y.seq) })
	sales := make([]*SaleOutcome, len(all))
	for i := range all {
		sales[i] = all[i].sale
	}
	return sales
}

func (w *writer) poolOutcome(b *Book) {
	w.key("sales")
	w.raw("[")
	for _, s := range b.bySeq() {
		w.poolSale(s)
		w.spill()
	}
	w.raw("]")
	w.key("after")
	w.raw("[")
	for _, f := range b.folds {
		for i := range f.after {
			a := &f.after[i]
			w.comma()
			w.raw("{")
			w.field("tx", f.events[a.event].ID)
			w.rat("shares", a.shares)
			w.cost(f.units[a.unit].Sheltered, a.cost)
			w.raw("}")
			w.spill()
		}
	}
	w.raw("]")
	w.key("pools")
	w.raw("[")
	for _, p := range b.Pools() {
		w.comma()
		w.raw("{")
		w.field("owner", string(p.Owner))
		w.field("account", poolName(string(p.Account)))
		w.field("property", p.Property)
		w.rat("shares", p.Shares)
		w.cost(p.Sheltered, p.Cost)
		w.raw("}")
	}
	w.raw("]")
	w.poolYears(b)
}

// poolName is the account of a pool in an outcome: "taxable" for the one over all such accounts.
func poolName(account string) string {
	if account == "" {
		return "taxable"
	}
	return account
}

func (w *writer) cost(sheltered bool, cost money.Dec) {
	if sheltered {
		w.key("acb")
		w.raw("null")
		return
	}
	w.dec("acb", cost)
}

func (w *writer) poolSale(s *SaleOutcome) {
	w.comma()
	w.raw("{")
	w.field("tx", s.Event)
	w.dec("proceeds", s.Proceeds)
	w.dec("acb_sold", s.Cost)
	w.dec("gross", s.Gross)
	w.rat("S", s.Shares)
	w.rat("P", s.Bought)
	w.rat("B", s.Held)
	w.rat("denied_shares", s.DeniedShares)
	w.dec("denied", s.Denied)
	w.dec("lost", s.Lost)
	w.dec("gain", s.Gain)
	w.key("to")
	w.raw("[")
	for i := range s.To {
		d := &s.To[i]
		w.comma()
		w.raw("{")
		w.field("owner", string(d.Owner))
		w.field("account", poolName(string(d.Account)))
		w.dec("amount", d.Amount)
		w.raw("}")
	}
	w.raw("]")
	if len(s.Parts) > 0 {
		w.parts(s)
	}
	w.raw("}")
}

// perYear sums the totals of all owners by year, first to last, years without any included.
func (b *Book) perYear() []YearTotals {
	var all []YearTotals
	for _, y := range b.Years() {
		for len(all) > 0 && all[len(all)-1].Year < y.Year {
			all = append(all, YearTotals{Year: all[len(all)-1].Year + 1})
		}
		if len(all) == 0 {
			all = append(all, YearTotals{Year: y.Year})
		}
		all[len(all)-1].join(&y)
	}
	return all
}

func (w *writer) poolYears(b *Book) {
	w.key("years")
	w.raw("{")
	for _, y := range b.perYear() {
		w.key(strconv.Itoa(y.Year))
		w.raw("{")
		w.dec("gains", y.Gains)
		w.dec("losses_allowed", y.Losses)
		w.dec("denied", y.Denied)
		w.dec("lost", y.Lost)
		w.dec("net", y.Net())
		w.raw("}")
	}
	w.raw("}")
}

func (w *writer) lotOutcome(b *Book) {
	w.key("sales")
	w.raw("[")
	for _, s := range b.bySeq() {
		w.comma()
		w.raw("{")
		w.field("tx", s.Event)
		w.dec("gross", s.Gross)
		w.dec("disallowed", s.Denied)
		w.dec("gain", s.Gain)
		w.parts(s)
		w.raw("}")
		w.spill()
	}
	w.raw("]")
	w.key("lots")
	w.raw("[")
	for _, f := range b.folds {
		for i := range f.seats {
			w.seat(&f.seats[i], f.lotsOf(int32(i)))
		}
	}
	w.raw("]")
	w.lotYears(b)
}

func (w *writer) seat(s *seat, lots []piece) {
	kind := "taxable"
	if s.Sheltered {
		kind = "sheltered"
	}
	for i := range lots {
		p := &lots[i]
		w.comma()
		w.raw("{")
		w.field("lot", p.Lot)
		w.field("owner", string(s.Owner))
		w.field("account", string(s.Account))
		w.field("kind", kind)
		w.field("symbol", string(s.Symbol))
		w.rat("shares", p.Shares)
		w.dec("basis", p.Basis)
		w.day("acquired", p.Acquired)
		w.day("holding_start", p.Start)
		w.raw("}")
		w.spill()
	}
}

func (w *writer) parts(s *SaleOutcome) {
	w.key("parts")
	w.raw("[")
	for i := range s.Parts {
		p := &s.Parts[i]
		w.comma()
		w.raw("{")
		w.field("lot", p.Lot)
		w.rat("shares", p.Shares)
		w.dec("proceeds", p.Proceeds)
		w.dec("basis", p.Cost)
		w.day("acquired", p.Acquired)
		w.day("holding_start", p.Start)
		w.field("term", string(p.Term))
		w.dec("gross", p.Gross)
		w.dec("disallowed", p.Denied)
		w.dec("gain", p.Gain)
		if p.Denied.Sign() > 0 {
			w.field("code", "W")
			w.field("replaced_by", p.ReplacedBy)
		}
		w.dec("lost", p.Lost)
		w.raw("}")
	}
	w.raw("]")
}

func (w *writer) lotYears(b *Book) {
	var carry Carry
	if b.rules.Settings.CarryIn != nil {
		carry = *b.rules.Settings.CarryIn
	}
	w.key("years")
	w.raw("{")
	for _, y := range b.perYear() {
		n := b.rules.Net(y.Year, y.ST, y.LT, carry)
		carry = n.CarryOut
		w.key(strconv.Itoa(y.Year))
		w.raw("{")
		w.dec("st", y.ST)
		w.dec("lt", y.LT)
		w.dec("st_net", n.STNet)
		w.dec("lt_net", n.LTNet)
		w.dec("net", n.Net)
		w.dec("deduction", n.Deduction)
		w.dec("carry_st", carry.ST)
		w.dec("carry_lt", carry.LT)
		w.dec("disallowed", y.Denied)
		w.dec("lost", y.Lost)
		w.raw("}")
	}
	w.raw("}")
}
