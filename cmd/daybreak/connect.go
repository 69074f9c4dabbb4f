package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"daybreak/internal/embedded"
	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
)

// errNoInstallation says how to name an installation, or to make one.
var errNoInstallation = errors.New("no installation named: start one with `daybreak up --data DIR` and give its --data DIR (or DAYBREAK_DATA) here, or name a database with --database-url and brokers with --brokers")

// installation is where a command finds its database and brokers.
type installation struct {
	DSN     string   // "" leaves all to PG* in the environment
	Brokers []string // host:port; none where a database was named without brokers
	HTTP    string   // of a live owner, "" else
	Data    string   // directory of an embedded installation, "" else

	servers *embedded.Servers // that this process owns
	close   func() error
}

// Close lets go of the installation. Servers that were started for this command stop as soon as no
// other command uses them.
func (i *installation) Close() error {
	if i.close == nil {
		return nil
	}
	return i.close()
}

// connect returns the installation that the settings name: real servers, those of the live owner of
// --data, or embedded ones that run for as long as this command needs them. The caller closes it.
func (a *app) connect(ctx context.Context) (*installation, error) {
	switch s := a.settings; {
	case s.Data != "":
		return a.attachOrStart(ctx)
	case s.DatabaseURL != "" || s.usePG:
		return &installation{DSN: s.DatabaseURL, Brokers: s.Brokers}, nil
	}
	return nil, exitWith(exitUsage, errNoInstallation)
}

// attachMax bounds the tries to attach or to own: between the two another process may do either.
const attachMax = 5

func (a *app) attachOrStart(ctx context.Context) (*installation, error) {
	for try := 1; ; try++ {
		attached, err := embedded.Attach(ctx, a.settings.Data)
		if err != nil {
			return nil, err
		}
		if attached != nil {
			a.forgetLibpq()
			return &installation{DSN: attached.Run.Database, Brokers: attached.Run.Brokers, HTTP: attached.Run.HTTP,
				Data: a.settings.Data, close: attached.Release}, nil
		}
		place, err := a.startEmbedded(ctx, a.settings.Data)
		if err == nil {
			place.close = func() error { return place.servers.StopWhenUnused(ctx) }
			return place, a.setUp(ctx, place)
		}
		if !errors.Is(err, embedded.ErrInUse) || try == attachMax {
			return nil, err
		}
	}
}

// startEmbedded starts the servers of dir, which this process then owns.
func (a *app) startEmbedded(ctx context.Context, dir string) (*installation, error) {
	a.forgetLibpq()
	servers, err := embedded.Start(ctx, embedded.Options{Dir: dir, Bin: a.settings.PGBin, Cache: a.cache, Notes: a.errOut})
	if err != nil {
		return nil, err
	}
	return &installation{DSN: servers.DSN(), Brokers: servers.Brokers(), Data: dir, servers: servers, close: servers.Stop}, nil
}

// setUp brings the database of place to the schema of this build and creates the topics that are
// missing; then others may attach. It closes place where it fails.
func (a *app) setUp(ctx context.Context, place *installation) error {
	err := postgres.Migrate(ctx, place.DSN)
	if err == nil && len(place.Brokers) > 0 {
		err = a.setUpTopics(ctx, place)
	}
	if err == nil && place.servers != nil {
		err = place.servers.Publish("")
	}
	if err != nil {
		return errors.Join(err, place.Close())
	}
	return nil
}

// setUpTopics applies the file of topics to a broker of our own. Brokers of others get the topics that
// are missing, and stay as they are.
func (a *app) setUpTopics(ctx context.Context, place *installation) error {
	if place.servers == nil {
		return a.ensureTopics(ctx, place.Brokers)
	}
	topics, err := kafka.Topics()
	if err != nil {
		return err
	}
	done, err := kafka.ApplyTopics(ctx, place.Brokers, topics, false)
	return a.topicsChanged(done, err)
}

// ensureTopics creates the topics that are missing. It refuses a cluster whose topics are not as they
// must be.
func (a *app) ensureTopics(ctx context.Context, brokers []string) error {
	topics, err := kafka.Topics()
	if err != nil {
		return err
	}
	done, err := kafka.EnsureTopics(ctx, brokers, topics)
	return a.topicsChanged(done, err)
}

func (a *app) topicsChanged(done []kafka.Drift, err error) error {
	if len(done) > 0 {
		a.log.Debug("topics changed", "changes", done)
	}
	if errors.Is(err, kafka.ErrTopicsDiffer) {
		return exitWith(exitConflict, err)
	}
	return err
}

// forgetLibpq takes the variables of libpq out of the environment: an embedded database is named
// whole, and a PGSERVICE or PGOPTIONS meant for another one must not reach it.
func (a *app) forgetLibpq() {
	for _, variable := range a.environ {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") {
			if err := a.unsetenv(name); err != nil {
				a.log.Warn("a variable of libpq stays set", "error", fmt.Errorf("%s: %w", name, err))
			}
		}
	}
}
