package kafka

import (
	"bytes"
	"cmp"
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
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v3"

	"daybreak/deploy"
	"daybreak/pipeline"
)

// ErrTopicsDiffer is wrapped with each difference between the cluster and the file of topics that a
// service does not start with, or that can't be applied. Commands branch on it.
var ErrTopicsDiffer = errors.New("topics differ from what this build needs")

// Topic is a topic as it must be.
type Topic struct {
	Name        string            `yaml:"name"`
	Partitions  int32             `yaml:"partitions"`
	Replication int16             `yaml:"replication"` // 0: three, or as many as there are brokers
	Config      map[string]string `yaml:"config"`
}

// Bounds of the partitions of a topic: more than these cost every broker and every client, and a stream
// of fewer has no room to grow.
const (
	PartitionsMax       = 200
	StreamPartitionsMin = 12
)

// topicPrefix is the beginning of every name that this installation owns.
const topicPrefix = "daybreak."

// keptForGood are topics whose records have the time of what they tell, which may be years ago: any
// retention by time would empty them.
var keptForGood = []string{pipeline.TopicFills, pipeline.TopicEvents}

// Topics returns the topics of deploy/kafka/topics.yaml in the order of the file.
func Topics() ([]Topic, error) { return ParseTopics(deploy.Topics) }

// ParseTopics reads a file of topics, and refuses what cannot be meant.
func ParseTopics(text []byte) ([]Topic, error) {
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
		if t.Partitions < 1 || t.Partitions > PartitionsMax {
			return nil, fmt.Errorf("topics: %s has %d partitions, want 1 to %d", t.Name, t.Partitions, PartitionsMax)
		}
		if slices.Contains(keptForGood, t.Name) && t.Config[settingRetention] != retentionForGood {
			return nil, fmt.Errorf("topics: %s has %s %q, want %s: retention goes by the time of the record", t.Name, settingRetention, t.Config[settingRetention], retentionForGood)
		}
		seen[t.Name] = true
	}
	return file.Spec, nil
}

// The settings of a topic that have a meaning here.
const (
	settingTopic       = "topic" // the topic as a whole
	settingPartitions  = "partitions"
	settingReplication = "replication"
	settingInSync      = "min.insync.replicas"
	settingRetention   = "retention.ms"
	retentionForGood   = "-1"
)

// Action is what `topics apply` does about a difference.
type Action string

// The actions. A refused difference is never applied: it would tear records apart or lose replicas.
const (
	ActionCreate Action = "create"
	ActionAlter  Action = "alter"
	ActionDelete Action = "delete" // only where the caller allows it
	ActionRefuse Action = "refuse"
)

// Drift is one difference between the cluster and the file.
type Drift struct {
	Topic   string `json:"topic"`
	Setting string `json:"setting"`
	Have    string `json:"have"` // "" where there is none
	Want    string `json:"want"`
	Action  Action `json:"action"`
	Reason  string `json:"reason,omitempty"` // why it is refused
}

// String returns the difference as a phrase.
func (d Drift) String() string {
	switch d.Action {
	case ActionCreate:
		return fmt.Sprintf("topic %s is missing", d.Topic)
	case ActionDelete:
		return fmt.Sprintf("topic %s is not in the file", d.Topic)
	}
	return fmt.Sprintf("topic %s: %s is %s, want %s", d.Topic, d.Setting, orNothing(d.Have), orNothing(d.Want))
}

func orNothing(value string) string { return cmp.Or(value, "not set") }

// PlanTopics returns every difference between the cluster and topics, by the order of the file, then
// topics of ours that the file lacks, by name. It changes nothing.
func PlanTopics(ctx context.Context, brokers []string, topics []Topic) ([]Drift, error) {
	var drifts []Drift
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) (err error) {
		drifts, err = planTopics(ctx, admin, topics)
		return err
	})
	return drifts, err
}

// ApplyTopics brings the cluster to topics and returns what it did; a second call does nothing. Topics
// of ours that the file lacks are deleted only where the caller allows it. Differences that are
// refused stay, and are the error, which wraps ErrTopicsDiffer.
func ApplyTopics(ctx context.Context, brokers []string, topics []Topic, allowDelete bool) ([]Drift, error) {
	return changeTopics(ctx, brokers, topics, func(d Drift) bool { return d.Action != ActionDelete || allowDelete })
}

// EnsureTopics creates the topics that are missing and returns what it did. It changes nothing, and
// returns ErrTopicsDiffer with every difference, where one that is there is not as it must be: that is
// for people to decide.
func EnsureTopics(ctx context.Context, brokers []string, topics []Topic) ([]Drift, error) {
	drifts, err := PlanTopics(ctx, brokers, topics)
	if err != nil {
		return nil, err
	}
	if err := differences(drifts, func(d Drift) bool { return d.Action == ActionAlter || d.Action == ActionRefuse }); err != nil {
		return nil, err
	}
	return changeTopics(ctx, brokers, topics, func(d Drift) bool { return d.Action == ActionCreate })
}

// differences returns the drifts that count as an error, or nil.
func differences(drifts []Drift, counts func(Drift) bool) error {
	var faults []string
	for _, d := range drifts {
		if counts(d) {
			fault := d.String()
			if d.Reason != "" {
				fault += " (" + d.Reason + ")"
			}
			faults = append(faults, fault)
		}
	}
	if faults == nil {
		return nil
	}
	return fmt.Errorf("%w: %s; see `daybreak topics plan`, and `daybreak topics apply`", ErrTopicsDiffer, strings.Join(faults, "; "))
}

func changeTopics(ctx context.Context, brokers []string, topics []Topic, wanted func(Drift) bool) ([]Drift, error) {
	var done []Drift
	err := withAdmin(ctx, brokers, func(admin *kadm.Client) error {
		drifts, err := planTopics(ctx, admin, topics)
		if err != nil {
			return err
		}
		for _, d := range drifts {
			if d.Action == ActionRefuse || !wanted(d) {
				continue
			}
			if err := changeTopic(ctx, admin, topics, d); err != nil {
				return fmt.Errorf("%s %s: %w", d.Action, d, err)
			}
			done = append(done, d)
		}
		if drifts, err = settled(ctx, admin, topics, wanted); err != nil {
			return err
		}
		return differences(drifts, func(d Drift) bool { return d.Action == ActionRefuse })
	})
	return done, err
}

// settled waits until the brokers show the changes, which takes them a moment, and returns what
// still differs.
func settled(ctx context.Context, admin *kadm.Client, topics []Topic, wanted func(Drift) bool) ([]Drift, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, reachMax, fmt.Errorf("changed topics did not show in %s", reachMax))
	defer cancel()
	for {
		drifts, err := planTopics(ctx, admin, topics)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(drifts, func(d Drift) bool { return d.Action != ActionRefuse && wanted(d) }) {
			return drifts, nil
		}
		pause(ctx, retryFirst)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
}

// changeTopic does what one difference needs.
func changeTopic(ctx context.Context, admin *kadm.Client, topics []Topic, d Drift) error {
	switch d.Action {
	case ActionCreate:
		i := slices.IndexFunc(topics, func(t Topic) bool { return t.Name == d.Topic })
		return createTopic(ctx, admin, topics[i])
	case ActionDelete:
		deleted, err := admin.DeleteTopics(ctx, d.Topic)
		return errors.Join(err, deleted.Error())
	}
	change := kadm.AlterConfig{Op: kadm.SetConfig, Name: d.Setting, Value: &d.Want}
	if d.Want == "" {
		change = kadm.AlterConfig{Op: kadm.DeleteConfig, Name: d.Setting}
	}
	answers, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, d.Topic)
	for _, a := range answers {
		err = errors.Join(err, a.Err)
	}
	return err
}

func createTopic(ctx context.Context, admin *kadm.Client, t Topic) error {
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	replication := t.replicas(len(brokers))
	_, err = admin.CreateTopic(ctx, t.Partitions, replication, topicConfig(t, replication), t.Name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil // another process was faster; settled looks at what it made
	}
	return err
}

// replicas returns how many copies a topic must have.
func (t Topic) replicas(brokers int) int16 {
	if t.Replication > 0 {
		return t.Replication
	}
	return int16(min(3, brokers))
}

// inSync returns how many replicas must have a record before it counts: as many as lets one fail.
func inSync(replication int16) int { return int(max(1, replication-1)) }

// topicConfig returns the settings of a new topic.
func topicConfig(t Topic, replication int16) map[string]*string {
	config := map[string]*string{}
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		value := t.Config[key]
		config[key] = &value
	}
	if _, named := config[settingInSync]; !named {
		n := strconv.Itoa(inSync(replication))
		config[settingInSync] = &n
	}
	return config
}

func planTopics(ctx context.Context, admin *kadm.Client, topics []Topic) ([]Drift, error) {
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("list brokers: %w", err)
	}
	found, err := admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	configs, err := topicConfigs(ctx, admin, topics, found)
	if err != nil {
		return nil, err
	}
	var drifts []Drift
	for _, t := range topics {
		detail, there := found[t.Name]
		if !there || errors.Is(detail.Err, kerr.UnknownTopicOrPartition) {
			drifts = append(drifts, Drift{Topic: t.Name, Setting: settingTopic, Want: fmt.Sprintf("%d partitions", t.Partitions), Action: ActionCreate})
			continue
		}
		if detail.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", t.Name, detail.Err)
		}
		drifts = append(drifts, t.shapeDrifts(detail, len(brokers))...)
		drifts = append(drifts, t.configDrifts(configs[t.Name], int16(detail.Partitions.NumReplicas()))...)
	}
	return append(drifts, strangers(topics, found)...), nil
}

// topicConfigs returns the settings of those topics that are there.
func topicConfigs(ctx context.Context, admin *kadm.Client, topics []Topic, found kadm.TopicDetails) (map[string][]kadm.Config, error) {
	var names []string
	for _, t := range topics {
		if found.Has(t.Name) {
			names = append(names, t.Name)
		}
	}
	all := map[string][]kadm.Config{}
	if names == nil {
		return all, nil
	}
	described, err := admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("settings of topics: %w", err)
	}
	for _, r := range described {
		if r.Err != nil {
			return nil, fmt.Errorf("settings of topic %s: %w", r.Name, r.Err)
		}
		all[r.Name] = r.Configs
	}
	return all, nil
}

// shapeDrifts compares partitions and replicas.
func (t Topic) shapeDrifts(detail kadm.TopicDetail, brokers int) []Drift {
	var drifts []Drift
	if have := len(detail.Partitions); have != int(t.Partitions) {
		drifts = append(drifts, Drift{Topic: t.Name, Setting: settingPartitions, Have: strconv.Itoa(have), Want: strconv.Itoa(int(t.Partitions)), Action: ActionRefuse,
			Reason: "the partition of a household comes from this number: another one would tear its records apart; use other brokers, or delete the topic if nothing in it is needed"})
	}
	if have, want := detail.Partitions.NumReplicas(), int(t.replicas(brokers)); have < want {
		drifts = append(drifts, Drift{Topic: t.Name, Setting: settingReplication, Have: strconv.Itoa(have), Want: strconv.Itoa(want), Action: ActionRefuse,
			Reason: "replicas are placed by kafka-reassign-partitions"})
	}
	return drifts
}

// configDrifts compares settings: those of the file, and those that were set by hand beside it. More
// replicas in sync than wanted are left alone.
func (t Topic) configDrifts(config []kadm.Config, replication int16) []Drift {
	want := map[string]string{}
	for key, value := range topicConfig(t, replication) {
		want[key] = *value
	}
	have, byHand := map[string]string{}, map[string]bool{}
	for _, c := range config {
		have[c.Key] = c.MaybeValue()
		byHand[c.Key] = c.Source == kmsg.ConfigSourceDynamicTopicConfig
	}
	var drifts []Drift
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if have[key] != want[key] && !(key == settingInSync && isMore(have[key], want[key])) {
			drifts = append(drifts, Drift{Topic: t.Name, Setting: key, Have: have[key], Want: want[key], Action: ActionAlter})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		if _, named := want[key]; !named && byHand[key] {
			drifts = append(drifts, Drift{Topic: t.Name, Setting: key, Have: have[key], Action: ActionAlter})
		}
	}
	return drifts
}

func isMore(have, want string) bool {
	h, errHave := strconv.Atoi(have)
	w, errWant := strconv.Atoi(want)
	return errHave == nil && errWant == nil && h > w
}

// isGeneration reports whether a topic is a later generation of one that is kept for good: it came by a
// migration, and is never deleted.
func isGeneration(name string) bool {
	return slices.ContainsFunc(keptForGood, func(topic string) bool { return strings.HasPrefix(name, topic+".v") })
}

// strangers returns the topics with our prefix that the file lacks.
func strangers(topics []Topic, found kadm.TopicDetails) []Drift {
	var drifts []Drift
	for _, name := range found.Names() {
		named := slices.ContainsFunc(topics, func(t Topic) bool { return t.Name == name })
		if strings.HasPrefix(name, topicPrefix) && !named && !isGeneration(name) {
			drifts = append(drifts, Drift{Topic: name, Setting: settingTopic, Have: fmt.Sprintf("%d partitions", len(found[name].Partitions)), Action: ActionDelete})
		}
	}
	return drifts
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
