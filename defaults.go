package quorate

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/quorate-dev/quorate/internal/hostpath"
)

// WithDefaults returns a copy in which every optional field left zero holds its
// default. Renderers and Validate apply it themselves; applying it twice changes
// nothing.
func (c Cluster) WithDefaults() Cluster {
	c.Name = cmp.Or(c.Name, "kubernetes")
	c.DNSDomain = cmp.Or(c.DNSDomain, "cluster.local")
	if len(c.Pods) == 0 {
		c.Pods = []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}
	}
	if len(c.Services) == 0 {
		c.Services = []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")}
	}
	c.Endpoint = c.Endpoint.WithDefaults()
	c.Etcd = c.Etcd.WithDefaults(c.Version)
	c.Kubeadm.CRISocket = cmp.Or(c.Kubeadm.CRISocket, defaultCRISocket(c.Version))
	c.Kubeadm.ImageRepository = cmp.Or(c.Kubeadm.ImageRepository, DefaultImageRepository)
	return c
}

// WithDefaults returns a copy in which every optional field left zero holds its
// default.
func (e Endpoint) WithDefaults() Endpoint {
	if e.LoadBalancer != "" {
		e.Port = cmp.Or(e.Port, 8443)
	}
	e.Port = cmp.Or(e.Port, 6443)
	if e.External {
		return e
	}
	v := &e.VIP
	v.RouterID = cmp.Or(v.RouterID, 51)
	v.AdvertInterval = cmp.Or(v.AdvertInterval, Duration(500*time.Millisecond))
	v.CheckInterval = cmp.Or(v.CheckInterval, Duration(time.Second))
	v.CheckTimeout = cmp.Or(v.CheckTimeout, Duration(time.Second))
	v.Fall = cmp.Or(v.Fall, 3)
	v.Rise = cmp.Or(v.Rise, 2)
	return e
}

// WithDefaults returns a copy in which every optional field left zero holds its
// default for members that serve a version of Kubernetes; the zero Version means
// the newest.
func (e Etcd) WithDefaults(kubernetes Version) Etcd {
	e.Version = cmp.Or(e.Version, defaultEtcd(kubernetes))
	if e.Stacked {
		e.DataDir = cmp.Or(e.DataDir, hostpath.StackedEtcdData)
	}
	e.DataDir = cmp.Or(e.DataDir, hostpath.EtcdData)
	e.Binary = cmp.Or(e.Binary, "/usr/local/bin/etcd")
	e.ClientPort = cmp.Or(e.ClientPort, 2379)
	e.PeerPort = cmp.Or(e.PeerPort, 2380)
	if !e.Version.Has(EtcdMetricsListener) {
		e.MetricsPort = cmp.Or(e.MetricsPort, -1)
	}
	e.MetricsPort = cmp.Or(e.MetricsPort, 2381)
	e.Heartbeat = cmp.Or(e.Heartbeat, Duration(100*time.Millisecond))
	e.Election = cmp.Or(e.Election, Duration(time.Second))
	e.QuotaBytes = cmp.Or(e.QuotaBytes, 2<<30)
	return e
}
