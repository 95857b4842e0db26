package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"path/filepath"
	"strconv"
	"strings"
)

// addFeatureGates reads the keys of kubeadm's InitFeatureGates, which are
// constants of the same file.
func (t table) addFeatureGates(s *source) {
	file := parseFile(filepath.Join(s.kubernetes(), "cmd/kubeadm/app/features/features.go"))
	constants := map[string]string{}
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) == 0 {
			return true
		}
		name := spec.Names[0].Name
		if text, ok := literal(spec.Values[0]); ok {
			constants[name] = text
		}
		if list, ok := spec.Values[0].(*ast.CompositeLit); ok && name == "InitFeatureGates" {
			found = true
			for _, e := range list.Elts {
				key := e.(*ast.KeyValueExpr).Key.(*ast.Ident).Name
				if constants[key] == "" {
					log.Fatalf("1.%d: feature gate %s is no constant", s.minor, key)
				}
				t.add(constants[key], s.minor, "")
			}
		}
		return true
	})
	if !found {
		log.Fatalf("1.%d: no feature gates", s.minor)
	}
}

// preflightPackages have the checks of kubeadm init and join.
var preflightPackages = []string{"cmd/kubeadm/app/preflight", "pkg/util/ipvs"}

// addPreflightChecks reads the names that checks return as they are, without
// those that hold a port, a file or a service: what a method Name returns, what
// a check's label is set to, and what kubeadm looks for among the names to
// ignore.
func (t table) addPreflightChecks(s *source) {
	for _, dir := range preflightPackages {
		files, err := filepath.Glob(filepath.Join(s.kubernetes(), dir, "*.go"))
		if err != nil {
			log.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			ast.Inspect(parseFile(name), func(n ast.Node) bool {
				for _, e := range checkNames(n) {
					if text, ok := literal(e); ok {
						t.add(text, s.minor, "")
					}
				}
				return true
			})
		}
	}
}

// checkNames are the expressions in a node that name a preflight check.
func checkNames(n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.FuncDecl:
		if n.Name.Name == "Name" && n.Recv != nil && n.Body != nil {
			return returned(n.Body)
		}
	case *ast.KeyValueExpr:
		if key, ok := n.Key.(*ast.Ident); ok && strings.EqualFold(key.Name, "label") {
			return []ast.Expr{n.Value}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "setHasItemOrAll" && len(n.Args) == 2 {
			return n.Args[1:]
		}
	}
	return nil
}

func returned(body *ast.BlockStmt) []ast.Expr {
	var results []ast.Expr
	ast.Inspect(body, func(n ast.Node) bool {
		if r, ok := n.(*ast.ReturnStmt); ok {
			results = append(results, r.Results...)
		}
		return true
	})
	return results
}

func parseFile(name string) *ast.File {
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		log.Fatal(err)
	}
	return file
}

// literal is the text of a string literal.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(lit.Value)
	if err != nil {
		log.Fatal(err)
	}
	return text, true
}

func writeLifetimes(file, variable, comment string, t table) {
	var b strings.Builder
	fmt.Fprintf(&b, "// %s %s\nvar %s = map[string]lifetime{\n", variable, comment, variable)
	t.entries(&b)
	b.WriteString("}\n")
	write(file, b.String())
}
