package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"daybreak/internal/kafka"
	"daybreak/pipeline"
)

func newTopicsCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "topics",
		Short: "The topics as code: what differs from the file, and change it",
		Long: "The topics of an installation are in deploy/kafka/topics.yaml and in the binary. Services create the ones\n" +
			"that are missing, and refuse to start where one differs.",
	}
	c.AddCommand(newTopicsPlanCmd(a), newTopicsApplyCmd(a), newTopicsMigrateCmd(a))
	return c
}

func newTopicsPlanCmd(a *app) *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:   "plan",
		Short: "Show every difference between the cluster and the file",
		Long:  "Shows every difference with what `topics apply` would do about it, and ends with 5 where there is one.",
		Example: "  daybreak topics plan --brokers kafka-1:9092\n" +
			"  daybreak topics plan --data ./daybreak-data -o jsonl",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withTopics(c.Context(), name, func(brokers []string, topics []kafka.Topic) error {
				drifts, err := kafka.PlanTopics(c.Context(), brokers, topics)
				if err != nil {
					return err
				}
				if err := emit(a, drifts, writeDrifts); err != nil {
					return err
				}
				if len(drifts) > 0 {
					return exitWith(exitDifferences, nil)
				}
				return nil
			})
		},
	}
	addTopicsFile(c, &name)
	return c
}

func newTopicsApplyCmd(a *app) *cobra.Command {
	var name string
	var allowDelete bool
	c := &cobra.Command{
		Use:   "apply",
		Short: "Bring the cluster to the file",
		Long: "Creates topics and changes their settings, and shows what it did; a second time it does nothing. Another\n" +
			"number of partitions or fewer replicas are refused and end with 5. Topics daybreak.* that the file lacks\n" +
			"stay, unless --allow-delete is given.",
		Example: "  daybreak topics apply --brokers kafka-1:9092",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withTopics(c.Context(), name, func(brokers []string, topics []kafka.Topic) error {
				done, err := kafka.ApplyTopics(c.Context(), brokers, topics, allowDelete)
				if errors.Is(err, kafka.ErrTopicsDiffer) {
					err = exitWith(exitDifferences, err)
				}
				return errors.Join(emit(a, done, writeDrifts), err)
			})
		},
	}
	addTopicsFile(c, &name)
	c.Flags().BoolVar(&allowDelete, "allow-delete", false, "delete topics daybreak.* that the file lacks, with all that is in them")
	return c
}

func newTopicsMigrateCmd(a *app) *cobra.Command {
	var partitions int32
	c := &cobra.Command{
		Use:   "migrate --partitions N",
		Short: "Cut the stream over to topics with another number of partitions, while it runs",
		Long: "Makes the next generation of daybreak.fills and daybreak.events (daybreak.fills.v2 …), has producers write to\n" +
			"it, waits until the roles fills have read the old topics to their ends, and then has them read the new ones:\n" +
			"what a household's records say is applied in order across the cut. The old topics stay, and are read on. It\n" +
			"may be interrupted and run again, and does nothing where the stream has that number of partitions.",
		Example: "  daybreak topics migrate --partitions 192 --database-url postgres://… --brokers kafka-1:9092",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if partitions < kafka.StreamPartitionsMin || partitions > kafka.PartitionsMax {
				return usageError("--partitions: want %d to %d", kafka.StreamPartitionsMin, kafka.PartitionsMax)
			}
			return a.withServices(c.Context(), func(s *services) error {
				g, err := s.migrateTopics(c.Context(), partitions, func(line string) { fmt.Fprintln(a.errOut, line) })
				if err != nil {
					return err
				}
				g.Partitions = partitions
				return emitOne(a, g, func(w io.Writer, g pipeline.Generation) error {
					_, err := fmt.Fprintln(w, generationText(g))
					return err
				})
			})
		},
	}
	c.Flags().Int32Var(&partitions, "partitions", 0, "partitions of each topic from now on")
	_ = c.MarkFlagRequired("partitions")
	return c
}

func addTopicsFile(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "file", "", "another file of topics than the one in the binary")
}

// withTopics calls do with the brokers of the settings and the topics of a file, "" for the binary's.
func (a *app) withTopics(ctx context.Context, file string, do func(brokers []string, topics []kafka.Topic) error) error {
	topics, err := topicsOf(file)
	if err != nil {
		return err
	}
	if a.settings.Data == "" && len(a.settings.Brokers) > 0 {
		return do(a.settings.Brokers, topics)
	}
	where, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = where.Close() }()
	if len(where.Brokers) == 0 {
		return usageError("no brokers named: give --brokers or KAFKA_BROKERS")
	}
	return do(where.Brokers, topics)
}

func topicsOf(file string) ([]kafka.Topic, error) {
	if file == "" {
		return kafka.Topics()
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	topics, err := kafka.ParseTopics(text)
	if err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("%s: %w", file, err))
	}
	return topics, nil
}

func writeDrifts(w io.Writer, drifts []kafka.Drift) error {
	if len(drifts) == 0 {
		_, err := fmt.Fprintln(w, "the topics are as they must be")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range drifts {
		fmt.Fprintf(t, "%s\t%s\t%s\thave %s\twant %s\t%s\n", d.Action, d.Topic, d.Setting, orDash(d.Have), orDash(d.Want), d.Reason)
	}
	return t.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
