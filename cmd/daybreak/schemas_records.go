package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

// sampleFault is a line of a file of sample records that a consumer would refuse.
type sampleFault struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// sampleLineMax bounds a line of a file of records.
const sampleLineMax = 1 << 20

// eachSample calls each with every line of files that is not blank; file and line name it.
func eachSample(files []string, each func(file string, line int, text []byte) error) error {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return exitWith(exitUsage, err)
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, sampleLineMax)
		for n := 1; lines.Scan(); n++ {
			if text := bytes.TrimSpace(lines.Bytes()); len(text) > 0 {
				if err := each(name, n, text); err != nil {
					_ = f.Close()
					return err
				}
			}
		}
		_ = f.Close()
		if err := lines.Err(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// checkSamples is `schemas check FILE…`: what a consumer would say about records, without one.
func (a *app) checkSamples(ctx context.Context, files []string) error {
	codec, err := kafka.NewEventCodec(ctx, &kafka.OfflineRegistry{})
	if err != nil {
		return err
	}
	var faults []sampleFault
	good := 0
	err = eachSample(files, func(file string, line int, text []byte) error {
		_, _, err := readSample(codec, text)
		var bad *pipeline.BadRecord
		switch {
		case errors.As(err, &bad):
			faults = append(faults, sampleFault{file, line, bad.Reason, bad.Detail})
		case err != nil:
			return fmt.Errorf("%s line %d: %w", file, line, err)
		default:
			good++
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.errOut, "%d records are good, %d are not\n", good, len(faults))
	if err := emit(a, faults, writeSampleFaults); err != nil {
		return err
	}
	if len(faults) > 0 {
		return exitWith(exitDifferences, nil)
	}
	return nil
}

// readSample returns a line as its record and its fact, or a *pipeline.BadRecord.
func readSample(codec *kafka.EventCodec, text []byte) ([]byte, pipeline.EventMessage, error) {
	value, err := codec.EncodeJSON(text)
	if err != nil {
		return nil, pipeline.EventMessage{}, err
	}
	m, err := codec.Decode(value)
	if err != nil {
		return nil, m, err
	}
	if fault := m.Fault(); fault != "" {
		return nil, m, &pipeline.BadRecord{Reason: "BAD_TERMS", Detail: fault}
	}
	return value, m, nil
}

func writeSampleFaults(w io.Writer, faults []sampleFault) error {
	for _, f := range faults {
		if _, err := fmt.Fprintf(w, "%s:%d: %s: %s\n", f.File, f.Line, f.Code, f.Message); err != nil {
			return err
		}
	}
	return nil
}

// consumeOptions are the flags of `schemas check --consume`.
type consumeOptions struct {
	topic string
	limit int
	all   bool // also what the book has taken
}

// rehearse is `schemas check --consume`.
func (a *app) rehearse(ctx context.Context, o consumeOptions) error {
	if o.limit < 1 {
		return usageError("--limit %d: at least 1", o.limit)
	}
	if a.settings.Data == "" && a.settings.DatabaseURL == "" && !a.settings.usePG {
		return a.readTopic(ctx, o)
	}
	where, err := a.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = where.Close() }()
	if len(where.Brokers) == 0 {
		return usageError("no brokers named: give --brokers or KAFKA_BROKERS")
	}
	db, err := postgres.Open(ctx, where.DSN, a.settings.Connections)
	if err != nil {
		return err
	}
	defer db.Close()
	registry, err := a.registryOver(db)
	if err != nil {
		return err
	}
	codec, err := kafka.NewEventCodec(ctx, registry)
	if err != nil {
		return err
	}
	var from map[int32]int64
	if !o.all {
		if from, err = db.NextOffsets(ctx, o.topic); err != nil {
			return err
		}
	}
	records, err := kafka.ReadTopic(ctx, where.Brokers, o.topic, from, o.limit)
	if err != nil {
		return err
	}
	verdicts, err := pipeline.NewEvents(db, codec, a.now, a.log).Rehearse(ctx, records)
	if err != nil {
		return err
	}
	return a.emitVerdicts(verdicts)
}

// readTopic is rehearse where there is no book: it says which records can be read.
func (a *app) readTopic(ctx context.Context, o consumeOptions) error {
	if len(a.settings.Brokers) == 0 || a.settings.Registry == "" {
		return usageError("name an installation (--data or --database-url), or --brokers and --registry")
	}
	registry, err := kafka.NewRemoteRegistry(a.settings.Registry)
	if err != nil {
		return err
	}
	codec, err := kafka.NewEventCodec(ctx, registry)
	if err != nil {
		return err
	}
	records, err := kafka.ReadTopic(ctx, a.settings.Brokers, o.topic, nil, o.limit)
	if err != nil {
		return err
	}
	verdicts := make([]pipeline.EventVerdict, len(records))
	for i, r := range records {
		v := pipeline.EventVerdict{Partition: r.Partition, Offset: r.Offset, Outcome: outcomeReadable}
		m, err := codec.Decode(r.Value)
		var bad *pipeline.BadRecord
		switch {
		case errors.As(err, &bad):
			v.Outcome, v.Detail = bad.Reason, bad.Detail
		case err != nil:
			return err
		default:
			v.Key = m.Key()
			if fault := m.Fault(); fault != "" {
				v.Outcome, v.Detail = "BAD_TERMS", fault
			}
		}
		verdicts[i] = v
	}
	return a.emitVerdicts(verdicts)
}

// outcomeReadable is what can be said of a record without a book.
const outcomeReadable = "READABLE"

func (a *app) emitVerdicts(verdicts []pipeline.EventVerdict) error {
	if err := emit(a, verdicts, writeVerdicts); err != nil {
		return err
	}
	for _, v := range verdicts {
		if v.Outcome != "APPLIED" && v.Outcome != "DUPLICATE" && v.Outcome != outcomeReadable {
			return exitWith(exitDifferences, nil)
		}
	}
	return nil
}

func writeVerdicts(w io.Writer, verdicts []pipeline.EventVerdict) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		fmt.Fprintf(t, "%d/%d\t%s\t%s\t%s\n", v.Partition, v.Offset, v.Outcome, v.Key, v.Detail)
	}
	return t.Flush()
}
