package software_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
)

// Hosts are refused that lack haproxy, or have one that would not take the
// configuration; workers need none.
func TestHAProxyVersions(t *testing.T) {
	const newer = "install haproxy 2.4 or later"
	const orNot = newer + ", or leave endpoint.loadBalancer out"
	for name, tt := range map[string]struct {
		line string
		node int
		want []plan.Finding
	}{
		"missing":    {want: []plan.Finding{{Found: "haproxy is not installed", Do: orNot}}},
		"a worker":   {node: 3},
		"old":        {line: "HA-Proxy version 2.2.9-2+deb11u6 2023/12/13 - https://haproxy.org/", want: []plan.Finding{{Found: "haproxy is 2.2", Do: orNot}}},
		"older":      {line: "HA-Proxy version 1.8.27-493ce0b 2020/11/06", want: []plan.Finding{{Found: "haproxy is 1.8", Do: orNot}}},
		"unreadable": {line: "usage", want: []plan.Finding{{Found: `haproxy prints "usage" as its version`, Do: newer}}},
		"the least":  {line: "HAProxy version 2.4.0-6cbbecf 2021/05/14 - https://haproxy.org/"},
		"new":        {line: "HAProxy version 10.0.1 2031/01/01"},
	} {
		t.Run(name, func(t *testing.T) {
			c := hafixture.Balanced().WithDefaults()
			tr, h := fixture.FakeHost(t)
			programs := rightPrograms()
			if tt.line != "" {
				programs["haproxy"] = tt.line
			}
			install(h, programs)
			prepared, err := software.Present{}.Prepare(c, c.Nodes[tt.node])
			require.NoError(t, err)
			_, err = hafixture.RunOne(t, tr, hafixture.Preparation(t, prepared, "binaries"), false)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var host *plan.HostError
			require.ErrorAs(t, err, &host)
			require.Equal(t, tt.want, host.Findings)
		})
	}
}

func TestPackagesIncludeHAProxy(t *testing.T) {
	names := func(c quorate.Cluster, node int) string {
		prepared, err := software.Packages{}.Prepare(c.WithDefaults(), c.Nodes[node])
		require.NoError(t, err)
		var b strings.Builder
		for _, in := range hafixture.Preparation(t, prepared, "packages").(plan.Describer).Describe().Inputs {
			b.Write(in.Bytes())
		}
		return b.String()
	}
	require.Contains(t, names(hafixture.Balanced(), 0), `["haproxy"]`)
	require.NotContains(t, names(hafixture.Balanced(), 3), "haproxy")
	require.NotContains(t, names(hafixture.Three(), 0), "haproxy")
}
