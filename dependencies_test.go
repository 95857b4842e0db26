package quorate_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every module that a go.mod of this repository requires by itself, or takes a tool from, has
// its reason in docs/dependencies.md, in a row that names the directory of that go.mod if it is
// not the root's, unless only tests use it.
func TestDependenciesHaveReasons(t *testing.T) {
	type row struct{ module, used string }
	var rows []row
	text, err := os.ReadFile("docs/dependencies.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) == 5 {
			require.NotEmpty(t, strings.TrimSpace(cells[3]), line)
			rows = append(rows, row{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])})
		}
	}
	reasoned := func(module, dir string) bool {
		return slices.ContainsFunc(rows, func(r row) bool {
			name, _, _ := strings.Cut(r.module, " ")
			staging := strings.Contains(r.module, "staging modules") && strings.HasPrefix(module, "k8s.io/")
			same := within(name, module) || within(module, name) && strings.HasPrefix(name, module) || staging
			return same && (dir == "." || strings.Contains(r.used, dir) || r.used == "tests")
		})
	}
	files := 0
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "go.mod" || strings.Contains(path, "_modules") || strings.Contains(path, "testdata") {
			return err
		}
		files++
		dir := filepath.ToSlash(filepath.Dir(path))
		out, err := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json", path).Output()
		require.NoError(t, err)
		var mod struct {
			Require []struct {
				Path     string
				Indirect bool
			}
			Tool []struct{ Path string }
		}
		require.NoError(t, json.Unmarshal(out, &mod))
		for _, r := range mod.Require {
			if !r.Indirect && !within(r.Path, module) {
				require.True(t, reasoned(r.Path, dir), "docs/dependencies.md has no row of %s for %s", r.Path, path)
			}
		}
		for _, tool := range mod.Tool {
			require.True(t, slices.ContainsFunc(rows, func(r row) bool { return within(tool.Path, r.module) && strings.Contains(r.used, dir) }),
				"docs/dependencies.md has no row of %s for %s", tool.Path, path)
		}
		return nil
	}))
	require.GreaterOrEqual(t, files, 9)
}
