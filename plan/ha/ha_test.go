package ha_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
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
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/vip"
)

func config(t *testing.T, c quorate.Cluster) ha.Config {
	t.Helper()
	token, err := kubeadm.NewToken(rand.Reader)
	require.NoError(t, err)
	auth, err := vip.NewAuth(rand.Reader)
	require.NoError(t, err)
	return ha.Config{Cluster: c, Certs: hafixture.Bundle(t, c, pki.Config{}), Kubeadm: kubeadm.Secrets{Token: token}, VIPAuth: auth}
}

// planFor is the plan of a cluster.
func planFor(cfg ha.Config) (*plan.Plan, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.Plan()
}

// resetFor is the plan that resets it, or nodes of it.
func resetFor(cfg ha.Config, o ha.ResetConfig) (*plan.Plan, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.PlanReset(o)
}

func filesFor(cfg ha.Config) (map[string][]quorate.File, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.Files(), nil
}

func preflightFor(ctx context.Context, cfg ha.Config, how preflight.Config) (*preflight.Report, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.Preflight(ctx, how)
}

func fakeCluster(t *testing.T, c quorate.Cluster) *hatest.Cluster {
	t.Helper()
	hosts, err := hatest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, hosts.Close()) })
	return hosts
}

func TestCreateTwice(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	const archive = "/opt/images/node.tar"
	hosts.Archive(archive, "registry.k8s.io/pause:3.10")
	image := software.ImageArchive{OnHost: true, Names: []string{"registry.k8s.io/pause:3.10"}}
	image.Path = archive
	cfg.Prerequisites = software.Pushed{Images: []software.ImageArchive{image}}
	cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
	cfg.Untaint = true
	p, err := planFor(cfg)
	require.NoError(t, err)

	sum, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.True(t, sum.Changed())
	require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
	for _, n := range c.ControlPlanes() {
		for _, unit := range []string{"containerd.service", "etcd.service", "keepalived.service", "kubelet.service"} {
			require.True(t, hosts.Active(n.Name, unit), "%s on %s", unit, n.Name)
		}
	}
	require.False(t, hosts.Active("worker-1", "etcd.service"))

	again, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, again.Changed())
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: p.Len()}, again.Outcomes)
}

// What Files returns is what is on the hosts after a run, byte for byte,
// mode for mode, and nothing else but what the recipe says besides.
func TestFilesEqualWhatARunWrites(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	files, err := filesFor(cfg)
	require.NoError(t, err)
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	for name, want := range files {
		expected := map[string]bool{"/proc/1/comm": true, "/etc/kubernetes/kubelet.conf": true,
			"/etc/kubernetes/admin.conf": true, "/var/lib/kubelet/config.yaml": true, "/var/lib/kubelet/kubeadm-flags.env": true}
		for _, f := range want {
			got, err := hosts.Host(name).File(f.Path)
			require.NoError(t, err, "%s: %s", name, f.Path)
			require.Equal(t, f.Content.Bytes(), got.Data.Bytes(), "%s: %s", name, f.Path)
			require.Equal(t, f.Mode, got.Mode, "%s: %s", name, f.Path)
			expected[f.Path] = true
		}
		for _, path := range hosts.Host(name).Files() {
			ofKubeadm := strings.HasPrefix(path, "/etc/kubernetes/manifests/") || strings.HasPrefix(path, "/etc/kubernetes/pki/apiserver.") || strings.HasPrefix(path, "/proc/")
			require.True(t, expected[path] || ofKubeadm || filepath.Dir(path) == "/var/lib/quorate" || strings.HasPrefix(path, "/var/lib/quorate/etcd/member/"), "%s has %s", name, path)
		}
	}
}

// No host but the control planes holds an authority's key, and none that of
// etcd's.
func TestKeyPaths(t *testing.T) {
	c := hafixture.Three()
	cfg := config(t, c)
	files, err := filesFor(cfg)
	require.NoError(t, err)
	var etcdKey []byte
	for _, f := range cfg.Certs.(*pki.Bundle).Store() {
		if f.Path == "etcd/ca.key" {
			etcdKey = f.Content.Bytes()
		}
	}
	require.NotEmpty(t, etcdKey)
	for name, all := range files {
		for _, f := range all {
			require.NotEqual(t, etcdKey, f.Content.Bytes(), "%s: %s", name, f.Path)
			if strings.HasSuffix(f.Path, ".key") {
				require.True(t, strings.HasPrefix(name, "cp-"), "%s: %s", name, f.Path)
				require.Equal(t, os.FileMode(0o600), f.Mode)
				require.True(t, f.Content.IsSensitive())
			}
		}
	}
}

func TestDryRunOnBareHosts(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	before := hosts.Host("cp-1").Files()
	sum, err := (&plan.Runner{Transport: hosts, DryRun: true}).Run(t.Context(), p)
	require.NoError(t, err)
	require.True(t, sum.Changed())
	require.Equal(t, before, hosts.Host("cp-1").Files())
	for _, call := range hosts.Calls() {
		require.NotContains(t, []faketransport.Kind{faketransport.Write, faketransport.Upload, faketransport.Remove}, call.Op.Kind)
	}
}

func TestRunWithABadHost(t *testing.T) {
	c := hafixture.Three()
	hosts, untouched := fakeCluster(t, c), fakeCluster(t, c)
	hosts.Host("cp-3").Handle(faketransport.Exact("id", "-u"), faketransport.Reply("1000\n"))
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	var failed *preflight.Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []string{"cp-3"}, failed.Findings[0].Hosts)
	require.Contains(t, err.Error(), "not as root: connect as root or decorate the transport with sudo")
	for _, n := range c.Nodes {
		require.Equal(t, untouched.Host(n.Name).Files(), hosts.Host(n.Name).Files(), n.Name)
	}
}

// A restart is due when the files are not those that the unit was last started
// with, also when the run that wrote them ended before it restarted the unit.
func TestInterruptedDeploy(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)

	cfg.Cluster.Etcd.QuotaBytes = 4 << 30
	p, err = planFor(cfg)
	require.NoError(t, err)
	cp2 := hosts.Host("cp-2")
	restart := faketransport.MatchFunc("restart", func(argv []string) bool {
		return strings.HasSuffix(strings.Join(argv, " "), "restart etcd.service")
	})
	cp2.Inject(faketransport.Fault{On: faketransport.OnRun(restart), Before: faketransport.Fails(faketransport.Exit(1))})
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.Error(t, err)
	cp2.Heal()
	var restarted bool
	sum, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		for _, change := range e.Diff {
			restarted = restarted || e.Host == "cp-2" && change.Verb == "restart" && change.Disruptive
		}
	}}).Run(t.Context(), p)
	require.NoError(t, err)
	require.True(t, restarted)
	require.True(t, sum.Changed())
}

// What an earlier run started and did not end is undone, and started again; what
// no run of ours began, or what was complete once, is never reset.
func TestRepairOfAHalfFinishedNode(t *testing.T) {
	for _, host := range []string{"cp-1", "cp-2", "worker-1"} {
		t.Run(host, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				c := hafixture.Three()
				hosts := fakeCluster(t, c)
				p, err := planFor(config(t, c))
				require.NoError(t, err)
				cut := faketransport.Fault{
					On: func(op faketransport.Op) bool {
						return op.Kind == faketransport.Run && op.Argv[0] == "kubeadm" && (op.Argv[1] == "init" || op.Argv[1] == "join")
					},
					Nth: 1,
					Before: func(ctx context.Context, op faketransport.Op) error {
						return errors.Join(hosts.CutKubeadm(host), faketransport.Reset(ctx, op))
					},
				}
				hosts.Host(host).Inject(cut)
				_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
				require.NoError(t, err, "the same run tries again once the connection is back")
				require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
				require.Len(t, commands(hosts, host, "kubeadm reset"), 1)
				require.Contains(t, commands(hosts, host, "kubeadm reset")[0], "--force")

				again, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
				require.NoError(t, err)
				require.False(t, again.Changed())

				// The same looks on a node that was complete: its API server is
				// away, and all the rest is somebody's cluster.
				require.NoError(t, hosts.CutKubeadm(host))
				if host == "worker-1" {
					return // it has nothing of its own to answer
				}
				_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
				require.ErrorContains(t, err, "has been complete, and does not answer now")
				require.Len(t, commands(hosts, host, "kubeadm reset"), 1)
			})
		})
	}
}

// A kubeadm that outlived the connection which began it is left to end, however long
// that takes, and only then judged.
func TestWaitForAnotherKubeadm(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		p, err := planFor(config(t, c))
		require.NoError(t, err)
		worker := hosts.Host("worker-1")
		comm := transport.File{Path: "/proc/77/comm", Mode: 0o444, Data: transport.Bytes([]byte("kubeadm\n"))}
		worker.Inject(faketransport.Fault{
			On:  faketransport.OnRun(faketransport.Prefix("kubeadm", "join")),
			Nth: 1,
			Before: func(ctx context.Context, op faketransport.Op) error {
				return errors.Join(worker.Put(comm), hosts.CutKubeadm("worker-1"), faketransport.Reset(ctx, op))
			},
		})
		ended := make(chan time.Time, 1)
		time.AfterFunc(4*time.Minute, func() {
			worker.Delete(comm.Path)
			ended <- time.Now()
		})
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
		require.Len(t, commands(hosts, "worker-1", "kubeadm reset"), 1)
		require.Greater(t, time.Since(<-ended), time.Duration(0))
	})
}

// A host that was reset, rolled back or replaced a moment ago joins as soon as the
// cluster has noticed that its node is gone, and the node is never deleted for that:
// it may be another host's, of the same name, which stays.
func TestJoinUnderTheNameOfARunningNode(t *testing.T) {
	for _, host := range []string{"cp-2", "worker-1"} {
		for refusals, patient := range map[int]bool{3: true, 1000: false} {
			t.Run(fmt.Sprintf("%s %d", host, refusals), func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					c := hafixture.Three()
					hosts := fakeCluster(t, c)
					p, err := planFor(config(t, c))
					require.NoError(t, err)
					refused := 0
					hosts.Host(host).Inject(faketransport.Fault{
						On: func(op faketransport.Op) bool {
							join := op.Kind == faketransport.Run && op.Argv[0] == "kubeadm" && op.Argv[1] == "join" && refused < refusals
							if join {
								refused++
							}
							return join
						},
						Before: func(_ context.Context, op faketransport.Op) error {
							// kubeadm looks when a control plane has its manifests already.
							if err := hosts.CutKubeadm(host); host != "worker-1" && err != nil {
								return err
							}
							return &transport.ExitError{Host: host, Argv: op.Argv, Code: 1, Stderr: fmt.Sprintf(
								"error execution phase kubelet-start: a Node with name %q and status \"Ready\" already exists in the cluster. "+
									"You must delete the existing Node or change the name of this new joining Node\n", host)}
						},
					})
					began := time.Now()
					_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
					require.Empty(t, commands(hosts, host, "delete node"))
					if patient {
						require.NoError(t, err)
						require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
						return
					}
					require.ErrorContains(t, err, "already exists in the cluster")
					require.Less(t, time.Since(began), 10*time.Minute)
				})
			})
		}
	}
}

// A node that has lost its label is no reason to doubt a cluster that has all that
// kubeadm made; one whose etcd came back empty has not, though its API server answers.
func TestLostLabel(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, p)
	hosts.Host("cp-1").Handle(faketransport.Regexp(regexp.MustCompile(`^kubectl .* get nodes,configmaps -n kube-system -o go-template=`)),
		faketransport.Reply("cp-1 v1.37.2 True \t\t\t\t\ncp-2 v1.37.2 True role\t\t\t\t\ncp-3 v1.37.2 True role\t\t\t\t\nworker-1 v1.37.2 True \t\t\t\t\n"))
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())

	hosts.Host("cp-1").Handle(faketransport.Regexp(regexp.MustCompile(`^kubectl .* configmap/cluster-info`)),
		func(_ context.Context, in faketransport.Invocation) error {
			fmt.Fprintln(in.Stderr, `Error from server (NotFound): configmaps "cluster-info" not found`)
			return faketransport.Exit(1)
		})
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.ErrorContains(t, err, `has been complete, and does not answer now (Error from server (NotFound): configmaps "cluster-info" not found)`)
	require.Empty(t, commands(hosts, "cp-1", "kubeadm reset"))
}

// A half-finished init of which nobody knows who began it is reported.
func TestInitByHand(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.IgnorePreflight = []plan.Check{preflight.Leftovers} // it sees it first
	p, err := planFor(cfg)
	require.NoError(t, err)
	require.NoError(t, hosts.Host("cp-1").Put(adminConf()))
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.ErrorContains(t, err, "kubeadm init was not begun by an earlier run")
	require.ErrorContains(t, err, "kubeadm reset --force")
	require.Empty(t, commands(hosts, "cp-1", "kubeadm reset"))
}

func TestBadInputTouchesNoHost(t *testing.T) {
	c := hafixture.Three()
	c.Nodes[1].Name = "CP_2"
	c.Endpoint.VIP.RouterID = 300
	cfg := config(t, hafixture.Three())
	cfg.Cluster = c
	_, err := planFor(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Equal(t, []string{"endpoint.vip.routerID", "nodes[1].name"}, paths)
}

func TestExternalEndpointNeedsNoKeepalived(t *testing.T) {
	c := hafixture.Three()
	c.Endpoint = quorate.Endpoint{Host: "api.example.com", Port: 443, External: true}
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.VIPAuth = quorate.Content{}
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.NoError(t, err)
	require.False(t, hosts.Active("cp-1", "keepalived.service"))
}

// A command on a host may quote its input in a complaint. No secret gets out
// that way.
func TestSecretsQuotedByAHost(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	token := string(cfg.Kubeadm.Token.Bytes())
	hosts.Host("cp-1").Handle(faketransport.Prefix("kubeadm", "init"), faketransport.Fail(1, "cannot use token "+token+" here"))
	p, err := planFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.ErrorContains(t, err, "cannot use token [sensitive] here")
	require.NotContains(t, fmt.Sprintf("%+v", err), token)
}

func TestEtcdWaitsForEveryControlPlane(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	hosts.Host("cp-3").Handle(faketransport.Prefix("/usr/local/bin/etcd"), faketransport.Reply("etcd Version: 3.4.0\n"))
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.ErrorContains(t, err, "/usr/local/bin/etcd is etcd v3.4.0: put etcd v3.5.24 or later there")
	for _, n := range c.ControlPlanes() {
		require.False(t, hosts.Active(n.Name, "etcd.service"), n.Name)
	}
}

// Every era's procedure brings up a cluster and then changes nothing: control
// planes initialise one after another until 1.11, and join from 1.12 on; labels,
// taints and what kubectl can do are those of the time.
func TestCreateInEveryEra(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		minor      int
		others     string // what kubeadm does on control planes but the first
		taint      string
		remembered bool // that a manifest was applied
	}{
		{10, "kubeadm init", "master", true},
		{11, "kubeadm init", "master", true},
		{12, "kubeadm join", "master", true},
		{13, "kubeadm join", "master", true},
		{14, "kubeadm join", "master", true},
		{15, "kubeadm join", "master", true},
		{17, "kubeadm join", "master", true},
		{18, "kubeadm join", "master", false},
		{23, "kubeadm join", "master", false},
		{24, "kubeadm join", "control-plane", false},
		{31, "kubeadm join", "control-plane", false},
	} {
		t.Run(fmt.Sprintf("1.%d", tt.minor), func(t *testing.T) {
			c := hafixture.Three()
			c.Name = ""
			c.Version = quorate.Version{Major: 1, Minor: tt.minor, Patch: 4}
			hosts := fakeCluster(t, c)
			cfg := config(t, c)
			cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
			cfg.Untaint = true
			p, err := planFor(cfg)
			require.NoError(t, err)
			_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
			require.NoError(t, err)
			require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())

			require.Len(t, commands(hosts, "cp-1", "kubeadm init"), 1)
			require.Len(t, commands(hosts, "cp-3", tt.others), 1)
			require.Len(t, commands(hosts, "worker-1", "kubeadm join"), 1)
			require.NotEmpty(t, commands(hosts, "cp-1", "taint nodes cp-1 cp-2 cp-3 node-role.kubernetes.io/"+tt.taint+"-"))
			_, err = hosts.Host("cp-1").File("/var/lib/quorate/manifest-network.sha256")
			require.Equal(t, tt.remembered, err == nil)

			again, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
			require.NoError(t, err)
			require.False(t, again.Changed())
		})
	}
}

// commands returns those of a host that hold a text.
func commands(hosts *hatest.Cluster, host, text string) []string {
	var out []string
	for _, c := range hosts.Host(host).Calls() {
		if line := c.Op.String(); c.Op.Kind == faketransport.Run && strings.Contains(line, text) {
			out = append(out, line)
		}
	}
	return out
}

// A control plane whose init was cut off is not taken for one that is done
// because the cluster's objects are there: its own node decides.
func TestInitOfAnotherControlPlane(t *testing.T) {
	c := hafixture.Three()
	c.Name, c.Version = "", quorate.Version{Major: 1, Minor: 10, Patch: 4}
	hosts := fakeCluster(t, c)
	cfg := config(t, c)
	cfg.IgnorePreflight = []plan.Check{preflight.Leftovers} // it sees it first
	p, err := planFor(cfg)
	require.NoError(t, err)
	require.NoError(t, hosts.Host("cp-2").Put(adminConf()))
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	require.ErrorContains(t, err, "kubeadm init was not begun by an earlier run")
	require.ErrorContains(t, err, "init/cp-2")
}

// A cluster that answers at the endpoint is noticed by what API servers of the
// version report their health.
func TestForeignEndpointInEveryEra(t *testing.T) {
	for minor, path := range map[int]string{10: "/healthz", 15: "/healthz", 16: "/readyz", 37: "/readyz"} {
		c := hafixture.Three()
		c.Name, c.Version = "", quorate.Version{Major: 1, Minor: minor, Patch: 2}
		hosts := fakeCluster(t, c)
		p, err := planFor(config(t, c))
		require.NoError(t, err)
		hosts.Host("cp-1").Handle(faketransport.Prefix("curl"), func(_ context.Context, in faketransport.Invocation) error {
			if in.Argv[len(in.Argv)-1] != "https://192.0.2.10:6443"+path || slices.Contains(in.Argv, "--cacert") {
				return faketransport.Exit(22)
			}
			_, err := in.Stdout.Write([]byte("ok"))
			return err
		})
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.ErrorContains(t, err, "the API already answers at 192.0.2.10:6443", "1.%d", minor)
	}
}
