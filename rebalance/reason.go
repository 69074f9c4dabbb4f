package rebalance

import (
	"strconv"

	"daybreak/market"
	"daybreak/money"
	"daybreak/tlh"
)

// Codes of a trade's reason. docs/reason-codes.md lists all codes with their numbers.
const (
	Harvest       = "HARVEST"        // sells lots at a loss for its tax use
	Replace       = "REPLACE"        // buys what is held instead of a harvested security
	RebalanceSell = "REBALANCE_SELL" // brings a sleeve above its band down to its target
	RebalanceBuy  = "REBALANCE_BUY"  // brings a sleeve below its band up to its target
	RaiseCash     = "RAISE_CASH"     // sells to have the cash that is needed
	FundPurchases = "FUND_PURCHASES" // sells a sleeve above its target, inside its band, to pay for purchases
	InvestCash    = "INVEST_CASH"    // buys a sleeve below its target, inside its band, with cash above its target
	SellLegacy    = "SELL_LEGACY"    // sells a security that is not in the model
	TrackModel    = "TRACK_MODEL"    // inside its band: lowers the risk against the model by more than it costs
)

// Codes of an account's reason. The first three go with a plan, the others with none.
const (
	Rebalanced           = "REBALANCED"             // trades for drift or cash alone
	Harvested            = "HARVESTED"              // harvests, and may rebalance as well
	DriftRisesHarvest    = "DRIFT_RISES_HARVEST"    // harvests, and ends further from its model for it
	DriftRisesWithdrawal = "DRIFT_RISES_WITHDRAWAL" // raises cash, and ends further from its model for it
	DriftRisesTracking   = "DRIFT_RISES_TRACKING"   // ends further from its weights, but with less risk, tax and cost together
	CashShort            = "CASH_SHORT"             // the cash that is needed cannot be raised; may go with a plan
	InBand               = "IN_BAND"                // every class is inside its band, nothing to harvest
	BelowMinimum         = "BELOW_MINIMUM"          // out of band, and each trade would be below the minimum
	NoCash               = "NO_CASH"                // out of band, and nothing to buy with
	Blocked              = "BLOCKED"                // out of band, and each trade is barred; Skipped says by what
	NoGain               = "NO_GAIN"                // out of band, and no trade would lower risk by more than its tax and cost
	ModeIdle             = "MODE_NOTHING"           // its mode is to trade nothing
	Unsolved             = "NOT_PLANNED"            // no plan was found that keeps every rule; the certificate says why
	NoValue              = "NO_VALUE"               // the account is empty
)

// Codes of a candidate that is not traded, beside the kinds of a tlh.Bar.
const (
	Restricted     = "RESTRICTED"           // the account's policy bars any trade
	NoReplacement  = "NO_REPLACEMENT"       // nothing may be held instead
	BelowThreshold = "BELOW_THRESHOLD"      // the loss, or what it is worth, is smaller than the region or the policy asks for
	NotWorthIt     = "WORTH_LESS_THAN_COST" // the tax that the loss saves is less than what harvesting it costs
	CostUnknown    = "COST_UNKNOWN"         // the cost of some of it is not known
	MarketClosed   = "MARKET_CLOSED"        // its exchange has no session on the day
	OpenOrderLive  = "OPEN_ORDER"           // the account has an order in it that may still trade
	NotPriced      = "NOT_PRICED"           // it has no recent price, or no rate
	BelowMinTrade  = "BELOW_MIN_TRADE"      // the trade would be below the account's minimum
	HarvestOff     = "HARVEST_OFF"          // the account's policy has harvesting off
	SoldNow        = "SOLD_NOW"             // the plan sells it, or what is identical to it, so it does not buy it
	BoughtNow      = "BOUGHT_NOW"           // the plan buys it, or what is identical to it, so it does not sell it
	NotFunded      = "NOT_FUNDED"           // no cash and no sale pays for it
	OtherRole      = "OTHER_ROLE"           // it would trade the other way at its threshold: harvested, not bought, or the reverse
	AtLimit        = "AT_LIMIT"             // a band, the mode or the lots leave no trade
	GainTooSmall   = "GAIN_TOO_SMALL"       // what the account's trades would lower the objective by is less than is asked for
	RoundedAway    = "ROUNDED_AWAY"         // the trade would be less than a tradable share
)

func number(places int, d money.Dec) string { return d.Round(places).String() }

// cents and weight are how money and shares of a value are written in a reason.
func cents(d money.Dec) string  { return number(2, d) }
func weight(d money.Dec) string { return number(6, d) }
func count(n int) string        { return strconv.Itoa(n) }

// barred returns the reason of a candidate that bar forbids; its code is the bar's kind.
func barred(symbol market.Symbol, bar tlh.Bar) Reason {
	numbers := map[string]string{"property": bar.Property}
	if bar.Until != market.NoDay {
		numbers["until"] = bar.Until.String()
	}
	if bar.Account != "" {
		numbers["by"] = string(bar.Account)
	}
	if bar.Symbol != "" {
		numbers["purchase"] = string(bar.Symbol)
	}
	if bar.Order != "" {
		numbers["order"] = bar.Order
	}
	return Reason{Code: string(bar.Kind), Symbol: symbol, Numbers: numbers}
}
