package ledger

import (
	"daybreak/market"
	"daybreak/money"
)

// Kinds of balances that a broker reports.
const (
	PositionBalance = "position"
	CashBalance     = "cash"
)

// Cause is what most likely made a broker's balance differ from the book's.
type Cause string

// The causes, in the order in which they are looked for.
const (
	MissingFill    Cause = "missing_fill"    // a record of the account is held or a dead letter, or the account is not in the book
	Unsettled      Cause = "unsettled"       // the broker counts by settlement: trades of the day are not settled
	LateCorrection Cause = "late_correction" // the book learnt after the broker's file of something that was effective before
	Duplicate      Cause = "duplicate"       // one side has a movement twice that the book has once, or the other way round
	Missing        Cause = "missing"         // one movement of the last days is on one side only
	Rounding       Cause = "rounding"        // no more than a cent, or a ten-thousandth of a share, for each movement
	Unknown        Cause = "unknown"
)

// Reported is a broker's end-of-day balance beside the book's, with what the book knows that may explain
// where they differ. Amounts are signed as the balance is.
type Reported struct {
	Account   string
	Kind      string // PositionBalance or CashBalance
	Item      string // security or currency
	Theirs    money.Dec
	Ours      money.Dec
	Waiting   int         // records of the account that are held or dead letters
	IsKnown   bool        // the book has the account
	Unsettled money.Dec   // moved by trades of up to the day that settle after it
	Late      money.Dec   // moved by entries of up to the day that the book learnt after the file was made
	Movements []money.Dec // single movements of the last days, up to the day
}

// Break is a balance that differs, and the likely cause.
type Break struct {
	Account string     `json:"account"`
	Kind    string     `json:"kind"`
	Item    string     `json:"item"`
	Theirs  money.Dec  `json:"theirs"`
	Ours    money.Dec  `json:"ours"`
	Differs money.Dec  `json:"difference"` // theirs less ours
	Since   market.Day `json:"since"`
	Age     int        `json:"age_days"`
	Cause   Cause      `json:"cause"`
	Detail  string     `json:"detail"`
	Owner   string     `json:"owner"`
}

// Smallest differences: what rounding of one movement can leave.
var (
	centStep  = money.MustParse("0.01")
	shareStep = money.MustParse("0.0001")
)

// Compare returns the breaks among balances, in their order; age and owner are the caller's to fill in.
func Compare(balances []Reported) []Break {
	var breaks []Break
	for _, b := range balances {
		differs := b.Theirs.Sub(b.Ours)
		if differs.Sign() == 0 {
			continue
		}
		cause, detail := b.explain(differs)
		breaks = append(breaks, Break{Account: b.Account, Kind: b.Kind, Item: b.Item, Theirs: b.Theirs, Ours: b.Ours, Differs: differs,
			Cause: cause, Detail: detail})
	}
	return breaks
}

func (b Reported) explain(differs money.Dec) (Cause, string) {
	if !b.IsKnown {
		return MissingFill, "the book has no such account"
	}
	if b.Unsettled.Sign() != 0 && differs.Add(b.Unsettled).Sign() == 0 {
		return Unsettled, "trades that move " + b.Unsettled.String() + " settle after the day"
	}
	if b.Late.Sign() != 0 && differs.Add(b.Late).Sign() == 0 {
		return LateCorrection, "the book learnt of " + b.Late.String() + " after the file was made"
	}
	if b.Waiting > 0 {
		return MissingFill, "records of the account are held or dead letters"
	}
	if cause, detail := b.single(differs); cause != "" {
		return cause, detail
	}
	if b.isRounding(differs) {
		return Rounding, "no more than rounding of its movements"
	}
	return Unknown, ""
}

// single explains a difference by one movement of the book: theirs has it once more, or not at all.
func (b Reported) single(differs money.Dec) (Cause, string) {
	for i, m := range b.Movements {
		switch {
		case m.Sign() == 0:
		case m.Cmp(differs) == 0:
			return Duplicate, "the broker has a movement of " + m.String() + " twice, or the book lacks one like it"
		case m.Add(differs).Sign() == 0:
			if count(b.Movements, m) > 1 {
				return Duplicate, "the book has a movement of " + m.String() + " more than once"
			}
			return Missing, "the broker lacks a movement of " + b.Movements[i].String()
		}
	}
	return "", ""
}

func count(all []money.Dec, wanted money.Dec) int {
	n := 0
	for _, m := range all {
		if m.Cmp(wanted) == 0 {
			n++
		}
	}
	return n
}

// isRounding allows one step, and one more for each movement.
func (b Reported) isRounding(differs money.Dec) bool {
	step := shareStep
	if b.Kind == CashBalance {
		step = centStep
	}
	limit := step.Mul(money.FromInt(int64(len(b.Movements)) + 1))
	return !limit.Less(differs.Abs())
}
