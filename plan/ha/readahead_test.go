package ha_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/sudo"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// drifts are what another hand may do to a host of a cluster that runs.
var drifts = map[string]func(t require.TestingT, hosts *hatest.Cluster, host string){
	"content": edit("/etc/keepalived/keepalived.conf", func(f *transport.File) { f.Data = transport.Bytes([]byte("# by hand\n")) }),
	"mode":    edit("/etc/sysctl.d/99-quorate.conf", func(f *transport.File) { f.Mode = 0o600 }),
	"owner":   edit("/etc/systemd/system/etcd.service", func(f *transport.File) { f.Owner = "nobody" }),
	"deleted": remove("/etc/keepalived/check_apiserver.sh"),
	"key":     remove("/etc/kubernetes/pki/sa.key"),
	"stamp":   remove("/var/lib/quorate/services.sha256", "/var/lib/quorate/keepalived.sha256"),
	"mark":    edit("/var/lib/quorate/kubeadm.state", func(f *transport.File) { f.Data = transport.Bytes([]byte("begun\n")) }),
	"stopped": systemctl("stop", "keepalived.service"),
	"runtime": systemctl("stop", "containerd.service"),
	"etcd":    systemctl("stop", "etcd.service"),
	"restart": systemctl("restart", "keepalived.service"),
	"node": func(t require.TestingT, hosts *hatest.Cluster, host string) {
		apply(t, hosts, "cp-1", "kubectl", "delete", "node", host)
	},
	"not root": func(_ require.TestingT, hosts *hatest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Exact("id", "-u"), faketransport.Reply("1000\n"))
	},
	"no program": func(_ require.TestingT, hosts *hatest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Prefix("kubelet"), faketransport.Reply("Kubernetes v1.36.0\n"))
	},
	"kernel": func(_ require.TestingT, hosts *hatest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Exact("sysctl", "net.ipv4.ip_forward"), faketransport.Reply("net.ipv4.ip_forward = 0\n"))
	},
	"api": func(_ require.TestingT, hosts *hatest.Cluster, host string) {
		hosts.Host(host).Handle(faketransport.Prefix("kubectl"), faketransport.Fail(1, "connection refused\n"))
	},
}

func edit(path string, how func(*transport.File)) func(require.TestingT, *hatest.Cluster, string) {
	return func(t require.TestingT, hosts *hatest.Cluster, host string) {
		f, err := hosts.Host(host).File(path)
		if err != nil {
			return // not on this host
		}
		how(&f)
		require.NoError(t, hosts.Host(host).Put(f))
	}
}

func remove(paths ...string) func(require.TestingT, *hatest.Cluster, string) {
	return func(_ require.TestingT, hosts *hatest.Cluster, host string) { hosts.Host(host).Delete(paths...) }
}

func systemctl(verb, unit string) func(require.TestingT, *hatest.Cluster, string) {
	return func(t require.TestingT, hosts *hatest.Cluster, host string) {
		apply(t, hosts, host, "systemctl", verb, unit)
	}
}

// apply runs a command on a host; that the host has no such unit is no matter.
func apply(t require.TestingT, hosts *hatest.Cluster, host string, argv ...string) {
	conn, err := hosts.Dial(context.Background(), host)
	require.NoError(t, err)
	_ = conn.Run(context.Background(), transport.Cmd{Argv: argv})
	require.NoError(t, conn.Close())
}

// Whatever has drifted on the hosts, a run that reads ahead finds, does and says
// what one does that reads step by step: dry, applied, and run again; with the
// fake hosts' own Gatherer, through the shell, and through sudo.
func TestPrefetchChangesNothing(t *testing.T) {
	tier.Checks(t, "12")
	cfg := sweepConfig(t)
	cfg.Certs = config(t, cfg.Cluster).Certs // of this year
	p, err := planFor(cfg)
	require.NoError(t, err)
	through := map[string]func(transport.Transport) transport.Transport{
		"gatherer": func(tr transport.Transport) transport.Transport { return tr },
		"shell":    transporttest.WithoutFiler,
		"sudo":     func(tr transport.Transport) transport.Transport { return sudo.New(tr, sudo.Config{}) },
	}
	type drift struct{ what, host string }
	oneDrift := rapid.Custom(func(t *rapid.T) drift {
		return drift{
			rapid.SampledFrom(slices.Sorted(maps.Keys(drifts))).Draw(t, "what"),
			rapid.SampledFrom([]string{"cp-1", "cp-2", "cp-3", "worker-1"}).Draw(t, "host"),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		decorate := through[rapid.SampledFrom(slices.Sorted(maps.Keys(through))).Draw(rt, "through")]
		drawn := rapid.SliceOfN(oneDrift, 0, 4).Draw(rt, "drifts")
		var ends []string
		var said [][]map[plan.ID]string
		for _, ahead := range []time.Duration{0, fixture.NoReadAhead} {
			hosts, err := hatest.New(cfg.Cluster)
			require.NoError(rt, err)
			_, err = (&plan.Runner{Transport: hosts, Parallel: 1}).Run(t.Context(), p)
			require.NoError(rt, err)
			for _, d := range drawn {
				drifts[d.what](rt, hosts, d.host)
			}
			r := plan.Runner{Transport: decorate(hosts), Parallel: 1, ReadAhead: ahead}
			dry := r
			dry.DryRun = true
			var all []map[plan.ID]string
			for _, r := range []plan.Runner{dry, r, r} {
				one, _ := fixture.Reports(t.Context(), r, p)
				all = append(all, one)
			}
			said, ends = append(said, all), append(ends, filesOf(rt, hosts))
			require.NoError(rt, hosts.Close())
		}
		for i, run := range []string{"dry run", "run", "run again"} {
			require.Equal(rt, said[1][i], said[0][i], "%s after %v", run, drawn)
		}
		require.Equal(rt, ends[1], ends[0], "%v", drawn)
	})
}

// filesOf is what is on the hosts and what runs there.
func filesOf(t require.TestingT, hosts *hatest.Cluster) string {
	var b strings.Builder
	for _, n := range hafixture.Three().Nodes {
		for _, path := range hosts.Host(n.Name).Files() {
			f, err := hosts.Host(n.Name).File(path)
			require.NoError(t, err)
			fmt.Fprintf(&b, "%s %s %o %s:%s %q\n", n.Name, path, f.Mode, f.Owner, f.Group, f.Data.Bytes())
		}
		for _, unit := range []string{"containerd.service", "etcd.service", "keepalived.service", "kubelet.service"} {
			fmt.Fprintf(&b, "%s %s %t %q\n", n.Name, unit, hosts.Active(n.Name, unit), hosts.Outdated(n.Name, unit))
		}
	}
	return b.String()
}

// A converged run takes one round trip a host wherever programs come from, also
// by the procedures of old releases, through the shell and through sudo.
func TestRoundTripsOfAConvergedRun(t *testing.T) {
	t.Parallel()
	for name, change := range tier.Samples(map[string]func(*ha.Config){
		"present":  func(*ha.Config) {},
		"stacked":  func(c *ha.Config) { c.Cluster.Etcd.Stacked = true },
		"external": func(c *ha.Config) { c.Cluster.Endpoint = quorate.Endpoint{Host: "api.example.org", External: true} },
		"1.17":     func(c *ha.Config) { c.Cluster.Version = quorate.Version{Major: 1, Minor: 17} },
		"1.10": func(c *ha.Config) {
			c.Cluster.Name, c.Cluster.Version = "", quorate.Version{Major: 1, Minor: 10, Patch: 4}
		},
		"pushed": func(c *ha.Config) {
			_, sent := hafixture.Archive("registry.k8s.io/pause:3.10")
			c.Prerequisites = software.Pushed{Images: []software.ImageArchive{sent}}
		},
	}) {
		for through, decorate := range map[string]func(transport.Transport) transport.Transport{
			"gatherer": func(tr transport.Transport) transport.Transport { return tr },
			"shell":    transporttest.WithoutFiler,
			"sudo":     func(tr transport.Transport) transport.Transport { return sudo.New(tr, sudo.Config{}) },
		} {
			t.Run(name+", "+through, func(t *testing.T) {
				cfg := sweepConfig(t)
				change(&cfg)
				whole := config(t, cfg.Cluster)
				cfg.Certs, cfg.Kubeadm = whole.Certs, whole.Kubeadm
				hosts := fakeCluster(t, cfg.Cluster)
				hosts.Archive(hafixture.ArchivePath, "registry.k8s.io/pause:3.10")
				p, err := planFor(cfg)
				require.NoError(t, err)
				r := plan.Runner{Transport: decorate(hosts)}
				_, err = r.Run(t.Context(), p)
				require.NoError(t, err)
				sum, err := r.Run(t.Context(), p)
				require.NoError(t, err)
				require.False(t, sum.Changed())
				tunnels := 3
				if cfg.Cluster.Etcd.Stacked {
					tunnels = 0
				}
				require.Equal(t, map[string]int{"cp-1": 1 + tunnels, "cp-2": 1, "cp-3": 1, "worker-1": 1}, sum.RoundTrips)
			})
		}
	}
}
