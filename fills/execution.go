package fills

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
)

// ExecType says what an execution report is about: FIX 4.4 tag 150.
type ExecType string

// The types of execution that the book takes.
const (
	New           ExecType = "0"
	DoneForDay    ExecType = "3"
	Canceled      ExecType = "4"
	PendingCancel ExecType = "6"
	Rejected      ExecType = "8"
	PendingNew    ExecType = "A"
	Expired       ExecType = "C"
	Trade         ExecType = "F"
	TradeCorrect  ExecType = "G"
	TradeCancel   ExecType = "H"
	OrderStatus   ExecType = "I"
)

// Key names an execution for ever: the same key is the same fact, whatever brings it.
type Key struct {
	TradeDate  market.Day
	Session    string // broker session
	ExecID     string
	Allocation int // number of the share of a block, 0 where the order is no block
}

// String returns the key as the book stores it: date, allocation, session and ExecID, which sorts by
// day and so keeps new keys together.
func (k Key) String() string {
	b := make([]byte, 0, 64) // said six times for each execution: no fmt
	b = append(append(b, k.TradeDate.String()...), '|')
	b = append(strconv.AppendInt(b, int64(k.Allocation), 10), '|')
	b = append(append(b, k.Session...), '|')
	return string(append(b, k.ExecID...))
}

// Execution is one execution report of the broker: what happened, not what was asked for.
type Execution struct {
	Session      string                `json:"session"`
	ExecID       string                `json:"exec_id"`
	Allocation   int                   `json:"allocation,omitempty"`
	Type         ExecType              `json:"exec_type"`
	RefExecID    string                `json:"exec_ref_id,omitempty"`   // of a correction or a bust
	RefTradeDate market.Day            `json:"ref_trade_date,omitzero"` // day of the one it refers to; NoDay: the same
	OrderID      orders.ID             `json:"order_id"`
	Account      portfolio.AccountID   `json:"account"`
	Household    portfolio.HouseholdID `json:"household"`
	Symbol       market.Symbol         `json:"security"`
	Side         portfolio.Side        `json:"side"`
	Quantity     money.Dec             `json:"quantity"` // of this fill; FIX LastQty
	Price        money.Dec             `json:"price"`    // of this fill, in Currency; FIX LastPx
	Commission   money.Dec             `json:"commission"`
	Fees         money.Dec             `json:"fees"`
	Currency     market.Currency       `json:"currency"`
	FX           money.Dec             `json:"fx"`     // account currency for one unit of Currency, as the broker changed it
	FXDay        market.Day            `json:"fx_day"` // source date of FX
	TradeDate    market.Day            `json:"trade_date"`
	SettleDate   market.Day            `json:"settle_date"`
	Venue        string                `json:"venue,omitempty"`
	BrokerTime   time.Time             `json:"broker_time"`
	Text         string                `json:"text,omitempty"` // why an order was rejected, for people
}

// Key returns the execution's own key.
func (e Execution) Key() Key { return Key{e.TradeDate, e.Session, e.ExecID, e.Allocation} }

// Refers returns the key of the execution that a correction or a bust names.
func (e Execution) Refers() Key {
	day := e.RefTradeDate
	if day == market.NoDay {
		day = e.TradeDate
	}
	return Key{day, e.Session, e.RefExecID, e.Allocation}
}

// Content returns a hash of everything in e: the first 128 bits of a SHA-256, in hexadecimal. Two
// executions with one key and different contents are a conflict.
func (e Execution) Content() string {
	b := make([]byte, 0, 512)
	text := func(s string) { b = append(append(b, s...), 0) }
	number := func(d money.Dec) { b, _ = d.AppendText(b); b = append(b, 0) }
	for _, s := range []string{e.Session, e.ExecID, string(e.Type), e.RefExecID, e.RefTradeDate.String(), string(e.OrderID), string(e.Account),
		string(e.Household), string(e.Symbol), string(e.Side)} {
		text(s)
	}
	for _, d := range []money.Dec{e.Quantity, e.Price, e.Commission, e.Fees} {
		number(d)
	}
	text(string(e.Currency))
	number(e.FX)
	for _, s := range []string{e.FXDay.String(), e.TradeDate.String(), e.SettleDate.String(), e.Venue, e.Text} {
		text(s)
	}
	b = append(strconv.AppendInt(b, int64(e.Allocation), 10), 0)
	b = strconv.AppendInt(b, e.BrokerTime.UnixMicro(), 10)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Moves reports whether the execution states a trade: its quantity and price count.
func (e Execution) Moves() bool { return e.Type == Trade || e.Type == TradeCorrect }

// ledgerTrade returns the execution as the ledger takes it.
func (e Execution) ledgerTrade(cash market.Currency) ledger.Trade {
	return ledger.Trade{Account: string(e.Account), Symbol: e.Symbol, Shares: e.Quantity, Price: e.Price,
		Commission: e.Commission.Add(e.Fees), Currency: e.Currency, AccountCurrency: cash, FX: e.FX}
}

// moves returns what the trade does to cash and units.
func (e Execution) moves(cash market.Currency) []ledger.Move {
	if e.Side == portfolio.Sell {
		return ledger.Sale(e.ledgerTrade(cash))
	}
	return ledger.Purchase(e.ledgerTrade(cash))
}

// The largest quantity and price that are believed: their product keeps far from the range of Dec.
var (
	quantityMax = money.FromInt(10_000_000_000)
	priceMax    = money.FromInt(100_000_000)
	fxMax       = money.FromInt(100_000)
)

// textMax bounds ids and names of an execution.
const textMax = 64

// fault returns why the terms of an execution cannot be believed, or "".
func (e Execution) fault() string {
	for _, t := range []struct{ name, value string }{
		{"session", e.Session}, {"exec_id", e.ExecID}, {"order_id", string(e.OrderID)}, {"account", string(e.Account)},
		{"household", string(e.Household)}, {"security", string(e.Symbol)},
	} {
		if t.value == "" || len(t.value) > textMax || strings.ContainsAny(t.value, "|\x00") {
			return fmt.Sprintf("%s %q is empty, too long, or holds a character that no id has", t.name, t.value)
		}
	}
	if e.TradeDate == market.NoDay {
		return "no trade date"
	}
	if e.Side != portfolio.Buy && e.Side != portfolio.Sell {
		return fmt.Sprintf("side %q", e.Side)
	}
	if (e.Type == TradeCorrect || e.Type == TradeCancel) && e.RefExecID == "" {
		return "a correction or a bust without exec_ref_id"
	}
	if e.Moves() {
		return e.tradeFault()
	}
	return ""
}

func (e Execution) tradeFault() string {
	switch {
	case e.Quantity.Sign() <= 0 || quantityMax.Less(e.Quantity):
		return fmt.Sprintf("quantity %s", e.Quantity)
	case e.Price.Sign() <= 0 || priceMax.Less(e.Price):
		return fmt.Sprintf("price %s", e.Price)
	case e.FX.Sign() <= 0 || fxMax.Less(e.FX):
		return fmt.Sprintf("fx %s", e.FX)
	case priceMax.Less(e.Commission.Abs()) || priceMax.Less(e.Fees.Abs()):
		return fmt.Sprintf("commission %s, fees %s", e.Commission, e.Fees)
	case len(e.Currency) != 3:
		return fmt.Sprintf("currency %q", e.Currency)
	case e.SettleDate < e.TradeDate:
		return fmt.Sprintf("settles on %s, before it trades on %s", e.SettleDate, e.TradeDate)
	}
	return ""
}
