package ha_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// keeping runs a plan as a run of this name.
func keeping(t *testing.T, hosts *hatest.Cluster, p *plan.Plan, name string) plan.Summary {
	t.Helper()
	sum, err := (&plan.Runner{Transport: hosts, BackupAs: name}).Run(t.Context(), p)
	require.NoError(t, err)
	return sum
}

func rollback(t *testing.T, p *plan.Plan, name string) *plan.Plan {
	t.Helper()
	back, err := plan.Rollback(p, name)
	require.NoError(t, err)
	return back
}

// withoutKept leaves out of a state what is kept aside.
func withoutKept(state string) string {
	var b strings.Builder
	for line := range strings.Lines(state) {
		if !strings.Contains(line, ".kept/") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// A change of settings is undone to the last byte, mode and unit, also when
// the rollback fails at each of its calls and is run again.
func TestRollbackOfAChange(t *testing.T) {
	cfg := sweepConfig(t)
	before, err := planFor(cfg)
	require.NoError(t, err)
	cfg.Cluster.Etcd.Heartbeat = quorate.Duration(200 * time.Millisecond)
	cfg.Cluster.Etcd.Election = quorate.Duration(2 * time.Second)
	cfg.Cluster.Endpoint.VIP.Rise = 4
	after, err := planFor(cfg)
	require.NoError(t, err)
	back := rollback(t, after, "change")

	// interrupted returns how many calls the rollback makes, of which call k fails and is tried again.
	interrupted := func(t *testing.T, k int) (calls int) {
		hosts := fakeCluster(t, cfg.Cluster)
		mustRun(t.Context(), t, hosts, before)
		old := stateOf(t, hosts)
		keeping(t, hosts, after, "change")
		changed := stateOf(t, hosts)
		require.NotEqual(t, old, changed)
		require.Contains(t, changed, hostpath.Undo+"/change/")
		other, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), rollback(t, after, "another"))
		require.NoError(t, err)
		require.False(t, other.Changed(), "what another run kept was undone")

		for _, node := range cfg.Cluster.Nodes {
			hosts.Host(node.Name).Inject(faketransport.Fault{
				On:    func(faketransport.Op) bool { calls++; return calls == k },
				After: faketransport.ResetAfter,
			})
		}
		_, _ = (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), back)
		for _, node := range cfg.Cluster.Nodes {
			hosts.Host(node.Name).Heal()
		}
		mustRun(t.Context(), t, hosts, back)
		require.Equal(t, old, stateOf(t, hosts), "call %d", k)
		require.False(t, mustRun(t.Context(), t, hosts, back).Changed())
		require.False(t, mustRun(t.Context(), t, hosts, before).Changed(), "the rolled back cluster is not the one before")
		return calls
	}
	calls := 0
	bubble.Test(t, func(t *testing.T) { calls = interrupted(t, 0) })
	require.Positive(t, calls)
	const side = 2 // by side
	for first := range side {
		t.Run(fmt.Sprintf("from call %d", first+1), func(t *testing.T) {
			t.Parallel()
			for k := 1 + first*min(sweepStep, 13); k <= calls; k += side * min(sweepStep, 13) {
				bubble.Test(t, func(t *testing.T) { interrupted(t, k) })
				if t.Failed() {
					t.Fatalf("call %d of %d", k, calls)
				}
			}
		})
	}
}

// A run that made a cluster is undone to the hosts as they were, in reverse order;
// only what etcd made itself is kept aside.
func TestRollbackOfANewCluster(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := config(t, hafixture.Three())
		cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
		cfg.Untaint = true
		create, err := planFor(cfg)
		require.NoError(t, err)
		hosts := fakeCluster(t, cfg.Cluster)
		bare := stateOf(t, hosts)
		keeping(t, hosts, create, "first")
		require.Len(t, hosts.Nodes(), 4)
		mustRun(t.Context(), t, hosts, rollback(t, create, "first"))
		got := withoutKept(stateOf(t, hosts))
		cut := func(state string) string { return state[:strings.LastIndex(strings.TrimSpace(state), "\n")] }
		require.Equal(t, cut(bare), cut(got), "all but the nodes and members that the simulation remembers")
		mustRun(t.Context(), t, hosts, create)
		require.Len(t, hosts.Nodes(), 4)
	})
}

// oneWay writes a file and has no way back.
type oneWay struct{}

func (oneWay) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	found, err := h.Stat(ctx, "/etc/oneway")
	if err != nil || found[0].Exists {
		return nil, err
	}
	return plan.Diff{{Verb: "create", Subject: "/etc/oneway"}}, nil
}

func (oneWay) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error {
	return h.Write(ctx, transport.File{Path: "/etc/oneway", Mode: 0o644, Owner: "root", Group: "root", Data: transport.Bytes([]byte("x"))})
}

// dangerous has no way back, and says so.
type dangerous struct{ oneWay }

func (dangerous) Backup(context.Context, *plan.Host, plan.Diff, string) error {
	return &plan.IrreversibleError{Reason: "others have seen it"}
}

func (dangerous) Undo(context.Context, *plan.Host, string) error { return errors.New("undone") }

// A step whose Action cannot be undone is named beforehand and at the end, and
// everything else is undone: of an Action that is no Reverter nobody knows that it
// needs what came before it.
func TestRollbackPastStepWithoutUndo(t *testing.T) {
	hosts := fakeCluster(t, hafixture.Three())
	file := func(id plan.ID, path string, after ...plan.ID) plan.Step {
		return plan.Step{ID: id, Host: "cp-1", After: after, Action: plan.Deploy{
			Files: []quorate.File{{Path: path, Content: quorate.Public([]byte(path))}},
		}}
	}
	p, err := plan.New(
		file("one", "/etc/one"), file("two", "/etc/two", "one"),
		plan.Step{ID: "mine", Host: "cp-1", After: []plan.ID{"two"}, Action: oneWay{}},
		file("last", "/etc/last", "mine"),
	)
	require.NoError(t, err)
	require.Equal(t, []plan.ID{"mine"}, p.Irreversible())
	var first plan.Event
	observe := func(e plan.Event) {
		if e.Kind == plan.RunStarted {
			first = e
		}
	}
	_, err = (&plan.Runner{Transport: hosts, BackupAs: "r", Observe: observe}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, []plan.ID{"mine"}, first.Irreversible, "not said beforehand")

	var order []plan.ID
	_, err = (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		if e.Outcome == plan.Changed {
			order = append(order, e.Step)
		}
	}}).Run(t.Context(), rollback(t, p, "r"))
	var run *plan.RunError
	require.ErrorAs(t, err, &run)
	require.Empty(t, run.NotReached)
	require.Len(t, run.Failed, 1)
	var irreversible *plan.IrreversibleError
	require.ErrorAs(t, err, &irreversible)
	require.Equal(t, plan.ID("mine"), irreversible.Step)
	require.Equal(t, []plan.ID{"undo/last", "undo/two", "undo/one"}, order)
	for path, left := range map[string]bool{"/etc/one": false, "/etc/two": false, "/etc/last": false, "/etc/oneway": true} {
		_, err := hosts.Host("cp-1").File(path)
		require.Equal(t, left, err == nil, path)
	}
}

// Every step of the recipe that changes something is undone, or says itself that it
// cannot be.
func TestRecipeIsUndoable(t *testing.T) {
	p, err := planFor(config(t, hafixture.Three()))
	require.NoError(t, err)
	require.Empty(t, p.Irreversible())
}

// What cannot be undone is named, with what it came after left as it is.
func TestIrreversibleStepsAreNamed(t *testing.T) {
	hosts := fakeCluster(t, hafixture.Three())
	file := func(id plan.ID, path string, after ...plan.ID) plan.Step {
		return plan.Step{ID: id, Host: "cp-1", After: after, Action: plan.Deploy{
			Files: []quorate.File{{Path: path, Content: quorate.Public([]byte(path))}},
		}}
	}
	p, err := plan.New(
		file("below", "/etc/below"),
		plan.Step{ID: "oneway", Host: "cp-1", After: []plan.ID{"below"}, Action: dangerous{}},
		file("above", "/etc/above", "oneway"), file("beside", "/etc/beside"),
	)
	require.NoError(t, err)
	keeping(t, hosts, p, "r")
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), rollback(t, p, "r"))
	var irreversible *plan.IrreversibleError
	require.ErrorAs(t, err, &irreversible)
	require.Equal(t, plan.ID("oneway"), irreversible.Step)
	var run *plan.RunError
	require.True(t, errors.As(err, &run))
	require.Equal(t, []plan.ID{"undo/below"}, run.NotReached)
	for path, left := range map[string]bool{"/etc/below": true, "/etc/above": false, "/etc/beside": false} {
		_, err := hosts.Host("cp-1").File(path)
		require.Equal(t, left, err == nil, path)
	}
	for _, name := range []string{"", "a/b", "..", "-x", strings.Repeat("x", 65)} {
		_, err := plan.Rollback(p, name)
		require.Error(t, err, name)
	}
	_, err = (&plan.Runner{Transport: hosts, BackupAs: "../x"}).Run(t.Context(), p)
	require.ErrorContains(t, err, `run "../x"`)
}
