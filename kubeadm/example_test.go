package kubeadm_test

import (
	"crypto/rand"
	"fmt"
	"net/netip"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

func threeControlPlanes() quorate.Cluster {
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "10.0.0.100", VIP: quorate.VIP{Interface: "eth0"}},
	}
	for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
		address := netip.MustParseAddr("10.0.0.1" + strings.TrimPrefix(name, "cp-"))
		c.Nodes = append(c.Nodes, quorate.Node{Name: name, Role: quorate.ControlPlane, Addresses: []netip.Addr{address}})
	}
	return c
}

func ExampleNodes() {
	token, err := kubeadm.NewToken(rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	nodes, err := kubeadm.Nodes(threeControlPlanes(), kubeadm.Secrets{
		Token:    token,
		CAHashes: []string{"sha256:1ad2a436ce0c277d0c5bd3826091e72badbd8417ffdbbd4f6584a2de588bf522"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range nodes {
		files, err := n.Files()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s: %s %o, then %s\n", n.Name, files[0].Path, files[0].Mode, strings.Join(n.Command(), " "))
	}
	// Output:
	// cp-1: /etc/kubernetes/kubeadm-init.yaml 600, then kubeadm init --config /etc/kubernetes/kubeadm-init.yaml --skip-token-print
	// cp-2: /etc/kubernetes/kubeadm-join.yaml 600, then kubeadm join --config /etc/kubernetes/kubeadm-join.yaml
	// cp-3: /etc/kubernetes/kubeadm-join.yaml 600, then kubeadm join --config /etc/kubernetes/kubeadm-join.yaml
}

// What kubeadm would accept and a host would not is refused before any host is
// touched, by the description's own field names.
func ExampleProblems() {
	c := threeControlPlanes()
	c.Kubeadm.IgnorePreflightErrors = []string{"NumCPUs"}
	c.Kubeadm.Kubelet = map[string]any{"cgroupdriver": "systemd"}
	for _, p := range kubeadm.Problems(c) {
		fmt.Println(p)
	}
	// Output:
	// kubeadm.ignorePreflightErrors[0]: "NumCPUs" is no preflight check: kubeadm's output names them in brackets, as in [ERROR NumCPU]
	// kubeadm.kubelet["cgroupdriver"]: KubeletConfiguration has no such field: did you mean cgroupDriver?
}

func ExampleKubeletService() {
	files, err := kubeadm.KubeletService{Binary: "/usr/local/bin/kubelet"}.Files()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range files {
		fmt.Println(f.Path)
	}
	// Output:
	// /etc/systemd/system/kubelet.service
	// /etc/systemd/system/kubelet.service.d/10-kubeadm.conf
}

// A file of an earlier version of the API, written for the kubeadm of another
// release. What that has no place for is a warning, with its line.
func ExampleMigrate() {
	to, err := quorate.ParseVersion("v1.31.4")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, problems, err := kubeadm.Migrate([]byte(`apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: stable-1.21
controlPlaneEndpoint: api.example.com:6443
useHyperKubeImage: true
apiServer:
  timeoutForControlPlane: 0s
  extraArgs: {authorization-mode: "Node,RBAC"}
`), to)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range problems {
		fmt.Println(p)
	}
	fmt.Print(string(text.Bytes()))
	// Output:
	// warning: line 3: ClusterConfiguration.kubernetesVersion: is a label that kubeadm looks up on the network: v1.31.4 takes its place
	// warning: line 5: ClusterConfiguration.useHyperKubeImage: left out, kubeadm of Kubernetes v1.31.4 (v1beta4) cannot express it: it is not there any more
	// apiVersion: kubeadm.k8s.io/v1beta4
	// kind: InitConfiguration
	// timeouts:
	//   controlPlaneComponentHealthCheck: 0s
	// ---
	// apiServer:
	//   extraArgs:
	//   - name: authorization-mode
	//     value: Node,RBAC
	// apiVersion: kubeadm.k8s.io/v1beta4
	// controlPlaneEndpoint: api.example.com:6443
	// kind: ClusterConfiguration
	// kubernetesVersion: v1.31.4
}
