package pipeline

import (
	"context"
	"fmt"
	"strings"
	"time"

	"daybreak/orders"
	"daybreak/portfolio"
	"daybreak/tlh"
)

// LockOverride is a named person's decision that an order may buy what tax locks forbid. It holds
// for the content and the locks that it names.
type LockOverride struct {
	Run         string                `json:"run"`
	Order       orders.ID             `json:"order"`
	ContentHash string                `json:"content_hash"`
	Household   portfolio.HouseholdID `json:"household"`
	Locks       []tlh.Lock            `json:"locks"`
	Loss        tlh.Loss              `json:"loss"` // that the purchase destroys, sale by sale
	Basis       LossBasis             `json:"basis"`
	Maker       string                `json:"maker"`
	Approver    string                `json:"approver"`
	Comment     string                `json:"comment"`
	Decided     time.Time             `json:"decided"`
}

// OverrideResult is what an override of tax locks came to.
type OverrideResult struct {
	Run       string         `json:"run"`
	Orders    int            `json:"orders"`    // that a lock stopped and that may buy now
	Overrides []LockOverride `json:"overrides"` // one for each
	Approval  *Frozen        `json:"approval,omitempty"`
	Flagged   []Flag         `json:"flagged,omitempty"` // that a lock stops and that another finding keeps stopped
}

// overridesMax bounds the orders of one act: a person looks at the loss of each.
const overridesMax = 100

// Override signs, in the name of a person and with a reason, the orders of a run that match and that
// tax locks stop, in spite of the losses that they destroy; orders that no lock stops are left as
// they are. Those flagged for the lock go on from where they were, and those that nobody has approved
// are approved. Who made the run cannot; no comment, a loss that cannot be told, too many orders, or
// stops other than those shown are refused with ErrState. Doing it twice changes nothing.
func (r Review) Override(ctx context.Context, a Act) (OverrideResult, error) {
	run, err := r.mayApprove(ctx, a)
	if err != nil {
		return OverrideResult{}, err
	}
	if strings.TrimSpace(a.Comment) == "" {
		return OverrideResult{}, fmt.Errorf("run %s: an override of a tax lock says why: %w", run.ID, ErrState)
	}
	c, err := r.collector(ctx, run, a)
	if err != nil {
		return OverrideResult{}, err
	}
	o := &overriding{collector: c, changes: ReviewChanges{Act: a, Action: "order.override_lock", Maker: run.Maker,
		Before: map[orders.ID]string{}, After: map[orders.ID]string{}}}
	if err := r.Book.UpdateReview(ctx, a.Run, o.each, o.finish); err != nil {
		return OverrideResult{}, fmt.Errorf("run %s: override tax locks: %w", run.ID, err)
	}
	return OverrideResult{Run: run.ID, Orders: len(o.changes.Overrides), Overrides: o.changes.Overrides,
		Approval: o.changes.Frozen, Flagged: c.flagged}, nil
}

// overriding gathers what an override of tax locks changes.
type overriding struct {
	*collector
	changes ReviewChanges
	shown   []orders.Leaf // by id, of the stops
}

func (v *overriding) each(o ReviewOrder) error {
	chosen, err := v.act.chooses(o)
	if err != nil || !chosen {
		return err
	}
	v.matched++
	stop, stopped := v.stops[o.ID]
	if !stopped {
		return nil
	}
	if stop.ContentHash != o.ContentHash {
		return fmt.Errorf("order %s has changed since its loss was told: look again: %w", o.ID, ErrState)
	}
	if flag := v.refuse(o, stop); flag != nil {
		v.flagged = append(v.flagged, *flag)
		return nil
	}
	v.add(o, stop)
	return nil
}

// CodeHeld says that a person keeps an order back.
const CodeHeld = "HELD"

// refuse returns why an order stays stopped: a person or another check keeps it, or its loss cannot be
// told.
func (v *overriding) refuse(o ReviewOrder, stop LockStop) *Flag {
	switch {
	case o.HeldBy != "":
		return &Flag{o.ID, CodeHeld, map[string]string{because: "it is held by " + o.HeldBy + ": let it go first"}}
	case o.Exception != "" && o.Exception != orders.TaxLock:
		return &Flag{o.ID, o.Exception, map[string]string{because: "a lock is not all that stops it: look at that first"}}
	case stop.Unknown != "":
		flag := stop.Flag()
		return &flag
	case o.Approved:
		return nil
	}
	return v.check(o, LockStop{})
}

func (v *overriding) add(o ReviewOrder, stop LockStop) {
	a, c := v.act, &v.changes
	c.Overrides = append(c.Overrides, LockOverride{Run: o.Run, Order: o.ID, ContentHash: stop.ContentHash, Household: stop.Household,
		Locks: stop.Locks, Loss: stop.Loss, Basis: stop.Basis, Maker: v.run.Maker, Approver: a.By, Comment: a.Comment, Decided: a.Now})
	c.Before[o.ID] = strings.TrimSpace(string(o.Review()) + " " + o.Exception)
	if o.Exception != "" {
		c.Unheld = append(c.Unheld, o.ID)
	}
	if !o.Approved {
		v.sign(o)
	}
	o.Exception, o.Approved = "", true
	c.After[o.ID] = string(o.Review())
	v.shown = append(v.shown, orders.Leaf{ID: o.ID, Content: stop.Token()})
}

func (v *overriding) finish() (ReviewChanges, error) {
	n := len(v.changes.Overrides)
	switch {
	case v.matched == 0:
		return ReviewChanges{}, fmt.Errorf("no order matches: %w", ErrNotFound)
	case n > overridesMax:
		return ReviewChanges{}, fmt.Errorf("%d orders at once, whose losses nobody can look at: at most %d: %w", n, overridesMax, ErrState)
	case v.act.Root != "" && v.act.Root != orders.Root(v.shown):
		return ReviewChanges{}, fmt.Errorf("the locks or the loss have changed since they were shown: look again: %w", ErrState)
	}
	if len(v.leaves) > 0 {
		frozen := v.frozen()
		v.changes.Frozen, v.changes.Approved = &frozen, v.leaves
	}
	return v.changes, nil
}

// Shown returns the root of an override of one stop alone, as its page shows it.
func (s LockStop) Shown() string {
	return orders.Root([]orders.Leaf{{ID: s.Order, Content: s.Token()}})
}
