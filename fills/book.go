package fills

import (
	"cmp"
	"maps"
	"slices"

	"daybreak/money"
	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/region"
)

// NewState returns the state of a household with nothing in it.
func NewState(household portfolio.HouseholdID, rules *region.Rules) *State {
	return &State{
		Household: household, Rules: rules,
		Accounts: map[portfolio.AccountID]Account{}, Orders: map[orders.ID]Order{},
		Positions: map[Holding]money.Dec{}, Cash: map[Purse]money.Dec{}, Locks: map[orders.ID][]Lock{},
		Seen: map[string]string{}, Posted: map[string]Posted{}, Next: map[string]string{},
		Held: map[string][]Waiting{}, Rates: map[Pair]money.Dec{},
		Events: map[string]PostedEvent{},
	}
}

// Take brings the state to where an applied execution leaves the book.
func (s *State) Take(f Effects) {
	s.Version = f.Posted.Version
	s.Orders[f.Order.ID] = f.Order
	if f.moved {
		s.Positions[f.Holding], s.Cash[f.Purse] = f.Shares, f.Cash
	}
	for _, l := range f.Locks {
		all := s.Locks[l.Order]
		for i := range all {
			if all[i].Property == l.Property && all[i].Run == l.Run {
				all[i] = l
			}
		}
	}
	s.Remember(f.Posted, f.Content)
}

// Remember enters an execution of the book into the state: its key, its content, and what it
// replaced.
func (s *State) Remember(p Posted, content string) {
	s.Seen[p.Key] = content
	s.Posted[p.Key] = p
	if p.Refers == "" {
		return
	}
	s.Next[p.Refers] = p.Key
	if earlier, ok := s.Posted[p.Refers]; ok {
		earlier.Effective = false
		s.Posted[p.Refers] = earlier
	}
}

// Wait enters a held execution into the state.
func (s *State) Wait(w Waiting) {
	s.Held[w.WaitsFor] = append(s.Held[w.WaitsFor], w)
}

// Result is how one execution of a sequence ended. Released is true for one that was held before
// and came with the execution that it waited for.
type Result struct {
	Index     int // of the execution in the sequence; of a released one, that of the execution it waited for
	Execution Execution
	Outcome   Outcome
	Effects   Effects // where Applied
	Waiting   Waiting // where Held
	Released  bool
}

// Post applies executions of one household in sequence and leaves the state where the last one
// leaves the book. What waited for one of them comes right after it. Any division of a sequence
// into calls gives the same results and the same state.
func Post(s *State, sequence []Execution) []Result {
	results := make([]Result, 0, len(sequence))
	for i, e := range sequence {
		results = s.post(results, Result{Index: i, Execution: e})
	}
	return results
}

func (s *State) post(results []Result, r Result) []Result {
	if known, ok := s.waiting(r.Execution); ok && !r.Released {
		r.Outcome = sameOrConflict(known.Content, r.Execution.Content())
		return append(results, r)
	}
	r.Effects, r.Outcome = Apply(s, r.Execution)
	switch r.Outcome {
	case Held:
		r.Waiting = Waiting{r.Execution, r.Execution.Key().String(), r.Execution.Content(), r.Execution.Refers().String()}
		s.Wait(r.Waiting)
	case Applied:
		s.Take(r.Effects)
		key := r.Effects.Posted.Key
		released := s.Held[key]
		delete(s.Held, key)
		results = append(results, r)
		for _, w := range released {
			results = s.post(results, Result{Index: r.Index, Execution: w.Execution, Released: true})
		}
		return results
	}
	return append(results, r)
}

// waiting returns the held execution with the key of e.
func (s *State) waiting(e Execution) (Waiting, bool) {
	if e.Type != TradeCorrect && e.Type != TradeCancel {
		return Waiting{}, false
	}
	key := e.Key().String()
	for _, w := range s.Held[e.Refers().String()] {
		if w.Key == key {
			return w, true
		}
	}
	return Waiting{}, false
}

// TaxDays returns the pairs of currencies and tax days whose rates the trades of a sequence need
// under rules, sorted and each once.
func TaxDays(rules *region.Rules, sequence []Execution) []Pair {
	needed := map[Pair]bool{}
	for _, e := range sequence {
		if e.Moves() && e.Currency != rules.Home {
			needed[Pair{e.Currency, rules.Home, rules.TaxDay(e.TradeDate, e.SettleDate)}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(needed), comparePairs)
}

func comparePairs(a, b Pair) int {
	return cmp.Or(cmp.Compare(a.Base, b.Base), cmp.Compare(a.Quote, b.Quote), cmp.Compare(a.Day, b.Day))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
