package quorate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The steps of the guide: its hosts, its own numbers for etcd, the VIP, kubeadm,
// and what it shows in the end.
var guideSteps = strings.Fields("H1 H2 H3 E1 E2 E3 E4 E5 E6 E7 E8 E9 E10 E11 V1 V2 V3 V4 V5 K1 K2 K3 K4 K5 K6 K7 K8 A1 A2")

// The mistakes that the design lists.
var guideMistakes = strings.Fields("1 2 3 4 5 6 7 8 9 10")

var (
	guideRow        = regexp.MustCompile(`(?m)^\| ([A-Z]?\d+) \|(.*)\|$`)
	guideIdentifier = regexp.MustCompile("`([a-z]+\\.[A-Z]\\w*(?:\\.[A-Z]\\w*)?)`")
	guideLink       = regexp.MustCompile(`\]\(([^)#:]+)\)`)
)

// No step of the guide is without a row that names what does it, no mistake
// without a test, and whatever the page names exists.
func TestGuidePage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("docs", "guide.md"))
	require.NoError(t, err)
	declared := declarations(t)
	for _, m := range guideIdentifier.FindAllStringSubmatch(string(page), -1) {
		require.True(t, declared[m[1]], "docs/guide.md names %s, which does not exist", m[1])
	}
	var steps, mistakes []string
	for _, row := range guideRow.FindAllStringSubmatch(string(page), -1) {
		named := guideIdentifier.FindAllStringSubmatch(row[2], -1)
		require.NotEmpty(t, named, "row %s names nothing", row[1])
		if row[1][0] >= 'A' {
			steps = append(steps, row[1])
			continue
		}
		mistakes = append(mistakes, row[1])
		cells := strings.Split(row[2], "|")
		tests := guideIdentifier.FindAllStringSubmatch(cells[len(cells)-1], -1)
		require.NotEmpty(t, tests, "mistake %s has no test", row[1])
		for _, m := range tests {
			require.Contains(t, m[1], ".Test", "mistake %s", row[1])
		}
	}
	require.Equal(t, guideSteps, steps)
	require.Equal(t, guideMistakes, mistakes)
	for _, m := range guideLink.FindAllStringSubmatch(string(page), -1) {
		_, err := os.Stat(filepath.Join("docs", filepath.FromSlash(m[1])))
		require.NoError(t, err)
	}
}

// declarations are the identifiers of every directory, those of its tests among
// them, as directory.Name and, for fields and methods, directory.Type.Name. The
// root's directory is quorate.
func declarations(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (slices.Contains([]string{"testdata", "out"}, d.Name()) || strings.ContainsAny(d.Name()[:1], "._")) {
			return filepath.SkipDir
		}
		if filepath.Ext(p) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Base(filepath.ToSlash(filepath.Dir(p)))
		if dir == "." {
			dir = "quorate"
		}
		for _, decl := range file.Decls {
			declare(all, dir, decl)
		}
		return nil
	}))
	return all
}

func declare(all map[string]bool, dir string, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		name := dir + "."
		if decl.Recv != nil {
			name += receiver(decl.Recv.List[0].Type) + "."
		}
		all[name+decl.Name.Name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					all[dir+"."+name.Name] = true
				}
			case *ast.TypeSpec:
				name := dir + "." + spec.Name.Name
				all[name] = true
				if fields, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range fields.Fields.List {
						for _, field := range f.Names {
							all[name+"."+field.Name] = true
						}
					}
				}
			}
		}
	}
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}
