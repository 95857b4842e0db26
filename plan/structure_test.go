package plan_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The engine and its tests name nothing of what recipes make, but where the
// package says so itself.
func TestEngineNamesNoKubernetes(t *testing.T) {
	names := regexp.MustCompile(`(?i)kube|etcd|keepalived|haproxy|control.?plane|containerd`)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	scripts, err := filepath.Glob("scripts/*.sh")
	require.NoError(t, err)
	require.NotEmpty(t, scripts)
	for _, path := range append(files, scripts...) {
		if path == "structure_test.go" || path == "doc.go" {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			line = strings.ReplaceAll(line, "plan/etcdjournal", "")
			require.False(t, names.MatchString(line), "%s: %s", path, line)
		}
	}
}

// An Action is one file: whoever reads its Check has its Apply, and all else that
// it can do, before them.
func TestOneActionOneFile(t *testing.T) {
	type methods map[string][]string // the files of each method
	actions := map[string]methods{}
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil {
				continue
			}
			typ := f.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			id, ok := typ.(*ast.Ident)
			if !ok {
				continue
			}
			key := filepath.Dir(path) + "." + id.Name
			if actions[key] == nil {
				actions[key] = methods{}
			}
			actions[key][f.Name.Name] = append(actions[key][f.Name.Name], path)
		}
		return nil
	}))
	found := 0
	for name, m := range actions {
		if m["Check"] == nil || m["Apply"] == nil {
			continue
		}
		found++
		for method, files := range m {
			require.Equal(t, m["Check"], files, "%s.%s", name, method)
		}
	}
	require.Greater(t, found, 20)
}
