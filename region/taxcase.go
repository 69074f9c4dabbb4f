package region

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"daybreak/market"
	"daybreak/money"
)

// CaseFormat is the format of the cases that ReadCases reads.
const CaseFormat = "taxcase/1"

// The codes of a CaseError, beside those of an Issue, in the order in which one transaction is
// looked at.
const (
	BadCase            = "BAD_CASE" // the JSON or a setting cannot be read
	UnknownRegion      = "UNKNOWN_REGION"
	UnknownAction      = "UNKNOWN_ACTION"
	BadDate            = "BAD_DATE"
	OutOfOrder         = "OUT_OF_ORDER" // before the transaction above it, or settled before it was traded
	UnknownAccountType = "UNKNOWN_ACCOUNT_TYPE"
	BadNumber          = "BAD_NUMBER" // no number, or one that is negative or missing
	NoPrice            = "NO_PRICE"
	NoRate             = "NO_RATE" // another currency without a rate
)

// CaseError says why a case cannot be used: the first fault in the order of its transactions.
type CaseError struct {
	Transaction string
	Code        string
	Message     string
}

// Error returns the transaction, code and message.
func (e *CaseError) Error() string {
	if e.Transaction == "" {
		return e.Code + ": " + e.Message
	}
	return "transaction " + e.Transaction + ": " + e.Code + ": " + e.Message
}

// Case is one history with its settings, as a request: what does not fit is refused, while Fold
// takes every fact.
type Case struct {
	ID     string
	Region string
	rules  *Rules
	scope  Scope
	events []Event
	fault  *CaseError // of the transactions that follow events
}

// ReadCases reads a text of cases: one object, an array of them, or one after another. It calls use
// with each. After a fault of the JSON it calls use with a case that has the fault, at the transaction
// where it is, and goes on with the next line that begins an object, but not inside an array. A text without any case is a fault.
func ReadCases(text string, use func(*Case)) {
	s := &scanner{text: strings.TrimPrefix(text, "\ufeff")} // editors put a byte order mark first
	one := func() {
		c := readCase(s)
		if s.err != nil && (c.fault == nil || c.fault.Transaction == "") {
			c.fault = &CaseError{Code: BadCase, Message: s.err.Error()}
		}
		use(c)
	}
	if !s.more() {
		use(&Case{fault: &CaseError{Code: BadCase, Message: "no case in the file"}})
	}
	for s.more() {
		start, isArray := s.at, s.peek() == '['
		switch {
		case isArray:
			s.array(one)
		default:
			one()
		}
		if s.err != nil && (isArray || !s.resume(start)) {
			return
		}
	}
}

// BadFile returns a case that only says why the file of cases could not be read.
func BadFile(err error) *Case { return &Case{fault: &CaseError{Code: BadCase, Message: err.Error()}} }

// Events returns the events of the case, those before its first fault.
func (c *Case) Events() []Event { return c.events }

// Book folds the case. The error is a *CaseError.
func (c *Case) Book() (b *Book, err error) {
	defer func() {
		if r := recover(); r != nil {
			b, err = nil, &CaseError{Code: BadNumber, Message: fmt.Sprintf("cannot be computed: %v", r)}
		}
	}()
	if c.rules == nil {
		return nil, c.fault
	}
	if b, err = Trace(c.rules, c.scope, c.events); err != nil {
		return nil, &CaseError{Code: BadCase, Message: err.Error()}
	}
	if fault := c.firstIssue(b); fault != nil {
		return nil, fault
	}
	if c.fault != nil {
		return nil, c.fault
	}
	return b, nil
}

// firstIssue returns the first fact that does not fit, in the order in which transactions count: by
// settlement where the region counts so.
func (c *Case) firstIssue(b *Book) *CaseError {
	var first *CaseError
	var at *Event
	for _, f := range b.folds {
		if len(f.issues) == 0 {
			continue
		}
		issue := f.issues[0]
		i := slices.IndexFunc(f.events, func(e *Event) bool { return e.ID == issue.Event })
		if at == nil || c.rules.compareEvents(f.events[i], at) < 0 {
			first, at = &CaseError{issue.Event, issue.Code, issueMessages[issue.Code]}, f.events[i]
		}
	}
	return first
}

var issueMessages = map[string]string{
	Oversold:   "sells more shares than are held",
	UnknownLot: "names a lot that the account does not hold",
}

// readCase reads one case. A fault of a setting or a transaction ends up in the case; a fault of the
// JSON, in the scanner.
func readCase(s *scanner) *Case {
	c := &Case{}
	format, settings, transactions, isRead := CaseFormat, -1, -1, false
	s.object(func(key string) {
		switch key {
		case "format":
			format, _ = s.scalar()
		case "id":
			c.ID, _ = s.scalar()
		case "region":
			c.Region, _ = s.scalar()
		case "settings":
			s.peek()
			settings = s.at
			s.skip(0)
		case "transactions":
			s.peek()
			transactions = s.at
			if isRead = c.Region != "" && settings >= 0; isRead {
				c.readSettings(&scanner{text: s.text, at: settings}, true)
			}
			if isRead = isRead && c.fault == nil; isRead {
				c.readTransactions(s, true)
				return
			}
			s.skip(0)
		default:
			s.skip(0)
		}
	})
	if s.err != nil {
		if !isRead && transactions >= 0 {
			c.locate(s.text, transactions)
		}
		return c
	}
	if format != CaseFormat {
		c.fault = &CaseError{Code: BadCase, Message: "format " + quoted(format) + ", want " + CaseFormat}
		return c
	}
	if isRead || c.fault != nil {
		return c
	}
	c.readSettings(&scanner{text: s.text, at: settings}, settings >= 0)
	if c.fault == nil {
		c.readTransactions(&scanner{text: s.text, at: transactions}, transactions >= 0)
	}
	return c
}

// locate names the transaction in which the JSON of a case is at fault.
func (c *Case) locate(text string, transactions int) {
	if c.readSettings(&scanner{}, false); c.rules != nil {
		c.readTransactions(&scanner{text: text, at: transactions}, true)
	}
}

// readSettings loads the rules of the case's region with its settings.
func (c *Case) readSettings(s *scanner, given bool) {
	rules, err := Load(c.Region)
	if err != nil {
		c.fault = &CaseError{Code: UnknownRegion, Message: err.Error()}
		return
	}
	var o Settings
	if given {
		s.object(func(key string) { c.readSetting(s, key, &o) })
	}
	if s.err != nil && c.fault == nil {
		c.fault = &CaseError{Code: BadCase, Message: "settings: " + s.err.Error()}
	}
	if c.fault != nil {
		return
	}
	if c.rules, err = rules.With(o); err != nil {
		c.rules, c.fault = nil, &CaseError{Code: BadCase, Message: err.Error()}
	}
}

func (c *Case) readSetting(s *scanner, key string, o *Settings) {
	if field := o.field(key); field != nil {
		*field, _ = s.scalar()
		return
	}
	switch key {
	case "same_lot_replaces":
		o.SameLotReplaces = s.truth()
	case "ignore_household":
		o.IgnoreHousehold = s.truth()
	case "window_days":
		word, _ := s.scalar()
		days, err := strconv.Atoi(word)
		if err != nil || days < 0 || days > 3650 {
			s.fail("a number of days from 0 to 3650")
		}
		o.WindowDays = &days
	case "loss_limit":
		limit := s.amount()
		o.LossLimit = &limit
	case "carryover_in":
		o.CarryIn = &Carry{}
		s.object(func(term string) {
			switch amount := s.amount(); term {
			case "st":
				o.CarryIn.ST = amount.Abs()
			case "lt":
				o.CarryIn.LT = amount.Abs()
			}
		})
	case "unaffiliated":
		s.array(func() { c.scope.Outside = append(c.scope.Outside, ownerID(s.str())) })
	case "identical":
		c.scope.Identical = map[market.Symbol]string{}
		if s.peek() == '{' {
			s.object(func(property string) { c.readGroup(s, property) })
			return
		}
		s.array(func() { c.readGroup(s, "") })
	default:
		s.fail("a known setting, not " + strconv.Quote(key))
	}
}

// readGroup reads one group of identical symbols; without a name its first one names the property.
func (c *Case) readGroup(s *scanner, property string) {
	s.array(func() {
		symbol := s.str()
		if property == "" {
			property = symbol
		}
		c.scope.Identical[market.Symbol(symbol)] = property
	})
}

func (s *scanner) truth() bool {
	word, _ := s.scalar()
	if word != "true" && word != "false" {
		s.fail("true or false")
	}
	return word == "true"
}

func (s *scanner) amount() money.Dec {
	word, _ := s.scalar()
	d, err := money.Parse(word)
	if err != nil {
		s.fail("an amount")
	}
	return d
}
