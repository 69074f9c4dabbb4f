package filter

import (
	"daybreak/pipeline"
)

// HouseholdFields are the fields of a household.
var HouseholdFields = []Field{
	{"id", Text, "id of the household"},
	{"region", Text, "CA, US …"},
	{"accounts", Number, "number of its accounts"},
}

// OrderFields are the fields of a proposed or sent order.
var OrderFields = []Field{
	{"id", Text, "ClOrdID"},
	{"run", Text, "run that proposed it"},
	{"household", Text, "id of the household"},
	{"account", Text, "id of the account"},
	{"region", Text, "CA, US …"},
	{"security", Text, "symbol"},
	{"side", Text, "buy or sell"},
	{"quantity", Decimal, "shares"},
	{"price", Decimal, "reference price, currency of the security"},
	{"notional", Decimal, "quantity × price, currency of the security"},
	{"value", Decimal, "notional in the currency of the account"},
	{"currency", Text, "of the security"},
	{"account_currency", Text, "of the account"},
	{"reason", Text, "reason code"},
	{"status", Text, "Proposed, Flagged, Held, Approved, Submitted, then as state"},
	{"state", Text, "Proposed, PendingNew, New, PartiallyFilled, Filled, Canceled, Rejected …"},
	{"approved", Bool, "signed by another person than the maker"},
	{"released", Bool, "submitted for sending"},
	{"held", Bool, "kept back by a person"},
	{"exception", Text, "why it is not sent; empty for none"},
	{"waits", Bool, "waits for sales that fund it"},
	{"gap_bp", Decimal, "certified gap of its account's plan to the optimum, basis points of the account's value"},
}

// Households returns a function that reports whether a household passes a filter; nil for an empty
// text, which all pass.
func Households(text string) (func(pipeline.HouseholdRef) (bool, error), error) {
	if text == "" {
		return nil, nil
	}
	f, err := Compile(text, HouseholdFields)
	if err != nil {
		return nil, err
	}
	return func(h pipeline.HouseholdRef) (bool, error) {
		return f.Match(map[string]any{"id": string(h.ID), "region": h.Region, "accounts": int64(h.Accounts)})
	}, nil
}

// Orders returns a function that reports whether an order passes a filter; nil for an empty text,
// which all pass.
func Orders(text string) (func(pipeline.ReviewOrder) (bool, error), error) {
	if text == "" {
		return nil, nil
	}
	f, err := Compile(text, OrderFields)
	if err != nil {
		return nil, err
	}
	return func(o pipeline.ReviewOrder) (bool, error) { return f.Match(orderRow(o)) }, nil
}

func orderRow(o pipeline.ReviewOrder) map[string]any {
	return map[string]any{
		"id": string(o.ID), "run": o.Run, "household": string(o.Household), "account": string(o.Account), "region": o.Region,
		"security": string(o.Symbol), "side": string(o.Side), "quantity": o.Quantity, "price": o.Price, "notional": o.Notional,
		"value": o.Value, "currency": string(o.Currency), "account_currency": string(o.AccountCurrency), "reason": o.Reason,
		"status": string(o.Review()), "state": string(o.State), "approved": o.Approved, "released": o.Released,
		"held": o.HeldBy != "", "exception": o.Exception, "waits": o.Waits,
		"gap_bp": o.GapBP,
	}
}
