package rebalance

import (
	"errors"
	"fmt"

	"daybreak/market"
	"daybreak/portfolio"
	"daybreak/region"
)

// checks look for faults in the order of the codes; each looks through the accounts by id, and
// leaves behind what the next ones need.
var checks = []func(*house) *Fault{
	(*house).checkAccounts, (*house).checkRegion, (*house).checkTypes, (*house).checkPolicies,
	(*house).checkModels, (*house).checkSecurities, (*house).checkPrices, (*house).checkStale,
	(*house).checkRates, (*house).checkCash, (*house).checkShorts, (*house).checkBook, (*house).checkLots,
}

// check returns the first fault of the household, or nil.
func (h *house) check() *Fault {
	for _, c := range checks {
		if f := c(h); f != nil {
			return f
		}
	}
	return nil
}

func (h *house) checkAccounts() *Fault {
	if len(h.accounts) == 0 {
		return &Fault{Code: NoAccounts, Detail: fmt.Sprintf("household %s has no account", h.in.Household.ID)}
	}
	for i, a := range h.accounts {
		if i > 0 && a.ID == h.accounts[i-1].ID {
			return &Fault{Code: NoAccounts, Account: a.ID, Detail: "two accounts of this id"}
		}
	}
	return nil
}

func (h *house) checkRegion() *Fault {
	rules, err := region.Load(h.in.Household.Region)
	if err != nil {
		return &Fault{Code: UnknownRegion, Detail: err.Error()}
	}
	h.rules = rules
	return nil
}

func (h *house) checkTypes() *Fault {
	for _, a := range h.accounts {
		if !h.rules.Known(a.Type) {
			return &Fault{Code: UnknownAccountType, Account: a.ID, Detail: fmt.Sprintf("%q in region %s", a.Type, h.in.Household.Region)}
		}
		a.sheltered = h.rules.Shelters(a.Type)
	}
	return nil
}

func (h *house) checkPolicies() *Fault {
	for _, a := range h.accounts {
		if err := a.Policy.Validate(); err != nil {
			return &Fault{Code: BadPolicy, Account: a.ID, Detail: err.Error()}
		}
	}
	return nil
}

func (h *house) checkModels() *Fault {
	for _, code := range []string{NoModel, BadModel} {
		for _, a := range h.accounts {
			mix, err := h.mix(a.Model)
			a.mix = mix
			if err != nil && code == modelFault(err) {
				return &Fault{Code: code, Account: a.ID, Detail: err.Error()}
			}
		}
	}
	return nil
}

func modelFault(err error) string {
	if errors.Is(err, portfolio.ErrNoModel) {
		return NoModel
	}
	return BadModel
}

// mix returns the mix of a model portfolio, made once for each household.
func (h *house) mix(model string) (*portfolio.Mix, error) {
	if x, ok := h.mixes[model]; ok {
		return x, nil
	}
	x, err := portfolio.NewMix(h.market, model)
	if err == nil {
		h.mixes[model] = x
	}
	return x, err
}

func (h *house) checkSecurities() *Fault {
	for _, a := range h.accounts {
		for _, s := range a.mix.Sleeves {
			if q := h.quote(s.Members[0]); q.fault == UnknownSecurity {
				return &Fault{Code: UnknownSecurity, Account: a.ID, Detail: fmt.Sprintf("%s of model %s", s.Members[0], a.Model)}
			}
		}
	}
	return h.checkHeld(UnknownSecurity)
}

func (h *house) checkPrices() *Fault { return h.checkHeld(NoPrice) }

func (h *house) checkStale() *Fault { return h.checkHeld(StalePrice) }

// checkHeld returns a fault where an account holds a security whose quote has that fault.
func (h *house) checkHeld(code string) *Fault {
	for _, a := range h.accounts {
		for _, p := range a.Positions {
			q := h.quote(p.Symbol)
			if q.fault != code {
				continue
			}
			detail := string(p.Symbol)
			if code == StalePrice {
				detail = fmt.Sprintf("%s: last close is of %s", p.Symbol, q.price.Day)
			}
			return &Fault{Code: code, Account: a.ID, Detail: detail}
		}
	}
	return nil
}

func (h *house) checkRates() *Fault {
	for _, a := range h.accounts {
		currencies := []market.Currency{h.rules.Home}
		for _, c := range a.Cash {
			currencies = append(currencies, c.Currency)
		}
		for _, p := range a.Positions {
			currencies = append(currencies, h.quote(p.Symbol).security.Currency)
		}
		for _, c := range currencies {
			if r, err := h.market.Rate(c, a.Currency); err != nil || r.Rate.Sign() <= 0 {
				return &Fault{Code: NoRate, Account: a.ID, Detail: fmt.Sprintf("%s/%s", c, a.Currency)}
			}
		}
	}
	return nil
}

func (h *house) checkCash() *Fault {
	for _, a := range h.accounts {
		for _, c := range a.Cash {
			if c.Amount.Sign() < 0 {
				return &Fault{Code: NegativeCash, Account: a.ID, Detail: fmt.Sprintf("%s %s", c.Amount, c.Currency)}
			}
		}
	}
	return nil
}

func (h *house) checkShorts() *Fault {
	for _, a := range h.accounts {
		for _, p := range a.Positions {
			if p.Shares.Sign() < 0 {
				return &Fault{Code: ShortPosition, Account: a.ID, Detail: fmt.Sprintf("%s %s", p.Shares, p.Symbol)}
			}
		}
	}
	return nil
}
