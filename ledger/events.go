package ledger

import (
	"daybreak/market"
	"daybreak/money"
)

// Charge returns the moves of a fee that the broker takes, rounded to cents; a negative amount is
// given back.
func Charge(account string, currency market.Currency, amount money.Dec) []Move {
	return appendMove(nil, Account{account, Cash}, Account{Broker, Fees}, string(currency), Cents(amount))
}

// Reinvest returns the moves of a distribution that buys shares at once: income to the account, from
// there to the broker's clearing, units back. The amount is rounded to cents.
func Reinvest(account string, symbol market.Symbol, shares money.Dec, currency market.Currency, amount money.Dec) []Move {
	moves := Dividend(account, currency, amount)
	moves = appendMove(moves, Account{account, Cash}, Account{Broker, Clearing}, string(currency), Cents(amount))
	return appendMove(moves, Account{Broker, Clearing}, Account{account, Units}, string(symbol), shares)
}

// TransferCash returns the move of money between two accounts, rounded to cents; an empty account is
// outside the book.
func TransferCash(from, to string, currency market.Currency, amount money.Dec) []Move {
	return appendMove(nil, side(from, Cash), side(to, Cash), string(currency), Cents(amount))
}

// TransferUnits returns the move of securities between two accounts; an empty account is outside the
// book.
func TransferUnits(from, to string, symbol market.Symbol, shares money.Dec) []Move {
	return appendMove(nil, side(from, Units), side(to, Units), string(symbol), shares)
}

func side(account string, kind Kind) Account {
	if account == "" {
		return Account{Outside, External}
	}
	return Account{account, kind}
}
