// Package payload says which files make a Debian host ready for kubeadm: the
// binaries, the units and configuration of containerd and the kubelet as their
// packages would bring them, and the CNI's. It is pure.
package payload

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// ImageDir is where hosts see the image archives, read-only. Nothing has
// imported them yet.
const ImageDir = "/opt/quorate/images"

// Config is what the common files depend on.
type Config struct {
	// Binaries by name, as package build returns them.
	Binaries map[string]string
	// PauseImage is the tag that kubeadm wants for the pods' sandboxes.
	PauseImage string
	// SystemdCgroups says that the machine has cgroup v2, where systemd in the
	// host manages the pods' groups.
	SystemdCgroups bool
}

// binDirs says where binaries go on a host. Those of the control plane's
// images and the lab's programs are in images only.
var binDirs = map[string]string{
	"kubeadm":                 "/usr/bin",
	"kubectl":                 "/usr/bin",
	"kubelet":                 "/usr/bin",
	"containerd":              "/usr/local/bin",
	"containerd-shim-runc-v2": "/usr/local/bin",
	"ctr":                     "/usr/local/bin",
	"etcd":                    "/usr/local/bin",
	"etcdctl":                 "/usr/local/bin",
	"etcdutl":                 "/usr/local/bin",
}

// Common returns the files that are the same on every host, always in the same
// order. Nothing is enabled
// or started: that is for whoever brings the cluster up.
func Common(c Config) ([]machines.File, error) {
	files := []machines.File{
		{Path: "/etc/containerd/config.toml", Content: []byte(containerdConfig(c))},
		{Path: "/usr/lib/systemd/system/containerd.service", Content: []byte(containerdUnit)},
		{Path: "/usr/lib/systemd/system/kubelet.service", Content: []byte(kubeletUnit)},
		{Path: "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf", Content: []byte(kubeletDropIn)},
		{Path: "/opt/cni/bin", Link: "/usr/lib/cni"},
	}
	for _, name := range slices.Sorted(maps.Keys(binDirs)) {
		source, ok := c.Binaries[name]
		if !ok {
			return nil, fmt.Errorf("binary %s is missing", name)
		}
		files = append(files, machines.File{Path: path.Join(binDirs[name], name), Mode: 0o755, Source: source})
	}
	return files, nil
}

// ForHost returns the files of one host: the pods' network.
func ForHost(h machines.Host) []machines.File {
	return []machines.File{
		{Path: "/etc/cni/net.d/10-lab.conflist", Content: []byte(conflist(h.Pods))},
	}
}

func containerdConfig(c Config) string {
	return fmt.Sprintf(`version = 3

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = '%s'

[plugins.'io.containerd.cri.v1.runtime']
  # A machine that lacks CAP_SYS_RESOURCE cannot lower a process' OOM score.
  restrict_oom_score_adj = true

  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'

    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = %t
`, c.PauseImage, c.SystemdCgroups)
}

const containerdUnit = `[Unit]
Description=containerd container runtime
Documentation=https://containerd.io
After=network.target

[Service]
Type=notify
ExecStart=/usr/local/bin/containerd
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
LimitNOFILE=1048576
TasksMax=infinity

[Install]
WantedBy=multi-user.target
`

// kubeletUnit and kubeletDropIn say what the files of the kubelet and kubeadm
// packages say.
const kubeletUnit = `[Unit]
Description=kubelet: The Kubernetes Node Agent
Documentation=https://kubernetes.io/docs/
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=/usr/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=10

[Install]
WantedBy=multi-user.target
`

const kubeletDropIn = `[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf"
Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"
# Written by "kubeadm init" and "kubeadm join".
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
# For the host's administrator.
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
`

// conflist is a pod network without an overlay: a bridge on each host, and
// routes between the hosts that machines has set.
func conflist(pods netip.Prefix) string {
	return strings.ReplaceAll(`{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge",
      "bridge": "cni0",
      "isGateway": true,
      "hairpinMode": true,
      "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "PODS"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, "PODS", pods.String())
}
