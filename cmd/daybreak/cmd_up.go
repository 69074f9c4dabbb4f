package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/embedded"
)

// upOptions are the flags of up that are no settings.
type upOptions struct {
	roles      []string
	noSample   bool
	households int // of the sample world
}

func newUpCmd(a *app) *cobra.Command {
	o := upOptions{roles: roles}
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring up everything on one machine, until interrupted",
		Long: "Starts a private PostgreSQL and an in-process Kafka broker, or uses those of --database-url and\n" +
			"--brokers; brings the schema and the topics to this build's version; then plays every role of the\n" +
			"day. Data stay in --data. Ctrl-C stops all of it.\n\n" +
			"A book with nothing in it gets the sample market and a sample world. Its clock starts on the evening\n" +
			"before 2020-03-16: start that run by hand, or wait for the scheduler until its morning.",
		Example: "  daybreak up --data ./daybreak-data\n" +
			"  daybreak up --database-url postgres://localhost/daybreak --brokers localhost:9092",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.up(c.Context(), o) },
	}
	c.Flags().String("http", defaultSettings().HTTP, "address that the pages are served on")
	c.Flags().String("registry-at", defaultSettings().RegistryAt, "address that the schema registry is served on")
	c.Flags().StringSliceVar(&o.roles, "roles", roles, "roles to play")
	c.Flags().BoolVar(&o.noSample, "no-sample", false, "leave an empty book empty")
	c.Flags().IntVar(&o.households, "households", sampleHouseholds, "households of the sample world")
	return c
}

// up owns an installation and plays roles on it until ctx ends or a part of it fails.
func (a *app) up(ctx context.Context, o upOptions) (err error) {
	if err := checkRoles(o.roles); err != nil {
		return err
	}
	if slices.Contains(o.roles, roleWeb) {
		if err := a.checkAddress(); err != nil {
			return err
		}
	}
	place, err := a.bringUp(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, place.Close()) }()
	if !o.noSample {
		if err := a.fillEmptyBook(ctx, place, o.households); err != nil {
			return err
		}
	}
	s, err := a.openServices(ctx, place)
	if err != nil {
		return err
	}
	defer s.Close()
	s.ready = func(http string) error { return a.announce(place, http) }
	if !slices.Contains(o.roles, roleWeb) {
		if err := a.announce(place, ""); err != nil {
			return err
		}
	}
	fmt.Fprintf(a.errOut, "up: %s\n", strings.Join(o.roles, ", "))
	ctx, cancel := place.watch(ctx)
	defer cancel()
	if len(o.roles) == 0 { // the servers alone
		<-ctx.Done()
	}
	err = s.run(ctx, o.roles)
	if errors.Is(context.Cause(ctx), errDatabaseEnded) {
		return errDatabaseEnded
	}
	return err
}

// checkAddress finds out before anything is made whether the pages can be served on --http.
func (a *app) checkAddress() error {
	l, err := net.Listen("tcp", a.settings.HTTP)
	if err != nil {
		return exitWith(exitFailed, fmt.Errorf("the pages can't be served on %s, choose another address with --http: %w", a.settings.HTTP, err))
	}
	return l.Close()
}

// bringUp starts the embedded servers, or takes the real ones that the settings name, and brings
// schema and topics to this build's version. The caller closes what it returns.
func (a *app) bringUp(ctx context.Context) (*installation, error) {
	s := a.settings
	if s.DatabaseURL != "" || s.usePG {
		if len(s.Brokers) == 0 {
			return nil, usageError("a database is named, but no brokers: give --brokers too, or --data for both")
		}
		place := &installation{DSN: s.DatabaseURL, Brokers: s.Brokers}
		return place, a.setUp(ctx, place)
	}
	if len(s.Brokers) > 0 {
		return nil, usageError("brokers are named, but no database: give --database-url too, or --data for both")
	}
	dir := s.Data
	if dir == "" {
		dir = a.data
	}
	fmt.Fprintf(a.errOut, "starting PostgreSQL and a broker in %s\n", dir)
	place, err := a.startEmbedded(ctx, dir)
	if errors.Is(err, embedded.ErrInUse) {
		return nil, exitWith(exitConflict, fmt.Errorf("%w: it is up already; stop it, or choose another --data", err))
	}
	if err != nil {
		return nil, err
	}
	return place, a.setUp(ctx, place)
}

// errDatabaseEnded ends `up` where its PostgreSQL went away under it.
var errDatabaseEnded = errors.New("the embedded PostgreSQL ended by itself: see postgres/log in the data directory, then start again")

// watch returns a context that ends with the embedded database, if place has one.
func (i *installation) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() { cancel(nil) }
	if i.servers == nil {
		return ctx, stop
	}
	go func() {
		select {
		case <-i.servers.Failed():
			cancel(errDatabaseEnded)
		case <-ctx.Done():
		}
	}()
	return ctx, stop
}

// whereabouts are what up says about where things run.
type whereabouts struct {
	Data     string   `json:"data,omitempty"`
	Database string   `json:"database"` // without its password
	Brokers  []string `json:"brokers"`
	Pages    string   `json:"pages,omitempty"`
}

// announce tells users, and other processes, where everything runs; http is the address of the
// pages, "" for none.
func (a *app) announce(i *installation, http string) error {
	i.HTTP = http
	if i.servers != nil {
		if err := i.servers.Publish(http); err != nil {
			return err
		}
	}
	at := whereabouts{Data: i.Data, Database: withoutPassword(i.DSN), Brokers: i.Brokers}
	if http != "" {
		at.Pages = "http://" + http
	}
	return emitOne(a, at, writeWhereabouts)
}

func writeWhereabouts(w io.Writer, at whereabouts) error {
	for _, line := range []struct{ name, value string }{
		{"data", at.Data}, {"database", at.Database}, {"brokers", strings.Join(at.Brokers, ",")}, {"pages", at.Pages},
	} {
		if line.value == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%-9s %s\n", line.name, line.value); err != nil {
			return err
		}
	}
	return nil
}

// withoutPassword returns a database address that may be shown.
func withoutPassword(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme == "" {
		return "as PG* and --database-url name it"
	}
	u.RawQuery = ""
	return u.Redacted()
}
