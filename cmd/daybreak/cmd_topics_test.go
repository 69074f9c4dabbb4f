package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybreak/internal/kafka"
	"daybreak/internal/postgres"
	"daybreak/internal/postgres/pgtest"
	"daybreak/pipeline"
)

// expect runs a command line and checks its exit code and parts of what it says.
func expect(t *testing.T, code int, parts []string, args ...string) {
	t.Helper()
	got := commandLine(t.Context(), nil, args...)
	for _, part := range parts {
		if !strings.Contains(got.out+got.err, part) {
			t.Errorf("%v says\n%s%s, want %q", args, got.out, got.err, part)
		}
	}
	if got.code != code {
		t.Errorf("%v = %d, want %d: %s", args, got.code, code, got.err)
	}
}

func TestTopicsCommands(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	brokers := strings.Join(cluster.ListenAddrs(), ",")
	expect(t, exitDifferences, []string{"create  daybreak.fills", "want 96 partitions"}, "topics", "plan", "--brokers", brokers)
	expect(t, exitOK, []string{"create  daybreak.events"}, "topics", "apply", "--brokers", brokers)
	expect(t, exitOK, []string{"as they must be"}, "topics", "apply", "--brokers", brokers)
	expect(t, exitOK, []string{"as they must be"}, "topics", "plan", "--brokers", brokers)

	alterTopic(t, cluster, pipeline.TopicFills, "retention.ms", "86400000")
	expect(t, exitDifferences, []string{`"setting":"retention.ms","have":"86400000","want":"-1","action":"alter"`}, "topics", "plan", "--brokers", brokers, "-o", "jsonl")
	dsn := pgtest.DSN(t)
	expect(t, exitConflict, []string{"topic daybreak.fills: retention.ms is 86400000, want -1", "`daybreak topics plan`"},
		"serve", "fills", "--database-url", dsn, "--brokers", brokers)
	expect(t, exitOK, []string{"alter  daybreak.fills  retention.ms"}, "topics", "apply", "--brokers", brokers)

	file := filepath.Join(t.TempDir(), "topics.yaml")
	if err := os.WriteFile(file, []byte("kind: Topics\nspec: [{name: daybreak.work, partitions: 48}]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, exitDifferences, []string{"refuse  daybreak.work", "have 24", "want 48", "delete  daybreak.fills "}, "topics", "plan", "--brokers", brokers, "--file", file)
	expect(t, exitDifferences, []string{"partitions is 24, want 48"}, "topics", "apply", "--brokers", brokers, "--file", file)
	expect(t, exitOK, nil, "topics", "plan", "--brokers", brokers, "--file", "../../deploy/kafka/topics.yaml")
	expect(t, exitUsage, []string{"principals.yaml", "field principal"}, "topics", "plan", "--brokers", brokers, "--file", "../../deploy/kafka/principals.yaml")
}

func alterTopic(t *testing.T, cluster *kfake.Cluster, topic, key, value string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic); err != nil {
		t.Fatal(err)
	}
}

func TestSchemasCommands(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	if err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db, err := postgres.Open(t.Context(), dsn, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	registry := kafka.NewEmbeddedRegistry(db)
	server := httptest.NewServer(registry.Handler(slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	expect(t, exitOK, []string{"daybreak.fills-value", "checked"}, "schemas", "check")
	expect(t, exitDifferences, []string{"missing"}, "schemas", "check", "--registry", server.URL)
	subjects, err := kafka.Subjects()
	if err != nil {
		t.Fatal(err)
	}
	stranger := subjects[slices.IndexFunc(subjects, func(s kafka.Subject) bool { return s.File == "fx_rate.avsc" })]
	stranger.Schema = strings.Replace(stranger.Schema, `"scale": 12`, `"scale": 6`, 1)
	if _, err := registry.Register(t.Context(), stranger); err != nil {
		t.Fatal(err)
	}
	expect(t, exitDifferences, []string{`"subject":"daybreak.fills-value","state":"new"`, `"subject":"daybreak.events-daybreak.FXRate","state":"incompatible"`, "decimal"},
		"schemas", "apply", "--registry", server.URL, "-o", "jsonl")
	expect(t, exitDifferences, []string{"registered", "incompatible"}, "schemas", "check", "--database-url", dsn)
	expect(t, exitUsage, []string{"registry is"}, "schemas", "check", "--registry", "nowhere")
	expect(t, exitFailed, []string{"schema registry http://127.0.0.1:1"}, "schemas", "check", "--registry", "http://127.0.0.1:1")
}

// TestRegistryRole serves the schemas of an installation to a producer.
func TestRegistryRole(t *testing.T) {
	t.Parallel()
	_, s := eventWorld(t)
	said, errOut := io.Pipe()
	s.app.errOut, s.app.settings.RegistryAt = errOut, "127.0.0.1:0"
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, []string{roleRegistry}) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	url := strings.TrimPrefix(strings.TrimSpace(line), "schema registry on ")
	r, err := kafka.NewRemoteRegistry(url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kafka.NewEventCodec(t.Context(), r); err != nil {
		t.Errorf("a producer gets no schemas from %s: %v", url, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the role ended with %v", err)
	}
}
