package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

func newStreamCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "stream",
		Short: "The stream of fills and events: how far behind, go back, dead letters",
	}
	c.AddCommand(newStreamLagCmd(a), newStreamSeekCmd(a), newStreamRestartCmd(a), newDLQCmd(a))
	return c
}

// withStream is withOffice with brokers, and without the wish to send anything.
func (a *app) withStream(ctx context.Context, do func(o *office) error) error {
	return a.withOffice(ctx, true, do)
}

// lagEvery is how often --watch looks.
const lagEvery = 2 * time.Second

func newStreamLagCmd(a *app) *cobra.Command {
	var topic string
	var watch bool
	c := &cobra.Command{
		Use:   "lag",
		Short: "Show how far each partition is behind: records, and the age of the oldest that is not applied",
		Long: "Text has the topics and the partitions that lag; json and jsonl have every partition, as {topic, partition,\n" +
			"records, seconds} and more. What counts is the offset in the database, not the one that brokers have.",
		Example: "  daybreak stream lag --watch\n" +
			"  daybreak stream lag -o jsonl | jq 'select(.seconds > 5)'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStream(c.Context(), func(o *office) error {
				for {
					if err := a.showLag(c.Context(), o, topic); err != nil || !watch {
						return err
					}
					select {
					case <-c.Context().Done():
						return nil
					case <-time.After(lagEvery):
					}
				}
			})
		},
	}
	c.Flags().StringVar(&topic, "topic", "", "only this topic")
	c.Flags().BoolVar(&watch, "watch", false, "look again every two seconds")
	return c
}

func (a *app) showLag(ctx context.Context, o *office, topic string) error {
	lags, err := lagOf(ctx, o.db, o.where.Brokers, topic, a.now())
	if err != nil {
		return err
	}
	taken, err := o.db.Latencies(ctx, a.now().Add(-latencyAlive))
	if err != nil {
		return err
	}
	return emit(a, lags, func(w io.Writer, lags []pipeline.Lag) error { return writeLags(w, lags, taken) })
}

// lagOf returns the lag of every partition that the book has a place of.
func lagOf(ctx context.Context, db *postgres.DB, brokers []string, topic string, now time.Time) ([]pipeline.Lag, error) {
	places, err := db.StreamPlaces(ctx, topic)
	if err != nil {
		return nil, err
	}
	var all []pipeline.Lag
	for len(places) > 0 {
		n := 1
		for n < len(places) && places[n].Topic == places[0].Topic {
			n++
		}
		next := map[int32]int64{}
		for _, p := range places[:n] {
			next[p.Partition] = p.Next
		}
		ends, err := streamEnds(ctx, db, brokers, places[0].Topic, next)
		if err != nil {
			return nil, err
		}
		all = append(all, pipeline.LagOf(places[:n], ends, now)...)
		places = places[n:]
	}
	return all, nil
}

// streamEnds is kafka.TopicEnds for partitions as the book counts them: over all generations of a topic.
func streamEnds(ctx context.Context, db *postgres.DB, brokers []string, topic string, next map[int32]int64) (map[int32]pipeline.TopicEnd, error) {
	all := map[int32]pipeline.TopicEnd{}
	err := eachGeneration(ctx, db, topic, func(g pipeline.Generation) error {
		local := map[int32]int64{}
		for p, offset := range next {
			if p >= g.Base && (g.Partitions == 0 || p < g.Base+g.Partitions) {
				local[p-g.Base] = offset
			}
		}
		ends, err := kafka.TopicEnds(ctx, brokers, g.Name(topic), local)
		for p, end := range ends {
			all[g.Base+p] = end
		}
		return err
	})
	return all, err
}

// streamOffsets is kafka.OffsetsAt for partitions as the book counts them.
func streamOffsets(ctx context.Context, o *office, topic string, at time.Time) (map[int32]int64, error) {
	all := map[int32]int64{}
	err := eachGeneration(ctx, o.db, topic, func(g pipeline.Generation) error {
		offsets, err := kafka.OffsetsAt(ctx, o.where.Brokers, g.Name(topic), at)
		for p, offset := range offsets {
			all[g.Base+p] = offset
		}
		return err
	})
	return all, err
}

// eachGeneration calls use with the generations of a topic; one that is no part of the stream has one.
func eachGeneration(ctx context.Context, db *postgres.DB, topic string, use func(pipeline.Generation) error) error {
	all := []pipeline.Generation{{Number: 1}}
	if slices.Contains(pipeline.StreamTopics, topic) {
		var err error
		if all, err = db.Generations(ctx); err != nil {
			return err
		}
	}
	for _, g := range all {
		if err := use(g); err != nil {
			return err
		}
	}
	return nil
}

func writeLags(w io.Writer, lags []pipeline.Lag, taken map[string]pipeline.Latency) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for len(lags) > 0 {
		n, records, seconds := 0, int64(0), 0.0
		youngest := -1.0
		for n < len(lags) && lags[n].Topic == lags[0].Topic {
			l := lags[n]
			records, seconds = records+l.Records, max(seconds, l.Seconds)
			if l.LastSeconds != nil && (youngest < 0 || *l.LastSeconds < youngest) {
				youngest = *l.LastSeconds
			}
			n++
		}
		last := "nothing applied yet"
		if youngest >= 0 {
			last = "last applied " + (time.Duration(youngest) * time.Second).String() + " old"
		}
		fmt.Fprintf(t, "%s\t%d partitions\t%d records\t%.1f s\t%s\t%s\n", lags[0].Topic, n, records, seconds, last, latencyText(taken[lags[0].Topic]))
		for _, l := range lags[:n] {
			if l.Records > 0 {
				fmt.Fprintf(t, "  partition %d\t%d of %d\t%d records\t%.1f s\t\t\n", l.Partition, l.Next, l.End, l.Records, l.Seconds)
			}
		}
		lags = lags[n:]
	}
	return t.Flush()
}

func latencyText(l pipeline.Latency) string {
	p50, ok := l.Quantile(.5)
	if !ok {
		return ""
	}
	p99, ok := l.Quantile(.99)
	if !ok {
		return fmt.Sprintf("broker to commit: p50 ≤ %g s, p99 above %g s", p50, pipeline.LatencyBounds[len(pipeline.LatencyBounds)-1])
	}
	return fmt.Sprintf("broker to commit: p50 ≤ %g s, p99 ≤ %g s", p50, p99)
}

// seekFlags are those of `stream seek`.
type seekFlags struct {
	to, topic, as, why string
	dry                bool
}

func newStreamSeekCmd(a *app) *cobra.Command {
	var f seekFlags
	c := &cobra.Command{
		Use:   "seek --to TIME|OFFSETS",
		Short: "Have partitions read again from a time or from offsets",
		Long: "Fences whoever owns the partitions, moves them back, and has the consumers go on from there: one transaction\n" +
			"with an audit row, which running consumers notice at once. What the book has already changes nothing again\n" +
			"and is counted as duplicate; what it lost is applied. A seek goes back only.\n\n" +
			"TIME is that of records at the brokers: 2006-01-02T15:04:05Z, or a duration such as 24h, back from now.\n" +
			"OFFSETS are PARTITION=OFFSET with commas between, of the --topic; `all=OFFSET` is every partition.",
		Example: "  daybreak stream seek --to 24h --dry-run\n" +
			"  daybreak stream seek --to 2026-11-20T14:30:00Z --as ana --why 'fills of Friday lost by the restore'\n" +
			"  daybreak stream seek --topic daybreak.fills --to 3=1200,17=0 --as ana --why 'see ticket 12'",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if !f.dry && (f.as == "" || f.why == "") {
				return usageError("--as says who does this, and --why why; --dry-run only shows it")
			}
			return a.withStream(c.Context(), func(o *office) error { return a.seek(c.Context(), o, f) })
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.to, "to", "", "time or offsets to go back to")
	flags.StringVar(&f.topic, "topic", "", "only this topic; daybreak.fills and daybreak.events if not given, for a time")
	flags.StringVar(&f.as, "as", "", "user who does this")
	flags.StringVar(&f.why, "why", "", "reason, for the audit trail")
	flags.BoolVar(&f.dry, "dry-run", false, "show what would be read again, and change nothing")
	_ = c.MarkFlagRequired("to")
	return c
}

func (a *app) seek(ctx context.Context, o *office, f seekFlags) error {
	topics := []string{pipeline.TopicFills, pipeline.TopicEvents}
	if f.topic != "" {
		if !slices.Contains(topics, f.topic) {
			return usageError("--topic %q: one of %s", f.topic, strings.Join(topics, ", "))
		}
		topics = []string{f.topic}
	}
	to := seekTarget{text: f.to}
	to.at, to.isTime = seekTime(f.to, a.now())
	if !to.isTime && len(topics) > 1 {
		return usageError("--to %q is no time: offsets need a --topic", f.to)
	}
	var all []pipeline.SeekMove
	for _, topic := range topics {
		moves, err := a.seekMoves(ctx, o, topic, to)
		if err != nil {
			return err
		}
		all = append(all, moves...)
		if f.dry || len(moves) == 0 {
			continue
		}
		s := pipeline.Seek{Topic: topic, Moves: moves, By: f.as, Why: f.why, Now: a.now()}
		if err := o.db.Seek(ctx, "stream.seek", s); err != nil {
			return err
		}
	}
	return emit(a, all, writeMoves)
}

// seekTime reads a time, or a duration back from now.
func seekTime(text string, now time.Time) (time.Time, bool) {
	if back, err := time.ParseDuration(text); err == nil && back >= 0 {
		return now.Add(-back), true
	}
	at, err := time.Parse(time.RFC3339, text)
	return at, err == nil
}

// seekTarget is where a seek goes: to a time, or to the offsets that the text names.
type seekTarget struct {
	text   string
	at     time.Time
	isTime bool
}

func (a *app) seekMoves(ctx context.Context, o *office, topic string, to seekTarget) ([]pipeline.SeekMove, error) {
	places, err := o.db.StreamPlaces(ctx, topic)
	if err != nil {
		return nil, err
	}
	ends, err := streamEnds(ctx, o.db, o.where.Brokers, topic, nil)
	if err != nil {
		return nil, err
	}
	var targets map[int32]int64
	if to.isTime {
		targets, err = streamOffsets(ctx, o, topic, to.at)
	} else {
		targets, err = seekOffsets(to.text, places)
	}
	if err != nil {
		return nil, err
	}
	moves, err := pipeline.SeekMoves(places, targets, ends, !to.isTime)
	if err != nil {
		return nil, err
	}
	return moves, o.db.PreviewSeek(ctx, moves)
}

// seekOffsets reads PARTITION=OFFSET,…
func seekOffsets(text string, places []pipeline.StreamPlace) (map[int32]int64, error) {
	targets := map[int32]int64{}
	for _, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		offset, err := strconv.ParseInt(value, 10, 64)
		if err != nil || offset < 0 {
			return nil, usageError("--to %q: want a time such as 2026-11-20T14:30:00Z, a duration such as 24h, or PARTITION=OFFSET", text)
		}
		if name == "all" {
			for _, p := range places {
				targets[p.Partition] = offset
			}
			continue
		}
		partition, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return nil, usageError("--to %q: %q is no partition", text, name)
		}
		targets[int32(partition)] = offset
	}
	return targets, nil
}

func writeMoves(w io.Writer, moves []pipeline.SeekMove) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	sums := map[string]pipeline.SeekMove{}
	for _, m := range moves {
		fmt.Fprintf(t, "%s\tpartition %d\t%d → %d\t%d records\t%d applied\t%d held\t%d dead\t%d others\n", m.Topic, m.Partition, m.From, m.To, m.Records, m.Applied, m.Held, m.Dead, m.New)
		s := sums[m.Topic]
		s.Records, s.Applied, s.Held, s.Dead, s.New = s.Records+m.Records, s.Applied+m.Applied, s.Held+m.Held, s.Dead+m.Dead, s.New+m.New
		sums[m.Topic] = s
	}
	for _, topic := range slices.Sorted(maps.Keys(sums)) {
		s := sums[topic]
		fmt.Fprintf(t, "%s\tall\t\t%d records\t%d applied\t%d held\t%d dead\t%d others\n", topic, s.Records, s.Applied, s.Held, s.Dead, s.New)
	}
	if len(moves) == 0 {
		fmt.Fprintln(t, "nothing to read again")
	}
	return t.Flush()
}

func newStreamRestartCmd(a *app) *cobra.Command {
	var topic, as, why string
	var partition int32
	c := &cobra.Command{
		Use:   "restart --partition N",
		Short: "Fence the owner of a partition and have it go on from the book's offset",
		Long: "For a partition that stands still: whoever holds it loses it, and the consumers join their group anew. Nothing\n" +
			"is read again, nothing is skipped.",
		Example: "  daybreak stream restart --partition 17 --as ana --why 'stands still'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withOffice(c.Context(), false, func(o *office) error {
				places, err := o.db.StreamPlaces(c.Context(), topic)
				if err != nil {
					return err
				}
				i := slices.IndexFunc(places, func(p pipeline.StreamPlace) bool { return p.Partition == partition })
				if i < 0 {
					return fmt.Errorf("%s partition %d: %w", topic, partition, pipeline.ErrNotFound)
				}
				move := pipeline.SeekMove{Topic: topic, Partition: partition, From: places[i].Next, To: places[i].Next}
				s := pipeline.Seek{Topic: topic, Moves: []pipeline.SeekMove{move}, By: as, Why: why, Now: a.now()}
				if err := o.db.Seek(c.Context(), "stream.restart", s); err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.out, "%s partition %d goes on from offset %d\n", topic, partition, move.To)
				return err
			})
		},
	}
	c.Flags().StringVar(&topic, "topic", pipeline.TopicFills, "topic of the partition")
	c.Flags().Int32Var(&partition, "partition", -1, "number of the partition")
	c.Flags().StringVar(&as, "as", "", "user who does this")
	c.Flags().StringVar(&why, "why", "", "reason, for the audit trail")
	for _, name := range []string{"partition", "as", "why"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}
