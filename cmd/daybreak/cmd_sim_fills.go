package main

import (
	"daybreak/pipeline"
	"daybreak/sim"
)

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
