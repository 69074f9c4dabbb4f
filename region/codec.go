package region

import (
	"encoding/json"
	"fmt"
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// The JSON of a checkpoint: rows are arrays without names, days are numbers (days since 1970-01-01,
// null for none). A household with 10,000 lots takes 0.7 MB; every household is loaded each morning,
// so both ways are written out here.

// MarshalJSON returns the checkpoint as one line of JSON, the same bytes for the same checkpoint.
func (c Checkpoint) MarshalJSON() ([]byte, error) {
	w := writer{b: make([]byte, 0, 1<<10)}
	w.raw("{")
	if c.Rules != "" {
		w.field("rules", c.Rules)
		w.field("circle", c.Circle)
		w.day("as_of", c.AsOf)
	}
	if len(c.Years) > 0 {
		text, err := json.Marshal(c.Years)
		if err != nil {
			return nil, err
		}
		w.key("years")
		w.b = append(w.b, text...)
	}
	if len(c.States) > 0 {
		w.key("states")
		w.raw("[")
		for i := range c.States {
			w.comma()
			if err := w.state(&c.States[i]); err != nil {
				return nil, err
			}
		}
		w.raw("]")
	}
	w.raw("}")
	return w.b, nil
}

// UnmarshalJSON reads what MarshalJSON writes.
func (c *Checkpoint) UnmarshalJSON(text []byte) error {
	*c = Checkpoint{}
	s := &scanner{text: string(text)}
	if s.peek() == 'n' { // null
		return nil
	}
	s.object(func(key string) {
		switch key {
		case "rules":
			c.Rules = s.str()
		case "circle":
			c.Circle = s.str()
		case "as_of":
			s.textOf(&c.AsOf)
		case "years":
			s.std(&c.Years)
		case "states":
			s.array(func() { c.States = append(c.States, s.state()) })
		default:
			s.skip(0)
		}
	})
	if s.err != nil {
		return fmt.Errorf("checkpoint: %w", s.err)
	}
	return nil
}

// item starts the next value of an array.
func (w *writer) itemText(s string) {
	w.comma()
	w.text(s)
}

func (w *writer) itemRat(r money.Rat) {
	w.comma()
	w.b = append(w.b, '"')
	w.b, _ = r.AppendText(w.b)
	w.b = append(w.b, '"')
}

func (w *writer) itemDec(d money.Dec) {
	w.comma()
	w.b = append(w.b, '"')
	w.b, _ = d.AppendText(w.b)
	w.b = append(w.b, '"')
}

func (w *writer) itemInt(n int64) {
	w.comma()
	w.b = strconv.AppendInt(w.b, n, 10)
}

func (w *writer) itemDay(d market.Day) {
	if d == market.NoDay {
		w.comma()
		w.raw("null")
		return
	}
	w.itemInt(int64(d))
}

// itemFlags writes claims as the bits of a number, the first one lowest.
func (w *writer) itemFlags(flags ...bool) {
	var n int64
	for i, f := range flags {
		if f {
			n |= 1 << i
		}
	}
	w.itemInt(n)
}

// rows writes an array of n arrays under a key, nothing where n is 0.
func (w *writer) rows(key string, n int, row func(i int)) {
	if n == 0 {
		return
	}
	w.key(key)
	w.raw("[")
	for i := range n {
		w.comma()
		w.raw("[")
		row(i)
		w.raw("]")
	}
	w.raw("]")
}

func (w *writer) state(s *state) error {
	w.raw("{")
	w.field("p", s.Property)
	w.rows("u", len(s.Units), func(i int) { w.unit(&s.Units[i]) })
	w.rows("s", len(s.Seats), func(i int) { w.seatRow(&s.Seats[i]) })
	w.rows("a", len(s.Acquired), func(i int) { w.movement(&s.Acquired[i]) })
	w.rows("w", len(s.Pending), func(i int) {
		w.itemText(s.Pending[i].Event)
		w.itemDec(s.Pending[i].Amount)
	})
	w.rows("o", len(s.Open), func(i int) { w.openLoss(&s.Open[i]) })
	w.rows("x", len(s.Splits), func(i int) {
		x := &s.Splits[i]
		w.itemText(string(x.Symbol))
		w.itemText(string(x.Account))
		w.itemDay(x.TaxDay)
		w.itemDay(x.Day)
		w.itemInt(x.Seq)
		w.itemRat(x.Ratio)
	})
	if len(s.Events) > 0 {
		text, err := json.Marshal(s.Events)
		if err != nil {
			return err
		}
		w.key("e")
		w.b = append(w.b, text...)
	}
	w.raw("}")
	return nil
}

func (w *writer) unit(u *unit) {
	w.itemText(string(u.Owner))
	w.itemText(string(u.Account))
	w.itemFlags(u.Sheltered, u.Unknown)
	w.itemRat(u.Shares)
	w.itemRat(u.Short)
	w.itemDec(u.Cost)
	w.itemDay(u.Since)
}

func (w *writer) seatRow(s *seat) {
	w.itemText(string(s.Owner))
	w.itemText(string(s.Account))
	w.itemText(string(s.Symbol))
	w.itemFlags(s.Sheltered)
	w.itemRat(s.Shares)
	for i := range s.Lots {
		p := &s.Lots[i]
		w.comma()
		w.raw("[")
		w.itemText(p.Lot)
		w.itemText(p.Order)
		w.itemRat(p.Shares)
		w.itemDec(p.Basis)
		w.itemDay(p.Acquired)
		w.itemDay(p.Start)
		w.itemInt(p.Seq)
		w.itemFlags(p.Used, p.Unknown)
		w.raw("]")
	}
}

func (w *writer) movement(m *Movement) {
	w.itemText(m.Event)
	w.itemText(string(m.Owner))
	w.itemText(string(m.Account))
	w.itemText(string(m.Symbol))
	w.itemDay(m.Day)
	w.itemFlags(m.Sheltered)
	w.itemRat(m.Shares)
	w.itemDec(m.Amount)
}

func (w *writer) openLoss(o *openLoss) {
	w.itemText(o.Event)
	w.itemText(string(o.Owner))
	w.itemText(string(o.Account))
	w.itemText(string(o.Symbol))
	w.itemDay(o.Day)
	w.itemText(o.Lot)
	w.itemText(o.Order)
	w.itemDay(o.Start)
	w.itemDay(o.Acquired)
	w.itemInt(o.Seq)
	w.itemRat(o.Shares)
	w.itemDec(o.Loss)
	w.itemText(string(o.Term))
}

// textOf reads a scalar into a value that reads text.
func (s *scanner) textOf(v interface{ UnmarshalText([]byte) error }) {
	word, ok := s.scalar()
	if err := v.UnmarshalText([]byte(word)); s.err == nil && (err != nil || !ok) {
		s.fail(fmt.Sprintf("no %q (%v)", word, err))
	}
}

// std reads a value by encoding/json.
func (s *scanner) std(v any) {
	s.peek()
	start := s.at
	s.skip(0)
	if s.err == nil {
		if err := json.Unmarshal([]byte(s.text[start:s.at]), v); err != nil {
			s.fail(err.Error())
		}
	}
}

// row reads an array whose values the reads take in turn; rest, which may be nil, takes the values
// after them.
func (s *scanner) row(rest func(), reads ...func()) {
	i := 0
	s.array(func() {
		switch {
		case i < len(reads):
			reads[i]()
		case rest != nil:
			rest()
		default:
			s.fail("the end of the row")
		}
		i++
	})
	if i < len(reads) {
		s.fail("a longer row")
	}
}

func (s *scanner) rat() money.Rat {
	r, err := money.ParseRat(s.str())
	if err != nil {
		s.fail(err.Error())
	}
	return r
}

func (s *scanner) dec() money.Dec {
	d, err := money.Parse(s.str())
	if err != nil {
		s.fail(err.Error())
	}
	return d
}

func (s *scanner) int() int64 {
	word, _ := s.scalar()
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		s.fail("a number")
	}
	return n
}

func (s *scanner) dayNumber() market.Day {
	if s.peek() == 'n' {
		s.scalar()
		return market.NoDay
	}
	return market.Day(s.int())
}

func (s *scanner) state() state {
	var v state
	s.object(func(key string) {
		switch key {
		case "p":
			v.Property = s.str()
		case "u":
			s.array(func() { v.Units = append(v.Units, s.unit()) })
		case "s":
			s.array(func() { v.Seats = append(v.Seats, s.seatRow()) })
		case "a":
			s.array(func() { v.Acquired = append(v.Acquired, s.movement()) })
		case "w":
			s.array(func() {
				var p pending
				s.row(nil, func() { p.Event = s.str() }, func() { p.Amount = s.dec() })
				v.Pending = append(v.Pending, p)
			})
		case "o":
			s.array(func() { v.Open = append(v.Open, s.openLoss()) })
		case "x":
			s.array(func() { v.Splits = append(v.Splits, s.split()) })
		case "e":
			s.std(&v.Events)
		default:
			s.skip(0)
		}
	})
	return v
}

func (s *scanner) unit() unit {
	var u unit
	s.row(nil,
		func() { u.Owner = portfolio.OwnerID(s.str()) },
		func() { u.Account = portfolio.AccountID(s.str()) },
		func() { flags := s.int(); u.Sheltered, u.Unknown = flags&1 != 0, flags&2 != 0 },
		func() { u.Shares = s.rat() },
		func() { u.Short = s.rat() },
		func() { u.Cost = s.dec() },
		func() { u.Since = s.dayNumber() })
	return u
}

func (s *scanner) seatRow() seat {
	var v seat
	s.row(func() { v.Lots = append(v.Lots, s.piece()) },
		func() { v.Owner = portfolio.OwnerID(s.str()) },
		func() { v.Account = portfolio.AccountID(s.str()) },
		func() { v.Symbol = market.Symbol(s.str()) },
		func() { v.Sheltered = s.int() != 0 },
		func() { v.Shares = s.rat() })
	return v
}

// piece reads a lot; it is read by the thousand, so it takes its values one by one.
func (s *scanner) piece() piece {
	var p piece
	next := func() {
		if !s.take(',') {
			s.fail("a comma")
		}
	}
	if !s.take('[') {
		s.fail("a lot")
	}
	p.Lot = s.str()
	next()
	p.Order = s.str()
	next()
	p.Shares = s.rat()
	next()
	p.Basis = s.dec()
	next()
	p.Acquired = s.dayNumber()
	next()
	p.Start = s.dayNumber()
	next()
	p.Seq = s.int()
	next()
	flags := s.int()
	p.Used, p.Unknown = flags&1 != 0, flags&2 != 0
	if !s.take(']') {
		s.fail("the end of the lot")
	}
	return p
}

func (s *scanner) movement() Movement {
	var m Movement
	s.row(nil,
		func() { m.Event = s.str() },
		func() { m.Owner = portfolio.OwnerID(s.str()) },
		func() { m.Account = portfolio.AccountID(s.str()) },
		func() { m.Symbol = market.Symbol(s.str()) },
		func() { m.Day = s.dayNumber() },
		func() { m.Sheltered = s.int() != 0 },
		func() { m.Shares = s.rat() },
		func() { m.Amount = s.dec() })
	return m
}

func (s *scanner) openLoss() openLoss {
	var o openLoss
	s.row(nil,
		func() { o.Event = s.str() },
		func() { o.Owner = portfolio.OwnerID(s.str()) },
		func() { o.Account = portfolio.AccountID(s.str()) },
		func() { o.Symbol = market.Symbol(s.str()) },
		func() { o.Day = s.dayNumber() },
		func() { o.Lot = s.str() },
		func() { o.Order = s.str() },
		func() { o.Start = s.dayNumber() },
		func() { o.Acquired = s.dayNumber() },
		func() { o.Seq = s.int() },
		func() { o.Shares = s.rat() },
		func() { o.Loss = s.dec() },
		func() { o.Term = Term(s.str()) })
	return o
}

func (s *scanner) split() split {
	var x split
	s.row(nil,
		func() { x.Symbol = market.Symbol(s.str()) },
		func() { x.Account = portfolio.AccountID(s.str()) },
		func() { x.TaxDay = s.dayNumber() },
		func() { x.Day = s.dayNumber() },
		func() { x.Seq = s.int() },
		func() { x.Ratio = s.rat() })
	return x
}
