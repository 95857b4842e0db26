package upstream_test

import (
	"fmt"

	"github.com/quorate-dev/quorate/kubeadm/upstream"
)

func ExampleCheck() {
	result, err := upstream.Check([]byte(`
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: v1.37.2
controlPlaneEndpoint: 10.0.0.10
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration: {name: cp-1, taints: []}
localAPIEndpoint: {advertiseAddress: 10.0.0.11}
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	init := result.Effective.Init
	fmt.Println(init.ControlPlaneEndpoint, init.Networking.ServiceSubnet, len(init.NodeRegistration.Taints))
	// Output: 10.0.0.10:6443 10.96.0.0/12 0
}

func ExampleError() {
	_, err := upstream.Check([]byte(`
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
nodeName: worker-1
discovery: {bootstrapTokens: {}}
`))
	fmt.Println(err)
	// Output:
	// kubeadm v1.37.2 refuses this configuration: 2 problem(s)
	//   JoinConfiguration: unknown field "discovery.bootstrapTokens"
	//   JoinConfiguration: unknown field "nodeName"
}
