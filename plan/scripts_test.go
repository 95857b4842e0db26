package plan_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// Every script that the engine and the recipes send to hosts.
func TestScripts(t *testing.T) {
	for _, dir := range []string{"scripts", "ha"} {
		files := shelltest.Files(t, dir)
		require.NotEmpty(t, files)
		for path, text := range files {
			t.Run(path, func(t *testing.T) { shelltest.Check(t, path, text) })
		}
	}
}

// A script is a file, which shellcheck and editors read, and no Go constant.
func TestNoScriptIsAConstant(t *testing.T) {
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				require.False(t, strings.HasPrefix(lit.Value, "`#") && strings.Contains(lit.Value, "\n"), "%s: %.60s", path, lit.Value)
			}
			return true
		})
		return nil
	}))
}
