package kubeadm_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// edited replaces parts of a text.
func edited(text string, pairs ...string) string {
	return strings.NewReplacer(pairs...).Replace(text)
}

// What kubeadm reads is read. What has no place in the new version is reported.
func TestMigrateReadsWhatKubeadmReads(t *testing.T) {
	kubelet := "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
	network := func(fields string) string { return initDoc + clusterDoc + "networking: {" + fields + "}\n" }
	release := func(v string) string { return strings.Replace(initDoc+clusterDoc, "v1.37.0", v, 1) }
	args := func(list string) string { return initDoc + clusterDoc + "scheduler: {extraArgs: " + list + "}\n" }
	join := strings.Replace(joinDoc, "nodeRegistration: {name: w-1,", "nodeRegistration: {name: w-1, taints: [],", 1)
	const v1alpha1 = "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\n"
	for name, m := range map[string]migration{
		"empty service range":        {text: network(`serviceSubnet: ""`), lacks: []string{"networking"}},
		"empty domain":               {text: network(`dnsDomain: "", podSubnet: "", serviceSubnet: ""`), lacks: []string{"networking"}},
		"null range":                 {text: network(`podSubnet: `), lacks: []string{"networking"}},
		"range with host bits":       {text: network(`podSubnet: 10.244.3.7/16`), has: []string{"podSubnet: 10.244.3.7/16\n"}},
		"range of two families":      {text: network(`podSubnet: "10.244.0.0/16,fd01::5/48"`), has: []string{"podSubnet: 10.244.0.0/16,fd01::5/48\n"}},
		"range in its own form":      {text: network(`podSubnet: "10.244.0.0/16,FD85:ee78:d8a6:8607::1:0000/64"`), has: []string{"podSubnet: 10.244.0.0/16,FD85:ee78:d8a6:8607::1:0000/64\n"}},
		"address in its own form":    {text: edited(initDoc, "192.0.2.11", "\"FD00:0::0B\""), has: []string{"advertiseAddress: FD00:0::0B\n"}},
		"addresses of both commands": {text: edited(initDoc, "192.0.2.11", "\"FD00::B\"") + "---\n" + joinDoc + "controlPlane: {localAPIEndpoint: {advertiseAddress: \"FD00::C\"}}\n", has: []string{"advertiseAddress: FD00::B\n", "advertiseAddress: FD00::C\n"}},
		"range with zeros":           {text: network(`serviceSubnet: 010.096.0.0/16`), has: []string{"serviceSubnet: 10.96.0.0/16\n"}},
		"stable":                     {text: release("stable"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"stable of a minor":          {text: release("stable-1.33"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"latest":                     {text: release("latest-1"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"a build of CI":              {text: release("ci/latest-1.33"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"a build":                    {text: release("v1.33.4+vendor.1"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"a build of a candidate":     {text: release("1.33.0-rc.1+5"), warned: []string{"9 ClusterConfiguration.kubernetesVersion"}},
		"a candidate":                {text: release("v1.33.0-rc.1")},
		"without v":                  {text: release("1.33.1")},
		"no version":                 {text: release(`""`)},
		"null version":               {text: release("")},
		"no release":                 {text: release(`"1.33"`), refused: "line 9: ClusterConfiguration.kubernetesVersion: want a release"},
		"three tokens":               {text: edited(initDoc, "cdef}]", "cdef, ttl: 1h, usages: [authentication]}, {token: bbbbbb.0123456789abcdef, description: x}, {ttl: 0s}]"), has: []string{"ttl: 1h0m0s\n  usages:\n  - authentication\n- description: x\n  token: bbbbbb.0123456789abcdef\n  ttl: 24h0m0s\n- ttl: 0s\n"}},
		"a token that expires":       {text: edited(initDoc, "cdef}]", `cdef, expires: "2030-01-02T03:04:05Z"}]`), refused: "line 3: InitConfiguration.bootstrapTokens[0].expires: kubeadm fills in a ttl beside it, and then refuses the two"},
		"tokens in v1alpha2":         {text: edited(oldMaster, "cdef}]", "cdef}, {token: bbbbbb.0123456789abcdef, groups: [\"system:bootstrappers:x\"]}]"), to: "v1.12.10", has: []string{"- groups:\n  - system:bootstrappers:x\n  token: bbbbbb.0123456789abcdef\n"}},
		"DNS by a gate":              {text: oldMaster + "featureGates:\n  CoreDNS: false\n", to: "v1.30.3", warned: []string{"8 MasterConfiguration.featureGates.CoreDNS"}},
		"a single image, at last":    {text: oldMaster + "unifiedControlPlaneImage: k8s.gcr.io/hyperkube:v1.11.10\n", to: "v1.30.3", warned: []string{"7 MasterConfiguration.unifiedControlPlaneImage"}},
		"taints of v1alpha1":         {text: v1alpha1 + "noTaintMaster: true\n", to: "v1.11.10", has: []string{"taints: []\n"}},
		"default ones of v1alpha1":   {text: v1alpha1 + "noTaintMaster: false\n", to: "v1.11.10", lacks: []string{"taint"}},
		"null ones of v1alpha1":      {text: v1alpha1 + "noTaintMaster:\n", to: "v1.11.10", lacks: []string{"taint"}},
		"text for taints, v1alpha1":  {text: v1alpha1 + "noTaintMaster: \"no\"\n", to: "v1.11.10", refused: "line 3: MasterConfiguration.noTaintMaster: want true or false"},
		"tokens for v1alpha1":        {text: edited(oldMaster, "cdef}]", "cdef}, {token: bbbbbb.0123456789abcdef}]"), to: "v1.10.4", has: []string{"token: abcdef.0123456789abcdef\n"}, warned: []string{"5 MasterConfiguration.bootstrapTokens"}},
		"an argument thrice":         {text: args("[{name: v, value: \"1\"}, {name: feature-gates, value: A=true}, {name: v, value: \"2\"}, {name: v, value: \"3\"}]"), has: []string{"- name: v\n    value: \"1\"\n  - name: feature-gates\n    value: A=true\n  - name: v\n    value: \"2\"\n  - name: v\n    value: \"3\"\n"}},
		"twice, for v1beta3":         {text: args("[{name: v, value: \"1\"}, {name: v, value: \"2\"}]"), to: "v1.30.3", has: []string{"extraArgs:\n    v: \"2\"\n"}, warned: []string{"10 ClusterConfiguration.scheduler.extraArgs"}},
		"kubelet's twice":            {text: edited(initDoc, "name: cp-1,", "name: cp-1, kubeletExtraArgs: [{name: v, value: \"1\"}, {name: v, value: \"2\"}],"), has: []string{"- name: v\n    value: \"1\"\n  - name: v\n    value: \"2\"\n"}},
		"etcd's twice":               {text: initDoc + clusterDoc + "etcd: {local: {extraArgs: [{name: listen-client-urls, value: a}, {name: listen-client-urls, value: b}]}}\n", has: []string{"value: a\n    - name: listen-client-urls\n      value: b\n"}},
		"null argument in a map":     {text: strings.ReplaceAll(initDoc+clusterDoc+"scheduler: {extraArgs: {profiling: }}\n", "v1beta4", "v1beta3"), has: []string{"- name: profiling\n    value: \"\"\n"}},
		"null value":                 {text: args("[{name: profiling, value: }]"), has: []string{"- name: profiling\n    value: \"\"\n"}},
		"value from a field":         {text: initDoc + clusterDoc + "scheduler: {extraEnvs: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1m}}}]}\n", has: []string{"valueFrom:\n      resourceFieldRef:\n        divisor: 1m\n        resource: limits.cpu\n"}},
		"etcd's environment":         {text: initDoc + clusterDoc + "etcd: {local: {extraEnvs: [{name: A, value: b}, {name: C, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]}}\n", has: []string{"extraEnvs:\n    - name: A\n      value: b\n    - name: C\n      valueFrom:\n        fieldRef:\n          fieldPath: status.hostIP\n"}},
		"a variable without a value": {text: initDoc + clusterDoc + "controllerManager: {extraEnvs: [{name: A}, {name: B, value: null}]}\n", has: []string{"extraEnvs:\n  - name: A\n  - name: B\n"}},
		"several discovery servers":  {text: edited(oldJoin, `["192.0.2.11:6443"]`, `["192.0.2.11:6443", "192.0.2.12:6443"]`), to: "v1.12.10", has: []string{"- 192.0.2.11:6443\n- 192.0.2.12:6443\n"}},
		"several, where one has a place": {
			text: edited(oldJoin, `["192.0.2.11:6443"]`, `["192.0.2.11:6443", "192.0.2.12:6443"]`), to: "v1.13.12",
			has: []string{"apiServerEndpoint: 192.0.2.11:6443\n"}, warned: []string{"4 JoinConfiguration.discoveryTokenAPIServers"},
		},
		"several in v1alpha1":      {text: edited(oldJoin, "v1alpha3", "v1alpha1", "JoinC", "NodeC", `["192.0.2.11:6443"]`, `["192.0.2.11:6443", "b:1", "c:1"]`, "nodeRegistration: {name: w-1, criSocket: /run/x.sock}", "nodeName: w-1"), to: "v1.11.10", has: []string{"- 192.0.2.11:6443\n- b:1\n- c:1\n"}},
		"tokens apart in v1alpha3": {text: edited(oldJoin, "token: abc", "tlsBootstrapToken: bbbbbb.0123456789abcdef\ndiscoveryToken: abc"), to: "v1.13.12", has: []string{"token: abcdef.0123456789abcdef\n", "tlsBootstrapToken: bbbbbb.0123456789abcdef\n"}},
		"a file in v1alpha3":       {text: edited(oldJoin, `discoveryTokenAPIServers: ["192.0.2.11:6443"]`, "discoveryFile: file:///etc/cluster.conf", "discoveryTokenUnsafeSkipCAVerification: true\n", ""), to: "v1.13.12", has: []string{"file:\n    kubeConfigPath: /etc/cluster.conf\n  tlsBootstrapToken: abcdef.0123456789abcdef\n"}},
		"a file":                   {text: edited(joinDoc, `{bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: "api.example.com:6443", unsafeSkipCAVerification: true}}`, "{file: {kubeConfigPath: https://example.com/a}}"), has: []string{"kubeConfigPath: https://example.com/a\n"}},
		"null fields":              {text: initDoc + clusterDoc + "apiServer: {extraArgs: , extraVolumes: null, certSANs: ~}\ndns:\nproxy: {}\nfeatureGates: null\n", lacks: []string{"apiServer", "null", "dns"}},
		"null in a node":           {text: edited(join, "taints: []", "taints: , kubeletExtraArgs: null, ignorePreflightErrors: ~"), lacks: []string{"taints", "null"}},
		"null in the kubelet's":    {text: initDoc + clusterDoc + kubelet + "evictionHard: {memory.available: null}\nlogging: {flushFrequency: }\nclusterDNS: null\n", lacks: []string{"null", "clusterDNS"}},
		"metadata of the kubelet":  {text: initDoc + clusterDoc + kubelet + "metadata: {creationTimestamp: null}\nmaxPods: 50\n", has: []string{"maxPods: 50"}, lacks: []string{"metadata"}},
		"metadata of a cluster":    {text: initDoc + clusterDoc + "metadata: {name: x, labels: {a: b}}\n", lacks: []string{"metadata"}, warned: []string{"10 ClusterConfiguration.metadata.labels.a", "10 ClusterConfiguration.metadata.name"}},
		"init and join": {
			text: initDoc + clusterDoc + "---\n" + joinDoc + "controlPlane: {}\n" + kubelet + "maxPods: 50\n",
			has:  []string{"kind: InitConfiguration", "kind: ClusterConfiguration", "kind: JoinConfiguration", "name: cp-1", "name: w-1", "controlPlane: {}", "maxPods: 50\n"},
		},
		"join alone and a cluster":    {text: joinDoc + clusterDoc, has: []string{"kind: ClusterConfiguration", "kind: JoinConfiguration"}, lacks: []string{"kind: InitConfiguration"}},
		"join and a kubelet":          {text: joinDoc + kubelet + "maxPods: 50\n", lacks: []string{"maxPods"}, warned: []string{"6 KubeletConfiguration"}},
		"two API versions":            {text: initDoc + strings.ReplaceAll(clusterDoc, "v1beta4", "v1beta3") + "apiServer: {extraArgs: {v: \"1\"}, timeoutForControlPlane: 6m0s}\n", has: []string{"- name: v\n    value: \"1\"\n", "controlPlaneComponentHealthCheck: 6m0s\n"}},
		"two, the other way":          {text: strings.ReplaceAll(initDoc, "v1beta4", "v1beta2") + strings.ReplaceAll(clusterDoc, "v1beta4", "v1beta1"), to: "v1.20.15"},
		"three API versions":          {text: strings.ReplaceAll(initDoc, "v1beta4", "v1beta2") + strings.ReplaceAll(clusterDoc, "v1beta4", "v1beta3") + "---\n" + joinDoc, has: []string{"name: cp-1", "name: w-1"}},
		"no verification in v1alpha3": {text: oldJoin, to: "v1.13.12", has: []string{"unsafeSkipCAVerification: true\n"}},
		"no verification and hashes":  {text: edited(joinDoc, "unsafeSkip", `caCertHashes: ["`+caHash+`"], unsafeSkip`), has: []string{"- " + caHash, "unsafeSkipCAVerification: true\n"}},
		"no verification, and back":   {text: joinDoc, to: "v1.11.10", has: []string{"discoveryTokenUnsafeSkipCAVerification: true\n"}},
		"CA elsewhere":                {text: joinDoc + "caCertPath: /etc/pki/ca.crt\n", has: []string{"caCertPath: /etc/pki/ca.crt\n"}},
		"dry run":                     {text: initDoc + "dryRun: true\n", has: []string{"dryRun: true\n"}},
		"dry run, before":             {text: initDoc + "dryRun: true\n", to: "v1.30.3", warned: []string{"6 InitConfiguration.dryRun"}},
		"reset and upgrade": {
			text: initDoc + clusterDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ResetConfiguration\nforce: true\n---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: UpgradeConfiguration\nnode: {dryRun: true}\n",
			has:  []string{"force: true\nkind: ResetConfiguration\n", "kind: UpgradeConfiguration\nnode:\n  dryRun: true\n"},
		},
		"DNS in v1alpha3":   {text: edited(oldMaster+"featureGates: {CoreDNS: false}\n", "v1.11.10", "v1.11.10"), to: "v1.13.12", has: []string{"dns:\n  type: kube-dns\n"}, lacks: []string{"featureGates"}},
		"etcd's image":      {text: oldMaster + "etcd: {local: {image: example.com/k8s/etcd:3.2.24}}\n", to: "v1.13.12", has: []string{"imageRepository: example.com/k8s\n    imageTag: 3.2.24\n"}},
		"one image":         {text: oldMaster + "imageRepository: example.com\nunifiedControlPlaneImage: example.com/hyperkube:v1.11.10\n", to: "v1.13.12", has: []string{"useHyperKubeImage: true\n"}},
		"one strange image": {text: oldMaster + "unifiedControlPlaneImage: example.com/all:v1\n", to: "v1.13.12", warned: []string{"7 MasterConfiguration.unifiedControlPlaneImage"}},
		"cloud and modes": {
			text: edited(byHand, "cloudProvider: \"\"", "cloudProvider: example", "[Node, RBAC]", "[Node, RBAC, Webhook]", "auditPolicy:\n  path: /etc/kubernetes/audit.yaml\n", ""), to: "v1.11.10",
			has: []string{"authorization-mode: Node,RBAC,Webhook\n  cloud-provider: example\n", "controllerManagerExtraArgs:\n  cloud-provider: example\n", "kubeletExtraArgs:\n    cloud-provider: example\n"},
		},
	} {
		t.Run(name, m.check)
	}
}

// What Quorate would not have in a cluster of its own is a warning, and old defaults
// that kubeadm itself wrote are dropped.
func TestMigrateByKubeadmsRules(t *testing.T) {
	component := func(group, kind, fields string) string {
		return initDoc + clusterDoc + "---\napiVersion: " + group + "\nkind: " + kind + "\n" + fields
	}
	kubeProxy := func(fields string) string {
		return component("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", fields)
	}
	kubelet := func(fields string) string {
		return component("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", fields)
	}
	kubeletArg := func(name, value string) string {
		return edited(initDoc, "name: cp-1,", "name: cp-1, kubeletExtraArgs: [{name: "+name+", value: \""+value+"\"}],")
	}
	for name, m := range map[string]migration{
		"hostname-override":           {text: kubeletArg("hostname-override", "a"), has: []string{"name: hostname-override"}, warned: []string{"5 InitConfiguration.nodeRegistration.kubeletExtraArgs.hostname-override"}},
		"kubeconfig":                  {text: kubeletArg("kubeconfig", "/a"), has: []string{"name: kubeconfig"}},
		"an argument that is gone":    {text: kubeletArg("network-plugin", "cni"), has: []string{"name: network-plugin"}, warned: []string{"5 InitConfiguration.nodeRegistration.kubeletExtraArgs.network-plugin"}},
		"capitals in an argument":     {text: kubeletArg("Foo", "x"), has: []string{"name: Foo"}, warned: []string{"5 InitConfiguration.nodeRegistration.kubeletExtraArgs.Foo"}},
		"secure-port":                 {text: initDoc + clusterDoc + "apiServer: {extraArgs: [{name: secure-port, value: \"443\"}]}\n", has: []string{"name: secure-port"}, warned: []string{"10 ClusterConfiguration.apiServer.extraArgs.secure-port"}},
		"anonymous-auth":              {text: initDoc + clusterDoc + "apiServer:\n  extraArgs:\n  - {name: v, value: \"1\"}\n  - {name: anonymous-auth, value: \"false\"}\n", has: []string{"name: anonymous-auth"}, warned: []string{"13 ClusterConfiguration.apiServer.extraArgs.anonymous-auth"}},
		"relative patches":            {text: joinDoc + "patches: {directory: patches}\n", has: []string{"directory: patches\n"}, warned: []string{"5 JoinConfiguration.patches.directory"}},
		"patches with dots":           {text: initDoc + "patches: {directory: /etc/../patches}\n", has: []string{"directory: /etc/../patches\n"}, warned: []string{"6 InitConfiguration.patches.directory"}},
		"a taint without effect":      {text: edited(initDoc, "name: cp-1,", "name: cp-1, taints: [{key: a}],"), has: []string{"- effect: \"\"\n    key: a\n"}, warned: []string{"5 InitConfiguration.nodeRegistration.taints[0].effect"}},
		"a preflight check":           {text: edited(initDoc, "name: cp-1,", "name: cp-1, ignorePreflightErrors: [NoSuch],"), has: []string{"- NoSuch\n"}, warned: []string{"5 InitConfiguration.nodeRegistration.ignorePreflightErrors[0]"}},
		"a hash in capitals":          {text: edited(joinDoc, "unsafeSkipCAVerification: true", `caCertHashes: ["`+strings.ToUpper(caHash)+`"]`), has: []string{strings.ToUpper(caHash)}, warned: []string{"3 JoinConfiguration.discovery.bootstrapToken.caCertHashes[0]"}},
		"a key in capitals":           {text: initDoc + "certificateKey: " + strings.Repeat("AB", 32) + "\n", has: []string{"ABAB"}, warned: []string{"6 InitConfiguration.certificateKey"}},
		"a negative timeout":          {text: initDoc + "timeouts: {discovery: -5s}\n", has: []string{"discovery: -5s\n"}, warned: []string{"6 InitConfiguration.timeouts.discovery"}},
		"a name in capitals":          {text: edited(initDoc, "cp-1", "CP-1"), has: []string{"name: CP-1\n"}},
		"a socket without scheme":     {text: edited(initDoc, "unix:///run/containerd", "/run/containerd"), has: []string{"criSocket: unix:///run/containerd/containerd.sock\n"}},
		"userspace":                   {text: kubeProxy("mode: userspace\n"), has: []string{"mode: userspace\n"}, warned: []string{"13 KubeProxyConfiguration.mode"}},
		"kube-proxy's defaults":       {text: kubeProxy("resourceContainer: /kube-proxy\nudpIdleTimeout: 250ms\nconntrack: {max: null, min: 1}\nclusterCIDR: \"\"\n"), has: []string{"min: 1\n"}, lacks: []string{"resourceContainer", "udpIdleTimeout", "max", "clusterCIDR"}},
		"not its defaults":            {text: kubeProxy("udpIdleTimeout: 300ms\n"), lacks: []string{"udpIdleTimeout"}, warned: []string{"13 KubeProxyConfiguration.udpIdleTimeout"}},
		"lost by the kubelet":         {text: kubelet("logging: {sanitization: true, format: json}\n"), has: []string{"format: json\n"}, lacks: []string{"sanitization"}, warned: []string{"13 KubeletConfiguration.logging.sanitization"}},
		"never a field":               {text: kubelet("evictionHard: {a: b}\ncgroupdriver: systemd\n"), has: []string{"evictionHard:\n  a: b\n"}, lacks: []string{"cgroupdriver"}, warned: []string{"14 KubeletConfiguration.cgroupdriver"}},
		"manifests elsewhere":         {text: kubelet("staticPodPath: /srv/manifests\n"), has: []string{"staticPodPath: /srv/manifests\n"}, warned: []string{"13 KubeletConfiguration.staticPodPath"}},
		"another type":                {text: kubelet("maxPods: many\n"), refused: "line 13: KubeletConfiguration.maxPods: "},
		"kubelet as kubeadm wrote it": {text: kubelet("clusterDomain: cluster.local\nstaticPodPath: /etc/kubernetes/manifests\ncontainerRuntimeEndpoint: \"\"\ncpuManagerPolicy: \"\"\nmemorySwap: {}\n"), lacks: []string{"clusterDomain", "staticPodPath", "containerRuntimeEndpoint", "cpuManagerPolicy"}},
		"defaults of a cluster":       {text: initDoc + clusterDoc + "dns: {}\nscheduler: {}\ncontrollerManager: {}\napiServer: {}\ncontrolPlaneEndpoint: \"\"\netcd: {local: {dataDir: /var/lib/etcd}}\n", has: []string{"dataDir: /var/lib/etcd"}, lacks: []string{"scheduler"}},
		"defaults of a token":         {text: edited(initDoc, "cdef}]", "cdef, groups: [\"system:bootstrappers:kubeadm:default-node-token\"], ttl: 24h0m0s, usages: [signing, authentication]}]")},
		"a gate that is gone":         {text: initDoc + clusterDoc + "featureGates: {EtcdLearnerMode: true}\n", lacks: []string{"featureGates"}, warned: []string{"10 ClusterConfiguration.featureGates.EtcdLearnerMode"}},
		"never a gate":                {text: initDoc + clusterDoc + "featureGates: {NoSuchGate: true}\n", refused: "line 10: ClusterConfiguration.featureGates.NoSuchGate: "},
	} {
		t.Run(name, m.check)
	}
}

// YAML writes nothing that kubeadm refuses, and says where.
func TestYAMLRefusesWhatKubeadmRefuses(t *testing.T) {
	nodes, err := kubeadm.Nodes(cluster(t, 3, 1, v4), secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	init := func(change func(*kubeadm.Config, *kubeadm.Init)) kubeadm.Config {
		c := nodes[0].Config
		i := *c.Init
		if i.Etcd != nil {
			e := *i.Etcd
			i.Etcd = &e
		}
		c.Init = &i
		change(&c, &i)
		return c
	}
	join := func(n int, change func(*kubeadm.Config, *kubeadm.Join)) kubeadm.Config {
		c := nodes[n].Config
		j := *c.Join
		c.Join = &j
		change(&c, &j)
		return c
	}
	loop := map[string]any{}
	loop["evictionHard"] = loop
	const pipe = "npipe:////./pipe/containerd-containerd"
	of := func(release string, change func(*kubeadm.Config)) kubeadm.Config { // a worker
		return join(3, func(c *kubeadm.Config, _ *kubeadm.Join) {
			c.Version = version(t, release)
			c.APIServer = nil
			change(c)
		})
	}
	endpoint := func(e string) kubeadm.Config {
		return init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Endpoint = e })
	}
	external := func(change func(*kubeadm.ExternalEtcd)) kubeadm.Config {
		return init(func(_ *kubeadm.Config, i *kubeadm.Init) { change(i.Etcd) })
	}
	sans := func(s ...string) kubeadm.Config {
		return init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.CertSANs = s })
	}
	joined := func(e string) kubeadm.Config {
		return join(1, func(_ *kubeadm.Config, j *kubeadm.Join) { j.Endpoint = e })
	}
	for name, test := range map[string]struct {
		c kubeadm.Config
		// want is the path that is refused, "" if none is.
		want string
	}{
		"as it is":                {init(func(*kubeadm.Config, *kubeadm.Init) {}), ""},
		"both etcds":              {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.LocalEtcd.DataDir = "/x" }), "init.localEtcd"},
		"etcd without endpoints":  {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = nil }), "init.etcd.endpoints"},
		"etcd with an empty list": {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = []string{} }), "init.etcd.endpoints"},
		"etcd by a socket":        {external(func(e *kubeadm.ExternalEtcd) { *e = kubeadm.ExternalEtcd{Endpoints: []string{"unix:///run/etcd.sock"}} }), ""},
		"a socket, certificates":  {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = []string{"unix:///run/etcd.sock"} }), "init.etcd.endpoints[0]"},
		"etcd by another scheme":  {external(func(e *kubeadm.ExternalEtcd) { *e = kubeadm.ExternalEtcd{Endpoints: []string{"etcd://a:2379"}} }), "init.etcd.endpoints[0]"},
		"etcd without a host":     {external(func(e *kubeadm.ExternalEtcd) { *e = kubeadm.ExternalEtcd{Endpoints: []string{"http:"}} }), "init.etcd.endpoints[0]"},
		"etcd without scheme":     {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = []string{"192.0.2.1:2379"} }), "init.etcd.endpoints[0]"},
		"etcd by host name":       {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = []string{"etcd.example.com:2379"} }), "init.etcd.endpoints[0]"},
		"http with certificates":  {external(func(e *kubeadm.ExternalEtcd) { e.Endpoints = []string{"http://192.0.2.1:2379"} }), "init.etcd.endpoints[0]"},
		"one of two http": {external(func(e *kubeadm.ExternalEtcd) {
			e.Endpoints = []string{"https://192.0.2.1:2379", "http://192.0.2.2:2379"}
		}), "init.etcd.endpoints[1]"},
		"http without":             {external(func(e *kubeadm.ExternalEtcd) { *e = kubeadm.ExternalEtcd{Endpoints: []string{"http://192.0.2.1:2379"}} }), ""},
		"certificate without key":  {external(func(e *kubeadm.ExternalEtcd) { e.KeyFile = "" }), "init.etcd.certFile"},
		"certificate without CA":   {external(func(e *kubeadm.ExternalEtcd) { e.CAFile = "" }), "init.etcd.caFile"},
		"relative file":            {external(func(e *kubeadm.ExternalEtcd) { e.CAFile = "ca.crt" }), "init.etcd.caFile"},
		"SAN with a space":         {sans("a b"), "init.certSANs[0]"},
		"SAN that is empty":        {sans("a", ""), "init.certSANs[1]"},
		"SAN that is a URL":        {sans("https://a"), "init.certSANs[0]"},
		"SAN with a port":          {sans("a:6443"), "init.certSANs[0]"},
		"SAN with a mask":          {sans("10.0.0.0/8"), "init.certSANs[0]"},
		"SAN in the middle":        {sans("a.*.b"), "init.certSANs[0]"},
		"SANs as they may be":      {sans("API.example.com", "*.example.com", "fd00::1", "192.0.2.1", "localhost"), ""},
		"etcd's SAN":               {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Etcd, i.LocalEtcd.PeerCertSANs = nil, []string{"A"} }), "init.localEtcd.peerCertSANs[0]"},
		"endpoint's port with +":   {endpoint("api:+6443"), "init.endpoint"},
		"endpoint's port with -":   {endpoint("api:-1"), "init.endpoint"},
		"endpoint's port, hex":     {endpoint("api:0x50"), "init.endpoint"},
		"endpoint's port too high": {endpoint("api:65536"), "init.endpoint"},
		"endpoint's port 0":        {endpoint("192.0.2.1:0"), "init.endpoint"},
		"endpoint without a port":  {endpoint("api.example.com"), ""},
		"endpoint, zeros in front": {endpoint("[fd00::1]:06443"), ""},
		"join's port with +":       {joined("api:+6443"), "join.endpoint"},
		"join without a port":      {joined("api:"), "join.endpoint"},
		"join without a host":      {joined(":6443"), "join.endpoint"},
		"join by a URL":            {joined("https://api"), "join.endpoint"},
		"join, a second with +": {join(1, func(c *kubeadm.Config, j *kubeadm.Join) {
			c.Version, j.OtherEndpoints = version(t, "v1.12.10"), []string{"b:6443", "c:+1"}
		}), "join.otherEndpoints[1]"},
		"capitals in the endpoint": {endpoint("API.example.com:6443"), "init.endpoint"},
		"endpoint as URL":          {endpoint("https://api.example.com:6443"), "init.endpoint"},
		"endpoint's port":          {endpoint("api.example.com:99999"), "init.endpoint"},
		"endpoint's port as name":  {endpoint("api.example.com:https"), "init.endpoint"},
		"endpoint with underscore": {endpoint("api_1.example.com:6443"), "init.endpoint"},
		"endpoint without port":    {endpoint("api.example.com"), ""},
		"IPv6 endpoint":            {endpoint("[fd00::1]:6443"), ""},
		"no endpoint":              {endpoint(""), ""},
		"joins nothing":            {joined(""), "join.endpoint"},
		"joins without port":       {joined("api.example.com"), "join.endpoint"},
		"joins IPv6 in the open":   {joined("fd00::1:6443"), "join.endpoint"},
		"joins without token":      {join(1, func(c *kubeadm.Config, _ *kubeadm.Join) { c.Token = quorate.Content{} }), "token"},
		"joins with half a token":  {join(1, func(c *kubeadm.Config, _ *kubeadm.Join) { c.Token = quorate.Sensitive([]byte("abcdef")) }), "token"},
		"joins whatever answers":   {join(1, func(_ *kubeadm.Config, j *kubeadm.Join) { j.CAHashes = nil }), "join.caHashes"},
		"asked to":                 {join(1, func(_ *kubeadm.Config, j *kubeadm.Join) { j.CAHashes, j.UnsafeSkipCAVerification = nil, true }), ""},
		"by file and token":        {join(1, func(_ *kubeadm.Config, j *kubeadm.Join) { j.File = "/a" }), "join.file"},
		"by http": {join(1, func(c *kubeadm.Config, j *kubeadm.Join) {
			*j, c.Token = kubeadm.Join{File: "http://a"}, quorate.Content{}
		}), "join.file"},
		"CA without .crt":       {join(1, func(_ *kubeadm.Config, j *kubeadm.Join) { j.CACertPath = "/a.pem" }), "join.caCertPath"},
		"a worker with a key":   {join(3, func(c *kubeadm.Config, _ *kubeadm.Join) { c.CertificateKey = quorate.Sensitive([]byte(markerKey)) }), "certificateKey"},
		"a control plane as {}": {join(1, func(c *kubeadm.Config, _ *kubeadm.Join) { c.APIServer = &kubeadm.APIServer{} }), ""},
		"multicast":             {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.APIServer = &kubeadm.APIServer{Address: addr("224.0.0.1")} }), "apiServer.address"},
		"port": {init(func(c *kubeadm.Config, _ *kubeadm.Init) {
			c.APIServer = &kubeadm.APIServer{Address: addr("192.0.2.1"), Port: 70000}
		}), "apiServer.port"},
		"two ranges of a family": {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Pods = prefixes("10.0.0.0/16", "10.1.0.0/16") }), "init.pods"},
		"a range of eight":       {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Services = prefixes("10.0.0.0/29") }), "init.services[0]"},
		"a range too large":      {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Services = prefixes("10.0.0.0/8") }), "init.services[0]"},
		"a range for no node":    {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Pods = prefixes("10.0.0.0/25") }), "init.pods[0]"},
		"domain":                 {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.DNSDomain = "Cluster.local" }), "init.dnsDomain"},
		"certificates":           {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.CertificatesDir = "pki" }), "init.certificatesDir"},
		"repository":             {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.ImageRepository = "Reg/UPPER" }), "init.imageRepository"},
		"algorithm":              {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.EncryptionAlgorithm = "RSA-1024" }), "init.encryptionAlgorithm"},
		"gate":                   {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.FeatureGates = map[string]bool{"NoSuch": true} }), `init.featureGates["NoSuch"]`},
		"pull policy":            {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.ImagePullPolicy = "Sometimes" }), "registration.imagePullPolicy"},
		"name":                   {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.Name = "a_b" }), "registration.name"},
		"socket":                 {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = "tcp://127.0.0.1:1" }), "registration.criSocket"},
		"socket without a slash": {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = "unix://run/x.sock" }), "registration.criSocket"},
		"socket without a path":  {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = "unix:" }), "registration.criSocket"},
		"relative socket":        {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = "run/x.sock" }), "registration.criSocket"},
		"a path for a socket":    {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = "/run/x.sock" }), ""},
		"a pipe for Linux":       {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.CRISocket = pipe }), "registration.criSocket"},
		"a pipe for a member":    {join(1, func(c *kubeadm.Config, _ *kubeadm.Join) { c.Registration.CRISocket = pipe }), "registration.criSocket"},
		"a pipe for a worker":    {join(3, func(c *kubeadm.Config, _ *kubeadm.Join) { c.Registration.CRISocket = pipe }), ""},
		"a pipe, one slash":      {join(3, func(c *kubeadm.Config, _ *kubeadm.Join) { c.Registration.CRISocket = "npipe:/x" }), "registration.criSocket"},
		"a slash missing, v1.22": {of("v1.22.17", func(c *kubeadm.Config) { c.Registration.CRISocket = "unix://run/x.sock" }), "registration.criSocket"},
		"a slash missing, v1.11": {of("v1.11.10", func(c *kubeadm.Config) { c.Registration.CRISocket = "unix://run/x.sock" }), "registration.criSocket"},
		"a pipe, v1.14":          {of("v1.14.10", func(c *kubeadm.Config) { c.Registration.CRISocket = pipe }), "registration.criSocket"},
		"TCP, v1.14":             {of("v1.14.10", func(c *kubeadm.Config) { c.Registration.CRISocket = "tcp://localhost:2375" }), ""},
		"loopback":               {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.APIServer = &kubeadm.APIServer{Address: addr("127.0.0.1")} }), "apiServer.address"},
		"loopback's network":     {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.APIServer = &kubeadm.APIServer{Address: addr("127.3.0.1")} }), ""}, // of a host that is simulated
		"loopback of IPv6":       {join(1, func(c *kubeadm.Config, _ *kubeadm.Join) { c.APIServer = &kubeadm.APIServer{Address: addr("::1")} }), "apiServer.address"},
		"loopback, mapped": {init(func(c *kubeadm.Config, _ *kubeadm.Init) {
			c.APIServer = &kubeadm.APIServer{Address: addr("::ffff:127.0.0.1")}
		}), "apiServer.address"},
		"any address":             {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.APIServer = &kubeadm.APIServer{Address: addr("0.0.0.0")} }), ""},
		"argument without a name": {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Scheduler.Args = kubeadm.Args{{Value: "x"}} }), "init.scheduler.args[0].name"},
		"usages":                  {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.TokenUsages = []string{"signing", "all"} }), "init.tokenUsages[1]"},
		"usages without a group":  {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.TokenUsages = []string{"signing"} }), "init.tokenUsages"},
		"usages, another token": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.OtherTokens = []kubeadm.BootstrapToken{{}, {Usages: []string{"signing"}}}
		}), "init.otherTokens[1].usages"},
		"groups without usage": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.TokenUsages, i.TokenGroups = []string{"signing"}, []string{"system:bootstrappers:x"}
		}), "init.tokenGroups"},
		"both usages":       {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.TokenUsages = []string{"signing", "authentication"} }), ""},
		"authentication":    {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.TokenUsages = []string{"authentication"} }), ""},
		"a variable's name": {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Scheduler.Env = []kubeadm.EnvVar{{Value: "x"}} }), "init.scheduler.env[0].name"},
		"a variable's source": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.Scheduler.Env = []kubeadm.EnvVar{{Name: "A", ValueFrom: map[string]any{}}}
		}), "init.scheduler.env[0].valueFrom"},
		"groups": {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.TokenGroups = []string{"system:masters"} }), "init.tokenGroups[0]"},
		"another token": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.OtherTokens = []kubeadm.BootstrapToken{{Token: quorate.Sensitive([]byte("x"))}}
		}), "init.otherTokens[0].token"},
		"bytes in an argument":   {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Scheduler.Args = kubeadm.Args{{Name: "v", Value: "a\xff"}} }), "init.scheduler.args[0].value"},
		"bytes in the kubelet's": {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Kubelet = map[string]any{"cgroupRoot": "/\xc3\x28"} }), `init.kubelet["cgroupRoot"]`},
		"what contains itself":   {init(func(_ *kubeadm.Config, i *kubeadm.Init) { i.Kubelet = loop }), "init.kubelet"},
		"bytes in a map": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.Kubelet = map[string]any{"evictionHard": map[string]any{"a\xff": "1"}}
		}), `init.kubelet["evictionHard"]`},
		"bytes in a label": {init(func(c *kubeadm.Config, _ *kubeadm.Init) { c.Registration.Labels = map[string]string{"a": "\xff"} }), `registration.labels["a"]`},
		"bytes in a variable": {init(func(_ *kubeadm.Config, i *kubeadm.Init) {
			i.APIServer.Env = []kubeadm.EnvVar{{Name: "A", Value: "\xff"}}
		}), "init.apiServer.env[0].value"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.c.YAML()
			var invalid *quorate.InvalidError
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (!errors.As(err, &invalid) || invalid.Problems[0].Path != test.want):
				t.Errorf("want %s refused: %v", test.want, err)
			}
		})
	}
}

// Errors have the file's own line, the document, the parser's reason and the key
// that is there twice; no secret of the file is in any of them.
func TestErrorsSayWhere(t *testing.T) {
	const secret = "abcdef.0123456789abcdef"
	two := initDoc + clusterDoc // the second document starts in line 6
	for name, test := range map[string]struct{ text, want string }{
		"flow sequence":         {two + "networking: [1, 2\n", "line 10: document 2: cannot be read as YAML: did not find expected ',' or ']'"},
		"mapping in a value":    {two + "networking: a: b\n", "line 10: document 2: cannot be read as YAML: mapping values are not allowed in this context"},
		"tab":                   {two + "networking:\n\tpodSubnet: x\n", "line 11: document 2: cannot be read as YAML: found character that cannot start any token"},
		"indentation":           {two + "networking:\n  a: b\n c: d\n", "line 12: document 2: cannot be read as YAML: did not find expected key"},
		"no colon":              {two + "networking\ndns: {}\n", "line 11: document 2: cannot be read as YAML: could not find expected ':'"},
		"third document":        {two + "---\n# a comment\nkind: a\nkind: b\n", `line 13: document 3: key "kind" is there twice, first in line 12`},
		"key twice below":       {two + "networking:\n  podSubnet: a\n  podSubnet: b\n", `line 12: document 2: key "podSubnet" is there twice, first in line 11`},
		"key twice in a list":   {two + "scheduler: {extraArgs: [{name: v, value: a, name: w}]}\n", `line 10: document 2: key "name" is there twice, first in line 10`},
		"a token as key twice":  {two + secret + ": 1\n" + secret + ": 2\n", "line 11: document 2: a key is there twice, first in line 10"},
		"unknown alias":         {two + "networking: *" + strings.ReplaceAll(secret, ".", "") + "\n", "line 10: document 2: cannot be read as YAML: an alias of an anchor that is not there"},
		"a template":            {two + "clusterName: x\nnetworking:\n  podSubnet: {{ .PodSubnet }}\n", "line 12: document 2: cannot be read as YAML: a mapping's key is no text, as in a template that nobody has rendered"},
		"a template's block":    {two + "featureGates:\n  {{ range .Gates }}\n", "line 11: document 2: cannot be read as YAML: a mapping's key is no text, as in a template"},
		"a list as a key":       {two + "networking:\n  ? [a, b]\n  : c\n", "line 11: document 2: cannot be read as YAML: a mapping's key is no text"},
		"null as a key":         {two + "featureGates:\n  A: true\n  null: true\n", "line 12: document 2: cannot be read as YAML: a mapping's key is no text"},
		"another tag":           {two + "networking:\n  dnsDomain: !!int " + secret + "\n", "line 11: document 2: cannot be read as YAML: a value does not fit its tag"},
		"no base64":             {two + "networking:\n  dnsDomain: !!binary x?\n", "line 11: document 2: cannot be read as YAML: !!binary value contains invalid base64 data"},
		"a control character":   {two + "networking: \x01\n", "line 10: document 2: cannot be read as YAML: control characters are not allowed"},
		"first line":            {"a: b: c\n", "line 1: document 1: cannot be read as YAML: mapping values are not allowed in this context"},
		"too many documents":    {strings.Repeat("--- {a: b}\n", 101), "more than 100 documents"},
		"too large":             {"# " + strings.Repeat("x", 1<<20) + "\n" + initDoc, "more than 1048576 bytes"},
		"not UTF-8":             {two + "clusterName: a\xffb\n", "line 10: not UTF-8"},
		"binary":                {two + "clusterName: !!binary /w==\n", "line 10: document 2: a value that is not UTF-8"},
		"kind twice":            {two + "---\n" + initDoc, "line 11: InitConfiguration: is in the file twice, first in line 1"},
		"kind twice, other API": {two + strings.ReplaceAll(clusterDoc, "v1beta4", "v1beta3"), "line 11: ClusterConfiguration: is in the file twice, first in line 7"},
		"unknown API version":   {strings.ReplaceAll(two, "v1beta4", "v1beta9"), "line 1: InitConfiguration.apiVersion: is of no version of kubeadm's configuration API"},
		"type":                  {two + "apiServer:\n  certSANs: x\n", "line 11: ClusterConfiguration.apiServer.certSANs: want a list"},
		"token in a TTL":        {edited(initDoc, "[{token: "+secret+"}]", "\n- {token: "+secret+"}\n- ttl: "+secret), "line 5: InitConfiguration.bootstrapTokens[1].ttl: want a duration"},
		"token in a timeout":    {initDoc + "timeouts:\n  discovery: " + secret + "\n", "line 7: InitConfiguration.timeouts.discovery: want a duration"},
		"token as a version":    {strings.Replace(two, "v1.37.0", secret, 1), "line 9: ClusterConfiguration.kubernetesVersion: want a release"},
		"token as a SAN":        {two + "apiServer: {certSANs: [\"" + secret + " \"]}\n", "line 10: ClusterConfiguration.apiServer.certSANs[0]: "},
		"token as an endpoint":  {two + "controlPlaneEndpoint: \"" + secret + ":x\"\n", "line 10: ClusterConfiguration.controlPlaneEndpoint: "},
		"token as a gate":       {two + "featureGates: {" + secret + ": true}\n", "line 10: ClusterConfiguration.featureGates."},
		"token in a taint":      {edited(initDoc, "name: cp-1,", "name: cp-1, taints: [{"+secret+": a}],"), "line 5: InitConfiguration.nodeRegistration.taints[0]: unknown field in it"},
		"token as a volume":     {two + "apiServer: {extraVolumes: [" + secret + "]}\n", "line 10: ClusterConfiguration.apiServer.extraVolumes[0]: want an object"},
		"token as a kind":       {two + "---\napiVersion: kubeadm.k8s.io/v1beta9\nkind: " + secret + "\n", "line 11: (hidden).apiVersion: "},
		"a secret with blanks":  {edited(initDoc, secret, "\"my secret words\""), "line 3: InitConfiguration.bootstrapTokens[0].token: bootstrap token: want"},
		"a certificate key":     {initDoc + "certificateKey: " + strings.Repeat("x", 64) + "\n", "line 6: InitConfiguration.certificateKey: certificate key: want"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := kubeadm.Migrate([]byte(test.text), version(t, "v1.37.2"))
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant ...%s...", err, test.want)
			}
			for _, s := range []string{secret, "0123456789abcdef", "my secret words", "xxxxxxxx"} {
				if err != nil && strings.Contains(err.Error(), s) {
					t.Errorf("a secret is shown: %v", err)
				}
			}
		})
	}
	// Nor in a warning.
	for name, text := range map[string]string{
		"as a preflight check": edited(initDoc, "name: cp-1,", "name: cp-1, ignorePreflightErrors: ["+secret+"],"),
		"as an argument":       edited(initDoc, "name: cp-1,", "name: cp-1, kubeletExtraArgs: [{name: "+secret+", value: x}],"),
		"as a path":            initDoc + "patches: {directory: " + secret + "}\n",
		"as a field":           initDoc + secret + ": x\n",
		"as a kind":            initDoc + "---\napiVersion: v1\nkind: " + secret + "\n",
		"as a kubelet's field": initDoc + clusterDoc + "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n" + secret + ": x\n",
		"as a hash":            edited(joinDoc, "unsafeSkipCAVerification: true", "caCertHashes: ["+secret+"]"),
	} {
		t.Run(name, func(t *testing.T) {
			_, problems, err := kubeadm.Migrate([]byte(text), version(t, "v1.37.2"))
			if err != nil || len(problems) == 0 || strings.Contains(fmt.Sprint(problems), "0123456789abcdef") {
				t.Error(problems, err)
			}
		})
	}
}

// A cluster's ConfigMaps are read, and what is in them is where the file has it.
func TestConfigMap(t *testing.T) {
	const configMap = `apiVersion: v1
kind: ConfigMap
metadata:
  name: kubeadm-config
  namespace: kube-system
data:
  ClusterConfiguration: |
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: ClusterConfiguration
    kubernetesVersion: v1.30.3
    controlPlaneEndpoint: api.example.com:6443
    apiServer:
      extraArgs: {authorization-mode: "Node,RBAC"}
      timeoutForControlPlane: 4m0s
    networking: {podSubnet: 10.244.0.0/16}
`
	for name, m := range map[string]migration{
		"as it is": {text: configMap, has: []string{"kind: ClusterConfiguration\n", "controlPlaneEndpoint: api.example.com:6443\n", "value: Node,RBAC\n", "podSubnet: 10.244.0.0/16\n"}, lacks: []string{"kind: ConfigMap", "bootstrapTokens"}},
		"with the status": {
			text: edited(configMap, "v1beta3", "v1beta2") + "  ClusterStatus: |\n    apiVersion: kubeadm.k8s.io/v1beta2\n    kind: ClusterStatus\n    apiEndpoints: {cp-1: {advertiseAddress: 192.0.2.1}}\n",
			to:   "v1.26.15", has: []string{"controlPlaneEndpoint: api.example.com:6443\n"}, lacks: []string{"ClusterStatus"}, warned: []string{"17 ClusterStatus"},
		},
		"as JSON":               {text: `{"apiVersion": "v1", "kind": "ConfigMap", "data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: prod\n"}}`, has: []string{"clusterName: prod\n"}},
		"a kubelet's beside it": {text: configMap + "---\napiVersion: v1\nkind: ConfigMap\ndata:\n  kubelet: |\n    apiVersion: kubelet.config.k8s.io/v1beta1\n    kind: KubeletConfiguration\n    maxPods: 50\n", has: []string{"maxPods: 50\n", "clusterName"}[:1]},
		"of v1.11":              {text: "apiVersion: v1\nkind: ConfigMap\ndata:\n  MasterConfiguration: |\n" + indent(oldMaster), to: "v1.12.10", has: []string{"kind: InitConfiguration", "kind: ClusterConfiguration"}},
		"its own lines":         {text: edited(configMap, "podSubnet: 10.244.0.0/16", "podSubnet: x"), refused: "line 15: ClusterConfiguration.networking.podSubnet: want ranges"},
		"a key twice inside":    {text: configMap + "    clusterName: a\n    clusterName: b\n", refused: `line 17: document 1, data.ClusterConfiguration: key "clusterName" is there twice, first in line 16`},
		"no YAML inside":        {text: configMap + "    clusterName: [a\n", refused: "line 16: document 1, data.ClusterConfiguration: cannot be read as YAML: did not find expected ',' or ']'"},
		"of something else":     {text: "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n", refused: "no document of kubeadm's configuration"},
		"a ConfigMap in one":    {text: "apiVersion: v1\nkind: ConfigMap\ndata:\n  a: |\n" + indent(configMap), refused: "no document of kubeadm's configuration"},
	} {
		t.Run(name, m.check)
	}
}

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func indent(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		out.WriteString("    " + line)
	}
	return out.String()
}

// One file may be for both commands.
func TestParseAll(t *testing.T) {
	both := []byte(initDoc + "---\n" + joinDoc)
	all, left, err := kubeadm.ParseAll(both, version(t, "v1.37.2"))
	if err != nil || len(left) > 0 || len(all) != 2 || all[0].Init == nil || all[1].Join == nil || all[1].Registration.Name != "w-1" {
		t.Fatal(all, left, err)
	}
	one, left, err := kubeadm.Parse(both, version(t, "v1.37.2"))
	if err != nil || one.Init == nil || len(left) != 1 || left[0].Path != "JoinConfiguration" {
		t.Fatal(one, left, err)
	}
}
