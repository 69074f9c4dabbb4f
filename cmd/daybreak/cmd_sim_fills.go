package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"daybreak/fills"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/money"
	"daybreak/pipeline"
	"daybreak/sim"
)

// simFills are the flags of sim fills.
type simFills struct {
	app      *app
	settings sim.FillSettings
	shares   map[string]*string // of a million, by flag
	accounts int
	orders   int
	rate     int
	burst    int
	out      string
	check    bool
	wait     time.Duration
	services *services
	oracle   *sim.FillOracle
	report   simFillsReport
}

// simFillsReport is the JSON of sim fills. Different lists, where it was asked to check, what the book
// has other than the oracle says.
type simFillsReport struct {
	Records     int      `json:"records"`
	Poison      int      `json:"poison"`
	Duplicates  int      `json:"duplicates"`
	Dead        int      `json:"dead"`
	Waiting     int      `json:"waiting"` // corrections and busts whose trade has not come
	Seconds     float64  `json:"seconds"`
	Checked     bool     `json:"checked"`
	Differences []string `json:"differences,omitempty"`
}

// fillShares are the flags that say which share of the trades something happens to.
var fillShares = []struct{ name, value, help string }{
	{"duplicates", "0.05", "are delivered again"},
	{"late", "0.05", "come up to 50 records after their place"},
	{"corrections", "0.02", "are corrected"},
	{"early", "0.01", "have a correction that comes before them"},
	{"busts", "0.01", "are busted, corrected ones too"},
	{"poison", "0.01", "have a record beside them that nobody can read"},
	{"unknown", "0.001", "have one beside them for an account that the book lacks"},
}

func newSimFillsCmd(a *app) *cobra.Command {
	f := &simFills{app: a, shares: map[string]*string{}}
	c := &cobra.Command{
		Use:   "fills",
		Short: "Make a stream of fills for the orders at the broker",
		Long: "Writes executions of the orders that are at the broker and have no fill yet to the topic daybreak.fills, or to a\n" +
			"file: trades in parts, and beside them what goes wrong in a stream. The same seed over the same orders gives the\n" +
			"same stream. --accounts makes up accounts with orders first; the brokerage of `up` must not fill the same orders, so\n" +
			"leave out its role gateway. --check waits until the stream is applied and compares the book with what an oracle of\n" +
			"its own makes of the same stream: 5 where they differ.",
		Example: "  daybreak sim fills --data DIR --accounts 1000 --orders 10 --check\n" +
			"  daybreak sim fills --data DIR --rate 300 --burst 5 --n 100000\n" +
			"  daybreak sim fills --data DIR --out fills.jsonl",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := f.parse(); err != nil {
				return err
			}
			return f.run(c.Context())
		},
	}
	flags := c.Flags()
	flags.Uint64Var(&f.settings.Seed, "seed", 1, "the stream's seed")
	flags.StringVar(&f.settings.Session, "session", "", "name of the broker session; two streams over the same orders need two names")
	flags.IntVar(&f.settings.Trades, "n", 1_000_000_000, "trades, at most; the stream ends when all orders are filled")
	flags.IntVar(&f.settings.PartsMax, "parts", 4, "trades of one order, at most")
	flags.IntVar(&f.settings.Window, "window", 20_000, "orders that are filled at the same time")
	for _, s := range fillShares {
		f.shares[s.name] = flags.String(s.name, s.value, "share of trades that "+s.help)
	}
	flags.IntVar(&f.accounts, "accounts", 0, "accounts to make up before, with orders at the broker")
	flags.IntVar(&f.orders, "orders", 10, "orders of each made-up account")
	flags.IntVar(&f.rate, "rate", 0, "records a second; 0 for as many as the broker takes")
	flags.IntVar(&f.burst, "burst", 1, "times the rate in one second of ten")
	flags.StringVar(&f.out, "out", "", "write the stream to this file, in JSON lines, instead of the topic")
	flags.BoolVar(&f.check, "check", false, "wait until the stream is applied, and compare the book with the oracle's")
	flags.DurationVar(&f.wait, "wait", 10*time.Minute, "how long --check waits")
	return c
}

// parse reads the flags that are not plain numbers.
func (f *simFills) parse() error {
	to := map[string]*int{"duplicates": &f.settings.Duplicates, "late": &f.settings.Late, "corrections": &f.settings.Corrected,
		"early": &f.settings.Early, "busts": &f.settings.Busted, "poison": &f.settings.Poison, "unknown": &f.settings.Unknown}
	for _, s := range fillShares {
		v, err := money.Parse(*f.shares[s.name])
		if err != nil || v.Sign() < 0 || money.One.Less(v) {
			return usageError("--%s: %q is not a share from 0 to 1", s.name, *f.shares[s.name])
		}
		*to[s.name], _ = strconv.Atoi(v.Mul(money.FromInt(1_000_000)).Fixed(0))
	}
	for flag, n := range map[string]int{"--accounts": f.accounts, "--rate": f.rate} {
		if n < 0 {
			return usageError("%s is %d, and must not be below 0", flag, n)
		}
	}
	if f.orders < 1 || f.orders > 400 || f.burst < 1 {
		return usageError("--orders is %d, from 1 to 400; --burst %d, at least 1", f.orders, f.burst)
	}
	if f.check && f.out != "" {
		return usageError("--check compares the book, which --out leaves alone: give one of them")
	}
	if err := f.settings.Validate(); err != nil {
		return usageError("%w", err)
	}
	return nil
}

func (f *simFills) run(ctx context.Context) error {
	where, err := f.app.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = where.Close() }()
	if f.services, err = f.app.openServices(ctx, where); err != nil {
		return err
	}
	defer f.services.Close()
	if err := f.makeOrders(ctx); err != nil {
		return err
	}
	began := f.app.now()
	if err := f.play(ctx); err != nil {
		return err
	}
	f.report.Seconds = f.app.now().Sub(began).Seconds()
	if err := emitOne(f.app, f.report, writeSimFills); err != nil {
		return err
	}
	if n := len(f.report.Differences); n > 0 {
		return exitWith(exitDifferences, fmt.Errorf("the book differs from the oracle's in %d figures", n))
	}
	return nil
}

// syntheticSession is the session of made-up orders, and of the bench's.
var syntheticSession = market.NewDay(2020, 3, 16)

func (f *simFills) makeOrders(ctx context.Context) error {
	const chunk = 200 // accounts: whole households
	for first := 0; first < f.accounts; first += chunk {
		var all []pipeline.BrokerOrder
		for n := first * f.orders; n < min(first+chunk, f.accounts)*f.orders; n++ {
			all = append(all, sim.SyntheticOrder(n, f.orders, syntheticSession))
		}
		if err := f.services.db.StoreSynthetic(ctx, all, 1); err != nil {
			return err
		}
	}
	return nil
}

// play makes the stream, and checks it where that was asked for.
func (f *simFills) play(ctx context.Context) (err error) {
	db := f.services.db
	before, err := db.StreamCounts(ctx, pipeline.TopicFills)
	if err != nil {
		return err
	}
	if f.check {
		if f.oracle, err = newOracle(ctx, db); err != nil {
			return err
		}
	}
	pages := &orderPages{ctx: ctx, db: db}
	stream := sim.NewFillStream(f.settings, pages.next)
	if f.out != "" {
		err = writeFile(f.out, func(w io.Writer) error { return f.write(w, stream) })
	} else {
		err = f.publish(ctx, stream)
	}
	if err != nil || pages.err != nil || !f.check {
		return firstError(err, pages.err)
	}
	f.report.Checked = true
	f.report.Duplicates, f.report.Dead, f.report.Waiting = f.oracle.Duplicates, f.oracle.Dead, f.oracle.Waiting
	return f.compare(ctx, before)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func newOracle(ctx context.Context, db *postgres.DB) (*sim.FillOracle, error) {
	rows, err := bookRows(ctx, db)
	if err != nil {
		return nil, err
	}
	return sim.NewFillOracle(rows)
}

func bookRows(ctx context.Context, db *postgres.DB) ([]sim.BookRow, error) {
	figures, err := db.BookFigures(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]sim.BookRow, len(figures))
	for i, figure := range figures {
		rows[i] = sim.BookRow(figure)
	}
	return rows, nil
}

// orderPages gives the live orders of a book one after the other.
type orderPages struct {
	ctx  context.Context
	db   *postgres.DB
	page []pipeline.BrokerOrder
	last pipeline.BrokerOrder
	err  error
}

func (p *orderPages) next() (pipeline.BrokerOrder, bool) {
	if len(p.page) == 0 && p.err == nil {
		p.page, p.err = p.db.LiveOrders(p.ctx, p.last, 10_000)
	}
	if len(p.page) == 0 {
		return pipeline.BrokerOrder{}, false
	}
	p.last, p.page = p.page[0], p.page[1:]
	return p.last, true
}

// publish writes the stream to the topic at its rate.
func (f *simFills) publish(ctx context.Context, stream *sim.FillStream) error {
	partitions, err := f.services.producer.Partitions(ctx, pipeline.TopicFills)
	if err != nil {
		return err
	}
	progress := f.app.newProgress("records")
	defer progress.end()
	began, planned := time.Now(), 0.0
	for {
		var records []pipeline.Record
		for len(records) < f.chunk() {
			r, ok := stream.Next()
			if !ok {
				break
			}
			record, err := f.take(r, partitions)
			if err != nil {
				return err
			}
			records = append(records, record)
		}
		if len(records) == 0 {
			return nil
		}
		if err := f.services.producer.Publish(ctx, records); err != nil {
			return err
		}
		progress.show(int64(f.report.Records), 0, "of the stream")
		if f.rate > 0 {
			planned += float64(len(records)) / float64(f.rate*f.factor(planned))
			if err := pauseFor(ctx, time.Until(began.Add(time.Duration(planned*float64(time.Second))))); err != nil {
				return err
			}
		}
	}
}

// chunk is how many records are written at once.
func (f *simFills) chunk() int {
	if f.rate == 0 {
		return 5_000
	}
	return max(1, f.rate/50)
}

// factor is how many times the rate holds at a second of the stream.
func (f *simFills) factor(second float64) int {
	if int(second)%10 == 9 {
		return f.burst
	}
	return 1
}

// take counts a report and returns its record.
func (f *simFills) take(r sim.Report, partitions int32) (pipeline.Record, error) {
	f.report.Records++
	if r.Poison != nil {
		f.report.Poison++
	}
	if f.oracle != nil {
		f.oracle.Take(r)
	}
	return fillRecord(f.services.codec, r, partitions)
}

// fillLine is one record of a stream in a file.
type fillLine struct {
	RoutingKey string           `json:"routing_key"`
	Execution  *fills.Execution `json:"execution,omitempty"`
	Poison     []byte           `json:"poison,omitempty"`
}

func (f *simFills) write(w io.Writer, stream *sim.FillStream) error {
	buffered := bufio.NewWriter(w)
	lines := json.NewEncoder(buffered)
	for r, ok := stream.Next(); ok; r, ok = stream.Next() {
		line := fillLine{RoutingKey: r.RoutingKey, Poison: r.Poison}
		if r.Poison == nil {
			line.Execution = &r.Execution
		} else {
			f.report.Poison++
		}
		f.report.Records++
		if err := lines.Encode(line); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// compare waits until the whole stream has been read, and compares book and oracle.
func (f *simFills) compare(ctx context.Context, before postgres.StreamCount) error {
	ctx, cancel := context.WithTimeout(ctx, f.wait)
	defer cancel()
	for {
		now, err := f.services.db.StreamCounts(ctx, pipeline.TopicFills)
		if err != nil {
			return err
		}
		if now.All()-before.All() >= int64(f.report.Records) {
			return f.differ(ctx, now.Dead-before.Dead)
		}
		if err := pauseFor(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d records were applied; does a process play the role fills? %w", now.All()-before.All(), f.report.Records, err)
		}
	}
}

func (f *simFills) differ(ctx context.Context, dead int64) error {
	rows, err := bookRows(ctx, f.services.db)
	if err != nil {
		return err
	}
	f.report.Differences = f.oracle.Differences(rows)
	if dead != int64(f.oracle.Dead) {
		f.report.Differences = slices.Insert(f.report.Differences, 0, fmt.Sprintf("%d dead letters, the oracle says %d", dead, f.oracle.Dead))
	}
	return nil
}

func writeSimFills(w io.Writer, r simFillsReport) error {
	fmt.Fprintf(w, "%d records, %d of them poison, in %.1f s\n", r.Records, r.Poison, r.Seconds)
	if !r.Checked {
		return nil
	}
	fmt.Fprintf(w, "the oracle says: %d duplicates, %d dead letters, %d still held; the book differs in %d figures\n", r.Duplicates, r.Dead, r.Waiting, len(r.Differences))
	for _, d := range r.Differences[:min(20, len(r.Differences))] {
		if _, err := fmt.Fprintln(w, d); err != nil {
			return err
		}
	}
	return nil
}

// fillRecord returns a report as a record of the topic of fills.
func fillRecord(codec pipeline.FillCodec, r sim.Report, partitions int32) (pipeline.Record, error) {
	record := pipeline.Record{
		Topic: pipeline.TopicFills, Partition: pipeline.Partition(r.RoutingKey, partitions), Value: r.Poison,
		Headers: []pipeline.Header{{Key: pipeline.HeaderRoutingKey, Value: []byte(r.RoutingKey)}},
	}
	if r.Poison != nil {
		return record, nil
	}
	record.Key = []byte(r.Execution.Key().String())
	var err error
	record.Value, err = codec.Encode(r.Execution)
	return record, err
}
