package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Codes of a line of households, beside those of market.
const (
	codeBadJSON            market.Code = "BAD_JSON"             // not one JSON object with the schema's fields
	codeUnknownRegion      market.Code = "UNKNOWN_REGION"       // no rule file of that name
	codeNoOwners           market.Code = "NO_OWNERS"            // a household without people
	codeNoAccounts         market.Code = "NO_ACCOUNTS"          // a household without accounts
	codeUnknownOwner       market.Code = "UNKNOWN_OWNER"        // an account or event of somebody else
	codeUnknownAccount     market.Code = "UNKNOWN_ACCOUNT"      // an event of an account that the household lacks
	codeUnknownAccountType market.Code = "UNKNOWN_ACCOUNT_TYPE" // not one of the region's types
	codeBadPolicy          market.Code = "BAD_POLICY"           // a policy parameter out of its range
	codeBadEvent           market.Code = "BAD_EVENT"            // an event that cannot have happened so
	codeUnknownLot         market.Code = "UNKNOWN_LOT"          // a sale names a lot that no event bought
	codeOversold           market.Code = "OVERSOLD"             // the events sell more than they bought
	codeLotsDiffer         market.Code = "LOTS_DIFFER"          // positions that the events do not leave
	codeBadCarried         market.Code = "BAD_CARRIED"          // losses carried in that the region or the events leave no room for
	codeConflict           market.Code = "CONFLICT"             // the id is in the book with other content
)

// idMax bounds the length of an id.
const idMax = 64

// amountMax bounds money and shares of a record, so that no sum leaves the range of a Dec.
var (
	amountMax = money.FromInt(1_000_000_000_000_000)
	sharesMax = money.RatDec(amountMax)
)

func badRecord(code market.Code, format string, args ...any) error {
	return &market.LineError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// check returns the first thing that is wrong with a canonical record, as a *market.LineError.
func (o *Opener) check(rules *region.Rules, h *HouseholdRecord) error {
	for _, id := range []string{string(h.ID), h.RoutingKey} {
		if err := checkID("household", id); err != nil {
			return err
		}
	}
	if err := checkDay("as_of", h.AsOf, string(h.ID)); err != nil {
		return err
	}
	switch {
	case len(h.Owners) == 0:
		return badRecord(codeNoOwners, "household %s has no owners", h.ID)
	case len(h.Accounts) == 0:
		return badRecord(codeNoAccounts, "household %s has no accounts", h.ID)
	}
	if err := checkOwners(h); err != nil {
		return err
	}
	if h.Location != nil {
		if err := h.Location.Validate(); err != nil {
			return badRecord(market.CodeBadFields, "household %s: %v", h.ID, err)
		}
	}
	if err := checkCarried(rules, h); err != nil {
		return err
	}
	for i := range h.Accounts {
		if i > 0 && h.Accounts[i].ID == h.Accounts[i-1].ID {
			return badRecord(market.CodeDuplicate, "account %s is given twice", h.Accounts[i].ID)
		}
		if err := o.checkAccount(rules, h, &h.Accounts[i]); err != nil {
			return err
		}
	}
	return o.checkEvents(h)
}

func checkID(what, id string) error {
	allowed := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-", c)
	}
	if id == "" || len(id) > idMax || strings.ContainsFunc(id, func(c rune) bool { return !allowed(c) }) {
		return badRecord(market.CodeBadText, "%s id %s: letters, digits and . _ - only, from 1 to %d", what, clip(id), idMax)
	}
	return nil
}

// checkDay refuses a day that is absent, which reads as 1970-01-01, or far from any market.
func checkDay(field string, d market.Day, of string) error {
	if y := d.Year(); d == market.NoDay || d == 0 || y < 1900 || y > 2100 {
		return badRecord(market.CodeBadDate, "%s: %s is missing or not within 1900 to 2100", of, field)
	}
	return nil
}

func checkOwners(h *HouseholdRecord) error {
	for i, o := range h.Owners {
		if err := checkID("owner", string(o.ID)); err != nil {
			return err
		}
		if i > 0 && o.ID == h.Owners[i-1].ID {
			return badRecord(market.CodeDuplicate, "owner %s is given twice", o.ID)
		}
		if err := checkDay("from", o.From, "owner "+string(o.ID)); err != nil {
			return err
		}
		if o.To != 0 && o.To <= o.From {
			return badRecord(market.CodeBadDate, "owner %s: to %s is not after from %s", o.ID, o.To, o.From)
		}
	}
	return nil
}

func (o *Opener) checkAccount(rules *region.Rules, h *HouseholdRecord, a *AccountRecord) error {
	if err := checkID("account", string(a.ID)); err != nil {
		return err
	}
	if !slices.ContainsFunc(h.Owners, func(w OwnerRecord) bool { return w.ID == a.Owner }) {
		return badRecord(codeUnknownOwner, "account %s: owner %s is not one of the household", a.ID, clip(string(a.Owner)))
	}
	if !rules.Known(a.Type) {
		return badRecord(codeUnknownAccountType, "account %s: region %s has no account type %s", a.ID, h.Region, clip(a.Type))
	}
	if !a.Currency.Known() {
		return badRecord(market.CodeUnknownCurrency, "account %s: currency %s", a.ID, clip(string(a.Currency)))
	}
	if err := checkID("model", a.Model); err != nil {
		return err
	}
	if err := checkDay("opened", a.Opened, "account "+string(a.ID)); err != nil {
		return err
	}
	if a.Opened > h.AsOf {
		return badRecord(market.CodeBadDate, "account %s: opened %s is after as_of %s", a.ID, a.Opened, h.AsOf)
	}
	if err := a.Policy.Validate(); err != nil {
		return badRecord(codeBadPolicy, "account %s: %v", a.ID, err)
	}
	for _, symbol := range a.Policy.Restricted {
		if !o.known[symbol] {
			return unknownSecurity("account "+string(a.ID), symbol)
		}
	}
	return o.checkHolding(a)
}

// checkHolding looks at an account's cash and at the positions that it says it has.
func (o *Opener) checkHolding(a *AccountRecord) error {
	for i, c := range a.Cash {
		switch {
		case !c.Currency.Known():
			return badRecord(market.CodeUnknownCurrency, "account %s: cash in %s", a.ID, clip(string(c.Currency)))
		case i > 0 && c.Currency == a.Cash[i-1].Currency:
			return badRecord(market.CodeDuplicate, "account %s: cash in %s is given twice", a.ID, c.Currency)
		case c.Amount.Round(2) != c.Amount || !c.Amount.Abs().Less(amountMax):
			return badRecord(market.CodeBadNumber, "account %s: cash of %s %s is not in cents, or not below %s", a.ID, c.Amount, c.Currency, amountMax)
		}
	}
	for i, p := range a.Positions {
		if !o.known[p.Symbol] {
			return unknownSecurity("account "+string(a.ID), p.Symbol)
		}
		switch {
		case i > 0 && p.Symbol == a.Positions[i-1].Symbol:
			return badRecord(market.CodeDuplicate, "account %s: position in %s is given twice", a.ID, p.Symbol)
		case p.Shares.Sign() <= 0 || !p.Shares.Less(amountMax):
			return badRecord(market.CodeBadNumber, "account %s: %s shares of %s are not above 0 and below %s", a.ID, p.Shares, p.Symbol, amountMax)
		}
	}
	return nil
}

func unknownSecurity(of string, symbol market.Symbol) error {
	return badRecord(market.CodeUnknownSecurity, "%s: %s is not a known security; import securities first", of, clip(string(symbol)))
}

// checkEvents looks at each event by itself; whether together they sell more than they buy shows in
// the fold.
func (o *Opener) checkEvents(h *HouseholdRecord) error {
	accounts := make(map[portfolio.AccountID]*AccountRecord, len(h.Accounts))
	for i := range h.Accounts {
		accounts[h.Accounts[i].ID] = &h.Accounts[i]
	}
	seen := make(map[string]bool, len(h.Events))
	orders := map[string]bool{}
	for i := range h.Events {
		e := &h.Events[i]
		if e.ID == "" || len(e.ID) > idMax {
			return badRecord(market.CodeBadText, "event id %s is empty or longer than %d", clip(e.ID), idMax)
		}
		if seen[e.ID] {
			return badRecord(market.CodeDuplicate, "event %s is given twice", clip(e.ID))
		}
		seen[e.ID] = true
		if e.Order != "" {
			orders[e.Order] = true
		}
		if err := o.checkEvent(h, e, accounts); err != nil {
			return err
		}
	}
	for i := range h.Events {
		for _, l := range h.Events[i].Lots {
			if !seen[l.Lot] && !orders[l.Lot] || l.Shares.Sign() <= 0 {
				return badRecord(codeUnknownLot, "event %s: lot %s is no event's nor order's id, or has no shares", clip(h.Events[i].ID), clip(l.Lot))
			}
		}
	}
	return nil
}

func (o *Opener) checkEvent(h *HouseholdRecord, e *region.Event, accounts map[portfolio.AccountID]*AccountRecord) error {
	what := "event " + clip(e.ID)
	if err := checkDay("day", e.Day, what); err != nil {
		return err
	}
	if e.Day > h.AsOf {
		return badRecord(market.CodeBadDate, "%s: day %s is after as_of %s", what, e.Day, h.AsOf)
	}
	if !o.known[e.Symbol] {
		return unknownSecurity(what, e.Symbol)
	}
	if e.Currency != "" && !e.Currency.Known() {
		return badRecord(market.CodeUnknownCurrency, "%s: currency %s", what, clip(string(e.Currency)))
	}
	for _, end := range []struct {
		account     portfolio.AccountID
		accountType string
		isSource    bool
	}{{e.Account, e.AccountType, true}, {e.ToAccount, e.ToAccountType, false}} {
		if end.account == "" && (!end.isSource || e.Kind == region.Transfer || e.Kind == region.Split) {
			continue
		}
		a, ok := accounts[end.account]
		switch {
		case !ok:
			return badRecord(codeUnknownAccount, "%s: account %s is not one of the household", what, clip(string(end.account)))
		case end.isSource && e.Owner != a.Owner:
			return badRecord(codeUnknownOwner, "%s: owner %s, but account %s is %s's", what, clip(string(e.Owner)), a.ID, a.Owner)
		case end.accountType != a.Type:
			return badRecord(codeUnknownAccountType, "%s: account type %s, but account %s is %s", what, clip(end.accountType), a.ID, a.Type)
		}
	}
	return checkAmounts(what, e)
}

// kindNeeds says which figures an event of each kind must have.
var kindNeeds = map[region.Kind]struct{ shares, amount, ratio, target bool }{
	region.Buy: {shares: true}, region.Drip: {shares: true}, region.Sell: {shares: true}, region.Split: {ratio: true},
	region.ROC: {amount: true}, region.RICG: {amount: true}, region.RIDiv: {amount: true}, region.CGDiv: {amount: true},
	region.Contribute: {shares: true, target: true}, region.Transfer: {shares: true},
}

func checkAmounts(what string, e *region.Event) error {
	needs, ok := kindNeeds[e.Kind]
	negative := e.Shares.Sign() < 0 || e.Ratio.Sign() < 0
	for _, n := range []money.Dec{e.Amount, e.PerShare, e.Commission, e.FX, e.CommissionFX} {
		negative = negative || n.Sign() < 0
		if !n.Abs().Less(amountMax) {
			return badRecord(market.CodeBadNumber, "%s: %s is not below %s", what, n, amountMax)
		}
	}
	switch {
	case !ok:
		return badRecord(codeBadEvent, "%s: unknown kind %s", what, clip(string(e.Kind)))
	case negative:
		return badRecord(market.CodeNegative, "%s: a figure below 0", what)
	case needs.shares && e.Shares.IsZero(), needs.amount && e.Amount.IsZero() && e.PerShare.IsZero(), needs.ratio && e.Ratio.IsZero():
		return badRecord(codeBadEvent, "%s: a %s without its shares, amount or ratio", what, e.Kind)
	case needs.target && e.ToAccount == "":
		return badRecord(codeBadEvent, "%s: a %s without to_account", what, e.Kind)
	case !e.Shares.Less(sharesMax):
		return badRecord(market.CodeBadNumber, "%s: shares are not below %s", what, amountMax)
	}
	return nil
}

// jsonError returns what is wrong with a line as a *market.LineError: BAD_NUMBER and BAD_DATE where
// a value is not what its field holds, else BAD_JSON.
func jsonError(err error) error {
	var badType *json.UnmarshalTypeError
	switch {
	case errors.Is(err, money.ErrSyntax), errors.Is(err, money.ErrRange), errors.Is(err, money.ErrPlaces):
		return badRecord(market.CodeBadNumber, "%v", err)
	case errors.Is(err, market.ErrDay):
		return badRecord(market.CodeBadDate, "%s", shorten(err.Error()))
	case errors.As(err, &badType) && strings.HasPrefix(badType.Value, "number"):
		return badRecord(market.CodeBadNumber, "field %s: numbers of money and shares are strings such as \"12.34\"", badType.Field)
	case errors.As(err, &badType):
		return badRecord(codeBadJSON, "field %s: a JSON %s does not belong there", badType.Field, badType.Value)
	}
	return badRecord(codeBadJSON, "%s", shorten(strings.TrimPrefix(err.Error(), "json: ")))
}

// shorten cuts a message that quotes a hostile text.
func shorten(message string) string {
	const most = 200
	if len(message) <= most {
		return message
	}
	return strings.ToValidUTF8(message[:most], "") + "…"
}
