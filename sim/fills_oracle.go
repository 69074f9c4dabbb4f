package sim

import (
	"cmp"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"daybreak/fills"
)

// BookRow is one figure of the book: What of Of, such as the position of an account in Name.
type BookRow struct {
	What   string
	Of     string
	Name   string // symbol or currency; of the quantity of an order its state
	Amount string // decimal, in any form
}

// What book rows say.
const (
	RowPosition = "position"
	RowCash     = "cash"
	RowCumQty   = "cum_qty"   // of an order that was sent
	RowLeaves   = "leaves"    // of an order that was sent
	RowTax      = "tax"       // events of a household's tax history that count
	RowLots     = "tax_lots"  // lots that a household's fills bought: one for each order
	RowCurrency = "currency"  // of an account's cash, in Name
	RowAsked    = "order_qty" // of an order that was sent
)

// FillOracle says what a stream of reports leaves of the book. It shares no code with the book: it
// takes one report after the other, with fractions, and knows nothing of batches and transactions.
type FillOracle struct {
	amounts    map[BookRow]*big.Rat // by row without amount
	currencies map[string]string    // of accounts
	orders     map[string]*oracleOrder
	reports    map[string]*oracleReport
	held       map[string][]fills.Execution // by key that they wait for
	lots       map[string]map[string]*big.Rat
	Dead       int // records that cannot be applied: poison, unknown accounts
	Duplicates int
	Waiting    int // held at the end, or so far
	Applied    int
}

type oracleOrder struct {
	asked, cum *big.Rat
	state      string
	ended      bool
}

type oracleReport struct {
	execution fills.Execution
	by        string // key of what replaced it
}

// NewFillOracle returns the oracle of a book that began with rows.
func NewFillOracle(rows []BookRow) (*FillOracle, error) {
	o := &FillOracle{amounts: map[BookRow]*big.Rat{}, currencies: map[string]string{}, orders: map[string]*oracleOrder{},
		reports: map[string]*oracleReport{}, held: map[string][]fills.Execution{}, lots: map[string]map[string]*big.Rat{}}
	for _, r := range rows {
		amount, ok := new(big.Rat).SetString(r.Amount)
		if !ok {
			return nil, fmt.Errorf("row %+v: not a number", r)
		}
		switch r.What {
		case RowCurrency:
			o.currencies[r.Of] = r.Name
		case RowAsked:
			o.order(r.Of).asked = amount
		case RowCumQty:
			o.order(r.Of).cum, o.order(r.Of).state = amount, r.Name
		case RowLeaves:
		default:
			r.Amount = ""
			o.amounts[r] = amount
		}
	}
	return o, nil
}

func (o *FillOracle) order(id string) *oracleOrder {
	if o.orders[id] == nil {
		o.orders[id] = &oracleOrder{asked: new(big.Rat), cum: new(big.Rat)}
	}
	return o.orders[id]
}

// Take enters the next report of the stream.
func (o *FillOracle) Take(r Report) {
	e := r.Execution
	_, isKnown := o.currencies[string(e.Account)]
	switch {
	case r.Poison != nil:
		o.Dead++
	case o.reports[oracleKey(e)] != nil:
		o.Duplicates++
	case !isKnown:
		o.Dead++
	default:
		o.apply(e)
	}
}

func oracleKey(e fills.Execution) string {
	return e.TradeDate.String() + "/" + e.Session + "/" + e.ExecID
}

// apply enters an execution and all that waited for it.
func (o *FillOracle) apply(e fills.Execution) {
	key := oracleKey(e)
	if e.Type != fills.Trade {
		first := e
		first.ExecID = e.RefExecID
		earlier := o.reports[oracleKey(first)]
		if earlier == nil {
			o.held[oracleKey(first)] = append(o.held[oracleKey(first)], e)
			o.Waiting++
			return
		}
		for earlier.by != "" {
			earlier = o.reports[earlier.by]
		}
		if earlier.execution.Type == fills.TradeCancel {
			o.Dead++
			return
		}
		earlier.by = key
		o.post(earlier.execution, -1)
	}
	o.reports[key] = &oracleReport{execution: e}
	o.Applied++
	if e.Type != fills.TradeCancel {
		o.post(e, 1)
	}
	o.settle(e)
	waiting := o.held[key]
	delete(o.held, key)
	for _, w := range waiting {
		o.Waiting--
		o.apply(w)
	}
}

// post moves shares and cash by a trade; sign −1 takes it back.
func (o *FillOracle) post(e fills.Execution, sign int64) {
	times := big.NewRat(sign, 1)
	shares := new(big.Rat).Mul(fraction(e.Quantity.String()), times)
	order := o.order(string(e.OrderID))
	order.cum.Add(order.cum, shares)
	o.add(BookRow{What: RowTax, Of: string(e.Household)}, times)
	account, currency := string(e.Account), o.currencies[string(e.Account)]
	gross := halfEven(new(big.Rat).Mul(fraction(e.Quantity.String()), fraction(e.Price.String())))
	charge := halfEven(new(big.Rat).Add(fraction(e.Commission.String()), fraction(e.Fees.String())))
	if string(e.Currency) != currency {
		gross, charge = halfEven(gross.Mul(gross, fraction(e.FX.String()))), halfEven(charge.Mul(charge, fraction(e.FX.String())))
	}
	cash := new(big.Rat).Neg(charge)
	if e.Side == "sell" {
		shares = new(big.Rat).Neg(shares)
		cash.Add(cash, gross)
	} else {
		o.lot(e, shares)
		cash.Sub(cash, gross)
	}
	o.add(BookRow{What: RowPosition, Of: account, Name: string(e.Symbol)}, shares)
	o.add(BookRow{What: RowCash, Of: account, Name: currency}, cash.Mul(cash, times))
}

// lot counts what the order of a purchase has bought.
func (o *FillOracle) lot(e fills.Execution, shares *big.Rat) {
	home := string(e.Household)
	if o.lots[home] == nil {
		o.lots[home] = map[string]*big.Rat{}
	}
	sum := o.lots[home][string(e.OrderID)]
	if sum == nil {
		sum = new(big.Rat)
	}
	o.lots[home][string(e.OrderID)] = sum.Add(sum, shares)
}

func (o *FillOracle) add(row BookRow, amount *big.Rat) {
	if o.amounts[row] == nil {
		o.amounts[row] = new(big.Rat)
	}
	o.amounts[row].Add(o.amounts[row], amount)
}

// settle moves the state of an execution's order: once it has ended, a bust does not open it again.
func (o *FillOracle) settle(e fills.Execution) {
	order := o.order(string(e.OrderID))
	isWhole := order.cum.Cmp(order.asked) >= 0
	order.ended = order.ended || isWhole
	switch {
	case isWhole:
		order.state = "Filled"
	case order.ended:
		order.state = "Canceled"
	case order.cum.Sign() > 0:
		order.state = "PartiallyFilled"
	case order.state == "PartiallyFilled":
		order.state = "New"
	}
}

// Rows returns the book that the stream leaves, in order; rows of nothing are left out.
func (o *FillOracle) Rows() []BookRow {
	var rows []BookRow
	for row, amount := range o.amounts {
		rows = append(rows, withAmount(row, amount))
	}
	for id, order := range o.orders {
		rows = append(rows, withAmount(BookRow{What: RowCumQty, Of: id, Name: order.state}, order.cum))
		leaves := new(big.Rat)
		if !order.ended {
			leaves.Sub(order.asked, order.cum)
		}
		rows = append(rows, withAmount(BookRow{What: RowLeaves, Of: id}, leaves))
	}
	for home, lots := range o.lots {
		bought := 0
		for _, shares := range lots {
			bought += shares.Sign()
		}
		rows = append(rows, withAmount(BookRow{What: RowLots, Of: home}, big.NewRat(int64(bought), 1)))
	}
	return clean(rows)
}

// Differences returns what a book has other than the oracle says, as sentences in order.
func (o *FillOracle) Differences(book []BookRow) []string {
	want := map[BookRow]string{}
	for _, r := range o.Rows() {
		want[BookRow{What: r.What, Of: r.Of, Name: r.Name}] = r.Amount
	}
	var all []string
	for _, r := range clean(book) {
		if r.What == RowCurrency || r.What == RowAsked {
			continue
		}
		row := BookRow{What: r.What, Of: r.Of, Name: r.Name}
		if want[row] != r.Amount {
			all = append(all, fmt.Sprintf("%s of %s %s is %s, the oracle says %s", r.What, r.Of, r.Name, r.Amount, cmp.Or(want[row], "0")))
		}
		delete(want, row)
	}
	for _, row := range slices.SortedFunc(maps.Keys(want), compareRows) {
		all = append(all, fmt.Sprintf("%s of %s %s is missing, the oracle says %s", row.What, row.Of, row.Name, want[row]))
	}
	return all
}

// clean returns rows in order, with amounts in one form and without zeros.
func clean(rows []BookRow) []BookRow {
	kept := make([]BookRow, 0, len(rows))
	for _, r := range rows {
		if amount := fraction(r.Amount); amount.Sign() != 0 {
			kept = append(kept, withAmount(r, amount))
		}
	}
	slices.SortFunc(kept, compareRows)
	return kept
}

func compareRows(a, b BookRow) int {
	return cmp.Or(cmp.Compare(a.What, b.What), cmp.Compare(a.Of, b.Of), cmp.Compare(a.Name, b.Name))
}

func withAmount(row BookRow, amount *big.Rat) BookRow {
	row.Amount = amount.RatString()
	return row
}

// fraction reads a decimal; what is none counts as nothing, and so as a difference.
func fraction(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return new(big.Rat)
	}
	return r
}

// halfEven rounds half to even to two places.
func halfEven(r *big.Rat) *big.Rat {
	scaled := new(big.Rat).Mul(r, big.NewRat(100, 1))
	whole, rest := new(big.Int).QuoRem(scaled.Num(), scaled.Denom(), new(big.Int))
	twice := new(big.Int).Abs(rest)
	switch twice.Lsh(twice, 1).Cmp(scaled.Denom()) {
	case 1:
		whole.Add(whole, big.NewInt(int64(scaled.Sign())))
	case 0:
		if whole.Bit(0) == 1 {
			whole.Add(whole, big.NewInt(int64(scaled.Sign())))
		}
	}
	return new(big.Rat).SetFrac(whole, big.NewInt(100))
}
