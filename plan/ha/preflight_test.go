package ha_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// seed puts a file on a host, as if it had been there.
func seed(t *testing.T, h *faketransport.Host, path, text string) {
	t.Helper()
	require.NoError(t, h.Put(transport.File{Path: path, Mode: 0o444, Data: transport.Bytes([]byte(text))}))
}

// soundHosts are hosts as they should be, that report everything.
func soundHosts(t *testing.T, c quorate.Cluster) *hatest.Cluster {
	t.Helper()
	hosts := hostsWithoutTcpdump(t, c)
	for _, n := range c.Nodes {
		h := hosts.Host(n.Name)
		h.Handle(faketransport.Prefix("tcpdump"), faketransport.Reply(""))
		h.Handle(faketransport.Prefix("timeout"), faketransport.Reply("12:00:00.000000 IP 192.0.2.77 > 224.0.0.18: VRRPv2, Advertisement, vrid 77, prio 100, authtype none, intvl 1s, length 20\n"))
	}
	return hosts
}

func hostsWithoutTcpdump(t *testing.T, c quorate.Cluster) *hatest.Cluster {
	t.Helper()
	hosts := fakeCluster(t, c)
	for i, n := range c.Nodes {
		h := hosts.Host(n.Name)
		seed(t, h, "/etc/machine-id", fmt.Sprintf("%032d\n", i+1))
		seed(t, h, "/sys/class/dmi/id/product_uuid", fmt.Sprintf("4C4C4544-0000-0000-0000-%012d\n", i+1))
		seed(t, h, "/proc/meminfo", "MemTotal:        4028440 kB\nMemFree:         12 kB\n")
		seed(t, h, "/proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n")
		seed(t, h, "/proc/net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue\n"+
			"   0: 00000000:0016 00000000:0000 0A 00000000:00000000\n   1: 0B0200C0:0946 0C0200C0:0946 01 00000000:00000000\n")
		seed(t, h, "/sys/fs/cgroup/cgroup.controllers", "cpu memory\n")
		hearing(h, c, n.Name)
		disk(h, "0.00123")
	}
	return hosts
}

// hearing makes a control plane hear the VRRP of all others but those.
func hearing(h *faketransport.Host, c quorate.Cluster, but ...string) {
	answer := "raw=yes\n"
	for _, n := range c.ControlPlanes() {
		if !slices.Contains(but, n.Name) {
			answer += "heard=" + n.Address().String() + "\n"
		}
	}
	h.Handle(faketransport.Prefix("python3"), faketransport.Reply(answer))
}

// complains writes to standard error and exits.
func complains(code int, stderr string) faketransport.Handler {
	return func(_ context.Context, in faketransport.Invocation) error {
		if _, err := io.WriteString(in.Stderr, stderr); err != nil || code == 0 {
			return err
		}
		return faketransport.Exit(code)
	}
}

// disk is one of which each write takes so many seconds.
func disk(h *faketransport.Host, seconds string) {
	h.Handle(faketransport.Prefix("dd"), complains(0, "1+0 records in\n1+0 records out\n2300 bytes (2.3 kB, 2.2 KiB) copied, "+seconds+" s, 1.9 MB/s\n"))
}

func preflightOf(t *testing.T, hosts *hatest.Cluster, cfg ha.Config) *preflight.Report {
	t.Helper()
	return preflightWith(t, hosts, cfg, preflight.Config{})
}

func preflightWith(t *testing.T, hosts *hatest.Cluster, cfg ha.Config, how preflight.Config) *preflight.Report {
	t.Helper()
	how.Transport = hosts
	report, err := preflightFor(t.Context(), cfg, how)
	require.NoError(t, err)
	return report
}

// trouble is one thing that is wrong with one host or several, and the one
// finding that it is to have.
type trouble struct {
	check    plan.Check
	severity quorate.Severity
	hosts    []string
	found    string
	do       string
	cause    func(t *testing.T, hosts *hatest.Cluster)
	cluster  func(c *quorate.Cluster)
}

func curlSays(h *faketransport.Host, target string, code int, said string) {
	h.Handle(faketransport.MatchFunc("curl to "+target, func(argv []string) bool {
		return argv[0] == "curl" && argv[len(argv)-1] == "http://"+target+"/"
	}), complains(code, said))
}

const (
	curlConnects = "* Connected to 192.0.2.1\nconnect=0.000321\n"
	curlTimesOut = "* Connection timed out after 2001 milliseconds\nconnect=0.000000\n"
	curlNoRoute  = "* connect to 192.0.2.1 failed: No route to host\nconnect=0.000000\n"
)

var troubles = map[string]trouble{
	"another user": {preflight.Root, quorate.Refused, []string{"cp-2"}, "uid 1000", "sudo", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").Handle(faketransport.Prefix("id"), faketransport.Reply("1000\n"))
	}, nil},
	"not systemd": {preflight.Init, quorate.Refused, []string{"cp-2"}, "process 1 is runit", "distribution", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-2"), "/proc/1/comm", "runit\n")
	}, nil},
	"wrong address": {preflight.Address, quorate.Refused, []string{"cp-3"}, "does not have 192.0.2.13", "where ssh leads", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-3").Handle(faketransport.Exact("ip", "-o", "addr", "show"), faketransport.Reply("2: eth0    inet 192.0.2.99/24 scope global eth0\n"))
	}, nil},
	"no interface": {preflight.Interface, quorate.Refused, []string{"cp-1"}, "no interface eth0", "endpoint.vip.interface", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-1").Handle(faketransport.Prefix("ip", "link"), complains(1, "no such device\n"))
	}, nil},
	"another name": {preflight.Hostname, quorate.Warned, []string{"worker-1"}, "calls itself localhost", "hostnamectl set-hostname worker-1", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("worker-1").Handle(faketransport.Prefix("hostname"), faketransport.Reply("localhost.localdomain\n"))
	}, nil},
	"another node's name": {preflight.Hostname, quorate.Refused, []string{"cp-2"}, "as another node is named", "where ssh leads", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").Handle(faketransport.Prefix("hostname"), faketransport.Reply("CP-1.example.org\n"))
	}, nil},
	"clock an hour ahead": {preflight.Clock, quorate.Refused, []string{"cp-3"}, "ahead of the operator's by at least 59m5", "time service", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-3").SetClock(time.Hour)
	}, nil},
	"clock a minute behind": {preflight.Clock, quorate.Warned, []string{"worker-1"}, "behind the operator's by at least 5", "time service", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("worker-1").SetClock(-time.Minute)
	}, nil},
	"cloned": {preflight.MachineID, quorate.Refused, []string{"cp-1", "cp-3"}, "the same /etc/machine-id: 00000000000000000000000000000001", "systemd-machine-id-setup", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-3"), "/etc/machine-id", fmt.Sprintf("%032d\n", 1))
	}, nil},
	"same product_uuid": {preflight.ProductUUID, quorate.Warned, []string{"cp-2", "worker-1"}, "the same product_uuid", "UUID of its own", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("worker-1"), "/sys/class/dmi/id/product_uuid", "4c4c4544-0000-0000-0000-000000000002\n")
	}, nil},
	"etcd's port taken": {preflight.Port, quorate.Refused, []string{"cp-2"}, "192.0.2.12:2379 is in use, which etcd's clients need", "ss -ltnp 'sport = :2379'", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-2"), "/proc/net/tcp", "  sl  local_address rem_address   st\n   0: 0C0200C0:094B 00000000:0000 0A\n")
		for _, from := range []string{"cp-1", "cp-3"} {
			curlSays(hosts.Host(from), "192.0.2.12:2379", 28, curlConnects)
		}
	}, nil},
	"API's port taken by IPv6": {preflight.Port, quorate.Refused, []string{"cp-1"}, "[::]:6443 is in use, which the API server", "ss", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-1"), "/proc/net/tcp6", "  sl  local_address rem_address   st\n   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A\n")
	}, nil},
	"little memory": {preflight.Memory, quorate.Refused, []string{"cp-1"}, "976 MiB", "kubeadm's own check", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-1"), "/proc/meminfo", "MemTotal:        1000000 kB\n")
	}, nil},
	"swap": {preflight.Swap, quorate.Refused, []string{"worker-1"}, "/swapfile", "swapoff -a", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("worker-1"), "/proc/swaps", "Filename Type Size Used Priority\n/swapfile file 1 0 -2\n")
	}, nil},
	"sysctl undone": {preflight.Sysctl, quorate.Warned, []string{"cp-2"}, "/etc/sysctl.conf sets net.ipv4.ip_forward = 0", "take the line out", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-2"), "/etc/sysctl.conf", "net/ipv4/ip_forward=0")
		seed(t, hosts.Host("cp-2"), "/etc/sysctl.d/10-earlier.conf", "net.ipv4.ip_forward = 0\n")
	}, nil},
	"another cluster's files": {preflight.Leftovers, quorate.Refused, []string{"cp-3"}, "/etc/kubernetes/manifests/kube-apiserver.yaml", "kubeadm reset", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-3"), "/etc/kubernetes/manifests/kube-apiserver.yaml", "kind: Pod\n")
		seed(t, hosts.Host("cp-3"), "/etc/kubernetes/pki/ca.crt", "another's\n")
	}, nil},
	"another etcd's data": {preflight.Leftovers, quorate.Refused, []string{"cp-1"}, "/var/lib/quorate/etcd/member", "remove them", func(t *testing.T, hosts *hatest.Cluster) {
		require.NoError(t, hosts.Host("cp-1").Mkdir("/var/lib/quorate/etcd/member/wal"))
	}, nil},
	"the VIP answers": {preflight.VIP, quorate.Refused, []string{"cp-1"}, "already has the VIP 192.0.2.10", "address that is free", func(_ *testing.T, hosts *hatest.Cluster) {
		curlSays(hosts.Host("cp-1"), "192.0.2.10:6443", 28, curlConnects)
		curlSays(hosts.Host("cp-2"), "192.0.2.10:6443", 7, curlNoRoute)
		curlSays(hosts.Host("cp-3"), "192.0.2.10:6443", 28, curlTimesOut)
	}, nil},
	"the VIP answers ARP only": {preflight.VIP, quorate.Refused, []string{"cp-1", "cp-2", "cp-3"}, "already has the VIP", "address that is free", func(_ *testing.T, hosts *hatest.Cluster) {
		for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
			hosts.Host(name).Handle(faketransport.Prefix("ip", "neigh"), faketransport.Reply("192.0.2.10 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n"))
		}
	}, nil},
	"the VRID is taken": {preflight.VRID, quorate.Refused, []string{"cp-2"}, "192.0.2.77 advertises VRRP with the VRID 51", "routerID", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").Handle(faketransport.Prefix("timeout"), faketransport.Reply("12:00:00.000000 IP 192.0.2.77 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, prio 100, authtype none, intvl 1s, length 20\n"))
	}, nil},
	"no tcpdump": {preflight.VRID, quorate.Unchecked, []string{"cp-1", "cp-2", "cp-3"}, "not checked", "VRID 51", nil, nil},
	"peers blocked one way": {preflight.Path, quorate.Refused, []string{"cp-1", "cp-3"}, "cp-1 does not get through to cp-3 on TCP 2379, 2380", "firewalls", func(_ *testing.T, hosts *hatest.Cluster) {
		curlSays(hosts.Host("cp-1"), "192.0.2.13:2379", 28, curlTimesOut)
		curlSays(hosts.Host("cp-1"), "192.0.2.13:2380", 7, curlNoRoute)
	}, nil},
	"no way to try a path": {preflight.Path, quorate.Unchecked, []string{"worker-1"}, "not checked", "install curl", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("worker-1").Handle(faketransport.Prefix("curl"), complains(2, "curl: option --noproxy: is unknown\n"))
	}, nil},
	"no way to try the VIP": {preflight.VIP, quorate.Unchecked, []string{"cp-2"}, "not checked", "VIP 192.0.2.10", func(_ *testing.T, hosts *hatest.Cluster) {
		curlSays(hosts.Host("cp-2"), "192.0.2.10:6443", 2, "curl: option --noproxy: is unknown\n")
	}, nil},
	"no runtime": {preflight.Runtime, quorate.Refused, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, "crio is not installed", "have it installed",
		func(*testing.T, *hatest.Cluster) {},
		func(c *quorate.Cluster) { c.Kubeadm.CRISocket = "unix:///run/crio/crio.sock" }},
	"cgroup v1": {preflight.Cgroup, quorate.Refused, []string{"cp-1"}, "cgroup v1", "unified_cgroup_hierarchy=1", func(t *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-1").Delete("/sys/fs/cgroup/cgroup.controllers")
		require.NoError(t, hosts.Host("cp-1").Mkdir("/sys/fs/cgroup"))
	}, nil},
	"another cgroup driver": {preflight.CgroupDriver, quorate.Warned, []string{"cp-3"}, "containerd manages cgroups by cgroupfs, the kubelet will by systemd unless", "kubeadm.kubelet.cgroupDriver to cgroupfs", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-3").Handle(faketransport.Prefix("containerd"), faketransport.Reply("SystemdCgroup = false\n"))
	}, nil},
	"another cgroup driver before 1.34": {preflight.CgroupDriver, quorate.Refused, []string{"cp-3"}, "containerd manages cgroups by cgroupfs, the kubelet will by systemd", "runtime's configuration to systemd", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-3").Handle(faketransport.Prefix("containerd"), faketransport.Reply("SystemdCgroup = false\n"))
	}, func(c *quorate.Cluster) { c.Version = quorate.Version{Major: 1, Minor: 33} }},
	"a runtime that does not tell": {preflight.CgroupDriver, quorate.Unchecked, []string{"cp-2"}, "not checked: docker", "systemd", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").Handle(faketransport.Prefix("docker"), faketransport.Fail(1, "Cannot connect to the Docker daemon\n"))
	}, func(c *quorate.Cluster) {
		c.Name, c.Version = "", quorate.Version{Major: 1, Minor: 10, Patch: 4}
	}},
	"no way to measure the disk": {preflight.Disk, quorate.Unchecked, []string{"cp-1", "cp-3"}, "not checked", "fio", func(_ *testing.T, hosts *hatest.Cluster) {
		for _, name := range []string{"cp-1", "cp-3"} {
			hosts.Host(name).Handle(faketransport.Prefix("dd"), complains(1, "dd: invalid argument 'dsync' to 'oflag'\n"))
		}
	}, nil},
	"slow disk": {preflight.Disk, quorate.Warned, []string{"cp-3"}, "within 25ms, etcd wants 10ms", "SSD", func(_ *testing.T, hosts *hatest.Cluster) {
		disk(hosts.Host("cp-3"), "0.025")
	}, nil},
	"sshd forbids tunnels": {preflight.Tunnel, quorate.Refused, []string{"cp-2"}, "the host forbids tunnels", "AllowTcpForwarding", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").HandleDial(func(_ context.Context, network, addr string) (net.Conn, error) {
			return nil, &transport.TunnelError{Network: network, Addr: addr, Reason: transport.TunnelForbidden, Advice: "allow it in the host's sshd_config: AllowTcpForwarding"}
		})
	}, nil},
	"a host is down": {preflight.Reachable, quorate.Refused, []string{"cp-2"}, "unreachable", "reachable", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").SetDown(true)
	}, nil},
}

// Each trouble has its one finding, of its severity and hosts, and nothing else.
func TestPreflightTroubles(t *testing.T) {
	covered := map[plan.Check]bool{preflight.Commands: true} // its hosts have no ip: see TestPreflightInDash
	for _, tr := range allTroubles(t) {
		covered[tr.check] = true
	}
	for name, tr := range tier.Samples(allTroubles(t)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hafixture.Three()
			if tr.cluster != nil {
				tr.cluster(&c)
			}
			var hosts *hatest.Cluster
			if tr.cause == nil {
				hosts = hostsWithoutTcpdump(t, c)
			} else {
				hosts = soundHosts(t, c)
				tr.cause(t, hosts)
			}
			cfg := config(t, c)
			report := preflightWith(t, hosts, cfg, preflight.Config{Disk: tr.check == preflight.Disk})
			var about []string
			for _, f := range report.Findings {
				require.Equal(t, tr.check, f.Check, report.Text())
				require.Equal(t, tr.severity, f.Severity, report.Text())
				require.Contains(t, f.Found, tr.found)
				require.Contains(t, f.Do, tr.do)
				about = append(about, f.Hosts...)
			}
			require.Equal(t, tr.hosts, about, report.Text())
			require.Equal(t, tr.severity == quorate.Refused, report.Err() != nil)
			if tr.check != preflight.Reachable && tr.check != preflight.Disk {
				requireSameOfTheRecipe(t, hosts, cfg, report)
			}

			cfg.IgnorePreflight = []plan.Check{tr.check}
			// On a simulated host a user who is not root owns nothing, not even a
			// directory of its own for the test of the disk.
			ignoring := preflightWith(t, hosts, cfg, preflight.Config{Disk: tr.check != preflight.Root})
			require.Empty(t, ignoring.Findings)
			require.NoError(t, ignoring.Err())
			switch tr.check {
			case preflight.VIP, preflight.VRID, preflight.Path, preflight.Disk, preflight.CgroupDriver, preflight.Tunnel,
				preflight.CRIPlugin, preflight.SandboxImage, preflight.Endpoint, preflight.VRRP:
				require.Empty(t, ignoring.Ignored, "what is ignored is not tried")
			default:
				require.Equal(t, len(report.Findings), len(ignoring.Ignored))
				require.Equal(t, tr.check, ignoring.Ignored[0].Check)
			}
		})
	}
	for _, check := range preflight.Names() {
		require.True(t, covered[check], "no trouble for %s", check)
	}
}

// requireSameOfTheRecipe wants the recipe's own steps to find what Preflight does.
func requireSameOfTheRecipe(t *testing.T, hosts *hatest.Cluster, cfg ha.Config, report *preflight.Report) {
	t.Helper()
	p, err := planFor(cfg)
	require.NoError(t, err)
	var told []string
	_, err = (&plan.Runner{Transport: hosts, DryRun: true, Observe: func(e plan.Event) {
		if e.Step == "preflight" && e.Message != "" {
			told = append(told, e.Message)
		}
	}}).Run(t.Context(), p)
	var failed *preflight.Error
	if errs := report.Of(quorate.Refused); len(errs) > 0 {
		require.ErrorAs(t, err, &failed)
		require.Equal(t, len(errs), len(failed.Findings))
		for i, f := range failed.Findings { // the clock goes on from one look to the other
			require.Equal(t, []any{errs[i].Check, errs[i].Hosts, errs[i].Do}, []any{f.Check, f.Hosts, f.Do})
		}
	} else {
		require.False(t, errors.As(err, &failed), err)
	}
	require.Len(t, told, len(report.Findings)-len(report.Of(quorate.Refused)))
}

// A preflight without a transport, and one that is cancelled, have no report.
func TestPreflightRefuses(t *testing.T) {
	c := hafixture.Three()
	cfg := config(t, c)
	report, err := preflightFor(t.Context(), cfg, preflight.Config{})
	require.ErrorContains(t, err, "transport: missing")
	require.Nil(t, report)
	hosts := fakeCluster(t, c)
	ctx, stop := context.WithCancelCause(t.Context())
	hosts.Host("cp-2").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Run), After: func(context.Context, faketransport.Op, error) error {
		stop(errors.New("enough"))
		return nil
	}})
	report, err = preflightFor(ctx, cfg, preflight.Config{Transport: hosts})
	require.ErrorContains(t, err, "enough")
	require.Nil(t, report)
}

// withoutTunnels is a transport whose connections are no transport.Dialer.
type withoutTunnels struct{ transport.Transport }

func (w withoutTunnels) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := w.Transport.Dial(ctx, host)
	return struct{ transport.Conn }{conn}, err
}

// A cluster that runs is not looked at without tunnels either: nothing is waited for
// that cannot come.
func TestRunWithoutTunnelsOnARunningCluster(t *testing.T) {
	_, hosts, p := created(t)
	_, err := (&plan.Runner{Transport: withoutTunnels{hosts}}).Run(t.Context(), p)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
}

// A transport without tunnels is refused before anything runs anywhere.
func TestPreflightRefusesATransportWithoutTunnels(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: withoutTunnels{hosts}}).Run(t.Context(), p)
	var unfit *preflight.Error
	require.ErrorAs(t, err, &unfit)
	require.Len(t, unfit.Findings, len(c.ControlPlanes()))
	for i, f := range unfit.Findings {
		require.Equal(t, preflight.Tunnel, f.Check)
		require.Equal(t, []string{c.ControlPlanes()[i].Name}, f.Hosts)
		require.Contains(t, f.Do, "transport.Dialer")
	}
	for _, call := range hosts.Calls() {
		require.NotEqual(t, faketransport.Write, call.Op.Kind, call.String())
	}
}

// Hosts that are new take one command to be read, one to try what is around them, and
// on control planes a connection beside it.
func TestPreflightOfNewHostsTakesTwoRoundTrips(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	preflightOf(t, hosts, config(t, c))
	for _, n := range c.Nodes {
		kinds := map[faketransport.Kind]int{}
		for _, call := range hosts.Host(n.Name).Calls() {
			kinds[call.Op.Kind]++
		}
		require.Equal(t, 1, kinds[faketransport.Dial], n.Name)
		require.Equal(t, 2, kinds[faketransport.Run], n.Name)
		require.Equal(t, n.Role == quorate.ControlPlane, kinds[faketransport.Tunnel] == 1, n.Name)
	}
}

// What listens does not refuse: a firewall that does in its name is found.
func TestPreflightReportsAFirewallsRefusal(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	seed(t, hosts.Host("cp-3"), "/proc/net/tcp", "   0: 00000000:094B 00000000:0000 0A\n")
	curlSays(hosts.Host("cp-2"), "192.0.2.13:2379", 28, curlConnects)
	cfg := config(t, c)
	cfg.IgnorePreflight = []plan.Check{preflight.Port}
	report := preflightOf(t, hosts, cfg)
	require.Len(t, report.Findings, 1, report.Text())
	require.Equal(t, []string{"cp-1", "cp-3"}, report.Findings[0].Hosts)
	require.Equal(t, "cp-1 does not get through to cp-3 on TCP 2379", report.Findings[0].Found)
}

// What the description says is meant is no trouble.
func TestPreflightFollowsTheDescription(t *testing.T) {
	c := hafixture.Three()
	c.Kubeadm.IgnorePreflightErrors = []string{"Mem"}
	c.Kubeadm.Kubelet = map[string]any{"failSwapOn": false}
	hosts := soundHosts(t, c)
	seed(t, hosts.Host("cp-1"), "/proc/meminfo", "MemTotal:        1000000 kB\n")
	seed(t, hosts.Host("cp-1"), "/proc/swaps", "Filename Type\n/swapfile file\n")
	require.Empty(t, preflightOf(t, hosts, config(t, c)).Findings)
}

// On a cluster that is as described, its own ports, files and VIP are no
// trouble; and it costs one round trip for each host, with nothing tried or written.
func TestPreflightOfAConvergedCluster(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	cfg := config(t, c)
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	for _, n := range c.Nodes {
		var tcp strings.Builder
		for _, port := range []int{2379, 2380, 6443, 10250} {
			fmt.Fprintf(&tcp, "0: 00000000:%04X 00000000:0000 0A\n", port)
		}
		seed(t, hosts.Host(n.Name), "/proc/net/tcp", tcp.String())
	}
	require.NoError(t, hosts.Host("cp-1").Mkdir("/var/lib/quorate/etcd/member/wal"))
	hosts.Host("cp-1").Handle(faketransport.Exact("ip", "-o", "addr", "show"),
		faketransport.Reply("2: eth0    inet 192.0.2.11/24 scope global eth0\n2: eth0    inet 192.0.2.10/24 scope global eth0\n"))
	before := len(hosts.Calls())
	report := preflightOf(t, hosts, cfg)
	require.Empty(t, report.Findings, report.Text())
	var runs int
	for _, call := range hosts.Calls()[before:] {
		if call.Op.Kind == faketransport.Run {
			runs++
		}
		require.NotEqual(t, faketransport.Write, call.Op.Kind)
	}
	require.Equal(t, len(c.Nodes), runs)

	// The same hosts for another cluster's keys are another cluster's hosts.
	foreign := preflightOf(t, hosts, config(t, c))
	checks := map[plan.Check]int{}
	for _, f := range foreign.Findings {
		checks[f.Check]++
	}
	require.Equal(t, 3, checks[preflight.Leftovers], foreign.Text())
	require.NotZero(t, checks[preflight.Port])
	before = len(hosts.Calls())
	again, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, again.Changed())
	looks := map[string]int{}
	for _, call := range hosts.Calls()[before:] {
		if call.Op.Kind == faketransport.Run && len(call.Op.Argv) > 2 {
			first, _, _ := strings.Cut(call.Op.Argv[2], "\n")
			looks[first]++
		}
	}
	require.Equal(t, len(c.Nodes), looks["# read what the host says of itself"], "one command for each host")
	require.Zero(t, looks["# try what is around the host"])
}

// What would keep a node from coming into being does not stop a run over one that
// is there: it is a warning.
func TestPreflightOfARunningCluster(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	cfg := config(t, c)
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	found := map[plan.Check]bool{preflight.Swap: true, preflight.Memory: true, preflight.Cgroup: true, preflight.MachineID: true}
	for _, tr := range troubles {
		if found[tr.check] {
			tr.cause(t, hosts)
		}
	}
	report := preflightOf(t, hosts, cfg)
	require.NoError(t, report.Err())
	require.Len(t, report.Findings, len(found), report.Text())
	for _, f := range report.Findings {
		require.True(t, found[f.Check] && f.Severity == quorate.Warned, f)
	}
	again, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, again.Changed())
}

// A control plane that has the VIP has it by right; a worker has not.
func TestPreflightVIPHolders(t *testing.T) {
	for name, want := range map[string]int{"cp-2": 0, "worker-1": 1} {
		c := hafixture.Three()
		hosts := soundHosts(t, c)
		own := c.Nodes[slices.IndexFunc(c.Nodes, func(n quorate.Node) bool { return n.Name == name })].Address()
		hosts.Host(name).Handle(faketransport.Exact("ip", "-o", "addr", "show"),
			faketransport.Reply("2: eth0    inet "+own.String()+"/24 scope global eth0\n2: eth0    inet 192.0.2.10/32 scope global eth0\n"))
		curlSays(hosts.Host("cp-1"), "192.0.2.10:6443", 28, curlConnects)
		report := preflightOf(t, hosts, config(t, c))
		require.Len(t, report.Findings, want, report.Text())
	}
}

// A clock that may be right is not reported, however long the host took to
// answer: only what is certain.
func TestPreflightAllowsForTheRoundTrip(t *testing.T) {
	c := hafixture.Three()
	for by, want := range map[time.Duration]int{4 * time.Second: 0, 6500 * time.Millisecond: 1} {
		bubble.Test(t, func(t *testing.T) {
			hosts := soundHosts(t, c)
			hosts.Host("cp-1").SetClock(-by)
			hosts.Host("cp-1").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Run), Before: faketransport.Slow(5 * time.Second)})
			hosts.Host("cp-2").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Run), Before: faketransport.Slow(5 * time.Second)})
			cfg := sweepConfig(t)
			cfg.Untaint, cfg.Manifests = false, nil
			report := preflightOf(t, hosts, cfg)
			// The clock was read at the end of the wait: by the operator's clock it
			// may have been at any moment from the question on. 4 s behind may be right.
			require.Len(t, report.Findings, want, "%s behind: %s", by, report.Text())
		})
	}
}

// The recipe's own first steps stop for what is wrong with any host, all at
// once, and nothing has been done to any; what is ignored stops nothing.
func TestCreateStopsAtPreflight(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	seed(t, hosts.Host("cp-1"), "/proc/swaps", "Filename\n/swapfile file\n")
	seed(t, hosts.Host("cp-2"), "/proc/net/tcp", "0: 00000000:094B 00000000:0000 0A\n")
	for _, from := range []string{"cp-1", "cp-3"} {
		curlSays(hosts.Host(from), "192.0.2.12:2379", 28, curlConnects)
	}
	hosts.Host("cp-3").Handle(faketransport.Prefix("hostname"), faketransport.Reply("other\n"))
	cfg := config(t, c)
	p, err := planFor(cfg)
	require.NoError(t, err)
	var reported []string
	runner := plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		if e.Message != "" {
			reported = append(reported, e.Host+": "+e.Message)
		}
	}}
	_, err = runner.Run(t.Context(), p)
	require.ErrorContains(t, err, "1 step failed")
	require.ErrorContains(t, err, "preflight: 2 errors")
	require.ErrorContains(t, err, "cp-1 (swap): swap is on (/swapfile), with which the kubelet does not start: swapoff -a")
	require.ErrorContains(t, err, "cp-2 (port): 0.0.0.0:2379 is in use")
	require.True(t, slices.ContainsFunc(reported, func(s string) bool {
		return strings.HasPrefix(s, "cp-1: warning: cp-3 (hostname): the host calls itself other")
	}), reported)
	for _, call := range hosts.Calls() {
		require.NotEqual(t, faketransport.Write, call.Op.Kind, call.String())
	}
	cfg.IgnorePreflight = []plan.Check{preflight.Swap, preflight.Port}
	p, err = planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	cfg.IgnorePreflight = []plan.Check{"ports"}
	_, err = planFor(cfg)
	require.ErrorContains(t, err, `ignorePreflight[0]: "ports" is no name of a check`)
}

// A host that does not answer, which stops a run, hides nothing of what the others
// reported; one that is sound adds nothing.
func TestPreflightWithAnUnreachableHost(t *testing.T) {
	t.Parallel()
	for _, swap := range []bool{true, false} {
		bubble.Test(t, func(t *testing.T) {
			c := hafixture.Three()
			hosts := soundHosts(t, c)
			if swap {
				seed(t, hosts.Host("cp-3"), "/proc/swaps", "Filename\n/swapfile file\n")
			}
			hosts.Host("cp-2").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
			p, err := planFor(inBubble(t, config(t, c)))
			require.NoError(t, err)
			var ended []string
			sum, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
				if e.Kind == plan.StepEnded && e.Outcome == plan.Failed {
					ended = append(ended, string(e.Step))
				}
			}}).Run(t.Context(), p)
			var away *transport.DialError
			require.ErrorAs(t, err, &away)
			require.Equal(t, "cp-2", away.Host)
			var unfit *preflight.Error
			if !swap {
				require.NotErrorAs(t, err, &unfit)
				require.Equal(t, []string{"facts/cp-2"}, ended)
				return
			}
			require.ErrorAs(t, err, &unfit)
			require.Len(t, unfit.Findings, 1)
			require.Equal(t, []string{"cp-3"}, unfit.Findings[0].Hosts)
			require.Equal(t, []string{"facts/cp-2", "preflight"}, ended)
			require.Equal(t, 2, sum.Outcomes[plan.Failed])
			for _, call := range hosts.Calls() {
				require.NotEqual(t, faketransport.Write, call.Op.Kind, call.String())
			}
		})
	}
}

// One plan may be run on two sets of hosts at once: what is seen of the one says
// nothing of the other.
func TestConcurrentPreflights(t *testing.T) {
	c := hafixture.Three()
	sound, swapping := soundHosts(t, c), soundHosts(t, c)
	troubles["swap"].cause(t, swapping)
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	var other error
	around := faketransport.MatchFunc("probe", func(argv []string) bool {
		return len(argv) > 2 && strings.HasPrefix(argv[2], "# try what is around the host")
	})
	sound.Host("cp-1").Inject(faketransport.Fault{On: faketransport.OnRun(around), Nth: 1, Before: func(ctx context.Context, _ faketransport.Op) error {
		_, other = (&plan.Runner{Transport: swapping, DryRun: true}).Run(ctx, p)
		return nil
	}})
	_, err = (&plan.Runner{Transport: sound}).Run(t.Context(), p)
	require.NoError(t, err)
	require.ErrorContains(t, other, "preflight: 1 error")
}

// Whatever the shape of a cluster, hosts as they should be have no finding.
func TestPreflightOfSoundHosts(t *testing.T) {
	for name, shape := range tier.Samples(map[string]func(c *quorate.Cluster){
		"three and a worker": func(*quorate.Cluster) {},
		"one":                func(c *quorate.Cluster) { c.Nodes = c.Nodes[:1] },
		"stacked":            func(c *quorate.Cluster) { c.Etcd.Stacked = true },
		"external endpoint":  func(c *quorate.Cluster) { c.Endpoint = quorate.Endpoint{Host: "lb.example.org", External: true} },
		"Kubernetes 1.10, etcd without TLS": func(c *quorate.Cluster) {
			c.Name, c.Version, c.Etcd.PlainHTTP = "", quorate.Version{Major: 1, Minor: 10, Patch: 4}, true
		},
		"IPv6": func(c *quorate.Cluster) {
			c.Endpoint.Host, c.Endpoint.VIP.Subnet = "2001:db8::10", netip.MustParsePrefix("2001:db8::/64")
			c.Pods, c.Services = []netip.Prefix{netip.MustParsePrefix("fd00:1::/56")}, []netip.Prefix{netip.MustParsePrefix("fd00:2::/112")}
			for i := range c.Nodes {
				c.Nodes[i].Addresses = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("2001:db8::1:%d", i))}
			}
		},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hafixture.Three()
			shape(&c)
			hosts, cfg := soundHosts(t, c), config(t, c)
			report := preflightWith(t, hosts, cfg, preflight.Config{Disk: true})
			require.Empty(t, report.Findings, report.Text())
			requireSameOfTheRecipe(t, hosts, cfg, report)
		})
	}
}

// The three forms in which findings are told: all errors at once, text and JSON.
func TestPreflightReport(t *testing.T) {
	c := hafixture.Three()
	hosts := soundHosts(t, c)
	for _, name := range []string{"cloned", "swap", "slow disk", "another name", "etcd's port taken"} {
		troubles[name].cause(t, hosts)
	}
	cfg := config(t, c)
	cfg.IgnorePreflight = []plan.Check{preflight.Swap}
	report := preflightWith(t, hosts, cfg, preflight.Config{Disk: true})
	golden(t, "preflight/report.txt", report.Text())
	golden(t, "preflight/report.json", string(report.JSON()))
	var parsed preflight.Report
	require.NoError(t, json.Unmarshal(report.JSON(), &parsed))
	require.Equal(t, *report, parsed)
	var failed *preflight.Error
	require.True(t, errors.As(report.Err(), &failed))
	require.Equal(t, report.Of(quorate.Refused), failed.Findings)
	golden(t, "preflight/error.txt", failed.Error()+"\n")
	require.Contains(t, string((&preflight.Report{}).JSON()), `"findings": []`)
}
