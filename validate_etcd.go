package quorate

import (
	"fmt"
	"slices"
	"time"
)

// The ports that Kubernetes' components listen on at every control plane
// (https://kubernetes.io/docs/reference/networking/ports-and-protocols/ and
// the components' --healthz-port and --metrics-port defaults).
func componentOf(port int) string {
	switch port {
	case 10248, 10250:
		return "kubelet"
	case 10249, 10256:
		return "kube-proxy"
	case 10257:
		return "kube-controller-manager"
	case 10259:
		return "kube-scheduler"
	}
	return ""
}

// claim is a port that an earlier field has taken.
type claim struct {
	port int
	path string
}

func (v *validator) portTaken(at string, port int, earlier []claim) {
	if component := componentOf(port); component != "" {
		v.Refuse(at, "%d is the port of %s", port, component)
	}
	if i := slices.IndexFunc(earlier, func(c claim) bool { return c.port == port }); i >= 0 {
		v.Refuse(at, "%d is also %s", port, earlier[i].path)
	}
}

const (
	// etcd's embed.Config.Validate: 5 x heartbeat <= election <= 50 s.
	electionBeats = 5
	maxElection   = 50 * time.Second
	// https://etcd.io/docs/v3.6/dev-guide/limit/ suggests at most 8 GiB.
	suggestedQuota = 8 << 30
	// Less than this a cluster's own objects fill; it is a figure in the wrong unit.
	minQuota = 64 << 20
)

func (v *validator) etcd() {
	e := v.c.Etcd
	v.etcdVersion(e.Version)
	v.path("etcd.dataDir", e.DataDir)
	v.path("etcd.binary", e.Binary)
	v.etcdPorts(e)
	v.etcdTimings(e)
	switch {
	case e.QuotaBytes < minQuota:
		v.Refuse("etcd.quotaBytes", "%d bytes: want at least %d (64 MiB); the default is 2 GiB", e.QuotaBytes, minQuota)
	case e.QuotaBytes > suggestedQuota:
		v.Warn("etcd.quotaBytes", "%d bytes: etcd suggests at most %d (8 GiB)", e.QuotaBytes, int64(suggestedQuota))
	}
	if e.CompactionRetention < 0 {
		v.Refuse("etcd.compactionRetention", "%s: want 0 (off) or more", e.CompactionRetention)
	}
	if e.SnapshotCount < 0 {
		v.Refuse("etcd.snapshotCount", "%d: want 0 (etcd's own) or more", e.SnapshotCount)
	}
}

// leastEtcd is the least external etcd that kubeadm accepts for a Kubernetes
// version (constants.MinExternalEtcdVersion of its releases; v1.31 to v1.33
// raised it to 3.5.24 in a late fix release, which etcdVersion warns of).
func leastEtcd(k Version) Version {
	switch {
	case k.Minor >= 35, k.Minor == 34 && k.Patch >= 4:
		return Version{Major: 3, Minor: 5, Patch: 24}
	case k.Minor == 34:
		return Version{Major: 3, Minor: 5, Patch: 21}
	}
	return Version{Major: 3, Minor: 5, Patch: 11}
}

func (v *validator) etcdVersion(e Version) {
	const at = "etcd.version"
	raised := Version{Major: 3, Minor: 5, Patch: 24}
	k := v.c.Version
	switch {
	case !isVersion(e):
		v.Refuse(at, "%q is no version", e.String())
	case e.Major != 3:
		v.Refuse(at, "etcd %s is not supported: want v3", e)
	case !isVersion(k) || !supported(k):
	case e.Compare(leastEtcd(k)) < 0:
		v.Refuse(at, "etcd %s is too old for Kubernetes %s: kubeadm wants %s or later", e, k, leastEtcd(k))
	case e.Compare(raised) < 0:
		v.Warn(at, "etcd %s: the last fix releases of Kubernetes v1.%d want %s or later", e, k.Minor, raised)
	}
}

func (v *validator) path(at, p string) {
	if !isPath(p) {
		v.Refuse(at, "%q: want an absolute path without . or .. or a slash at its end, of letters, digits and / . _ @ + : -", p)
	}
}

func (v *validator) etcdPorts(e Etcd) {
	taken := []claim{{6443, "the API server's port"}}
	if !v.c.Endpoint.External {
		taken[0] = claim{v.c.Endpoint.Port, "endpoint.port"}
	}
	for _, p := range []claim{
		{e.ClientPort, "etcd.clientPort"}, {e.PeerPort, "etcd.peerPort"}, {e.MetricsPort, "etcd.metricsPort"},
	} {
		off := ""
		if p.path == "etcd.metricsPort" {
			if p.port == -1 {
				continue
			}
			off = ", or -1 for none"
		}
		if !isPort(p.port) {
			v.Refuse(p.path, "%d is no port: want 1 to 65535%s", p.port, off)
			continue
		}
		v.portTaken(p.path, p.port, taken)
		taken = append(taken, p)
	}
}

func (v *validator) etcdTimings(e Etcd) {
	heartbeat := e.Heartbeat.Std()
	if heartbeat < time.Millisecond || heartbeat%time.Millisecond != 0 {
		v.Refuse("etcd.heartbeat", "%s: want whole milliseconds, at least 1ms", e.Heartbeat)
		heartbeat = 0
	}
	var why string
	switch election := e.Election.Std(); {
	case election <= 0 || election%time.Millisecond != 0:
		why = "want whole milliseconds"
	case election/electionBeats < heartbeat:
		why = fmt.Sprintf("want at least %d times etcd.heartbeat %s", electionBeats, e.Heartbeat)
	case election > maxElection:
		why = "want at most " + maxElection.String()
	}
	if why != "" {
		v.Refuse("etcd.election", "%s: %s; etcd refuses to start otherwise", e.Election, why)
	}
}
