package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"daybreak/internal/broker"
	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/internal/web"
	"daybreak/market"
	"daybreak/orders"
	"daybreak/pipeline"
)

// The roles that `serve` can play, any set in one process.
const (
	roleWorker    = "worker"
	roleFills     = "fills"
	roleGateway   = "gateway"
	roleWeb       = "web"
	roleScheduler = "scheduler"
	roleEngine    = "engine"
	roleRegistry  = "registry"
	roleBalances  = "balances"
)

var roles = []string{roleWorker, roleFills, roleGateway, roleWeb, roleScheduler, roleEngine, roleRegistry, roleBalances}

// The consumer groups. Their names are part of the installation: lag tools know them.
const (
	groupWorker = "daybreak.worker"
	groupFills  = "daybreak.fills"
	groupEvents = "daybreak.events" // no group of members: its offsets are a mirror for lag tools
)

// Records that one transaction takes at most: households are heavy, fills are light.
const (
	workBatchMax   = 250
	fillsBatchMax  = 2_000
	eventsBatchMax = 2_000
)

// services are the connections that the roles of one process share.
type services struct {
	app      *app
	where    *installation
	db       *postgres.DB
	producer *kafka.Producer
	registry kafka.Registry
	codec    pipeline.FillCodec
	events   *kafka.EventCodec
	build    string
	rules    string
	clock    *clock
	instance string // of this process in its consumer groups; "" for none
	ready    func(http string) error
	moved    *kafka.Signal   // a person has moved partitions
	meter    *pipeline.Meter // of records on their way from the broker to the commit
}

// openServices connects to an installation. The caller closes it.
func (a *app) openServices(ctx context.Context, where *installation) (*services, error) {
	if len(where.Brokers) == 0 {
		return nil, usageError("no brokers named: give --brokers or KAFKA_BROKERS beside the database")
	}
	s := &services{app: a, where: where, ready: func(string) error { return nil }, moved: kafka.NewSignal(), meter: pipeline.NewMeter()}
	var err error
	if s.build, err = build(); err != nil {
		return nil, err
	}
	if s.rules, err = rulesHash(); err != nil {
		return nil, err
	}
	if s.db, err = postgres.Open(ctx, where.DSN, a.settings.Connections); err != nil {
		return nil, err
	}
	if s.clock, err = newClock(ctx, s.db, a.now); err != nil {
		s.db.Close()
		return nil, err
	}
	if err := s.openSchemas(ctx); err != nil {
		s.db.Close()
		return nil, err
	}
	if s.producer, err = kafka.NewProducer(where.Brokers); err != nil {
		s.db.Close()
		return nil, err
	}
	s.producer.Route = s.db.TopicRoute
	return s, nil
}

// openSchemas has the registry know this build's schemas, and makes the codecs over it.
func (s *services) openSchemas(ctx context.Context) (err error) {
	if s.registry, err = s.app.registryOver(s.db); err != nil {
		return err
	}
	if err := ensureSchemas(ctx, s.registry); err != nil {
		return err
	}
	if s.codec, err = kafka.NewFillCodec(ctx, s.registry); err != nil {
		return err
	}
	s.events, err = kafka.NewEventCodec(ctx, s.registry)
	return err
}

// Close gives up the connections.
func (s *services) Close() {
	s.producer.Close()
	s.db.Close()
}

// run plays the roles until ctx ends, and waits for all of them. The first one that fails ends the
// others.
func (s *services) run(ctx context.Context, roles []string) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, r := range roles {
		play, err := s.role(r)
		if err != nil {
			return err
		}
		group.Go(func() error {
			if err := play(ctx); err != nil && !errors.Is(err, context.Canceled) {
				return fmt.Errorf("role %s: %w", r, err)
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *services) role(name string) (func(context.Context) error, error) {
	switch name {
	case roleWorker:
		return s.consumer(pipeline.TopicWork, groupWorker, workBatchMax, pipeline.NewWorker(s.db, s.app.log)).Run, nil
	case roleFills:
		return s.fills, nil
	case roleGateway:
		return s.gateway, nil
	case roleEngine:
		return s.engine, nil
	case roleWeb:
		return s.web, nil
	case roleScheduler:
		scheduler := &pipeline.Scheduler{
			Runs: s.db, Work: s.producer, Build: s.build, Rules: s.rules, Maker: makerScheduler,
			Now: s.clock.now, Stamp: s.app.now, Log: s.app.log,
		}
		return scheduler.Run, nil
	case roleRegistry:
		return s.serveRegistry, nil
	case roleBalances:
		return s.balances, nil
	}
	return nil, usageError("unknown role %q: one of %s", name, strings.Join(roles, ", "))
}

// makerScheduler is who starts runs on schedule; approvals are by others.
const makerScheduler = "scheduler"

func (s *services) consumer(topic, group string, batchMax int, h pipeline.Handler) *kafka.Consumer {
	return &kafka.Consumer{
		Brokers: s.where.Brokers, Group: group, Instance: s.instance, Topic: topic, BatchMax: batchMax,
		Offsets: s.db, Handler: h, Log: s.app.log, Moved: s.moved, Meter: s.meter,
	}
}

// fillsLanes is how many members of the group of fills a process has. While one waits for the database
// the other computes; a household is always of one of them.
const fillsLanes = 2

// fills applies executions and events to the book. What comes by security is fanned out to the holders
// by any process.
func (s *services) fills(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.generations(ctx) })
	group.Go(func() error { return s.fanout().Run(ctx) })
	group.Go(func() error { return s.besideFills(ctx) })
	return group.Wait()
}

// fillsLane is one member of the group of a generation: it owns the same partitions of both topics.
func (s *services) fillsLane(ctx context.Context, g pipeline.Generation, lane int) error {
	owns := kafka.NewOwnership()
	executions := s.generationConsumer(g, pipeline.TopicFills, groupFills, fillsBatchMax, pipeline.NewFills(s.db, s.codec, s.app.now, s.app.log))
	executions.Tell = owns
	if lane > 0 && s.instance != "" {
		executions.Instance = fmt.Sprintf("%s.%d", s.instance, lane)
	}
	events := s.generationConsumer(g, pipeline.TopicEvents, groupEvents, eventsBatchMax, pipeline.NewEvents(s.db, s.events, s.app.now, s.app.log))
	events.Follow = owns
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return executions.Run(ctx) })
	group.Go(func() error { return events.Run(ctx) })
	return group.Wait()
}

// fanout brings corporate actions to accounts, by the day that it is where the exchanges are.
func (s *services) fanout() *pipeline.Fanout {
	return &pipeline.Fanout{Book: s.db, Today: func() market.Day { return exchangeDays.DayAt(s.clock.now()) }, Now: s.app.now, Log: s.app.log}
}

// relayLease is how long the stream of balances waits for an owner that is silent.
const relayLease = 10 * time.Second

// balances streams what the book holds on to its topics.
func (s *services) balances(ctx context.Context) error {
	codec, err := kafka.NewBookCodec(ctx, s.registry)
	if err != nil {
		return err
	}
	r := &pipeline.Relay{
		Book: s.db, Topics: func() (pipeline.FencedPublisher, error) { return kafka.NewFencedProducer(s.where.Brokers) }, Codec: codec,
		Owner: cmp.Or(s.instance, rand.Text()), Lease: relayLease, Log: s.app.log,
	}
	return r.Run(ctx)
}

// exchangeDays tells the day of an instant on the exchanges, which are all in one zone.
var exchangeDays = mustCalendar("XTSE")

func mustCalendar(exchange string) *market.Exchange {
	c, err := market.Calendar(exchange)
	if err != nil {
		panic(err) // the binary carries it
	}
	return c
}

// gateway sends released orders to the simulated brokerage. In a sample installation a session takes
// orders all day long; in any other one only while its exchange is open.
func (s *services) gateway(ctx context.Context) error {
	g := &pipeline.Gateway{
		Book: s.db, Broker: broker.NewSimulated(s.producer, s.codec, broker.Settings{Seed: sampleSeed}),
		Limits: orders.DefaultLimits, IsOpen: s.isOpen, Log: s.app.log,
	}
	return g.Run(ctx)
}

func (s *services) isOpen(exchange string, session market.Day) bool {
	calendar, err := market.Calendar(exchange)
	if err != nil {
		return false
	}
	now, isSample := s.clock.state()
	if isSample {
		return calendar.IsSession(session)
	}
	return calendar.DayAt(now()) == session && calendar.IsOpen(now())
}

// web serves the pages.
func (s *services) web(ctx context.Context) error {
	config, err := s.webConfig()
	if err != nil {
		return err
	}
	server, err := web.New(config)
	if errors.Is(err, web.ErrExposed) {
		return exitWith(exitUsage, fmt.Errorf("--http: %w", err))
	}
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error { return s.sweep(ctx) })
	group.Go(func() error {
		address := server.Addr(ctx)
		if address == nil {
			return nil // it never listened: Run says why
		}
		return s.ready(address.String())
	})
	return group.Wait()
}

// serveRegistry lets other teams' producers at the schemas of this installation. Where the settings
// name another registry there is nothing to serve.
func (s *services) serveRegistry(ctx context.Context) error {
	r, isOurs := s.registry.(*kafka.EmbeddedRegistry)
	if !isOurs {
		<-ctx.Done()
		return nil
	}
	at, listen := s.app.settings.RegistryAt, &net.ListenConfig{}
	l, err := listen.Listen(ctx, "tcp", at)
	if err != nil && at == defaultSettings().RegistryAt {
		l, err = listen.Listen(ctx, "tcp", "127.0.0.1:0") // nobody asked for this very address
	}
	if err != nil {
		return fmt.Errorf("the schema registry can't be served on %s, choose another address with --registry-at: %w", at, err)
	}
	fmt.Fprintf(s.app.errOut, "schema registry on http://%s\n", l.Addr())
	return r.Serve(ctx, l, s.app.log)
}

// schedule is what the pages know of runs to come.
type schedule struct{ services *services }

// Now implements web.Schedule.
func (s schedule) Now() time.Time { return s.services.clock.now() }

// StartRun implements web.Schedule.
func (s schedule) StartRun(ctx context.Context, session market.Day, by string) (pipeline.Run, error) {
	v := s.services
	return pipeline.StartRun(ctx, v.db, v.producer, pipeline.RunRequest{
		Session: session, Maker: by, Build: v.build, Rules: v.rules, Now: v.app.now(),
	})
}

// desk is where people decide about orders: the page and the commands go through the same one.
func desk(db *postgres.DB) web.Desk {
	return web.Desk{
		Review:     pipeline.Review{Book: db, Limits: orders.DefaultLimits},
		Submission: pipeline.Submit{Book: db, Limits: orders.DefaultLimits},
	}
}

// checkRoles refuses roles that are unknown or given twice.
func checkRoles(wanted []string) error {
	for i, r := range wanted {
		if !slices.Contains(roles, r) {
			return usageError("unknown role %q: one of %s", r, strings.Join(roles, ", "))
		}
		if slices.Contains(wanted[:i], r) {
			return usageError("role %q is given twice", r)
		}
	}
	return nil
}
