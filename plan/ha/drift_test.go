package ha_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// leaves returns the paths of all fields of a description, as a cluster file writes them.
func leaves(t reflect.Type, path string) []string {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() != reflect.TypeFor[quorate.Cluster]().PkgPath() || reflect.PointerTo(t).Implements(textual) {
		return []string{path}
	}
	var out []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		out = append(out, leaves(f.Type, strings.TrimPrefix(path+"."+name, "."))...)
	}
	return out
}

var textual = reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()

// described is the cluster that runs before its description is changed, with a value in
// most fields that have no default.
func described() quorate.Cluster {
	c := hafixture.Three()
	c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "2"}
	c.Kubeadm.CertSANs = []string{"api.example.org"}
	c.Kubeadm.Kubelet = map[string]any{"maxPods": 110, "shutdownGracePeriod": "1m"}
	c.Kubeadm.KubeProxy = map[string]any{"mode": "nftables"}
	c.Nodes[3].Labels = map[string]string{"zone": "a"}
	return c
}

// A changed value of every field, by its path. A field may have several.
var changes = map[string][]func(*quorate.Cluster){
	"name":                        {func(c *quorate.Cluster) { c.Name = "other" }},
	"version":                     {func(c *quorate.Cluster) { c.Version.Patch = 3 }, func(c *quorate.Cluster) { c.Version = quorate.Version{Major: 1, Minor: 36} }},
	"endpoint.host":               {func(c *quorate.Cluster) { c.Endpoint.Host = "192.0.2.20" }},
	"endpoint.port":               {func(c *quorate.Cluster) { c.Endpoint.Port = 7443 }},
	"endpoint.external":           {func(c *quorate.Cluster) { c.Endpoint.External, c.Endpoint.VIP = true, quorate.VIP{} }},
	"endpoint.loadBalancer":       {func(c *quorate.Cluster) { c.Endpoint.LoadBalancer = quorate.HAProxy }},
	"endpoint.vip.interface":      {func(c *quorate.Cluster) { c.Endpoint.VIP.Interface = "eth1" }},
	"endpoint.vip.subnet":         {func(c *quorate.Cluster) { c.Endpoint.VIP.Subnet = netip.MustParsePrefix("192.0.2.0/25") }},
	"endpoint.vip.routerID":       {func(c *quorate.Cluster) { c.Endpoint.VIP.RouterID = 52 }},
	"endpoint.vip.multicast":      {func(c *quorate.Cluster) { c.Endpoint.VIP.Multicast = true }},
	"endpoint.vip.advertInterval": {func(c *quorate.Cluster) { c.Endpoint.VIP.AdvertInterval = quorate.Duration(2 * time.Second) }},
	"endpoint.vip.checkInterval":  {func(c *quorate.Cluster) { c.Endpoint.VIP.CheckInterval = quorate.Duration(2 * time.Second) }},
	"endpoint.vip.checkTimeout": {func(c *quorate.Cluster) {
		c.Endpoint.VIP.CheckInterval, c.Endpoint.VIP.CheckTimeout = quorate.Duration(2*time.Second), quorate.Duration(2*time.Second)
	}},
	"endpoint.vip.weight": {func(c *quorate.Cluster) { c.Endpoint.VIP.Weight = -30 }},
	"endpoint.vip.fall":   {func(c *quorate.Cluster) { c.Endpoint.VIP.Fall = 4 }},
	"endpoint.vip.rise":   {func(c *quorate.Cluster) { c.Endpoint.VIP.Rise = 3 }},
	"pods":                {func(c *quorate.Cluster) { c.Pods = []netip.Prefix{netip.MustParsePrefix("10.32.0.0/16")} }},
	"services":            {func(c *quorate.Cluster) { c.Services = []netip.Prefix{netip.MustParsePrefix("10.112.0.0/12")} }},
	"dnsDomain":           {func(c *quorate.Cluster) { c.DNSDomain = "other.local" }},
	"nodes.name":          {func(c *quorate.Cluster) { c.Nodes[3].Name = "worker-9" }, func(c *quorate.Cluster) { c.Nodes = c.Nodes[:3] }, func(c *quorate.Cluster) { c.Nodes = slices.Delete(c.Nodes, 1, 3) }},
	"nodes.role":          {func(c *quorate.Cluster) { c.Nodes[2].Role, c.AllowEvenControlPlanes = quorate.Worker, true }},
	"nodes.addresses":     {func(c *quorate.Cluster) { c.Nodes[3].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.99")} }, func(c *quorate.Cluster) { c.Nodes[1].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.98")} }},
	"nodes.ssh":           {func(c *quorate.Cluster) { c.Nodes[3].SSH = "admin@host:2222" }},
	"nodes.interface":     {func(c *quorate.Cluster) { c.Nodes[0].Interface = "eth1" }},
	"nodes.labels":        {func(c *quorate.Cluster) { c.Nodes[3].Labels = map[string]string{"zone": "b"} }, func(c *quorate.Cluster) { c.Nodes[3].Labels = map[string]string{"zone": "a", "rack": "1"} }},
	"nodes.taints.key": {func(c *quorate.Cluster) {
		c.Nodes[3].Taints = []quorate.Taint{{Key: "dedicated", Effect: "NoSchedule"}}
	}},
	"nodes.taints.value": {func(c *quorate.Cluster) {
		c.Nodes[3].Taints = []quorate.Taint{{Key: "dedicated", Value: "x", Effect: "NoSchedule"}}
	}},
	"nodes.taints.effect":           {func(c *quorate.Cluster) { c.Nodes[3].Taints = []quorate.Taint{{Key: "dedicated", Effect: "NoExecute"}} }},
	"allowEvenControlPlanes":        {func(c *quorate.Cluster) { c.AllowEvenControlPlanes = true }},
	"etcd.stacked":                  {func(c *quorate.Cluster) { c.Etcd.Stacked = true }},
	"etcd.plainHTTP":                {}, // only for Kubernetes 1.10: TestAMemberIsComparedWithItsUnit of package survey
	"etcd.version":                  {func(c *quorate.Cluster) { c.Etcd.Version = quorate.Version{Major: 3, Minor: 7} }},
	"etcd.dataDir":                  {func(c *quorate.Cluster) { c.Etcd.DataDir = "/srv/etcd" }},
	"etcd.binary":                   {func(c *quorate.Cluster) { c.Etcd.Binary = "/opt/etcd/etcd" }},
	"etcd.clientPort":               {func(c *quorate.Cluster) { c.Etcd.ClientPort = 3379 }},
	"etcd.peerPort":                 {func(c *quorate.Cluster) { c.Etcd.PeerPort = 3380 }},
	"etcd.metricsPort":              {func(c *quorate.Cluster) { c.Etcd.MetricsPort = 3381 }},
	"etcd.heartbeat":                {func(c *quorate.Cluster) { c.Etcd.Heartbeat = quorate.Duration(150 * time.Millisecond) }},
	"etcd.election":                 {func(c *quorate.Cluster) { c.Etcd.Election = quorate.Duration(2 * time.Second) }},
	"etcd.quotaBytes":               {func(c *quorate.Cluster) { c.Etcd.QuotaBytes = 4 << 30 }},
	"etcd.compactionRetention":      {func(c *quorate.Cluster) { c.Etcd.CompactionRetention = quorate.Duration(time.Hour) }},
	"etcd.snapshotCount":            {func(c *quorate.Cluster) { c.Etcd.SnapshotCount = 20000 }},
	"kubeadm.apiVersion":            {func(c *quorate.Cluster) { c.Kubeadm.APIVersion = "v1beta4" }},
	"kubeadm.criSocket":             {func(c *quorate.Cluster) { c.Kubeadm.CRISocket = "unix:///run/crio/crio.sock" }},
	"kubeadm.imageRepository":       {func(c *quorate.Cluster) { c.Kubeadm.ImageRepository = "mirror.example.org/k8s" }},
	"kubeadm.certSANs":              {func(c *quorate.Cluster) { c.Kubeadm.CertSANs = append(c.Kubeadm.CertSANs, "other.example.org") }},
	"kubeadm.ignorePreflightErrors": {func(c *quorate.Cluster) { c.Kubeadm.IgnorePreflightErrors = []string{"Swap"} }},
	"kubeadm.featureGates":          {func(c *quorate.Cluster) { c.Kubeadm.FeatureGates = map[string]bool{"RootlessControlPlane": true} }},
	"kubeadm.apiServerArgs": {
		func(c *quorate.Cluster) { c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"} },
		func(c *quorate.Cluster) { c.Kubeadm.APIServerArgs = nil },
		func(c *quorate.Cluster) {
			c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "2", "v": "4"}
		},
	},
	"kubeadm.controllerManagerArgs":              {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerArgs = map[string]string{"v": "4"} }},
	"kubeadm.schedulerArgs":                      {func(c *quorate.Cluster) { c.Kubeadm.SchedulerArgs = map[string]string{"v": "4"} }},
	"kubeadm.apiServerEnv":                       {func(c *quorate.Cluster) { c.Kubeadm.APIServerEnv = map[string]string{"A": "b"} }},
	"kubeadm.controllerManagerEnv":               {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerEnv = map[string]string{"A": "b"} }},
	"kubeadm.schedulerEnv":                       {func(c *quorate.Cluster) { c.Kubeadm.SchedulerEnv = map[string]string{"A": "b"} }},
	"kubeadm.patchesDir":                         {func(c *quorate.Cluster) { c.Kubeadm.PatchesDir = "/etc/kubernetes/patches" }},
	"kubeadm.timeouts.controlPlane":              {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.ControlPlane = quorate.Duration(5 * time.Minute) }},
	"kubeadm.timeouts.kubelet":                   {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.Kubelet = quorate.Duration(5 * time.Minute) }},
	"kubeadm.timeouts.apiCall":                   {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.APICall = quorate.Duration(5 * time.Minute) }},
	"kubeadm.timeouts.etcdCall":                  {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.EtcdCall = quorate.Duration(5 * time.Minute) }},
	"kubeadm.timeouts.tlsBootstrap":              {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.TLSBootstrap = quorate.Duration(5 * time.Minute) }},
	"kubeadm.timeouts.discovery":                 {func(c *quorate.Cluster) { c.Kubeadm.Timeouts.Discovery = quorate.Duration(5 * time.Minute) }},
	"kubeadm.kubelet":                            {func(c *quorate.Cluster) { c.Kubeadm.Kubelet["maxPods"] = 200 }, func(c *quorate.Cluster) { delete(c.Kubeadm.Kubelet, "maxPods") }},
	"kubeadm.kubeProxy":                          {func(c *quorate.Cluster) { c.Kubeadm.KubeProxy = map[string]any{"mode": "iptables"} }},
	"kubeadm.apiServerVolumes.name":              {volumes(func(v *quorate.Volume) { v.Name = "x" })},
	"kubeadm.apiServerVolumes.hostPath":          {volumes(func(v *quorate.Volume) { v.HostPath = "/x" })},
	"kubeadm.apiServerVolumes.mountPath":         {volumes(func(v *quorate.Volume) { v.MountPath = "/x" })},
	"kubeadm.apiServerVolumes.readOnly":          {volumes(func(v *quorate.Volume) { v.ReadOnly = true })},
	"kubeadm.apiServerVolumes.pathType":          {volumes(func(v *quorate.Volume) { v.PathType = "File" })},
	"kubeadm.controllerManagerVolumes.name":      {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerVolumes = oneVolume() }},
	"kubeadm.controllerManagerVolumes.hostPath":  {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerVolumes = oneVolume() }},
	"kubeadm.controllerManagerVolumes.mountPath": {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerVolumes = oneVolume() }},
	"kubeadm.controllerManagerVolumes.readOnly":  {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerVolumes = oneVolume() }},
	"kubeadm.controllerManagerVolumes.pathType":  {func(c *quorate.Cluster) { c.Kubeadm.ControllerManagerVolumes = oneVolume() }},
	"kubeadm.schedulerVolumes.name":              {func(c *quorate.Cluster) { c.Kubeadm.SchedulerVolumes = oneVolume() }},
	"kubeadm.schedulerVolumes.hostPath":          {func(c *quorate.Cluster) { c.Kubeadm.SchedulerVolumes = oneVolume() }},
	"kubeadm.schedulerVolumes.mountPath":         {func(c *quorate.Cluster) { c.Kubeadm.SchedulerVolumes = oneVolume() }},
	"kubeadm.schedulerVolumes.readOnly":          {func(c *quorate.Cluster) { c.Kubeadm.SchedulerVolumes = oneVolume() }},
	"kubeadm.schedulerVolumes.pathType":          {func(c *quorate.Cluster) { c.Kubeadm.SchedulerVolumes = oneVolume() }},
}

func oneVolume() []quorate.Volume {
	return []quorate.Volume{{Name: "audit", HostPath: "/etc/kubernetes/audit", MountPath: "/etc/kubernetes/audit"}}
}

func volumes(how func(*quorate.Volume)) func(*quorate.Cluster) {
	return func(c *quorate.Cluster) {
		c.Kubeadm.APIServerVolumes = oneVolume()
		how(&c.Kubeadm.APIServerVolumes[0])
	}
}

// renamed leads to a host of another name.
type renamed struct {
	transport.Transport
	names map[string]string
}

func (r renamed) Dial(ctx context.Context, name string) (transport.Conn, error) {
	if to, ok := r.names[name]; ok {
		name = to
	}
	return r.Transport.Dial(ctx, name)
}

// Every field of a description is classed, and a run on a cluster that is there does what the
// class says: it brings the other value about and then finds nothing to do, or refuses with
// the field's path before it has changed anything on any host.
func TestEveryFieldIsBroughtAboutOrRefused(t *testing.T) {
	t.Parallel()
	all := leaves(reflect.TypeFor[quorate.Cluster](), "")
	require.Equal(t, slices.Sorted(slices.Values(all)), slices.Sorted(maps.Keys(changes)), "a field without a change, or the other way round")
	cfg := config(t, described())
	p, err := planFor(cfg)
	require.NoError(t, err)
	start := func(t *testing.T) *hatest.Cluster {
		hosts := fakeCluster(t, cfg.Cluster)
		mustRun(t.Context(), t, hosts, p)
		for _, n := range cfg.Cluster.Nodes {
			hosts.Host(n.Name).Handle(faketransport.Prefix("/opt/etcd/etcd"), faketransport.Reply("etcd Version: 3.6.16\n"))
			hosts.Host(n.Name).Handle(faketransport.Prefix("ip", "link", "show"), faketransport.Reply(""))
		}
		return hosts
	}
	shared := start(t)
	before := filesOf(t, shared)
	for n, path := range all {
		field, ok := survey.FieldOf(path)
		require.True(t, ok, "%s is in no class", path)
		if tier.Race && n%8 != 0 { // to which one field is like another
			continue
		}
		for i, change := range changes[path] {
			t.Run(fmt.Sprintf("%s %d", path, i), func(t *testing.T) {
				changed := cfg
				changed.Cluster = described()
				change(&changed.Cluster)
				changed.Certs = reissued(t, cfg, changed.Cluster)
				p, err := planFor(changed)
				require.NoError(t, err)
				hosts := shared
				if field.Class == survey.ByRun {
					hosts = start(t)
				}
				reached := renamed{hosts, map[string]string{"worker-9": "worker-1"}}
				seen := surveyOf(t, reached, changed)
				run := plan.Runner{Transport: reached}
				sum, err := run.Run(t.Context(), p)
				switch field.Class {
				case survey.ByRun:
					require.NoError(t, err)
					require.True(t, sum.Changed())
					require.NotEqual(t, before, filesOf(t, hosts))
					again, err := run.Run(t.Context(), p)
					require.NoError(t, err)
					require.False(t, again.Changed())
					wantDifference(t, seen, field, path)
					require.True(t, slices.ContainsFunc(seen.Next, func(n survey.Next) bool {
						return n.Verb == "create" && strings.Contains(n.Do, "run the plan that creates the cluster")
					}), "%v", seen.Next)
					require.Contains(t, seen.Text(), "run the plan that creates the cluster")
					require.Empty(t, surveyOf(t, reached, changed).Differences)
				case survey.Unstored:
					require.Empty(t, seen.Differences)
					require.NoError(t, err)
					require.False(t, sum.Changed())
				default:
					require.ErrorContains(t, err, strings.TrimPrefix(field.Path, "nodes."))
					require.Equal(t, before, filesOf(t, hosts), "a host was changed")
					var drift *survey.DriftError
					if errors.As(err, &drift) {
						require.True(t, slices.ContainsFunc(drift.Differences, func(d survey.Difference) bool {
							of, _ := survey.FieldOf(d.Path)
							return of.Path == field.Path && d.Do != ""
						}), "%v", err)
					} else {
						require.Equal(t, "etcd.version", path, "%v", err)
						return
					}
					wantDifference(t, seen, field, path)
				}
			})
		}
	}
}

// wantDifference has a survey name the field that was changed, by its class, and of what a run
// brings about that field alone.
func wantDifference(t *testing.T, seen *survey.Survey, field survey.Field, path string) {
	t.Helper()
	require.True(t, slices.ContainsFunc(seen.Differences, func(d survey.Difference) bool {
		of, _ := survey.FieldOf(d.Path)
		return of.Path == field.Path && d.Class == field.Class
	}), "%v", seen.Differences)
	if field.Class != survey.ByRun {
		return
	}
	for _, d := range seen.Differences {
		require.Equal(t, path, strings.ReplaceAll(d.Path, "[0]", ""), "%v", seen.Differences)
		require.NotEqual(t, d.Described, d.Running)
	}
}

// reissued are the certificates of the same authorities for another description.
func reissued(t *testing.T, cfg ha.Config, c quorate.Cluster) ha.Certs {
	t.Helper()
	files := fstest.MapFS{}
	for _, f := range cfg.Certs.(*pki.Bundle).Store() {
		files[f.Path] = &fstest.MapFile{Data: f.Content.Bytes(), Mode: f.Mode}
	}
	bundle, _, err := pki.Load(files, c, pki.Config{})
	require.NoError(t, err)
	return bundle
}

// storeOf are the files of a bundle's Store.
func storeOf(cfg ha.Config) fstest.MapFS {
	files := fstest.MapFS{}
	for _, f := range cfg.Certs.(*pki.Bundle).Store() {
		files[f.Path] = &fstest.MapFile{Data: f.Content.Bytes(), Mode: f.Mode}
	}
	return files
}

// What would harm a cluster that runs is refused before any host is changed, with what to do.
func TestRefusedBeforeHarm(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, hosts *hatest.Cluster, cfg *ha.Config)
		want   string
	}{
		"a new service accounts' key and front-proxy authority": {func(t *testing.T, _ *hatest.Cluster, cfg *ha.Config) {
			files := storeOf(*cfg)
			for path := range files {
				if strings.HasPrefix(path, "service-account/") || strings.HasPrefix(path, "front-proxy/") || strings.HasPrefix(path, "kubernetes-front-proxy/") {
					delete(files, path)
				}
			}
			bundle, _, err := pki.Load(files, cfg.Cluster, pki.Config{MakeMissingAuthorities: true})
			require.NoError(t, err)
			cfg.Certs = bundle
		}, "certs[/etc/kubernetes/pki/sa.pub]"},
		"a version, with packages": {func(_ *testing.T, _ *hatest.Cluster, cfg *ha.Config) {
			cfg.Cluster.Version.Patch++
			cfg.Prerequisites = software.Packages{}
		}, "\"v1.37.3\" is described, \"v1.37.2\" runs"},
		"a control plane replaced under another name": {func(_ *testing.T, hosts *hatest.Cluster, cfg *ha.Config) {
			hosts.Host("cp-3").SetDown(true)
			cfg.Cluster.Nodes[2] = quorate.Node{Name: "cp-4", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.24")}}
		}, `nodes.name (api): nothing is described, "control-plane cp-3" runs`},
		"by another's hand, in the API": {func(_ *testing.T, hosts *hatest.Cluster, _ *ha.Config) {
			hosts.EditConfigMap("kubeadm-config", "ClusterConfiguration", func(s string) string { return strings.ReplaceAll(s, "10.244.0.0/16", "10.99.0.0/16") })
		}, "pods (api)"},
		"by another's hand, while no API server answers": {func(t *testing.T, hosts *hatest.Cluster, cfg *ha.Config) {
			for _, host := range []string{"cp-1", "cp-2", "cp-3"} {
				apply(t, hosts, host, "systemctl", "stop", "etcd.service")
			}
			cfg.Cluster.Etcd.DataDir = "/srv/etcd"
		}, "etcd.dataDir (file on cp-1, cp-2, cp-3)"},
	} {
		t.Run(name, func(t *testing.T) {
			four := hafixture.Three()
			four.AllowEvenControlPlanes = true
			four.Nodes = append(four.Nodes, quorate.Node{Name: "cp-4", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.24")}})
			hosts := fakeCluster(t, four)
			cfg := config(t, hafixture.Three())
			p, err := planFor(cfg)
			require.NoError(t, err)
			mustRun(t.Context(), t, hosts, p)
			c.change(t, hosts, &cfg)
			if name != "a new service accounts' key and front-proxy authority" {
				cfg.Certs = reissued(t, cfg, cfg.Cluster)
			}
			p, err = planFor(cfg)
			require.NoError(t, err)
			before := filesOf(t, hosts)
			_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
			var drift *survey.DriftError
			require.ErrorAs(t, err, &drift)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, before, filesOf(t, hosts))
		})
	}
}
