package tidy

import (
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// impure are the packages that the core may not import, with those below them.
var impure = []string{
	"os", "net", "log", "context", "syscall", "io/ioutil", "database/sql", "math/rand", "crypto/rand", "testing",
	"golang.org/x/sync", "github.com/jackc/pgx", "github.com/twmb/franz-go",
}

// impureTime are the names of package time that read the clock or wait for it.
var impureTime = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}

// checkPurity reports what makes a result of the core depend on anything but its arguments.
func checkPurity(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest || !isCore(s.dir) {
		return
	}
	for _, spec := range s.tree.Imports {
		imported, _ := strconv.Unquote(spec.Path.Value) // the parser has checked it
		if slices.ContainsFunc(impure, func(p string) bool { return within(imported, p) }) {
			report(spec, "%s is pure, but imports %s", s.dir, imported)
		}
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if imported, name, ok := s.selected(n); ok && imported == "time" && slices.Contains(impureTime, name) {
				report(n, "%s is pure, but calls time.%s", s.dir, name)
			}
		case *ast.GoStmt:
			report(n, "%s is pure, but starts a goroutine", s.dir)
		case *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
			report(n, "%s is pure, but uses a channel", s.dir)
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				report(n, "%s is pure, but uses a channel", s.dir)
			}
		}
		return true
	})
}

// checkFloats reports binary fractions in the core outside the optimiser. money alone turns its
// exact numbers into them, in functions named Float.
func checkFloats(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest || !isCore(s.dir) || within(s.dir, "rebalance") {
		return
	}
	for _, declaration := range s.tree.Decls {
		if f, ok := declaration.(*ast.FuncDecl); ok && s.dir == "money" && f.Name.Name == "Float" {
			continue
		}
		ast.Inspect(declaration, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Ident:
				if n.Name == "float64" || n.Name == "float32" {
					report(n, "%s has exact numbers, but uses %s", s.dir, n.Name)
				}
			case *ast.BasicLit:
				if n.Kind == token.FLOAT {
					report(n, "%s has exact numbers, but uses %s", s.dir, n.Value)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Float" && len(n.Args) == 0 {
					report(n, "%s has exact numbers, but calls Float", s.dir)
				}
			}
			return true
		})
	}
}

// roundings are the functions of package math that round.
var roundings = []string{"Round", "RoundToEven", "Floor", "Ceil", "Trunc"}

// checkRounding reports roundings of binary fractions in the core outside the optimiser, which
// rounds what it found to tradable quantities; exact numbers are rounded by money.
func checkRounding(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest || !isCore(s.dir) || within(s.dir, "rebalance/optimum") {
		return
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if imported, name, ok := s.selected(e); ok && imported == "math" && slices.Contains(roundings, name) {
				report(n, "only money rounds, but %s calls math.%s", s.dir, name)
			}
		}
		return true
	})
}

// startsGoroutines are the packages that own goroutines and wait for them.
var startsGoroutines = []string{"pipeline", "internal", "sim", "cmd"}

// checkGoroutines reports goroutines outside the packages that own some.
func checkGoroutines(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest || slices.ContainsFunc(startsGoroutines, func(p string) bool { return within(s.dir, p) }) {
		return
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if g, ok := n.(*ast.GoStmt); ok {
			report(g, "only %s start goroutines", strings.Join(startsGoroutines, ", "))
		}
		return true
	})
}

// checkSleeps reports tests that wait for a time to pass instead of for what they want to see.
func checkSleeps(s *source, report func(ast.Node, string, ...any)) {
	if !s.isTest {
		return
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if imported, name, ok := s.selected(e); ok && imported == "time" && name == "Sleep" {
				report(n, "a test sleeps: use testing/synctest, or wait on a channel")
			}
		}
		return true
	})
}
