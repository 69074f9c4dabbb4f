package kafka

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// testBrokers returns the brokers of DAYBREAK_TEST_BROKERS, else one of this process.
func testBrokers(t *testing.T) []string {
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

// testTopics returns two topics of this test's own, which are deleted at its end.
func testTopics(t *testing.T, brokers []string) []Topic {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	topics := []Topic{
		{Name: t.Name() + ".kept", Partitions: 3, Config: map[string]string{"retention.ms": "-1"}},
		{Name: t.Name() + ".compacted", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}},
	}
	t.Cleanup(func() {
		kadm.NewClient(client).DeleteTopics(context.WithoutCancel(t.Context()), topics[0].Name, topics[1].Name)
		client.Close()
	})
	return topics
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	brokers := testBrokers(t)
	topics := testTopics(t, brokers)
	created, err := EnsureTopics(t.Context(), brokers, topics)
	if want := []string{topics[0].Name, topics[1].Name}; err != nil || !slices.Equal(created, want) {
		t.Fatalf("EnsureTopics(nothing there) = %v, %v, want %v", created, err, want)
	}
	if created, err := EnsureTopics(t.Context(), brokers, topics); err != nil || len(created) != 0 {
		t.Errorf("EnsureTopics(all there) = %v, %v, want none", created, err)
	}
	states, err := CheckTopics(t.Context(), brokers, topics)
	want := []TopicState{{topics[0].Name, 3, 3}, {topics[1].Name, 2, 2}}
	if err != nil || !slices.Equal(states, want) {
		t.Errorf("CheckTopics = %v, %v, want %v", states, err, want)
	}
	configOf(t, brokers, topics[0].Name, "retention.ms", "-1")
	configOf(t, brokers, topics[1].Name, "cleanup.policy", "compact")
}

func configOf(t *testing.T, brokers []string, topic, key, want string) {
	t.Helper()
	err := withAdmin(t.Context(), brokers, func(admin *kadm.Client) error {
		configs, err := admin.DescribeTopicConfigs(t.Context(), topic)
		if err != nil {
			return err
		}
		resource, err := configs.On(topic, nil)
		if err != nil {
			return err
		}
		for _, c := range resource.Configs {
			if c.Key == key && c.MaybeValue() != want {
				t.Errorf("%s of %s is %q, want %q", key, topic, c.MaybeValue(), want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOtherPartitionsAreRefused(t *testing.T) {
	t.Parallel()
	brokers := testBrokers(t)
	topics := testTopics(t, brokers)
	if _, err := EnsureTopics(t.Context(), brokers, topics[:1]); err != nil {
		t.Fatal(err)
	}
	wanted := []Topic{{Name: topics[0].Name, Partitions: 4}, topics[1]}
	created, err := EnsureTopics(t.Context(), brokers, wanted)
	if !errors.Is(err, ErrTopicsDiffer) || !strings.Contains(err.Error(), topics[0].Name+" has 3 partitions, want 4") {
		t.Errorf("EnsureTopics(4 wanted, 3 there) = %v, want ErrTopicsDiffer", err)
	}
	if len(created) != 0 {
		t.Errorf("EnsureTopics(4 wanted, 3 there) created %v, want none", created)
	}
}

func TestTopicsOfTheFile(t *testing.T) {
	t.Parallel()
	topics, err := Topics()
	if err != nil {
		t.Fatal(err)
	}
	partitions := map[string]int32{}
	for _, topic := range topics {
		partitions[topic.Name] = topic.Partitions
		if strings.HasPrefix(topic.Name, "daybreak.fills") && topic.Config["retention.ms"] != "-1" {
			t.Errorf("%s has a retention of %s ms: old trades would be lost", topic.Name, topic.Config["retention.ms"])
		}
	}
	if f := partitions["daybreak.fills"]; f == 0 || partitions["daybreak.events"] != f || partitions["daybreak.balances"] != f {
		t.Errorf("fills, events and balances have %v partitions, want the same", partitions)
	}
	brokers := testBrokers(t)
	if _, err := EnsureTopics(t.Context(), brokers, topics); err != nil {
		t.Error(err)
	}
}

func TestParseTopicsRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"another kind":      "kind: Table\nspec: []",
		"an unknown field":  "kind: Topics\nspec: [{name: a, partitions: 1, size: 2}]",
		"a name twice":      "kind: Topics\nspec: [{name: a, partitions: 1}, {name: a, partitions: 1}]",
		"no partitions":     "kind: Topics\nspec: [{name: a, partitions: 0}]",
		"too many":          "kind: Topics\nspec: [{name: a, partitions: 201}]",
		"what is no number": "kind: Topics\nspec: [{name: a, partitions: x}]",
	} {
		if got, err := parseTopics([]byte(text)); err == nil {
			t.Errorf("parseTopics(%s) = %v, want an error", name, got)
		}
	}
}
