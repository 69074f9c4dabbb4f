// Package optimum finds the trades of one account that minimise risk against the target, tax,
// trading cost and idle cash together, and proves how near the optimum they are.
//
// The caller describes an account in exact numbers (Account, Universe) and gets exact trades back
// (Plan). Between the two lies a problem in float64, solved by Newton's method on the dual in one
// dimension a risk factor and a row, and by branching on the choices that are not convex: a
// security that may be harvested or bought, a minimum trade. A Plan carries its objective,
// recomputed from the rounded trades alone, and a lower bound, recomputed from the dual points
// alone, so that their difference bounds what any other set of trades could gain.
//
// Every result is the same bits for the same input on every processor: sums have a fixed order,
// no product is fused with a sum, and work is bounded by counts, never by time.
package optimum

import (
	"daybreak/market"
	"daybreak/money"
)

// Security is one security as all accounts of a run see it.
type Security struct {
	ID          string
	Property    string    // what it counts as for the loss rules of a household; "" for the ID
	Price       money.Dec // of one share in the account's currency
	Cost        money.Dec // of trading one way, a share of the value traded; half the spread
	SpecificVol float64   // annual volatility that no factor explains; must be above 0
	Load        []float64 // annual volatility by factor; factors are uncorrelated with variance 1
	Cash        int       // index of the cash that pays for it and receives its proceeds; 0 is Account.Cash
}

// Universe is the securities and the risk model that many accounts share. It is immutable.
type Universe struct {
	Securities []Security
	factors    int
	load       []float64 // securities × factors
	variance   []float64
	cost       []float64
	price      []float64
	fault      []string // by security, code of what is wrong with it
}

// Lot is shares of one security with their cost for tax.
type Lot struct {
	Security    int32 // index in the universe
	ID          string
	Shares      money.Dec
	Cost        money.Dec // total, account currency
	IsShort     bool      // a gain would be short term
	LossBarred  bool      // its loss would be denied, so it is not sold at a loss
	IsSheltered bool      // as Account.IsSheltered, of this lot alone
	IsOpen      bool      // an order has yet to bring it; whoever makes the problem leaves its security alone
}

// Bar says until when, and because of what, something is barred.
type Bar struct {
	Until market.Day
	By    string
}

// Rule limits the trades of one security in one account. The zero value limits nothing.
type Rule struct {
	NoBuy       bool // restricted: never bought
	NoSell      bool // restricted: never sold
	BuyBarred   bool // a purchase would deny the loss of an earlier sale
	BuyBar      Bar
	LossBarred  bool // a sale at a loss would be denied
	LossBar     Bar
	Lower       money.Dec // least weight after trading; 0 for none
	Upper       money.Dec // largest weight after trading; 0 for none
	MinTrade    money.Dec // as the account's, of this security; the larger counts
	WholeShares bool      // as the account's, of this security
	HarvestMin  float64   // as the options', of this security; 0 leaves it to them
}

// Group bounds the sum of the weights of some securities after trading.
type Group struct {
	Name         string
	Securities   []int32
	Lower, Upper money.Dec // 0 for none
}

// Balance is cash in a further currency, in units of the account's currency.
type Balance struct {
	Currency market.Currency
	Cash     money.Dec
	Least    money.Dec // after trading
	Spread   money.Dec // cost of converting one way, a share of the amount
}

// Gains is how realised gains net over the year. Rates hold while the class has a net gain; a net
// loss of one class is set against the gain of the other; what remains as a loss is worth LossRate.
// With a Budget the net gain of the year must not pass it.
type Gains struct {
	ShortSoFar, LongSoFar money.Dec // realised this year, account currency
	IsNetted              bool      // tax follows the netted sums, not each lot
	LossRate              money.Dec // value of one unit of net loss
	HasBudget             bool
	Budget                money.Dec
}

// Account is what one plan depends on besides the universe.
type Account struct {
	ID          string
	Cash        money.Dec
	Withdrawal  money.Dec   // must remain in cash on top of the floor
	CashTarget  money.Dec   // weight of cash wanted; Targets and it sum to one
	Targets     []money.Dec // weight by security
	Lots        []Lot       // any order
	Rules       []Rule      // by security, or empty
	Groups      []Group
	Balances    []Balance
	Gains       Gains
	IsSheltered bool        // gains are not taxed and losses are worth nothing
	Drag        []money.Dec // by security, or empty: yearly tax on what a weight of one pays out
	isJoint     bool        // balances are the cash of further accounts: nothing converts between them
	MinTrade    money.Dec   // least value of a trade
	WholeShares bool        // only whole shares trade; a position may be sold out
}

// Mode says what a plan may do.
type Mode string

// The modes. The zero value is Full.
const (
	Full        Mode = ""             // everything that lowers the objective
	CashOnly    Mode = "cash_only"    // invests spare cash, or sells for the cash that is missing
	HarvestOnly Mode = "harvest_only" // sells at a loss, buys with the proceeds
	Nothing     Mode = "nothing"      // no trades; the reasons say what a full plan would do
)

// Roles says who decides whether a security with a loss is sold or bought.
type Roles string

// The roles.
const (
	Mixed Roles = "mixed" // the optimisation
	Fixed Roles = "fixed" // the harvest threshold: at or past it sold, below it bought
)

// Options are the parameters of the objective and of the search; see DefaultOptions.
type Options struct {
	RiskAversion float64   // objective for one unit of annual variance
	IdleCash     float64   // objective for a weight of one in cash, over the year
	ShortRate    float64   // tax on one unit of short-term gain
	LongRate     float64   // tax on one unit of long-term gain
	HarvestMin   float64   // loss ÷ cost from which a security may be sold at a loss
	CashFloor    money.Dec // least weight of cash after trading
	Mode         Mode
	Roles        Roles
	Exact        bool    // search until the optimum is proven, or NodesMax is reached
	GapAim       float64 // gap at which the search ends, fraction of value
	NodesMax     int     // branches looked at; 0 for the default
}

// DefaultOptions are the constants of the workload schema rebalance-workload/1.
func DefaultOptions() Options {
	return Options{RiskAversion: 50, IdleCash: 0.01, ShortRate: 0.41, LongRate: 0.26, HarvestMin: 0.03,
		CashFloor: money.MustParse("0.005"), Roles: Mixed, GapAim: 5e-6}
}

// Fault is what keeps an account from being planned. Code is one of the codes below.
type Fault struct {
	Code     string
	Security string // where one is at fault
	Detail   string
}

// The codes of a Fault.
const (
	BadPrice   = "BAD_PRICE"         // a price that is not above zero
	BadRisk    = "BAD_RISK_MODEL"    // a specific risk that is not above zero, or loadings that are missing or no numbers
	BadOptions = "BAD_OPTIONS"       // a risk aversion that is not above zero, or netted gains whose rates do not fall from short to long to loss
	BadTargets = "BAD_TARGETS"       // targets that are negative, or do not sum to one with the cash target
	BadLot     = "BAD_LOT"           // a lot of no known security, without shares, or with a negative cost
	NoValue    = "NO_VALUE"          // an account without value
	NoCash     = "CANNOT_RAISE_CASH" // the cash needed is more than the sales that are allowed can raise
	BadBands   = "BAD_BANDS"         // bands that no allowed trade can meet
	NoRounding = "NO_ROUNDING"       // no tradable quantities near the solution keep every rule
)

// Error returns the code with its security and detail.
func (f *Fault) Error() string {
	s := f.Code
	if f.Security != "" {
		s += " " + f.Security
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}
