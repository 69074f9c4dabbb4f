package main

import (
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"daybreak/internal/postgres"
)

func newServeCmd(a *app) *cobra.Command {
	var migrate bool
	var instance string
	c := &cobra.Command{
		Use:   "serve ROLE...",
		Short: "Play roles of the day until interrupted: " + strings.Join(roles, ", "),
		Long: "Any set of roles in one process, any number of processes:\n" +
			"  worker     plans the households whose records it gets from the topic daybreak.work\n" +
			"  fills      applies the executions of daybreak.fills to the book, exactly once\n" +
			"  gateway    sends submitted orders to the brokerage\n" +
			"  web        serves the pages\n" +
			"  engine     runs instances of workflows, and wakes those that are due\n" +
			"  scheduler  starts each session's run half an hour before the open\n" +
			"  registry   serves the schemas of the topics to producers, with the API of Confluent's registry\n" +
			"  balances   streams the balances of accounts, and where orders stand, on to their topics",
		Example: "  daybreak serve worker --data DIR\n" +
			"  daybreak serve worker fills gateway --database-url postgres://… --brokers kafka-1:9092",
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: roles,
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkRoles(args); err != nil {
				return err
			}
			where, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer func() { _ = where.Close() }()
			if migrate {
				if err := postgres.Migrate(c.Context(), where.DSN); err != nil {
					return err
				}
			}
			if err := a.ensureTopics(c.Context(), where.Brokers); err != nil {
				return err
			}
			s, err := a.openServices(c.Context(), where)
			if err != nil {
				return err
			}
			defer s.Close()
			s.instance = instance
			a.boundMemory(args)
			fmt.Fprintf(a.errOut, "serving %s\n", strings.Join(args, ", "))
			return s.run(c.Context(), args)
		},
	}
	c.Flags().String("registry-at", defaultSettings().RegistryAt, "address that the schema registry is served on")
	c.Flags().String("metrics-at", "", "address that the role fills serves metrics of the stream on, such as 127.0.0.1:9464")
	c.Flags().BoolVar(&migrate, "migrate", false, "bring the database's schema to this build's version first")
	c.Flags().StringVar(&instance, "instance", "", "fixed name of this process among its like: started again, it has its partitions back at once")
	return c
}

// What the garbage of a process that only applies fills may grow to: its live memory is small and its
// garbage plenty, so that collecting at twice the live memory would take a fifth of its time.
const (
	fillsGCPercent   = 200
	fillsMemoryLimit = 256 << 20
)

// boundMemory sets the collector for a process whose only role is fills, unless its user has.
func (a *app) boundMemory(roles []string) {
	isSet := slices.ContainsFunc(a.environ, func(v string) bool { return strings.HasPrefix(v, "GOGC=") || strings.HasPrefix(v, "GOMEMLIMIT=") })
	if isSet || !slices.Equal(roles, []string{roleFills}) {
		return
	}
	debug.SetGCPercent(fillsGCPercent)
	debug.SetMemoryLimit(fillsMemoryLimit)
}
