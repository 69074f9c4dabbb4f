package main

import (
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"daybreak/internal/postgres/pgtest"
)

// namedBrokers returns the brokers of DAYBREAK_TEST_BROKERS, else one of this process.
func namedBrokers(t *testing.T) []string {
	t.Helper()
	if named := os.Getenv("DAYBREAK_TEST_BROKERS"); named != "" {
		return strings.Split(named, ",")
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

// TestDayOnNamedServers plays a whole day on a database and brokers that the settings name: those
// of `make real` are a real Kafka and another PostgreSQL. It is the only test that uses the topics
// of such brokers.
func TestDayOnNamedServers(t *testing.T) {
	t.Parallel()
	a := &app{now: time.Now, unsetenv: func(string) error { return nil }, in: strings.NewReader(""), out: io.Discard, errOut: io.Discard,
		settings: defaultSettings(), log: slog.New(slog.DiscardHandler)}
	a.settings.DatabaseURL, a.settings.Brokers = pgtest.DSN(t), namedBrokers(t)
	place, err := a.bringUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const households = 60
	if err := a.fillEmptyBook(t.Context(), place, households); err != nil {
		t.Fatal(err)
	}
	s, err := a.openServices(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	report, err := a.playDay(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if err := report.verdict(); err != nil {
		t.Error(err)
	}
	if report.Summary.Households != households || report.Sent.Orders == 0 || report.Day.Executions == 0 {
		t.Errorf("a day of %d households came to %d households, %d orders sent, %d executions",
			households, report.Summary.Households, report.Sent.Orders, report.Day.Executions)
	}
	if findings := commandLine(t.Context(), nil, "doctor", "--database-url", place.DSN, "--brokers", strings.Join(place.Brokers, ",")); !strings.Contains(findings.out, "ok    schema") || !strings.Contains(findings.out, "ok    brokers") {
		t.Errorf("doctor says %s%s", findings.out, findings.err)
	}
}
