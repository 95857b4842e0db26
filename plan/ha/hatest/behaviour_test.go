package hatest_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// configOf is all that a cluster is made from, with the same secrets for every test.
func configOf(t *testing.T, c quorate.Cluster) ha.Config {
	t.Helper()
	bundle, err := pki.New(c, pki.Config{})
	require.NoError(t, err)
	token, err := kubeadm.ParseToken("abcdef.0123456789abcdef")
	require.NoError(t, err)
	return ha.Config{Cluster: c, Certs: bundle, Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: quorate.Sensitive([]byte("passw0rd"))}
}

func up(t *testing.T, hosts *hatest.Cluster, cfg ha.Config) plan.Summary {
	t.Helper()
	described, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	p, err := described.Plan()
	require.NoError(t, err)
	sum, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	return sum
}

func clusterOf(t *testing.T, c quorate.Cluster) *hatest.Cluster {
	t.Helper()
	hosts, err := hatest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, hosts.Close()) })
	return hosts
}

func output(t *testing.T, hosts *hatest.Cluster, host string, argv ...string) string {
	t.Helper()
	conn, err := hosts.Dial(t.Context(), host)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	var out strings.Builder
	_ = conn.Run(t.Context(), transport.Cmd{Argv: argv, Stdout: &out}) // systemctl's status is in its words
	return strings.TrimSpace(out.String())
}

const etcdUnit = "etcd.service"

// A host without power runs nothing, does not vote and is not reached; its disk stays, and
// what is enabled starts with it. Two of three without power have no quorum.
func TestPower(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	require.NoError(t, hosts.CutPower("cp-2"))
	for _, unit := range []string{etcdUnit, "keepalived.service", "kubelet.service", "containerd.service"} {
		require.False(t, hosts.Active("cp-2", unit), unit)
	}
	running, voters := hosts.Quorum()
	require.Equal(t, [2]int{2, 3}, [2]int{running, voters})
	_, err := hosts.Dial(t.Context(), "cp-2")
	var dial *transport.DialError
	require.ErrorAs(t, err, &dial)
	require.Equal(t, transport.Unreachable, dial.Reason)
	require.Contains(t, output(t, hosts, "cp-1", "kubectl", "get", "node", "cp-1"), "cp-1")

	require.NoError(t, hosts.CutPower("cp-3"))
	running, _ = hosts.Quorum()
	require.Equal(t, 1, running)
	require.Empty(t, output(t, hosts, "cp-1", "kubectl", "get", "node", "cp-1"), "the API server answers without etcd's quorum")

	for _, name := range []string{"cp-3", "cp-2"} {
		require.NoError(t, hosts.Boot(name))
	}
	running, _ = hosts.Quorum()
	require.Equal(t, 3, running)
	require.True(t, hosts.Active("cp-2", "kubelet.service"))
	require.False(t, up(t, hosts, cfg).Changed(), "a reboot changes nothing of a host")
	require.ErrorContains(t, hosts.CutPower("stranger"), "stranger")
	require.ErrorContains(t, hosts.Boot("stranger"), "stranger")
}

// A host that is added is bare, and joins by the plan of a description that has it.
func TestAdd(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	require.Error(t, hosts.Add(cfg.Cluster.Nodes[0]), "the name is taken")
	n := quorate.Node{Name: "worker-2", Role: quorate.Worker, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.20")}}
	require.NoError(t, hosts.Add(n))
	require.Empty(t, output(t, hosts, "worker-2", "ls", "/etc/kubernetes"))
	cfg.Cluster.Nodes = append(slices.Clone(cfg.Cluster.Nodes), n)
	require.True(t, up(t, hosts, cfg).Changed())
	require.Contains(t, hosts.Nodes(), "worker-2")
}

// A member is "activating" until it has seen a quorum, and active from then on, also
// when the quorum is lost.
func TestActivating(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	state := func(host string) string { return output(t, hosts, host, "systemctl", "is-active", etcdUnit) }
	for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
		output(t, hosts, name, "systemctl", "stop", etcdUnit)
		require.Equal(t, "inactive", state(name))
	}
	output(t, hosts, "cp-1", "systemctl", "start", "--no-block", etcdUnit)
	require.Equal(t, "activating", state("cp-1"))
	output(t, hosts, "cp-2", "systemctl", "start", "--no-block", etcdUnit)
	require.Equal(t, "active", state("cp-1"))
	require.Equal(t, "active", state("cp-2"))
	output(t, hosts, "cp-2", "systemctl", "stop", etcdUnit)
	require.Equal(t, "active", state("cp-1"))
}

// A member that etcd refuses is tried again and again, and leaves a database without a
// log, which is not the data of a member: the plan has the new one take its place.
func TestRefusedMember(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	h := hosts.Host("cp-2")
	output(t, hosts, "cp-2", "systemctl", "stop", etcdUnit)
	h.Delete("/var/lib/quorate/etcd/member") // its disk was lost, and it boots
	output(t, hosts, "cp-2", "systemctl", "start", etcdUnit)
	require.Equal(t, "activating", output(t, hosts, "cp-2", "systemctl", "is-active", etcdUnit))
	var left []string
	for _, path := range h.Files() {
		if strings.HasPrefix(path, "/var/lib/quorate/etcd/") {
			left = append(left, path)
		}
	}
	require.Equal(t, []string{"/var/lib/quorate/etcd/member/snap/db"}, left)
	running, voters := hosts.Quorum()
	require.Equal(t, [2]int{2, 3}, [2]int{running, voters})

	require.True(t, up(t, hosts, cfg).Changed())
	running, voters = hosts.Quorum()
	require.Equal(t, [2]int{3, 3}, [2]int{running, voters})
	require.True(t, hosts.Active("cp-2", etcdUnit))
}

// Programs report the version that they were given, and what runs goes on with the old
// one until its restart.
func TestVersions(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	for program, version := range map[string]string{"kubeadm": "v1.37.3", "kubelet": "v1.37.3", "kubectl": "v1.37.3", "etcd": "9.9.9", "haproxy": "3.0.1", "keepalived": "2.3.1"} {
		require.NoError(t, hosts.SetVersion("cp-2", program, version))
	}
	require.Equal(t, "v1.37.3", output(t, hosts, "cp-2", "kubeadm", "version", "-o", "short"))
	require.Contains(t, output(t, hosts, "cp-2", "kubelet", "--version"), "v1.37.3")
	require.Contains(t, output(t, hosts, "cp-2", "haproxy", "-v"), "3.0.1")
	require.Contains(t, output(t, hosts, "cp-2", "keepalived", "--version"), "2.3.1")
	require.Contains(t, output(t, hosts, "cp-1", "kubelet", "--version"), "v1.37.2")
	node := func() string { return output(t, hosts, "cp-1", "kubectl", "get", "node", "cp-2") }
	require.Contains(t, node(), "v1.37.2")
	output(t, hosts, "cp-2", "systemctl", "restart", "kubelet.service")
	require.Contains(t, node(), "v1.37.3")
	require.Error(t, hosts.SetVersion("cp-2", "vi", "9"))
	require.Error(t, hosts.SetVersion("stranger", "etcd", "9"))
}

// What runs has the bytes that it read when it was started, whatever is done to its files.
func TestOutdated(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	up(t, hosts, cfg)
	const unit, path = "keepalived.service", "/etc/keepalived/keepalived.conf"
	require.Empty(t, hosts.Outdated("cp-1", unit))
	h := hosts.Host("cp-1")
	old, err := h.File(path)
	require.NoError(t, err)
	changed := old
	changed.Data = transport.Bytes([]byte("# by hand\n"))
	require.NoError(t, h.Put(changed, transport.File{Path: "/etc/keepalived/more.conf", Data: transport.Bytes([]byte("x"))}))
	require.Equal(t, []string{path, "/etc/keepalived/more.conf"}, hosts.Outdated("cp-1", unit))
	runs, ok := hosts.RunsWith("cp-1", unit, path)
	require.True(t, ok)
	require.Equal(t, old.Data.Bytes(), runs)
	output(t, hosts, "cp-1", "systemctl", "restart", unit)
	require.Empty(t, hosts.Outdated("cp-1", unit))
	runs, _ = hosts.RunsWith("cp-1", unit, path)
	require.Equal(t, "# by hand\n", string(runs))
	h.Delete(path)
	require.Equal(t, []string{path}, hosts.Outdated("cp-1", unit))
	output(t, hosts, "cp-1", "systemctl", "stop", unit)
	require.Empty(t, hosts.Outdated("cp-1", unit))
	_, ok = hosts.RunsWith("cp-1", unit, path)
	require.False(t, ok)
}

// A fault that happens once is a handler that takes one command, and commands are
// listed by host.
func TestFaultThatHappensOnce(t *testing.T) {
	cfg := configOf(t, hafixture.Three())
	hosts := clusterOf(t, cfg.Cluster)
	hosts.Host("cp-3").HandleOnce(faketransport.Prefix("kubeadm", "join"), faketransport.Fail(1, "connection refused"))
	seen := 0
	hosts.Host("cp-1").Handle(faketransport.Prefix("kubeadm", "init"), func(ctx context.Context, in faketransport.Invocation) error {
		seen++
		return in.Next(ctx)
	})
	described, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	p, err := described.Plan()
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	var step *plan.StepError
	require.ErrorAs(t, err, &step)
	require.Equal(t, ha.StepJoin.On("cp-3"), step.Step)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 1, seen)
	require.Len(t, hosts.Host("cp-3").Commands("kubeadm", "join"), 2)
	require.Empty(t, hosts.Host("worker-1").Commands("kubeadm", "init"))
}

// reader asks for the cluster's state while it is printed to.
type reader struct{ read func() }

func (r reader) Write(b []byte) (int, error) { r.read(); return len(b), nil }

// Whoever reads what a command prints may read the cluster's state meanwhile, as the next
// command of a pipe does.
func TestOutputIsReadWithoutTheLock(t *testing.T) {
	hosts := clusterOf(t, hafixture.Three())
	conn, err := hosts.Dial(t.Context(), "cp-1")
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close()) }()
	reads := 0
	ended := make(chan error, 1)
	go func() {
		out := reader{func() { reads++; hosts.Active("cp-1", "etcd.service") }}
		ended <- conn.Run(t.Context(), transport.Cmd{Argv: []string{"ip", "-o", "addr", "show"}, Stdout: out})
	}()
	select {
	case err := <-ended:
		require.NoError(t, err)
		require.Positive(t, reads)
	case <-time.After(10 * time.Second):
		t.Fatal("the command holds the lock while its output is read")
	}
}
