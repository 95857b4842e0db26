package main

import (
	"context"
	"net/netip"
	"path/filepath"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/lab/internal/build"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/clusterfile"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
)

// What is in the lab's directory beside the hosts' SSH keys: the
// description of the cluster, the list of the images that the hosts have, the
// administrator's kubeconfig, and the keys and certificates that the cluster
// was made with.
const (
	clusterFile    = "cluster.yaml"
	imagesFile     = "images.json"
	kubeconfigFile = "kubeconfig"
	keysDir        = "state"
)

// describeCluster says which cluster the lab's hosts are meant to become.
func describeCluster(s machines.Spec, balancer quorate.LoadBalancer, v2 bool) (quorate.Cluster, error) {
	version, err := quorate.ParseVersion(build.Default.Kubernetes)
	if err != nil {
		return quorate.Cluster{}, err
	}
	etcd, err := quorate.ParseVersion(build.Default.Etcd)
	if err != nil {
		return quorate.Cluster{}, err
	}
	s = s.WithDefaults()
	c := quorate.Cluster{
		Name:    "lab",
		Version: version,
		Endpoint: quorate.Endpoint{
			Host: s.VIP().String(), LoadBalancer: balancer,
			VIP: quorate.VIP{Interface: machines.Interface, Subnet: s.Network},
		},
		Pods:                   []netip.Prefix{s.Pods},
		Etcd:                   quorate.Etcd{Version: etcd},
		AllowEvenControlPlanes: s.ControlPlanes%2 == 0,
		Kubeadm: quorate.Kubeadm{
			IgnorePreflightErrors: ignoredPreflight(v2),
			Kubelet:               kubeletSettings(v2),
		},
	}
	for _, h := range s.Hosts() {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: h.Name, Role: quorate.Role(h.Role), Addresses: []netip.Addr{h.Address},
			SSH: "root@" + h.Address.String(),
		})
	}
	return c, c.Validate()
}

// ignoredPreflight are the checks of kubeadm that containers on one small
// machine cannot pass. Nowhere else is it right to ignore them.
func ignoredPreflight(v2 bool) []string {
	ignored := []string{"NumCPU", "FileContent--proc-sys-net-bridge-bridge-nf-call-iptables"}
	if !v2 {
		ignored = append(ignored, "SystemVerification")
	}
	return ignored
}

// kubeletSettings suit hosts that share one machine, its disk and its swap.
func kubeletSettings(v2 bool) map[string]any {
	settings := map[string]any{
		"failSwapOn": false,
		// The images were imported and cannot be pulled again, and how full the
		// machine's disk is says nothing about the host.
		"imageGCHighThresholdPercent": 100,
		"evictionHard": map[string]any{
			"memory.available": "100Mi", "nodefs.available": "0%", "nodefs.inodesFree": "0%", "imagefs.available": "0%",
		},
	}
	if !v2 {
		settings["failCgroupV1"] = false
		settings["cgroupDriver"] = "cgroupfs"
	}
	return settings
}

func writeCluster(ctx context.Context, o options, l *machines.Lab, p prepared) error {
	c, err := describeCluster(l.Spec(), o.balancer, cgroupV2())
	if err != nil {
		return err
	}
	text, err := clusterfile.Marshal(c)
	if err != nil {
		return err
	}
	if err := operator.WriteImages(ctx, filepath.Join(l.Dir(), imagesFile), imagesOn(p.archives)); err != nil {
		return err
	}
	return statedir.WriteFile(ctx, filepath.Join(l.Dir(), clusterFile), quorate.Public(text), 0o644)
}
