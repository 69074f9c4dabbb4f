package workflow

import (
	"embed"
	"strings"
)

//go:embed definitions/*.json
var definitions embed.FS

// Definitions returns the names of the definitions that come with this build, sorted.
func Definitions() []string {
	entries, err := definitions.ReadDir("definitions")
	if err != nil {
		panic(err) // the directory is embedded
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}

// Document returns the document of a definition that comes with this build, and false for a name
// that is not among Definitions.
func Document(name string) ([]byte, bool) {
	data, err := definitions.ReadFile("definitions/" + name + ".json")
	return data, err == nil
}
