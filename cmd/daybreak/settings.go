package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// The formats of a command's output.
const (
	outputText  = "text"
	outputJSON  = "json"
	outputJSONL = "jsonl"
)

// settings are all that a user can set once for every command: by flag, in the environment as
// DAYBREAK_NAME, or in the file that --config names; the first of these wins, then the default.
// The key in the file is the name with underscores, the flag the name with dashes.
type settings struct {
	Output      string   `koanf:"output"`       // text, json or jsonl
	Data        string   `koanf:"data"`         // directory of an embedded installation
	DatabaseURL string   `koanf:"database_url"` // any form that libpq takes
	Brokers     []string `koanf:"brokers"`      // host:port of Kafka brokers
	HTTP        string   `koanf:"http"`         // address that the pages are served on
	Registry    string   `koanf:"registry"`     // URL of a schema registry; "": the one in the database
	RegistryAt  string   `koanf:"registry_at"`  // address that the registry in the database is served on
	MetricsAt   string   `koanf:"metrics_at"`   // address that the metrics of the stream are served on; "": nowhere
	Connections int      `koanf:"connections"`  // database connections of one process, at most
	Log         string   `koanf:"log"`          // debug, info, warn or error
	PGBin       string   `koanf:"pg_bin"`       // directory with the postgres and initdb to embed
	Services    string   `koanf:"services"`     // file of HTTP services that workflows call
	OIDC        string   `koanf:"oidc"`         // file of the sign-on; "": none

	usePG bool // PG* variables name the database
}

// defaultSettings are the settings of a user who set nothing.
func defaultSettings() settings {
	return settings{Output: outputText, HTTP: "127.0.0.1:8080", RegistryAt: "127.0.0.1:8081", Connections: 16, Log: "info"}
}

// withoutInstallation returns s with nothing that names an installation.
func (s settings) withoutInstallation() settings {
	s.Data, s.DatabaseURL, s.Brokers, s.usePG = "", "", nil, false
	return s
}

// settingKeys are the keys of settings that a file or the environment may set.
var settingKeys = []string{"output", "data", "database_url", "brokers", "http", "registry", "registry_at", "metrics_at", "connections", "log", "pg_bin", "services", "oidc"}

// pgVariables are the variables of libpq that name a database; one of them is enough.
var pgVariables = []string{"PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE"}

const (
	environmentPrefix = "DAYBREAK_"
	kafkaBrokers      = "KAFKA_BROKERS"
)

// addSettingFlags adds the flags that every command has. A command may add a flag for another
// setting, named as its key with dashes.
func addSettingFlags(flags *pflag.FlagSet) {
	flags.StringP("output", "o", outputText, "format of the output: text, json or jsonl")
	flags.String("data", "", "directory of an embedded installation")
	flags.String("database-url", "", "a PostgreSQL database instead of the embedded one")
	flags.StringSlice("brokers", nil, "Kafka brokers instead of the embedded one, host:port with commas between")
	flags.String("registry", "", "URL of a schema registry with the API of Confluent's, instead of the one in the database")
	flags.String("config", "", "file of settings in YAML")
	flags.String("services", "", "file of HTTP services whose operations workflows call")
	flags.String("oidc", "", "file of the sign-on with OpenID Connect")
	flags.String("log", "info", "what to log on stderr: debug, info, warn or error")
}

// loadSettings reads flags, environment and file, in this order of precedence, and checks the
// outcome. What names an installation counts as one setting: a flag --database-url hides a
// DAYBREAK_DATA, and any of ours hides PG* and KAFKA_BROKERS.
func loadSettings(flags *pflag.FlagSet, environ []string) (settings, error) {
	layers := []map[string]any{flagLayer(flags), environmentLayer(environ)}
	if name := configFile(layers); name != "" {
		layer, err := fileLayer(name)
		if err != nil {
			return settings{}, err
		}
		layers = append(layers, layer)
	}
	s, err := mergeLayers(layers)
	if err != nil {
		return settings{}, err
	}
	if s.Data == "" {
		s.fillFromConventions(environ)
	}
	return s, s.Validate()
}

// configFile returns the file that the strongest layer names, or "".
func configFile(layers []map[string]any) string {
	for _, layer := range layers {
		if name, ok := layer["config"].(string); ok {
			return name
		}
	}
	return ""
}

// mergeLayers puts the layers, the strongest first, over the defaults.
func mergeLayers(layers []map[string]any) (settings, error) {
	k := koanf.New(".")
	for _, layer := range layers {
		stronger := k.Copy()
		for key, value := range layer {
			if key == "config" || stronger.Exists(key) || hidden(key, stronger) {
				continue
			}
			if err := k.Set(key, value); err != nil {
				return settings{}, fmt.Errorf("setting %s: %w", key, err)
			}
		}
	}
	s := defaultSettings()
	if err := k.Unmarshal("", &s); err != nil {
		return settings{}, fmt.Errorf("settings: %w", err)
	}
	return s, nil
}

// hidden reports whether a stronger layer names an installation that makes key meaningless.
func hidden(key string, stronger *koanf.Koanf) bool {
	switch key {
	case "data":
		return stronger.Exists("database_url")
	case "database_url", "brokers":
		return stronger.Exists("data")
	}
	return false
}

// flagLayer returns the flags that were given and that are settings.
func flagLayer(flags *pflag.FlagSet) map[string]any {
	layer, _ := posflag.ProviderWithFlag(flags, "", nil, func(f *pflag.Flag) (string, any) {
		key := strings.ReplaceAll(f.Name, "-", "_")
		if !f.Changed || key != "config" && !slices.Contains(settingKeys, key) {
			return "", nil
		}
		return key, posflag.FlagVal(flags, f)
	}).Read()
	return layer
}

// environmentLayer returns the settings of DAYBREAK_ variables; empty ones are as good as unset.
func environmentLayer(environ []string) map[string]any {
	layer, _ := env.Provider("", env.Opt{
		Prefix:      environmentPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key := strings.ToLower(strings.TrimPrefix(name, environmentPrefix))
			switch {
			case value == "" || key != "config" && !slices.Contains(settingKeys, key):
				return "", nil
			case key == "brokers":
				return key, splitList(value)
			}
			return key, value
		},
	}).Read()
	return layer
}

// fileLayer returns the settings of a YAML file, and refuses a key that is none.
func fileLayer(name string) (map[string]any, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(name), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("file of settings %s: %w", name, err)
	}
	layer := k.Raw()
	for _, key := range k.Keys() {
		if !slices.Contains(settingKeys, key) {
			return nil, fmt.Errorf("file of settings %s: unknown key %q; there are %s", name, key, strings.Join(settingKeys, ", "))
		}
	}
	return layer, nil
}

// fillFromConventions takes the database from PG* and the brokers from KAFKA_BROKERS where ours
// name none.
func (s *settings) fillFromConventions(environ []string) {
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case value == "":
		case s.DatabaseURL == "" && slices.Contains(pgVariables, name):
			s.usePG = true
		case name == kafkaBrokers && len(s.Brokers) == 0:
			s.Brokers = splitList(value)
		}
	}
}

func splitList(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// Validate returns every fault of the settings, joined.
func (s settings) Validate() error {
	var faults []error
	if s.Data != "" && (s.DatabaseURL != "" || len(s.Brokers) > 0) {
		faults = append(faults, errors.New("data names an installation with a database and brokers of its own; leave out database-url and brokers, or leave out data"))
	}
	if !slices.Contains([]string{outputText, outputJSON, outputJSONL}, s.Output) {
		faults = append(faults, fmt.Errorf("output is %q, want text, json or jsonl", s.Output))
	}
	if err := new(slog.Level).UnmarshalText([]byte(s.Log)); err != nil {
		faults = append(faults, fmt.Errorf("log is %q, want debug, info, warn or error", s.Log))
	}
	for _, broker := range s.Brokers {
		if _, _, err := net.SplitHostPort(broker); err != nil {
			faults = append(faults, fmt.Errorf("broker %q is not host:port", broker))
		}
	}
	if _, _, err := net.SplitHostPort(s.HTTP); err != nil {
		faults = append(faults, fmt.Errorf("http is %q, want host:port", s.HTTP))
	}
	if _, _, err := net.SplitHostPort(s.MetricsAt); err != nil && s.MetricsAt != "" {
		faults = append(faults, fmt.Errorf("metrics-at is %q, want host:port", s.MetricsAt))
	}
	if _, _, err := net.SplitHostPort(s.RegistryAt); err != nil {
		faults = append(faults, fmt.Errorf("registry-at is %q, want host:port", s.RegistryAt))
	}
	if u, err := url.Parse(s.Registry); s.Registry != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		faults = append(faults, fmt.Errorf("registry is %q, want http://… or https://…", s.Registry))
	}
	if s.Connections < 2 || s.Connections > connectionsMax {
		faults = append(faults, fmt.Errorf("connections is %d, want 2 to %d", s.Connections, connectionsMax))
	}
	return errors.Join(faults...)
}

// connectionsMax is what one process may take of a server's usual 100.
const connectionsMax = 90

// logLevel returns the level of Log, which Validate has checked.
func (s settings) logLevel() slog.Level {
	var level slog.Level
	if level.UnmarshalText([]byte(s.Log)) != nil {
		return slog.LevelInfo
	}
	return level
}
