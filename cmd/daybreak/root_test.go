package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"daybreak/internal/embedded"
	"daybreak/pipeline"
)

// ran is what a command line came to.
type ran struct {
	code     int
	out, err string
}

// commandLine runs `daybreak ARGS` in this process with an environment of its own.
func commandLine(ctx context.Context, environ []string, args ...string) ran {
	var out, errOut bytes.Buffer
	a := &app{args: args, environ: environ, unsetenv: func(string) error { return nil }, now: time.Now,
		in: strings.NewReader(""), out: &out, errOut: &errOut}
	code := run(ctx, a)
	return ran{code: code, out: out.String(), err: errOut.String()}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{nil, exitOK, ""},
		{[]string{"--help"}, exitOK, ""},
		{[]string{"version"}, exitOK, ""},
		{[]string{"nothing"}, exitUsage, `unknown command "nothing"`},
		{[]string{"--nothing"}, exitUsage, "unknown flag: --nothing"},
		{[]string{"version", "more"}, exitUsage, `"more"`},
		{[]string{"version", "-o", "xml"}, exitUsage, `output is "xml"`},
		{[]string{"run"}, exitUsage, "run needs one of: "},
		{[]string{"run", "nothing"}, exitUsage, `unknown command "nothing"`},
		{[]string{"run", "list"}, exitUsage, "daybreak up"},
		{[]string{"up", "--roles", "cook"}, exitUsage, `unknown role "cook"`},
		{[]string{"up", "--brokers", "127.0.0.1:1"}, exitUsage, "give --database-url too"},
		{[]string{"up", "--database-url", "postgres://127.0.0.1:1/x"}, exitUsage, "give --brokers too"},
	} {
		got := commandLine(t.Context(), nil, c.args...)
		if got.code != c.code || !strings.Contains(got.err, c.says) {
			t.Errorf("daybreak %v = %d, %q, want %d, %q", c.args, got.code, got.err, c.code, c.says)
		}
		if strings.Contains(got.err, "goroutine") {
			t.Errorf("daybreak %v prints a stack trace: %s", c.args, got.err)
		}
	}
}

// TestServersThatAreDown names a database and a broker that nobody serves.
func TestServersThatAreDown(t *testing.T) {
	t.Parallel()
	got := commandLine(t.Context(), nil, "run", "list", "--database-url", "postgres://nobody@127.0.0.1:1/x")
	if got.code != exitFailed || strings.Count(got.err, "\n") != 1 {
		t.Errorf("run list without a database = %d, %q, want %d and one line", got.code, got.err, exitFailed)
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	interrupted, cancel := context.WithCancelCause(t.Context())
	cancel(interruption{signal: os.Interrupt})
	terminated, cancel := context.WithCancelCause(t.Context())
	cancel(interruption{signal: syscall.SIGTERM})
	for _, c := range []struct {
		name string
		ctx  context.Context
		err  error
		want int
	}{
		{"nothing", t.Context(), nil, exitOK},
		{"an error", t.Context(), io.EOF, exitFailed},
		{"a code", t.Context(), fmt.Errorf("x: %w", exitWith(exitDifferences, io.EOF)), exitDifferences},
		{"not found", t.Context(), fmt.Errorf("run: %w", pipeline.ErrNotFound), exitNotFound},
		{"a run twice", t.Context(), fmt.Errorf("run: %w", pipeline.ErrRunExists), exitConflict},
		{"a wrong state", t.Context(), fmt.Errorf("run: %w", pipeline.ErrState), exitConflict},
		{"no session", t.Context(), fmt.Errorf("day: %w", pipeline.ErrNoSession), exitUsage},
		{"Ctrl-C", interrupted, fmt.Errorf("wait: %w", context.Canceled), exitInterrupted},
		{"Ctrl-C, by its cause", interrupted, context.Cause(interrupted), exitInterrupted},
		{"Ctrl-C of a service", interrupted, nil, exitInterrupted},
		{"a fault beside Ctrl-C", interrupted, io.EOF, exitFailed},
		{"the end of a service", terminated, nil, exitOK},
		{"the end of a command", terminated, context.Canceled, exitInterrupted},
		{"a cancelled part", t.Context(), context.Canceled, exitFailed},
	} {
		a := &app{running: true}
		if got := a.exitCode(c.ctx, c.err); got != c.want {
			t.Errorf("%s: exitCode(%v) = %d, want %d", c.name, c.err, got, c.want)
		}
	}
	if got := new(app).exitCode(t.Context(), io.EOF); got != exitUsage {
		t.Errorf("exitCode before a command's code = %d, want %d", got, exitUsage)
	}
}

func TestErrorLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{exitWith(exitExceptions, nil), ""},
		{errors.New("one"), "one"},
		{errors.Join(errors.New("one"), errors.New("two\r\n\ttabbed")), "one; two; tabbed"},
		{fmt.Errorf("wait: %w", context.Canceled), "interrupted"},
		{interruption{signal: os.Interrupt}, "interrupted"},
	} {
		if got := errorLine(c.err); got != c.want {
			t.Errorf("errorLine(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

func TestVersionAsJSON(t *testing.T) {
	t.Parallel()
	got := commandLine(t.Context(), nil, "version", "-o", "jsonl")
	var info versionInfo
	if err := json.Unmarshal([]byte(got.out), &info); err != nil || strings.Count(got.out, "\n") != 1 {
		t.Fatalf("version -o jsonl = %q, %v, want one line of JSON", got.out, err)
	}
	if id, err := build(); err != nil || info.Build != id || len(id) != 64 {
		t.Errorf("version has build %q, want the executable's %q, %v", info.Build, id, err)
	}
}

// installationDir returns a directory that the user who runs PostgreSQL can reach, unlike one of
// t.TempDir.
func installationDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "daybreak-cmd-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "installation")
}

func TestUpIsFoundByOthers(t *testing.T) {
	t.Parallel()
	dir := installationDir(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	said, out := io.Pipe()
	up := make(chan int, 1)
	go func() {
		up <- run(ctx, &app{args: []string{"up", "--data", dir, "--roles", "worker,fills", "--no-sample"},
			unsetenv: func(string) error { return nil }, now: time.Now, in: strings.NewReader(""), out: out, errOut: io.Discard})
		out.Close()
	}()
	at := awaitWhereabouts(t, said)
	findings := commandLine(t.Context(), []string{"PGHOST=nowhere.invalid"}, "doctor", "--data", dir, "-o", "jsonl")
	if findings.code != exitOK || !strings.Contains(findings.out, at["brokers"]) {
		t.Errorf("doctor beside up = %d, %s%s, want %d on brokers %s", findings.code, findings.out, findings.err, exitOK, at["brokers"])
	}
	if again := commandLine(t.Context(), nil, "up", "--data", dir); again.code != exitConflict {
		t.Errorf("up twice = %d, %q, want %d", again.code, again.err, exitConflict)
	}
	cancel(interruption{signal: os.Interrupt})
	if code := <-up; code != exitInterrupted {
		t.Errorf("up until Ctrl-C = %d, want %d", code, exitInterrupted)
	}
	if a, err := embedded.Attach(t.Context(), dir); a != nil || err != nil {
		t.Errorf("after up, Attach = %v, %v, want no owner", a, err)
	}
}

// awaitWhereabouts reads what up says until it has named its brokers.
func awaitWhereabouts(t *testing.T, said io.Reader) map[string]string {
	t.Helper()
	at := map[string]string{}
	lines := bufio.NewScanner(said)
	for at["brokers"] == "" && lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		at[name] = strings.TrimSpace(value)
	}
	if at["brokers"] == "" || at["database"] == "" || strings.Contains(at["database"], "sslmode") {
		t.Fatalf("up said %v, want its database and brokers", at)
	}
	go io.Copy(io.Discard, said)
	return at
}
