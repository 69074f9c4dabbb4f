package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/pipeline"
)

// These tests run the program as users do: processes over one embedded installation, which are
// killed, started again and compared. The test binary plays the program.

const playVariable = "DAYBREAK_TEST_PLAY"

func TestMain(m *testing.M) {
	if os.Getenv(playVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is a started command.
type process struct {
	*exec.Cmd
	out, errOut bytes.Buffer
}

// start starts the program on an installation.
func start(t *testing.T, data string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command("/proc/self/exe", args...)}
	p.Env = append(os.Environ(), playVariable+"=1", "DAYBREAK_DATA="+data, "NO_COLOR=1")
	p.Stdout, p.Stderr = &p.out, &p.errOut
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Process.Kill(); _ = p.Wait() })
	return p
}

// daybreak runs the program to its end and checks its exit code.
func daybreak(t *testing.T, data string, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	p := start(t, data, args...)
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if code := p.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("daybreak %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, &p.out, &p.errOut)
	}
	return p.out.String(), p.errOut.String()
}

// installation makes a directory whose servers run until the test ends, with the sample market and a
// world of households in it.
func sampleWorld(t *testing.T, households int) (data string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	owner := start(t, data, "up", "--roles", "", "--no-sample")
	waitFor(t, owner, func() bool { _, err := os.Stat(filepath.Join(data, "run.json")); return err == nil })
	for _, kind := range []string{"securities", "prices", "fx", "replacements", "models"} {
		file := filepath.Join("..", "..", "testdata", "market", kind+".csv")
		args := []string{"import", kind, file}
		switch kind {
		case "prices":
			args = []string{"import", kind, file + ".gz", "--adjustment", "splits+dividends"}
		case "fx":
			args[2] += ".gz"
		}
		daybreak(t, data, exitOK, args...)
	}
	daybreak(t, data, exitOK, "sim", "world", "--households", fmt.Sprint(households), "--to", "2020-03-16", "--faults", "0.02")
	return data
}

// waitFor polls a condition that another process makes true; the test's own deadline is the bound.
func waitFor(t *testing.T, p *process, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatalf("waiting: %s", &p.errOut)
		}
		if p.ProcessState != nil {
			t.Fatalf("%s has ended: %s", p.Args, &p.errOut)
		}
	}
}

// where reads the addresses of a running installation.
func where(t *testing.T, data string) (dsn string, brokers []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "run.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Database string   `json:"database"`
		Brokers  []string `json:"brokers"`
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r.Database, r.Brokers
}

// exported returns the proposals of the run as lines in order.
func exported(t *testing.T, data string) []string {
	t.Helper()
	text, _ := daybreak(t, data, exitOK, "order", "export", "--run", "2020-03-16.1", "-o", "jsonl")
	lines := strings.Split(strings.TrimSpace(text), "\n")
	slices.Sort(lines)
	return lines
}

// sendAgain publishes the record of every household of the run a second time.
func sendAgain(t *testing.T, data string) {
	t.Helper()
	dsn, brokers := where(t, data)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	households, err := db.HouseholdRefs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	producer, err := kafka.NewProducer(brokers)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	partitions, err := producer.Partitions(t.Context(), pipeline.TopicWork)
	if err != nil {
		t.Fatal(err)
	}
	var records []pipeline.Record
	for _, h := range households {
		value, err := json.Marshal(pipeline.Work{Run: "2020-03-16.1", Household: h.ID})
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, pipeline.Record{Topic: pipeline.TopicWork, Partition: pipeline.Partition(h.RoutingKey, partitions), Key: []byte(h.ID), Value: value})
	}
	if err := producer.Publish(t.Context(), records); err != nil {
		t.Fatal(err)
	}
}

// TestSameProposalsWhateverHappens compares a run by one worker with one by four, of which one is
// killed in the middle and started again, and whose records arrive twice.
func TestSameProposalsWhateverHappens(t *testing.T) {
	t.Parallel()
	const households = 400
	calm := sampleWorld(t, households)
	start(t, calm, "serve", "worker")
	daybreak(t, calm, exitExceptions, "run", "start", "--date", "2020-03-16", "--wait")
	want := exported(t, calm)

	rough := sampleWorld(t, households)
	var workers []*process
	for range 4 {
		workers = append(workers, start(t, rough, "serve", "worker"))
	}
	daybreak(t, rough, exitOK, "run", "start", "--date", "2020-03-16")
	sendAgain(t, rough)
	if err := workers[0].Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	start(t, rough, "serve", "worker")
	daybreak(t, rough, exitExceptions, "run", "watch", "2020-03-16.1")
	got := exported(t, rough)

	if len(want) < households {
		t.Errorf("%d proposals for %d households, want more", len(want), households)
	}
	if !slices.Equal(got, want) {
		t.Errorf("four workers with a kill and doubles: %d proposals that differ from one worker's %d", len(got), len(want))
	}
	for _, data := range []string{calm, rough} {
		daybreak(t, data, exitOK, "verify")
	}
}
