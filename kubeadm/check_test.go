package kubeadm_test

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// Each of these is a description whose forms are right; kubeadm or a component
// would refuse or ignore it on a host.
func TestCheck(t *testing.T) {
	tests := map[string]struct {
		version string // v1.37.2 if empty
		kubeadm quorate.Kubeadm
		want    []string // path: part of the message
	}{
		"nothing": {},
		"preflight checks": {
			kubeadm: quorate.Kubeadm{IgnorePreflightErrors: []string{
				"numcpu", "Swapp", "Port-6443", "Port-x", "FileContent--proc-sys-net-ipv4-ip_forward", "FileAvailable--etc-kubernetes-manifests-etcd.yaml",
				"FileExisting-conntrack", "DirAvailable--var-lib-etcd", "Service-kubelet", "ERROR NumCPU",
			}},
			want: []string{
				`kubeadm.ignorePreflightErrors[1]: "Swapp" is no preflight check`,
				`kubeadm.ignorePreflightErrors[3]: "Port-x" is no`,
				`kubeadm.ignorePreflightErrors[9]: "ERROR NumCPU" is no`,
			},
		},
		"text that is not UTF-8": {
			kubeadm: quorate.Kubeadm{APIServerArgs: map[string]string{"event-ttl": "1h\xff"}, Kubelet: map[string]any{"cgroupRoot": "/\xc3\x28"}},
			want: []string{
				`kubeadm.apiServerArgs["event-ttl"]: not UTF-8`,
				`kubeadm.kubelet["cgroupRoot"]: not UTF-8`,
			},
		},
		"all preflight checks": {
			kubeadm: quorate.Kubeadm{IgnorePreflightErrors: []string{"all"}},
			want:    []string{`warning: kubeadm.ignorePreflightErrors[0]: "all" silences`},
		},
		"feature gates by version": {
			kubeadm: quorate.Kubeadm{FeatureGates: map[string]bool{
				"EtcdLearnerMode": true, "NodeLocalCRISocket": true, "RootlessControlPlane": true, "GracefulNodeShutdown": true,
			}},
			version: "v1.31.0",
			want: []string{
				`kubeadm.featureGates["GracefulNodeShutdown"]: is no feature gate of kubeadm`,
				`kubeadm.featureGates["NodeLocalCRISocket"]: kubeadm v1.31.0 does not have this feature gate, it was there from 1.32 to 1.36`,
			},
		},
		"feature gates gone": {
			kubeadm: quorate.Kubeadm{FeatureGates: map[string]bool{"EtcdLearnerMode": true}},
			want:    []string{`kubeadm.featureGates["EtcdLearnerMode"]: kubeadm v1.37.2 does not have this feature gate, it was there from 1.27 to 1.32: leave it out`},
		},
		"arguments that follow from the description": {
			kubeadm: quorate.Kubeadm{
				APIServerArgs:         map[string]string{"advertise-address": "10.0.0.1", "etcd-servers": "x", "etcd-prefix": "/r", "anonymous-auth": "F", "enable-bootstrap-token-auth": "true", "secure-port": "1"},
				ControllerManagerArgs: map[string]string{"cluster-cidr": "x", "leader-elect": "false", "leader-elect-lease-duration": "20s"},
				SchedulerArgs:         map[string]string{"leader-elect": "true"},
			},
			want: []string{
				`kubeadm.apiServerArgs["advertise-address"]: Quorate sets it to each control plane's first address`,
				`kubeadm.apiServerArgs["anonymous-auth"]: the probes`,
				`kubeadm.apiServerArgs["etcd-servers"]: Quorate sets it`,
				`kubeadm.apiServerArgs["secure-port"]: Quorate sets it: change endpoint.port`,
				`kubeadm.controllerManagerArgs["cluster-cidr"]: Quorate sets it: change pods`,
				`kubeadm.controllerManagerArgs["leader-elect"]: without leader election`,
			},
		},
		"arguments by version": {
			version: "v1.32.3",
			kubeadm: quorate.Kubeadm{
				APIServerArgs:         map[string]string{"cloud-provider": "external", "emulation-forward-compatible": "true", "audit-log-path": "-", "kubelet-port": "1"},
				ControllerManagerArgs: map[string]string{"node-cidr-mask-size": "24", "help": "true"},
				SchedulerArgs:         map[string]string{"verbosity": "2"},
			},
			want: []string{
				`kubeadm.apiServerArgs["emulation-forward-compatible"]: kube-apiserver v1.32.3 does not have this argument, it is there from 1.33: leave it out`,
				`kubeadm.controllerManagerArgs["help"]: kube-controller-manager has no such argument`,
				`kubeadm.schedulerArgs["verbosity"]: kube-scheduler has no such argument, and would not start`,
			},
		},
		"files that a pod does not see": {
			kubeadm: quorate.Kubeadm{
				APIServerArgs:         map[string]string{"audit-policy-file": "/etc/kubernetes/audit.yaml", "encryption-provider-config": "/etc/kubernetes/pki/enc.yaml", "audit-log-path": "-"},
				ControllerManagerArgs: map[string]string{"root-ca-file": "/etc/kubernetes/pki2/ca.crt"},
			},
			want: []string{
				`warning: kubeadm.apiServerArgs["audit-policy-file"]: the component runs in a pod that does not see the host's /etc/kubernetes/audit.yaml`,
				`warning: kubeadm.controllerManagerArgs["root-ca-file"]: the component runs`,
			},
		},
		"deprecated proxy mode": {
			kubeadm: quorate.Kubeadm{KubeProxy: map[string]any{"mode": "ipvs"}},
			want:    []string{`warning: kubeadm.kubeProxy["mode"]: ipvs is deprecated`},
		},
		"arguments gone": {
			kubeadm: quorate.Kubeadm{APIServerArgs: map[string]string{"cloud-provider": "external"}},
			want:    []string{`kubeadm.apiServerArgs["cloud-provider"]: kube-apiserver v1.37.2 does not have this argument, it was there until 1.32`},
		},
		"argument names": {
			kubeadm: quorate.Kubeadm{SchedulerArgs: map[string]string{"--v": "2", "v=2": "", "": "x", "profiling": "a\nb"}},
			want: []string{
				`kubeadm.schedulerArgs[""]: "" is no argument`,
				`kubeadm.schedulerArgs["--v"]: "--v" is no argument`,
				`kubeadm.schedulerArgs["profiling"]: the value holds a control character`,
				`kubeadm.schedulerArgs["v=2"]: "v=2" is no argument`,
			},
		},
		"kubelet": {
			kubeadm: quorate.Kubeadm{Kubelet: map[string]any{
				"apiVersion":               "v1",
				"cgroupDriver":             "cgroup",
				"containerRuntimeEndpoint": "unix:///x",
				"maxpods":                  1,
				"nope":                     true,
				"podPidsLimit":             "100",
				"failSwapOn":               "false",
				"syncFrequency":            60,
				"shutdownGracePeriod":      "1d",
				"clusterDNS":               "10.96.0.10",
				"evictionHard":             map[string]any{"memory.available": 100, "<<": "x"},
				"authentication":           map[string]any{"webhook": map[string]any{"ttl": "2m"}},
				"enforceNodeAllocatable":   []any{"pods", "swap"},
				"logging":                  map[string]any{"flushFrequency": 5, "verbosity": 3},
			}},
			want: []string{
				`kubeadm.kubelet["apiVersion"]: Quorate writes it`,
				`kubeadm.kubelet["authentication"]["webhook"]["ttl"]: KubeletConfiguration has no such field`,
				`kubeadm.kubelet["cgroupDriver"]: "cgroup": want systemd, cgroupfs`,
				`kubeadm.kubelet["clusterDNS"]: "10.96.0.10": want a list`,
				`kubeadm.kubelet["containerRuntimeEndpoint"]: set criSocket instead`,
				`kubeadm.kubelet["enforceNodeAllocatable"][1]: "swap": want none, pods`,
				`kubeadm.kubelet["evictionHard"]["<<"]: YAML reads this name`,
				`kubeadm.kubelet["evictionHard"]["memory.available"]: 100: want a string (in quotes`,
				`kubeadm.kubelet["failSwapOn"]: "false": want true or false`,
				`kubeadm.kubelet["maxpods"]: KubeletConfiguration has no such field: did you mean maxPods?`,
				`kubeadm.kubelet["nope"]: KubeletConfiguration has no such field`,
				`kubeadm.kubelet["podPidsLimit"]: "100": want a whole number`,
				`kubeadm.kubelet["shutdownGracePeriod"]: "1d": want a duration`,
				`kubeadm.kubelet["syncFrequency"]: 60: want a duration with its unit`,
			},
		},
		"kubelet of an older version": {
			version: "v1.31.14",
			kubeadm: quorate.Kubeadm{Kubelet: map[string]any{"userNamespaces": map[string]any{"idsPerPod": 65536}, "failCgroupV1": false}},
			want: []string{
				`kubeadm.kubelet["userNamespaces"]: KubeletConfiguration of Kubernetes v1.31.14 does not have this field, it is there from 1.33: leave it out`,
			},
		},
		"not for YAML": {
			kubeadm: quorate.Kubeadm{Kubelet: map[string]any{"maxPods": math.NaN()}},
			want:    []string{`kubeadm.kubelet: cannot be written as YAML`},
		},
		"kube-proxy": {
			kubeadm: quorate.Kubeadm{KubeProxy: map[string]any{
				"mode": "userspace", "clusterCIDR": "10.0.0.0/8", "clientConnection": map[string]any{"kubeconfig": "/x", "qps": 1.5},
				"conntrack": map[string]any{"maxPerCore": 0.5},
			}},
			want: []string{
				`kubeadm.kubeProxy["clientConnection"]["kubeconfig"]: kubeadm mounts`,
				`kubeadm.kubeProxy["clusterCIDR"]: set pods instead`,
				`kubeadm.kubeProxy["conntrack"]["maxPerCore"]: 0.5: want a whole number`,
				`kubeadm.kubeProxy["mode"]: "userspace": want iptables, nftables, ipvs`,
			},
		},
		"null takes a field back": {
			kubeadm: quorate.Kubeadm{Kubelet: map[string]any{"cgroupDriver": nil}},
		},
		"an unsupported version is said once": {
			version: "v1.9.0",
			kubeadm: quorate.Kubeadm{Kubelet: map[string]any{"failCgroupV1": false}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, 3, 0, v4)
			if test.version != "" {
				c.Version = version(t, test.version)
			}
			c.Kubeadm = test.kubeadm
			var got []string
			for _, p := range kubeadm.Problems(c) {
				got = append(got, p.String())
			}
			// Messages may go on after what is wanted of them.
			for i := range min(len(got), len(test.want)) {
				if strings.HasPrefix(got[i], test.want[i]) {
					got[i] = test.want[i]
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A field of the overlay that is removed leaves no document behind.
func TestNullRemovesADefault(t *testing.T) {
	c := cluster(t, 1, 0, v4)
	c.Kubeadm.Kubelet = map[string]any{"cgroupDriver": nil}
	nodes, err := kubeadm.Nodes(c, secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	if text := string(yamlOf(t, nodes[0])); strings.Contains(text, "KubeletConfiguration") {
		t.Error(text)
	}
}

// What a program sets beyond the description is checked when it is rendered.
func TestConfigRefused(t *testing.T) {
	base := func() kubeadm.Config {
		nodes, err := kubeadm.Nodes(cluster(t, 3, 0, v4), secrets(t))
		if err != nil {
			t.Fatal(err)
		}
		return nodes[0].Config
	}
	tests := map[string]struct {
		change func(*kubeadm.Config)
		want   []string
	}{
		"version": {func(c *kubeadm.Config) { c.Version.Minor = quorate.MaxMinor + 1 }, []string{"version"}},
		"neither": {func(c *kubeadm.Config) { c.Init = nil }, []string{""}},
		"both":    {func(c *kubeadm.Config) { c.Join = &kubeadm.Join{CAHashes: []string{caHash}} }, []string{""}},
		"no API server": {
			func(c *kubeadm.Config) { c.APIServer = nil }, []string{"apiServer"},
		},
		"public token": {
			func(c *kubeadm.Config) { c.Token = quorate.Public([]byte(markerToken)) }, []string{"token"},
		},
		"taints": {
			func(c *kubeadm.Config) {
				c.Registration.Taints = []kubeadm.Taint{{Key: "a b", Value: "-", Effect: "noschedule"}, {Key: "example.org/a", Effect: "NoExecute"}}
			},
			[]string{"registration.taints[0].key", "registration.taints[0].value", "registration.taints[0].effect"},
		},
		"kubelet arguments": {
			func(c *kubeadm.Config) {
				c.Registration.KubeletArgs = kubeadm.ArgsOf(map[string]string{"node-ip": "10.0.0.1", "-v": "2", "v": "2"})
			},
			[]string{`registration.kubeletArgs["-v"]`, `registration.kubeletArgs["node-ip"]`},
		},
		"volumes": {
			func(c *kubeadm.Config) {
				c.Init.Scheduler.Volumes = []quorate.Volume{
					{Name: "A", HostPath: "a", MountPath: "/a/../b", PathType: "Dir"}, {Name: "b", HostPath: "/b", MountPath: "/b"}, {Name: "b", HostPath: "/b", MountPath: "/b"},
				}
			},
			[]string{
				"init.scheduler.volumes[0].name", "init.scheduler.volumes[0].hostPath", "init.scheduler.volumes[0].mountPath",
				"init.scheduler.volumes[0].pathType", "init.scheduler.volumes[2].name",
			},
		},
		"paths and waits": {
			func(c *kubeadm.Config) {
				c.Patches, c.Timeouts.Discovery = &kubeadm.Patches{Directory: "patches"}, new(quorate.Duration(-1))
			},
			[]string{"patches.directory", "timeouts.discovery"},
		},
		"kubelet document": {
			func(c *kubeadm.Config) { c.Init.Kubelet = map[string]any{"kind": "x"} }, []string{`init.kubelet["kind"]`},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := base()
			test.change(&c)
			_, err := kubeadm.Node{Name: "cp-1", Config: c}.Files()
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("%T %v", err, err)
			}
			var got []string
			for _, p := range invalid.Problems {
				got = append(got, p.Path)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// Descriptions full of nonsense are an error and no panic.
func TestNodesProblems(t *testing.T) {
	loop := map[string]any{}
	loop["evictionHard"] = loop
	for name, c := range map[string]quorate.Cluster{
		"zero":         {},
		"no addresses": {Version: version(t, "v1.37.2"), Nodes: []quorate.Node{{Name: "a", Role: quorate.ControlPlane}}},
		"no control plane": {Version: version(t, "v1.37.2"), Nodes: []quorate.Node{
			{Name: "a", Role: quorate.Worker, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}}}},
		"self-containing": func() quorate.Cluster {
			c := cluster(t, 1, 0, v4)
			c.Kubeadm.Kubelet = loop
			return c
		}(),
	} {
		if _, err := kubeadm.Nodes(c, kubeadm.Secrets{}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What a description cannot say reaches the file.
func TestConfigBeyondTheDescription(t *testing.T) {
	nodes, err := kubeadm.Nodes(cluster(t, 3, 0, v4), secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	n := nodes[0]
	n.Config.Registration.Taints = []kubeadm.Taint{}
	n.Config.Patches = &kubeadm.Patches{Directory: "/etc/kubernetes/patches"}
	n.Config.Timeouts.ControlPlane = new(quorate.Duration(10 * 60e9))
	n.Config.Init.APIServer.Volumes = []quorate.Volume{{Name: "audit", HostPath: "/etc/audit", MountPath: "/etc/audit", ReadOnly: true, PathType: "Directory"}}
	text := string(yamlOf(t, n))
	for _, want := range []string{
		"  taints: []\n", "patches:\n  directory: /etc/kubernetes/patches\n", "timeouts:\n  controlPlaneComponentHealthCheck: 10m0s\n",
		"  extraVolumes:\n  - hostPath: /etc/audit\n    mountPath: /etc/audit\n    name: audit\n    pathType: Directory\n    readOnly: true\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
