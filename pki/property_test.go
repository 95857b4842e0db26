package pki_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

func clusters() *rapid.Generator[quorate.Cluster] {
	name := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?(\.[a-z0-9]{1,10}){0,2}`)
	v4 := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom4([4]byte(append([]byte{10}, rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "v4")...)))
	})
	v6 := rapid.Custom(func(t *rapid.T) netip.Addr {
		return netip.AddrFrom16([16]byte(append([]byte{0xfd}, rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "v6")...)))
	})
	mapped := rapid.Map(v4, func(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) })
	loopback := rapid.SampledFrom([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.3"), netip.IPv6Loopback()})
	return rapid.Custom(func(t *rapid.T) quorate.Cluster {
		var c quorate.Cluster
		for _, n := range rapid.SliceOfNDistinct(name, 1, 7, rapid.ID[string]).Draw(t, "names") {
			c.Nodes = append(c.Nodes, quorate.Node{
				Name: n, Role: quorate.ControlPlane,
				Addresses: rapid.SliceOfN(rapid.OneOf(v4, v6, mapped, loopback), 1, 3).Draw(t, "addresses"),
			})
		}
		return c
	})
}

// Whatever the names and addresses, everything verifies, every leaf holds its
// node's names and addresses and loopback's and no other, and the store loads
// as the same bundle.
func TestAnyClusterVerifies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := clusters().Draw(t, "cluster")
		b, err := pki.New(c, at(epoch))
		require.NoError(t, err)
		require.NoError(t, b.Verify())
		for _, n := range c.Nodes {
			want := map[string]bool{n.Name: true, "localhost": true, "127.0.0.1": true, "::1": true}
			for _, a := range n.Addresses {
				want[a.Unmap().String()] = true
			}
			for _, kind := range []pki.LeafKind{pki.EtcdServer, pki.EtcdPeer} {
				leaf, err := b.Leaf(n.Name, kind)
				require.NoError(t, err)
				got := slices.Clone(leaf.DNSNames)
				for _, ip := range leaf.IPAddresses {
					got = append(got, ip.String())
				}
				assert.Len(t, got, len(want), "%s", got)
				for _, name := range got {
					assert.True(t, want[name], name)
				}
				for name := range want {
					require.NoError(t, leaf.VerifyHostname(name))
				}
			}
		}
		again, changes, err := pki.Load(fsOf(b.Store()), c, at(epoch))
		require.NoError(t, err)
		assert.Empty(t, changes)
		assert.Equal(t, b.Store(), again.Store())
	})
}

// Whatever is in a store, Load returns a bundle that verifies or an error, and
// never replaces an authority.
func FuzzLoad(f *testing.F) {
	c := clusterOf(1)
	whole := newBundle(f, c, at(epoch)).Store()
	for i, file := range whole {
		f.Add(uint8(i), file.Content.Bytes())
		f.Add(uint8(i+1), file.Content.Bytes())
		f.Add(uint8(i), file.Content.Bytes()[:file.Content.Len()/2])
	}
	f.Add(uint8(0), []byte("-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, which uint8, data []byte) {
		store := fsOf(whole)
		path := whole[int(which)%len(whole)].Path
		store[path].Data = data
		b, changes, err := pki.Load(store, c, at(epoch))
		if err != nil {
			assert.Nil(t, b)
			assert.Contains(t, err.Error(), strings.TrimSuffix(strings.TrimSuffix(path, ".crt"), ".key")[:5])
			return
		}
		require.NoError(t, b.Verify())
		for _, change := range changes.Issued {
			assert.NotContains(t, change.File, "ca.crt")
			assert.NotContains(t, change.File, "sa.key")
		}
	})
}

// FuzzParseAuthority: no bytes make it panic, and what it takes can sign.
func FuzzParseAuthority(f *testing.F) {
	root := newRoot(f, "root", epoch)
	f.Add(root.certPEM, root.keyPEM)
	f.Add(root.keyPEM, root.certPEM)
	f.Fuzz(func(t *testing.T, certPEM, keyPEM []byte) {
		a, err := pki.ParseAuthority(certPEM, keyPEM)
		if err != nil {
			return
		}
		assert.NotEmpty(t, fmt.Sprint(a))
	})
}
