package kubeadm

import (
	"maps"
	"testing"

	"github.com/quorate-dev/quorate"
)

// Facts of releases against which the generated tables are held, each with the
// file of k8s.io/kubernetes, or of the module named, where a reader finds it
// and the releases on both sides of a change.
func TestTables(t *testing.T) {
	kubelet, kubeProxy := lifetimes(kubeletFields), lifetimes(kubeProxyFields)
	const always = 0
	tests := []struct {
		in          map[string]lifetime
		name        string
		first, last int
	}{
		// k8s.io/kubelet config/v1beta1/types.go; 1.10 and 1.11: pkg/kubelet/apis/kubeletconfig/v1beta1/types.go.
		{kubelet, "cgroupDriver", 10, always},
		{kubelet, "serverTLSBootstrap", 11, always},       // 1.10.13, 1.11.10
		{kubelet, "topologyManagerPolicy", 16, always},    // 1.15.12, 1.16.15
		{kubelet, "reservedSystemCPUs", 17, always},       // 1.16.15, 1.17.17
		{kubelet, "logging.sanitization", 20, 23},         // 1.19.16, 1.20.15; 1.23.17, 1.24.17: k8s.io/component-base config/v1alpha1/types.go, then config/types.go
		{kubelet, "memorySwap.swapBehavior", 22, always},  // 1.21.14, 1.22.17
		{kubelet, "containerRuntimeEndpoint", 27, always}, // 1.26.15, 1.27.16
		{kubelet, "failCgroupV1", 31, always},             // 1.30.14, 1.31.14

		// k8s.io/kube-proxy config/v1alpha1/types.go; 1.10 and 1.11: pkg/proxy/apis/kubeproxyconfig/v1alpha1/types.go.
		{kubeProxy, "mode", 10, always},
		{kubeProxy, "conntrack.max", 10, 14},                   // 1.14.10, 1.15.12
		{kubeProxy, "resourceContainer", 10, 15},               // 1.15.12, 1.16.15
		{kubeProxy, "udpIdleTimeout", 10, 25},                  // 1.25.0, 1.26.0
		{kubeProxy, "ipvs.strictARP", 13, always},              // 1.12.10, 1.13.12
		{kubeProxy, "detectLocalMode", 18, always},             // 1.17.17, 1.18.20
		{kubeProxy, "detectLocal.bridgeInterface", 24, always}, // 1.23.17, 1.24.17
		{kubeProxy, "nftables", 29, always},                    // 1.28.15, 1.29.15

		// cmd/kube-apiserver/app/options/options.go, pkg/kubeapiserver/options and k8s.io/apiserver pkg/server/options.
		{apiServerFlags.flags, "enable-admission-plugins", 10, always},
		{apiServerFlags.flags, "endpoint-reconciler-type", 10, always},                    // there since 1.9
		{apiServerFlags.flags, "tls-ca-file", 10, 10},                                     // serving.go of 1.10.13, 1.11.10
		{apiServerFlags.flags, "basic-auth-file", 10, 18},                                 // authentication.go of 1.18.20, 1.19.16
		{apiServerFlags.flags, "kubelet-https", 10, 21},                                   // options.go of 1.21.14, 1.22.17
		{apiServerFlags.flags, "insecure-port", 10, 23},                                   // options.go of 1.23.17, 1.24.17
		{apiServerFlags.flags, "experimental-encryption-provider-config", 10, 23},         // etcd.go of 1.23.17, 1.24.17
		{apiServerFlags.flags, "logtostderr", 10, 25},                                     // k8s.io/component-base logs/logs.go of 1.25.16, 1.26.15
		{apiServerFlags.flags, "encryption-provider-config", 13, always},                  // etcd.go of 1.12.10, 1.13.12
		{apiServerFlags.flags, "audit-dynamic-configuration", 13, 18},                     // audit.go of 1.12.10, 1.13.12; 1.18.20, 1.19.16
		{apiServerFlags.flags, "lease-reuse-duration-seconds", 18, always},                // etcd.go of 1.18.19, but not of 1.18.0
		{apiServerFlags.flags, "authentication-config", 29, always},                       // authentication.go of 1.28.15, 1.29.15
		{apiServerFlags.flags, "runtime-config-emulation-forward-compatible", 33, always}, // 1.32.13, 1.33.9

		// cmd/kube-controller-manager/app/options and k8s.io/cloud-provider options.
		{controllerManagerFlags.flags, "experimental-cluster-signing-duration", 10, 24}, // csrsigningcontroller.go of 1.24.17, 1.25.16
		{controllerManagerFlags.flags, "pod-eviction-timeout", 10, 26},                  // nodelifecyclecontroller.go of 1.26.15, 1.27.16
		{controllerManagerFlags.flags, "concurrent-service-syncs", 10, 36},              // servicecontroller.go; options.go of 1.36.3, 1.37.2
		{controllerManagerFlags.flags, "cluster-signing-duration", 19, always},          // csrsigningcontroller.go of 1.18.20, 1.19.16
		{controllerManagerFlags.flags, "concurrent-job-syncs", 28, always},              // jobcontroller.go of 1.27.16, 1.28.15

		// cmd/kube-scheduler/app/options.
		{schedulerFlags.flags, "config", 10, always},
		{schedulerFlags.flags, "algorithm-provider", 10, 21}, // deprecated.go of 1.21.14, 1.22.17
		{schedulerFlags.flags, "policy-config-file", 10, 22}, // deprecated.go of 1.22.17, 1.23.17
		{schedulerFlags.flags, "bind-address", 11, always},   // options.go of 1.10.13, 1.11.10

		// cmd/kubelet/app/options/options.go and container_runtime.go.
		{kubeletFlags.flags, "node-labels", 10, always},
		{kubeletFlags.flags, "node-ip", 10, always},
		{kubeletFlags.flags, "hostname-override", 10, always},
		{kubeletFlags.flags, "cgroup-driver", 10, always},
		{kubeletFlags.flags, "fail-swap-on", 10, always},
		{kubeletFlags.flags, "container-runtime-endpoint", 10, always},
		{kubeletFlags.flags, "v", 10, always},
		{kubeletFlags.flags, "cadvisor-port", 10, 11},             // 1.11.10, 1.12.10
		{kubeletFlags.flags, "allow-privileged", 10, 14},          // 1.14.10, 1.15.12
		{kubeletFlags.flags, "network-plugin", 10, 23},            // 1.23.17, 1.24.17
		{kubeletFlags.flags, "container-runtime", 10, 26},         // 1.26.15, 1.27.16
		{kubeletFlags.flags, "pod-infra-container-image", 10, 34}, // 1.34.4, 1.35.4
		{kubeletFlags.flags, "image-credential-provider-config", 20, always},

		// cmd/kubeadm/app/features/features.go.
		{featureGates, "CoreDNS", 10, 17},                     // 1.17.17, 1.18.20
		{featureGates, "HighAvailability", 10, 12},            // 1.12.10, 1.13.12
		{featureGates, "SelfHosting", 10, 12},                 // the same
		{featureGates, "DynamicKubeletConfig", 10, 12},        // the same
		{featureGates, "IPv6DualStack", 16, 23},               // 1.15.12, 1.16.15; 1.23.17, 1.24.17
		{featureGates, "UnversionedKubeletConfigMap", 23, 25}, // 1.22.17, 1.23.17; 1.25.16, 1.26.15
		{featureGates, "EtcdLearnerMode", 27, 32},             // 1.26.15, 1.27.16; 1.32.13, 1.33.9
		{featureGates, "RootlessControlPlane", 22, always},    // 1.21.14, 1.22.17

		// cmd/kubeadm/app/preflight/checks.go.
		{preflightChecks, "Swap", 10, always},
		{preflightChecks, "ExtraArgs", 10, 10},                          // 1.10.13, 1.11.10
		{preflightChecks, "NumCPU", 13, always},                         // 1.12.10, 1.13.12
		{preflightChecks, "IsDockerSystemdCheck", 14, 21},               // 1.13.12, 1.14.10; 1.21.14, 1.22.17
		{preflightChecks, "Mem", 20, always},                            // 1.19.16, 1.20.15
		{preflightChecks, "RequiredIPVSKernelModulesAvailable", 11, 22}, // pkg/util/ipvs of 1.10.13, 1.11.10; 1.22.17, 1.23.17
	}
	for _, test := range tests {
		if got, want := test.in[test.name], (lifetime{test.first, test.last}); got != want {
			t.Errorf("%s: %v, want %v", test.name, got, want)
		}
	}
}

func lifetimes(fields map[string]field) map[string]lifetime {
	out := map[string]lifetime{}
	for path, f := range fields {
		out[path] = f.lifetime
	}
	return out
}

// Every lifetime in the tables has an end after its beginning, if any, and lies
// within the minors that were read.
func TestTablesAgree(t *testing.T) {
	for name, table := range map[string]map[string]lifetime{
		"kubelet fields": lifetimes(kubeletFields), "kube-proxy fields": lifetimes(kubeProxyFields),
		"apiserver": apiServerFlags.flags, "controller-manager": controllerManagerFlags.flags,
		"scheduler": schedulerFlags.flags, "kubelet": kubeletFlags.flags,
		"feature gates": featureGates, "preflight": preflightChecks,
	} {
		oldest := quorate.MaxMinor
		for entry, life := range table {
			oldest = min(oldest, life.first)
			if life.last != 0 && life.last < life.first || life.first > quorate.MaxMinor || life.last >= quorate.MaxMinor {
				t.Errorf("%s: %s: %+v", name, entry, life)
			}
		}
		if oldest != oldestMinor {
			t.Errorf("%s starts with 1.%d, not 1.%d", name, oldest, oldestMinor)
		}
	}
}

// What Quorate and kubeadm of any version may set is never an unknown argument.
func TestOwnedArgumentsExist(t *testing.T) {
	for _, known := range []knownArgs{apiServerArgs, controllerManagerArgs, schedulerArgs, kubeletArgs} {
		for name := range maps.Keys(known.owned) {
			if life, ok := known.flags.flags[name]; !ok || life != (lifetime{first: oldestMinor}) {
				t.Errorf("%s %s: %+v", known.flags.component, name, life)
			}
		}
	}
}

func TestLifetimeString(t *testing.T) {
	for life, want := range map[lifetime]string{
		{35, 0}:           "it is there from 1.35",
		{oldestMinor, 23}: "it was there until 1.23",
		{oldestMinor, 10}: "it was there until 1.10",
		{33, 34}:          "it was there from 1.33 to 1.34",
		{33, 33}:          "it was there in 1.33 only",
		// What was before the first supported minor is never read.
		{quorate.MinMinor, 34}: "it was there until 1.34",
	} {
		if got := life.String(); got != want {
			t.Errorf("%+v: %s, want %s", life, got, want)
		}
	}
}

// A preflight check that another version has is said to be without effect, and
// is no reason to refuse a description.
func TestPreflightChecksByVersion(t *testing.T) {
	var p quorate.Problems
	checkPreflightNames(&p, "x", []string{"mem", "Port-6443", "isdockersystemdcheck", "Nope"}, quorate.Version{Major: 1, Minor: 15, Patch: 3})
	want := []string{
		`warning: x[0]: kubeadm v1.15.3 does not have the preflight check "mem", it is there from 1.20`,
		`x[3]: "Nope" is no preflight check: kubeadm's output names them in brackets, as in [ERROR NumCPU]`,
	}
	if len(p) != len(want) {
		t.Fatal(p)
	}
	for i := range want {
		if got := p[i].String(); got != want[i] {
			t.Errorf("%s, want %s", got, want[i])
		}
	}
}

// An argument of the kubelet is judged by the version, as those of the control
// plane are.
func TestKubeletArgumentsByVersion(t *testing.T) {
	for minor, want := range map[int]int{23: 0, 24: 1} {
		var p quorate.Problems
		checkArgs(&p, "x", ArgsOf(map[string]string{"network-plugin": "cni", "v": "2"}), kubeletArgs, quorate.Version{Major: 1, Minor: minor})
		if len(p) != want {
			t.Errorf("1.%d: %v", minor, p)
		}
	}
}
