package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mvdan.cc/sh/v3/syntax"

	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// scripts gives every constant of the package that is a shell script: they all
// begin with a comment that says what they do, since errors show their first
// line. One that is added is found without being listed here.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.go", "ha/*/*.go", "ha/internal/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	found := map[string]string{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok && strings.HasPrefix(literal.Value, "`#") {
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[spec.Names[0].Name] = text
			}
			return true
		})
	}
	return found
}

// Every script sent to hosts is POSIX shell, says in its first line what it
// does, and dash takes it too.
func TestScriptsParse(t *testing.T) {
	found := scripts(t)
	for _, name := range []string{"versionsScript", "installedScript", "aptScript", "importScript", "preflightScript", "probesScript", "InitState", "JoinState"} {
		if found[name] == "" {
			t.Errorf("%s was not found", name)
		}
	}
	for name, script := range found {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), name); err != nil {
			t.Error(err)
		}
		if first, _, _ := strings.Cut(script, "\n"); len(first) < 10 || !strings.HasPrefix(first, "# ") {
			t.Errorf("%s: no telling first line: %q", name, first)
		}
		check := exec.Command(shelltest.Dash(t), "-n")
		check.Stdin = strings.NewReader(script)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%s: dash: %v: %s", name, err, out)
		}
	}
}
