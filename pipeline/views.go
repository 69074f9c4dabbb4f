package pipeline

import (
	"time"

	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

// The types of this file are what people look at: rows that pages show and that no decision reads.

// ReviewState says where an order stands for a person: FIX's states once the broker has it, and
// before that where it is on its way there.
type ReviewState string

// The states before the broker has an order; after that they are those of orders.State.
const (
	ReviewProposed  ReviewState = "Proposed"  // waits for an approval
	ReviewFlagged   ReviewState = "Flagged"   // an exception keeps it from being sent
	ReviewHeld      ReviewState = "Held"      // a person keeps it back
	ReviewApproved  ReviewState = "Approved"  // another person than the maker signed it
	ReviewSubmitted ReviewState = "Submitted" // the gateway has it, and may wait for the sales that fund it
)

// RunOverview is a run and how far it has come. Decided, Parked and Proposed are counters that
// workers keep; Planned and Accounts are counted from decisions; the others are counted from orders.
type RunOverview struct {
	Run      Run
	Decided  int64 // households
	Parked   int64 // households, part of Decided
	Accounts int64 // accounts of the decided households
	Planned  int64 // accounts with orders
	Orders   int64
	Flagged  int64
	Held     int64
	Ready    int64 // approved and not submitted
	Waiting  int64 // submitted and not sent, mostly for the sales that fund them
	Approved int64 // approved, at whatever state since
	Sent     int64
	Filled   int64
	Rejected int64
}

// RunRegion is what a run harvests and holds in one region and account currency. Harvested,
// DeniedAvoided and TaxValue are in the region's home currency, cash in Currency.
type RunRegion struct {
	Region        string
	Currency      market.Currency
	Accounts      int64
	Harvested     money.Dec
	DeniedAvoided money.Dec
	TaxValue      money.Dec
	CashBefore    money.Dec
	CashAfter     money.Dec
}

// ParkedHousehold is a household that a run could not plan. Planted names the fault where the
// sample world put one there on purpose.
type ParkedHousehold struct {
	Household portfolio.HouseholdID
	Region    string
	Reason    string
	Detail    string
	Accounts  []portfolio.AccountID
	Planted   string
}

// DriftCount is the number of accounts whose drift before and after lies in one step: from
// Step × DriftStep up to the next.
type DriftCount struct {
	Step   int
	Before int64
	After  int64
}

// DriftStep is the width of a DriftCount, a share of the account's value.
var DriftStep = money.MustParse("0.0025")

// RunDetails are the figures of a run beside its progress.
type RunDetails struct {
	Summary Summary
	Regions []RunRegion
	Skipped []ReasonTotal // candidates that were not traded
	Drift   []DriftCount
	Parked  []ParkedHousehold // the first ParkedMax by id
}

// ParkedMax bounds the parked households of RunDetails.
const ParkedMax = 200

// OrderFilter chooses orders of a run: those that match every field that is not empty, and any
// value of it.
type OrderFilter struct {
	Sides       []string
	Regions     []string
	Symbols     []string
	Reasons     []string
	States      []string // ReviewState
	Currencies  []string
	Accounts    []string
	IDs         []string
	NotionalMin money.Dec
}

// OrderSort is a column that orders can be read by.
type OrderSort string

// The columns.
const (
	ByNotional OrderSort = "notional"
	BySymbol   OrderSort = "symbol"
	ByAccount  OrderSort = "account"
)

// OrderCursor is the place of an order in a list: its value in the sorted column and its id.
type OrderCursor struct {
	Value string
	ID    string
}

// OrderPage asks for at most Limit orders of a run by a column, ties by id. After is the last order
// of the page before; Before, where it is set, asks for the page that ends just before it.
type OrderPage struct {
	Run    string
	Filter OrderFilter
	Sort   OrderSort
	Down   bool
	After  *OrderCursor
	Before *OrderCursor
	Limit  int
}

// OrderRow is one order of a list.
type OrderRow struct {
	Run             string
	ID              orders.ID
	Household       portfolio.HouseholdID
	Region          string
	Account         portfolio.AccountID
	Symbol          market.Symbol
	Name            string // of the security
	Side            portfolio.Side
	Quantity        money.Dec
	Currency        market.Currency
	Price           money.Dec
	PriceDay        market.Day
	Notional        money.Dec
	AccountCurrency market.Currency
	Value           money.Dec
	Reason          string
	Numbers         map[string]string
	State           ReviewState
	Exception       string
	HeldBy          string
	OrderQty        money.Dec
	CumQty          money.Dec
	LeavesQty       money.Dec
}

// OrderDetail is one order with all that explains it.
type OrderDetail struct {
	OrderRow
	Lots            []rebalance.TradeLot
	WaitsFor        []string
	BookVersion     int64
	ContentHash     string
	FX              money.Dec
	LimitPrice      money.Dec
	ExceptionDetail string
	Sent            *time.Time
	Approval        *Approved        `db:"-"`
	Overrides       []LockOverride   `db:"-"` // of tax locks, the latest first
	Decision        *AccountDecision `db:"-"`
	Executions      []ExecutionRow   `db:"-"`
	History         []AuditRow       `db:"-"`
}

// Approved says who approved an order, and in which frozen set.
type Approved struct {
	ID       int64
	Filter   string
	Orders   int
	Root     string
	Maker    string
	Approver string
	Comment  string
	Decided  time.Time
}

// AuditRow is one act on an order.
type AuditRow struct {
	At      time.Time
	Actor   string
	Action  string
	Comment string
}

// OrderTotal is the count and notional of orders on one side in one currency.
type OrderTotal struct {
	Side     portfolio.Side
	Currency market.Currency
	Orders   int64
	Notional money.Dec
}

// FacetCount is how many of a list's orders have a value of a facet: side, region, symbol, reason,
// state or currency.
type FacetCount struct {
	Facet string
	Value string
	Count int64
}

// FacetMax bounds the values of one facet, the most frequent first.
const FacetMax = 40

// AccountDecision is what a run decided for an account.
type AccountDecision struct {
	Run           string
	Household     portfolio.HouseholdID
	Outcome       string
	Reason        string
	Numbers       map[string]string
	Currency      market.Currency
	Value         money.Dec
	CashBefore    money.Dec
	CashAfter     money.Dec
	DriftBefore   money.Dec
	DriftAfter    money.Dec
	Harvested     money.Dec
	DeniedAvoided money.Dec
	TaxValue      money.Dec
	Skipped       []rebalance.Reason
	Certificate   *rebalance.Certificate // nil where the rules planned
	Exception     string                 // why a person must look at the plan, or ""
}

// AccountView is an account as its page shows it. Positions are priced with the last close on or
// before PriceDay, the session of the latest run.
type AccountView struct {
	ID         portfolio.AccountID
	Household  portfolio.HouseholdID
	Region     string
	Owner      string
	Type       string
	Currency   market.Currency
	Model      string
	Opened     market.Day
	PriceDay   market.Day
	Siblings   []portfolio.AccountID `db:"-"` // the other accounts of the household
	Positions  []PositionRow         `db:"-"`
	Cash       []portfolio.Cash      `db:"-"`
	Decisions  []AccountDecision     `db:"-"`
	Orders     []OrderRow            `db:"-"`
	Executions []ExecutionRow        `db:"-"`
	Locks      []LockRow             `db:"-"`
	Exceptions []ExceptionRow        `db:"-"`
	Taxes      []TaxMark             `db:"-"` // newest first
	TaxFault   string                `db:"-"` // why there are none
}

// PositionRow is a position with its price; Price is zero where there is none.
type PositionRow struct {
	Symbol   market.Symbol
	Name     string
	Shares   money.Dec
	Currency market.Currency
	Price    money.Dec
	PriceDay market.Day
}

// LockRow is a lock on buying back, as an account's household has it.
type LockRow struct {
	Property string
	Symbol   market.Symbol
	Account  portfolio.AccountID
	Until    market.Day
	State    string
}

// ExceptionRow is an exception of the book that is open.
type ExceptionRow struct {
	Account portfolio.AccountID
	Code    string
	Subject string
	Detail  string
	Owner   string
	Opened  time.Time
}

// ExecutionRow is one execution as the book applied it.
type ExecutionRow struct {
	Household       portfolio.HouseholdID
	Version         int64
	Key             string
	ExecType        string
	OrderID         orders.ID
	Run             string
	Account         portfolio.AccountID
	Symbol          market.Symbol
	Side            portfolio.Side
	Quantity        money.Dec
	Price           money.Dec
	Commission      money.Dec
	Fees            money.Dec
	Currency        market.Currency
	TradeDate       market.Day
	SettleDate      market.Day
	BrokerTime      time.Time
	Effective       bool
	SourcePartition int32
	SourceOffset    int64
}

// FillMark is the next offset of a partition of executions that a reader has not seen.
type FillMark struct {
	Partition int32
	Next      int64
}

// StreamRow is how far a topic was applied, over all of its partitions.
type StreamRow struct {
	Topic      string
	Partitions int64
	Applied    int64
	Duplicate  int64
	Held       int64
	Dead       int64
	LastRecord *time.Time
}

// StateCount is the number of orders in a state, over the runs whose orders may still move.
type StateCount struct {
	State string
	Count int64
}

// Found says what a text that a person searched for is the id of: "run", "order", "account",
// "household" or "symbol"; Run is the latest run that has it, for orders and symbols.
type Found struct {
	Kind string
	ID   string
	Run  string
}
