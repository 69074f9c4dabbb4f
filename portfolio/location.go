package portfolio

import (
	"errors"
	"fmt"

	"daybreak/money"
)

// Location asks for targets at the level of the household: its accounts' targets count by their value,
// risk counts once for all of them, and what a class pays out is taxed where it is held.
type Location struct {
	Model string `json:"model,omitempty"` // that every account follows; "" for its own
	Drags []Drag `json:"drags,omitempty"` // the first that fits counts; none: no tax on what is paid out
}

// Drag is the yearly tax on what holdings of a class pay out, in accounts of a type, as a share of
// their value.
type Drag struct {
	AssetClass  string    `json:"asset_class"`
	AccountType string    `json:"account_type"`
	Cost        money.Dec `json:"cost"`
}

// ErrLocation is wrapped with what is wrong in a Location. Imports refuse the line on it.
var ErrLocation = errors.New("bad targets of the household")

// Validate returns ErrLocation, wrapped, for the first drag that is no share from 0 to 1.
func (l *Location) Validate() error {
	for _, d := range l.Drags {
		if d.Cost.Sign() < 0 || money.One.Less(d.Cost) {
			return fmt.Errorf("%w: drag of %s in %s is %s", ErrLocation, d.AssetClass, d.AccountType, d.Cost)
		}
	}
	return nil
}

// DragOf returns the drag of a class in accounts of a type; 0 where none is named.
func (l *Location) DragOf(class, accountType string) money.Dec {
	for _, d := range l.Drags {
		if d.AssetClass == class && d.AccountType == accountType {
			return d.Cost
		}
	}
	return money.Zero
}
