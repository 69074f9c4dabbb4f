// Package httpaction makes operations of HTTP services actions of workflows. A file of services says
// where each is and which operations of its OpenAPI document are actions under which names; a
// definition knows the names alone. Nothing is called but what that file names: addresses inside
// private networks, redirects, and bodies that are too big or too slow are refused.
package httpaction

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v3"

	"daybreak/pipeline/engine"
	"daybreak/workflow"
)

// File is a file of services.
type File struct {
	Kind string    `yaml:"kind"` // Services
	Spec []Service `yaml:"spec"`
}

// Service is one service: where it is, and its actions.
type Service struct {
	Name     string   `yaml:"name"`
	URL      string   `yaml:"url"`       // base URL, https; http to Networks alone
	OpenAPI  string   `yaml:"openapi"`   // file of its OpenAPI 3 document in JSON, beside the file of services
	Networks []string `yaml:"networks"`  // private networks that it may be in, such as 10.1.0.0/16; none: it must be public
	TokenEnv string   `yaml:"token_env"` // environment variable with a bearer token
	Calls    int      `yaml:"calls"`     // at once from one batch; 0: 4
	Actions  []Action `yaml:"actions"`
}

// Action is an operation as workflows call it.
type Action struct {
	Name           string `yaml:"name"`
	Operation      string `yaml:"operation"` // operationId
	Effect         string `yaml:"effect"`    // pure, read or write
	Bulk           int    `yaml:"bulk"`      // instances a request: the operation takes and gives lists
	TimeoutSeconds int    `yaml:"timeout_seconds"`
	Comment        string `yaml:"comment"`
}

const (
	kindServices = "Services"
	callsDefault = 4
	bulkMax      = 500
)

// Load reads a file of services and returns their actions by name. getenv gives the tokens. It
// returns every fault of the file, joined.
func Load(path string, getenv func(string) string) (engine.Registry, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("services: %w", err)
	}
	var f File
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("services %s: %w", path, err)
	}
	if f.Kind != kindServices {
		return nil, fmt.Errorf("services %s: kind is %q, want %s", path, f.Kind, kindServices)
	}
	all := engine.Registry{}
	var faults []error
	for _, s := range f.Spec {
		bound, err := s.bind(filepath.Dir(path), getenv)
		faults = append(faults, err)
		for _, b := range bound {
			if _, twice := all[b.Action.Name]; twice {
				faults = append(faults, fmt.Errorf("service %s: the action %s is there twice", s.Name, b.Action.Name))
			}
			all[b.Action.Name] = b
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("services %s: %w", path, err)
	}
	return all, nil
}

// bind makes the actions of a service.
func (s Service) bind(dir string, getenv func(string) string) ([]engine.Bound, error) {
	base, err := url.Parse(s.URL)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("service %s: url %q is not https://HOST[/PATH]", s.Name, s.URL)
	}
	if base.Scheme != "https" && (base.Scheme != "http" || len(s.Networks) == 0) {
		return nil, fmt.Errorf("service %s: url %q: want https; http is for services in named networks alone", s.Name, s.URL)
	}
	var networks []netip.Prefix
	for _, n := range s.Networks {
		prefix, err := netip.ParsePrefix(n)
		if err != nil {
			return nil, fmt.Errorf("service %s: network %q is not like 10.1.0.0/16: %w", s.Name, n, err)
		}
		networks = append(networks, prefix.Masked())
	}
	text, err := os.ReadFile(filepath.Join(dir, s.OpenAPI))
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, err)
	}
	document, err := readDocument(text)
	if err != nil {
		return nil, fmt.Errorf("service %s: %s: %w", s.Name, s.OpenAPI, err)
	}
	client := newClient(networks)
	var all []engine.Bound
	var faults []error
	for _, a := range s.Actions {
		action, operation, err := a.action(document)
		if err != nil {
			faults = append(faults, fmt.Errorf("service %s: action %s: %w", s.Name, a.Name, err))
			continue
		}
		d := &doer{client: client, method: operation.method, url: base.JoinPath(operation.path).String(), action: action, isBulk: operation.isBulk, hasKey: operation.hasKey}
		if s.TokenEnv != "" {
			d.token = getenv(s.TokenEnv)
		}
		calls := s.Calls
		if calls == 0 {
			calls = callsDefault
		}
		all = append(all, engine.Bound{Action: action, Do: d, Concurrency: calls})
	}
	return all, errors.Join(faults...)
}

// action returns the action that an operation is to workflows, with its types.
func (a Action) action(document *document) (workflow.Action, operation, error) {
	o, err := document.operation(a.Operation)
	if err != nil {
		return workflow.Action{}, o, err
	}
	switch {
	case a.Bulk < 0 || a.Bulk > bulkMax:
		return workflow.Action{}, o, fmt.Errorf("bulk is %d, want 1 to %d", a.Bulk, bulkMax)
	case a.Bulk > 1 && !o.isBulk:
		return workflow.Action{}, o, fmt.Errorf("bulk is %d, but the operation does not take a list and give one", a.Bulk)
	case o.isBulk && a.Effect == "write" && !o.hasKey:
		return workflow.Action{}, o, fmt.Errorf("a write for many needs a text property %s in what its list holds", keyField)
	}
	description := map[string]any{
		"name": a.Name, "effect": a.Effect, "bulk": max(1, a.Bulk), "request": o.request, "response": o.response,
		"timeout_seconds": max(1, a.TimeoutSeconds),
	}
	if a.TimeoutSeconds == 0 {
		description["timeout_seconds"] = int(timeoutDefault / time.Second)
	}
	if a.Comment != "" {
		description["comment"] = a.Comment
	}
	text, err := json.Marshal([]any{description})
	if err != nil {
		return workflow.Action{}, o, err
	}
	catalogue, err := workflow.ParseActions(text)
	if err != nil {
		return workflow.Action{}, o, err
	}
	return catalogue[0], o, nil
}

// timeoutDefault is the time of one call where the file names none.
const timeoutDefault = 30 * time.Second
