package pipeline

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"daybreak/ledger"
	"daybreak/market"
	"daybreak/money"
)

// BalanceKey names a balance of a broker's file.
type BalanceKey struct {
	Account string
	Kind    string // ledger.PositionBalance or ledger.CashBalance
	Item    string
}

func compareBalances(a, b BalanceKey) int {
	return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Item, b.Item))
}

// ErrBalances is wrapped where a broker's file cannot be read. Commands exit with 2 on it.
var ErrBalances = errors.New("not a file of balances")

// balanceColumns are the columns of a broker's file.
var balanceColumns = []string{"account", "kind", "item", "amount"}

// balanceFaultsMax bounds the lines that an error names.
const balanceFaultsMax = 20

// ReadBalances reads a broker's file: CSV with the header account,kind,item,amount, where kind is position
// or cash, item a security or a currency, and amount a decimal; a balance comes once. A file with a bad
// line is ErrBalances as a whole, with every such line: half a file would show breaks that are none.
func ReadBalances(r io.Reader) (map[BalanceKey]money.Dec, string, error) {
	hash := sha256.New()
	lines := csv.NewReader(io.TeeReader(r, hash))
	lines.FieldsPerRecord = len(balanceColumns)
	header, err := lines.Read()
	if err != nil || !slices.Equal(header, balanceColumns) {
		return nil, "", fmt.Errorf("%w: the header is %q, want %s", ErrBalances, strings.Join(header, ","), strings.Join(balanceColumns, ","))
	}
	all := map[BalanceKey]money.Dec{}
	var faults []string
	for {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", ErrBalances, err)
		}
		line, _ := lines.FieldPos(0)
		key := BalanceKey{fields[0], fields[1], fields[2]}
		amount, fault := readBalance(key, fields[3])
		if _, twice := all[key]; twice {
			fault = "is there twice"
		}
		if fault != "" && len(faults) < balanceFaultsMax {
			faults = append(faults, fmt.Sprintf("line %d: %s", line, fault))
		}
		all[key] = amount
	}
	if len(faults) > 0 {
		return nil, "", fmt.Errorf("%w: %s", ErrBalances, strings.Join(faults, "; "))
	}
	return all, hex.EncodeToString(hash.Sum(nil)), nil
}

func readBalance(k BalanceKey, text string) (money.Dec, string) {
	switch {
	case k.Account == "" || k.Item == "":
		return money.Zero, "account or item is empty"
	case k.Kind != ledger.PositionBalance && k.Kind != ledger.CashBalance:
		return money.Zero, fmt.Sprintf("kind %q is neither position nor cash", k.Kind)
	case k.Kind == ledger.CashBalance && !market.Currency(k.Item).Known():
		return money.Zero, fmt.Sprintf("currency %q", k.Item)
	}
	amount, err := money.Parse(text)
	if err != nil {
		return money.Zero, fmt.Sprintf("amount %q", text)
	}
	return amount, ""
}

// BookMovement is what one entry of the journal did to a balance.
type BookMovement struct {
	Key       BalanceKey
	Amount    money.Dec
	Recent    bool // effective within the last days
	Late      bool // known after the broker's file was made
	Unsettled bool // settles after the day
}

// BookBalances is what the book has of accounts as a day ended.
type BookBalances struct {
	Accounts  []string // that it knows
	Balances  map[BalanceKey]money.Dec
	Movements []BookMovement
	Waiting   map[string]int // held records and dead letters, by account
}

// BalanceQuery asks for the balances of accounts as a day ended; of all accounts where All is set.
type BalanceQuery struct {
	Day      market.Day
	Made     time.Time // of the broker's file
	Accounts []string
	All      bool
}

// Reconciliation is a broker's file of a day beside the book.
type Reconciliation struct {
	Source   string         `json:"source"`
	Day      market.Day     `json:"day"`
	FileHash string         `json:"file_hash"`
	Balances int            `json:"balances"` // that were compared
	Breaks   []ledger.Break `json:"breaks"`
	Closed   []ledger.Break `json:"closed"` // of the day before that are none any more, as they were then
	Actor    string         `json:"actor"`
	At       time.Time      `json:"at"`
}

// Reconciliations keeps what was compared.
type Reconciliations interface {
	// BookBalances returns the book's side.
	BookBalances(ctx context.Context, q BalanceQuery) (BookBalances, error)
	// SaveReconciliation stores a day's breaks in place of those that an earlier file of the same source
	// and day left, and fills in since when each is open and whose it is: as on the last day before, else
	// the day itself and owner. It fills in what has closed.
	SaveReconciliation(ctx context.Context, r *Reconciliation, owner string) error
}

// ReconcileRequest is a broker's file to compare.
type ReconcileRequest struct {
	Source string
	Day    market.Day
	Made   time.Time
	All    bool   // accounts that the file lacks have nothing at the broker
	Owner  string // of new breaks
	By     string
	Now    time.Time
}

// Reconcile compares a broker's file with the book as its day ended, and stores the breaks. It corrects
// nothing.
func Reconcile(ctx context.Context, book Reconciliations, file io.Reader, q ReconcileRequest) (Reconciliation, error) {
	theirs, hash, err := ReadBalances(file)
	if err != nil {
		return Reconciliation{}, err
	}
	query := BalanceQuery{Day: q.Day, Made: q.Made, All: q.All}
	for key := range theirs {
		query.Accounts = append(query.Accounts, key.Account)
	}
	slices.Sort(query.Accounts)
	query.Accounts = slices.Compact(query.Accounts)
	ours, err := book.BookBalances(ctx, query)
	if err != nil {
		return Reconciliation{}, err
	}
	balances := beside(theirs, ours)
	r := Reconciliation{Source: q.Source, Day: q.Day, FileHash: hash, Balances: len(balances), Breaks: ledger.Compare(balances), Actor: q.By, At: q.Now}
	return r, book.SaveReconciliation(ctx, &r, q.Owner)
}

// beside puts the two sides beside each other, by account, kind and item.
func beside(theirs map[BalanceKey]money.Dec, ours BookBalances) []ledger.Reported {
	all := map[BalanceKey]*ledger.Reported{}
	at := func(k BalanceKey) *ledger.Reported {
		if all[k] == nil {
			_, isKnown := slices.BinarySearch(ours.Accounts, k.Account)
			all[k] = &ledger.Reported{Account: k.Account, Kind: k.Kind, Item: k.Item, IsKnown: isKnown, Waiting: ours.Waiting[k.Account]}
		}
		return all[k]
	}
	for k, amount := range theirs {
		at(k).Theirs = amount
	}
	for k, amount := range ours.Balances {
		if _, named := theirs[k]; named || amount.Sign() != 0 {
			at(k).Ours = amount
		}
	}
	for _, m := range ours.Movements {
		b := all[m.Key]
		if b == nil {
			continue
		}
		if m.Recent {
			b.Movements = append(b.Movements, m.Amount)
		}
		if m.Late {
			b.Late = b.Late.Add(m.Amount)
		}
		if m.Unsettled {
			b.Unsettled = b.Unsettled.Add(m.Amount)
		}
	}
	keys := make([]BalanceKey, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, compareBalances)
	balances := make([]ledger.Reported, len(keys))
	for i, k := range keys {
		balances[i] = *all[k]
	}
	return balances
}

// BreakOwner gives a break of a source's last day to a person.
type BreakOwner struct {
	Source string
	Key    BalanceKey
	Owner  string
	By     string
	Now    time.Time
}

// Carry fills in since when breaks are open and whose they are, from those of the last day before, and
// what has closed since. A break that owner and that day lack keeps its own.
func (r *Reconciliation) Carry(before []ledger.Break, owner string) {
	keyOf := func(b ledger.Break) BalanceKey { return BalanceKey{b.Account, b.Kind, b.Item} }
	known := make(map[BalanceKey]ledger.Break, len(before))
	for _, b := range before {
		known[keyOf(b)] = b
	}
	for i := range r.Breaks {
		b := &r.Breaks[i]
		earlier, isOld := known[keyOf(*b)]
		delete(known, keyOf(*b))
		if b.Owner == "" {
			b.Since, b.Owner = r.Day, owner
			if isOld {
				b.Since, b.Owner = earlier.Since, earlier.Owner
			}
		}
		b.Age = int(r.Day - b.Since)
	}
	r.Closed = []ledger.Break{}
	for _, b := range before {
		if _, gone := known[keyOf(b)]; gone {
			b.Age = int(r.Day - b.Since)
			r.Closed = append(r.Closed, b)
		}
	}
}
