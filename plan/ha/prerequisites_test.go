package ha_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// addressed returns the cluster of three with addresses and networks of families.
func addressed(v4, v6 bool) quorate.Cluster {
	c := hafixture.Three()
	if v4 {
		c.Pods, c.Services = prefixes("10.244.0.0/16"), prefixes("10.96.0.0/16")
	}
	if !v6 {
		return c
	}
	c.Pods, c.Services = append(c.Pods, prefixes("fd00:244::/48")...), append(c.Services, prefixes("fd00:96::/112")...)
	address := netip.MustParseAddr("2001:db8::10")
	for i := range c.Nodes {
		if !v4 {
			c.Nodes[i].Addresses = nil
		}
		address = address.Next()
		c.Nodes[i].Addresses = append(c.Nodes[i].Addresses, address)
	}
	if !v4 {
		c.Endpoint.Host, c.Endpoint.VIP.Subnet = "2001:db8::ff", netip.MustParsePrefix("2001:db8::/64")
	}
	return c
}

func prefixes(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }

func TestKernelSettingsOfBothFamilies(t *testing.T) {
	const comment = "# What Kubernetes nodes need to route pods' traffic.\n"
	const v4, v6 = "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"
	for name, tt := range map[string]struct {
		cluster quorate.Cluster
		keys    []string
	}{
		"IPv4": {addressed(true, false), []string{v4}},
		"IPv6": {addressed(false, true), []string{v6}},
		"both": {addressed(true, true), []string{v4, v6}},
	} {
		t.Run(name, func(t *testing.T) {
			hosts := fakeCluster(t, tt.cluster)
			full, err := planFor(config(t, tt.cluster))
			require.NoError(t, err)
			step, ok := full.Step("prerequisites/cp-1/kernel")
			require.True(t, ok)
			const file = "/etc/sysctl.d/99-quorate.conf"
			want, content := []string{"create " + file}, comment
			for _, key := range tt.keys {
				want, content = append(want, "set "+key+" (0, want 1)"), content+key+" = 1\n"
			}

			diff, err := hafixture.RunOne(t, hosts.Transport, step.Action, false)
			require.NoError(t, err)
			require.Equal(t, want, hafixture.Changes(diff))
			got, err := hosts.Host("cp-1").File(file)
			require.NoError(t, err)
			require.Equal(t, content, string(got.Data.Bytes()))

			diff, err = hafixture.RunOne(t, hosts.Transport, step.Action, false)
			require.NoError(t, err)
			require.Empty(t, diff, "the second run changes nothing")

			// The file is right, and something else has changed the kernel.
			argv := append([]string{"sysctl"}, tt.keys...)
			hosts.Host("cp-1").Handle(faketransport.Exact(argv...), faketransport.Reply(tt.keys[0]+" = 0\n"))
			diff, err = hafixture.RunOne(t, hosts.Transport, step.Action, true)
			require.NoError(t, err)
			require.Contains(t, hafixture.Changes(diff), "set "+tt.keys[0]+" (0, want 1)")
			require.NotContains(t, hafixture.Changes(diff), "update "+file)
		})
	}
}
