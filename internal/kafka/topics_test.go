package kafka

import (
	"context"
	"errors"
	"fmt"
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
		{Name: "test." + t.Name() + ".kept", Partitions: 3, Config: map[string]string{"retention.ms": "-1"}},
		{Name: "test." + t.Name() + ".compacted", Partitions: 2, Config: map[string]string{"cleanup.policy": "compact"}},
	}
	t.Cleanup(func() {
		kadm.NewClient(client).DeleteTopics(context.WithoutCancel(t.Context()), topics[0].Name, topics[1].Name)
		client.Close()
	})
	return topics
}

// settings returns what a plan says, a line a difference.
func settingsOf(drifts []Drift) string {
	var lines []string
	for _, d := range drifts {
		lines = append(lines, fmt.Sprintf("%s %s %s %s>%s", d.Action, d.Topic[strings.LastIndexByte(d.Topic, '.')+1:], d.Setting, d.Have, d.Want))
	}
	return strings.Join(lines, "\n")
}

// planOf returns the plan for the topics of a test, without what others have on the same brokers.
func planOf(t *testing.T, brokers []string, topics []Topic) string {
	t.Helper()
	drifts, err := PlanTopics(t.Context(), brokers, topics)
	if err != nil {
		t.Fatal(err)
	}
	return settingsOf(slices.DeleteFunc(drifts, func(d Drift) bool { return d.Action == ActionDelete && !strings.Contains(d.Topic, t.Name()) }))
}

func TestTopicsAreMadeOnce(t *testing.T) {
	t.Parallel()
	brokers := testBrokers(t)
	topics := testTopics(t, brokers)
	if got, want := planOf(t, brokers, topics), "create kept topic >3 partitions\ncreate compacted topic >2 partitions"; got != want {
		t.Errorf("PlanTopics(nothing there) = %s, want %s", got, want)
	}
	done, err := EnsureTopics(t.Context(), brokers, topics)
	if err != nil || len(done) != 2 {
		t.Fatalf("EnsureTopics(nothing there) = %v, %v, want both created", done, err)
	}
	for name, change := range map[string]func() ([]Drift, error){
		"EnsureTopics": func() ([]Drift, error) { return EnsureTopics(t.Context(), brokers, topics) },
		"ApplyTopics":  func() ([]Drift, error) { return ApplyTopics(t.Context(), brokers, topics, false) },
	} {
		if done, err := change(); err != nil || len(done) != 0 {
			t.Errorf("%s(all there) = %v, %v, want nothing done", name, done, err)
		}
	}
	if got := planOf(t, brokers, topics); got != "" {
		t.Errorf("PlanTopics(all there) = %s, want nothing", got)
	}
	configOf(t, brokers, topics[0].Name, "retention.ms", "-1")
	configOf(t, brokers, topics[1].Name, "cleanup.policy", "compact")
}

// alter sets a setting of a topic by hand.
func alter(t *testing.T, brokers []string, topic, key, value string) {
	t.Helper()
	err := withAdmin(t.Context(), brokers, func(admin *kadm.Client) error {
		_, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestDriftIsShownRefusedAndMended(t *testing.T) {
	t.Parallel()
	brokers := testBrokers(t)
	topics := testTopics(t, brokers)
	if _, err := EnsureTopics(t.Context(), brokers, topics); err != nil {
		t.Fatal(err)
	}
	kept, compacted := topics[0].Name, topics[1].Name
	alter(t, brokers, kept, "retention.ms", "1000")
	alter(t, brokers, kept, "segment.ms", "60000")
	alter(t, brokers, compacted, "cleanup.policy", "delete")
	want := "alter kept retention.ms 1000>-1\nalter kept segment.ms 60000>\nalter compacted cleanup.policy delete>compact"
	if got := planOf(t, brokers, topics); got != want {
		t.Errorf("PlanTopics(changed by hand) = %s, want %s", got, want)
	}
	done, err := EnsureTopics(t.Context(), brokers, topics)
	if !errors.Is(err, ErrTopicsDiffer) || len(done) != 0 {
		t.Errorf("EnsureTopics(changed by hand) = %v, %v, want ErrTopicsDiffer", done, err)
	}
	for _, part := range []string{"topic " + kept + ": retention.ms is 1000, want -1", "segment.ms is 60000, want not set", "`daybreak topics plan`"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("EnsureTopics(changed by hand) = %v, want it to say %q", err, part)
		}
	}
	if done, err := ApplyTopics(t.Context(), brokers, topics, false); err != nil || settingsOf(done) != want {
		t.Errorf("ApplyTopics(changed by hand) = %s, %v, want %s", settingsOf(done), err, want)
	}
	if got := planOf(t, brokers, topics); got != "" {
		t.Errorf("PlanTopics(mended) = %s, want nothing", got)
	}
}

func TestMoreReplicasInSyncAreLeftAlone(t *testing.T) {
	t.Parallel()
	two := "2"
	config := []kadm.Config{{Key: "min.insync.replicas", Value: &two}}
	if got := (Topic{Name: "a"}).configDrifts(config, 2); len(got) != 0 {
		t.Errorf("configDrifts(2 in sync, 1 needed) = %v, want none", got)
	}
	if got, want := settingsOf((Topic{Name: "a"}).configDrifts(config, 4)), "alter a min.insync.replicas 2>3"; got != want {
		t.Errorf("configDrifts(2 in sync, 3 needed) = %s, want %s", got, want)
	}
	detail := kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: {Replicas: []int32{1}}}}
	if got, want := settingsOf((Topic{Name: "a", Partitions: 1}).shapeDrifts(detail, 3)), "refuse a replication 1>3"; got != want {
		t.Errorf("shapeDrifts(1 replica on 3 brokers) = %s, want %s", got, want)
	}
	if got := (Topic{Name: "a", Partitions: 1, Replication: 1}).shapeDrifts(detail, 3); len(got) != 0 {
		t.Errorf("shapeDrifts(1 replica, 1 wanted) = %v, want none", got)
	}
}

func TestStrangersAreDeletedOnlyWhereAllowed(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "daybreak.old", "other.old"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := cluster.ListenAddrs()
	topics := []Topic{{Name: "daybreak.new", Partitions: 1}}
	if done, err := ApplyTopics(t.Context(), brokers, topics, false); err != nil || settingsOf(done) != "create new topic >1 partitions" {
		t.Errorf("ApplyTopics = %s, %v, want the new one made alone", settingsOf(done), err)
	}
	if got := planOf(t, brokers, topics); got != "" {
		t.Errorf("PlanTopics = %s, want only what planOf leaves out", got)
	}
	if done, err := ApplyTopics(t.Context(), brokers, topics, true); err != nil || settingsOf(done) != "delete old topic 1 partitions>" {
		t.Errorf("ApplyTopics(delete) = %s, %v, want daybreak.old deleted", settingsOf(done), err)
	}
	err = withAdmin(t.Context(), brokers, func(admin *kadm.Client) error {
		found, err := admin.ListTopics(t.Context())
		if names := found.Names(); !slices.Equal(names, []string{"daybreak.new", "other.old"}) {
			t.Errorf("topics are %v, want daybreak.new and other.old", names)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
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
	wanted := []Topic{{Name: topics[0].Name, Partitions: 4}, topics[1]} // and another retention
	created, err := EnsureTopics(t.Context(), brokers, wanted)
	if !errors.Is(err, ErrTopicsDiffer) || !strings.Contains(err.Error(), topics[0].Name+": partitions is 3, want 4") {
		t.Errorf("EnsureTopics(4 wanted, 3 there) = %v, want ErrTopicsDiffer", err)
	}
	if len(created) != 0 {
		t.Errorf("EnsureTopics(4 wanted, 3 there) created %v, want none", created)
	}
	if done, err := ApplyTopics(t.Context(), brokers, wanted, false); !errors.Is(err, ErrTopicsDiffer) || len(done) != 2 {
		t.Errorf("ApplyTopics(4 wanted, 3 there) = %v, %v, want the rest done and ErrTopicsDiffer", done, err)
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
		"fills that end":    "kind: Topics\nspec: [{name: daybreak.fills, partitions: 1, config: {retention.ms: \"1000\"}}]",
		"what is no number": "kind: Topics\nspec: [{name: a, partitions: x}]",
	} {
		if got, err := ParseTopics([]byte(text)); err == nil {
			t.Errorf("ParseTopics(%s) = %v, want an error", name, got)
		}
	}
}
