package postgres

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed queries/*.sql
var queryFiles embed.FS

// queries holds every statement of queries/*.sql by its name.
var queries = mustLoadQueries()

// query returns the statement under "-- name: NAME"; a name that is not there is our bug.
func query(name string) string {
	q, ok := queries[name]
	if !ok {
		panic(fmt.Sprintf("no query named %s", name))
	}
	return q
}

func mustLoadQueries() map[string]string {
	all := map[string]string{}
	files, err := queryFiles.ReadDir("queries")
	if err != nil {
		panic(err)
	}
	for _, f := range files {
		text, err := queryFiles.ReadFile("queries/" + f.Name())
		if err != nil {
			panic(err)
		}
		for _, part := range strings.Split(string(text), "-- name: ")[1:] {
			name, body, _ := strings.Cut(part, "\n")
			name = strings.TrimSpace(name)
			if _, twice := all[name]; twice {
				panic(fmt.Sprintf("query %s is defined twice", name))
			}
			all[name] = strings.TrimSpace(body)
		}
	}
	return all
}
