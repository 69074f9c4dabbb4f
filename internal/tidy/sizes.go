package tidy

import (
	"go/ast"
	"go/token"
	"strings"
)

// The limits of size; nearly all functions are far below.
const (
	functionLinesMax = 70
	fileLinesMax     = 600
	parametersMax    = 5
)

// checkSizes reports functions, files and lists of parameters that are too long. Tests may be as
// long as their tables.
func checkSizes(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest {
		return
	}
	if s.lines > fileLinesMax {
		report(s.tree.Name, "the file has %d lines, more than %d", s.lines, fileLinesMax)
	}
	ast.Inspect(s.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			lines := s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
			if lines > functionLinesMax {
				report(n, "%s has %d lines, more than %d", n.Name.Name, lines, functionLinesMax)
			}
		case *ast.FuncType:
			if count := n.Params.NumFields(); count > parametersMax {
				report(n, "%d parameters, more than %d: use a struct with named fields", count, parametersMax)
			}
		}
		return true
	})
}

// checkComments reports exported names without a comment, and comments that don't begin with the
// name. Names of a command, of a test and of a hidden type's methods are nobody's to call.
func checkComments(s *source, report func(ast.Node, string, ...any)) {
	if s.isTest || s.tree.Name.Name == "main" {
		return
	}
	for _, declaration := range s.tree.Decls {
		switch d := declaration.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && isReceiverExported(d) {
				checkComment(d.Name, d.Doc, report)
			}
		case *ast.GenDecl:
			checkDeclaration(d, report)
		}
	}
}

func isReceiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch inner := t.(type) {
		case *ast.StarExpr:
			t = inner.X
		case *ast.IndexExpr:
			t = inner.X
		case *ast.IndexListExpr:
			t = inner.X
		case *ast.Ident:
			return inner.IsExported()
		default:
			return true
		}
	}
}

func checkComment(name *ast.Ident, doc *ast.CommentGroup, report func(ast.Node, string, ...any)) {
	if doc == nil {
		report(name, "%s has no comment", name.Name)
		return
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The "} {
		text = strings.TrimPrefix(text, article)
	}
	if rest, ok := strings.CutPrefix(text, name.Name); !ok || rest == "" || isLetter(rest[0]) {
		report(name, "the comment of %s does not begin with its name", name.Name)
	}
}

func isLetter(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_'
}

// checkDeclaration checks types, constants and variables: one alone begins with its name, those of a
// group share the group's comment or have one of their own.
func checkDeclaration(d *ast.GenDecl, report func(ast.Node, string, ...any)) {
	for _, spec := range d.Specs {
		switch spec := spec.(type) {
		case *ast.TypeSpec:
			if !spec.Name.IsExported() {
				continue
			}
			isGrouped := d.Lparen.IsValid()
			if isGrouped && spec.Doc == nil && d.Doc != nil {
				continue
			}
			doc := spec.Doc
			if !isGrouped {
				doc = d.Doc
			}
			checkComment(spec.Name, doc, report)
		case *ast.ValueSpec:
			if d.Tok != token.CONST && d.Tok != token.VAR || d.Doc != nil || spec.Doc != nil || spec.Comment != nil {
				continue
			}
			for _, name := range spec.Names {
				if name.IsExported() {
					report(name, "%s has no comment", name.Name)
				}
			}
		}
	}
}
