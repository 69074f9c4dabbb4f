package sim

import (
	"cmp"
	"slices"

	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/region"
)

// record returns the household as an import would bring it, without a fault.
func (l *life) record() pipeline.HouseholdRecord {
	record := pipeline.HouseholdRecord{
		ID: l.id, Region: l.country.region, RoutingKey: string(l.id), AsOf: l.world.asOf, Events: l.events,
	}
	for _, o := range l.owners {
		record.Owners = append(record.Owners, pipeline.OwnerRecord{ID: o.ID, From: o.From})
	}
	for _, a := range l.accounts {
		record.Accounts = append(record.Accounts, pipeline.AccountRecord{
			ID: a.id, Owner: a.owner, Type: a.accountType, Currency: l.country.home, Model: a.model.name, Policy: a.policy,
			Opened: l.tape.days[a.opened], Positions: l.positions(a),
			Cash: []portfolio.Cash{{Currency: l.country.home, Amount: money.FromUnits(a.cash, 2)}},
		})
	}
	return record
}

func (l *life) positions(a *living) []portfolio.Position {
	positions := []portfolio.Position{}
	for number, shares := range a.shares {
		if shares != 0 {
			positions = append(positions, portfolio.Position{Symbol: l.tape.securities[number].Symbol, Shares: money.FromUnits(shares, sharePlaces)})
		}
	}
	return positions
}

func sortAccounts(accounts []*living) {
	slices.SortFunc(accounts, func(x, y *living) int { return cmp.Compare(x.id, y.id) })
}

// plant breaks one thing of a household on purpose and names the code that the morning run must
// park it with.
func (l *life) plant(record *pipeline.HouseholdRecord) {
	i := l.random.below(len(record.Accounts))
	account := &record.Accounts[i]
	faults := []string{pipeline.FaultNegativeCash, pipeline.FaultStalePrice, pipeline.FaultNoPrice, pipeline.FaultNoModel, pipeline.FaultLotsDiffer}
	record.PlantedFault = faults[l.random.below(len(faults))]
	switch record.PlantedFault {
	case pipeline.FaultNegativeCash:
		account.Cash[0].Amount = money.FromUnits(-int64(l.random.between(1, 500_000)), 2)
	case pipeline.FaultStalePrice:
		l.give(record, i, l.country.delisted)
	case pipeline.FaultNoPrice:
		l.give(record, i, l.country.unpriced)
	case pipeline.FaultNoModel:
		account.Model = "withdrawn-model"
	case pipeline.FaultLotsDiffer:
		l.miscount(record, i)
	}
}

// give adds a purchase of a security on the day before the account's last to an account, paid by
// money from outside.
func (l *life) give(record *pipeline.HouseholdRecord, i, security int) {
	a := l.accounts[i]
	shares := int64(l.random.between(10, 200)) * wholeShare
	last := len(l.tape.days) - 1
	e := l.event(a, region.Buy, security, max(a.opened, last-l.random.between(50, 80)))
	e.Shares, e.Amount = rat(shares), money.FromUnits(shares/wholeShare*11_00, 2)
	record.Events = insertEvent(record.Events, e)
	account := &record.Accounts[i]
	account.Positions = append(account.Positions, portfolio.Position{
		Symbol: l.tape.securities[security].Symbol, Shares: money.FromUnits(shares, sharePlaces),
	})
	slices.SortFunc(account.Positions, func(x, y portfolio.Position) int { return cmp.Compare(x.Symbol, y.Symbol) })
}

// insertEvent puts an event after those of its day and before.
func insertEvent(events []region.Event, e region.Event) []region.Event {
	at, _ := slices.BinarySearchFunc(events, e.Day, func(x region.Event, day market.Day) int {
		if x.Day <= day {
			return -1
		}
		return 1
	})
	return slices.Insert(events, at, e)
}

// miscount makes a position three shares larger than its tax history says; an account that holds
// nothing is said to hold three of a stock.
func (l *life) miscount(record *pipeline.HouseholdRecord, i int) {
	account := &record.Accounts[i]
	extra := money.FromInt(3)
	if len(account.Positions) == 0 {
		symbol := l.tape.securities[l.country.models[0].sleeves[0].members[0]].Symbol
		account.Positions = []portfolio.Position{{Symbol: symbol, Shares: extra}}
		return
	}
	p := &account.Positions[l.random.below(len(account.Positions))]
	p.Shares = p.Shares.Add(extra)
}
