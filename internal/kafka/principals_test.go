package kafka

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"daybreak/pipeline"
)

// principal is a row of deploy/kafka/principals.yaml.
type principal struct {
	Principal string   `yaml:"principal"`
	Schemas   []string `yaml:"schemas"`
	Allow     []struct {
		Topic      string   `yaml:"topic"`
		Group      string   `yaml:"group"`
		Cluster    string   `yaml:"cluster"`
		Transacts  string   `yaml:"transactional_id"`
		Prefixed   bool     `yaml:"prefixed"`
		Operations []string `yaml:"operations"`
	} `yaml:"allow"`
	Quota map[string]int `yaml:"quota"`
}

// writes reports whether the principal may write to a topic.
func (p principal) writes(topic string) bool {
	for _, a := range p.Allow {
		isIt := a.Topic == topic || a.Prefixed && a.Topic != "" && strings.HasPrefix(topic, a.Topic)
		if isIt && (slices.Contains(a.Operations, "Write") || slices.Contains(a.Operations, "All")) {
			return true
		}
	}
	return false
}

func TestPrincipalsAreOneForEachSchema(t *testing.T) {
	text, err := os.ReadFile("../../deploy/kafka/principals.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Kind string      `yaml:"kind"`
		Spec []principal `yaml:"spec"`
	}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatal(err)
	}
	owners := map[string]string{}
	var gateways []string
	for _, p := range file.Spec {
		for _, s := range p.Schemas {
			if first, taken := owners[s]; taken {
				t.Errorf("%s and %s both write %s, want one producer", first, p.Principal, s)
			}
			owners[s] = p.Principal
		}
		if len(p.Schemas) > 0 && p.Quota["producer_byte_rate"] == 0 {
			t.Errorf("%s produces without a quota", p.Principal)
		}
		if p.writes(pipeline.TopicFills) {
			gateways = append(gateways, p.Principal)
		}
		if p.writes(pipeline.TopicEvents) && len(p.Schemas) != 1 {
			t.Errorf("%s writes events with schemas %v, want one", p.Principal, p.Schemas)
		}
	}
	if want := []string{"User:daybreak-gateway"}; !slices.Equal(gateways, want) {
		t.Errorf("%v may write executions, want %v", gateways, want)
	}
	subjects, err := Subjects()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range subjects {
		if owners[s.Name] == "" {
			t.Errorf("subject %s has no producer", s.Name)
		}
		delete(owners, s.Name)
	}
	if len(owners) > 0 {
		t.Errorf("producers of subjects that are none: %v", owners)
	}
}
