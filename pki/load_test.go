package pki_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

func TestStoreAndLoadRoundTrip(t *testing.T) {
	c := clusterOf(3)
	b := newBundle(t, c, at(epoch))
	again, changes, err := pki.Load(fsOf(b.Store()), c, at(epoch))
	require.NoError(t, err)
	assert.Empty(t, changes.Issued)
	assert.Empty(t, changes.Orphans)
	assert.Equal(t, b.Store(), again.Store())
	for _, node := range []string{"cp-1", "cp-2", "cp-3"} {
		for _, files := range []func(*pki.Bundle) any{
			func(b *pki.Bundle) any {
				f, err := b.EtcdMember(context.Background(), node)
				require.NoError(t, err)
				return f
			},
			func(b *pki.Bundle) any {
				f, err := b.ControlPlane(context.Background(), node)
				require.NoError(t, err)
				return f
			},
		} {
			assert.Equal(t, files(b), files(again))
		}
	}
}

func TestLoadOfNothingIssuesEverything(t *testing.T) {
	_, changes, err := pki.Load(fstest.MapFS{}, clusterOf(1), at(epoch))
	require.NoError(t, err)
	var files []string
	for _, c := range changes.Issued {
		assert.Equal(t, pki.Missing, c.Reason)
		files = append(files, c.File)
	}
	assert.Equal(t, []string{
		"etcd/ca.crt", "kubernetes/ca.crt", "front-proxy/ca.crt", "service-account/sa.key", "operator/etcd-client.crt",
		"nodes/cp-1/etcd-server.crt", "nodes/cp-1/etcd-peer.crt", "nodes/cp-1/apiserver-etcd-client.crt",
	}, files)
}

func TestAddingAndRemovingANode(t *testing.T) {
	three := newBundle(t, clusterOf(3), at(epoch)).Store()
	five, changes, err := pki.Load(fsOf(three), clusterOf(5), at(epoch))
	require.NoError(t, err)
	assert.Equal(t, []pki.Change{
		{File: "nodes/cp-4/etcd-server.crt", Reason: pki.Missing},
		{File: "nodes/cp-4/etcd-peer.crt", Reason: pki.Missing},
		{File: "nodes/cp-4/apiserver-etcd-client.crt", Reason: pki.Missing},
		{File: "nodes/cp-5/etcd-server.crt", Reason: pki.Missing},
		{File: "nodes/cp-5/etcd-peer.crt", Reason: pki.Missing},
		{File: "nodes/cp-5/apiserver-etcd-client.crt", Reason: pki.Missing},
	}, changes.Issued)
	assert.Subset(t, five.Store(), three, "what was there stays as it was")

	back, changes, err := pki.Load(fsOf(five.Store()), clusterOf(3), at(epoch))
	require.NoError(t, err)
	assert.Equal(t, pki.Changes{Orphans: []string{"cp-4", "cp-5"}}, changes)
	assert.Equal(t, three, back.Store())
}

func TestReissueLeaves(t *testing.T) {
	day := 24 * time.Hour
	all := []string{
		"operator/etcd-client.crt", "nodes/cp-1/etcd-server.crt", "nodes/cp-1/etcd-peer.crt", "nodes/cp-1/apiserver-etcd-client.crt",
	}
	memberLeaves := all[1:3]
	for name, c := range map[string]struct {
		first pki.Config // zero: at(epoch)
		node  func(*quorate.Node)
		again func(*pki.Config)
		want  []string
		why   pki.Reason
	}{
		"nothing": {},
		"another address": {
			node: func(n *quorate.Node) { n.Addresses = []netip.Addr{netip.MustParseAddr("198.51.100.7")} },
			want: memberLeaves, why: pki.Mismatch,
		},
		"one address fewer": {
			node: func(n *quorate.Node) { n.Addresses = n.Addresses[:1] }, want: memberLeaves, why: pki.Mismatch,
		},
		"addresses in another order": {
			node: func(n *quorate.Node) { n.Addresses[0], n.Addresses[1] = n.Addresses[1], n.Addresses[0] },
		},
		"another client name": {
			again: func(c *pki.Config) { c.APIServerClientName = "client" }, want: all[3:], why: pki.Mismatch,
		},
		"a month and a day before the end": {again: clock(pki.DefaultExpiry - 31*day)},
		"a month before the end":           {again: clock(pki.DefaultExpiry - 30*day + time.Second), want: all, why: pki.Expiring},
		"after the end":                    {again: clock(pki.DefaultExpiry + day), want: all, why: pki.Expiring},
		"renewal sooner": {
			again: func(c *pki.Config) { c.RenewBefore = pki.DefaultExpiry - day; clock(2 * day)(c) }, want: all, why: pki.Expiring,
		},
		"clock gone back": {again: clock(-4 * time.Minute)},
		// The leaves end with their authority: new ones would end no later.
		"at the authority's end": {
			first: pki.Config{Now: at(epoch).Now, Keys: at(epoch).Keys, CAValidity: 10 * day}, again: clock(9 * day),
		},
		"short profile": {
			first: short(epoch), again: func(c *pki.Config) { *c = short(epoch.Add(119 * time.Minute)) },
		},
		"short profile, late": {
			first: short(epoch), again: func(c *pki.Config) { *c = short(epoch.Add(121 * time.Minute)) }, want: all, why: pki.Expiring,
		},
	} {
		t.Run(name, func(t *testing.T) {
			first := c.first
			if first.Now == nil {
				first = at(epoch)
			}
			cluster := clusterOf(1)
			store := newBundle(t, cluster, first).Store()
			again := at(epoch)
			if c.node != nil {
				c.node(&cluster.Nodes[0])
			}
			if c.again != nil {
				c.again(&again)
			}
			b, changes, err := pki.Load(fsOf(store), cluster, again)
			require.NoError(t, err)
			var got []string
			for _, change := range changes.Issued {
				got = append(got, change.File)
				assert.Equal(t, c.why, change.Reason)
				assert.NotEmpty(t, change.Detail)
			}
			assert.Equal(t, c.want, got)
			require.NoError(t, b.Verify())

			_, changes, err = pki.Load(fsOf(b.Store()), cluster, again)
			require.NoError(t, err)
			assert.Empty(t, changes.Issued, "once is enough")
		})
	}
}

func clock(after time.Duration) func(*pki.Config) {
	return func(c *pki.Config) { c.Now = at(epoch.Add(after)).Now }
}

// short returns leaves of three hours.
func short(now time.Time) pki.Config {
	cfg := at(now)
	cfg.Profiles = pki.DefaultProfiles()
	for name, p := range cfg.Profiles {
		cfg.Profiles[name] = pki.Profile{Expiry: 3 * time.Hour, Usages: p.Usages}
	}
	return cfg
}

func TestDamagedStores(t *testing.T) {
	c := clusterOf(2)
	whole := newBundle(t, c, at(epoch)).Store()
	other := newBundle(t, c, at(epoch)).Store()
	garbage := []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	swap := func(from, to string) func(fstest.MapFS) {
		return func(m fstest.MapFS) { m[to] = &fstest.MapFile{Data: m[from].Data} }
	}
	set := func(path string, data []byte) func(fstest.MapFS) {
		return func(m fstest.MapFS) { m[path] = &fstest.MapFile{Data: data} }
	}
	for name, d := range map[string]struct {
		damage func(fstest.MapFS)
		file   string
		says   string
	}{
		"empty authority":         {set("etcd/ca.crt", nil), "etcd/ca.crt", "no PEM certificate"},
		"garbage authority":       {set("kubernetes/ca.crt", garbage), "kubernetes/ca.crt", "certificate 1"},
		"key for a certificate":   {swap("etcd/ca.key", "etcd/ca.crt"), "etcd/ca.crt", "no certificate"},
		"certificate for a key":   {swap("etcd/ca.crt", "etcd/ca.key"), "etcd/ca.key", "no PEM private key"},
		"another authority's key": {swap("kubernetes/ca.key", "front-proxy/ca.key"), "front-proxy/ca.key", "does not belong to the certificate front-proxy/ca.crt"},
		"a leaf as an authority": {func(m fstest.MapFS) {
			swap("nodes/cp-1/etcd-peer.crt", "etcd/ca.crt")(m)
			swap("nodes/cp-1/etcd-peer.key", "etcd/ca.key")(m)
		}, "etcd/ca.crt", "may not sign"},
		"authority without itself": {func(m fstest.MapFS) { delete(m, "kubernetes/ca.crt") }, "kubernetes/ca.crt", "missing beside its key"},
		"authority lost":           {func(m fstest.MapFS) { delete(m, "etcd/ca.crt"); delete(m, "etcd/ca.key") }, "etcd/ca.crt", "would cut off"},
		"service account lost":     {func(m fstest.MapFS) { delete(m, "service-account/sa.key"); delete(m, "service-account/sa.pub") }, "service-account/sa.key", "would cut off"},
		"private half lost":        {func(m fstest.MapFS) { delete(m, "service-account/sa.key") }, "service-account/sa.key", "missing beside"},
		"another public half":      {set("service-account/sa.pub", content(t, other, "service-account/sa.pub")), "service-account/sa.pub", "not the public key"},
		"leaf of another store": {func(m fstest.MapFS) {
			for _, x := range []string{".crt", ".key"} {
				p := "nodes/cp-2/etcd-server" + x
				set(p, content(t, other, p))(m)
			}
		}, "nodes/cp-2/etcd-server.crt", "not issued by CN=etcd"},
		"another leaf's key": {swap("nodes/cp-1/etcd-peer.key", "nodes/cp-2/etcd-peer.key"), "nodes/cp-2/etcd-peer.key", "does not belong"},
		"an encrypted key":   {set("operator/etcd-client.key", []byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")), "operator/etcd-client.key", "encrypted"},
		"a huge file":        {set("etcd/ca.crt", make([]byte, 2<<20)), "etcd/ca.crt", "too many"},
	} {
		t.Run(name, func(t *testing.T) {
			store := fsOf(whole)
			d.damage(store)
			b, _, err := pki.Load(store, c, at(epoch))
			assert.Nil(t, b)
			var fileErr *pki.FileError
			require.ErrorAs(t, err, &fileErr)
			assert.Equal(t, d.file, fileErr.File)
			assert.ErrorContains(t, err, d.says)
		})
	}

	t.Run("every damaged file at once", func(t *testing.T) {
		store := fsOf(whole)
		for _, p := range []string{"etcd/ca.key", "kubernetes/ca.key", "service-account/sa.key"} {
			store[p].Data = garbage
		}
		_, _, err := pki.Load(store, c, at(epoch))
		for _, p := range []string{"etcd/ca.key", "kubernetes/ca.key", "service-account/sa.key"} {
			assert.ErrorContains(t, err, p)
		}
	})
	t.Run("lost authorities are made on request", func(t *testing.T) {
		store := fsOf(whole)
		delete(store, "front-proxy/ca.crt")
		delete(store, "front-proxy/ca.key")
		cfg := at(epoch)
		cfg.MakeMissingAuthorities = true
		_, changes, err := pki.Load(store, c, cfg)
		require.NoError(t, err)
		assert.Equal(t, []pki.Change{{File: "front-proxy/ca.crt", Reason: pki.Missing}}, changes.Issued)
	})
}

func TestVerifyReportsExpiry(t *testing.T) {
	now := epoch
	cfg := at(epoch)
	cfg.Now = func() time.Time { return now }
	b := newBundle(t, clusterOf(1), cfg)
	require.NoError(t, b.Verify())
	now = epoch.Add(pki.DefaultExpiry + time.Hour)
	err := b.Verify()
	var verify *pki.VerifyError
	require.ErrorAs(t, err, &verify)
	for _, file := range []string{"operator/etcd-client.crt", "nodes/cp-1/etcd-server.crt", "nodes/cp-1/etcd-peer.crt", "nodes/cp-1/apiserver-etcd-client.crt"} {
		assert.ErrorContains(t, err, file)
	}
	now = epoch.AddDate(11, 0, 0)
	assertAuthorityError(t, b.Verify(), pki.EtcdCA, pki.Lapsed)
}

func TestExpiryListsEveryCertificate(t *testing.T) {
	b := newBundle(t, clusterOf(3), at(epoch))
	var got []string
	for _, e := range b.Expiry() {
		got = append(got, e.NotAfter.Format(time.DateOnly)+" "+e.File)
	}
	var want []string
	for _, f := range b.Store() {
		if strings.HasSuffix(f.Path, ".crt") && !strings.HasSuffix(f.Path, "ca.crt") {
			want = append(want, "2035-01-01 "+f.Path)
		}
	}
	want = append(want, "2039-12-31 etcd/ca.crt", "2039-12-31 front-proxy/ca.crt", "2039-12-31 kubernetes/ca.crt")
	assert.Equal(t, want, got)
}

func TestBadInputReportsEveryProblem(t *testing.T) {
	c := clusterOf(3)
	c.Nodes[0].Name = "../cp"
	c.Nodes[1].Addresses = nil
	c.Nodes[2].Addresses = []netip.Addr{netip.MustParseAddr("fe80::1%eth0"), {}}
	_, err := pki.New(c, pki.Config{
		Keys:        pki.Keys{EtcdCA: "RSA-1024", Leaf: "ed25519"},
		RenewBefore: -time.Hour, CAValidity: -1, Backdate: -1,
		Profiles: map[string]pki.Profile{
			pki.ProfilePeer: {Expiry: time.Hour, Usages: []string{"server auth"}},
			"odd":           {Usages: []string{"client auth", "sing"}},
			"void":          {Expiry: time.Hour},
		},
	})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	assert.Equal(t, []string{
		"nodes[0].name", "nodes[1].addresses", "nodes[2].addresses[0]", "nodes[2].addresses[1]",
		"pki.profiles.odd.expiry", "pki.profiles.odd.usages[1]", "pki.profiles.peer.usages", "pki.profiles.void.usages",
		"pki.caValidity", "pki.backdate", "pki.renewBefore", "pki.keys.etcdCA", "pki.keys.leaf",
	}, paths, "%v", err)

	_, err = pki.New(quorate.Cluster{}, pki.Config{RenewBefore: pki.DefaultExpiry})
	require.ErrorAs(t, err, &invalid)
	assert.Len(t, invalid.Problems, 4)
	_, err = pki.CFSSL(quorate.Cluster{}, pki.Config{})
	require.ErrorAs(t, err, &invalid)
}

func TestIssue(t *testing.T) {
	cfg := at(epoch)
	cfg.Profiles = map[string]pki.Profile{"scrape": {Expiry: 24 * time.Hour, Usages: []string{"signing", "client auth"}}}
	b := newBundle(t, clusterOf(1), cfg)
	leaf, err := b.Issue(pki.Request{CommonName: "prometheus", Profile: "scrape", Hosts: []string{"prom.example", "192.0.2.9"}})
	require.NoError(t, err)
	assert.True(t, leaf.Key.IsSensitive())
	c := parse(t, leaf.Certificate.Bytes())[0]
	assert.Equal(t, "prometheus", c.Subject.CommonName)
	assert.Equal(t, epoch.Add(24*time.Hour), c.NotAfter)
	assert.Equal(t, []string{"prom.example"}, c.DNSNames)
	require.NoError(t, c.CheckSignatureFrom(b.CA(pki.EtcdCA)))

	_, err = b.Issue(pki.Request{Profile: "none", Hosts: []string{""}})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	assert.Len(t, invalid.Problems, 3)
}
