package ha_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

// Every Action of every plan says of what kind it is, one kind each.
func TestActionsDeclareTheirKinds(t *testing.T) {
	t.Parallel()
	kinds := map[string]string{} // the Go type of each
	look := func(p *plan.Plan, err error) {
		t.Helper()
		require.NoError(t, err)
		for _, s := range p.Steps() {
			d, ok := s.Action.(plan.Describer)
			require.True(t, ok, "%s: %T does not describe itself", s.ID, s.Action)
			kind, typ := d.Describe().Kind, fmt.Sprintf("%T", s.Action)
			require.True(t, strings.HasPrefix(kind, "quorate/"), "%s: %T has the kind %q", s.ID, s.Action, kind)
			if known, again := kinds[kind]; again {
				require.Equal(t, known, typ, "two types of one kind")
			}
			kinds[kind] = typ
		}
	}
	_, archive := hafixture.Archive("registry.k8s.io/pause:3.10")
	for _, source := range []software.Source{nil, software.Packages{}, software.Pushed{Images: []software.ImageArchive{archive}}} {
		for _, minor := range []int{24, 37} { // before 1.34 the runtime's cgroup driver is read
			c := hafixture.Balanced()
			c.Version = quorate.Version{Major: 1, Minor: minor}
			cfg := config(t, c)
			cfg.Prerequisites, cfg.Untaint = source, true
			cfg.Manifests = []ha.Manifest{{Name: "net", Content: quorate.Public([]byte("kind: A\n"))}}
			p, err := planFor(cfg)
			look(p, err)
			look(plan.Rollback(p, "run"))
			look(reconfigureFor(cfg))
			look(resetFor(cfg, ha.ResetConfig{Nodes: []string{"cp-2", "worker-1"}}))
		}
	}
	require.Greater(t, len(kinds), 20)
}
