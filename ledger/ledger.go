// Package ledger is the double-entry book of record. Every move takes an amount of one commodity out
// of one ledger account and puts it into another, so the journal balances by construction; balances
// are sums of moves.
package ledger

import (
	"cmp"
	"fmt"
	"slices"

	"daybreak/market"
	"daybreak/money"
)

// Kind says what a ledger account of an owner is for.
type Kind string

// The kinds of ledger accounts. Cash and Units are a client's; the others are a counterparty's.
const (
	Cash     Kind = "cash"     // money that the account can spend
	Units    Kind = "units"    // securities that the account holds
	Clearing Kind = "clearing" // owed by or to the broker until settlement
	Exchange Kind = "exchange" // the bank that changes one currency into another
	Fees     Kind = "fees"     // commissions and fees
	Income   Kind = "income"   // dividends and distributions, at the issuer
	External Kind = "external" // the client's bank, a transfer agent, an opening balance
)

// The owners of ledger accounts that are not a client's account. No account has such an id.
const (
	Broker  = "~broker"
	Bank    = "~bank"
	Issuer  = "~issuer"
	Outside = "~outside"
)

// Account is a ledger account: what Kind of Owner. It holds any number of commodities.
type Account struct {
	Owner string `json:"owner"` // an account's id, or a counterparty
	Kind  Kind   `json:"kind"`
}

// Move takes Amount of Commodity, which is a currency or a symbol, out of From and into To.
type Move struct {
	From      Account   `json:"from"`
	To        Account   `json:"to"`
	Commodity string    `json:"commodity"`
	Amount    money.Dec `json:"amount"` // above zero; money in cents
}

// Valid returns an error where a move moves nothing, or from an account to itself.
func (m Move) Valid() error {
	switch {
	case m.Amount.Sign() <= 0:
		return fmt.Errorf("move of %s %s: not above zero", m.Amount, m.Commodity)
	case m.From == m.To:
		return fmt.Errorf("move of %s %s: from %s to itself", m.Amount, m.Commodity, m.From.Owner)
	case m.Commodity == "":
		return fmt.Errorf("move of %s: no commodity", m.Amount)
	}
	return nil
}

// Reverse returns the moves that undo moves, in the opposite order.
func Reverse(moves []Move) []Move {
	undone := make([]Move, len(moves))
	for i, m := range moves {
		m.From, m.To = m.To, m.From
		undone[len(moves)-1-i] = m
	}
	return undone
}

// Trade is what one fill, or one opening purchase, does to money and securities.
type Trade struct {
	Account         string
	Symbol          market.Symbol
	Shares          money.Dec
	Price           money.Dec // a share, in Currency
	Commission      money.Dec // in Currency
	Currency        market.Currency
	AccountCurrency market.Currency // of the cash that pays or is paid
	FX              money.Dec       // AccountCurrency for one unit of Currency
}

// Gross returns shares × price in the security's currency, rounded half to even to cents.
func (t Trade) Gross() money.Dec { return Cents(t.Shares.Mul(t.Price)) }

// Cents returns an amount rounded half to even to two places, as all money of the journal is.
func Cents(amount money.Dec) money.Dec { return amount.Round(2) }

// InCash returns an amount of the security's currency as cash of the account, in cents.
func (t Trade) InCash(amount money.Dec) money.Dec {
	if t.Currency == t.AccountCurrency {
		return Cents(amount)
	}
	return Cents(amount.Mul(t.FX))
}

// Purchase returns the moves of a purchase: cash to the broker's clearing, through the bank where the
// account's currency is another; units from clearing to the account; commission to fees. Amounts that
// round to nothing have no move.
func Purchase(t Trade) []Move {
	client, clearing := Account{t.Account, Cash}, Account{Broker, Clearing}
	moves := t.pay(client, clearing, t.Gross())
	moves = appendMove(moves, clearing, Account{t.Account, Units}, string(t.Symbol), t.Shares)
	return t.commission(moves)
}

// Sale returns the moves of a sale: units to the broker's clearing, cash from there to the account,
// through the bank where the account's currency is another; commission to fees.
func Sale(t Trade) []Move {
	client, clearing := Account{t.Account, Cash}, Account{Broker, Clearing}
	moves := appendMove(nil, Account{t.Account, Units}, clearing, string(t.Symbol), t.Shares)
	moves = append(moves, Reverse(t.pay(client, clearing, t.Gross()))...)
	return t.commission(moves)
}

// pay returns the moves of an amount of the security's currency from the account's cash to another
// ledger account.
func (t Trade) pay(from, to Account, amount money.Dec) []Move {
	if t.Currency == t.AccountCurrency {
		return appendMove(nil, from, to, string(t.Currency), amount)
	}
	bank := Account{Bank, Exchange}
	moves := appendMove(nil, from, bank, string(t.AccountCurrency), t.InCash(amount))
	return appendMove(moves, bank, to, string(t.Currency), amount)
}

func (t Trade) commission(moves []Move) []Move {
	return append(moves, t.pay(Account{t.Account, Cash}, Account{Broker, Fees}, Cents(t.Commission))...)
}

func appendMove(moves []Move, from, to Account, commodity string, amount money.Dec) []Move {
	if amount.Sign() < 0 {
		from, to, amount = to, from, amount.Neg()
	}
	if amount.IsZero() {
		return moves
	}
	return append(moves, Move{From: from, To: to, Commodity: commodity, Amount: amount})
}

// Deposit returns the moves of money that comes from the client's bank; a negative amount is a
// withdrawal. The amount is rounded to cents.
func Deposit(account string, currency market.Currency, amount money.Dec) []Move {
	return appendMove(nil, Account{Outside, External}, Account{account, Cash}, string(currency), Cents(amount))
}

// Dividend returns the moves of money that an issuer pays on securities, rounded to cents.
func Dividend(account string, currency market.Currency, amount money.Dec) []Move {
	return appendMove(nil, Account{Issuer, Income}, Account{account, Cash}, string(currency), Cents(amount))
}

// Opening returns the moves of securities that an account brings in; negative shares leave it.
func Opening(account string, symbol market.Symbol, shares money.Dec) []Move {
	return appendMove(nil, Account{Outside, External}, Account{account, Units}, string(symbol), shares)
}

// Balance is what one ledger account holds of one commodity; below zero where more went out.
type Balance struct {
	Account   Account   `json:"account"`
	Commodity string    `json:"commodity"`
	Amount    money.Dec `json:"amount"`
}

// Balances returns the sums of moves by ledger account and commodity, in that order, without those
// that are zero.
func Balances(moves []Move) []Balance {
	type key struct {
		account   Account
		commodity string
	}
	sums := map[key]money.Dec{}
	for _, m := range moves {
		from, to := key{m.From, m.Commodity}, key{m.To, m.Commodity}
		sums[from] = sums[from].Sub(m.Amount)
		sums[to] = sums[to].Add(m.Amount)
	}
	all := make([]Balance, 0, len(sums))
	for k, amount := range sums {
		if !amount.IsZero() {
			all = append(all, Balance{k.account, k.commodity, amount})
		}
	}
	slices.SortFunc(all, func(a, b Balance) int {
		return cmp.Or(cmp.Compare(a.Account.Owner, b.Account.Owner), cmp.Compare(a.Account.Kind, b.Account.Kind), cmp.Compare(a.Commodity, b.Commodity))
	})
	return all
}

// Change returns what moves add to one ledger account's balance of a commodity.
func Change(moves []Move, account Account, commodity string) money.Dec {
	sum := money.Zero
	for _, m := range moves {
		if m.Commodity != commodity {
			continue
		}
		if m.To == account {
			sum = sum.Add(m.Amount)
		}
		if m.From == account {
			sum = sum.Sub(m.Amount)
		}
	}
	return sum
}
