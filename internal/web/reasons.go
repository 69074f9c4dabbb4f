package web

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/region"
)

// words are what a person reads for a reason code: a title, and a sentence whose {names} are the
// reason's numbers. A sentence with a number that is absent is left out.
type words struct {
	title    string
	sentence string
}

// reasons holds the words of every code that docs/reason-codes.md lists, and of the exceptions.
var reasons = map[string]words{
	// trades
	"HARVEST":        {"Tax-loss harvest", "Realises a loss of {loss} on a cost of {cost}, worth about {tax_value} in tax; held instead: {replacement}. Not to be bought back through {until}."},
	"REPLACE":        {"Replacement", "Bought instead of {instead_of}, which is sold at a loss, so that the exposure stays."},
	"REBALANCE_SELL": {"Over target", "{class} is {held} of the account and should be {wanted}; the band is ± {band}."},
	"REBALANCE_BUY":  {"Under target", "{class} is {held} of the account and should be {wanted}; the band is ± {band}."},
	"RAISE_CASH":     {"Raise cash", "Sold for cash that the account needs; {class} is {held} of it and should be {wanted}."},
	"FUND_PURCHASES": {"Fund purchases", "Pays for purchases of other classes; {class} is {held} of the account, above its {wanted}, inside its band."},
	"INVEST_CASH":    {"Invest cash", "Puts cash above its target to work; {class} is {held} of the account and should be {wanted}."},
	"SELL_LEGACY":    {"Not in the model", "The model portfolio does not hold it any more."},
	"TRACK_MODEL":    {"Closer to the model", "Lowers the risk against the model by more than it costs, inside the band; {class} is {held} of the account and should be {wanted}."},
	// accounts
	"REBALANCED":             {"Rebalanced", "Drift falls from {drift_before} to {drift_after}."},
	"HARVESTED":              {"Harvested", "Losses are harvested; drift goes from {drift_before} to {drift_after}."},
	"DRIFT_RISES_HARVEST":    {"Harvested, drift rises", "Harvesting moves the account from {drift_before} to {drift_after} of drift."},
	"DRIFT_RISES_WITHDRAWAL": {"Cash raised, drift rises", "Raising cash moves the account from {drift_before} to {drift_after} of drift."},
	"DRIFT_RISES_TRACKING":   {"Less risk, drift rises", "Drift goes from {drift_before} to {drift_after}; risk against the model, tax and cost together fall."},
	"NO_GAIN":                {"Nothing worth trading", "Out of band, but no trade would lower the risk by more than its tax and cost. Furthest: {class}, off by {drift}."},
	"MODE_NOTHING":           {"Not to be traded", "The account's mode is to trade nothing. Furthest: {class}, off by {drift}."},
	"NOT_PLANNED":            {"No plan", "No plan keeps every rule ({because}); the account is left alone."},
	"CASH_SHORT":             {"Cash short", "{cash_needed} of cash are needed; {short} of it cannot be raised."},
	"IN_BAND":                {"Inside its bands", "Nothing is out of its band. Furthest: {class}, off by {drift} with a band of {band}."},
	"BELOW_MINIMUM":          {"Trades too small", "Out of band, but each trade would be below the account's minimum. Furthest: {class}, off by {drift}."},
	"NO_CASH":                {"Nothing to buy with", "Out of band, but there is no cash and nothing to sell. Furthest: {class}, off by {drift}."},
	"BLOCKED":                {"Every trade barred", "Out of band, but each trade is barred. Furthest: {class}, off by {drift}."},
	"NO_VALUE":               {"Empty account", "The account holds nothing."},
	// candidates not traded
	"BARRED_PURCHASE":   {"Bought within the window", "A purchase of {purchase} in {by} would deny the loss through {until}."},
	"BARRED_OPEN_ORDER": {"Open order to buy", "The open order {order} to buy would deny the loss."},
	"BARRED_RUN":        {"Bought in this run", "A purchase of {purchase} in {by}, in this run, would deny the loss."},
	"BARRED_AUDIT":      {"Refused by the tax book", "The tax book denies the loss when the whole plan is put to it."},
	"SOLD_NOW":          {"Sold in this plan", "The plan sells {property}, so it does not buy it."},
	"BOUGHT_NOW":        {"Bought in this plan", "The plan buys {property}, so it does not sell it."},
	"BARRED_LOSS_SALE":  {"Would deny a realised loss", "Buying it before {until} would deny a loss that the household has realised."},
	"LOCKED":            {"Locked after a harvest", "Not to be bought through {until}: it was sold at a loss."},
	"RESTRICTED":        {"Restricted", "The account's policy bars any trade in it."},
	"NO_REPLACEMENT":    {"No replacement", "A loss of {loss}, but nothing may be held instead."},
	"BELOW_THRESHOLD":   {"Loss too small", "The loss of {loss} is smaller than the policy asks for."},
	"COST_UNKNOWN":      {"Cost unknown", "The cost of some of it is not known."},
	"MARKET_CLOSED":     {"Market closed", "{exchange} has no session on {day}."},
	"OPEN_ORDER":        {"Order still open", "The order {order} may still trade."},
	"NOT_PRICED":        {"No price", "It has no recent price, or no exchange rate."},
	"BELOW_MIN_TRADE":   {"Below the minimum trade", "The trade of {amount} would be below the minimum of {minimum}."},
	"HARVEST_OFF":       {"Harvesting off", "A loss of {loss}, but the account's policy has harvesting off."},
	"OTHER_ROLE":        {"Would trade the other way", "At its threshold between being harvested and being bought."},
	"AT_LIMIT":          {"At a limit", "A band, the mode or its lots leave no trade."},
	"GAIN_TOO_SMALL":    {"Worth too little", "The account's trades together would gain less than is asked for."},
	"ROUNDED_AWAY":      {"Less than a share", "The trade of {amount} would be less than a tradable share."},
	"NOT_FUNDED":        {"Not funded", "No cash and no sale pays for it."},
	// parked households
	"NO_ACCOUNTS":          {"No accounts", ""},
	"UNKNOWN_REGION":       {"Unknown region", ""},
	"UNKNOWN_ACCOUNT_TYPE": {"Unknown account type", ""},
	"BAD_POLICY":           {"Policy not valid", ""},
	"NO_MODEL":             {"Model portfolio missing", ""},
	"BAD_MODEL":            {"Model portfolio not valid", ""},
	"UNKNOWN_SECURITY":     {"Unknown security", ""},
	"NO_PRICE":             {"No price", ""},
	"STALE_PRICE":          {"Stale price", ""},
	"NO_RATE":              {"No exchange rate", ""},
	"NEGATIVE_CASH":        {"Negative cash", ""},
	"SHORT_POSITION":       {"Short position", ""},
	"BAD_TAX_BOOK":         {"Tax events do not fold", ""},
	"LOTS_DIFFER":          {"Lots differ from position", ""},
	"PANIC":                {"Internal failure", ""},
	"UNKNOWN_HOUSEHOLD":    {"Household missing", ""},
	"BAD_INPUT":            {"Stored facts unreadable", ""},
	"OPEN_EXCEPTION":       {"Open exception", ""},
	"NOTHING_TO_DO":        {"Nothing to do", ""},
	"PLANNED":              {"Planned", ""},
	// why an order is flagged
	"GAP_ABOVE_LIMIT":     {"Far from the optimum", ""},
	"RULES_RELAXED":       {"Planned without a rule", ""},
	"STALE":               {"Stale", ""},
	"FUNDING_FAILED":      {"Funding failed", ""},
	"TOO_SMALL":           {"Too small by now", ""},
	"NO_TAX_DAY":          {"Tax day unknown", ""},
	"REVIEW_REJECTED":     {"Rejected in review", ""},
	"KILL_SWITCH":         {"Kill switch", ""},
	"SESSION_CLOSED":      {"Session closed", ""},
	"BOOK_EXCEPTION":      {"Open exception", ""},
	"NOT_APPROVED":        {"Not approved", ""},
	"SAME_PERSON":         {"Approved by its maker", ""},
	"CONTENT_CHANGED":     {"Changed since approval", ""},
	"BUILD_DIFFERS":       {"Made by another build", ""},
	"ORDER_VALUE_LIMIT":   {"Above the limit of an order", ""},
	"QUANTITY_LIMIT":      {"Too many shares", ""},
	"ACCOUNT_VALUE_LIMIT": {"Above the account's limit", ""},
	"FIRM_VALUE_LIMIT":    {"Above the firm's limit", ""},
	"NO_REFERENCE":        {"No reference price", ""},
	"STALE_REFERENCE":     {"Reference price too old", ""},
	"PRICE_COLLAR":        {"Outside the price collar", ""},
	"DUPLICATE_ORDER":     {"Duplicate", ""},
	"TAX_LOCK":            {"Locked for tax", ""},
	"LONG_ONLY":           {"More than is held", ""},
	"OVERFILL":            {"Filled beyond the order", ""},
	"DENIED_LOSS":         {"Bought outside, denies a loss", ""},
}

// reasonTitle returns the title of a code; a code without words becomes words itself.
func reasonTitle(code string) string {
	if w, ok := reasons[code]; ok {
		return w.title
	}
	text := strings.ToLower(strings.ReplaceAll(code, "_", " "))
	if text == "" {
		return "–"
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

var placeholder = regexp.MustCompile(`\{[a-z_]+\}`)

// explain returns the sentence of a reason with its numbers: tax in the region's home currency, other
// money in the account's. It is "" where the code has no sentence or a number of it is absent.
func explain(code string, numbers map[string]string, of string, account market.Currency) string {
	whole, home := true, homeCurrency(of)
	text := placeholder.ReplaceAllStringFunc(reasons[code].sentence, func(name string) string {
		key := name[1 : len(name)-1]
		value, ok := numbers[key]
		whole = whole && ok
		return written(key, value, home, account)
	})
	if !whole {
		return ""
	}
	return text
}

// fact is one number of a reason, in words.
type fact struct {
	Label string
	Value string
}

// The kinds of numbers by key: money in the region's home currency, money in the account's, and shares
// of the account's value. All other keys are shown as they are.
var (
	homeKeys    = []string{"loss", "loss_short", "loss_long", "cost", "tax_value", "proceeds"}
	accountKeys = []string{"amount", "minimum", "value", "cash_wanted", "cash_needed", "short"}
	shareKeys   = []string{"held", "wanted", "band", "drift", "drift_before", "drift_after", "minimum_share"}
	labels      = map[string]string{
		"loss_short": "Loss, short term", "loss_long": "Loss, long term", "tax_value": "Worth in tax", "until": "Locked through",
		"drift_before": "Drift before", "drift_after": "Drift after", "cash_wanted": "Cash wanted", "cash_needed": "Cash needed",
		"held": "Weight held", "wanted": "Weight wanted", "minimum_share": "Least loss, share of cost", "instead_of": "Instead of",
		"class": "Asset class", "short": "Cannot be raised", "property": "Identical group", "by": "In account",
	}
)

// facts returns the numbers of a reason by key.
func facts(numbers map[string]string, of string, account market.Currency) []fact {
	home := homeCurrency(of)
	all := make([]fact, 0, len(numbers))
	for _, k := range slices.Sorted(maps.Keys(numbers)) {
		label, ok := labels[k]
		if !ok {
			label = reasonTitle(strings.ToUpper(k))
		}
		all = append(all, fact{label, written(k, numbers[k], home, account)})
	}
	return all
}

// homeCurrency returns the currency that a region taxes in; "" for a region without rules.
func homeCurrency(of string) market.Currency {
	r, err := region.Load(of)
	if err != nil {
		return ""
	}
	return r.Home
}

// written returns a number as people write it; what is no number stays as it is.
func written(key, value string, home, account market.Currency) string {
	d, err := money.Parse(value)
	if err != nil {
		if key == "class" {
			return strings.ReplaceAll(value, "_", " ")
		}
		return value
	}
	switch {
	case slices.Contains(homeKeys, key):
		return strings.TrimSpace(grouped(d.Fixed(2)) + " " + string(home))
	case slices.Contains(accountKeys, key):
		return strings.TrimSpace(grouped(d.Fixed(2)) + " " + string(account))
	case slices.Contains(shareKeys, key):
		return percent(d)
	}
	return grouped(trimmed(d.Fixed(4), 0))
}

// actions are the words for what the audit trail records.
var actions = map[string]string{
	"order.approve": "approved", "order.reject": "rejected", "order.hold": "held", "order.release": "released from hold",
	"order.override_lock": "overrode a tax lock of", "order.submit": "submitted", "order.send": "sent to the broker", "run.start": "started the run",
}

func actionWords(action string) string {
	if w, ok := actions[action]; ok {
		return w
	}
	return strings.ReplaceAll(action, ".", " ")
}
