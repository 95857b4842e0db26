package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/vip"
)

func balanced() quorate.Cluster {
	c := three()
	c.Endpoint.LoadBalancer = quorate.HAProxy
	return c
}

// haproxy runs on the control planes and nowhere else; a second run changes
// nothing; one whose configuration drifted is started anew.
func TestHAProxyBeforeTheAPIServers(t *testing.T) {
	c := balanced()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	p, err := plan.HA(cfg)
	require.NoError(t, err)
	runner := plan.Runner{Transport: hosts}
	_, err = runner.Run(t.Context(), p)
	require.NoError(t, err)
	for _, n := range c.Nodes {
		require.Equal(t, n.Role == quorate.ControlPlane, hosts.Active(n.Name, "haproxy.service"), n.Name)
	}
	sum, err := runner.Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, sum.Changed())

	drifted, err := hosts.Host("cp-2").File(vip.HAProxyConfigPath)
	require.NoError(t, err)
	drifted.Data = transport.Bytes(nil)
	require.NoError(t, hosts.Host("cp-2").Put(drifted))
	require.True(t, hosts.Outdated("cp-2", "haproxy.service"))
	_, err = runner.Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, hosts.Outdated("cp-2", "haproxy.service"))

}

// kubeadm and everything it configures go through haproxy; the API servers
// themselves keep their port.
func TestHAProxyHasAPortOfItsOwn(t *testing.T) {
	files, err := plan.Files(config(t, balanced()))
	require.NoError(t, err)
	text := func(node, path string) string {
		at := slices.IndexFunc(files[node], func(f quorate.File) bool { return f.Path == path })
		require.GreaterOrEqual(t, at, 0, "%s on %s", path, node)
		return string(files[node][at].Content.Bytes())
	}
	require.Contains(t, text("cp-1", "/etc/kubernetes/kubeadm-init.yaml"), "controlPlaneEndpoint: 192.0.2.10:8443\n")
	require.Contains(t, text("cp-1", "/etc/kubernetes/kubeadm-init.yaml"), "bindPort: 6443\n")
	require.Contains(t, text("worker-1", "/etc/kubernetes/kubeadm-join.yaml"), "apiServerEndpoint: 192.0.2.10:8443\n")
	require.Contains(t, text("cp-2", vip.CheckPath), "url=https://192.0.2.12:8443/readyz\n")
	require.Contains(t, text("cp-2", vip.HAProxyConfigPath), "server cp-1 192.0.2.11:6443 verifyhost cp-1\n")
}

// withoutCA is a source of certificates that leaves the authority to kubeadm.
type withoutCA struct{ plan.Certs }

func (w withoutCA) ControlPlane(node string) ([]quorate.File, error) {
	files, err := w.Certs.ControlPlane(node)
	return slices.DeleteFunc(files, func(f quorate.File) bool { return strings.HasSuffix(f.Path, "/pki/ca.crt") }), err
}

func TestHAProxyNeedsTheAuthority(t *testing.T) {
	cfg := config(t, balanced())
	cfg.Certs = withoutCA{cfg.Certs}
	_, err := plan.HA(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "certs", invalid.Problems[0].Path)
	require.ErrorContains(t, err, "/etc/kubernetes/pki/ca.crt")
}

// haproxy trusts a copy of its own of the authority: a new one restarts it.
func TestHAProxyTrustsTheClustersAuthority(t *testing.T) {
	files, err := plan.Files(config(t, balanced()))
	require.NoError(t, err)
	var found []string
	for _, f := range files["cp-1"] {
		if f.Path == vip.HAProxyCAPath || f.Path == vip.DefaultCAFile {
			found = append(found, string(f.Content.Bytes()))
		}
	}
	require.Len(t, found, 2)
	require.Equal(t, found[0], found[1])
}

// Hosts are refused that lack haproxy, or have one that would not take the
// configuration; workers need none.
func TestHAProxyMustBeThere(t *testing.T) {
	const newer = "install haproxy 2.4 or later"
	const orNot = newer + ", or leave endpoint.loadBalancer out"
	for name, tt := range map[string]struct {
		line string
		node int
		want []plan.HostFault
	}{
		"missing":    {want: []plan.HostFault{{Found: "haproxy is not installed", Do: orNot}}},
		"a worker":   {node: 3},
		"old":        {line: "HA-Proxy version 2.2.9-2+deb11u6 2023/12/13 - https://haproxy.org/", want: []plan.HostFault{{Found: "haproxy is 2.2", Do: orNot}}},
		"older":      {line: "HA-Proxy version 1.8.27-493ce0b 2020/11/06", want: []plan.HostFault{{Found: "haproxy is 1.8", Do: orNot}}},
		"unreadable": {line: "usage", want: []plan.HostFault{{Found: `haproxy gives its version as "usage"`, Do: newer}}},
		"the least":  {line: "HAProxy version 2.4.0-6cbbecf 2021/05/14 - https://haproxy.org/"},
		"new":        {line: "HAProxy version 10.0.1 2031/01/01"},
	} {
		t.Run(name, func(t *testing.T) {
			c := balanced().WithDefaults()
			tr, h := fakeHost(t)
			programs := rightPrograms()
			if tt.line != "" {
				programs["haproxy"] = tt.line
			}
			install(h, programs)
			prepared, err := plan.Present{}.Prepare(c, c.Nodes[tt.node])
			require.NoError(t, err)
			_, err = runOne(t, tr, preparation(t, prepared, "binaries"), false)
			if tt.want == nil {
				require.NoError(t, err)
				return
			}
			var host *plan.HostError
			require.ErrorAs(t, err, &host)
			require.Equal(t, tt.want, host.Faults)
		})
	}
}

func TestHAProxyIsAmongThePackages(t *testing.T) {
	names := func(c quorate.Cluster, node int) string {
		prepared, err := plan.Packages{}.Prepare(c.WithDefaults(), c.Nodes[node])
		require.NoError(t, err)
		var b strings.Builder
		for _, in := range preparation(t, prepared, "packages").(plan.Describer).Describe().Inputs {
			b.Write(in.Bytes())
		}
		return b.String()
	}
	require.Contains(t, names(balanced(), 0), `["haproxy"]`)
	require.NotContains(t, names(balanced(), 3), "haproxy")
	require.NotContains(t, names(three(), 0), "haproxy")
}
