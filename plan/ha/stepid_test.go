package ha_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
)

// stepNames are the constants of stepid.go by which embedders name steps, with their
// values, of one type.
func stepNames(t *testing.T, typ string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "stepid.go", nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	out := map[string]string{}
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, s := range gen.Specs {
			v := s.(*ast.ValueSpec)
			var of string
			switch x := v.Type.(type) {
			case *ast.Ident:
				of = x.Name
			case *ast.SelectorExpr:
				of = x.Sel.Name
			}
			if of != typ {
				continue
			}
			value := v.Values[0].(*ast.BasicLit).Value
			out[value[1:len(value)-1]] = v.Names[0].Name
		}
	}
	require.NotEmpty(t, out)
	return out
}

// Every step of every plan has a name that a program can use, and each name has a step.
func TestStepIDs(t *testing.T) {
	global, ofNodes := stepNames(t, "ID"), stepNames(t, "NodeStep")
	unused := map[string]string{}
	for _, names := range []map[string]string{global, ofNodes} {
		for _, name := range names {
			unused[name] = name
		}
	}
	look := func(c quorate.Cluster, p *plan.Plan, err error) {
		t.Helper()
		require.NoError(t, err)
		known := map[plan.ID]string{ha.StepManifest("net"): ""}
		for value, name := range global {
			known[plan.ID(value)] = name
		}
		for _, n := range c.Nodes {
			for value, name := range ofNodes {
				known[ha.NodeStep(value).On(n.Name)] = name
			}
			known[ha.StepPrerequisite(n.Name, ha.PrerequisiteKernel)] = ""
		}
		for _, s := range p.Steps() {
			if strings.HasPrefix(string(s.ID), string(ha.StepPrerequisite(s.Host, ""))) {
				continue // the name is the Source's own
			}
			name, ok := known[s.ID]
			require.True(t, ok, "step %s has no name", s.ID)
			delete(unused, name)
		}
	}
	for _, minor := range []int{11, 37} {
		for _, source := range []software.Source{nil, software.Packages{}} {
			c := hafixture.Three()
			if minor == 37 {
				c = hafixture.Balanced()
			}
			c.Version = quorate.Version{Major: 1, Minor: minor}
			cfg := config(t, c)
			cfg.Prerequisites, cfg.Untaint = source, true
			cfg.Manifests = []ha.Manifest{{Name: "net", Content: quorate.Public([]byte("kind: A\n"))}}
			p, err := planFor(cfg)
			look(c, p, err)
			p, err = resetFor(cfg, ha.ResetConfig{Nodes: []string{"cp-2", "cp-3", "worker-1"}})
			look(c, p, err)
			p, err = resetFor(cfg, ha.ResetConfig{WholeCluster: true})
			look(c, p, err)
			replaced := c
			replaced.Version.Minor = 21
			if minor == 37 {
				replaced.Version.Minor = 37
			}
			gone := cfg
			gone.Cluster = instead(replaced, "cp-2")
			gone.Cluster.AllowEvenControlPlanes = true
			p, err = replaceFor(gone, ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: "cp-2", Fenced: true}}})
			look(replaced, p, err)
			if minor == 37 {
				p, err = reconfigureFor(cfg)
				look(c, p, err)
			}

			described, err := ha.New(t.Context(), cfg)
			require.NoError(t, err)
			second := map[int]ha.NodeStep{11: ha.StepInit, 37: ha.StepJoin}[minor]
			require.Equal(t, ha.StepInit.On("cp-1"), described.StepBootstrap("cp-1"))
			require.Equal(t, second.On("cp-2"), described.StepBootstrap("cp-2"))
			require.Equal(t, ha.StepJoin.On("worker-1"), described.StepBootstrap("worker-1"))
			require.Empty(t, described.StepBootstrap("stranger"))
		}
	}
	require.Empty(t, unused, "no plan has such steps")
}

// A program's own steps are undone with the run that did them. A reset makes a plan of
// its own: what is to go by it is composed into that one.
func TestOwnStepsInRollbackAndReset(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		described, err := ha.New(t.Context(), config(t, c))
		require.NoError(t, err)
		deploy := func(node string) plan.Deploy {
			return plan.Deploy{Name: "audit", Files: []quorate.File{{Path: "/etc/audit/" + node, Content: quorate.Public([]byte("x\n"))}}}
		}
		has := func(node string) bool {
			_, err := hosts.Host(node).File("/etc/audit/" + node)
			return err == nil
		}
		p, err := described.Plan()
		require.NoError(t, err)
		for _, n := range c.Nodes {
			p, err = p.Before(described.StepBootstrap(n.Name), plan.Step{ID: plan.ID("audit/" + n.Name), Host: n.Name, Action: deploy(n.Name)})
			require.NoError(t, err)
		}
		keeping(t, hosts, p, "up")
		require.True(t, has("cp-1") && has("worker-1"))
		mustRun(t.Context(), t, hosts, rollback(t, p, "up"))
		require.False(t, has("cp-1") || has("worker-1"), "own steps were not undone")

		mustRun(t.Context(), t, hosts, p)
		reset, err := described.PlanReset(ha.ResetConfig{WholeCluster: true, Data: ha.RemoveData})
		require.NoError(t, err)
		reset, err = reset.Before(ha.StepClean.On("cp-1"), plan.Step{ID: "audit/cp-1", Host: "cp-1", Action: deploy("cp-1").Removal()})
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, reset)
		require.False(t, has("cp-1"))
		require.True(t, has("worker-1"), "what a reset does not name stays")
		require.False(t, mustRun(t.Context(), t, hosts, reset).Changed())
	})
}
