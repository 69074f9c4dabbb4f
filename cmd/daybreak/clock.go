package main

import (
	"context"
	"sync"
	"time"

	"daybreak/internal/postgres"
)

// clock is the clock of an installation. A sample world that is made while roles are being played
// gives it another time: it looks for one until there is one.
type clock struct {
	db      *postgres.DB
	machine func() time.Time

	mu       sync.Mutex
	shown    func() time.Time
	isSample bool
	looked   time.Time
}

// clockLook is how often a clock looks whether its installation has become a sample one.
const clockLook = 2 * time.Second

// newClock returns the clock of a database's installation.
func newClock(ctx context.Context, db *postgres.DB, machine func() time.Time) (*clock, error) {
	c := &clock{db: db, machine: machine}
	var err error
	c.shown, c.isSample, err = db.Clock(ctx, machine)
	return c, err
}

// now returns the time that the installation's clock shows.
func (c *clock) now() time.Time {
	shown, _ := c.state()
	return shown()
}

// state returns the clock as it is now. Where the database does not answer the last state counts.
func (c *clock) state() (shown func() time.Time, isSample bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := c.machine(); !c.isSample && at.Sub(c.looked) > clockLook {
		c.looked = at
		ctx, cancel := context.WithTimeout(context.Background(), clockLook)
		defer cancel()
		if shown, isSample, err := c.db.Clock(ctx, c.machine); err == nil {
			c.shown, c.isSample = shown, isSample
		}
	}
	return c.shown, c.isSample
}
