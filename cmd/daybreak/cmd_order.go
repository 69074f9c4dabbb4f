package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/filter"
	"daybreak/internal/postgres"
	"daybreak/market"
	"daybreak/money"
	"daybreak/orders"
	"daybreak/pipeline"
	"daybreak/portfolio"
	"daybreak/rebalance"
)

func newOrderCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "order",
		Short: "Review, approve and submit the orders of a run",
		Long: "Orders are proposed by a run, approved by another person than its maker, and submitted to the gateway,\n" +
			"which sends sales at once and purchases as the sales that fund them are over.\n\n" +
			"--where takes a CEL expression over the fields of an order:\n" + fieldHelp(filter.OrderFields),
	}
	c.AddCommand(newOrderListCmd(a), newOrderShowCmd(a), newOrderApproveCmd(a), newOrderRejectCmd(a), newOrderHoldCmd(a),
		newOrderSubmitCmd(a), newOrderExportCmd(a))
	return c
}

func fieldHelp(fields []filter.Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "  %-17s %s (%s)\n", f.Name, f.Doc, f.Type)
	}
	return b.String()
}

// orderAct holds the flags of a command that changes orders.
type orderAct struct {
	run, where, as, comment string
}

func (f *orderAct) addFlags(c *cobra.Command) {
	c.Flags().StringVar(&f.run, "run", "", "run whose orders are meant, such as 2020-03-16.1")
	c.Flags().StringVar(&f.where, "where", "", "CEL expression over the fields of an order: only those that match")
	c.Flags().StringVar(&f.as, "as", "", "user who acts")
	c.Flags().StringVar(&f.comment, "comment", "", "what to keep beside the act")
	_ = c.MarkFlagRequired("run")
	_ = c.MarkFlagRequired("as")
}

// act returns what the flags ask for.
func (f *orderAct) act(now time.Time) (pipeline.Act, error) {
	chosen, err := filter.Orders(f.where)
	if err != nil {
		return pipeline.Act{}, exitWith(exitUsage, fmt.Errorf("--where: %w", err))
	}
	if strings.TrimSpace(f.as) == "" {
		return pipeline.Act{}, usageError("--as names nobody")
	}
	return pipeline.Act{Run: f.run, Where: f.where, Chosen: chosen, By: f.as, Comment: f.comment, Now: now}, nil
}

// doAct opens the installation and acts on it.
func (a *app) doAct(ctx context.Context, f *orderAct, do func(db *postgres.DB, act pipeline.Act) error) error {
	act, err := f.act(a.now())
	if err != nil {
		return err
	}
	return a.withOffice(ctx, false, func(o *office) error { return filterFault(do(o.db, act)) })
}

// filterFault makes an expression that fails on an order a fault of usage, as one that does not
// compile is.
func filterFault(err error) error {
	if errors.Is(err, filter.ErrFilter) {
		return exitWith(exitUsage, fmt.Errorf("--where: %w", err))
	}
	return err
}

func newOrderApproveCmd(a *app) *cobra.Command {
	var f orderAct
	var override bool
	c := &cobra.Command{
		Use:   "approve --run RUN --as USER",
		Short: "Sign the proposed orders of a run that match, as another person than its maker",
		Long: "Signs the proposed orders that match and that no check stops. With --override-lock it signs, instead, the\n" +
			"purchases that match and that tax locks stop, in spite of the losses that they destroy; --comment says why.\n" +
			"Such a signature holds for the very order and the locks that it names: a further lock needs another one.",
		Example: "  daybreak order approve --run 2020-03-16.1 --as ana\n" +
			"  daybreak order approve --run 2020-03-16.1 --as ana --where 'side == \"sell\" && notional < dec(\"5000\")'\n" +
			"  daybreak order approve --run 2020-03-16.1 --as ana --where 'exception == \"TAX_LOCK\"' --override-lock --comment 'pension due'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if override && strings.TrimSpace(f.comment) == "" {
				return usageError("--override-lock needs --comment: why must the purchase happen")
			}
			return a.doAct(c.Context(), &f, func(db *postgres.DB, act pipeline.Act) error {
				review := pipeline.Review{Book: db, Limits: orders.DefaultLimits}
				if override {
					return a.overrideLocks(c.Context(), review, act)
				}
				result, err := review.Approve(c.Context(), act)
				if err != nil {
					return err
				}
				if err := emitOne(a, result, writeApproval); err != nil {
					return err
				}
				return exceptionsWhere(len(result.Flagged))
			})
		},
	}
	f.addFlags(c)
	c.Flags().BoolVar(&override, "override-lock", false, "sign purchases that a tax lock stops, and those alone")
	return c
}

func (a *app) overrideLocks(ctx context.Context, review pipeline.Review, act pipeline.Act) error {
	result, err := review.Override(ctx, act)
	if err != nil {
		return err
	}
	if err := emitOne(a, result, writeOverrides); err != nil {
		return err
	}
	return exceptionsWhere(len(result.Flagged))
}

func writeOverrides(w io.Writer, r pipeline.OverrideResult) error {
	fmt.Fprintf(w, "overrode the tax locks of %d orders of run %s\n", r.Orders, r.Run)
	for _, o := range r.Overrides {
		fmt.Fprintf(w, "  %s %s\n", o.Order, overrideText(o))
	}
	if r.Approval != nil {
		fmt.Fprintf(w, "approved %d of them: %s\nroot %s\n", r.Approval.Orders, notionals(r.Approval.Notional), r.Approval.Root)
	}
	return writeFlags(w, r.Flagged, "still stopped")
}

// overrideText says in one line what an override let through.
func overrideText(o pipeline.LockOverride) string {
	var locks []string
	for _, l := range o.Locks {
		locks = append(locks, fmt.Sprintf("%s until %s (sale %s)", l.Property, l.Until, l.Order))
	}
	c := o.Loss.Currency
	return fmt.Sprintf("buys %s: destroys %s %s of losses, %s %s of it for good, worth %s %s of tax; %s: %s", strings.Join(locks, ", "),
		o.Loss.Amount.Fixed(2), c, o.Loss.Gone.Fixed(2), c, o.Loss.Tax.Fixed(2), c, o.Approver, o.Comment)
}

// exceptionsWhere ends a command with 3 where some orders were left out.
func exceptionsWhere(leftOut int) error {
	if leftOut > 0 {
		return exitWith(exitExceptions, nil)
	}
	return nil
}

func writeApproval(w io.Writer, r pipeline.ApprovalResult) error {
	fmt.Fprintf(w, "approved %d orders of run %s: %s\n", r.Orders, r.Run, notionals(r.Notional))
	if r.Root != "" {
		fmt.Fprintf(w, "root %s\n", r.Root)
	}
	return writeFlags(w, r.Flagged, "stopped by a check")
}

// flagsMax bounds the flagged orders that are printed one by one.
const flagsMax = 20

func writeFlags(w io.Writer, flagged []pipeline.Flag, what string) error {
	if len(flagged) == 0 {
		return nil
	}
	fmt.Fprintf(w, "%d orders are %s:\n", len(flagged), what)
	for _, f := range flagged[:min(len(flagged), flagsMax)] {
		fmt.Fprintf(w, "  %s %s: %s\n", f.Order, f.Code, f.Text())
	}
	if more := len(flagged) - flagsMax; more > 0 {
		fmt.Fprintf(w, "  and %d more: `daybreak order list --where 'exception != \"\"'`\n", more)
	}
	return nil
}

// notionals writes amounts by currency in one line.
func notionals(by map[string]money.Dec) string {
	if len(by) == 0 {
		return "nothing"
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, by[c].Fixed(2)+" "+c)
	}
	return strings.Join(parts, ", ")
}

// acted is what rejecting, holding and releasing come to.
type acted struct {
	Run    string `json:"run"`
	Act    string `json:"act"`
	Orders int    `json:"orders"`
}

func writeActed(w io.Writer, r acted) error {
	_, err := fmt.Fprintf(w, "%s %d orders of run %s\n", r.Act, r.Orders, r.Run)
	return err
}

func newOrderRejectCmd(a *app) *cobra.Command {
	var f orderAct
	c := &cobra.Command{
		Use:     "reject --run RUN --as USER",
		Short:   "End proposed or approved orders that match and were not sent",
		Example: "  daybreak order reject --run 2020-03-16.1 --as ana --where 'account == \"H000012-TAX-A\"' --comment 'client asked'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.doAct(c.Context(), &f, func(db *postgres.DB, act pipeline.Act) error {
				n, err := pipeline.Review{Book: db}.Reject(c.Context(), act)
				if err != nil {
					return err
				}
				return emitOne(a, acted{act.Run, "rejected", n}, writeActed)
			})
		},
	}
	f.addFlags(c)
	return c
}

func newOrderHoldCmd(a *app) *cobra.Command {
	var f orderAct
	var release bool
	c := &cobra.Command{
		Use:   "hold --run RUN --as USER",
		Short: "Keep orders that match from being sent, or with --release let them go again",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.doAct(c.Context(), &f, func(db *postgres.DB, act pipeline.Act) error {
				review, did := pipeline.Review{Book: db}, "held"
				do := review.Hold
				if release {
					do, did = review.Release, "released"
				}
				n, err := do(c.Context(), act)
				if err != nil {
					return err
				}
				return emitOne(a, acted{act.Run, did, n}, writeActed)
			})
		},
	}
	f.addFlags(c)
	c.Flags().BoolVar(&release, "release", false, "let orders go again that are held, or flagged and looked at")
	return c
}

func newOrderSubmitCmd(a *app) *cobra.Command {
	var f orderAct
	c := &cobra.Command{
		Use:   "submit --run RUN --as USER",
		Short: "Hand approved orders to the gateway, after checking again what moved since the plan",
		Long: "An order whose household's book has moved since it was planned is checked again: its lots, its cash, its\n" +
			"locks, its price and what its loss would be denied. One that no longer holds becomes STALE and is not sent.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.doAct(c.Context(), &f, func(db *postgres.DB, act pipeline.Act) error {
				result, err := pipeline.Submit{Book: db, Limits: orders.DefaultLimits}.Submit(c.Context(), act)
				if err != nil {
					return err
				}
				if err := emitOne(a, result, writeSubmission); err != nil {
					return err
				}
				return exceptionsWhere(len(result.Stale))
			})
		},
	}
	f.addFlags(c)
	return c
}

func writeSubmission(w io.Writer, r pipeline.SubmitResult) error {
	fmt.Fprintf(w, "submitted %d orders of run %s: %s\n", r.Orders, r.Run, notionals(r.Notional))
	return writeFlags(w, r.Stale, "stale and not sent")
}

// orderLine is one order as `order list` prints it.
type orderLine struct {
	ID        orders.ID             `json:"id"`
	Run       string                `json:"run"`
	Household portfolio.HouseholdID `json:"household"`
	Account   portfolio.AccountID   `json:"account"`
	Region    string                `json:"region"`
	Security  market.Symbol         `json:"security"`
	Side      portfolio.Side        `json:"side"`
	Quantity  money.Dec             `json:"quantity"`
	Price     money.Dec             `json:"price"`
	Notional  money.Dec             `json:"notional"`
	Currency  market.Currency       `json:"currency"`
	Reason    string                `json:"reason"`
	Status    pipeline.ReviewState  `json:"status"`
	Approved  bool                  `json:"approved"`
	Exception string                `json:"exception,omitempty"`
	HeldBy    string                `json:"held_by,omitempty"`
}

func newOrderListCmd(a *app) *cobra.Command {
	var run, where string
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the orders of a run, by id",
		Example: "  daybreak order list --run 2020-03-16.1 --where 'region == \"CA\" && side == \"buy\"'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			chosen, err := filter.Orders(where)
			if err != nil {
				return exitWith(exitUsage, fmt.Errorf("--where: %w", err))
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				if run, err = runOrLatest(c.Context(), o.db, run); err != nil {
					return err
				}
				lines, more, err := orderLines(c.Context(), o.db, run, chosen, limit)
				if err != nil {
					return filterFault(err)
				}
				if more > 0 {
					fmt.Fprintf(a.errOut, "%d more orders match; --limit shows more\n", more)
				}
				return emit(a, lines, writeOrderLines)
			})
		},
	}
	c.Flags().StringVar(&run, "run", "", "run whose orders are meant; the latest one where it is left out")
	c.Flags().StringVar(&where, "where", "", "CEL expression over the fields of an order: only those that match")
	c.Flags().IntVar(&limit, "limit", 100, "orders to list at most; 0 lists all")
	return c
}

// runOrLatest returns a run's id where it is there, and the latest run's for "".
func runOrLatest(ctx context.Context, db *postgres.DB, id string) (string, error) {
	if id != "" {
		_, err := db.Run(ctx, id)
		return id, err
	}
	runs, err := db.LatestRuns(ctx, 1)
	if err != nil {
		return "", err
	}
	if len(runs) == 0 {
		return "", fmt.Errorf("no run: start one with `daybreak run start`: %w", pipeline.ErrNotFound)
	}
	return runs[0].ID, nil
}

// orderLines returns at most limit orders that match, and how many more do.
func orderLines(ctx context.Context, db *postgres.DB, run string, chosen func(pipeline.ReviewOrder) (bool, error), limit int) (lines []orderLine, more int, err error) {
	err = db.ReadReview(ctx, run, func(o pipeline.ReviewOrder) error {
		if chosen != nil {
			if ok, err := chosen(o); err != nil || !ok {
				return err
			}
		}
		if limit > 0 && len(lines) == limit {
			more++
			return nil
		}
		lines = append(lines, orderLine{ID: o.ID, Run: o.Run, Household: o.Household, Account: o.Account, Region: o.Region,
			Security: o.Symbol, Side: o.Side, Quantity: o.Quantity, Price: o.Price, Notional: o.Notional, Currency: o.Currency,
			Reason: o.Reason, Status: o.Review(), Approved: o.Approved, Exception: o.Exception, HeldBy: o.HeldBy})
		return nil
	})
	return lines, more, err
}

func writeOrderLines(w io.Writer, lines []orderLine) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tACCOUNT\tSIDE\tSECURITY\tQUANTITY\tNOTIONAL\tREASON\tSTATUS")
	for _, l := range lines {
		status := string(l.Status)
		if l.Exception != "" {
			status += " " + l.Exception
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s %s\t%s\t%s\n", l.ID, l.Account, l.Side, l.Security, l.Quantity, l.Notional.Fixed(2),
			l.Currency, l.Reason, status)
	}
	return t.Flush()
}

// orderPage is one order as `order show` prints it.
type orderPage struct {
	orderLine
	LimitPrice  money.Dec            `json:"limit_price"`
	PriceDay    market.Day           `json:"price_day"`
	FX          money.Dec            `json:"fx"`
	Numbers     map[string]string    `json:"numbers,omitempty"`
	Lots        []rebalance.TradeLot `json:"lots,omitempty"`
	WaitsFor    []string             `json:"waits_for,omitempty"`
	BookVersion int64                `json:"book_version"`
	ContentHash string               `json:"content_hash"`
	OrderQty    money.Dec            `json:"order_qty"`
	CumQty      money.Dec            `json:"cum_qty"`
	LeavesQty   money.Dec            `json:"leaves_qty"`
	Detail      string               `json:"exception_detail,omitempty"`
	Approver    string               `json:"approver,omitempty"`
	Sent        *time.Time           `json:"sent,omitempty"`
	Executions  []executionLine      `json:"executions,omitempty"`

	Stop      *pipeline.LockStop      `json:"tax_lock,omitempty"`       // what stops it now
	Overrides []pipeline.LockOverride `json:"lock_overrides,omitempty"` // the latest first
}

type executionLine struct {
	Key       string     `json:"key"`
	Type      string     `json:"exec_type"`
	Quantity  money.Dec  `json:"quantity"`
	Price     money.Dec  `json:"price"`
	TradeDate market.Day `json:"trade_date"`
	Effective bool       `json:"effective"`
}

func newOrderShowCmd(a *app) *cobra.Command {
	var run string
	c := &cobra.Command{
		Use:   "show ORDER",
		Short: "Show one order: why it is there, who signed it, what the broker says",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				page, err := orderPageOf(c.Context(), o.db, run, orders.ID(args[0]))
				if err != nil {
					return err
				}
				return emitOne(a, page, writeOrderPage)
			})
		},
	}
	c.Flags().StringVar(&run, "run", "", "run of the order; left out: the one that sent it, or the last that proposed it")
	return c
}

// orderPageOf reads an order of a run, "" being the one that sent it or the last that proposed it.
func orderPageOf(ctx context.Context, db *postgres.DB, run string, id orders.ID) (orderPage, error) {
	var err error
	if run == "" {
		if run, err = db.RunOfOrder(ctx, id); err != nil {
			return orderPage{}, err
		}
	}
	detail, err := db.Order(ctx, run, id)
	if err != nil {
		return orderPage{}, err
	}
	page := pageOfOrder(detail)
	if detail.Side == portfolio.Buy && detail.Sent == nil {
		page.Stop, err = pipeline.Review{Book: db, Limits: orders.DefaultLimits}.Stop(ctx, run, detail.Household, id)
	}
	return page, err
}

func pageOfOrder(o pipeline.OrderDetail) orderPage {
	p := orderPage{
		orderLine: orderLine{ID: o.ID, Run: o.Run, Household: o.Household, Account: o.OrderRow.Account, Region: o.Region, Security: o.Symbol,
			Side: o.Side, Quantity: o.Quantity, Price: o.Price, Notional: o.Notional, Currency: o.Currency, Reason: o.Reason,
			Status: o.State, Approved: o.Approval != nil, Exception: o.Exception, HeldBy: o.HeldBy},
		LimitPrice: o.LimitPrice, PriceDay: o.PriceDay, FX: o.FX, Numbers: o.Numbers, Lots: o.Lots, WaitsFor: o.WaitsFor,
		BookVersion: o.BookVersion, ContentHash: o.ContentHash, OrderQty: o.OrderQty, CumQty: o.CumQty, LeavesQty: o.LeavesQty, Sent: o.Sent,
		Detail: o.ExceptionDetail, Overrides: o.Overrides,
	}
	if o.Approval != nil {
		p.Approver = o.Approval.Approver
	}
	for _, e := range o.Executions {
		p.Executions = append(p.Executions, executionLine{string(e.Key), string(e.ExecType), e.Quantity, e.Price, e.TradeDate, e.Effective})
	}
	return p
}

// stopped returns the exception of the order with its words, unless a lock says them below.
func (p orderPage) stopped() string {
	if p.Detail == "" || p.Exception == orders.TaxLock && p.Stop != nil {
		return p.Exception
	}
	return p.Exception + ": " + p.Detail
}

func writeOrderPage(w io.Writer, p orderPage) error {
	fmt.Fprintf(w, "order %s of run %s, account %s, household %s\n", p.ID, p.Run, p.Account, p.Household)
	limit := "at most"
	if p.Side == portfolio.Sell {
		limit = "at least"
	}
	fmt.Fprintf(w, "%s %s %s %s %s %s: %s %s\n", p.Side, p.Quantity, p.Security, limit, p.LimitPrice, p.Currency, p.Notional.Fixed(2), p.Currency)
	fmt.Fprintf(w, "why     %s", p.Reason)
	for _, k := range slices.Sorted(maps.Keys(p.Numbers)) {
		fmt.Fprintf(w, ", %s %s", k, p.Numbers[k])
	}
	fmt.Fprintf(w, "\nstatus  %s: %s of %s filled, %s left\n", p.Status, p.CumQty, p.OrderQty, p.LeavesQty)
	for _, l := range []struct{ name, text string }{
		{"stopped", p.stopped()}, {"held by", p.HeldBy}, {"signed", p.Approver}, {"waits", strings.Join(p.WaitsFor, ", ")}, {"content", p.ContentHash},
	} {
		if l.text != "" {
			fmt.Fprintf(w, "%-7s %s\n", l.name, l.text)
		}
	}
	if p.Stop != nil {
		fmt.Fprintf(w, "locked  %s\n", p.Stop.Text())
	}
	for _, o := range p.Overrides {
		fmt.Fprintf(w, "let go  %s\n", overrideText(o))
	}
	for _, l := range p.Lots {
		fmt.Fprintf(w, "lot     %s of %s\n", l.Shares, l.Lot)
	}
	for _, e := range p.Executions {
		fmt.Fprintf(w, "%s  %-6s %s at %s%s\n", e.TradeDate, e.Type, e.Quantity, e.Price, map[bool]string{true: "", false: "  (does not count)"}[e.Effective || e.Quantity.IsZero()])
	}
	return nil
}

func newOrderExportCmd(a *app) *cobra.Command {
	var run string
	c := &cobra.Command{
		Use:     "export --run RUN",
		Short:   "Write the decisions of a run: the same bytes from any number of workers",
		Example: "  daybreak order export --run 2020-03-16.1 -o jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				var all []orders.Export
				err := o.db.ExportOrders(c.Context(), run, func(e orders.Export) error {
					all = append(all, e)
					return nil
				})
				if err != nil {
					return err
				}
				return emit(a, all, writeExports)
			})
		},
	}
	c.Flags().StringVar(&run, "run", "", "run whose orders are meant, such as 2020-03-16.1")
	_ = c.MarkFlagRequired("run")
	return c
}

func writeExports(w io.Writer, all []orders.Export) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tACCOUNT\tSIDE\tSECURITY\tQUANTITY\tREASON")
	for _, e := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", e.ID, e.Account, e.Side, e.Security, e.Quantity, e.Reason)
	}
	return t.Flush()
}
