package main

import (
	"bytes"
	"encoding/json"
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
	ended       chan struct{} // closed when it has
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
	p.ended = make(chan struct{})
	go func() { defer close(p.ended); _ = p.Wait() }() // the exit code is in ProcessState
	t.Cleanup(func() { _ = p.Process.Signal(syscall.SIGTERM); <-p.ended })
	return p
}

// daybreak runs the program to its end and checks its exit code.
func daybreak(t *testing.T, data string, wantCode int, args ...string) (stdout, stderr string) {
	t.Helper()
	p := start(t, data, args...)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatalf("daybreak %s: not done after %s\n%s", strings.Join(args, " "), patience, &p.errOut)
	}
	if code := p.ProcessState.ExitCode(); code != wantCode {
		t.Fatalf("daybreak %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, &p.out, &p.errOut)
	}
	return p.out.String(), p.errOut.String()
}

// sampleWorld makes a directory whose servers run until the test ends, with the sample market and a
// world of households in it.
func sampleWorld(t *testing.T, households int) (data string) {
	t.Helper()
	data = installationDir(t)
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

// patience bounds what a test waits for on a busy machine; no test measures time.
const patience = 3 * time.Minute

// waitFor waits for a condition that another process makes true.
func waitFor(t *testing.T, p *process, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-p.ended:
			t.Fatalf("%s has ended: %s", p.Args, &p.errOut)
		case <-late:
			t.Fatalf("waiting for %s after %s: %s", p.Args, patience, &p.errOut)
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

// TestFillsSurviveKills kills the consumer of fills again and again while a day's fills come in.
func TestFillsSurviveKills(t *testing.T) {
	t.Parallel()
	households, kills := 150, 10
	if os.Getenv("DAYBREAK_LONG") != "" {
		households, kills = 1100, 20 // some 27,000 fills
	}
	data := sampleWorld(t, households)
	start(t, data, "serve", "worker", "gateway")
	daybreak(t, data, exitExceptions, "run", "start", "--date", "2020-03-16", "--wait")
	daybreak(t, data, exitOK, "order", "approve", "--run", "2020-03-16.1", "--as", "ana")
	daybreak(t, data, exitOK, "order", "submit", "--run", "2020-03-16.1", "--as", "ben")
	dsn, _ := where(t, data)
	db, err := postgres.Open(t.Context(), dsn, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for kill := range kills {
		// Each life ends after another number of commits: nothing is timed.
		before := executions(t, db)
		consumer := start(t, data, "serve", "fills", "--instance", "one")
		waitFor(t, consumer, func() bool { return executions(t, db) > before+int64(kill*kill*3) || done(t, db) })
		if err := consumer.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-consumer.ended
		t.Logf("kill %d after %d fills", kill+1, executions(t, db))
	}
	last := start(t, data, "serve", "fills", "--instance", "one")
	waitFor(t, last, func() bool { return done(t, db) })
	daybreak(t, data, exitOK, "verify")
	result, err := db.DayResult(t.Context(), "2020-03-16.1")
	if err != nil {
		t.Fatal(err)
	}
	if result.Executions < 1_000 {
		t.Errorf("%d fills, want thousands", result.Executions)
	}
}

func executions(t *testing.T, db *postgres.DB) int64 {
	t.Helper()
	r, err := db.DayResult(t.Context(), "2020-03-16.1")
	if err != nil {
		t.Fatal(err)
	}
	return r.Executions
}

func done(t *testing.T, db *postgres.DB) bool {
	t.Helper()
	left, _, err := db.DayLeft(t.Context(), "2020-03-16.1")
	if err != nil {
		t.Fatal(err)
	}
	return left == 0
}
