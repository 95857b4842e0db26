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
	if e.PlainHTTP {
		v.plainHTTP()
	}
	if e.Stacked {
		v.stacked()
	} else {
		v.etcdVersion(e.Version)
	}
	v.path("etcd.dataDir", e.DataDir)
	v.path("etcd.binary", e.Binary)
	v.etcdPorts(e)
	v.etcdTimings(e)
	if e.MetricsPort > 0 && isVersion(e.Version) && !e.Version.AtLeast(3, 3) {
		v.Refuse("etcd.metricsPort", "etcd %s has no listener of its own for metrics, which came with 3.3: set -1", e.Version)
	}
	switch {
	case e.QuotaBytes < minQuota:
		v.Refuse("etcd.quotaBytes", "%d bytes: want at least %d (64 MiB); the default is 2 GiB", e.QuotaBytes, minQuota)
	case e.QuotaBytes > suggestedQuota:
		v.Warn("etcd.quotaBytes", "%d bytes: etcd suggests at most %d (8 GiB)", e.QuotaBytes, int64(suggestedQuota))
	}
	switch {
	case e.CompactionRetention < 0:
		v.Refuse("etcd.compactionRetention", "%s: want 0 (off) or more", e.CompactionRetention)
	case isVersion(e.Version) && !e.Version.AtLeast(3, 3) && e.CompactionRetention.Std()%time.Hour != 0:
		v.Refuse("etcd.compactionRetention", "%s: etcd %s counts whole hours", e.CompactionRetention, e.Version)
	}
	if e.SnapshotCount < 0 {
		v.Refuse("etcd.snapshotCount", "%d: want 0 (etcd's own) or more", e.SnapshotCount)
	}
}

// plainHTTP allows what only the time of 1.10 took for granted.
func (v *validator) plainHTTP() {
	const at = "etcd.plainHTTP"
	switch k := v.c.Version; {
	case k.Minor != MinMinor:
		v.Refuse(at, "is for Kubernetes v1.%d alone: etcd without TLS gives the cluster to whoever reaches its port", MinMinor)
	case v.c.Etcd.Stacked:
		v.Refuse(at, "etcd.stacked members always have TLS")
	default:
		v.Warn(at, "whoever reaches etcd's port owns the cluster")
	}
}

// stacked refuses what kubeadm decides for the members it runs.
func (v *validator) stacked() {
	if k := v.c.Version; supported(k) && k.Minor < stackedFrom {
		v.Refuse("etcd.stacked", "kubeadm joins stacked members from v1.%d on: leave etcd to the hosts with Kubernetes %s", stackedFrom, k)
	}
	own := Etcd{Stacked: true}.withDefaults(v.c.Version)
	e := v.c.Etcd
	for _, f := range []struct {
		path string
		set  bool
	}{
		{"etcd.version", e.Version != own.Version},
		{"etcd.binary", e.Binary != own.Binary},
		{"etcd.clientPort", e.ClientPort != own.ClientPort},
		{"etcd.peerPort", e.PeerPort != own.PeerPort},
		{"etcd.metricsPort", e.MetricsPort != own.MetricsPort},
		{"etcd.compactionRetention", e.CompactionRetention != own.CompactionRetention},
	} {
		if f.set {
			v.Refuse(f.path, "kubeadm decides it for etcd.stacked members: leave it out")
		}
	}
}

func (v *validator) etcdVersion(e Version) {
	const at = "etcd.version"
	k := v.c.Version
	switch {
	case !isVersion(e):
		v.Refuse(at, "%q is no version", e.String())
	case e.Major != 3:
		v.Refuse(at, "etcd %s is not supported: want v3", e)
	case !isVersion(k) || !supported(k):
	case e.Compare(leastEtcd(k)) < 0:
		v.Refuse(at, "etcd %s is too old for Kubernetes %s: kubeadm wants %s or later", e, k, leastEtcd(k))
	case k.Minor >= 31 && e.Compare(raisedEtcd) < 0:
		v.Warn(at, "etcd %s: the last fix releases of Kubernetes v1.%d want %s or later", e, k.Minor, raisedEtcd)
	}
}

func (v *validator) path(at, p string) {
	if !isPath(p) {
		v.Refuse(at, "%q: want an absolute path without . or .. or a slash at its end, of letters, digits and / . _ @ + : -", p)
	}
}

func (v *validator) etcdPorts(e Etcd) {
	taken := []claim{{v.c.Endpoint.APIServerPort(), "the API server's port"}}
	if !v.c.Endpoint.External {
		taken = append([]claim{{v.c.Endpoint.Port, "endpoint.port"}}, taken...)
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
