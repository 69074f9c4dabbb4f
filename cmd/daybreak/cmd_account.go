package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daybreak/market"
	"daybreak/pipeline"
	"daybreak/portfolio"
)

func newAccountCmd(a *app) *cobra.Command {
	c := &cobra.Command{Use: "account", Short: "Look at one account, and replay what was decided for it"}
	c.AddCommand(newAccountShowCmd(a), newAccountReplayCmd(a))
	return c
}

func newAccountShowCmd(a *app) *cobra.Command {
	var asOf, knownAt string
	var limit int
	c := &cobra.Command{
		Use:   "show ACCOUNT",
		Short: "Show positions, lots or pools, what a sale today would come to, what not to buy, cash, orders, what happened",
		Long: "Shows an account as it is now, or as it stood: --as-of says when its facts had effect, --known-at what the\n" +
			"book knew. A trade that was corrected in June is the old one with --known-at of May, whatever its day. Both\n" +
			"take a day, which means its end in UTC, or an instant such as 2020-03-16T14:30:00Z. Facts have effect with\n" +
			"their day: an instant of --as-of means the day that it is in.",
		Example: "  daybreak account show H000012-TAX-A\n" +
			"  daybreak account show H000012-TAX-A --as-of 2020-03-16 -o json\n" +
			"  daybreak account show H000012-TAX-A --as-of 2020-03-16 --known-at 2020-05-29",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			effective, err := parseMoment("--as-of", asOf)
			if err != nil {
				return err
			}
			known, err := parseMoment("--known-at", knownAt)
			if err != nil {
				return err
			}
			q := pipeline.AccountRequest{Account: portfolio.AccountID(args[0]), Limit: limit}
			if !effective.IsZero() {
				q.AsOf = market.DayOf(effective)
			}
			return a.withOffice(c.Context(), false, func(d *office) error { return a.showAccount(c.Context(), d, q, known) })
		},
	}
	c.Flags().StringVar(&asOf, "as-of", "", "show the account as it stood at the end of this day, or at this instant; as it is now if not given")
	c.Flags().StringVar(&knownAt, "known-at", "", "show it as the book knew it at the end of this day, or at this instant; all that it knows if not given")
	c.Flags().IntVar(&limit, "limit", 30, "entries of the timeline at most, as many of taxes, and of the journal")
	return c
}

// showAccount prints an account as the book knew it at an instant of the installation's clock, or as
// it knows it now.
func (a *app) showAccount(ctx context.Context, d *office, q pipeline.AccountRequest, known time.Time) error {
	clock, err := newClock(ctx, d.db, a.now)
	if err != nil {
		return err
	}
	now := clock.now()
	q.Today = market.DayOf(now)
	if !known.IsZero() {
		q.KnownAt = known.Add(a.now().Sub(now)) // stamps of a sample installation are the machine's
	}
	page, err := pipeline.LookAtAccount(ctx, d.db, q)
	if err != nil {
		return err
	}
	if page.KnownAt != nil {
		page.KnownAt = &known
	}
	return emitOne(a, page, writeAccountPage)
}

// parseMoment reads a day, which stands for its end in UTC, or an instant; the zero time for "".
func parseMoment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC(), nil
	}
	day, err := market.ParseDay(text)
	if err != nil {
		return time.Time{}, usageError("%s: want a day or an instant such as 2020-03-16T14:30:00Z: %w", flag, err)
	}
	return (day + 1).Time().Add(-time.Microsecond), nil
}

// lastPlanLine says on one line how good the latest plan of an account is.
func lastPlanLine(l pipeline.LastPlan) string {
	text := fmt.Sprintf("  plan      run %s: %s %s", l.Run, l.Outcome, l.Reason)
	c := l.Certificate
	if c == nil {
		return text + ", by the rules"
	}
	text += fmt.Sprintf("; at most %s bp (%s) from the optimum, tracking error %s %% a year", c.GapBP.Fixed(2), c.GapMoney.Fixed(2), percent(c.TrackingError))
	if c.Exception != "" {
		text += "; " + c.Exception
	}
	if len(c.StandIns) > 0 {
		text += fmt.Sprintf("; risk of the class for %v", c.StandIns)
	}
	return text
}

func writeAccountPage(w io.Writer, page pipeline.AccountPage) error {
	p := &printer{w: w}
	p.line("Account %s of household %s (%s), owner %s, %s in %s, model %s, book version %d",
		page.Account, page.Household, page.Region, page.Owner, page.Type, page.Currency, page.Model, page.BookVersion)
	if page.KnownAt != nil {
		p.line("As of %s, as the book knew it at %s", page.AsOf, page.KnownAt.Format(time.RFC3339))
	}
	if page.Fault != "" {
		p.line("Would be parked: %s", page.Fault)
	}
	if page.LastPlan != nil {
		p.line("%s", lastPlanLine(*page.LastPlan))
	}
	for _, c := range page.Cash {
		p.line("  cash      %18s %s", c.Amount.Fixed(2), c.Currency)
	}
	for _, s := range page.Positions {
		p.line("  position  %18s %s", s.Shares.Fixed(4), s.Symbol)
	}
	for _, l := range page.Lots {
		cost := "unknown"
		if l.CostKnown {
			cost = l.Cost.Fixed(2)
		}
		p.line("  lot       %18s %-10s cost %14s  held since %s  %s", l.Shares.Dec().Fixed(4), l.Symbol, cost, l.Start, l.Lot)
	}
	p.line("  realized in %d: gains %s, losses %s, denied %s", page.Realized.Year, page.Realized.Gains.Fixed(2), page.Realized.Losses.Fixed(2), page.Realized.Denied.Fixed(2))
	for _, s := range page.IfSold {
		p.line("%s", soldTodayLine(s))
	}
	for _, b := range page.DoNotBuy {
		p.line("  do not buy %s until %s: %s %s in %s", b.Property, untilText(b.Until), b.Kind, b.Symbol, b.Account)
	}
	for _, l := range page.Locks {
		p.line("  lock      no purchase of %s until %s (sold by %s)", l.Property, l.Until, l.Account)
	}
	for _, o := range page.Open {
		p.line("  order     %s %s %s %s", o.ID, o.Side, o.Leaves, o.Symbol)
	}
	for _, e := range page.Journal {
		p.line("  journal   %18s %-10s %s %s -> %s %s  effective %s, known %s, version %d, %s", e.Amount, e.Commodity, e.From.Owner, e.From.Kind,
			e.To.Owner, e.To.Kind, e.Effective, e.Known.UTC().Format(time.DateTime), e.Version, e.Kind)
	}
	for _, e := range page.Timeline {
		p.line("  %s  %-9s %-22s %s", e.At.UTC().Format(time.DateTime), e.Kind, e.Subject, e.Detail)
	}
	return p.err
}

// soldTodayLine says on one line what the sale of a holding would come to.
func soldTodayLine(s pipeline.SoldToday) string {
	what := string(s.Symbol)
	if s.Lot != "" {
		what += " lot " + s.Lot
	}
	text := fmt.Sprintf("  if sold   %18s %-10s ", s.Shares.Dec().Fixed(4), what)
	if s.Unknown != "" {
		return text + "no answer: " + s.Unknown
	}
	word := "gain"
	if s.Gain.Sign() < 0 {
		word = "loss"
	}
	text += fmt.Sprintf("%s %s at %s of %s", word, s.Gain.Abs().Fixed(2), s.Price, s.PriceDay)
	if len(s.Terms) > 0 {
		text += fmt.Sprintf(" %v", s.Terms)
	}
	if s.Denied.Sign() > 0 {
		text += fmt.Sprintf("; denied %s, of it lost %s", s.Denied.Fixed(2), s.Lost.Fixed(2))
	}
	for _, b := range s.DeniedBy {
		text += fmt.Sprintf("; %s %s in %s until %s", b.Kind, b.Symbol, b.Account, untilText(b.Until))
	}
	if s.Gain.Sign() < 0 {
		text += "; a purchase until " + s.Until.String() + " would deny it"
	}
	return text
}

// untilText names a day, or the end of an order where there is none.
func untilText(day market.Day) string {
	if day == market.NoDay {
		return "its order ends"
	}
	return day.String()
}

func newAccountReplayCmd(a *app) *cobra.Command {
	var run string
	var set []string
	c := &cobra.Command{
		Use:   "replay ACCOUNT --run RUN",
		Short: "Decide an account again from its recorded inputs: exit 0 where it is the same, 5 where it differs",
		Example: "  daybreak account replay H000012-TAX-A --run 2020-03-16.1\n" +
			"  daybreak account replay H000012-TAX-A --run 2020-03-16.1 --set band=0.05",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			settings, err := readSettings(set)
			if err != nil {
				return err
			}
			id, err := build()
			if err != nil {
				return err
			}
			request := pipeline.ReplayRequest{Account: portfolio.AccountID(args[0]), Run: run, Build: id, Settings: settings}
			return a.withOffice(c.Context(), false, func(o *office) error { return a.replay(c.Context(), o, request) })
		},
	}
	c.Flags().StringVar(&run, "run", "", "run that decided it, DATE.N")
	c.Flags().StringArrayVar(&set, "set", nil, "change a parameter of the account's policy, or of the run, first, key=value; may be given again")
	_ = c.MarkFlagRequired("run")
	return c
}

// replay decides an account again and prints how that compares with the record.
func (a *app) replay(ctx context.Context, o *office, request pipeline.ReplayRequest) error {
	replayed, err := pipeline.Replay(ctx, o.db, request)
	if errors.Is(err, pipeline.ErrSetting) {
		return exitWith(exitUsage, err)
	}
	if err != nil {
		return err
	}
	if err := emitOne(a, replayed, writeReplayed); err != nil {
		return err
	}
	if !replayed.Same {
		return exitWith(exitDifferences, nil)
	}
	return nil
}

func readSettings(set []string) ([]pipeline.Setting, error) {
	var settings []pipeline.Setting
	for _, s := range set {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, usageError("--set %q: want key=value", s)
		}
		settings = append(settings, pipeline.Setting{Key: key, Value: value})
	}
	return settings, nil
}

func writeReplayed(w io.Writer, r pipeline.Replayed) error {
	p := &printer{w: w}
	if r.Same {
		p.line("account %s in run %s: the same decision", r.Account, r.Run)
		return p.err
	}
	p.line("account %s in run %s: %d differences, cause: %s", r.Account, r.Run, len(r.Differences), r.Cause)
	for i, d := range r.Differences {
		if i == differencesShown {
			p.line("  … and %d more: -o json lists all", len(r.Differences)-i)
			break
		}
		p.line("  %-40s %s -> %s", d.Path, clipped(string(d.Recorded)), clipped(string(d.Now)))
	}
	return p.err
}

// differencesShown bounds the differences of a replay in text.
const differencesShown = 24

// clipped shortens a value for one line of text; the whole one is in the JSON output.
func clipped(s string) string {
	const most = 100
	if len(s) > most {
		return fmt.Sprintf("%s… (%d bytes)", s[:most], len(s))
	}
	return s
}
