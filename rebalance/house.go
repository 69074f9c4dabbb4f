package rebalance

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/rebalance/optimum"
	"daybreak/region"
	"daybreak/tlh"
)

// house is a household while it is planned: its accounts by id, the tax book and what may not be
// bought or sold. Nothing in it outlives one call of Plan.
type house struct {
	in       Input
	market   *market.Snapshot
	settings Settings
	rules    *region.Rules
	book     *region.Book
	mixes    map[string]*portfolio.Mix
	quotes   map[market.Symbol]*quote
	accounts []*account
	bars     *tlh.Bars
	solver   optimum.Solver
	wanted   map[string][]candidate          // harvests that could be, by property
	together map[string]bool                 // properties of which only all candidates together are clean
	sold     map[string]bool                 // properties that the plan sells in accounts with gains tax
	bought   map[string]bool                 // properties that it buys there
	refused  map[string]bool                 // properties whose losses the audit of an earlier attempt refused
	unbought map[string]bool                 // properties that accounts with gains tax may not buy, by an earlier attempt
	standing map[standingKey]region.Standing // of the tax units in the tax year before the plan, made when first asked for
	taken    map[standingKey]result          // what the plan's harvests realise, by tax unit
	lossless bool                            // no loss may be taken at all: the last resort of the audit
	planner  Planner
	because  string                         // why the rules plan where the optimiser was asked for
	stakes   map[stakeKey]stake             // what could be harvested
	worth    map[standingKey]money.Dec      // of losses to each tax unit, as a share of the tax on gains
	unworthy map[stakeKey]Reason            // harvests that earlier attempts found to be worth too little
	broken   map[portfolio.AccountID]string // accounts whose plan an earlier attempt found to break a rule, and which
}

// quote is what the market says of one security, as far as a trade of the day needs it.
type quote struct {
	security market.Security
	price    market.Price
	property string
	settle   market.Day
	taxDay   market.Day // of a trade today
	isOpen   bool
	fault    string // UnknownSecurity, NoPrice, StalePrice, or "" where it can be traded
}

func newHouse(in Input, m *market.Snapshot) *house {
	h := &house{
		in: in, market: m, settings: in.Settings.WithDefaults(),
		mixes: map[string]*portfolio.Mix{}, quotes: map[market.Symbol]*quote{}, refused: map[string]bool{}, unbought: map[string]bool{},
		standing: map[standingKey]region.Standing{}, unworthy: map[stakeKey]Reason{}, broken: map[portfolio.AccountID]string{},
	}
	h.locate()
	for _, a := range h.in.Household.Accounts {
		h.accounts = append(h.accounts, newAccount(a))
	}
	h.in.Open = slices.Clone(in.Open)
	slices.SortFunc(h.in.Open, func(a, b portfolio.OpenOrder) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(h.accounts, func(a, b *account) int { return cmp.Compare(a.ID, b.ID) })
	return h
}

// locate leaves the household its targets only where the run lets them count, and gives every account the
// model that they name.
func (h *house) locate() {
	home := &h.in.Household
	if h.settings.Location == LocationOff {
		home.Location = nil
	}
	if home.Location == nil || home.Location.Model == "" {
		return
	}
	home.Accounts = slices.Clone(home.Accounts)
	for i := range home.Accounts {
		home.Accounts[i].Model = home.Location.Model
	}
}

// quote returns what is known of a symbol, looked up once for each household.
func (h *house) quote(symbol market.Symbol) *quote {
	q, ok := h.quotes[symbol]
	if !ok {
		q = h.lookUp(symbol)
		h.quotes[symbol] = q
	}
	return q
}

func (h *house) lookUp(symbol market.Symbol) *quote {
	q := &quote{property: string(symbol), settle: h.in.Day}
	var err error
	if q.security, err = h.market.Security(symbol); err != nil {
		q.fault = UnknownSecurity
		return q
	}
	if group, ok := h.market.Identical()[symbol]; ok {
		q.property = group
	}
	if exchange, err := market.Calendar(q.security.Exchange); err == nil {
		q.isOpen = exchange.IsSession(h.in.Day)
		q.settle = exchange.SettleDay(h.in.Day)
	}
	q.taxDay = h.rules.TaxDay(h.in.Day, q.settle)
	q.price, err = h.market.Price(symbol)
	switch {
	case err != nil || q.price.Close.Sign() <= 0:
		q.fault = NoPrice
	case h.in.Day-q.price.Day > market.Day(h.settings.StaleDays):
		q.fault = StalePrice
	}
	return q
}

// property returns the identical group of a symbol.
func (h *house) property(symbol market.Symbol) string { return h.quote(symbol).property }

// rate returns the value of one unit of a currency in another, and false where there is no rate.
func (h *house) rate(from, to market.Currency) (money.Dec, bool) {
	r, err := h.market.Rate(from, to)
	return r.Rate, err == nil && r.Rate.Sign() > 0
}
