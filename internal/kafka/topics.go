package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.yaml.in/yaml/v3"

	"daybreak/deploy"
)

// ErrTopicsDiffer is wrapped with each topic whose partitions are not as many as they must be.
// Commands that check an installation branch on it.
var ErrTopicsDiffer = errors.New("topics differ from what this build needs")

// Topic is a topic as it must be.
type Topic struct {
	Name       string            `yaml:"name"`
	Partitions int32             `yaml:"partitions"`
	Config     map[string]string `yaml:"config"`
}

// partitionsMax bounds a topic of the file: more than this cost every broker and every client.
const partitionsMax = 200

// Topics returns the topics of deploy/kafka/topics.yaml in the order of the file.
func Topics() ([]Topic, error) { return parseTopics(deploy.Topics) }

func parseTopics(text []byte) ([]Topic, error) {
	var file struct {
		Kind string  `yaml:"kind"`
		Spec []Topic `yaml:"spec"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		return nil, fmt.Errorf("topics: %w", err)
	}
	if file.Kind != "Topics" {
		return nil, fmt.Errorf("topics: kind is %q, want Topics", file.Kind)
	}
	seen := map[string]bool{}
	for _, t := range file.Spec {
		if t.Name == "" || seen[t.Name] {
			return nil, fmt.Errorf("topics: the name %q is empty or there twice", t.Name)
		}
		if t.Partitions < 1 || t.Partitions > partitionsMax {
			return nil, fmt.Errorf("topics: %s has %d partitions, want 1 to %d", t.Name, t.Partitions, partitionsMax)
		}
		seen[t.Name] = true
	}
	return file.Spec, nil
}

// TopicState is a topic as it is; Have is 0 where it is missing.
type TopicState struct {
	Name string `json:"topic"`
	Want int32  `json:"want"` // partitions
	Have int32  `json:"have"` // partitions
}

// CheckTopics returns the state of each topic, in order. It changes nothing.
func CheckTopics(ctx context.Context, brokers []string, topics []Topic) ([]TopicState, error) {
	var states []TopicState
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) (err error) {
		states, err = topicStates(ctx, admin, topics)
		return err
	})
	return states, err
}

// EnsureTopics creates the topics that are missing and returns their names; a second call changes
// nothing. It creates none, and returns ErrTopicsDiffer, where one has another number of partitions
// than it must have.
func EnsureTopics(ctx context.Context, brokers []string, topics []Topic) ([]string, error) {
	var created []string
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) error {
		states, err := topicStates(ctx, admin, topics)
		if err != nil {
			return err
		}
		if err := partitionsDiffer(states); err != nil {
			return err
		}
		if created, err = createMissing(ctx, admin, topics, states); err != nil {
			return err
		}
		return awaitTopics(ctx, admin, topics)
	})
	return created, err
}

// awaitTopics waits until the brokers list every topic as it must be: a new one shows after a
// moment, and one that another process made at the same time may differ.
func awaitTopics(ctx context.Context, admin *kadm.Client, topics []Topic) error {
	ctx, cancel := context.WithTimeoutCause(ctx, reachMax, fmt.Errorf("new topics did not show in %s", reachMax))
	defer cancel()
	for {
		states, err := topicStates(ctx, admin, topics)
		if err != nil {
			return err
		}
		if err := partitionsDiffer(states); err != nil {
			return err
		}
		if !slices.ContainsFunc(states, func(s TopicState) bool { return s.Have == 0 }) {
			return nil
		}
		pause(ctx, retryFirst)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// reachMax is how long brokers that don't answer are tried.
const reachMax = 10 * time.Second

func withAdmin(ctx context.Context, brokers []string, do func(*kadm.Client) error) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DialTimeout(reachMax/2), kgo.RetryTimeout(reachMax),
		kgo.MetadataMinAge(retryFirst/2)) // else new topics show after 5 s only
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	defer client.Close()
	reach, cancel := context.WithTimeout(ctx, reachMax)
	defer cancel()
	if err := client.Ping(reach); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("no Kafka broker answers at %s, check --brokers or start one: %w", strings.Join(brokers, ","), err)
	}
	return do(kadm.NewClient(client))
}

func topicStates(ctx context.Context, admin *kadm.Client, topics []Topic) ([]TopicState, error) {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	found, err := admin.ListTopics(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	states := make([]TopicState, len(topics))
	for i, t := range topics {
		detail := found[t.Name]
		if detail.Err != nil && !errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			return nil, fmt.Errorf("topic %s: %w", t.Name, detail.Err)
		}
		states[i] = TopicState{Name: t.Name, Want: t.Partitions, Have: int32(len(detail.Partitions))}
	}
	return states, nil
}

func partitionsDiffer(states []TopicState) error {
	var faults []string
	for _, s := range states {
		if s.Have != 0 && s.Have != s.Want {
			faults = append(faults, fmt.Sprintf("%s has %d partitions, want %d", s.Name, s.Have, s.Want))
		}
	}
	if faults == nil {
		return nil
	}
	return fmt.Errorf("%w: %s; use brokers of their own for Daybreak, or delete these topics if nothing in them is needed", ErrTopicsDiffer, strings.Join(faults, ", "))
}

func createMissing(ctx context.Context, admin *kadm.Client, topics []Topic, states []TopicState) ([]string, error) {
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list brokers: %w", err)
	}
	replication := int16(min(3, len(brokers)))
	var created []string
	for i, t := range topics {
		if states[i].Have != 0 {
			continue
		}
		_, err := admin.CreateTopic(ctx, t.Partitions, replication, topicConfig(t, replication), t.Name)
		if errors.Is(err, kerr.TopicAlreadyExists) {
			continue // another process was faster
		}
		if err != nil {
			return created, fmt.Errorf("create topic %s: %w", t.Name, err)
		}
		created = append(created, t.Name)
	}
	return created, nil
}

// topicConfig returns the settings of a new topic, with as many replicas in sync as lets one of
// them fail.
func topicConfig(t Topic, replication int16) map[string]*string {
	config := map[string]*string{}
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		value := t.Config[key]
		config[key] = &value
	}
	inSync := strconv.Itoa(int(max(1, replication-1)))
	config["min.insync.replicas"] = &inSync
	return config
}
