package main

import (
	"context"
	"errors"
)

// errNoInstallation says how to name an installation, or to make one.
var errNoInstallation = errors.New("no installation named: start one with `daybreak up --data DIR` and give its --data DIR (or DAYBREAK_DATA) here, or name a database with --database-url and brokers with --brokers")

// installation is where a command finds its database and brokers.
type installation struct {
	DSN     string
	Brokers []string
	HTTP    string // of a live owner, "" else

	close func() error
}

// Close lets go of the installation; servers that were started for this command alone stop.
func (i *installation) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}

// connect returns the installation that the settings name. The caller closes it.
func (a *app) connect(context.Context) (*installation, error) {
	if a.settings.DatabaseURL == "" && !a.settings.usePG {
		return nil, exitWith(exitUsage, errNoInstallation)
	}
	return &installation{DSN: a.settings.DatabaseURL, Brokers: a.settings.Brokers}, nil
}
