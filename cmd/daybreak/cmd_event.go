package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"daybreak/pipeline"
)

func newEventCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "event",
		Short: "Events that are no fills: deposits, fees, DRIPs, transfers, rates, corporate actions",
		Long:  "Events come by the topic daybreak.events from producers of their own; docs/events.md says how.",
	}
	c.AddCommand(newEventPublishCmd(a))
	return c
}

func newEventPublishCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "publish FILE...",
		Short: "Send records to daybreak.events",
		Long: "Sends records that are written as for `schemas check FILE`, in order, each to the partition of its household.\n" +
			"It sends nothing where one of them is bad. Sent twice, an event is applied once.",
		Example: "  daybreak event publish deposits.jsonl --data ./daybreak-data",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withServices(c.Context(), func(s *services) error {
				n, err := s.publishEvents(c.Context(), args)
				if err != nil {
					return err
				}
				return emitOne(a, published{Topic: pipeline.TopicEvents, Records: n}, writePublished)
			})
		},
	}
}

// withServices calls do with the connections of a service.
func (a *app) withServices(ctx context.Context, do func(*services) error) error {
	where, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = where.Close() }()
	s, err := a.openServices(ctx, where)
	if err != nil {
		return err
	}
	defer s.Close()
	return do(s)
}

// published is what `event publish` prints.
type published struct {
	Topic   string `json:"topic"`
	Records int    `json:"records"`
}

func writePublished(w io.Writer, p published) error {
	_, err := fmt.Fprintf(w, "%d records sent to %s\n", p.Records, p.Topic)
	return err
}

// publishEvents reads files of records and sends them.
func (s *services) publishEvents(ctx context.Context, files []string) (int, error) {
	var messages []pipeline.EventMessage
	var values [][]byte
	err := eachSample(files, func(file string, line int, text []byte) error {
		value, m, err := readSample(s.events, text)
		var bad *pipeline.BadRecord
		if errors.As(err, &bad) {
			err = exitWith(exitUsage, fmt.Errorf("%s line %d: %w", file, line, err))
		}
		if err != nil {
			return err
		}
		messages, values = append(messages, m), append(values, value)
		return nil
	})
	if err != nil {
		return 0, err
	}
	records, err := s.eventRecords(ctx, messages, values)
	if err != nil {
		return 0, err
	}
	return len(records), s.producer.Publish(ctx, records)
}

// eventRecords gives each record its key, header and partition.
func (s *services) eventRecords(ctx context.Context, messages []pipeline.EventMessage, values [][]byte) ([]pipeline.Record, error) {
	partitions, err := s.producer.Partitions(ctx, pipeline.TopicEvents)
	if err != nil {
		return nil, err
	}
	var homes []string
	for _, m := range messages {
		if m.Event != nil {
			homes = append(homes, string(m.Event.Household))
		}
	}
	known, err := s.db.RoutingKeys(ctx, homes)
	if err != nil {
		return nil, err
	}
	records := make([]pipeline.Record, len(messages))
	for i, m := range messages {
		key, routing := m.Place()
		if k, ok := known[routing]; ok && m.Event != nil {
			routing = k
		}
		records[i] = pipeline.Record{Topic: pipeline.TopicEvents, Partition: pipeline.Partition(routing, partitions), Key: []byte(key), Value: values[i],
			Headers: []pipeline.Header{{Key: pipeline.HeaderRoutingKey, Value: []byte(routing)}}, Time: s.app.now()}
	}
	return records, nil
}
