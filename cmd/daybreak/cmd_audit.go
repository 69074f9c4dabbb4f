package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"daybreak/market"
	"daybreak/pipeline"
)

func newAuditCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "audit",
		Short: "Look at the audit trail, export it, and check its chain",
		Long: "Every act of a person, and of the scheduler, is a row with the hash of the row before it. Rows are only ever\n" +
			"added. Who keeps the root of an export elsewhere can tell later that nothing up to it was changed or cut off.",
	}
	c.AddCommand(newAuditListCmd(a), newAuditExportCmd(a), newAuditVerifyCmd(a))
	return c
}

func newAuditListCmd(a *app) *cobra.Command {
	var q pipeline.AuditQuery
	var from, to string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List acts, the newest first",
		Example: "  daybreak audit list --action order. --subject 2020-03-16.1",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, bound := range []struct {
				flag, text string
				after      market.Day
				at         **time.Time
			}{{"from", from, 0, &q.From}, {"to", to, 1, &q.To}} {
				if bound.text == "" {
					continue
				}
				day, err := market.ParseDay(bound.text)
				if err != nil {
					return usageError("--%s: %w", bound.flag, err)
				}
				at := (day + bound.after).Time()
				*bound.at = &at
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				links, err := o.db.Audit(c.Context(), q)
				if err != nil {
					return err
				}
				return emit(a, links, writeLinks)
			})
		},
	}
	c.Flags().StringVar(&q.Actor, "actor", "", "only acts of this person")
	c.Flags().StringVar(&q.Action, "action", "", "only acts whose name begins so, such as order.")
	c.Flags().StringVar(&q.Subject, "subject", "", "only acts on this, such as a run")
	c.Flags().StringVar(&from, "from", "", "only acts from this day on, YYYY-MM-DD in UTC")
	c.Flags().StringVar(&to, "to", "", "only acts until the end of this day")
	c.Flags().Int64Var(&q.Before, "before", 0, "only acts before this row")
	c.Flags().IntVar(&q.Limit, "limit", 50, "acts to list at most")
	return c
}

func writeLinks(w io.Writer, links []pipeline.AuditLink) error {
	p := &printer{w: w}
	for _, l := range links {
		p.line("%6d  %s  %-12s %-20s %-16s %s", l.ID, l.At.Format(time.DateTime), l.Actor, l.Action, l.Subject, clipped(string(l.Detail)))
	}
	return p.err
}

func newAuditExportCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "export",
		Short:   "Write the whole trail as JSON lines, the oldest first; its root goes to stderr",
		Example: "  daybreak audit export > trail.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				encoder := json.NewEncoder(a.out)
				encoder.SetEscapeHTML(false)
				root, err := o.db.ExportAudit(c.Context(), func(l pipeline.AuditLink) error { return encoder.Encode(l) })
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.errOut, "root %d:%s\n", root.ID, root.Hash)
				return err
			})
		},
	}
}

func newAuditVerifyCmd(a *app) *cobra.Command {
	var roots []string
	c := &cobra.Command{
		Use:     "verify",
		Short:   "Walk the chain from its beginning: exit 5 where it is broken, or lacks a root that was kept",
		Example: "  daybreak audit verify --root 1201:5f1c…",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var kept []pipeline.AuditRoot
			for _, text := range roots {
				var r pipeline.AuditRoot
				if _, err := fmt.Sscanf(text, "%d:%s", &r.ID, &r.Hash); err != nil {
					return usageError("--root %q: want NUMBER:HASH, as audit export prints it", text)
				}
				kept = append(kept, r)
			}
			return a.withOffice(c.Context(), false, func(o *office) error {
				check, err := o.db.VerifyAudit(c.Context(), kept...)
				if err != nil {
					return err
				}
				if err := emit(a, []pipeline.Check{check}, writeChecks); err != nil {
					return err
				}
				if !check.OK {
					return exitWith(exitDifferences, nil)
				}
				return nil
			})
		},
	}
	c.Flags().StringSliceVar(&roots, "root", nil, "root of an earlier export, NUMBER:HASH; may be given again")
	return c
}
