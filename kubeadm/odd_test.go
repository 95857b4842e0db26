package kubeadm_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

const oldNode = `apiVersion: kubeadm.k8s.io/v1alpha2
kind: NodeConfiguration
token: abcdef.0123456789abcdef
discoveryTokenAPIServers: ["192.0.2.11:6443"]
discoveryTokenUnsafeSkipCAVerification: true
nodeRegistration: {name: cp-2, criSocket: /run/x.sock}
`

// A node is of the role that its file says, in the versions of kubeadm that read
// it, and one that a version cannot express is refused.
func TestMigrateRolesOfOldNodes(t *testing.T) {
	const endpoint = "advertiseAddress: 192.0.2.12\nbindPort: 7443\n"
	for name, m := range map[string]migration{
		"control plane":                 {text: oldNode + "controlPlane: true\n" + endpoint, to: "v1.12.10", has: []string{"controlPlane: true\n", "apiEndpoint:\n  advertiseAddress: 192.0.2.12\n  bindPort: 7443\n"}},
		"control plane, v1beta1":        {text: oldNode + "controlPlane: true\n" + endpoint, to: "v1.13.12", has: []string{"controlPlane:\n  localAPIEndpoint:\n    advertiseAddress: 192.0.2.12\n    bindPort: 7443\n"}},
		"control plane, newest":         {text: oldNode + "controlPlane: true\n", has: []string{"\ncontrolPlane: {}\n"}},
		"control plane, v1.11":          {text: oldNode + "controlPlane: true\n", to: "v1.11.10", refused: "line 7: NodeConfiguration.controlPlane: kubeadm of Kubernetes v1.11.10 (v1alpha2) cannot express it: leave it out, or target Kubernetes v1.12 or later"},
		"worker":                        {text: oldNode + "controlPlane: false\n" + endpoint, to: "v1.12.10", has: []string{"apiEndpoint:\n  advertiseAddress: 192.0.2.12\n  bindPort: 7443\n"}, lacks: []string{"controlPlane"}},
		"worker, v1beta1":               {text: oldNode + endpoint, to: "v1.13.12", lacks: []string{"192.0.2.12", "controlPlane"}},
		"worker, v1.11":                 {text: oldNode + endpoint, to: "v1.11.10", lacks: []string{"192.0.2.12"}, warned: []string{"7 NodeConfiguration.advertiseAddress", "8 NodeConfiguration.bindPort"}},
		"worker of v1alpha3":            {text: oldJoin + "apiEndpoint: {advertiseAddress: 192.0.2.12, bindPort: 7443}\n", to: "v1.12.10", has: []string{"apiEndpoint:\n  advertiseAddress: 192.0.2.12\n  bindPort: 7443\n"}},
		"worker of v1alpha3, its port":  {text: oldJoin + "apiEndpoint: {bindPort: 6443}\n", to: "v1.12.10", lacks: []string{"apiEndpoint"}},
		"worker of v1alpha3, v1.11":     {text: oldJoin + "apiEndpoint: {advertiseAddress: 192.0.2.12}\n", to: "v1.11.10", warned: []string{"7 JoinConfiguration.apiEndpoint.advertiseAddress"}},
		"worker of v1alpha3, no number": {text: oldJoin + "apiEndpoint: {bindPort: x}\n", to: "v1.12.10", refused: "line 7: JoinConfiguration.apiEndpoint.bindPort: want a whole number"},
		"text":                          {text: oldNode + "controlPlane: \"true\"\n", to: "v1.12.10", refused: "line 7: NodeConfiguration.controlPlane: want true or false"},
		"null":                          {text: oldNode + "controlPlane:\nadvertiseAddress:\nbindPort:\n", to: "v1.12.10", lacks: []string{"controlPlane", "apiEndpoint"}},
	} {
		t.Run(name, m.check)
	}
	// kubeadm of 1.12 reads v1alpha2 too, and a control plane can be written in it.
	c, _, err := kubeadm.Parse([]byte(oldNode+"controlPlane: true\n"+endpoint), version(t, "v1.12.10"))
	if err != nil || c.APIServer == nil || c.APIServer.Port != 7443 || c.APIVersion != "v1alpha2" {
		t.Fatalf("%+v, %v", c, err)
	}
	text, err := c.YAML()
	if err != nil || !strings.Contains(string(text.Bytes()), "kind: NodeConfiguration") || !strings.Contains(string(text.Bytes()), "controlPlane: true\n") {
		t.Errorf("%v\n%s", err, text.Bytes())
	}
	// What a worker's file has in 1.12 and 1.13, no later one has.
	c = kubeadm.Config{Version: version(t, "v1.37.2"), Join: &kubeadm.Join{WorkerPort: 1}}
	var invalid *quorate.InvalidError
	if _, err := c.YAML(); !errors.As(err, &invalid) || !strings.Contains(err.Error(), "join.workerPort: kubeadm of Kubernetes v1.37.2 (v1beta4) cannot express it") {
		t.Error(err)
	}
}

// Null is what kubeadm's decoder makes of it: no field, and the zero value as an
// entry of a map or an item of a list.
func TestMigrateNulls(t *testing.T) {
	component := func(kind, fields string) string {
		api := map[string]string{"Kubelet": "kubelet.config.k8s.io/v1beta1", "KubeProxy": "kubeproxy.config.k8s.io/v1alpha1"}[kind]
		return initDoc + clusterDoc + "---\napiVersion: " + api + "\nkind: " + kind + "Configuration\n" + fields
	}
	v1beta3 := func(text string) string { return strings.ReplaceAll(text, "v1beta4", "v1beta3") }
	node := func(fields string) string { return edited(initDoc, "name: cp-1,", "name: cp-1, "+fields+",") }
	for name, m := range map[string]migration{
		"gate":                       {text: initDoc + clusterDoc + "featureGates: {ControlPlaneKubeletLocalMode: null}\n", to: "v1.33.0", has: []string{"featureGates:\n  ControlPlaneKubeletLocalMode: false\n"}},
		"gates":                      {text: initDoc + clusterDoc + "featureGates: null\n", lacks: []string{"featureGates"}},
		"gate of v1alpha3's join":    {text: oldJoin + "featureGates: {DynamicKubeletConfig: }\n", to: "v1.12.10", has: []string{"DynamicKubeletConfig: false\n"}},
		"gate of v1alpha2":           {text: oldMaster + "featureGates: {DynamicKubeletConfig: ~}\n", to: "v1.12.10", has: []string{"DynamicKubeletConfig: false\n"}},
		"kubelet's reserve":          {text: component("Kubelet", "systemReserved: {cpu: null}\nkubeReserved: {memory: , cpu: 100m}\n"), has: []string{"systemReserved:\n  cpu: \"\"\n", "kubeReserved:\n  cpu: 100m\n  memory: \"\"\n"}},
		"kubelet's eviction":         {text: component("Kubelet", "evictionHard: {memory.available: null}\nevictionSoft: null\n"), has: []string{"evictionHard:\n  memory.available: \"\"\n"}, lacks: []string{"evictionSoft"}},
		"kubelet's gate":             {text: component("Kubelet", "featureGates: {GracefulNodeShutdown: null}\n"), has: []string{"featureGates:\n  GracefulNodeShutdown: false\n"}},
		"kubelet's list":             {text: component("Kubelet", "clusterDNS: [null, 10.96.0.10]\n"), has: []string{"clusterDNS:\n- \"\"\n- 10.96.0.10\n"}},
		"kubelet's objects":          {text: component("Kubelet", "shutdownGracePeriodByPodPriority: [null, {priority: null, shutdownGracePeriodSeconds: 5}]\n"), has: []string{"shutdownGracePeriodByPodPriority:\n- {}\n- shutdownGracePeriodSeconds: 5\n"}},
		"kubelet's map of lists":     {text: component("Kubelet", "staticPodURLHeader: {A: null}\n"), has: []string{"staticPodURLHeader:\n  A: null\n"}},
		"kubelet's fields":           {text: component("Kubelet", "authentication: {anonymous: {enabled: null}, webhook: }\nmaxPods: null\n"), lacks: []string{"null", "maxPods", "enabled"}},
		"kubelet's of v1alpha2":      {text: oldMaster + "kubeletConfiguration: {baseConfig: {systemReserved: {cpu: null}, maxPods: null}}\n", to: "v1.12.10", has: []string{"systemReserved:\n  cpu: \"\"\n"}, lacks: []string{"maxPods"}},
		"kube-proxy's gate":          {text: component("KubeProxy", "featureGates: {A: null}\nconntrack: {min: null}\n"), has: []string{"featureGates:\n  A: false\n"}, lacks: []string{"min"}},
		"kube-proxy's of v1alpha1":   {text: "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\nkubeProxy: {config: {featureGates: {A: null}}}\n", to: "v1.11.10", has: []string{"A: false\n"}},
		"argument of a map":          {text: v1beta3(initDoc + clusterDoc + "apiServer: {extraArgs: {v: null}}\netcd: {local: {extraArgs: {v: }}}\n"), has: []string{"apiServer:\n  extraArgs:\n  - name: v\n    value: \"\"\n", "local:\n    extraArgs:\n    - name: v\n      value: \"\"\n"}},
		"argument of the kubelet":    {text: v1beta3(node("kubeletExtraArgs: {v: null}")), has: []string{"- name: v\n    value: \"\"\n"}},
		"argument of v1alpha3":       {text: oldMaster + "schedulerExtraArgs: {v: null}\n", to: "v1.12.10", has: []string{"schedulerExtraArgs:\n  v: \"\"\n"}},
		"argument's value":           {text: initDoc + clusterDoc + "scheduler: {extraArgs: [{name: v, value: null}]}\n", has: []string{"- name: v\n    value: \"\"\n"}},
		"argument":                   {text: initDoc + clusterDoc + "scheduler: {extraArgs: [{name: v}, null]}\n", refused: "line 10: ClusterConfiguration.scheduler.extraArgs[1]: want an argument with a name"},
		"preflight check":            {text: node("ignorePreflightErrors: [null, Swap]"), has: []string{"ignorePreflightErrors:\n  - \"\"\n  - Swap\n"}, warned: []string{"5 InitConfiguration.nodeRegistration.ignorePreflightErrors[0]"}},
		"phase":                      {text: initDoc + "skipPhases: [preflight, null]\n", has: []string{"skipPhases:\n- preflight\n- \"\"\n"}},
		"hash":                       {text: edited(joinDoc, "unsafeSkipCAVerification: true", "caCertHashes: [null]"), has: []string{"caCertHashes:\n    - \"\"\n"}, warned: []string{"3 JoinConfiguration.discovery.bootstrapToken.caCertHashes[0]"}},
		"SAN":                        {text: initDoc + clusterDoc + "apiServer:\n  certSANs:\n  - a\n  - null\n", refused: "line 13: ClusterConfiguration.apiServer.certSANs[1]: \"\": want an address or a DNS name"},
		"etcd's endpoint":            {text: initDoc + clusterDoc + "etcd: {external: {endpoints: [null]}}\n", refused: "line 10: ClusterConfiguration.etcd.external.endpoints[0]: \"\": want a URL"},
		"token":                      {text: edited(initDoc, "cdef}]", "cdef}, null]"), has: []string{"- token: abcdef.0123456789abcdef\n  ttl: 24h0m0s\n- ttl: 24h0m0s\n"}},
		"token's fields":             {text: edited(initDoc, "cdef}]", "cdef, ttl: null, usages: null, expires: null}]"), has: []string{"- token: abcdef.0123456789abcdef\n  ttl: 24h0m0s\nkind"}},
		"token's usage":              {text: edited(initDoc, "cdef}]", "cdef, usages: [authentication, null]}]"), refused: "line 3: InitConfiguration.bootstrapTokens[0].usages[1]: \"\": want signing, authentication"},
		"variable":                   {text: initDoc + clusterDoc + "apiServer: {extraEnvs: [{name: A, value: null, valueFrom: null}]}\n", has: []string{"extraEnvs:\n  - name: A\n"}, lacks: []string{"valueFrom"}},
		"variable without anything":  {text: initDoc + clusterDoc + "apiServer: {extraEnvs: [null]}\n", has: []string{"extraEnvs:\n  - name: \"\"\n"}, warned: []string{"10 ClusterConfiguration.apiServer.extraEnvs[0].name"}},
		"source without any":         {text: initDoc + clusterDoc + "apiServer: {extraEnvs: [{name: A, valueFrom: {}}]}\n", has: []string{"- name: A\n    valueFrom: {}\n"}, warned: []string{"10 ClusterConfiguration.apiServer.extraEnvs[0].valueFrom"}},
		"source whose field is null": {text: initDoc + clusterDoc + "etcd: {local: {extraEnvs: [{name: A, valueFrom: {fieldRef: null}}]}}\n", has: []string{"- name: A\n      valueFrom: {}\n"}, warned: []string{"10 ClusterConfiguration.etcd.local.extraEnvs[0].valueFrom"}},
		"source beside a value":      {text: initDoc + clusterDoc + "scheduler: {extraEnvs: [{name: A, value: x, valueFrom: {}}]}\n", has: []string{"- name: A\n    value: x\n    valueFrom: {}\n"}, warned: []string{"10 ClusterConfiguration.scheduler.extraEnvs[0].valueFrom"}},
		"taint's moment":             {text: node("taints: [{key: a, effect: NoExecute, timeAdded: null}]"), has: []string{"- effect: NoExecute\n    key: a\n"}, lacks: []string{"timeAdded"}},
		"patches":                    {text: initDoc + "patches: {directory: null}\n", has: []string{"\npatches: {}\n"}},
		"patches of a worker":        {text: joinDoc + "patches: {directory: \"\"}\n", has: []string{"\npatches: {}\n"}},
		"patches, v1beta3":           {text: v1beta3(joinDoc) + "patches: {}\n", has: []string{"\npatches: {}\n"}},
		"no patches":                 {text: initDoc + "patches: null\n", lacks: []string{"patches"}},
		"no patches yet":             {text: joinDoc + "patches: {}\n", to: "v1.21.14", lacks: []string{"patches"}},
		"patches as text":            {text: initDoc + "patches: /a\n", refused: "line 6: InitConfiguration.patches: want an object"},
		"of another command":         {text: initDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: UpgradeConfiguration\napply: {patches: {directory: null}, skipPhases: [null]}\n", has: []string{"apply:\n  patches: {}\n  skipPhases:\n  - null\n"}},
	} {
		t.Run(name, m.check)
	}
}

// What kubeadm takes is taken, and what it does not is not.
func TestMigrateTakesWhatKubeadmTakes(t *testing.T) {
	const kubeProxy = "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"
	const pipe = "npipe:////./pipe/containerd-containerd"
	socket := func(text, socket string) string {
		return strings.NewReplacer("unix:///run/containerd/containerd.sock", socket, "/run/x.sock", socket).Replace(text)
	}
	v1beta2 := strings.ReplaceAll(joinDoc, "v1beta4", "v1beta2")
	taints := func(list string) string {
		return edited(joinDoc, "name: w-1,", "name: w-1, taints: ["+list+"],")
	}
	etcd := func(external string) string {
		return initDoc + clusterDoc + "etcd: {external: {" + external + "}}\n"
	}
	const external, criSocket = "ClusterConfiguration.etcd.external.endpoints", "JoinConfiguration.nodeRegistration.criSocket"
	for name, m := range map[string]migration{
		"a pipe":                      {text: socket(joinDoc, pipe), has: []string{"criSocket: " + pipe + "\n"}},
		"a pipe, v1.22":               {text: socket(v1beta2, pipe), to: "v1.22.17", has: []string{"criSocket: " + pipe + "\n"}},
		"a pipe, v1.15":               {text: socket(v1beta2, pipe), to: "v1.15.12", has: []string{"criSocket: " + pipe + "\n"}},
		"a pipe of a control plane":   {text: socket(joinDoc, pipe) + "controlPlane: {}\n", has: []string{"criSocket: " + pipe + "\n"}, warned: []string{"4 " + criSocket}},
		"a pipe, too early":           {text: socket(oldJoin, pipe), to: "v1.12.10", refused: "line 6: " + criSocket + ": "},
		"a socket without a slash":    {text: socket(joinDoc, "unix://run/x.sock"), has: []string{"criSocket: unix://run/x.sock\n"}, warned: []string{"4 " + criSocket}},
		"without a slash, v1.22":      {text: socket(v1beta2, "unix://run/x.sock"), to: "v1.22.17", has: []string{"criSocket: unix://run/x.sock\n"}, warned: []string{"4 " + criSocket}},
		"without a slash, v1.11":      {text: socket(oldNode, "unix://run/x.sock"), to: "v1.11.10", refused: "line 6: NodeConfiguration.nodeRegistration.criSocket: "},
		"a relative socket":           {text: socket(joinDoc, "run.sock"), has: []string{"criSocket: run.sock\n"}, warned: []string{"4 " + criSocket}},
		"relative, v1.22":             {text: socket(v1beta2, "run.sock"), to: "v1.22.17", refused: "line 4: " + criSocket + ": "},
		"a taint's moment":            {text: taints(`{key: a, effect: NoExecute, timeAdded: "2024-01-02T03:04:05Z"}`), has: []string{"- effect: NoExecute\n    key: a\n    timeAdded: \"2024-01-02T03:04:05Z\"\n"}},
		"a moment with a zone":        {text: taints(`{key: a, effect: NoExecute, timeAdded: "2024-01-02T03:04:05+01:00"}`), has: []string{"timeAdded: \"2024-01-02T03:04:05+01:00\"\n"}},
		"a moment, v1beta2":           {text: strings.ReplaceAll(taints(`{key: a, effect: NoExecute, timeAdded: "2024-01-02T03:04:05Z"}`), "v1beta4", "v1beta2"), has: []string{"timeAdded: \"2024-01-02T03:04:05Z\"\n"}},
		"no moment":                   {text: taints(`{key: a, effect: NoExecute, timeAdded: yesterday}`), refused: "line 4: JoinConfiguration.nodeRegistration.taints[0].timeAdded: want a moment"},
		"external etcd, empty":        {text: etcd(""), to: "v1.31.14", has: []string{"etcd:\n  external: {}\n"}, warned: []string{"10 " + external}},
		"external etcd, empty list":   {text: etcd("endpoints: []"), to: "v1.34.4", has: []string{"external:\n    endpoints: []\n"}, warned: []string{"10 " + external}},
		"external etcd, null list":    {text: etcd("endpoints: null, caFile: /a"), to: "v1.31.14", has: []string{"external:\n    caFile: /a\n"}, warned: []string{"10 " + external}},
		"external etcd, refused":      {text: etcd("endpoints: []"), to: "v1.35.0", refused: "line 10: " + external + ": none"},
		"etcd by a socket":            {text: etcd(`endpoints: ["unix:///run/etcd.sock"]`), has: []string{"- unix:///run/etcd.sock\n"}, warned: []string{"10 " + external + "[0]"}},
		"etcd by its own scheme":      {text: etcd(`endpoints: ["https://a:2379", "etcd://b"]`), has: []string{"- etcd://b\n"}, warned: []string{"10 " + external + "[1]"}},
		"a socket with certificates":  {text: etcd(`endpoints: ["unix:///run/etcd.sock"], caFile: /a, certFile: /b, keyFile: /c`), refused: "line 10: " + external + "[0]: "},
		"etcd of v1.10 without any":   {text: "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\netcd: {endpoints: [\"192.0.2.1:2379\"]}\n", to: "v1.10.4", has: []string{"- 192.0.2.1:2379\n"}, warned: []string{"3 MasterConfiguration.etcd.endpoints[0]"}},
		"loopback":                    {text: edited(initDoc, "192.0.2.11", "127.0.0.1"), has: []string{"advertiseAddress: 127.0.0.1\n"}, warned: []string{"4 InitConfiguration.localAPIEndpoint.advertiseAddress"}},
		"usages without a group":      {text: edited(initDoc, "cdef}]", "cdef, usages: [signing]}]"), refused: "line 3: InitConfiguration.bootstrapTokens[0].usages: kubeadm adds a group of its own"},
		"the endpoint's port":         {text: initDoc + clusterDoc + "controlPlaneEndpoint: \"api:+6443\"\n", refused: "line 10: ClusterConfiguration.controlPlaneEndpoint: \"api:+6443\": want a port"},
		"a file and servers":          {text: oldJoin + "discoveryFile: /a\n", to: "v1.13.12", has: []string{"file:\n    kubeConfigPath: /a\n  tlsBootstrapToken: abcdef.0123456789abcdef\n"}, lacks: []string{"bootstrapToken:"}, warned: []string{"4 JoinConfiguration.discoveryTokenAPIServers", "5 JoinConfiguration.discoveryTokenUnsafeSkipCAVerification"}},
		"a file and hashes, v1alpha2": {text: edited(oldNode, "discoveryTokenUnsafeSkipCAVerification: true", "discoveryTokenCACertHashes: [x]\ndiscoveryFile: /a"), to: "v1.11.10", has: []string{"discoveryFile: /a\n"}, warned: []string{"4 NodeConfiguration.discoveryTokenAPIServers", "5 NodeConfiguration.discoveryTokenCACertHashes"}},
		"a file and a token":          {text: oldJoin + "discoveryFile: /a\ndiscoveryToken: abcdef.0123456789abcdef\n", to: "v1.13.12", has: []string{"kubeConfigPath: /a\n"}, warned: []string{"4 JoinConfiguration.discoveryTokenAPIServers", "5 JoinConfiguration.discoveryTokenUnsafeSkipCAVerification", "8 JoinConfiguration.discoveryToken"}},
		"kube-dns":                    {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + "dns: {type: kube-dns}\n", to: "v1.20.15", has: []string{"type: kube-dns\n"}},
		"kube-dns, too late":          {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + "dns: {type: kube-dns}\n", to: "v1.21.14", refused: "line 10: ClusterConfiguration.dns.type: kubeadm runs kube-dns no more, from v1.21 on"},
		"a key that is none":          {text: strings.ReplaceAll(joinDoc, "v1beta4", "v1beta3") + "controlPlane: {certificateKey: abc}\n", to: "v1.28.15", has: []string{"certificateKey: abc\n"}, warned: []string{"5 JoinConfiguration.controlPlane.certificateKey"}},
		"a key of init's":             {text: strings.ReplaceAll(initDoc+"certificateKey: "+markerKey+"ab\n", "v1beta4", "v1beta2"), to: "v1.22.17", has: []string{"certificateKey: " + markerKey + "ab\n"}, warned: []string{"6 InitConfiguration.certificateKey"}},
		"a key, too late":             {text: strings.ReplaceAll(initDoc, "v1beta4", "v1beta3") + "certificateKey: abc\n", to: "v1.29.0", refused: "line 6: InitConfiguration.certificateKey: "},
		"a policy that is none":       {text: strings.ReplaceAll(edited(joinDoc, "name: w-1,", "name: w-1, imagePullPolicy: Sometimes,"), "v1beta4", "v1beta3"), to: "v1.28.15", has: []string{"imagePullPolicy: Sometimes\n"}, warned: []string{"4 JoinConfiguration.nodeRegistration.imagePullPolicy"}},
		"a policy of v1alpha1":        {text: "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\nimagePullPolicy: always\n", to: "v1.10.4", has: []string{"imagePullPolicy: always\n"}, warned: []string{"3 MasterConfiguration.imagePullPolicy"}},
		"a policy, too late":          {text: edited(joinDoc, "name: w-1,", "name: w-1, imagePullPolicy: always,"), to: "v1.30.3", refused: "line 4: JoinConfiguration.nodeRegistration.imagePullPolicy: "},
		"no name of an argument":      {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta3") + "apiServer: {extraArgs: {\"\": x}}\n", to: "v1.28.15", has: []string{"extraArgs:\n    \"\": x\n"}, warned: []string{"10 ClusterConfiguration.apiServer.extraArgs"}},
		"no name, of the kubelet":     {text: strings.ReplaceAll(edited(joinDoc, "name: w-1,", "name: w-1, kubeletExtraArgs: {\"\": x},"), "v1beta4", "v1beta2"), to: "v1.22.17", has: []string{"kubeletExtraArgs:\n    \"\": x\n"}, warned: []string{"4 JoinConfiguration.nodeRegistration.kubeletExtraArgs"}},
		"no name, of etcd":            {text: oldMaster + "etcd: {local: {extraArgs: {\"\": x}}}\n", to: "v1.12.10", has: []string{"extraArgs:\n      \"\": x\n"}},
		"no name, too late":           {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta3") + "apiServer: {extraArgs: {\"\": x}}\n", to: "v1.29.0", refused: "ClusterConfiguration.apiServer.extraArgs[0].name: an argument without a name"},
		"a repository without a host": {text: initDoc + clusterDoc + "imageRepository: my_team.k8s\ndns: {imageRepository: a__b/c}\netcd: {local: {imageRepository: b_c}}\n", has: []string{"imageRepository: my_team.k8s\n", "imageRepository: a__b/c\n", "imageRepository: b_c\n"}},
		"a repository of an address":  {text: initDoc + clusterDoc + "imageRepository: \"[fd00::1]:5000/k8s\"\n", to: "v1.29.0", has: []string{"imageRepository: '[fd00::1]:5000/k8s'\n"}},
		"an address, too early":       {text: initDoc + clusterDoc + "imageRepository: \"[fd00::1]:5000/k8s\"\n", to: "v1.28.15", refused: "line 10: ClusterConfiguration.imageRepository: "},
		"no repository":               {text: initDoc + clusterDoc + "imageRepository: a_B\n", to: "v1.26.0", refused: "line 10: ClusterConfiguration.imageRepository: "},
		"no repository, v1.25":        {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta3") + "imageRepository: a_B\n", to: "v1.25.16", has: []string{"imageRepository: a_B\n"}, warned: []string{"10 ClusterConfiguration.imageRepository"}},
		"a repository with a scheme":  {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + "dns: {imageRepository: \"https://a/b\"}\n", to: "v1.22.17", has: []string{"imageRepository: https://a/b\n"}, warned: []string{"10 ClusterConfiguration.dns.imageRepository"}},
		"volumes that are null":       {text: oldMaster + "apiServerExtraVolumes: [null, {name: a, hostPath: /a, mountPath: /b, writable: null}]\n", to: "v1.12.10", lacks: []string{"writable"}, warned: []string{"7 MasterConfiguration.apiServerExtraVolumes[0].name", "7 MasterConfiguration.apiServerExtraVolumes[0].hostPath", "7 MasterConfiguration.apiServerExtraVolumes[0].mountPath"}},
		"writable as text":            {text: oldMaster + "schedulerExtraVolumes:\n- {name: a, hostPath: /a, mountPath: /b}\n- {name: c, hostPath: /c, mountPath: /d, writable: \"yes\"}\n", to: "v1.12.10", refused: "line 9: MasterConfiguration.schedulerExtraVolumes[1].writable: want true or false"},
		"writable as a number":        {text: oldMaster + "controllerManagerExtraVolumes: [{writable: 1}]\n", refused: "line 7: MasterConfiguration.controllerManagerExtraVolumes[0].writable: want true or false"},
		"writable as an object":       {text: oldMaster + "controllerManagerExtraVolumes: [{writable: {}}]\n", refused: "line 7: MasterConfiguration.controllerManagerExtraVolumes[0].writable: want true or false"},
		"etcd as kubeadm 1.10 has it": {text: "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\netcd: {caFile: \"\", certFile: \"\", dataDir: /var/lib/etcd, endpoints: [\"http://192.0.2.1:2379\"], image: \"\", keyFile: \"\"}\n", to: "v1.11.10", has: []string{"external:\n    endpoints:\n    - http://192.0.2.1:2379\n"}, lacks: []string{"dataDir"}},
		"two kinds of etcd, v1alpha1": {text: "apiVersion: kubeadm.k8s.io/v1alpha1\nkind: MasterConfiguration\netcd:\n  endpoints: [\"http://192.0.2.1:2379\"]\n  dataDir: /srv/etcd\n  extraArgs: {v: \"1\"}\n  image: example.com/etcd:3\n", to: "v1.11.10", lacks: []string{"/srv/etcd", "extraArgs", "local"}, warned: []string{"5 MasterConfiguration.etcd.dataDir", "6 MasterConfiguration.etcd.extraArgs", "7 MasterConfiguration.etcd.image"}},
		"a mode, too early":           {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + kubeProxy + "mode: nftables\n", to: "v1.16.0", refused: "line 13: KubeProxyConfiguration.mode: "},
		"a mode that was":             {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + kubeProxy + "mode: userspace\nipvs: {scheduler: wlc}\n", to: "v1.16.0", has: []string{"mode: userspace\n"}, warned: []string{"13 KubeProxyConfiguration.mode"}},
		"a mode, not checked":         {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta2") + kubeProxy + "mode: fast\n", to: "v1.17.17", has: []string{"mode: fast\n"}, warned: []string{"13 KubeProxyConfiguration.mode"}},
		"a mode of v1alpha2":          {text: oldMaster + "kubeProxy: {config: {mode: nftables}}\n", to: "v1.11.10", refused: "line 7: MasterConfiguration.kubeProxy.config.mode: "},
		"a scheduler that is none":    {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta1") + kubeProxy + "ipvs: {scheduler: fair}\n", to: "v1.15.12", refused: "line 13: KubeProxyConfiguration.ipvs.scheduler: "},
		"what is enforced":            {text: strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta1") + "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nenforceNodeAllocatable:\n- pods\n- all\n", to: "v1.14.10", refused: "line 15: KubeletConfiguration.enforceNodeAllocatable[1]: "},
		"the endpoint to join":        {text: edited(joinDoc, "com:6443", "com:+6443"), has: []string{"apiServerEndpoint: api.example.com:+6443\n"}, warned: []string{"3 JoinConfiguration.discovery.bootstrapToken.apiServerEndpoint"}},
	} {
		t.Run(name, m.check)
	}
	c, _, err := kubeadm.Parse([]byte(taints(`{key: a, effect: NoExecute, timeAdded: "2024-01-02T03:04:05Z"}`)), version(t, "v1.37.2"))
	if want := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC); err != nil || len(c.Registration.Taints) != 1 || !c.Registration.Taints[0].TimeAdded.Equal(want) {
		t.Errorf("%+v, %v", c.Registration.Taints, err)
	}
}

// A version is read as kubeadm compares it: a build is dropped, what comes before
// the release is not.
func TestParseVersions(t *testing.T) {
	for text, want := range map[string]string{
		"v1.31.0-alpha.2.10+x":           "v1.31.0-alpha.2.10",
		"v1.31.0-alpha.2.10+0f1e2d.more": "v1.31.0-alpha.2.10",
		"1.31.0-rc.0.5+abc-dirty":        "v1.31.0-rc.0.5",
		"v1.31.4+vendor.1":               "v1.31.4",
		"v1.31.4-vendor.1":               "v1.31.4-vendor.1",
		"v1.31.4-vendor_1":               "v1.31.4",
		"v1.31.4-":                       "v1.31.4",
		"v1.31.0-beta.1":                 "v1.31.0-beta.1",
		"ci/v1.31.0-alpha.2.10+x":        "v1.37.2",
	} {
		c, problems, err := kubeadm.Parse([]byte(strings.Replace(initDoc+clusterDoc, "v1.37.0", text, 1)), version(t, "v1.37.2"))
		warned := len(problems) == 1 && problems[0].Line == 9 && problems[0].Path == "ClusterConfiguration.kubernetesVersion"
		if err != nil || c.Version.String() != want || warned == (text == want) {
			t.Errorf("%s: %s, %v, %v", text, c.Version, problems, err)
		}
	}
}

// A problem in a list is at its own item, in its own line, and every item has its
// own.
func TestErrorsNameItems(t *testing.T) {
	args := func(args string) string {
		return initDoc + clusterDoc + "apiServer:\n  extraArgs:\n" + args
	}
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"checks":         {initDoc + "skipPhases:\n- preflight\n- [a]\n- 5\n", []string{"line 8: InitConfiguration.skipPhases[1]: want text", "line 9: InitConfiguration.skipPhases[2]: want text"}},
		"SANs":           {initDoc + clusterDoc + "apiServer:\n  certSANs:\n  - a\n  - b c\n  - d:1\n", []string{"line 13: ClusterConfiguration.apiServer.certSANs[1]: ", "line 14: ClusterConfiguration.apiServer.certSANs[2]: "}},
		"SANs' forms":    {initDoc + clusterDoc + "apiServer:\n  certSANs:\n  - a\n  - {b: c}\n", []string{"line 13: ClusterConfiguration.apiServer.certSANs[1]: want text"}},
		"arguments":      {args("  - {name: v, value: \"1\"}\n  - x\n  - {name: w, value: 5}\n  - {value: z}\n"), []string{"line 13: ClusterConfiguration.apiServer.extraArgs[1]: want a name and a value", "line 14: ClusterConfiguration.apiServer.extraArgs[2].value: want text", "line 15: ClusterConfiguration.apiServer.extraArgs[3]: want an argument with a name"}},
		"arguments' own": {args("  - name: v\n    worth: a\n"), []string{`line 12: ClusterConfiguration.apiServer.extraArgs[0]: unknown field "worth"`}},
		"a map's":        {strings.ReplaceAll(args("    v: \"2\"\n    w: 5\n    x: [a]\n"), "v1beta4", "v1beta3"), []string{"line 13: ClusterConfiguration.apiServer.extraArgs.w: want text", "line 14: ClusterConfiguration.apiServer.extraArgs.x: want text"}},
		"gates":          {initDoc + clusterDoc + "featureGates:\n  A: true\n  B: \"yes\"\n", []string{"line 12: ClusterConfiguration.featureGates.B: want true or false"}},
		"volumes":        {initDoc + clusterDoc + "scheduler:\n  extraVolumes:\n  - name: a\n    hostPath: /a\n  - name: b\n    readOnly: \"yes\"\n    mountPath: 7\n", []string{"line 15: ClusterConfiguration.scheduler.extraVolumes[1].readOnly: want true or false", "line 16: ClusterConfiguration.scheduler.extraVolumes[1].mountPath: want text"}},
		"variables":      {initDoc + clusterDoc + "scheduler:\n  extraEnvs:\n  - name: A\n  - name: B\n    valueFrom: x\n", []string{"line 14: ClusterConfiguration.scheduler.extraEnvs[1].valueFrom: want an object"}},
		"taints":         {edited(initDoc, "{name: cp-1, criSocket: unix:///run/containerd/containerd.sock}", "\n  taints:\n  - key: a\n    effect: NoSchedule\n  - key: [b]\n"), []string{"line 9: InitConfiguration.nodeRegistration.taints[1].key: want text"}},
		"tokens":         {edited(initDoc, "[{token: abcdef.0123456789abcdef}]", "\n- ttl: 1h\n- ttl: 5\n  usages: {}\n- x\n"), []string{"line 5: InitConfiguration.bootstrapTokens[1].ttl: want a duration", "line 6: InitConfiguration.bootstrapTokens[1].usages: want a list", "line 7: InitConfiguration.bootstrapTokens[2]: want a token"}},
		"tokens' values": {edited(initDoc, "[{token: abcdef.0123456789abcdef}]", "\n- usages: [authentication]\n- usages:\n  - authentication\n  - all\n  groups:\n  - a\n"), []string{"line 7: InitConfiguration.bootstrapTokens[1].usages[1]: ", "line 9: InitConfiguration.bootstrapTokens[1].groups[0]: "}},
		"endpoints":      {edited(oldJoin, `["192.0.2.11:6443"]`, "\n- a:1\n- b\n- c"), []string{`line 6: JoinConfiguration.discoveryTokenAPIServers[1]: "b"`, `line 7: JoinConfiguration.discoveryTokenAPIServers[2]: "c"`}},
	} {
		t.Run(name, func(t *testing.T) {
			to := "v1.37.2"
			if name == "endpoints" {
				to = "v1.12.10"
			}
			_, _, err := kubeadm.Migrate([]byte(test.text), version(t, to))
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || len(invalid.Problems) != len(test.want) {
				t.Fatalf("%v\nwant %q", err, test.want)
			}
			for i, want := range test.want {
				if got := invalid.Problems[i].String(); !strings.Contains(got, want) {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			}
		})
	}
}

// A document that does not say what it is is named by its number.
func TestDocumentsWithoutAKind(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no kind":          {initDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.37.0\n", "line 7: document 2: has no kind"},
		"null kind":        {initDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind:\n", "line 7: document 2: has no kind"},
		"kind of a number": {initDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: 5\n", "line 7: document 2: has no kind"},
		"no apiVersion":    {initDoc + "---\nkind: ClusterConfiguration\n", "line 7: ClusterConfiguration: has no apiVersion"},
		"neither":          {"# comment\nkubernetesVersion: v1.37.0\n", "line 2: document 1: has neither apiVersion nor kind"},
		"neither, inside":  {"apiVersion: v1\nkind: ConfigMap\ndata:\n  ClusterConfiguration: |\n    apiVersion: kubeadm.k8s.io/v1beta4\n", "line 5: document 1, data.ClusterConfiguration: has no kind"},
		"kind in capitals": {initDoc + "---\napiVersion: kubeadm.k8s.io/v1beta4\nKind: ClusterConfiguration\n", "line 7: document 2: has no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := kubeadm.Parse([]byte(test.text), version(t, "v1.37.2"))
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), test.want+",") {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

// ConfigMaps are read out of a list of them too, each where the file has it.
func TestConfigMapsInAList(t *testing.T) {
	const list = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: kube-root-ca.crt}
  data: {ca.crt: none}
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: kubeadm-config}
  data:
    ClusterConfiguration: |
      apiVersion: kubeadm.k8s.io/v1beta3
      kind: ClusterConfiguration
      clusterName: prod
      networking: {podSubnet: 10.244.0.0/16}
- apiVersion: v1
  kind: ConfigMap
  data:
    kubelet: |
      apiVersion: kubelet.config.k8s.io/v1beta1
      kind: KubeletConfiguration
      maxPods: 50
`
	typed := edited(list, "kind: List", "kind: ConfigMapList", "- apiVersion: v1\n  kind: ConfigMap\n  ", "- ")
	for name, m := range map[string]migration{
		"as it is":           {text: list, has: []string{"clusterName: prod\n", "maxPods: 50\n"}, warned: []string{"4 ConfigMap"}},
		"of its kind":        {text: typed, has: []string{"clusterName: prod\n", "maxPods: 50\n"}, warned: []string{"4 ConfigMap"}},
		"as JSON":            {text: `{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "ConfigMap", "data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: prod\n"}}]}`, has: []string{"clusterName: prod\n"}},
		"its own lines":      {text: edited(list, "10.244.0.0/16", "x"), refused: "line 16: ClusterConfiguration.networking.podSubnet: want ranges"},
		"a key twice inside": {text: edited(list, "clusterName: prod\n", "clusterName: prod\n      clusterName: prod\n"), refused: `line 16: document 1, items[1], data.ClusterConfiguration: key "clusterName" is there twice, first in line 15`},
		"beside a document":  {text: list + "---\n" + strings.ReplaceAll(initDoc, "v1beta4", "v1beta3"), has: []string{"clusterName: prod\n", "name: cp-1\n"}, warned: []string{"4 ConfigMap"}},
		"the same twice":     {text: list + "---\n" + strings.ReplaceAll(clusterDoc, "v1beta4", "v1beta3"), refused: "ClusterConfiguration: is in the file twice, first in line 13"},
		"none of kubeadm":    {text: edited(list, "kubeadm.k8s.io", "example.com", "kubelet.config.k8s.io", "example.com"), refused: "no document of kubeadm's configuration"},
		"a list in a list":   {text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: List, items: []}\n", refused: "no document of kubeadm's configuration"},
		"items of no list":   {text: "apiVersion: v1\nkind: List\nitems: {a: b}\n", refused: "no document of kubeadm's configuration"},
		"items of nothing":   {text: "apiVersion: v1\nkind: List\nitems: [null, 5, [a]]\n", refused: "no document of kubeadm's configuration"},
	} {
		t.Run(name, m.check)
	}
}
