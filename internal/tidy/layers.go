package tidy

import (
	"go/ast"
	"slices"
	"strconv"
	"strings"
)

// core are the pure packages, with what each may import: those to its left, but for the ledger,
// which knows only money and the market, and definitions of workflows, which know only money.
var core = map[string][]string{
	"money":     nil,
	"market":    {"money"},
	"portfolio": {"money", "market"},
	"region":    {"money", "market", "portfolio"},
	"tlh":       {"money", "market", "portfolio", "region"},
	"rebalance": {"money", "market", "portfolio", "region", "tlh"},
	"orders":    {"money", "market", "portfolio", "region", "tlh", "rebalance"},
	"ledger":    {"money", "market"},
	"fills":     {"money", "market", "portfolio", "region", "tlh", "rebalance", "orders", "ledger"},
	"workflow":  {"money"},
}

// shell are the packages around the core. All of them may import the core, and what is named here.
// Those that stand for one technology know no other one; filter is the language of --where, and
// access says who may: pages, the API and commands share both.
var shell = map[string][]string{
	"pipeline":            nil,
	"internal/filter":     {"pipeline"},
	"internal/access":     {"pipeline"},
	"internal/httpaction": {"pipeline"},
	"internal/postgres":   {"pipeline", "internal/filter", "internal/access"},
	"internal/kafka":      {"pipeline", "deploy"},
	"internal/broker":     {"pipeline"},
	"internal/web":        {"pipeline", "internal/filter", "internal/access"},
	"internal/api":        {"pipeline", "internal/filter", "internal/access"},
	"internal/metrics":    {"pipeline"},
	"internal/oidc":       {"internal/access"},
	"internal/archive":    {"pipeline"},
	"internal/embedded":   nil,
	"internal/tidy":       nil,
	"deploy":              nil,
	"testdata":            nil,
	"sim":                 {"pipeline", "internal", "deploy", "testdata"},
	"cmd":                 {"pipeline", "internal", "sim", "deploy", "testdata"},

	// Helpers of tests, which start one technology for another one.
	"internal/postgres/pgtest": {"internal/postgres", "internal/embedded"},
}

// within reports whether dir is parent or below it.
func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

// layer returns the row of a table that dir belongs to: the longest that it is within.
func layer(table map[string][]string, dir string) (name string, ok bool) {
	for row := range table {
		if within(dir, row) && len(row) > len(name) {
			name, ok = row, true
		}
	}
	return name, ok
}

func isCore(dir string) bool {
	_, ok := layer(core, dir)
	return ok
}

// mayImport reports whether a package in dir may import the one in target.
func mayImport(dir, target string) bool {
	if row, ok := layer(core, dir); ok {
		to, ok := layer(core, target)
		return ok && (to == row || slices.Contains(core[row], to))
	}
	row, ok := layer(shell, dir)
	if !ok {
		return false
	}
	if isCore(target) {
		return true
	}
	if to, _ := layer(shell, target); to == row {
		return true
	}
	return slices.ContainsFunc(shell[row], func(allowed string) bool { return within(target, allowed) })
}

// checkLayers reports imports against the tables, and packages that no table has. Tests may import
// what they like but commands.
func checkLayers(s *source, report func(ast.Node, string, ...any)) {
	_, inShell := layer(shell, s.dir)
	if !isCore(s.dir) && !inShell {
		report(s.tree.Name, "package %s is in no layer: give it a row in internal/tidy/layers.go", s.dir)
		return
	}
	for _, spec := range s.tree.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		target, isOurs := strings.CutPrefix(imported, module)
		switch {
		case !isOurs:
		case within(target, "cmd"):
			report(spec, "%s imports %s: nothing imports a command", s.dir, target)
		case !s.isTest && !mayImport(s.dir, target):
			report(spec, "%s imports %s, which is not below it", s.dir, target)
		}
	}
}
