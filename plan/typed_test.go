package plan_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// typed is an Action whose Apply goes by what its Check found.
type typed struct{ applied *[]int }

func (a typed) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if len(*a.applied) > 0 {
		return nil, nil
	}
	return plan.Diff{{Verb: "set", Subject: "x", Data: 1}, {Verb: "set", Subject: "x", Data: "other"}, {Verb: "set", Subject: "x", Data: 3}}, nil
}

func (a typed) Apply(_ context.Context, _ *plan.Host, d plan.Diff) error {
	*a.applied = plan.DataOf[int](d)
	return nil
}

func TestApplyReceivesTheTypedDiff(t *testing.T) {
	var applied []int
	_, err := (&plan.Runner{Transport: fakeHosts("h")}).Run(t.Context(), newPlan(t, plan.Step{ID: "a", Host: "h", Action: typed{&applied}}))
	require.NoError(t, err)
	require.Equal(t, []int{1, 3}, applied)
	require.Empty(t, plan.DataOf[bool](plan.Diff{{Data: 1}, {}}))
}

// Whether a unit restarts follows from what differs, whatever the words say.
func TestNoRestartByWords(t *testing.T) {
	hosts := fakeHosts("h")
	fake := hosts.Host("h")
	var restarts int
	fake.Handle(faketransport.Prefix("systemctl"), func(_ context.Context, in faketransport.Invocation) error {
		if slices.Contains(in.Argv, "restart") {
			restarts++
		}
		if in.Argv[1] == "show" {
			_, err := in.Stdout.Write([]byte("Id=a.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n"))
			return err
		}
		return nil
	})
	conn, err := hosts.Dial(t.Context(), "h")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	h := plan.NewHost("h", conn)
	deploy := plan.Deploy{Name: "a", Files: []quorate.File{{Path: "/etc/a", Mode: 0o644, Content: quorate.Public([]byte("a\n"))}}, Units: []plan.Unit{{Name: "a.service"}}}
	apply := func(says string) {
		t.Helper()
		diff, err := deploy.Check(t.Context(), h)
		require.NoError(t, err)
		require.NotEmpty(t, diff)
		for i := range diff {
			diff[i].Verb, diff[i].Detail = "update", says
		}
		require.NoError(t, deploy.Apply(t.Context(), h, diff))
	}
	apply("")
	restarts = 0
	put := func(mode fs.FileMode, text string) {
		t.Helper()
		require.NoError(t, fake.Put(transport.File{Path: "/etc/a", Mode: mode, Owner: "root", Group: "root", Data: transport.Bytes([]byte(text))}))
	}
	put(0o600, "a\n")
	apply("content, is a directory")
	require.Zero(t, restarts, "the file's mode was another")
	put(0o644, "b\n")
	apply("mode 0600, want 0644")
	require.Equal(t, 1, restarts, "the file's content was another")
}

// kinded and renamed are one Action under two names of Go's.
type (
	kinded  struct{ kind string }
	renamed struct{ kinded }
)

func (kinded) Check(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }
func (kinded) Apply(context.Context, *plan.Host, plan.Diff) error   { return nil }
func (k kinded) Describe() plan.Description                         { return plan.Description{Kind: k.kind} }

// What a plan is known by does not rest on the names of Go's types.
func TestIdentityOfActions(t *testing.T) {
	identity := func(a plan.Action) [2]string {
		p := newPlan(t, plan.Step{ID: "a", Host: "h", Action: a})
		pv, err := (&plan.Runner{Transport: fakeHosts("h")}).Preview(t.Context(), p)
		require.NoError(t, err)
		return [2]string{p.Fingerprint(), pv.Plan}
	}
	one := identity(kinded{"example.com/one"})
	require.Equal(t, one, identity(renamed{kinded{"example.com/one"}}))
	other := identity(kinded{"example.com/other"})
	require.NotEqual(t, one[0], other[0])
	require.NotEqual(t, one[1], other[1])
}

// No code of the engine or the recipes compares what a Change says in words.
func TestDecisionsIgnoreTexts(t *testing.T) {
	words := func(e ast.Expr) bool {
		sel, ok := e.(*ast.SelectorExpr)
		return ok && slices.Contains([]string{"Verb", "Subject", "Detail"}, sel.Sel.Name)
	}
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BinaryExpr:
				empty, literal := n.Y.(*ast.BasicLit)
				compares := (n.Op == token.EQL || n.Op == token.NEQ) && (words(n.X) || words(n.Y)) && !(literal && empty.Value == `""`)
				// A preview shows a file's text by its path.
				require.False(t, compares && path != "preview.go", "%s compares a Change's words", fset.Position(n.Pos()))
			case *ast.SwitchStmt:
				require.False(t, words(n.Tag), "%s switches on a Change's words", fset.Position(n.Pos()))
			case *ast.CallExpr:
				if sel, ok := n.Fun.(*ast.SelectorExpr); ok && len(n.Args) > 0 && words(n.Args[0]) {
					require.NotContains(t, []string{"HasPrefix", "HasSuffix", "Contains"}, sel.Sel.Name, "%s looks into a Change's words", fset.Position(n.Pos()))
				}
			}
			return true
		})
		return nil
	}))
}
