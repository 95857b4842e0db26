package quorate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A panic of what an embedder hands in is caught at one place, so that every package treats
// it, and the end of a goroutine, in the same way.
func TestOnePlaceRecovers(t *testing.T) {
	found := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), "_") || strings.HasPrefix(d.Name(), ".") || d.Name() == "secrettest"):
			return filepath.SkipDir // programs of their own, and a helper of tests
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "recover" {
					found++
					require.Equal(t, "internal/guard/guard.go", filepath.ToSlash(path), "%s: use internal/guard", fset.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	}))
	require.Equal(t, 1, found)
}
