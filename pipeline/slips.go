package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"daybreak/market"
	"daybreak/money"
	"daybreak/portfolio"
	"daybreak/region"
)

// Slip is the tax year of one owner as it was issued: it never changes. What the book says otherwise
// later is an amendment of it, and issuing the year again gives it another number.
type Slip struct {
	Household   portfolio.HouseholdID `json:"household"`
	Owner       portfolio.OwnerID     `json:"owner"`
	Region      string                `json:"region"`
	Year        int                   `json:"year"`
	Number      int                   `json:"number"` // 1, 2, …
	AsOf        market.Day            `json:"as_of"`  // states of the lines are those of this day's evening
	BookVersion int64                 `json:"book_version"`
	Rules       string                `json:"rules"`     // fingerprint of the rules and settings
	Circle      string                `json:"circle"`    // of the household's owners and their days
	Identical   string                `json:"identical"` // of the identical groups of its symbols
	Currency    market.Currency       `json:"currency"`
	Totals      region.YearTotals     `json:"totals"`
	Other       money.Dec             `json:"other"` // part of the totals' net that is no line's
	Lines       []TaxLine             `json:"lines"` // of all accounts of the owner
}

// Hash returns the SHA-256 of the slip's JSON.
func (s *Slip) Hash() string { return hashOf(slipText(s)) }

func slipText(s *Slip) []byte {
	text, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Errorf("slip %s of %s: %w", s.Owner, s.Household, err)) // of fields that always can be written
	}
	return text
}

// IssuedSlip is a slip with when and by whom it was issued.
type IssuedSlip struct {
	Slip
	Issued time.Time `json:"issued"`
	By     string    `json:"by"`
	Stored string    `json:"-"` // hash that was stored with it
	Root   string    `json:"-"` // over the slips that went out with it; the audit trail names it
}

// Pack returns the compressed JSON of a slip, and its hash.
func (s *Slip) Pack() (body []byte, hash string) {
	text := slipText(s)
	return Compress(text), hashOf(text)
}

// UnpackSlip reads what Pack returned and the hash of the very bytes.
func UnpackSlip(body []byte) (s Slip, hash string, err error) {
	text, err := Decompress(body)
	if err != nil {
		return s, "", err
	}
	return s, hashOf(text), json.Unmarshal(text, &s)
}

// SlipKey names a slip.
type SlipKey struct {
	Household portfolio.HouseholdID
	Owner     portfolio.OwnerID
	Year      int
	Number    int
}

// SlipRoot returns one hash over slips that go out together, whatever their order.
func SlipRoot(hashes map[SlipKey]string) string {
	var lines []string
	for k, hash := range hashes {
		lines = append(lines, fmt.Sprintf("%s %s %d %d %s\n", k.Household, k.Owner, k.Year, k.Number, hash))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "")))
	return hex.EncodeToString(sum[:])
}

// Key returns the name of the slip.
func (s *Slip) Key() SlipKey { return SlipKey{s.Household, s.Owner, s.Year, s.Number} }

// latestSlip returns the last issue of an owner's year, nil where there is none.
func latestSlip(slips []IssuedSlip, owner portfolio.OwnerID, year int) *IssuedSlip {
	var latest *IssuedSlip
	for i := range slips {
		if s := &slips[i]; s.Owner == owner && s.Year == year && (latest == nil || s.Number > latest.Number) {
			latest = s
		}
	}
	return latest
}

// SlipStore keeps slips.
type SlipStore interface {
	TaxReports
	// SaveSlips stores slips with an audit row that names their root, in one transaction. Where a slip
	// of that number is there already it stores none and returns ErrState.
	SaveSlips(ctx context.Context, slips []Slip, by string, now time.Time) error
}

// IssueRequest asks for the slips of a tax year.
type IssueRequest struct {
	Year      int
	AsOf      market.Day            // the installation's day
	Household portfolio.HouseholdID // "": all
	By        string
	Now       time.Time
}

// IssueResult counts what was issued.
type IssueResult struct {
	Year        int           `json:"year"`
	Households  int64         `json:"households"`
	Issued      int           `json:"issued"`      // slips, amended ones included
	Amended     int           `json:"amended"`     // of them with a number above 1
	Unchanged   int           `json:"unchanged"`   // owners whose last slip still says what the book says
	Lines       int           `json:"lines"`       // of the slips issued
	Provisional int           `json:"provisional"` // of these lines: a later event can still change them
	LastWindow  market.Day    `json:"last_window,omitzero"`
	Skipped     []SkippedSlip `json:"skipped"` // households without slips, and why
}

// SkippedSlip is a household that no slip could be issued for.
type SkippedSlip struct {
	Household portfolio.HouseholdID `json:"household"`
	Reason    string                `json:"reason"`
}

// IssueSlips issues the slips of a tax year: for each owner the lines and totals as the book has them, under
// the next number. An owner whose last slip still has today's figures gets none. A household whose
// year is not over, or whose facts cannot be folded, is skipped; one that is asked for by name is
// ErrState. read, called after each page, says how many households were read.
func IssueSlips(ctx context.Context, store SlipStore, q IssueRequest, read func(int64)) (IssueResult, error) {
	result := IssueResult{Year: q.Year, Skipped: []SkippedSlip{}}
	r, err := newTaxReporter(ctx, store, TaxQuery{Year: q.Year, AsOf: q.AsOf})
	if err != nil {
		return result, err
	}
	issue := issuing{taxReporter: r, store: store, request: q, result: &result}
	if q.Household != "" {
		h, err := store.TaxHousehold(ctx, q.Household)
		if err != nil {
			return result, err
		}
		if err := issue.page(ctx, []TaxHousehold{h}); err != nil {
			return result, err
		}
		if len(result.Skipped) > 0 {
			return result, fmt.Errorf("household %s: %s: %w", q.Household, result.Skipped[0].Reason, ErrState)
		}
		return result, nil
	}
	return result, eachTaxPage(ctx, store, issue.page, read)
}

type issuing struct {
	*taxReporter
	store   SlipStore
	request IssueRequest
	result  *IssueResult
}

// page issues the slips of a page of households in one transaction.
func (i *issuing) page(ctx context.Context, page []TaxHousehold) error {
	var slips []Slip
	unchanged := 0
	for _, h := range page {
		made, same, err := i.household(h)
		if err != nil {
			i.result.Skipped = append(i.result.Skipped, SkippedSlip{h.Household.ID, err.Error()})
			continue
		}
		slips, unchanged = append(slips, made...), unchanged+same
		i.result.Households++
	}
	if len(slips) > 0 {
		if err := i.store.SaveSlips(ctx, slips, i.request.By, i.request.Now); err != nil {
			return err
		}
	}
	i.result.Unchanged += unchanged
	for k := range slips {
		i.count(&slips[k])
	}
	return nil
}

func (i *issuing) count(s *Slip) {
	r := i.result
	r.Issued++
	if s.Number > 1 {
		r.Amended++
	}
	r.Lines += len(s.Lines)
	for _, l := range s.Lines {
		if l.State == region.Provisional {
			r.Provisional++
			r.LastWindow = max(r.LastWindow, l.FinalAfter)
		}
	}
}

// household returns the slips of a household's owners that have something new to say, and how many
// owners have none.
func (i *issuing) household(h TaxHousehold) (slips []Slip, unchanged int, err error) {
	y, err := i.year(h)
	if err != nil {
		return nil, 0, err
	}
	if y.rules.TaxYear(i.request.AsOf) <= i.request.Year {
		return nil, 0, fmt.Errorf("tax year %d of region %s is not over on %s", i.request.Year, h.Household.Region, i.request.AsOf)
	}
	for _, owner := range ownersOf(h.Household) {
		s := y.slip(owner)
		if last := latestSlip(h.Slips, owner, i.request.Year); last != nil {
			if len(changesOf(&last.Slip, &s)) == 0 {
				unchanged++
				continue
			}
			s.Number = last.Number + 1
		}
		slips = append(slips, s)
	}
	return slips, unchanged, nil
}

// slip returns the year of an owner as slip number 1.
func (y *taxYear) slip(owner portfolio.OwnerID) Slip {
	h := y.household
	s := Slip{Household: h.Household.ID, Owner: owner, Region: h.Household.Region, Year: y.query.Year, Number: 1, AsOf: y.query.AsOf,
		BookVersion: h.Version, Currency: y.rules.Home, Totals: y.book.Year(owner, y.query.Year), Lines: []TaxLine{}}
	s.Rules, s.Circle, s.Identical = y.versions()
	s.Other = s.Totals.Net()
	for i := range y.sales {
		if y.sales[i].Owner == owner {
			s.Other = s.Other.Sub(y.sales[i].Gain)
			s.Lines = append(s.Lines, y.linesOf(&y.sales[i])...)
		}
	}
	return s
}

// versions returns the fingerprints of the rules, of the household's circle, and of the identical
// groups of the symbols that its facts name.
func (y *taxYear) versions() (rules, circle, identical string) {
	var symbols []market.Symbol
	for i := range y.household.Events {
		symbols = append(symbols, y.household.Events[i].Symbol)
	}
	slices.Sort(symbols)
	scope := region.ScopeOf(y.household.Household, y.identical)
	var groups strings.Builder
	for _, symbol := range slices.Compact(symbols) {
		if p := scope.Property(symbol); p != string(symbol) {
			fmt.Fprintf(&groups, "%q %q,", symbol, p)
		}
	}
	return y.rules.Fingerprint(), hashOf([]byte(fmt.Sprint(scope.Circle)))[:versionLen], hashOf([]byte(groups.String()))[:versionLen]
}

// versionLen is how much of a hash names the version of a circle or of a table.
const versionLen = 16

// ownersOf returns the owners of a household's accounts, in order.
func ownersOf(h portfolio.Household) []portfolio.OwnerID {
	var owners []portfolio.OwnerID
	for _, a := range h.Accounts {
		owners = append(owners, a.Owner)
	}
	slices.Sort(owners)
	return slices.Compact(owners)
}
