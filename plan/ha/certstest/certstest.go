// Package certstest is the conformance suite of sources of certificates: what
// plan/ha.Certs documents, as tests.
package certstest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/certcheck"
)

// Harness makes sources to test.
type Harness struct {
	// New makes a source for a cluster. Required. It is called once a cluster.
	New func(t *testing.T, c quorate.Cluster) ha.Certs
	// NoStacked passes over clusters whose etcd members kubeadm runs, for sources
	// that keep the key of etcd's authority to themselves.
	NoStacked bool
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range clusters() {
		if c.Etcd.Stacked && h.NoStacked {
			continue
		}
		t.Run(fmt.Sprintf("%d control planes, stacked=%t", len(c.ControlPlanes()), c.Etcd.Stacked), func(t *testing.T) {
			certs := h.New(t, c)
			t.Run("a plan can be made of it", func(t *testing.T) { acceptable(t, c, certs) })
			t.Run("a node that it does not know", func(t *testing.T) { unknownNode(t, certs) })
			t.Run("cancelled", func(t *testing.T) { stopped(t, c, certs) })
			t.Run("called by many at once", func(t *testing.T) { atOnce(t, c, certs) })
			t.Run("what it returned is the caller's", func(t *testing.T) { notShared(t, c, certs) })
		})
	}
}

// clusters are those for which the suite calls the source: one control plane, three of both
// address families, and stacked members.
func clusters() []quorate.Cluster {
	version := quorate.Version{Major: 1, Minor: quorate.MaxMinor}
	one := quorate.Cluster{Name: "one", Version: version, Endpoint: quorate.Endpoint{Host: "api.example.com", External: true}}
	one.Nodes = []quorate.Node{{Name: "cp-1", Role: quorate.ControlPlane, Addresses: addresses(1)[:1]}}
	three := quorate.Cluster{Name: "three", Version: version, Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}}}
	for i := 1; i <= 3; i++ {
		three.Nodes = append(three.Nodes, quorate.Node{Name: fmt.Sprintf("cp-%d", i), Role: quorate.ControlPlane, Addresses: addresses(byte(i))})
	}
	three.Nodes = append(three.Nodes, quorate.Node{Name: "worker-1", Role: quorate.Worker, Addresses: addresses(9)})
	stacked := three
	stacked.Etcd.Stacked = true
	return []quorate.Cluster{one, three, stacked}
}

func addresses(i byte) []netip.Addr {
	v6 := netip.MustParseAddr("2001:db8::").As16()
	v6[15] = i
	return []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, 10 + i}), netip.AddrFrom16(v6)}
}

// acceptable: all that is checked when a plan is made, a second answer included.
func acceptable(t *testing.T, c quorate.Cluster, certs ha.Certs) {
	if _, err := certcheck.Collect(t.Context(), c, certs); err != nil {
		t.Error(err)
	}
}

// unknownNode: a node of no cluster, and a worker, have no certificates, which is
// an error and not an empty answer.
func unknownNode(t *testing.T, certs ha.Certs) {
	for _, node := range []string{"stranger", "worker-1", "", "../cp-1"} {
		for name, ask := range map[string]func(context.Context, string) ([]quorate.File, error){
			"EtcdMember": certs.EtcdMember, "ControlPlane": certs.ControlPlane,
		} {
			if files, err := ask(t.Context(), node); err == nil || len(files) > 0 {
				t.Errorf("%s(%q) returned %d files and %v, want an error", name, node, len(files), err)
			}
		}
	}
}

// stopped: a source that calls another program stops with the context; one that has
// all at hand need not.
func stopped(t *testing.T, c quorate.Cluster, certs ha.Certs) {
	why := errors.New("stopped by the suite")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	check := func(name string, err error) {
		if err != nil && !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want the context's own error or none", name, err)
		}
	}
	node := c.ControlPlanes()[0].Name
	_, err := certs.EtcdMember(ctx, node)
	check("EtcdMember", err)
	_, err = certs.ControlPlane(ctx, node)
	check("ControlPlane", err)
	_, err = certs.CAHashes(ctx)
	check("CAHashes", err)
	_, err = certs.EtcdClient(ctx)
	check("EtcdClient", err)
}

// atOnce: concurrent callers get what one caller gets. The race detector sees more.
func atOnce(t *testing.T, c quorate.Cluster, certs ha.Certs) {
	want, err := certcheck.Collect(t.Context(), c, certs)
	if err != nil {
		t.Skip("no plan can be made of it")
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			got, err := certcheck.Collect(t.Context(), c, certs)
			if err != nil {
				t.Error(err)
				return
			}
			if !equal(got.EtcdMember, want.EtcdMember) || !equal(got.ControlPlane, want.ControlPlane) {
				t.Error("concurrent callers get other files")
			}
		})
	}
	all.Wait()
}

// equal compares without showing what differs, which may be a key.
func equal(a, b map[string][]quorate.File) bool { return reflect.DeepEqual(a, b) }

// notShared: who changes what was returned changes nobody else's.
func notShared(t *testing.T, c quorate.Cluster, certs ha.Certs) {
	node := c.ControlPlanes()[0].Name
	files, err := certs.ControlPlane(t.Context(), node)
	if err != nil || len(files) == 0 {
		t.Skip("no plan can be made of it")
	}
	path := files[0].Path
	files[0].Path = "/changed"
	if again, err := certs.ControlPlane(t.Context(), node); err != nil || len(again) == 0 || again[0].Path != path {
		t.Error("ControlPlane returns a slice that is its own")
	}
	client, err := certs.EtcdClient(t.Context())
	if err != nil || client == nil {
		return
	}
	client.ServerName, client.MinVersion = "changed", tls.VersionTLS13
	if again, err := certs.EtcdClient(t.Context()); err != nil || again.ServerName == "changed" {
		t.Error("EtcdClient returns a configuration that is its own")
	}
	hashes, err := certs.CAHashes(t.Context())
	if err != nil || len(hashes) == 0 {
		return
	}
	hash := hashes[0]
	hashes[0] = "changed"
	if again, err := certs.CAHashes(t.Context()); err != nil || again[0] != hash {
		t.Error("CAHashes returns a slice that is its own")
	}
}
