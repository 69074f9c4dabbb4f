package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// settingsOf loads settings from a command line, an environment and the text of a file.
func settingsOf(t *testing.T, args, environ []string, file string) (settings, error) {
	t.Helper()
	if file != "" {
		name := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(name, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(slices.Clone(args), "--config", name)
	}
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addSettingFlags(flags)
	flags.String("http", "", "")
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadSettings(flags, environ)
}

func TestPrecedenceOfSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    func(*settings)
	}{
		{"nothing", nil, nil, "", func(*settings) {}},
		{"a file", nil, nil, "http: 127.0.0.1:1\nconnections: 5\nbrokers: [k:1]", func(s *settings) { s.HTTP, s.Connections, s.Brokers = "127.0.0.1:1", 5, []string{"k:1"} }},
		{"environment over file", nil, []string{"DAYBREAK_HTTP=127.0.0.1:2"}, "http: 127.0.0.1:1", func(s *settings) { s.HTTP = "127.0.0.1:2" }},
		{"flag over environment", []string{"--http", "127.0.0.1:3"}, []string{"DAYBREAK_HTTP=127.0.0.1:2"}, "http: 127.0.0.1:1", func(s *settings) { s.HTTP = "127.0.0.1:3" }},
		{"an empty variable is unset", nil, []string{"DAYBREAK_HTTP="}, "http: 127.0.0.1:1", func(s *settings) { s.HTTP = "127.0.0.1:1" }},
		{"a number in the environment", nil, []string{"DAYBREAK_CONNECTIONS=7"}, "", func(s *settings) { s.Connections = 7 }},
		{"brokers of the environment", nil, []string{"DAYBREAK_BROKERS=a:1,b:2"}, "", func(s *settings) { s.Brokers = []string{"a:1", "b:2"} }},
		{"brokers by their usual name", nil, []string{"KAFKA_BROKERS=a:1,b:2"}, "", func(s *settings) { s.Brokers = []string{"a:1", "b:2"} }},
		{"ours over the usual name", nil, []string{"KAFKA_BROKERS=a:1", "DAYBREAK_BROKERS=b:2"}, "", func(s *settings) { s.Brokers = []string{"b:2"} }},
		{"a database of libpq", nil, []string{"PGHOST=h"}, "", func(s *settings) { s.usePG = true }},
		{"a password alone names none", nil, []string{"PGPASSWORD=p"}, "", func(*settings) {}},
		{"data over libpq and the usual brokers", nil, []string{"DAYBREAK_DATA=d", "PGHOST=h", "KAFKA_BROKERS=a:1"}, "", func(s *settings) { s.Data = "d" }},
		{"a database flag over data", []string{"--database-url", "postgres://h/d"}, []string{"DAYBREAK_DATA=d"}, "", func(s *settings) { s.DatabaseURL = "postgres://h/d" }},
		{"a data flag over a database", []string{"--data", "d"}, []string{"DAYBREAK_DATABASE_URL=u", "DAYBREAK_BROKERS=a:1"}, "", func(s *settings) { s.Data = "d" }},
		{"variables of others", nil, []string{"DAYBREAK_TEST_PG=15"}, "", func(*settings) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := settingsOf(t, c.args, c.environ, c.file)
			want := defaultSettings()
			c.want(&want)
			if err != nil || !equalSettings(got, want) {
				t.Errorf("loadSettings(%v, %v, %q) = %+v, %v, want %+v", c.args, c.environ, c.file, got, err, want)
			}
		})
	}
}

func equalSettings(a, b settings) bool {
	brokers := slices.Equal(a.Brokers, b.Brokers)
	return brokers && a.Output == b.Output && a.Data == b.Data && a.DatabaseURL == b.DatabaseURL && a.HTTP == b.HTTP &&
		a.Connections == b.Connections && a.Log == b.Log && a.PGBin == b.PGBin && a.usePG == b.usePG
}

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		args    []string
		environ []string
		file    string
		want    []string // all in the message
	}{
		{"data and a database", []string{"--data", "d", "--database-url", "u"}, nil, "", []string{"leave out database-url"}},
		{"data and brokers", nil, []string{"DAYBREAK_DATA=d", "DAYBREAK_BROKERS=a:1"}, "", []string{"leave out database-url and brokers"}},
		{"brokers over data", []string{"--brokers", "a:1"}, []string{"DAYBREAK_DATA=d"}, "", []string{"leave out data"}},
		{"every fault", []string{"-o", "xml", "--log", "loud", "--http", "8080", "--brokers", "a"}, []string{"DAYBREAK_CONNECTIONS=1"}, "",
			[]string{`output is "xml"`, `log is "loud"`, `http is "8080"`, `broker "a"`, "connections is 1"}},
		{"no number", nil, []string{"DAYBREAK_CONNECTIONS=x"}, "", []string{"connections"}},
		{"too many connections", nil, []string{"DAYBREAK_CONNECTIONS=91"}, "", []string{"connections is 91, want 2 to 90"}},
		{"an unknown key", nil, nil, "databse_url: x", []string{`unknown key "databse_url"`, "database_url"}},
		{"no YAML", nil, nil, "\tx", []string{"settings.yaml"}},
		{"no file", []string{"--config", "/nowhere/x.yaml"}, nil, "", []string{"/nowhere/x.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := settingsOf(t, c.args, c.environ, c.file)
			if err == nil {
				t.Fatalf("loadSettings(%v, %v, %q) = %+v, want an error", c.args, c.environ, c.file, got)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("loadSettings(%v, %v, %q) = %q, want %q in it", c.args, c.environ, c.file, err, want)
				}
			}
		})
	}
}

func TestConnectionsAtTheirBounds(t *testing.T) {
	t.Parallel()
	for count, isGood := range map[int]bool{1: false, 2: true, 90: true, 91: false} {
		s := defaultSettings()
		s.Connections = count
		if err := s.Validate(); (err == nil) != isGood {
			t.Errorf("Validate(%d connections) = %v, want good %v", count, err, isGood)
		}
	}
}
