package engine

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"daybreak/market"
	"daybreak/pipeline"
)

// The topics of instances: one for the day's work, one for what can't wait behind it.
const (
	TopicInstances = "daybreak.instances"
	TopicUrgent    = "daybreak.instances.urgent"
)

// Headers of a record. One that starts an instance has workflow, household and day, and the context
// as its value; one that wakes an instance has the revision of its row. The key is the instance's id.
const (
	headerWorkflow  = "workflow"
	headerHousehold = "household"
	headerDay       = "day"
	headerWake      = "wake"
)

// Start asks for an instance of a workflow.
type Start struct {
	Instance   string
	Household  string
	RoutingKey string
	Workflow   string     // NAME, NAME@ALIAS or NAME@HASH; NAME alone is live or canary
	Day        market.Day // a second start under the same id is known from this day on
	Context    []byte     // JSON object
}

// Record returns the record of a start, for one of the topics with so many partitions.
func (s Start) Record(topic string, partitions int32) pipeline.Record {
	return pipeline.Record{
		Topic: topic, Partition: pipeline.Partition(s.RoutingKey, partitions), Key: []byte(s.Instance), Value: s.Context,
		Headers: []pipeline.Header{
			{Key: headerWorkflow, Value: []byte(s.Workflow)}, {Key: headerHousehold, Value: []byte(s.Household)},
			{Key: headerDay, Value: []byte(s.Day.String())}, {Key: pipeline.HeaderRoutingKey, Value: []byte(s.RoutingKey)},
		},
	}
}

// startMax bounds the records of one call of the publisher.
const startMax = 5_000

// Send sends starts to a topic of instances.
func Send(ctx context.Context, to pipeline.Publisher, topic string, starts []Start) error {
	partitions, err := to.Partitions(ctx, topic)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(starts, startMax) {
		records := make([]pipeline.Record, len(part))
		for i, s := range part {
			records[i] = s.Record(topic, partitions)
		}
		if err := to.Publish(ctx, records); err != nil {
			return err
		}
	}
	return nil
}

// WakeRecord returns the record that wakes an instance.
func WakeRecord(topic string, t Timer) pipeline.Record {
	return pipeline.Record{
		Topic: topic, Partition: t.Partition, Key: []byte(t.ID),
		Headers: []pipeline.Header{{Key: headerWake, Value: strconv.AppendInt(nil, t.Revision, 10)}},
	}
}

// request is a record as it was understood: a start, or a wake of the row of a revision.
type request struct {
	start Start
	wake  Ref
}

func readRecord(r pipeline.Record) (request, error) {
	var q request
	headers := map[string]string{}
	for _, h := range r.Headers {
		headers[h.Key] = string(h.Value)
	}
	id := string(r.Key)
	if id == "" {
		return q, fmt.Errorf("no key: it is the instance's id")
	}
	if len(id) > idMax {
		return q, fmt.Errorf("an id of %d bytes, at most %d", len(id), idMax)
	}
	if wake, ok := headers[headerWake]; ok {
		revision, err := strconv.ParseInt(wake, 10, 64)
		if err != nil || revision < 1 {
			return q, fmt.Errorf("header %s is %q, want the revision of a row", headerWake, wake)
		}
		q.wake = Ref{ID: id, Revision: revision}
		return q, nil
	}
	q.start = Start{Instance: id, Household: headers[headerHousehold], Workflow: headers[headerWorkflow], Context: r.Value}
	if q.start.Workflow == "" || q.start.Household == "" {
		return q, fmt.Errorf("a start needs the headers %s and %s", headerWorkflow, headerHousehold)
	}
	var err error
	if q.start.Day, err = market.ParseDay(headers[headerDay]); err != nil {
		return q, fmt.Errorf("header %s: %w", headerDay, err)
	}
	return q, nil
}

// idMax bounds the id of an instance.
const idMax = 200
