package kubeadm_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// migration is a file, and what Migrate makes of it.
type migration struct {
	// text of the file. to is v1.37.2 by default.
	text, to string
	// has and lacks are parts of what is written.
	has, lacks []string
	// warned are "LINE PATH" of all warnings, and refused is part of the error.
	warned  []string
	refused string
}

func (m migration) check(t *testing.T) {
	t.Helper()
	to := m.to
	if to == "" {
		to = "v1.37.2"
	}
	text, problems, err := kubeadm.Migrate([]byte(m.text), version(t, to))
	if m.refused != "" {
		var invalid *quorate.InvalidError
		if !errors.As(err, &invalid) || !strings.Contains(err.Error(), m.refused) {
			t.Errorf("got %v\nwant ...%s...", err, m.refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range m.has {
		if !bytes.Contains(text.Bytes(), []byte(part)) {
			t.Errorf("no %q in\n%s", part, text.Bytes())
		}
	}
	for _, part := range m.lacks {
		if bytes.Contains(text.Bytes(), []byte(part)) {
			t.Errorf("%q in\n%s", part, text.Bytes())
		}
	}
	var warned []string
	for _, p := range problems {
		if p.Severity != quorate.Warned || p.Line == 0 {
			t.Errorf("%v: want a warning with a line", p)
		}
		warned = append(warned, fmt.Sprintf("%d %s", p.Line, p.Path))
	}
	if !slices.Equal(warned, m.warned) {
		t.Errorf("want warnings %q: %v", m.warned, problems)
	}
	// What is written is read again as it is, and is what kubeadm would take.
	again, left, err := kubeadm.Migrate(text.Bytes(), version(t, to))
	if err != nil || !again.Equal(text) {
		t.Errorf("%v, %v\n%s\nis read and written as\n%s", left, err, text.Bytes(), again.Bytes())
	}
}

const (
	initDoc = `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
bootstrapTokens: [{token: abcdef.0123456789abcdef}]
localAPIEndpoint: {advertiseAddress: 192.0.2.11, bindPort: 6443}
nodeRegistration: {name: cp-1, criSocket: unix:///run/containerd/containerd.sock}
`
	clusterDoc = `---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.0
`
	joinDoc = `apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery: {bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: "api.example.com:6443", unsafeSkipCAVerification: true}}
nodeRegistration: {name: w-1, criSocket: unix:///run/containerd/containerd.sock}
`
	oldJoin = `apiVersion: kubeadm.k8s.io/v1alpha3
kind: JoinConfiguration
token: abcdef.0123456789abcdef
discoveryTokenAPIServers: ["192.0.2.11:6443"]
discoveryTokenUnsafeSkipCAVerification: true
nodeRegistration: {name: w-1, criSocket: /run/x.sock}
`
	oldMaster = `apiVersion: kubeadm.k8s.io/v1alpha2
kind: MasterConfiguration
api: {advertiseAddress: 192.0.2.11}
kubernetesVersion: v1.11.10
bootstrapTokens: [{token: abcdef.0123456789abcdef}]
nodeRegistration: {name: cp-1, criSocket: /run/x.sock}
`
)

// Files that were refused or misread, each of a kind of its own.
func TestCases(t *testing.T) {
	cases := map[string]migration{
		"arg-novalue":   {has: []string{"- name: tls-sni-cert-key\n    value: a.crt,a.key\n", "- name: v\n    value: \"\"\n"}},
		"dup-args":      {has: []string{"value: https://new.example.com\n  - name: service-account-issuer\n    value: https://old.example.com\n"}},
		"env-valuefrom": {has: []string{"- name: HTTP_PROXY\n    value: http://proxy.example.com:3128\n  - name: POD_IP\n    valueFrom:\n      fieldRef:\n        fieldPath: status.podIP\n"}},
		"etcd-both":     {refused: "line 10: ClusterConfiguration.etcd: has external and local"},
		"join-cp-empty": {has: []string{"\ncontrolPlane: {}\n"}},
		"join-cp-null":  {has: []string{"\ncontrolPlane: {}\n"}},
		"join-unsafe":   {has: []string{"unsafeSkipCAVerification: true\n"}, lacks: []string{"controlPlane"}},
		"kp-nulls":      {lacks: []string{"null", "hostnameOverride", "conntrack"}},
		"labels":        {has: []string{"- name: node-labels\n    value: \"\"\n"}},
		"labels-trailing": {
			has: []string{"- name: node-labels\n    value: a=b,\n"},
		},
		"metadata":    {has: []string{"cgroupRoot: /kubelet\n"}, lacks: []string{"metadata"}, warned: []string{"16 KubeProxyConfiguration.metadata.name", "21 KubeletConfiguration.metadata.name"}},
		"notoken":     {lacks: []string{"bootstrapTokens"}},
		"owned-args":  {has: []string{"- name: leader-elect\n    value: \"false\"\n"}, warned: []string{"10 ClusterConfiguration.controllerManager.extraArgs.leader-elect"}},
		"owned-args2": {has: []string{"- name: cluster-cidr\n    value: 10.244.0.0/16\n"}, warned: []string{"10 ClusterConfiguration.controllerManager.extraArgs.cluster-cidr"}},
		"patches":     {has: []string{"directory: /etc/kubernetes/patches/\n"}, warned: []string{"4 InitConfiguration.patches.directory"}},
		"plusver":     {has: []string{"kubernetesVersion: v1.37.2\n"}, warned: []string{"12 ClusterConfiguration.kubernetesVersion"}},
		"podsubnet":   {lacks: []string{"podSubnet"}},
		"stable":      {has: []string{"kubernetesVersion: v1.37.2\n"}, warned: []string{"12 ClusterConfiguration.kubernetesVersion"}},
		"two-tokens":  {has: []string{"- token: abcdef.0123456789abcdef\n  ttl: 24h0m0s\n- token: bcdefg.0123456789abcdef\n"}},
		"vol-slash": {
			has:    []string{"hostPath: /var/log/audit/\n    mountPath: /var/log/audit/\n"},
			warned: []string{"15 ClusterConfiguration.apiServer.extraVolumes[0].hostPath", "15 ClusterConfiguration.apiServer.extraVolumes[0].mountPath"},
		},
		"zero-timeout": {has: []string{"timeouts:\n  discovery: 0s\n  tlsBootstrap: 0s\n"}},
	}
	files, err := filepath.Glob("testdata/cases/*.yaml")
	if err != nil || len(files) != len(cases) {
		t.Fatal(len(files), len(cases), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, known := cases[strings.TrimSuffix(filepath.Base(file), ".yaml")]
			if !known {
				t.Fatal("nobody says what becomes of it")
			}
			m.text = string(data)
			m.check(t)
		})
	}
}

// An object counts by being there, in every version that has one.
func TestMigratePresence(t *testing.T) {
	const external = "etcd: {external: {endpoints: [\"https://192.0.2.1:2379\"], caFile: /a, certFile: /b, keyFile: /c}}\n"
	for name, m := range map[string]migration{
		"null is a worker":            {text: joinDoc + "controlPlane: null\n", lacks: []string{"controlPlane"}},
		"tilde is a worker":           {text: joinDoc + "controlPlane: ~\n", lacks: []string{"controlPlane"}},
		"empty":                       {text: joinDoc + "controlPlane: {}\n", has: []string{"controlPlane: {}\n"}},
		"endpoint empty":              {text: joinDoc + "controlPlane: {localAPIEndpoint: {}}\n", has: []string{"controlPlane: {}\n"}},
		"endpoint's fields null":      {text: joinDoc + "controlPlane: {localAPIEndpoint: {advertiseAddress: , bindPort: null}}\n", has: []string{"controlPlane: {}\n"}},
		"endpoint's fields empty":     {text: joinDoc + "controlPlane: {localAPIEndpoint: {advertiseAddress: \"\", bindPort: 0}}\n", has: []string{"controlPlane: {}\n"}},
		"unknown field alone":         {text: joinDoc + "controlPlane: {local: 1}\n", has: []string{"controlPlane: {}\n"}, warned: []string{"5 JoinConfiguration.controlPlane.local"}},
		"certificate key alone":       {text: joinDoc + "controlPlane: {certificateKey: " + markerKey + "}\n", has: []string{"controlPlane:\n  certificateKey: " + markerKey}},
		"text":                        {text: joinDoc + "controlPlane: \"yes\"\n", refused: "line 5: JoinConfiguration.controlPlane: want an object"},
		"true":                        {text: joinDoc + "controlPlane: true\n", refused: "line 5: JoinConfiguration.controlPlane: want an object"},
		"list":                        {text: joinDoc + "controlPlane: []\n", refused: "line 5: JoinConfiguration.controlPlane: want an object"},
		"endpoint as text":            {text: joinDoc + "controlPlane: {localAPIEndpoint: x}\n", refused: "line 5: JoinConfiguration.controlPlane.localAPIEndpoint: want an object"},
		"empty in v1beta1":            {text: strings.ReplaceAll(joinDoc, "v1beta4", "v1beta1") + "controlPlane: {}\n", to: "v1.13.12", has: []string{"controlPlane: {}\n"}},
		"empty in v1beta2":            {text: strings.ReplaceAll(joinDoc, "v1beta4", "v1beta2") + "controlPlane: {}\n", to: "v1.22.17", has: []string{"controlPlane: {}\n"}},
		"empty in v1beta3":            {text: strings.ReplaceAll(joinDoc, "v1beta4", "v1beta3") + "controlPlane: {}\n", has: []string{"controlPlane: {}\n"}},
		"true in v1alpha3":            {text: oldJoin + "controlPlane: true\n", to: "v1.13.12", has: []string{"controlPlane: {}\n"}},
		"false in v1alpha3":           {text: oldJoin + "controlPlane: false\n", to: "v1.13.12", lacks: []string{"controlPlane"}},
		"null in v1alpha3":            {text: oldJoin + "controlPlane:\n", to: "v1.13.12", lacks: []string{"controlPlane"}},
		"object in v1alpha3":          {text: oldJoin + "controlPlane: {}\n", to: "v1.13.12", refused: "line 7: JoinConfiguration.controlPlane: want true or false"},
		"text in v1alpha3":            {text: oldJoin + "controlPlane: \"true\"\n", to: "v1.13.12", refused: "line 7: JoinConfiguration.controlPlane: want true or false"},
		"no worker by an old version": {text: joinDoc + "controlPlane: {}\n", to: "v1.11.10", refused: "JoinConfiguration.controlPlane: kubeadm of Kubernetes v1.11.10 (v1alpha2) cannot express it"},
		"local etcd empty":            {text: initDoc + clusterDoc + "etcd: {local: {}}\n", lacks: []string{"etcd"}},
		"external etcd null":          {text: initDoc + clusterDoc + "etcd: {external: , local: {dataDir: /x}}\n", has: []string{"dataDir: /x\n"}, lacks: []string{"external"}},
		"external etcd empty":         {text: initDoc + clusterDoc + "etcd: {external: {}}\n", refused: "line 10: ClusterConfiguration.etcd.external.endpoints: none"},
		"external etcd as text":       {text: initDoc + clusterDoc + "etcd: {external: x}\n", refused: "line 10: ClusterConfiguration.etcd.external: want an object"},
		"both, one of them empty":     {text: initDoc + clusterDoc + strings.Replace(external, "}}\n", "}, local: {}}\n", 1), refused: "ClusterConfiguration.etcd: has external and local"},
		"both, one of them null":      {text: initDoc + clusterDoc + strings.Replace(external, "}}\n", "}, local: }\n", 1), has: []string{"external:"}, lacks: []string{"local:"}},
		"both in v1alpha2":            {text: oldMaster + "etcd: {external: {endpoints: [\"http://192.0.2.1:2379\"]}, local: {}}\n", to: "v1.11.10", refused: "MasterConfiguration.etcd: has external and local"},
		"token and file":              {text: strings.Replace(joinDoc, "discovery: {", "discovery: {file: {}, ", 1), refused: "line 3: JoinConfiguration.discovery: has bootstrapToken and file"},
		"empty token and file":        {text: "apiVersion: kubeadm.k8s.io/v1beta4\nkind: JoinConfiguration\ndiscovery: {bootstrapToken: {}, file: {kubeConfigPath: /a}}\n", refused: "discovery: has bootstrapToken and file"},
		"no taints":                   {text: strings.Replace(initDoc, "name: cp-1", "name: cp-1, taints: []", 1), has: []string{"taints: []\n"}},
		"taints null":                 {text: strings.Replace(initDoc, "name: cp-1", "name: cp-1, taints: null", 1), lacks: []string{"taints"}},
		"patches empty":               {text: initDoc + "patches: {}\n", has: []string{"\npatches: {}\n"}},
		"timeouts empty":              {text: initDoc + "timeouts: {}\n", lacks: []string{"timeouts"}},
		"serial false":                {text: strings.Replace(initDoc, "name: cp-1", "name: cp-1, imagePullSerial: false", 1), has: []string{"imagePullSerial: false\n"}},
		"serial null":                 {text: strings.Replace(initDoc, "name: cp-1", "name: cp-1, imagePullSerial: null", 1), lacks: []string{"imagePullSerial"}},
		"no tokens":                   {text: strings.Replace(initDoc, "[{token: abcdef.0123456789abcdef}]", "[]", 1), lacks: []string{"bootstrapTokens"}},
		"networking as text":          {text: initDoc + clusterDoc + "networking: x\n", refused: "line 10: ClusterConfiguration.networking: want an object"},
	} {
		t.Run(name, m.check)
	}
}

// Items that are empty, first, last or all, are none.
func TestMigrateEmptyItems(t *testing.T) {
	labels := func(value string) string {
		return strings.Replace(initDoc, "name: cp-1", "name: cp-1, kubeletExtraArgs: [{name: node-labels, value: \""+value+"\"}]", 1)
	}
	for name, want := range map[string]map[string]string{"": nil, ",": nil, "a=b,": {"a": "b"}, ",a=b": {"a": "b"}, "a=b,,c=d": {"a": "b", "c": "d"}, "a": {"a": ""}, "a=": {"a": ""}, "b=1,a=2": {"a": "2", "b": "1"}} {
		t.Run("labels "+name, func(t *testing.T) {
			c, left, err := kubeadm.Parse([]byte(labels(name)), version(t, "v1.37.2"))
			if err != nil || len(left) > 0 || fmt.Sprint(c.Registration.Labels) != fmt.Sprint(want) {
				t.Errorf("%v %v, labels %v", left, err, c.Registration.Labels)
			}
			migration{text: labels(name), has: []string{"- name: node-labels\n    value: "}, lacks: []string{"=,", "value: =", ": ',='"}}.check(t)
		})
	}
	// A label that is set after reading is written.
	c, _, err := kubeadm.Parse([]byte(labels("a=b,")), version(t, "v1.37.2"))
	if err != nil {
		t.Fatal(err)
	}
	c.Registration.Labels["c"] = "d"
	if text, err := c.YAML(); err != nil || !bytes.Contains(text.Bytes(), []byte("- name: node-labels\n    value: a=b,c=d\n")) {
		t.Errorf("%v\n%s", err, text.Bytes())
	}
	args := func(list string) string {
		return strings.Replace(initDoc, "name: cp-1", "name: cp-1, kubeletExtraArgs: "+list, 1)
	}
	for name, m := range map[string]migration{
		"no arguments":          {text: args("[]"), lacks: []string{"kubeletExtraArgs"}},
		"labels twice":          {text: args("[{name: node-labels, value: a=b}, {name: node-labels, value: \"c=d,\"}]"), has: []string{"value: a=b\n  - name: node-labels\n    value: c=d,\n"}},
		"node-ip empty":         {text: args("[{name: node-ip, value: \"\"}]"), has: []string{"- name: node-ip\n    value: \"\"\n"}, warned: []string{"5 InitConfiguration.nodeRegistration.kubeletExtraArgs.node-ip"}},
		"node-ip of the host":   {text: args("[{name: node-ip, value: \"::\"}]"), has: []string{"- name: node-ip\n    value: '::'\n"}},
		"node-ip with a name":   {text: args("[{name: node-ip, value: eth0}]"), has: []string{"value: eth0\n"}, warned: []string{"5 InitConfiguration.nodeRegistration.kubeletExtraArgs.node-ip"}},
		"ranges with a comma":   {text: initDoc + clusterDoc + "networking: {podSubnet: \"10.244.0.0/16,\"}\n", refused: "line 10: ClusterConfiguration.networking.podSubnet: want ranges"},
		"documents, none first": {text: "---\n" + initDoc + "---\n---\n# none\n", has: []string{"cp-1"}},
	} {
		t.Run(name, m.check)
	}
}

// Zero is what is set, and not what kubeadm does by itself.
func TestMigrateZero(t *testing.T) {
	v1beta3 := strings.ReplaceAll(initDoc+clusterDoc, "v1beta4", "v1beta3")
	for name, m := range map[string]migration{
		"all timeouts": {
			text: initDoc + "timeouts: {controlPlaneComponentHealthCheck: 0s, kubeletHealthCheck: 0s, kubernetesAPICall: 0s, etcdAPICall: 0s, tlsBootstrap: 0s, discovery: 0s, upgradeManifests: 0s}\n",
			has:  []string{"controlPlaneComponentHealthCheck: 0s\n  discovery: 0s\n  etcdAPICall: 0s\n  kubeletHealthCheck: 0s\n  kubernetesAPICall: 0s\n  tlsBootstrap: 0s\n  upgradeManifests: 0s\n"},
		},
		"of a joining node":        {text: joinDoc + "timeouts: {discovery: 0s}\n", has: []string{"timeouts:\n  discovery: 0s\n"}},
		"0 without a unit":         {text: initDoc + "timeouts: {discovery: \"0\"}\n", has: []string{"discovery: 0s\n"}},
		"in v1beta3":               {text: v1beta3 + "apiServer: {timeoutForControlPlane: 0s}\n", has: []string{"controlPlaneComponentHealthCheck: 0s\n"}},
		"discovery in v1beta3":     {text: strings.ReplaceAll(strings.Replace(joinDoc, "discovery: {", "discovery: {timeout: 0s, ", 1), "v1beta4", "v1beta3"), has: []string{"timeouts:\n  discovery: 0s\n"}},
		"discovery in v1alpha3":    {text: oldJoin + "discoveryTimeout: 0s\n", to: "v1.13.12", has: []string{"timeout: 0s\n"}},
		"validity":                 {text: initDoc + clusterDoc + "certificateValidityPeriod: 0s\ncaCertificateValidityPeriod: 0s\n", has: []string{"caCertificateValidityPeriod: 0s\ncertificateValidityPeriod: 0s\n"}},
		"a token for ever":         {text: strings.Replace(initDoc, "cdef}]", "cdef, ttl: 0s}]", 1), has: []string{"ttl: 0s\n"}},
		"a token for ever, minus":  {text: strings.Replace(initDoc, "cdef}]", "cdef, ttl: -1h}]", 1), has: []string{"ttl: 0s\n"}},
		"null is unset":            {text: initDoc + "timeouts: {discovery: null}\n", lacks: []string{"timeouts"}},
		"a kubelet's number":       {text: initDoc + clusterDoc + "---\napiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nreadOnlyPort: 0\nfailSwapOn: false\n", has: []string{"failSwapOn: false\n", "readOnlyPort: 0\n"}},
		"a number without a unit":  {text: initDoc + "timeouts: {discovery: 0}\n", refused: "line 6: InitConfiguration.timeouts.discovery: want a duration"},
		"an empty duration":        {text: initDoc + "timeouts: {discovery: \"\"}\n", refused: "line 6: InitConfiguration.timeouts.discovery: want a duration"},
		"days of an audit policy":  {text: oldMaster + "auditPolicy: {path: /a.yaml, logMaxAge: 0}\n", to: "v1.12.10", has: []string{"logMaxAge: 0\n"}},
		"kube-proxy's conntrack 0": {text: initDoc + clusterDoc + "---\napiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nconntrack: {maxPerCore: 0}\n", has: []string{"conntrack:\n  maxPerCore: 0\n"}},
	} {
		t.Run(name, m.check)
	}
}
