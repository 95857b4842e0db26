package plan_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate/plan"
)

// nothing is an action with nothing to do.
type nothing struct{}

func (nothing) Check(context.Context, *plan.Host) (plan.Diff, error) { return nil, nil }

func (nothing) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

func (nothing) Describe() plan.Description { return plan.Description{Kind: "example.com/nothing"} }

func step(id plan.ID, host string, after ...plan.ID) plan.Step {
	return plan.Step{ID: id, Host: host, After: after, Action: nothing{}}
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	_, err := plan.New(
		step("a", "h", "b"),
		step("b", "h", "a"),
		step("c", "h", "nowhere"),
		step("c", "h"),
		plan.Step{},
	)
	var graph *plan.GraphError
	require.ErrorAs(t, err, &graph)
	require.ElementsMatch(t, []string{
		`step "c" comes after "nowhere", which the plan does not have`,
		`steps 2 and 3 have the same ID "c"`,
		`step 4 has no ID`,
		`step "" has no host`,
		`step "" has no action`,
		`steps wait for each other: "a" after "b" after "a"`,
	}, graph.Faults)
}

// Whatever edges are drawn, New accepts exactly the graphs without a cycle,
// and names a real cycle where it refuses.
func TestNewAcceptsExactlyAcyclicGraphs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "steps")
		edges := make([][]int, n)
		steps := make([]plan.Step, n)
		for i := range n {
			edges[i] = rapid.SliceOfNDistinct(rapid.IntRange(0, n-1), 0, 3, rapid.ID[int]).Draw(t, "after")
			steps[i] = plan.Step{ID: name(i), Host: "h", Action: nothing{}}
			for _, j := range edges[i] {
				steps[i].After = append(steps[i].After, name(j))
			}
		}
		_, err := plan.New(steps...)
		require.Equal(t, hasCycle(edges), err != nil)
	})
}

func name(i int) plan.ID { return plan.ID(fmt.Sprintf("s%d", i)) }

// hasCycle is a depth-first search, another algorithm than New's.
func hasCycle(edges [][]int) bool {
	colour := make([]int, len(edges))
	var visit func(int) bool
	visit = func(i int) bool {
		colour[i] = 1
		for _, j := range edges[i] {
			if colour[j] == 1 || colour[j] == 0 && visit(j) {
				return true
			}
		}
		colour[i] = 2
		return false
	}
	for i := range edges {
		if colour[i] == 0 && visit(i) {
			return true
		}
	}
	return false
}

func TestPlanSteps(t *testing.T) {
	p, err := plan.New(step("a", "one"), step("b", "two", "a"), step("c", "one"))
	require.NoError(t, err)
	require.Equal(t, 3, p.Len())
	require.Equal(t, []string{"one", "two"}, p.Hosts())
	b, ok := p.Step("b")
	require.True(t, ok)
	require.Equal(t, []plan.ID{"a"}, b.After)
	_, ok = p.Step("z")
	require.False(t, ok)
}
