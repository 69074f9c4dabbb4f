package pipeline

import (
	"errors"
	"slices"

	"daybreak/fills"
	"daybreak/market"
	"daybreak/rebalance"
	"daybreak/region"
	"daybreak/tlh"
)

// Purchase is an acquisition that the book of a household has posted.
type Purchase struct {
	Event region.Event
	Later map[string]bool // ids of the household's events that the book learnt after it
}

// Denied returns the exception that a purchase opens by the losses which it denies, and false where it
// denies none. The input has the household and its tax book, with the purchase or without it.
func Denied(in rebalance.Input, identical map[market.Symbol]string, p Purchase) (fills.Exception, bool) {
	rules, err := region.Load(in.Household.Region)
	if err != nil {
		return fills.UnknownDenialOf(p.Event, err), true
	}
	before := slices.DeleteFunc(slices.Clone(in.Events), func(e region.Event) bool { return e.ID == p.Event.ID || p.Later[e.ID] })
	book, err := region.Fold(rules, region.ScopeOf(in.Household, identical), in.Tax, before)
	if err != nil {
		return fills.UnknownDenialOf(p.Event, err), true
	}
	all, err := tlh.Destroys(book, rules, p.Event)
	if err != nil {
		return fills.UnknownDenialOf(p.Event, err), true
	}
	if len(all) == 0 {
		return fills.Exception{}, false
	}
	return fills.DenialOf(p.Event, rules, tlh.LossOf(rules.Home, all)), true
}

// DeniedUnknown returns the exception of a purchase whose household's tax book cannot be read.
func DeniedUnknown(p Purchase, fault *rebalance.Fault) fills.Exception {
	return fills.UnknownDenialOf(p.Event, errors.New(fault.Code+": "+fault.Detail))
}
