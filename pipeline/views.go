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
	Run      Run   `json:"run"`
	Decided  int64 `json:"decided"`  // households
	Parked   int64 `json:"parked"`   // households, part of Decided
	Accounts int64 `json:"accounts"` // accounts of the decided households
	Planned  int64 `json:"planned"`  // accounts with orders
	Orders   int64 `json:"orders"`
	Flagged  int64 `json:"flagged"`
	Held     int64 `json:"held"`
	Ready    int64 `json:"ready"`    // approved and not submitted
	Waiting  int64 `json:"waiting"`  // submitted and not sent, mostly for the sales that fund them
	Approved int64 `json:"approved"` // approved, at whatever state since
	Sent     int64 `json:"sent"`
	Filled   int64 `json:"filled"`
	Rejected int64 `json:"rejected"`
}

// RunRegion is what a run harvests and holds in one region and account currency. Harvested,
// DeniedAvoided and TaxValue are in the region's home currency, cash in Currency.
type RunRegion struct {
	Region        string          `json:"region"`
	Currency      market.Currency `json:"currency"`
	Accounts      int64           `json:"accounts"`
	Harvested     money.Dec       `json:"harvested"`
	DeniedAvoided money.Dec       `json:"denied_avoided"`
	TaxValue      money.Dec       `json:"tax_value"`
	CashBefore    money.Dec       `json:"cash_before"`
	CashAfter     money.Dec       `json:"cash_after"`
}

// ParkedHousehold is a household that a run could not plan. Planted names the fault where the
// sample world put one there on purpose.
type ParkedHousehold struct {
	Household portfolio.HouseholdID `json:"household"`
	Region    string                `json:"region"`
	Reason    string                `json:"reason"`
	Detail    string                `json:"detail"`
	Accounts  []portfolio.AccountID `json:"accounts"`
	Planted   string                `json:"planted"`
}

// DriftCount is the number of accounts whose drift before and after lies in one step: from
// Step × DriftStep up to the next.
type DriftCount struct {
	Step   int   `json:"step"`
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// DriftStep is the width of a DriftCount, a share of the account's value.
var DriftStep = money.MustParse("0.0025")

// RunDetails are the figures of a run beside its progress.
type RunDetails struct {
	Summary Summary           `json:"summary"`
	Regions []RunRegion       `json:"regions"`
	Skipped []ReasonTotal     `json:"skipped"` // candidates that were not traded
	Drift   []DriftCount      `json:"drift"`
	Parked  []ParkedHousehold `json:"parked"` // the first ParkedMax by id
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
	Run             string                `json:"run"`
	ID              orders.ID             `json:"id"`
	Household       portfolio.HouseholdID `json:"household"`
	Region          string                `json:"region"`
	Account         portfolio.AccountID   `json:"account"`
	Symbol          market.Symbol         `json:"symbol"`
	Name            string                `json:"name"` // of the security
	Side            portfolio.Side        `json:"side"`
	Quantity        money.Dec             `json:"quantity"`
	Currency        market.Currency       `json:"currency"`
	Price           money.Dec             `json:"price"`
	PriceDay        market.Day            `json:"price_day"`
	Notional        money.Dec             `json:"notional"`
	AccountCurrency market.Currency       `json:"account_currency"`
	Value           money.Dec             `json:"value"`
	Reason          string                `json:"reason"`
	Numbers         map[string]string     `json:"numbers"`
	State           ReviewState           `json:"state"`
	Exception       string                `json:"exception"`
	HeldBy          string                `json:"held_by"`
	OrderQty        money.Dec             `json:"order_qty"`
	CumQty          money.Dec             `json:"cum_qty"`
	LeavesQty       money.Dec             `json:"leaves_qty"`
}

// OrderDetail is one order with all that explains it.
type OrderDetail struct {
	OrderRow
	Lots            []rebalance.TradeLot `json:"lots"`
	WaitsFor        []string             `json:"waits_for"`
	BookVersion     int64                `json:"book_version"`
	ContentHash     string               `json:"content_hash"`
	FX              money.Dec            `json:"fx"`
	LimitPrice      money.Dec            `json:"limit_price"`
	ExceptionDetail string               `json:"exception_detail"`
	Sent            *time.Time           `json:"sent,omitempty"`
	Approval        *Approved            `json:"approval,omitempty" db:"-"`
	Overrides       []LockOverride       `json:"overrides" db:"-"` // of tax locks, the latest first
	Decision        *AccountDecision     `json:"decision,omitempty" db:"-"`
	Executions      []ExecutionRow       `json:"executions" db:"-"`
	History         []AuditRow           `json:"history" db:"-"`
}

// Approved says who approved an order, and in which frozen set.
type Approved struct {
	ID       int64     `json:"id"`
	Filter   string    `json:"filter"`
	Orders   int       `json:"orders"`
	Root     string    `json:"root"`
	Maker    string    `json:"maker"`
	Approver string    `json:"approver"`
	Comment  string    `json:"comment"`
	Decided  time.Time `json:"decided"`
}

// AuditRow is one act on an order.
type AuditRow struct {
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`
	Action  string    `json:"action"`
	Comment string    `json:"comment"`
}

// OrderTotal is the count and notional of orders on one side in one currency.
type OrderTotal struct {
	Side     portfolio.Side  `json:"side"`
	Currency market.Currency `json:"currency"`
	Orders   int64           `json:"orders"`
	Notional money.Dec       `json:"notional"`
}

// FacetCount is how many of a list's orders have a value of a facet: side, region, symbol, reason,
// state or currency.
type FacetCount struct {
	Facet string `json:"facet"`
	Value string `json:"value"`
	Count int64  `json:"count"`
}

// FacetMax bounds the values of one facet, the most frequent first.
const FacetMax = 40

// AccountDecision is what a run decided for an account.
type AccountDecision struct {
	Run           string                 `json:"run"`
	Household     portfolio.HouseholdID  `json:"household"`
	Outcome       string                 `json:"outcome"`
	Reason        string                 `json:"reason"`
	Numbers       map[string]string      `json:"numbers"`
	Currency      market.Currency        `json:"currency"`
	Value         money.Dec              `json:"value"`
	CashBefore    money.Dec              `json:"cash_before"`
	CashAfter     money.Dec              `json:"cash_after"`
	DriftBefore   money.Dec              `json:"drift_before"`
	DriftAfter    money.Dec              `json:"drift_after"`
	Harvested     money.Dec              `json:"harvested"`
	DeniedAvoided money.Dec              `json:"denied_avoided"`
	TaxValue      money.Dec              `json:"tax_value"`
	Skipped       []rebalance.Reason     `json:"skipped"`
	Certificate   *rebalance.Certificate `json:"certificate,omitempty"` // nil where the rules planned
	Exception     string                 `json:"exception"`             // why a person must look at the plan, or ""
}

// AccountView is an account as its page shows it. Positions are priced with the last close on or
// before PriceDay, the session of the latest run.
type AccountView struct {
	ID         portfolio.AccountID   `json:"id"`
	Household  portfolio.HouseholdID `json:"household"`
	Region     string                `json:"region"`
	Owner      string                `json:"owner"`
	Type       string                `json:"type"`
	Currency   market.Currency       `json:"currency"`
	Model      string                `json:"model"`
	Opened     market.Day            `json:"opened"`
	PriceDay   market.Day            `json:"price_day"`
	Siblings   []portfolio.AccountID `json:"siblings" db:"-"` // the other accounts of the household
	Positions  []PositionRow         `json:"positions" db:"-"`
	Cash       []portfolio.Cash      `json:"cash" db:"-"`
	Decisions  []AccountDecision     `json:"decisions" db:"-"`
	Orders     []OrderRow            `json:"orders" db:"-"`
	Executions []ExecutionRow        `json:"executions" db:"-"`
	Locks      []LockRow             `json:"locks" db:"-"`
	Exceptions []ExceptionRow        `json:"exceptions" db:"-"`
	Taxes      []TaxMark             `json:"taxes" db:"-"`     // newest first
	TaxFault   string                `json:"tax_fault" db:"-"` // why there are none
}

// PositionRow is a position with its price; Price is zero where there is none.
type PositionRow struct {
	Symbol   market.Symbol   `json:"symbol"`
	Name     string          `json:"name"`
	Shares   money.Dec       `json:"shares"`
	Currency market.Currency `json:"currency"`
	Price    money.Dec       `json:"price"`
	PriceDay market.Day      `json:"price_day"`
}

// LockRow is a lock on buying back, as an account's household has it.
type LockRow struct {
	Property string              `json:"property"`
	Symbol   market.Symbol       `json:"symbol"`
	Account  portfolio.AccountID `json:"account"`
	Until    market.Day          `json:"until"`
	State    string              `json:"state"`
}

// ExceptionRow is an exception of the book that is open.
type ExceptionRow struct {
	Account portfolio.AccountID `json:"account"`
	Code    string              `json:"code"`
	Subject string              `json:"subject"`
	Detail  string              `json:"detail"`
	Owner   string              `json:"owner"`
	Opened  time.Time           `json:"opened"`
}

// ExecutionRow is one execution as the book applied it.
type ExecutionRow struct {
	Household       portfolio.HouseholdID `json:"household"`
	Version         int64                 `json:"version"`
	Key             string                `json:"key"`
	ExecType        string                `json:"exec_type"`
	OrderID         orders.ID             `json:"order_id"`
	Run             string                `json:"run"`
	Account         portfolio.AccountID   `json:"account"`
	Symbol          market.Symbol         `json:"symbol"`
	Side            portfolio.Side        `json:"side"`
	Quantity        money.Dec             `json:"quantity"`
	Price           money.Dec             `json:"price"`
	Commission      money.Dec             `json:"commission"`
	Fees            money.Dec             `json:"fees"`
	Currency        market.Currency       `json:"currency"`
	TradeDate       market.Day            `json:"trade_date"`
	SettleDate      market.Day            `json:"settle_date"`
	BrokerTime      time.Time             `json:"broker_time"`
	Effective       bool                  `json:"effective"`
	SourcePartition int32                 `json:"source_partition"`
	SourceOffset    int64                 `json:"source_offset"`
}

// FillMark is the next offset of a partition of executions that a reader has not seen.
type FillMark struct {
	Partition int32
	Next      int64
}

// StreamRow is how far a topic was applied, over all of its partitions.
type StreamRow struct {
	Topic      string     `json:"topic"`
	Partitions int64      `json:"partitions"`
	Applied    int64      `json:"applied"`
	Duplicate  int64      `json:"duplicate"`
	Held       int64      `json:"held"`
	Dead       int64      `json:"dead"`
	LastRecord *time.Time `json:"last_record,omitempty"`
}

// StateCount is the number of orders in a state, over the runs whose orders may still move.
type StateCount struct {
	State string `json:"state"`
	Count int64  `json:"count"`
}

// Found says what a text that a person searched for is the id of: "run", "order", "account",
// "household" or "symbol"; Run is the latest run that has it, for orders and symbols.
type Found struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	Run  string `json:"run"`
}
