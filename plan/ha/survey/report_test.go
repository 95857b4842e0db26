package survey

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/kubeadm"
)

// What a host prints is read, and what it does not know is left out.
func TestReportsAreRead(t *testing.T) {
	r := parseReport([]byte(strings.Join([]string{
		"mark=done", "there=/etc/kubernetes/admin.conf", "data=/var/lib/quorate/etcd", "odd", "",
		"/etc/kubernetes/manifests/kube-apiserver.yaml:spec:",
		"/etc/kubernetes/manifests/kube-apiserver.yaml:  containers:",
		"/etc/kubernetes/manifests/kube-apiserver.yaml:  - image: registry.k8s.io/kube-apiserver:v1.37.2",
		`/etc/kubernetes/manifests/kube-apiserver.yaml:    command: [kube-apiserver, --v=2, "--service-account-issuer=a", --service-account-issuer=b]`,
		"/etc/kubernetes/kubelet.conf:    server: https://192.0.2.10:6443",
		"process=kube-controller", "cmdline=kube-controller-manager\x00--v=4\x00--flag\x00",
	}, "\n")))
	require.Equal(t, "done", r.mark)
	require.True(t, r.has(hostpath.AdminConf))
	require.Equal(t, "/var/lib/quorate/etcd", r.data)
	pod, there := r.manifest(apiServer)
	require.True(t, there)
	require.Equal(t, "registry.k8s.io/kube-apiserver:v1.37.2", pod.image)
	require.Equal(t, []string{"a", "b"}, pod.args.Values("service-account-issuer"))
	require.Equal(t, kubeadm.Args{{Name: "v", Value: "4"}, {Name: "flag"}}, r.running(controllerManager))
	require.Nil(t, r.running(scheduler))
	require.Equal(t, "https://192.0.2.10:6443", r.lineOf("/etc/kubernetes/kubelet.conf", "server"))
}

// Whatever a host prints, nothing panics, and what is kept is bounded.
func FuzzParseReport(f *testing.F) {
	f.Add("mark=done\nprocess=etcd\ncmdline=etcd\x00--data-dir=/x\x00\n/etc/a:b\n")
	f.Add("/etc/kubernetes/manifests/kube-apiserver.yaml:spec: {containers: [{image: a}]}\n")
	f.Fuzz(func(t *testing.T, out string) {
		r := parseReport([]byte(out))
		require.LessOrEqual(t, len(r.texts), maxFiles)
		require.LessOrEqual(t, len(r.processes), maxProcesses)
		r.manifest(apiServer)
		r.etcdUnit()
		d := Described{}
		d.compare(map[string]report{"a": r}, nil)
	})
}

// What is written in two ways is no difference; what says nothing is no setting.
func TestValues(t *testing.T) {
	for _, same := range [][2]any{{110, 110.0}, {"1m", "1m0s"}, {map[string]any{"a": 1}, map[string]any{"a": 1.0}}, {"x", "x"}, {nil, nil}} {
		require.True(t, sameValue(same[0], same[1]), "%v", same)
	}
	for _, other := range [][2]any{{110, "110"}, {"1m", "2m"}, {"a", "b"}, {1, nil}, {[]any{"a"}, []any{"a", "b"}}} {
		require.False(t, sameValue(other[0], other[1]), "%v", other)
	}
	for _, zero := range []any{nil, "", "0s", 0, 0.0, false, []any{}, map[string]any{"a": map[string]any{"b": "0s"}}} {
		require.True(t, isZero(zero), "%v", zero)
	}
	for _, set := range []any{"a", 1, true, []any{0}, map[string]any{"a": "1s"}} {
		require.False(t, isZero(set), "%v", set)
	}
}

// A path's field is the longest that it is at or below.
func TestFieldOf(t *testing.T) {
	for path, want := range map[string]string{
		"nodes[2].labels[a.b/c]": "nodes.labels", "nodes[0].taints": "nodes.taints", "kubeadm.apiServerArgs[v]": "kubeadm.apiServerArgs", "kubeadm.featureGates[X]": "kubeadm", "etcd.dataDir": "etcd.dataDir",
		"etcd.quotaBytes": "etcd", "endpoint.vip.rise": "endpoint.vip", "endpoint.vip.fall": "endpoint.vip.fall", "kubeadm.timeouts.kubelet": "kubeadm.timeouts",
	} {
		got, ok := FieldOf(path)
		require.True(t, ok, path)
		require.Equal(t, want, got.Path, path)
	}
	_, ok := FieldOf("nobody")
	require.False(t, ok)
	for _, f := range Fields() {
		require.Equal(t, f.Class == ByOther || f.Class == Fixed, f.Do != "", f.Path)
	}
}

// What kubeadm writes by itself into its ConfigMaps is no difference from a description that
// does not name it; what it does not is one. The documents are those of kubeadm 1.37.2.
func TestKubeadmDefaultsAreNoDifference(t *testing.T) {
	const kubelet = `apiVersion: kubelet.config.k8s.io/v1beta1
authentication: {anonymous: {enabled: false}, webhook: {cacheTTL: 0s, enabled: true}, x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}
authorization: {mode: Webhook, webhook: {cacheAuthorizedTTL: 0s, cacheUnauthorizedTTL: 0s}}
cgroupDriver: systemd
clusterDNS: [10.96.0.10]
clusterDomain: cluster.local
containerRuntimeEndpoint: ""
cpuManagerReconcilePeriod: 0s
crashLoopBackOff: {}
evictionPressureTransitionPeriod: 0s
healthzBindAddress: 127.0.0.1
healthzPort: 10248
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
memorySwap: {}
rotateCertificates: true
staticPodPath: /etc/kubernetes/manifests
`
	const proxy = `bindAddress: 0.0.0.0
clusterCIDR: 10.244.0.0/16
mode: iptables
oomScoreAdj: null
portRange: ""
`
	c := &comparison{d: Described{Cluster: quorate.Cluster{Version: quorate.Version{Major: 1, Minor: 37, Patch: 2}}}}
	c.fields("kubeadm.kubelet", InAPI, "", map[string]any{"cgroupDriver": "systemd"}, fieldsOf(kubelet))
	c.fields("kubeadm.kubeProxy", InAPI, "", nil, fieldsOf(proxy))
	require.Empty(t, c.found)
	c.fields("kubeadm.kubelet", InAPI, "", map[string]any{"cgroupDriver": "systemd"}, fieldsOf(kubelet+"maxPods: 50\n"))
	c.fields("kubeadm.kubeProxy", InAPI, "", nil, map[string]any{"mode": "nftables"})
	require.Len(t, c.found, 2)
}

// A member with data is compared with what its unit would be: where its data is, its ports,
// and whether it speaks TLS. Without data it may be started in any way.
func TestCompareMemberWithUnit(t *testing.T) {
	unit := func(scheme, port, dir string) string {
		return "[Service]\nExecStart=/usr/local/bin/etcd \\\n  --data-dir=" + dir + " \\\n  --listen-client-urls=" + scheme + "://192.0.2.11:" + port + "," + scheme +
			"://127.0.0.1:" + port + " \\\n  --listen-peer-urls=" + scheme + "://192.0.2.11:2380\n"
	}
	n := quorate.Node{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}}
	c := quorate.Cluster{Version: quorate.Version{Major: 1, Minor: 10, Patch: 4}, Nodes: []quorate.Node{n}}
	d := Described{Cluster: c, EtcdUnits: map[string]string{"cp-1": unit("https", "2379", "/a")}}
	for name, want := range map[string]struct {
		unit  string
		paths []string
	}{
		"same":  {unit("https", "2379", "/a"), nil},
		"plain": {unit("http", "2379", "/a"), []string{"etcd.plainHTTP"}},
		"port":  {unit("https", "3379", "/a"), []string{"etcd.clientPort"}},
		"dir":   {unit("https", "2379", "/b"), []string{"etcd.dataDir"}},
	} {
		for _, data := range []string{"/a", ""} {
			r := report{texts: map[string]string{etcd.UnitPath: want.unit}, data: data}
			var paths []string
			for _, x := range d.compare(map[string]report{"cp-1": r}, nil) {
				paths = append(paths, x.Path)
				require.Equal(t, Fixed, x.Class)
			}
			if data == "" {
				require.Empty(t, paths, name)
			} else {
				require.Equal(t, want.paths, paths, name)
			}
		}
	}
}
