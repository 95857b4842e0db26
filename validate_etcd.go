package quorate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/internal/syntax"
)

const (
	// etcd's embed.Config.Validate: 5 x heartbeat <= election <= 50 s.
	electionBeats = 5
	maxElection   = 50 * time.Second
	// https://etcd.io/docs/v3.6/dev-guide/limit/ suggests at most 8 GiB.
	suggestedQuota = 8 << 30
	// Less than this a cluster's own objects fill; it is a figure in the wrong unit.
	minQuota = 64 << 20
)

// Problems is everything that is wrong with the settings by themselves, for
// members that serve a version of Kubernetes, once the defaults are filled in.
// Without a Version no rule is applied that depends on it, but PlainHTTP is
// refused. Paths begin at the settings: "dataDir". What only the cluster around them shows, such as a
// port that is the endpoint's, Cluster.Problems finds.
func (e Etcd) Problems(kubernetes Version) Problems {
	r := etcdRules{Etcd: e.WithDefaults(kubernetes), kubernetes: kubernetes}
	r.taken = collisions(slices.Concat(r.portUses(), Kubeadm{}.portUses(kubernetes)), "", false)
	r.all()
	return r.Problems
}

func (v *validator) etcd() {
	r := etcdRules{Etcd: v.c.Etcd, kubernetes: v.c.Version, taken: v.taken}
	r.all()
	v.Include("etcd", r.Problems)
}

// etcdRules go over defaulted settings field by field.
type etcdRules struct {
	Problems
	Etcd
	kubernetes Version
	// taken are the ports that other fields have too.
	taken map[string][]string
}

func (r *etcdRules) all() {
	e := r.Etcd
	if e.PlainHTTP {
		r.plainHTTP()
	}
	if e.Stacked {
		r.stacked()
	} else {
		r.etcdVersion(e.Version)
	}
	r.path("dataDir", e.DataDir)
	r.path("binary", e.Binary)
	r.etcdPorts(e)
	r.etcdTimings(e)
	if e.MetricsPort > 0 && isVersion(e.Version) && !e.Version.Has(EtcdMetricsListener) {
		r.Refuse("metricsPort", "etcd %s has no listener of its own for metrics, which came with 3.3: set -1", e.Version)
	}
	switch {
	case e.QuotaBytes < minQuota:
		r.Refuse("quotaBytes", "%d bytes: want at least %d (64 MiB); the default is 2 GiB", e.QuotaBytes, minQuota)
	case e.QuotaBytes > suggestedQuota:
		r.Warn("quotaBytes", "%d bytes: etcd suggests at most %d (8 GiB)", e.QuotaBytes, int64(suggestedQuota))
	}
	switch {
	case e.CompactionRetention < 0:
		r.Refuse("compactionRetention", "%s: want 0 (off) or more", e.CompactionRetention)
	case isVersion(e.Version) && !e.Version.Has(EtcdCompactionPeriods) && e.CompactionRetention.Std()%time.Hour != 0:
		r.Refuse("compactionRetention", "%s: etcd %s counts whole hours", e.CompactionRetention, e.Version)
	}
	if e.SnapshotCount < 0 {
		r.Refuse("snapshotCount", "%d: want 0 (etcd's own) or more", e.SnapshotCount)
	}
}

// plainHTTP allows what only the time of 1.10 took for granted.
func (r *etcdRules) plainHTTP() {
	const at = "plainHTTP"
	switch k := r.kubernetes; {
	case k.Minor != MinMinor:
		r.Refuse(at, "is for Kubernetes v1.%d alone: etcd without TLS hands the cluster to whoever reaches its port", MinMinor)
	case r.Etcd.Stacked:
		r.Refuse(at, "stacked members always have TLS")
	default:
		r.Warn(at, "whoever reaches etcd's port owns the cluster")
	}
}

// stacked refuses what kubeadm decides for the members it runs.
func (r *etcdRules) stacked() {
	if k := r.kubernetes; supported(k) && !k.Has(StackedMembers) {
		r.Refuse("stacked", "kubeadm joins stacked members %s: leave etcd to the hosts with Kubernetes %s", StackedMembers.When(), k)
	}
	own := Etcd{Stacked: true}.WithDefaults(r.kubernetes)
	e := r.Etcd
	for _, f := range []struct {
		path string
		set  bool
	}{
		{"version", e.Version != own.Version},
		{"binary", e.Binary != own.Binary},
		{"clientPort", e.ClientPort != own.ClientPort},
		{"peerPort", e.PeerPort != own.PeerPort},
		{"metricsPort", e.MetricsPort != own.MetricsPort},
		{"compactionRetention", e.CompactionRetention != own.CompactionRetention},
	} {
		if f.set {
			r.Refuse(f.path, "kubeadm decides it for etcd.stacked members: leave it out")
		}
	}
}

func (r *etcdRules) etcdVersion(e Version) {
	const at = "version"
	k := r.kubernetes
	switch {
	case !isVersion(e):
		r.Refuse(at, "%q is no version", e.String())
	case e.Major != 3:
		r.Refuse(at, "etcd %s is not supported: want v3", e)
	case !isVersion(k) || !supported(k):
	case e.Compare(minEtcd(k)) < 0:
		r.Refuse(at, "etcd %s is too old for Kubernetes %s: kubeadm wants %s or later", e, k, minEtcd(k))
	case k.Has(LaterEtcd) && e.Compare(laterEtcd) < 0:
		r.Warn(at, "etcd %s: the last patch releases of Kubernetes v1.%d want %s or later", e, k.Minor, laterEtcd)
	}
}

func (r *etcdRules) path(at, p string) {
	if !syntax.IsPath(p) {
		r.Refuse(at, "%q: %s", p, syntax.WantPath)
	}
}

func (r *etcdRules) etcdPorts(e Etcd) {
	for _, p := range e.portUses() {
		at := strings.TrimPrefix(p.path, "etcd.")
		off := ""
		if at == "metricsPort" {
			if p.port == -1 {
				continue
			}
			off = ", or -1 for none"
		}
		if !syntax.IsPort(p.port) {
			r.Refuse(at, "%d is no port: want 1 to 65535%s", p.port, off)
			continue
		}
		refuseTaken(&r.Problems, at, r.taken[p.path])
	}
}

func (r *etcdRules) etcdTimings(e Etcd) {
	heartbeat := e.Heartbeat.Std()
	if heartbeat < time.Millisecond || heartbeat%time.Millisecond != 0 {
		r.Refuse("heartbeat", "%s: want whole milliseconds, at least 1ms", e.Heartbeat)
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
		r.Refuse("election", "%s: %s; etcd refuses to start otherwise", e.Election, why)
	}
}
