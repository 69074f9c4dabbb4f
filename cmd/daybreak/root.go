package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"daybreak/pipeline"
)

// The exit codes of every command.
const (
	exitOK          = 0   // done
	exitFailed      = 1   // failed; also a database or broker that can't be reached
	exitUsage       = 2   // the command line or a setting is wrong
	exitExceptions  = 3   // finished, with exceptions: parked households, bad lines left out
	exitDifferences = 5   // differences found, or an invariant broken
	exitNotFound    = 10  // what was named is not there
	exitConflict    = 11  // not possible in the present state
	exitInterrupted = 130 // ended by Ctrl-C
)

// exitError ends the program with a code. An err of nil says nothing more on stderr: the command
// has printed what there is to say.
type exitError struct {
	code int
	err  error
}

// Error returns the message of the error inside.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the error inside.
func (e *exitError) Unwrap() error { return e.err }

// exitWith makes err end the program with code; a nil err ends it silently.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// usageError is a fault of the command line, which ends the program with code 2.
func usageError(format string, args ...any) error {
	return exitWith(exitUsage, fmt.Errorf(format, args...))
}

// app is what commands share: where they read and write, their settings, and the clock. The main
// function fills its first part; settings, log and the rest are set before a command runs.
type app struct {
	args     []string
	environ  []string
	unsetenv func(name string) error
	now      func() time.Time
	cache    string // directory of fetched binaries, "" for none
	data     string // directory of the installation that nobody named one for
	in       io.Reader
	out      io.Writer
	errOut   io.Writer

	settings settings
	log      *slog.Logger
	running  bool // a command's own code has begun: later errors aren't faults of usage
	acting   *cobra.Command
}

// run executes the command line of a and returns the exit code.
func run(ctx context.Context, a *app) int {
	root := newRootCmd(a)
	root.SetArgs(a.args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	command, err := root.ExecuteContextC(ctx)
	code := a.exitCode(ctx, err)
	if message := errorLine(err); message != "" {
		fmt.Fprintf(a.errOut, "daybreak: %s\n", message)
	}
	if code == exitUsage && !a.running {
		fmt.Fprintf(a.errOut, "See '%s --help'.\n", command.CommandPath())
	}
	return code
}

// exitCode maps an error to the exit codes of the contract. A service that SIGTERM ended has done
// what it was told to: 0. Ctrl-C is 130 always.
func (a *app) exitCode(ctx context.Context, err error) int {
	var exit *exitError
	var cause interruption
	wasInterrupted := errors.As(context.Cause(ctx), &cause)
	switch {
	case err == nil && wasInterrupted && cause.signal == os.Interrupt:
		return exitInterrupted
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return exit.code
	case wasInterrupted && (errors.Is(err, context.Canceled) || errors.As(err, &cause)):
		return exitInterrupted
	case errors.Is(err, pipeline.ErrNotFound):
		return exitNotFound
	case errors.Is(err, errNoProof):
		return exitUsage
	case errors.Is(err, pipeline.ErrRunExists), errors.Is(err, pipeline.ErrState):
		return exitConflict
	case errors.Is(err, pipeline.ErrNoSession), !a.running:
		return exitUsage
	}
	return exitFailed
}

// undefinedTable is PostgreSQL's code for a table that is not there.
const undefinedTable = "42P01"

// errorLine returns what stderr says about err, on one line; "" where there is nothing to say.
func errorLine(err error) string {
	var exit *exitError
	if err == nil || (errors.As(err, &exit) && exit.err == nil) {
		return ""
	}
	if errors.Is(err, context.Canceled) || errors.As(err, &interruption{}) {
		return "interrupted"
	}
	text := err.Error()
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == undefinedTable {
		text += "; the database lacks this build's schema: `daybreak up` or `daybreak serve --migrate` bring it"
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "; ")
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "daybreak",
		Short: "Rebalancing, tax-loss harvesting and a book of record for many accounts",
		Long: "Daybreak plans every household each morning, harvests tax losses under its country's rules,\n" +
			"has people approve the orders, sends them, and books each fill exactly once.\n\n" +
			"Start with `daybreak demo`, or `daybreak up --data DIR`.",
		Args:          noSubcommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,

		PersistentPreRunE: func(c *cobra.Command, _ []string) error { return a.nameActor(c) },
	}
	addSettingFlags(root.PersistentFlags())
	root.AddCommand(
		newUpCmd(a),
		newDemoCmd(a),
		newServeCmd(a),
		newImportCmd(a),
		newSimCmd(a),
		newPlanCmd(a),
		newTaxCmd(a),
		newRunCmd(a),
		newWorkflowCmd(a),
		newInstanceCmd(a),
		newArchiveCmd(a),
		newAccountCmd(a),
		newOrderCmd(a),
		newKillCmd(a),
		newExceptionCmd(a),
		newVerifyCmd(a),
		newAuditCmd(a),
		newPersonCmd(a),
		newTokenCmd(a),
		newBookCmd(a),
		newTopicsCmd(a),
		newSchemasCmd(a),
		newEventCmd(a),
		newActionCmd(a),
		newStreamCmd(a),
		newReconcileCmd(a),
		newBenchCmd(a),
		newDoctorCmd(a),
		newVersionCmd(a),
	)
	a.prepare(root)
	return root
}

// ignoresEnvironment is the annotation of a command that takes no setting from the environment.
const ignoresEnvironment = "ignores-environment"

// prepare wraps the code of every command below c, so that settings are loaded before it starts. A
// command that only groups others asks for one of them.
func (a *app) prepare(c *cobra.Command) {
	for _, sub := range c.Commands() {
		a.prepare(sub)
	}
	body := c.RunE
	if body == nil && c.Run == nil && c.HasSubCommands() {
		c.Args, body = noSubcommand, needsSubcommand
	}
	if body == nil {
		return
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		environ := a.environ
		if cmd.Annotations[ignoresEnvironment] != "" {
			environ = nil
		}
		s, err := loadSettings(cmd.Flags(), environ)
		if err != nil {
			return exitWith(exitUsage, err)
		}
		a.settings, a.running, a.acting = s, true, cmd
		a.log = slog.New(slog.NewTextHandler(a.errOut, &slog.HandlerOptions{Level: s.logLevel()}))
		return body(cmd, args)
	}
}

func needsSubcommand(c *cobra.Command, _ []string) error {
	return usageError("%s needs one of: %s", c.CommandPath(), subcommands(c))
}

// noSubcommand refuses the arguments of a command that only groups others: they name none of them.
func noSubcommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("unknown command %q: %s has %s", args[0], c.CommandPath(), subcommands(c))
}

func subcommands(c *cobra.Command) string {
	var names []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return strings.Join(names, ", ")
}

// emit writes rows to stdout as the user asked: by text, as one JSON array, or as a line of JSON
// for each.
func emit[T any](a *app, rows []T, text func(w io.Writer, rows []T) error) error {
	switch a.settings.Output {
	case outputJSON:
		if rows == nil {
			rows = []T{}
		}
		return writeJSON(a.out, rows)
	case outputJSONL:
		encoder := json.NewEncoder(a.out)
		encoder.SetEscapeHTML(false)
		for _, row := range rows {
			if err := encoder.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	return text(a.out, rows)
}

// emitOne writes one value to stdout as the user asked: by text, as indented JSON, or as a line of
// JSON.
func emitOne[T any](a *app, value T, text func(w io.Writer, value T) error) error {
	if a.settings.Output == outputJSON {
		return writeJSON(a.out, value)
	}
	return emit(a, []T{value}, func(w io.Writer, _ []T) error { return text(w, value) })
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}
