package embedded

import (
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/kfake"
)

// cleanerBackoffMS is how often the broker compacts its compacted topics; its own default is an
// hour.
const cleanerBackoffMS = "60000"

// broker is a Kafka broker inside this process that keeps its topics, groups and offsets in a
// directory. What it has acknowledged is on the disk.
type broker struct {
	cluster *kfake.Cluster
}

func startBroker(dir string) (*broker, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(dir),
		kfake.SyncWrites(),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": cleanerBackoffMS}),
	)
	if err != nil {
		return nil, fmt.Errorf("start with the data in %s: %w", dir, err)
	}
	return &broker{cluster: cluster}, nil
}

func (b *broker) addresses() []string { return b.cluster.ListenAddrs() }

func (b *broker) stop() { b.cluster.Close() }
