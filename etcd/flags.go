package etcd

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
)

// flag is one --name=value of etcd.
type flag struct{ name, value string }

// Argv is the command line of the rendered unit: the binary's path and its
// flags, each one "--name=value", unquoted. The error is that of Files.
func (m Member) Argv() ([]string, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	m = m.withDefaults()
	argv := []string{m.Etcd.Binary}
	for _, f := range m.flags() {
		argv = append(argv, "--"+f.name+"="+f.value)
	}
	for _, name := range slices.Sorted(maps.Keys(m.ExtraFlags)) {
		argv = append(argv, "--"+name+"="+m.ExtraFlags[name])
	}
	return argv, nil
}

// flags of a member with defaults, in a fixed order.
func (m Member) flags() []flag {
	return slices.Concat(m.identity(), m.listeners(), m.security(), m.tuning())
}

func (m Member) identity() []flag {
	return []flag{
		{"name", m.Name},
		{"data-dir", m.Etcd.DataDir},
		{"initial-cluster", m.initialCluster()},
		{"initial-cluster-state", string(m.State)},
		{"initial-cluster-token", m.Token},
	}
}

func (m Member) initialCluster() string {
	parts := make([]string, len(m.Peers))
	for i, p := range m.sortedPeers() {
		parts[i] = p.Name + "=" + addressURL(m.scheme(), p.Address, m.Etcd.PeerPort)
	}
	return strings.Join(parts, ",")
}

func (m Member) sortedPeers() []Peer {
	return slices.SortedFunc(slices.Values(m.Peers), func(a, b Peer) int { return strings.Compare(a.Name, b.Name) })
}

func (m Member) listeners() []flag {
	loopbacks := m.loopbacks()
	scheme, first := m.scheme(), m.Addresses[:1]
	flags := []flag{
		{"listen-client-urls", urls(scheme, m.Etcd.ClientPort, slices.Concat(m.Addresses, loopbacks))},
		{"advertise-client-urls", urls(scheme, m.Etcd.ClientPort, first)},
		{"listen-peer-urls", urls(scheme, m.Etcd.PeerPort, m.Addresses)},
		{"initial-advertise-peer-urls", urls(scheme, m.Etcd.PeerPort, first)},
	}
	if m.Etcd.MetricsPort > 0 {
		flags = append(flags, flag{"listen-metrics-urls", urls("http", m.Etcd.MetricsPort, loopbacks)})
	}
	return flags
}

func (m Member) security() []flag {
	if m.Etcd.PlainHTTP {
		return []flag{{"client-cert-auth", "false"}, {"peer-client-cert-auth", "false"}}
	}
	in := func(file string) string { return m.PKIDir + "/" + file }
	return []flag{
		{"client-cert-auth", "true"},
		{"trusted-ca-file", in("ca.crt")},
		{"cert-file", in("server.crt")},
		{"key-file", in("server.key")},
		{"peer-client-cert-auth", "true"},
		{"peer-trusted-ca-file", in("ca.crt")},
		{"peer-cert-file", in("peer.crt")},
		{"peer-key-file", in("peer.key")},
	}
}

func (m Member) tuning() []flag {
	e := m.Etcd
	flags := []flag{
		{"heartbeat-interval", strconv.FormatInt(e.Heartbeat.Std().Milliseconds(), 10)},
		{"election-timeout", strconv.FormatInt(e.Election.Std().Milliseconds(), 10)},
		{"quota-backend-bytes", strconv.FormatInt(e.QuotaBytes, 10)},
	}
	switch {
	case e.CompactionRetention == 0:
	case e.Version.Has(quorate.EtcdCompactionPeriods):
		flags = append(flags, flag{"auto-compaction-mode", "periodic"}, flag{"auto-compaction-retention", e.CompactionRetention.String()})
	default:
		// Periods only, and those in hours.
		flags = append(flags, flag{"auto-compaction-retention", strconv.Itoa(int(e.CompactionRetention.Std() / time.Hour))})
	}
	if e.SnapshotCount > 0 {
		flags = append(flags, flag{"snapshot-count", strconv.FormatInt(e.SnapshotCount, 10)})
	}
	if e.Version.Has(quorate.EtcdZap) {
		flags = append(flags, flag{"logger", "zap"}, flag{"log-outputs", "stderr"})
	}
	return flags
}
