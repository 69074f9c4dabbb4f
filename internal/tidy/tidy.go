// Package tidy checks that the source keeps to the project's layers, to the purity of its core and
// to its limits of size. `make tidy` runs it over the tree.
package tidy

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// module is the path that imports of our own packages begin with.
const module = "daybreak/"

// Fault is one place where the source departs from a rule.
type Fault struct {
	File string // relative to the root of the module
	Line int
	Rule string
	Text string
}

// String returns the fault as a compiler would say it.
func (f Fault) String() string { return fmt.Sprintf("%s:%d: %s (%s)", f.File, f.Line, f.Text, f.Rule) }

// source is one parsed file.
type source struct {
	path    string // relative to the root, with slashes
	dir     string // of path; "." for the root
	isTest  bool
	set     *token.FileSet
	tree    *ast.File
	lines   int
	imports map[string]string // local name to path
}

// rules are checked on each file; rules over a whole package are in packageFaults.
var rules = []struct {
	name  string
	check func(s *source, report func(ast.Node, string, ...any))
}{
	{"layers", checkLayers},
	{"purity", checkPurity},
	{"floats", checkFloats},
	{"rounding", checkRounding},
	{"goroutines", checkGoroutines},
	{"sizes", checkSizes},
	{"comments", checkComments},
	{"sleeps", checkSleeps},
}

// Check reads every Go file below root, which is the directory of go.mod, and returns the faults in
// order of file, line and rule.
func Check(root string) ([]Fault, error) {
	sources, err := read(root)
	if err != nil {
		return nil, err
	}
	var faults []Fault
	for _, s := range sources {
		faults = append(faults, s.faults()...)
	}
	faults = append(faults, packageFaults(sources)...)
	slices.SortFunc(faults, func(a, b Fault) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Rule, b.Rule))
	})
	return faults, nil
}

func read(root string) ([]*source, error) {
	var sources []*source
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if base := entry.Name(); name != root && (base[0] == '.' || base[0] == '_' || base == "vendor" || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		relative, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // an editor's file that went away
		}
		if err != nil {
			return err
		}
		s, err := parse(filepath.ToSlash(relative), string(text))
		sources = append(sources, s)
		return err
	})
	return sources, err
}

func parse(name, text string) (*source, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	s := &source{
		path: name, dir: path.Dir(name), isTest: strings.HasSuffix(name, "_test.go"),
		set: set, tree: tree, lines: strings.Count(text, "\n"), imports: map[string]string{},
	}
	for _, spec := range tree.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		local := path.Base(imported)
		if spec.Name != nil {
			local = spec.Name.Name
		} else if isVersion(local) {
			local = path.Base(path.Dir(imported))
		}
		s.imports[local] = imported
	}
	return s, nil
}

// isVersion reports whether the last part of an import path is a major version, such as v2.
func isVersion(part string) bool {
	_, err := strconv.Atoi(strings.TrimPrefix(part, "v"))
	return err == nil && part[0] == 'v'
}

func (s *source) faults() []Fault {
	var faults []Fault
	for _, rule := range rules {
		rule.check(s, func(at ast.Node, format string, args ...any) {
			faults = append(faults, Fault{File: s.path, Line: s.set.Position(at.Pos()).Line, Rule: rule.name, Text: fmt.Sprintf(format, args...)})
		})
	}
	return faults
}

// selected reports whether e is a name of another package, such as time.Now, and returns the path of
// that package and the name.
func (s *source) selected(e *ast.SelectorExpr) (imported, name string, ok bool) {
	id, ok := e.X.(*ast.Ident)
	if !ok {
		return "", "", false
	}
	imported, ok = s.imports[id.Name]
	return imported, e.Sel.Name, ok
}

// packageFaults returns the packages without a comment.
func packageFaults(sources []*source) []Fault {
	first := map[string]*source{}
	commented := map[string]bool{}
	for _, s := range sources {
		if s.isTest {
			continue
		}
		if f := first[s.dir]; f == nil || s.path < f.path {
			first[s.dir] = s
		}
		if s.tree.Doc != nil {
			commented[s.dir] = true
		}
	}
	var faults []Fault
	for dir, s := range first {
		if !commented[dir] {
			faults = append(faults, Fault{File: s.path, Line: 1, Rule: "comments", Text: "package " + s.tree.Name.Name + " has no comment"})
		}
	}
	return faults
}
