package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
)

// What doctor takes as healthy.
const (
	versionMin  = 150000 // server_version_num of PostgreSQL 15
	skewMax     = time.Second
	diskMin     = 1 << 30 // bytes free
	filesMin    = 4096    // open files: the embedded broker keeps several a partition
	databaseMax = 10 * time.Second
)

// finding is what one check of doctor found. Advice says what to do where it is not ok.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	Advice string `json:"advice,omitempty"`
}

func newDoctorCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with this installation",
		Long: "Checks the database, its schema and its clock, the brokers and their topics, the disk and this\n" +
			"machine. Ends with 1 where a check fails.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			findings := a.examine(c.Context())
			if err := emit(a, findings, writeFindings); err != nil {
				return err
			}
			for _, f := range findings {
				if !f.OK {
					return exitWith(exitFailed, nil)
				}
			}
			return nil
		},
	}
}

func writeFindings(w io.Writer, findings []finding) error {
	for _, f := range findings {
		mark := "ok  "
		if !f.OK {
			mark = "FAIL"
		}
		if _, err := fmt.Fprintf(w, "%s  %-10s  %s\n", mark, f.Check, f.Detail); err != nil {
			return err
		}
		if f.Advice != "" {
			fmt.Fprintf(w, "                  %s\n", f.Advice)
		}
	}
	return nil
}

// examine runs every check that can be run: where the installation can't be reached, those of this
// machine alone.
func (a *app) examine(ctx context.Context) []finding {
	findings := []finding{checkZones(), checkFiles()}
	place, err := a.connect(ctx)
	if err != nil {
		return append(findings, finding{Check: "place", Detail: errorLine(err), Advice: "name an installation that can be reached"})
	}
	defer func() { _ = place.Close() }()
	if place.Data != "" {
		findings = append(findings, checkDisk(place.Data))
	}
	findings = append(findings, a.checkDatabase(ctx, place.DSN)...)
	return append(findings, checkBrokers(ctx, place.Brokers))
}

// result makes a finding; advice is dropped where all is well.
func result(check string, ok bool, detail, advice string) finding {
	if ok {
		advice = ""
	}
	return finding{Check: check, OK: ok, Detail: detail, Advice: advice}
}

// fault is the finding of a check that could not be made.
func fault(check string, err error, advice string) finding {
	return result(check, false, errorLine(err), advice)
}

// checkZones looks for the time zones of the exchanges, which slim images leave out.
func checkZones() finding {
	for _, zone := range []string{"America/New_York", "America/Toronto"} {
		if _, err := time.LoadLocation(zone); err != nil {
			return fault("zones", err, "install the system's package of time zones (tzdata)")
		}
	}
	return result("zones", true, "the exchanges' time zones are there", "")
}

func checkFiles() finding {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fault("files", err, "")
	}
	return result("files", limit.Cur >= filesMin, fmt.Sprintf("%d open files allowed", limit.Cur), fmt.Sprintf("allow at least %d (ulimit -n)", filesMin))
}

func checkDisk(dir string) finding {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return fault("disk", fmt.Errorf("%s: %w", dir, err), "")
	}
	free := s.Bavail * uint64(s.Bsize)
	return result("disk", free >= diskMin, fmt.Sprintf("%d MB free in %s", free>>20, dir), "make room, or move the directory")
}

// checkDatabase examines the server, its settings, its schema and its clock.
func (a *app) checkDatabase(ctx context.Context, dsn string) []finding {
	ctx, cancel := context.WithTimeout(ctx, databaseMax)
	defer cancel()
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return []finding{fault("database", err, "start the server, or correct --database-url")}
	}
	defer conn.Close(ctx)
	return []finding{checkServer(ctx, conn), checkDurable(ctx, conn), a.checkClock(ctx, conn), checkSchema(ctx, dsn)}
}

func checkServer(ctx context.Context, conn *pgx.Conn) finding {
	var number int
	var version string
	row := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int, current_setting('server_version')")
	if err := row.Scan(&number, &version); err != nil {
		return fault("database", err, "")
	}
	return result("database", number >= versionMin, "PostgreSQL "+version, "use PostgreSQL 15 or later")
}

// checkDurable looks for settings under which a committed fill can be lost.
func checkDurable(ctx context.Context, conn *pgx.Conn) finding {
	rows, _ := conn.Query(ctx, "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name")
	off, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fault("durable", err, "")
	}
	if len(off) > 0 {
		return result("durable", false, strings.Join(off, ", ")+" off", "turn on, or a power cut loses what was committed")
	}
	return result("durable", true, "what is committed is on the disk", "")
}

// checkClock compares the database's clock with ours, at the middle of the question's way.
func (a *app) checkClock(ctx context.Context, conn *pgx.Conn) finding {
	before := a.now()
	var there time.Time
	if err := conn.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&there); err != nil {
		return fault("clock", err, "")
	}
	after := a.now()
	skew := there.Sub(before.Add(after.Sub(before) / 2)).Abs()
	return result("clock", skew <= skewMax, fmt.Sprintf("the database's clock is %s off", skew.Round(time.Millisecond)), "synchronise the machines' clocks (NTP)")
}

func checkSchema(ctx context.Context, dsn string) finding {
	have, want, err := postgres.SchemaVersions(ctx, dsn)
	if err != nil {
		return fault("schema", err, "")
	}
	advice := "start `daybreak up` or `daybreak serve --migrate` of this build once"
	if have > want {
		advice = "use the newer build that migrated it"
	}
	return result("schema", have == want, fmt.Sprintf("version %d, this build's is %d", have, want), advice)
}

func checkBrokers(ctx context.Context, brokers []string) finding {
	if len(brokers) == 0 {
		return result("brokers", false, "none named", "give --brokers or KAFKA_BROKERS")
	}
	topics, err := kafka.Topics()
	if err != nil {
		return fault("brokers", err, "")
	}
	drifts, err := kafka.PlanTopics(ctx, brokers, topics)
	if err != nil {
		return fault("brokers", err, "")
	}
	var faults []string
	for _, d := range drifts {
		faults = append(faults, d.String())
	}
	if faults != nil {
		return result("brokers", false, strings.Join(faults, "; "), "`daybreak topics plan` says more, `daybreak topics apply` changes what may be changed")
	}
	return result("brokers", true, fmt.Sprintf("%s, %d topics as they must be", strings.Join(brokers, ","), len(topics)), "")
}
