package region

import (
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
)

// fields are the texts of one transaction as they are written.
type fields struct {
	id, date, settle, action, owner, account, accountType, symbol string
	shares, price, amount, commission, currency, fx, commissionFX string
	ratio, order, toAccount, toAccountType                        string
	lots                                                          []lotText
}

type lotText struct{ lot, shares string }

func (c *Case) readTransactions(s *scanner, given bool) {
	if !given {
		return
	}
	r := caseReader{Case: c, types: map[ownerAccount]string{}}
	if s.peek() == '[' {
		// A transaction takes about 250 bytes: a first guess that grows where it is wrong.
		c.events = make([]Event, 0, min(1<<20, (len(s.text)-s.at)/200+4))
	}
	s.array(func() {
		var t fields
		s.object(func(key string) { t.read(s, key) })
		switch {
		case c.fault != nil:
		case s.err == nil:
			r.add(&t)
		default:
			c.fault = &CaseError{t.name(len(c.events) + 1), BadCase, "transactions: " + s.err.Error()}
		}
	})
	if s.err != nil && c.fault == nil {
		c.fault = &CaseError{Code: BadCase, Message: "transactions: " + s.err.Error()}
	}
}

// name returns the id of a transaction, its place where it has none.
func (t *fields) name(place int) string {
	if t.id == "" {
		return "#" + strconv.Itoa(place)
	}
	return t.id
}

// badText stands for a value that is neither a string nor a number.
const badText = "?"

func (t *fields) read(s *scanner, key string) {
	if key == "lots" {
		if s.peek() != '[' {
			s.skip(0)
			return
		}
		s.array(func() {
			var l lotText
			s.object(func(key string) {
				switch text, _ := s.scalar(); key {
				case "lot":
					l.lot = text
				case "shares":
					l.shares = text
				}
			})
			t.lots = append(t.lots, l)
		})
		return
	}
	text, ok := s.scalar()
	if !ok {
		text = badText
	}
	if to := t.field(key); to != nil {
		*to = text
	}
}

func (t *fields) field(key string) *string {
	switch key {
	case "id":
		return &t.id
	case "date":
		return &t.date
	case "settle":
		return &t.settle
	case "action":
		return &t.action
	case "owner":
		return &t.owner
	case "account":
		return &t.account
	case "account_type":
		return &t.accountType
	case "symbol":
		return &t.symbol
	case "shares":
		return &t.shares
	case "price":
		return &t.price
	case "amount":
		return &t.amount
	case "commission":
		return &t.commission
	case "currency":
		return &t.currency
	case "fx":
		return &t.fx
	case "commission_fx":
		return &t.commissionFX
	case "ratio":
		return &t.ratio
	case "order":
		return &t.order
	case "to_account":
		return &t.toAccount
	case "to_account_type":
		return &t.toAccountType
	}
	return nil
}

type ownerAccount struct {
	owner   portfolio.OwnerID
	account portfolio.AccountID
}

type dayText struct {
	text string
	day  market.Day
}

// caseReader turns transactions into events.
type caseReader struct {
	*Case
	types     map[ownerAccount]string // of accounts seen
	last      market.Day
	days      [10]dayText // parsed last, by their last digit
	lastOwner ownerAccount
	lastType  string
	ids       map[string]bool // of the transactions so far, once their ids stop growing
}

// add checks a transaction and adds its event, or notes the first fault.
func (r *caseReader) add(t *fields) {
	r.events = append(r.events, Event{ID: t.name(len(r.events) + 1), Seq: int64(len(r.events)), Kind: Kind(t.action), Symbol: market.Symbol(t.symbol),
		Owner: portfolio.OwnerID(t.owner), Account: portfolio.AccountID(t.account), Order: t.order,
		Currency: market.Currency(t.currency), ToAccount: portfolio.AccountID(t.toAccount)})
	e := &r.events[len(r.events)-1]
	code, message := r.name(e)
	if code == "" {
		code, message = r.action(e, t)
	}
	if code == "" {
		code, message = r.dates(e, t)
	}
	if code == "" {
		code, message = r.accounts(e, t)
	}
	if code == "" {
		code, message = r.numbers(e, t)
	}
	if code == "" {
		code, message = r.money(e, t)
	}
	if code != "" {
		r.fault = &CaseError{e.ID, code, message}
		r.events = r.events[:len(r.events)-1]
	}
}

// name refuses an id that another transaction has. Ids that grow, as most do, cannot repeat.
func (r *caseReader) name(e *Event) (code, message string) {
	if r.ids == nil {
		before := len(r.events) - 2
		if before < 0 || grows(r.events[before].ID, e.ID) {
			return "", ""
		}
		r.ids = make(map[string]bool, 2*len(r.events))
		for i := range r.events[:before+1] {
			r.ids[r.events[i].ID] = true
		}
	}
	if r.ids[e.ID] {
		return BadCase, "another transaction has this id"
	}
	r.ids[e.ID] = true
	return "", ""
}

// grows reports whether b comes after a where shorter ids come first.
func grows(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }

func (r *caseReader) action(e *Event, t *fields) (code, message string) {
	switch e.Kind {
	case Buy, Drip, Sell, Split, ROC, RICG, RIDiv, CGDiv, Contribute:
		return "", ""
	}
	return UnknownAction, "action " + quoted(t.action)
}

func (r *caseReader) dates(e *Event, t *fields) (code, message string) {
	var err error
	if e.Day, err = r.day(t.date); err != nil {
		return BadDate, "date " + err.Error()
	}
	e.Settle = e.Day
	if t.settle != "" {
		if e.Settle, err = r.day(t.settle); err != nil {
			return BadDate, "settle " + err.Error()
		}
	}
	if e.Settle < e.Day {
		return OutOfOrder, "settles on " + t.settle + ", before its trade on " + t.date
	}
	if len(r.events) > 1 && e.Day < r.last {
		return OutOfOrder, "trades on " + t.date + ", before the transaction above it"
	}
	r.last = e.Day
	return "", ""
}

// day parses a day; neighbours share most of theirs.
func (r *caseReader) day(text string) (market.Day, error) {
	k := 0
	if len(text) > 0 {
		k = int(text[len(text)-1]) % len(r.days)
	}
	if text != "" && text == r.days[k].text {
		return r.days[k].day, nil
	}
	d, err := market.ParseDay(text)
	if err == nil {
		r.days[k] = dayText{text, d}
	}
	return d, err
}

func (r *caseReader) accounts(e *Event, t *fields) (code, message string) {
	if e.Kind != Split && e.Account == "" {
		e.Account = "taxable"
	}
	key := ownerAccount{e.Owner, e.Account}
	if key == r.lastOwner && r.lastType != "" && (t.accountType == "" || t.accountType == r.lastType) && e.Kind != Contribute {
		e.AccountType = r.lastType
		return "", ""
	}
	if e.AccountType = r.typeOf(key, t.accountType, "taxable"); !r.rules.Known(e.AccountType) {
		return UnknownAccountType, "account_type " + quoted(e.AccountType)
	}
	r.lastOwner, r.lastType = key, e.AccountType
	if e.Kind != Contribute {
		return "", ""
	}
	if e.ToAccount == "" {
		e.ToAccount = e.Account + "/registered"
	}
	e.ToAccountType = r.typeOf(ownerAccount{e.Owner, e.ToAccount}, t.toAccountType, r.rules.anySheltered())
	if !r.rules.Shelters(e.ToAccountType) {
		return UnknownAccountType, "to_account_type " + quoted(e.ToAccountType)
	}
	return "", ""
}

// typeOf returns the type of an account: as given, else as seen before, else the default.
func (r *caseReader) typeOf(key ownerAccount, given, otherwise string) string {
	if given == "" {
		given = r.types[key]
	}
	if given == "" {
		given = otherwise
	}
	r.types[key] = given
	return given
}

// anySheltered returns the region's most general sheltered type: the last of its list.
func (r *Rules) anySheltered() string {
	for i := len(r.Accounts) - 1; i >= 0; i-- {
		if r.Accounts[i].Sheltered {
			return r.Accounts[i].Name
		}
	}
	return ""
}

func (r *caseReader) numbers(e *Event, t *fields) (code, message string) {
	var ok bool
	if e.Kind == Split {
		if e.Ratio, ok = positive(t.ratio); !ok {
			return BadNumber, "ratio " + quoted(t.ratio)
		}
		return "", ""
	}
	if t.shares != "" || e.movesShares() {
		if e.Shares, ok = positive(t.shares); !ok {
			return BadNumber, "shares " + quoted(t.shares)
		}
	}
	if t.commission != "" && t.commission != "0" {
		if e.Commission, ok = decimal(t.commission); !ok {
			return BadNumber, "commission " + quoted(t.commission)
		}
	}
	if t.fx != "" {
		if e.FX, ok = decimal(t.fx); !ok || e.FX.IsZero() {
			return BadNumber, "fx " + quoted(t.fx)
		}
	}
	if t.commissionFX != "" {
		if e.CommissionFX, ok = decimal(t.commissionFX); !ok || e.CommissionFX.IsZero() {
			return BadNumber, "commission_fx " + quoted(t.commissionFX)
		}
	}
	for _, l := range t.lots {
		n, ok := positive(l.shares)
		if !ok {
			return BadNumber, "shares " + quoted(l.shares) + " of lot " + quoted(l.lot)
		}
		e.Lots = append(e.Lots, LotShares{l.lot, n})
	}
	return r.lotSum(e)
}

// lotSum refuses lots that name more shares than are sold.
func (r *caseReader) lotSum(e *Event) (code, message string) {
	left := e.Shares
	for _, l := range e.Lots {
		left = left.Sub(l.Shares)
	}
	if left.Sign() < 0 {
		return BadNumber, "the lots name more shares than are sold"
	}
	return "", ""
}

func (r *caseReader) money(e *Event, t *fields) (code, message string) {
	if e.Kind == Split {
		return "", ""
	}
	var ok bool
	switch {
	case t.amount != "":
		if e.Amount, ok = decimal(t.amount); !ok {
			return BadNumber, "amount " + quoted(t.amount)
		}
	case t.price == "":
		return NoPrice, "neither price nor amount"
	default:
		price, ok := decimal(t.price)
		if !ok {
			return BadNumber, "price " + quoted(t.price)
		}
		if e.Shares.IsZero() {
			e.PerShare = price
		} else {
			e.Amount = price.MulRat(e.Shares)
		}
	}
	if e.FX.IsZero() && e.Currency != "" && e.Currency != r.rules.Home {
		return NoRate, "currency " + string(e.Currency) + " without fx"
	}
	if e.Amount.Cmp(amountUnchecked) > 0 && !e.FX.IsZero() && money.RatDec(e.Amount).Mul(money.RatDec(e.FX)).Cmp(homeMax) > 0 {
		return BadNumber, "amount " + e.Amount.String() + " at fx " + e.FX.String() + " is too large"
	}
	if !e.movesShares() {
		e.Shares = money.Rat{}
	}
	return "", ""
}

// positive reads a number above zero.
func positive(text string) (money.Rat, bool) {
	n, err := money.ParseRat(text)
	return n, err == nil && n.Sign() > 0 && n.Cmp(numberMax) <= 0
}

// decimal reads an amount that is not negative, rounded at the twelfth place.
func decimal(text string) (money.Dec, bool) {
	if text == "1" {
		return money.One, true
	}
	n, err := money.ParseRat(text)
	if err != nil || n.Sign() < 0 || len(text) > 60 {
		return money.Zero, false
	}
	if n.Cmp(numberMax) > 0 {
		return money.Zero, false
	}
	return n.Dec(), true
}

// homeMax bounds an amount in home currency; no amount up to amountUnchecked exceeds it at any rate.
var (
	homeMax         = money.MustRat("1000000000000000000000000")
	amountUnchecked = money.MustParse("1000000000000")
)

// numberMax bounds shares and prices, so that their product fits money.Dec.
var numberMax = money.MustRat("1000000000000")
