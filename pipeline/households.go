package pipeline

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"daybreak/fills"
	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
	"daybreak/tlh"
)

// HouseholdRecord is a household as a file of households has it, one a line: who its people are,
// their accounts as of a day, and all that their taxes need to know of the past. The schema is
// docs/household.schema.json.
type HouseholdRecord struct {
	ID         portfolio.HouseholdID `json:"id"`
	Region     string                `json:"region"`
	RoutingKey string                `json:"routing_key,omitempty"` // absent: the id
	AsOf       market.Day            `json:"as_of"`                 // cash and holdings are those of this day's evening
	Owners     []OwnerRecord         `json:"owners"`
	Accounts   []AccountRecord       `json:"accounts"`
	Location   *portfolio.Location   `json:"location,omitempty"` // absent: each account follows its own targets
	// Events are the purchases, sales and distributions that made the holdings, in any order: the
	// whole history, or a purchase for each lot that is still open.
	Events []region.Event `json:"events,omitempty"`
	// PlantedFault is the code that the morning run parks the household with, where a simulation
	// broke it on purpose.
	PlantedFault string `json:"planted_fault,omitempty"`
	// Today is what `daybreak plan` reads of the day besides: locks, open orders, unsettled proceeds,
	// another location. An import leaves it out, for the book has its own.
	Today json.RawMessage `json:"today,omitempty"`
}

// OwnerRecord is one taxpayer of a HouseholdRecord; To absent means still.
type OwnerRecord struct {
	ID      portfolio.OwnerID `json:"id"`
	From    market.Day        `json:"from"`
	To      market.Day        `json:"to,omitzero"`
	Carried *CarriedLosses    `json:"carried_losses,omitempty"`
}

// AccountRecord is one account of a HouseholdRecord. Positions absent means whatever the events
// leave; where they are given, they must be just that.
type AccountRecord struct {
	ID        portfolio.AccountID  `json:"id"`
	Owner     portfolio.OwnerID    `json:"owner"`
	Type      string               `json:"type"`
	Currency  market.Currency      `json:"currency"`
	Model     string               `json:"model"`
	Opened    market.Day           `json:"opened"`
	Policy    portfolio.Policy     `json:"policy,omitzero"`
	Cash      []portfolio.Cash     `json:"cash"`
	Positions []portfolio.Position `json:"positions,omitzero"`
}

// The faults that a simulation plants: what the morning run must park the household with.
const (
	FaultNegativeCash = "NEGATIVE_CASH"
	FaultStalePrice   = "STALE_PRICE"
	FaultNoPrice      = "NO_PRICE"
	FaultNoModel      = "NO_MODEL"
	FaultLotsDiffer   = "LOTS_DIFFER"
)

// Opening is a household as the book begins with it, at book version 0.
type Opening struct {
	Household     portfolio.Household
	Opened        market.Day   // when its first account was
	AccountOpened []market.Day // by place in Household.Accounts
	AsOf          market.Day
	SourceHash    string // of the record's canonical JSON
	PlantedFault  string

	Carried    []CarriedLoss     // by owner, then year
	Moves      []ledger.Move     // from outside to cash and units, by account, cash first
	Exceptions []fills.Exception // facts that a person must look at before the household trades
	Locks      []tlh.Lock        // of the sales at a loss whose window is open at AsOf, each named by its event
	EventCount int
	Events     []byte // zstd of the JSON of the record's events
	Checkpoint []byte // zstd of the JSON of the tax book's checkpoint at AsOf
	Rules      string // fingerprint of the rules that the checkpoint was made under
}

// Opener makes openings of records. It is safe for concurrent use.
type Opener struct {
	known     map[market.Symbol]bool
	identical map[market.Symbol]string

	mu    sync.Mutex
	rules map[string]*region.Rules
}

// NewOpener returns an Opener that knows these securities.
func NewOpener(securities []market.Security) *Opener {
	o := &Opener{known: make(map[market.Symbol]bool, len(securities)), identical: market.IdenticalGroups(securities), rules: map[string]*region.Rules{}}
	for _, s := range securities {
		o.known[s.Symbol] = true
	}
	return o
}

// rulesOf returns the rules of a region, which are read once.
func (o *Opener) rulesOf(name string) (*region.Rules, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r, ok := o.rules[name]; ok {
		return r, nil
	}
	r, err := region.Load(name)
	if err == nil {
		o.rules[name] = r
	}
	return r, err
}

// Open checks a record and folds its events to positions, journal and tax book. What is wrong with
// the record is a *market.LineError, also where sums of its figures leave the range of a Dec.
func (o *Opener) Open(h HouseholdRecord) (opening Opening, err error) {
	defer func() {
		r := recover()
		if outOfRange, ok := r.(error); ok && errors.Is(outOfRange, money.ErrRange) {
			opening, err = Opening{}, badRecord(market.CodeBadNumber, "household %s: sums of its figures are out of range", h.ID)
		} else if r != nil {
			panic(r)
		}
	}()
	return o.open(h)
}

func (o *Opener) open(h HouseholdRecord) (Opening, error) {
	rules, err := o.rulesOf(h.Region)
	if err != nil {
		return Opening{}, badRecord(codeUnknownRegion, "household %s: region %s has no rule file", clip(string(h.ID)), clip(h.Region))
	}
	h = canonical(h)
	if err := o.check(rules, &h); err != nil {
		return Opening{}, err
	}
	opening := Opening{Household: householdOf(h), AsOf: h.AsOf, Opened: h.Accounts[0].Opened, PlantedFault: h.PlantedFault, Rules: rules.Fingerprint()}
	for _, a := range h.Accounts {
		opening.AccountOpened = append(opening.AccountOpened, a.Opened)
		opening.Opened = min(opening.Opened, a.Opened)
	}
	opening.Carried = carriedLosses(h)
	if err := opening.keepHistory(h); err != nil {
		return Opening{}, err
	}
	scope := region.ScopeOf(opening.Household, o.identical)
	book, err := region.Fold(rules, scope, region.Checkpoint{}, h.Events)
	if err != nil {
		return Opening{}, badRecord(codeBadEvent, "household %s: %v", h.ID, err)
	}
	if err := checkOverlap(rules, &h, book); err != nil {
		return Opening{}, err
	}
	if err := opening.keepBook(h, book); err != nil {
		return Opening{}, err
	}
	opening.Locks = openingLocks(rules, scope, book, h)
	opening.Moves = openingMoves(opening.Household)
	opening.Exceptions = openingExceptions(opening.Household, h.PlantedFault)
	return opening, nil
}

// canonical returns the record with its defaults filled in and its lists in order, so that the same
// content has one hash.
func canonical(h HouseholdRecord) HouseholdRecord {
	if h.RoutingKey == "" {
		h.RoutingKey = string(h.ID)
	}
	h.Owners = slices.Clone(h.Owners)
	slices.SortFunc(h.Owners, func(a, b OwnerRecord) int { return cmp.Compare(a.ID, b.ID) })
	for i := range h.Owners {
		h.Owners[i].Carried = h.Owners[i].Carried.canonical()
	}
	h.Accounts = slices.Clone(h.Accounts)
	slices.SortFunc(h.Accounts, func(a, b AccountRecord) int { return cmp.Compare(a.ID, b.ID) })
	for i := range h.Accounts {
		a := &h.Accounts[i]
		a.Cash = slices.Clone(a.Cash)
		slices.SortFunc(a.Cash, func(x, y portfolio.Cash) int { return cmp.Compare(x.Currency, y.Currency) })
		a.Positions = slices.Clone(a.Positions)
		slices.SortFunc(a.Positions, func(x, y portfolio.Position) int { return cmp.Compare(x.Symbol, y.Symbol) })
	}
	return h
}

// householdOf returns the household of a checked record, still without positions.
func householdOf(h HouseholdRecord) portfolio.Household {
	household := portfolio.Household{ID: h.ID, Region: h.Region, RoutingKey: h.RoutingKey, Location: h.Location}
	for _, o := range h.Owners {
		owner := portfolio.Owner{ID: o.ID, From: o.From, To: o.To}
		if o.To == 0 {
			owner.To = market.NoDay
		}
		household.Owners = append(household.Owners, owner)
	}
	for _, a := range h.Accounts {
		household.Accounts = append(household.Accounts, portfolio.Account{
			ID: a.ID, Owner: a.Owner, Type: a.Type, Currency: a.Currency, Model: a.Model, Policy: a.Policy, Cash: a.Cash,
		})
	}
	return household
}

// keepHistory stores the events as they came and the hash of the whole record.
func (p *Opening) keepHistory(h HouseholdRecord) error {
	events, err := json.Marshal(h.Events)
	if err != nil {
		return fmt.Errorf("household %s: write its events: %w", h.ID, err)
	}
	p.EventCount = len(h.Events)
	p.Events = Compress(events)
	h.Events = nil
	rest, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("household %s: write its record: %w", h.ID, err)
	}
	p.SourceHash = hashOf(slices.Concat(rest, events))
	return nil
}

// keepBook takes positions and the checkpoint from the folded tax book. Positions that were given
// must be those of the book, unless the household is one that was broken on purpose.
func (p *Opening) keepBook(h HouseholdRecord, book *region.Book) error {
	for i := range p.Household.Accounts {
		a := &p.Household.Accounts[i]
		held, err := positionsOf(book.Holdings(a.ID))
		if err != nil {
			return badRecord(codeOversold, "account %s: %v", a.ID, err)
		}
		given := h.Accounts[i].Positions
		if given != nil && !slices.Equal(given, held) && h.PlantedFault != FaultLotsDiffer {
			return badRecord(codeLotsDiffer, "account %s: %s", a.ID, positionDifference(given, held))
		}
		a.Positions = held
		if given != nil {
			a.Positions = given
		}
	}
	body, err := json.Marshal(book.Checkpoint(h.AsOf))
	if err != nil {
		return fmt.Errorf("household %s: write its tax book: %w", h.ID, err)
	}
	p.Checkpoint = Compress(body)
	return nil
}

// openingLocks returns the locks that a household brings with it: one for each sale at a loss whose
// window is open at the day of its record.
func openingLocks(rules *region.Rules, scope region.Scope, book *region.Book, h HouseholdRecord) []tlh.Lock {
	sold := map[string]bool{}
	for _, e := range h.Events {
		if e.Kind == region.Sell && rules.TaxDay(e.Day, e.Settle)+market.Day(rules.WindowDays()) >= h.AsOf {
			sold[scope.Property(e.Symbol)] = true
		}
	}
	var all []tlh.Lock
	for _, property := range sortedKeys(sold) {
		all = append(all, tlh.LossLocks(book, rules, property, h.AsOf)...)
	}
	return all
}

// errOversold is wrapped with the symbol where the events sell more than they bought.
var errOversold = errors.New("sold more than the events before it bought")

// positionsOf returns the sums of holdings by symbol, none of zero shares.
func positionsOf(holdings []region.Holding) ([]portfolio.Position, error) {
	sums := map[market.Symbol]money.Rat{}
	for _, t := range holdings {
		sums[t.Symbol] = sums[t.Symbol].Add(t.Shares)
	}
	positions := make([]portfolio.Position, 0, len(sums))
	for symbol, shares := range sums {
		switch shares.Sign() {
		case 1:
			positions = append(positions, portfolio.Position{Symbol: symbol, Shares: shares.Dec()})
		case -1:
			return nil, fmt.Errorf("%s: %w", symbol, errOversold)
		}
	}
	slices.SortFunc(positions, func(a, b portfolio.Position) int { return cmp.Compare(a.Symbol, b.Symbol) })
	return positions, nil
}

// positionDifference says where two lists of positions first differ.
func positionDifference(given, held []portfolio.Position) string {
	shares := map[string][2]money.Dec{}
	for i, list := range [][]portfolio.Position{given, held} {
		for _, p := range list {
			pair := shares[string(p.Symbol)]
			pair[i] = p.Shares
			shares[string(p.Symbol)] = pair
		}
	}
	for _, symbol := range sortedKeys(shares) {
		if pair := shares[symbol]; pair[0] != pair[1] {
			return fmt.Sprintf("positions say %s %s, the events leave %s", pair[0], symbol, pair[1])
		}
	}
	return "a position is given twice"
}

// openingMoves returns the journal of an opening: all that accounts have comes from outside.
func openingMoves(h portfolio.Household) []ledger.Move {
	var moves []ledger.Move
	for _, a := range h.Accounts {
		for _, c := range a.Cash {
			moves = append(moves, ledger.Deposit(string(a.ID), c.Currency, c.Amount)...)
		}
		for _, p := range a.Positions {
			moves = append(moves, ledger.Opening(string(a.ID), p.Symbol, p.Shares)...)
		}
	}
	return moves
}

// openingExceptions returns what is true of an opening and not in order: cash below zero, and
// positions that a simulation made differ from their tax history.
func openingExceptions(h portfolio.Household, plantedFault string) []fills.Exception {
	var exceptions []fills.Exception
	for _, a := range h.Accounts {
		for _, c := range a.Cash {
			if c.Amount.Sign() < 0 {
				exceptions = append(exceptions, fills.Exception{
					Account: a.ID, Code: fills.NegativeCash, Subject: string(c.Currency),
					Detail: fmt.Sprintf("opened with %s %s", c.Amount, c.Currency),
				})
			}
		}
		if plantedFault == FaultLotsDiffer {
			exceptions = append(exceptions, fills.Exception{
				Account: a.ID, Code: FaultLotsDiffer, Subject: string(h.ID), Detail: "positions of the household differ from its tax history",
			})
		}
	}
	return exceptions
}
