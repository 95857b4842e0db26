package ha_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// surveyOf surveys hosts, with a clock of its own.
func surveyOf(t *testing.T, hosts transport.Transport, cfg ha.Config) *survey.Survey {
	t.Helper()
	c, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	s, err := c.Survey(t.Context(), survey.Config{Transport: hosts, Now: func() time.Time { return surveyTime.Add(time.Hour) }})
	require.NoError(t, err)
	return s
}

var surveyTime = time.Now().UTC().Truncate(24 * time.Hour)

// surveyed is a cluster that runs, of certificates and a clock that are always the same.
func surveyed(t *testing.T) (*hatest.Cluster, ha.Config) {
	t.Helper()
	cfg := config(t, hafixture.Three())
	cfg.Certs = hafixture.Bundle(t, cfg.Cluster, pki.Config{Now: func() time.Time { return surveyTime }})
	p, err := planFor(cfg)
	require.NoError(t, err)
	hosts := fakeCluster(t, cfg.Cluster)
	mustRun(t.Context(), t, hosts, p)
	return hosts, cfg
}

// found are the findings of a check, as texts.
func found(s *survey.Survey, check plan.Check) []string {
	var out []string
	for _, f := range s.Findings {
		if f.Check == check {
			out = append(out, f.String())
		}
	}
	return out
}

// A cluster that is as described has no finding, in one command a host, and nothing is
// written anywhere.
func TestSurveyOfASoundCluster(t *testing.T) {
	hosts, cfg := surveyed(t)
	before := stateOf(t, hosts)
	calls := map[string]int{}
	for _, n := range cfg.Cluster.Nodes {
		calls[n.Name] = len(hosts.Host(n.Name).Calls())
	}
	s := surveyOf(t, hosts, cfg)
	for _, n := range cfg.Cluster.Nodes {
		// A host is read in one round trip: the rest is tunnels to etcd's members.
		trips := map[faketransport.Kind]int{}
		for _, call := range hosts.Host(n.Name).Calls()[calls[n.Name]:] {
			trips[call.Op.Kind]++
		}
		require.Equal(t, 1, trips[faketransport.Gather], n.Name)
		require.Zero(t, trips[faketransport.Write]+trips[faketransport.Upload]+trips[faketransport.Remove], n.Name)
		if n.Name == "cp-1" {
			require.Equal(t, 3, trips[faketransport.Tunnel])
		} else {
			require.Zero(t, trips[faketransport.Tunnel], n.Name)
		}
	}
	require.Empty(t, s.Differences)
	require.True(t, s.Sound(), "%v", s.Findings)
	require.Equal(t, before, stateOf(t, hosts))
	require.Len(t, s.Hosts, 4)
	require.Len(t, s.Etcd.Members, 3)
	require.Len(t, s.VIP.Holders, 1)
	require.True(t, s.Etcd.Quorum)
	for _, m := range s.Etcd.Members {
		require.True(t, m.Healthy && m.Described && m.ID != "" && m.Presented != nil, "%+v", m)
	}
	for _, n := range s.API.Nodes {
		require.True(t, n.Described)
	}
	i := slices.IndexFunc(s.Settings, func(x survey.Setting) bool { return x.Path == "kubeadm.apiServerArgs[shutdown-delay-duration]" })
	require.Equal(t, survey.Setting{
		Path: "kubeadm.apiServerArgs[shutdown-delay-duration]", Described: "6s", API: "6s",
		Files:     []survey.Value{{Value: "6s", Hosts: []string{"cp-1", "cp-2", "cp-3"}}},
		Processes: []survey.Value{{Value: "6s", Hosts: []string{"cp-1", "cp-2", "cp-3"}}},
	}, s.Settings[i])
}

// What has happened to a cluster is found, and what to do is said by verb; nothing else is.
func TestSurveyFindings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happen func(t *testing.T, hosts *hatest.Cluster, cfg *ha.Config)
		check  plan.Check
		found  string
		verb   string
	}{
		"a host down": {func(_ *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			hosts.Host("worker-1").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
		}, survey.Reachable, "worker-1 (reachable): it does not answer", "host"},
		"kubeadm cut off": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			edit("/var/lib/quorate/kubeadm.state", func(f *transport.File) { f.Data = transport.Bytes([]byte("begun\n")) })(t, hosts, "cp-2")
		}, survey.Left, "kubeadm was begun here", "create"},
		"a reset cut off": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			edit("/var/lib/quorate/kubeadm.state", func(f *transport.File) { f.Data = transport.Bytes([]byte("reset\n")) })(t, hosts, "cp-2")
		}, survey.Left, "a reset was begun here", "reset"},
		"kubeadm's temporary directory": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			seed(t, hosts.Host("cp-2"), "/etc/kubernetes/tmp/kubeadm-backup-manifests-1/kube-apiserver.yaml", "x\n")
		}, survey.Left, "kubeadm-backup-manifests-1", "by hand"},
		"a manifest aside": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			remove("/etc/kubernetes/manifests/kube-scheduler.yaml")(t, hosts, "cp-3")
		}, survey.Left, "the manifest of kube-scheduler is not in", "by hand"},
		"etcd stopped": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			systemctl("stop", "etcd.service")(t, hosts, "cp-3")
		}, survey.Members, "cp-3 (etcd): its member of etcd is not healthy", "host"},
		"a cordoned node": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			apply(t, hosts, "cp-1", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "cordon", "worker-1")
		}, survey.Nodes, "worker-1 (nodes): the node is cordoned", "by hand"},
		"an argument by hand, in a file": {func(t *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			edit("/etc/kubernetes/manifests/kube-apiserver.yaml", func(f *transport.File) {
				f.Data = transport.Bytes(bytes.ReplaceAll(f.Data.Bytes(), []byte("--shutdown-delay-duration=6s"), []byte("--shutdown-delay-duration=0s")))
			})(t, hosts, "cp-2")
		}, survey.Drift, "endpoint.vip.fall (file on cp-2)", survey.Reconfigure},
		"an argument by hand, in the API": {func(_ *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			hosts.EditConfigMap("kubeadm-config", "ClusterConfiguration", func(s string) string { return strings.ReplaceAll(s, "value: 6s", "value: 0s") })
		}, survey.Drift, "endpoint.vip.fall (api)", survey.Reconfigure},
		"no kubeadm-config": {func(_ *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			hosts.EditConfigMap("kubeadm-config", "ClusterConfiguration", func(string) string { return "apiVersion: [\n" })
		}, survey.Drift, "the ConfigMap kubeadm-config cannot be read", "by hand"},
		"a node left out": {func(_ *testing.T, _ *hatest.Cluster, cfg *ha.Config) {
			cfg.Cluster.Nodes = cfg.Cluster.Nodes[:3]
		}, survey.Drift, `nodes.name (api): nothing is described, "worker worker-1" runs`, "reset"},
		"another quota": {func(_ *testing.T, _ *hatest.Cluster, cfg *ha.Config) {
			cfg.Cluster.Kubeadm.Kubelet = map[string]any{"maxPods": 50}
		}, survey.Drift, `kubeadm.kubelet[maxPods]`, survey.Reconfigure},
	} {
		t.Run(name, func(t *testing.T) {
			hosts, cfg := surveyed(t)
			c.happen(t, hosts, &cfg)
			s := surveyOf(t, hosts, cfg)
			require.Contains(t, strings.Join(found(s, c.check), "\n"), c.found)
			require.True(t, slices.ContainsFunc(s.Next, func(n survey.Next) bool { return n.Verb == c.verb }), "%v", s.Next)
			for _, f := range s.Findings {
				require.Contains(t, []plan.Check{c.check, survey.APIServers, survey.Nodes, survey.Left}, f.Check, "%v", f)
			}
		})
	}
}

// fix takes out what is another every time: keys, and with them certificates, and dates.
func fix(s *survey.Survey) {
	s.At = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
	one := func(c *survey.Certificate) { c.SHA256, c.NotAfter = strings.Repeat("0", 64), s.At.AddDate(1, 0, 0) }
	for i := range s.Hosts {
		for j := range s.Hosts[i].Certificates {
			one(&s.Hosts[i].Certificates[j])
		}
	}
	for i := range s.Etcd.Members {
		one(s.Etcd.Members[i].Presented)
	}
}

// The renderings are as reviewed; the same survey is always the same bytes, and no secret or
// control character is in any.
func TestSurveyRenderings(t *testing.T) {
	hosts, cfg := surveyed(t)
	hosts.Host("worker-1").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Refuse})
	seed(t, hosts.Host("cp-2"), "/etc/kubernetes/tmp/\x1b[31mred", "x\n")
	edit("/etc/kubernetes/manifests/kube-apiserver.yaml", func(f *transport.File) {
		f.Data = transport.Bytes(bytes.ReplaceAll(f.Data.Bytes(), []byte("--shutdown-delay-duration=6s"), []byte(`--shutdown-delay-duration=<script>`)))
	})(t, hosts, "cp-2")
	s := surveyOf(t, hosts, cfg)
	fix(s)
	var page bytes.Buffer
	require.NoError(t, s.HTML(&page))
	for name, text := range map[string]string{"survey.txt": s.Text(), "survey.json": string(s.JSON()), "survey.html": page.String()} {
		require.NotContains(t, text, "\x1b", name)
		require.NotContains(t, text, string(cfg.Kubeadm.Token.Bytes()), name)
		require.NotContains(t, text, "PRIVATE KEY", name)
		path := filepath.Join("testdata", "survey", name)
		if *fixture.Update {
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
			require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		}
		want, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(string(want), text), name)
	}
	require.NotContains(t, page.String(), "<script>")
	var read struct {
		Schema string
		Hosts  []survey.Host
	}
	require.NoError(t, json.Unmarshal(s.JSON(), &read))
	require.Equal(t, survey.Schema, read.Schema)
	require.Equal(t, s.Hosts, read.Hosts)
}

// Without a transport nothing is read; a run that is cancelled says so.
func TestSurveyErrors(t *testing.T) {
	c, err := ha.New(t.Context(), config(t, hafixture.Three()))
	require.NoError(t, err)
	_, err = c.Survey(t.Context(), survey.Config{})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Survey(ctx, survey.Config{Transport: fakeCluster(t, hafixture.Three())})
	require.ErrorIs(t, err, context.Canceled)
}

// What drift says of a worker that is no longer described can be done, and ends it: describe it
// again, reset it, remove it from the description.
func TestAdviceForARemovedNode(t *testing.T) {
	hosts, cfg := surveyed(t)
	without := cfg
	without.Cluster.Nodes = cfg.Cluster.Nodes[:3]
	p, err := planFor(without)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	var drift *survey.DriftError
	require.ErrorAs(t, err, &drift)
	require.ErrorContains(t, err, "describe it again as it was, reset it by that description (PlanReset), then remove it from the description")
	_, err = resetFor(without, ha.ResetConfig{Nodes: []string{"worker-1"}})
	require.ErrorContains(t, err, "is no node of this description: if the cluster has it, describe it again")

	reset, err := resetFor(cfg, ha.ResetConfig{Nodes: []string{"worker-1"}})
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, reset)
	s := surveyOf(t, hosts, without)
	require.Empty(t, s.Differences)
	require.True(t, s.Sound(), "%v", s.Findings)
	mustRun(t.Context(), t, hosts, p)
}

// A field that the cluster does not have, and a value that may be a secret, are said so that
// nobody takes the cluster for stopped.
func TestDifferencesInWords(t *testing.T) {
	hosts, cfg := surveyed(t)
	cfg.Cluster.Kubeadm.SchedulerEnv = map[string]string{"HTTPS_PROXY": "http://user:hunter22@proxy.example.org"}
	cfg.Cluster.Kubeadm.CertSANs = []string{"other.example.org"}
	s := surveyOf(t, hosts, cfg)
	text := strings.Join(found(s, survey.Drift), "\n")
	require.Contains(t, text, "kubeadm.schedulerEnv[HTTPS_PROXY]")
	require.Contains(t, text, "a value that is not shown is described, the cluster has none")
	require.NotContains(t, s.Text()+string(s.JSON()), "hunter22")
	require.NotContains(t, s.Text(), "nothing runs")
}
