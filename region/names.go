package region

import "strings"

// Names returns the regions that have a rule file, in order.
func Names() []string {
	entries, err := files.ReadDir("rules")
	if err != nil {
		panic(err) // the files are embedded: there is always a directory
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.ToUpper(strings.TrimSuffix(e.Name(), ".json"))
	}
	return names
}
