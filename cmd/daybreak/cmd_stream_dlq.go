package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/filter"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

func newDLQCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "dlq",
		Short: "Dead letters: records that could not be applied; list, show, replay or drop them",
		Long: "A record that cannot be applied is a row with its bytes and its reason, and goes to the topic daybreak.fills.dlq.\n" +
			"The role fills tries it again by itself once it can succeed: its account came, its schema was registered, or a\n" +
			"new build of ours may read it. By hand it is replayed here, as often as you like: what was applied once\n" +
			"changes nothing again.",
	}
	c.AddCommand(newDLQListCmd(a), newDLQShowCmd(a), newDLQReplayCmd(a), newDLQDropCmd(a), newDLQResendCmd(a))
	return c
}

// letterChoice says which letters a command is about.
type letterChoice struct {
	where string
	ids   []int64
	state pipeline.LetterState // "" for all
}

func (f *letterChoice) addFlag(c *cobra.Command) {
	c.Flags().StringVar(&f.where, "where", "", "only letters that pass this expression, such as 'reason == \"UNKNOWN_ACCOUNT\"'")
}

// name reads the ids of arguments. Without any, --where must say which; --where true is all.
func (f *letterChoice) name(args []string) error {
	for _, arg := range args {
		id, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			return usageError("%q is not the number of a dead letter", arg)
		}
		f.ids = append(f.ids, id)
	}
	if (len(f.ids) == 0) == (f.where == "") {
		return usageError("name letters, or say which by --where; --where true is all that are open")
	}
	return nil
}

// lettersPage is the number of letters that are read at once.
const lettersPage = 1_000

// each calls use with the chosen letters, page by page.
func (f *letterChoice) each(ctx context.Context, db *postgres.DB, use func([]pipeline.Letter) error) error {
	match, err := filter.Letters(f.where)
	if err != nil {
		return exitWith(exitUsage, fmt.Errorf("--where: %w", err))
	}
	q := pipeline.LetterQuery{State: f.state, IDs: f.ids, Limit: lettersPage}
	found := 0
	for {
		page, err := db.Letters(ctx, q)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		q.After = page[len(page)-1].ID
		var chosen []pipeline.Letter
		for _, l := range page {
			ok := match == nil
			if !ok {
				if ok, err = match(l); err != nil {
					return exitWith(exitUsage, err)
				}
			}
			if ok {
				chosen = append(chosen, l)
			}
		}
		found += len(chosen)
		if err := use(chosen); err != nil {
			return err
		}
	}
	if found < len(f.ids) {
		return fmt.Errorf("%d of %d dead letters: %w", len(f.ids)-found, len(f.ids), pipeline.ErrNotFound)
	}
	return nil
}

// all returns the chosen letters.
func (f *letterChoice) all(ctx context.Context, db *postgres.DB) (all []pipeline.Letter, err error) {
	err = f.each(ctx, db, func(page []pipeline.Letter) error {
		all = append(all, page...)
		return nil
	})
	return all, err
}

func newDLQListCmd(a *app) *cobra.Command {
	f := letterChoice{state: pipeline.LetterOpen}
	var ended bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List open dead letters, the oldest first",
		Example: "  daybreak stream dlq list --where 'reason == \"UNKNOWN_ACCOUNT\" && attempts > 3'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if ended {
				f.state = ""
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				all, err := f.all(c.Context(), o.db)
				if err != nil {
					return err
				}
				return emit(a, all, writeLetters)
			})
		},
	}
	f.addFlag(c)
	c.Flags().BoolVar(&ended, "all", false, "those that were replayed or dropped too")
	return c
}

func writeLetters(w io.Writer, all []pipeline.Letter) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, l := range all {
		next := "by " + string(l.Heals)
		switch {
		case l.State != pipeline.LetterOpen:
			next = l.Outcome
		case l.Due != nil:
			next = "due " + l.Due.UTC().Format(time.DateTime)
		}
		fmt.Fprintf(t, "%d\t%s\t%s/%d/%d\t%s\t%d attempts\t%s\t%s\t%s\t%s\n", l.ID, l.State, l.Topic, l.Partition, l.Offset, l.Reason, l.Attempts, next, l.Account, l.Order, l.Detail)
	}
	if len(all) == 0 {
		fmt.Fprintln(t, "no dead letters")
	}
	return t.Flush()
}

// shownLetter is a letter with what its bytes say, or why this build cannot read them.
type shownLetter struct {
	pipeline.Letter
	Content    json.RawMessage `json:"content,omitempty"`
	Unreadable string          `json:"unreadable,omitempty"`
}

func newDLQShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter with what its record says",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var f letterChoice
			if err := f.name(args); err != nil {
				return err
			}
			return a.withServices(c.Context(), func(s *services) error {
				all, err := f.all(c.Context(), s.db)
				if err != nil {
					return err
				}
				shown := shownLetter{Letter: all[0]}
				if shown.Content, err = s.replayer().LetterContent(all[0]); err != nil {
					shown.Unreadable = err.Error()
				}
				return emitOne(a, shown, writeLetter)
			})
		},
	}
}

func writeLetter(w io.Writer, l shownLetter) error {
	p := &printer{w: w}
	p.line("Dead letter %d, %s after %d attempts: %s", l.ID, l.State, l.Attempts, l.Reason)
	p.line("  %s", l.Detail)
	p.line("  record    %s partition %d offset %d, %d bytes, seen %s", l.Topic, l.Partition, l.Offset, len(l.Value), l.Seen.UTC().Format(time.DateTime))
	if l.State == pipeline.LetterOpen {
		p.line("  heals by  %s", l.Heals)
	} else {
		p.line("  ended     %s %s by %s %s", l.Resolved.UTC().Format(time.DateTime), l.Outcome, l.Actor, l.Why)
	}
	if l.Due != nil {
		p.line("  due       %s", l.Due.UTC().Format(time.DateTime))
	}
	for _, h := range l.Headers {
		p.line("  header    %s: %q", h.Key, h.Value)
	}
	if l.Unreadable != "" {
		p.line("  bytes     %x", l.Value)
		p.line("  %s", l.Unreadable)
	} else {
		p.line("  %s", l.Content)
	}
	return p.err
}

func newDLQReplayCmd(a *app) *cobra.Command {
	f := letterChoice{state: pipeline.LetterOpen}
	var as string
	var dry bool
	c := &cobra.Command{
		Use:   "replay [ID...]",
		Short: "Apply dead letters again, and say what became of each",
		Long: "Applies letters again, in order of partition and offset. What succeeds has its effects and its end in one\n" +
			"transaction; what does not stays open with one attempt more. Ends with 3 where some stay open.",
		Example: "  daybreak stream dlq replay --where 'reason == \"UNKNOWN_ACCOUNT\"' --dry-run\n" +
			"  daybreak stream dlq replay 17 18 --as ana",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.name(args); err != nil {
				return err
			}
			if as == "" && !dry {
				return usageError("--as says who does this")
			}
			return a.withServices(c.Context(), func(s *services) error { return a.replayLetters(c.Context(), s, f, as, dry) })
		},
	}
	f.addFlag(c)
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would become of each, and change nothing")
	return c
}

func (a *app) replayLetters(ctx context.Context, s *services, f letterChoice, as string, dry bool) error {
	letters, err := f.all(ctx, s.db)
	if err != nil {
		return err
	}
	verdicts, err := s.replayer().Replay(ctx, letters, as, dry)
	ended := 0
	for _, v := range verdicts {
		if v.Ends() {
			ended++
		}
	}
	if !dry && len(verdicts) > 0 {
		err = errors.Join(err, s.db.RecordAct(ctx, postgres.AuditEntry{At: a.now(), Actor: as, Action: "letter.replay", Subject: fmt.Sprintf("%d letters", len(verdicts)),
			Detail: map[string]any{"where": f.where, "letters": f.ids, "ended": ended}}))
	}
	if err := errors.Join(emit(a, verdicts, writeLetterVerdicts), err); err != nil {
		return err
	}
	if ended < len(letters) {
		return exitWith(exitExceptions, nil)
	}
	return nil
}

func writeLetterVerdicts(w io.Writer, all []pipeline.LetterVerdict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range all {
		fmt.Fprintf(t, "%d\t%s/%d/%d\t%s\t→ %s\t%s\n", v.ID, v.Topic, v.Partition, v.Offset, v.Reason, v.Outcome, v.Detail)
	}
	if len(all) == 0 {
		fmt.Fprintln(t, "no dead letters")
	}
	return t.Flush()
}

func newDLQDropCmd(a *app) *cobra.Command {
	f := letterChoice{state: pipeline.LetterOpen}
	var as, why string
	c := &cobra.Command{
		Use:     "drop [ID...]",
		Short:   "End dead letters for good: nobody applies them any more",
		Long:    "The rows stay, with who dropped them and why, and the audit trail has the act.",
		Example: "  daybreak stream dlq drop 17 --as ana --why 'a test of the broker, see its mail of the 3rd'",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.name(args); err != nil {
				return err
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				ids, err := f.numbers(c.Context(), o.db)
				if err != nil || len(ids) == 0 {
					return err
				}
				if err := o.db.DropLetters(c.Context(), ids, as, why, a.now()); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%d dead letters are dropped\n", len(ids))
				return err
			})
		},
	}
	f.addFlag(c)
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().StringVar(&why, "why", "", "reason, for the audit trail")
	_ = c.MarkFlagRequired("as")
	_ = c.MarkFlagRequired("why")
	return c
}

func (f *letterChoice) numbers(ctx context.Context, db *postgres.DB) ([]int64, error) {
	all, err := f.all(ctx, db)
	ids := make([]int64, len(all))
	for i, l := range all {
		ids[i] = l.ID
	}
	return ids, err
}

func newDLQResendCmd(a *app) *cobra.Command {
	var f letterChoice
	c := &cobra.Command{
		Use:   "resend [ID...]",
		Short: "Have dead letters sent to daybreak.fills.dlq again",
		Long:  "Who reads the topic knows a letter by its header dlq_id. The role fills sends them.",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.name(args); err != nil {
				return err
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				ids, err := f.numbers(c.Context(), o.db)
				if err != nil {
					return err
				}
				n, err := o.db.ResendLetters(c.Context(), ids)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%d dead letters are sent again\n", n)
				return err
			})
		},
	}
	f.addFlag(c)
	return c
}
