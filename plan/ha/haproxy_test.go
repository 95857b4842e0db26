package ha_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/vip"
)

// haproxy runs on the control planes and nowhere else; a second run changes
// nothing; one whose configuration drifted is started again.
func TestHAProxyBeforeTheAPIServers(t *testing.T) {
	c := hafixture.Balanced()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	p, err := planFor(cfg)
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
	require.NotEmpty(t, hosts.Outdated("cp-2", "haproxy.service"))
	_, err = runner.Run(t.Context(), p)
	require.NoError(t, err)
	require.Empty(t, hosts.Outdated("cp-2", "haproxy.service"))

}

// kubeadm and everything it configures go through haproxy; the API servers
// themselves keep their port.
func TestHAProxyPort(t *testing.T) {
	files, err := filesFor(config(t, hafixture.Balanced()))
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
type withoutCA struct{ ha.Certs }

func (w withoutCA) ControlPlane(ctx context.Context, node string) ([]quorate.File, error) {
	files, err := w.Certs.ControlPlane(ctx, node)
	return slices.DeleteFunc(files, func(f quorate.File) bool { return strings.HasSuffix(f.Path, "/pki/ca.crt") }), err
}

func TestHAProxyWithoutAuthority(t *testing.T) {
	cfg := config(t, hafixture.Balanced())
	cfg.Certs = withoutCA{cfg.Certs}
	_, err := planFor(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "certs.controlPlane[cp-1]", invalid.Problems[0].Path)
	require.ErrorContains(t, err, "/etc/kubernetes/pki/ca.crt")
}

// haproxy trusts a copy of its own of the authority: a new one restarts it.
func TestHAProxyTrustsTheClustersAuthority(t *testing.T) {
	files, err := filesFor(config(t, hafixture.Balanced()))
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
