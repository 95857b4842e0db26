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
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// byHand are the targets that run tests and that CI does not run: they measure,
// write logs that are kept in docs, or search for as long as one likes.
var byHand = []string{"availability", "settings", "members", "e2e-full", "fuzz", "oracles"}

// parameters change what a test of a tier does, and hide none. What
// a test sets for a process of its own has its name in a constant.
var parameters = []string{"QUORATE_CI", "QUORATE_ROUNDS", "QUORATE_FAULTS", "QUORATE_DRILL", "QUORATE_DRILL_OUT"}

var (
	makeTarget = regexp.MustCompile(`(?m)^([a-z0-9-]+):.*\n((?:\t.*\n)*)`)
	makeList   = regexp.MustCompile(`(?m)^([A-Z]+) := (.*)$`)
	ciStage    = regexp.MustCompile(`(?m)^stage ([a-z0-9-]+) `)
)

// targets are the Makefile's, with their commands; lists are its variables.
func targets(t *testing.T) (commands, lists map[string]string) {
	t.Helper()
	text, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	commands, lists = map[string]string{}, map[string]string{}
	for _, m := range makeTarget.FindAllStringSubmatch(string(text), -1) {
		commands[m[1]] = m[2]
	}
	for _, m := range makeList.FindAllStringSubmatch(string(text), -1) {
		lists[m[1]] = m[2]
	}
	return commands, lists
}

// sources returns the parsed Go files of every module in the work space, by path.
func sources(t *testing.T) map[string]*ast.File {
	t.Helper()
	all, err := parsed()
	require.NoError(t, err)
	return all
}

var parsed = sync.OnceValues(func() (map[string]*ast.File, error) {
	all := map[string]*ast.File{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (slices.Contains([]string{"testdata", "out"}, d.Name()) || strings.ContainsAny(d.Name()[:1], "._")):
			return filepath.SkipDir
		case filepath.Ext(name) == ".go":
			all[filepath.ToSlash(name)], err = parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution|parser.ParseComments)
		}
		return err
	})
	return all, err
})

// listed reports whether one of these patterns of packages takes in a directory.
func listed(dir, patterns string) bool {
	return slices.ContainsFunc(strings.Fields(patterns), func(p string) bool {
		below, recursive := strings.CutSuffix(strings.TrimPrefix(p, "./"), "...")
		return recursive && strings.HasPrefix(dir+"/", below) || dir == below
	})
}

// CI runs every target that runs tests, and a target sets every variable that a
// test waits for: no test is left that nobody runs.
func TestTiersAreRun(t *testing.T) {
	commands, _ := targets(t)
	ci, err := os.ReadFile(filepath.Join(".ci", "run"))
	require.NoError(t, err)
	var stages []string
	for _, m := range ciStage.FindAllStringSubmatch(string(ci), -1) {
		stages = append(stages, m[1])
	}
	run := ""
	for name, command := range commands {
		if strings.Contains(command, "go test") && !slices.Contains(byHand, name) {
			require.Contains(t, stages, name, "CI does not run make %s", name)
		}
		if strings.Contains(command, "PRIVILEGED") {
			command += "QUORATE_E2E="
		}
		run += command
	}
	for from, file := range sources(t) {
		if !strings.HasSuffix(from, "_test.go") && from != "internal/tier/tier.go" {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) != 1 {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Getenv" && sel.Sel.Name != "LookupEnv" {
				return true
			}
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && strings.HasPrefix(lit.Value, `"QUORATE_`) {
				name := strings.Trim(lit.Value, `"`)
				require.True(t, slices.Contains(parameters, name) || strings.Contains(run, name+"="), "%s waits for %s, which no target sets", from, name)
			}
			return true
		})
	}
}

// moduleOf is the directory of the module that a directory belongs to.
func moduleOf(t *testing.T, dir string) string {
	t.Helper()
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	return dir
}

// Every directory with tests is one that make test runs, or is of a module outside
// the work space that make oracle runs; none hides behind a build tag.
func TestTestFilesAreRun(t *testing.T) {
	commands, lists := targets(t)
	nested := strings.ReplaceAll(lists["TESTED"], "./... ", "") // which is the root's module alone
	for name, file := range sources(t) {
		if !strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, group := range file.Comments {
			for _, line := range group.List {
				if tags, ok := strings.CutPrefix(line.Text, "//go:build "); ok {
					require.Regexp(t, `^!?(linux|unix|race)$`, tags, "%s: no target sets this tag", name)
				}
			}
		}
		module := moduleOf(t, path.Dir(name))
		require.True(t, module == "." || listed(path.Dir(name), nested) || strings.Contains(commands["oracle"], "cd "+module+" && GOWORK=off go test"), "nothing runs %s", name)
	}
}

// What make host picks, by name and package, is all that waits for it.
func TestHostTestsAreRun(t *testing.T) {
	commands, lists := targets(t)
	require.Contains(t, commands["host"], "-run '^TestReal'")
	found := 0
	for name, file := range sources(t) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasSuffix(name, "_test.go") {
				continue
			}
			waits := false
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Host" {
					x, ok := sel.X.(*ast.Ident)
					waits = waits || ok && x.Name == "tier"
				}
				return true
			})
			if waits {
				require.True(t, strings.HasPrefix(f.Name.Name, "TestReal"), "%s: %s waits for make host, and is not named TestReal", name, f.Name.Name)
				require.True(t, listed(path.Dir(name), lists["HOSTED"]), "make host does not run %s", name)
				found++
			}
		}
	}
	require.NotZero(t, found)
}

// Where goroutines meet, make race runs.
func TestRaceTier(t *testing.T) {
	_, lists := targets(t)
	for name, file := range sources(t) {
		meet := slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"sync"` || i.Path.Value == `"sync/atomic"` })
		ast.Inspect(file, func(n ast.Node) bool {
			_, starts := n.(*ast.GoStmt)
			meet = meet || starts
			return true
		})
		if meet && !strings.HasSuffix(name, "_test.go") && moduleOf(t, path.Dir(name)) != "kubeadm/upstream" { // reads files with one lock, and runs in make oracle
			require.True(t, listed(path.Dir(name), lists["RACED"]), "%s has goroutines, and make race does not run it", name)
		}
	}
}

// Only what waits for make host, and what has a clock of its own, judges by the
// time that has passed: on a busy machine any time passes.
func TestNoWallClockAssertions(t *testing.T) {
	for name, file := range sources(t) {
		if !strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_e2e_test.go") {
			continue
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || strings.HasPrefix(f.Name.Name, "TestReal") {
				continue
			}
			judges, ownClock := false, false
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Ident:
					ownClock = ownClock || n.Name == "bubble" || n.Name == "synctest" || n.Name == "inBubble"
				case *ast.CallExpr:
					if sel, ok := n.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Less") {
						judges = judges || slices.ContainsFunc(n.Args, passed)
					}
				}
				return true
			})
			require.False(t, judges && !ownClock, "%s: %s judges by the time that has passed", name, f.Name.Name)
		}
	}
}

// passed reports whether an expression is time.Since(...).
func passed(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "Since"
}
