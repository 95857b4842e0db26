package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
)

// components returns what kubeadm writes for the kubelet and kube-proxy, and
// refuses what those refuse. 1.17 and 1.18 hold the types of the files.
func components(cfg *kubeadm.InitConfiguration, objects map[string]interface{}) error {
	for kind, registration := range componentconfigs.Known {
		written, ok := registration.GetFromInternalConfig(&cfg.ClusterConfiguration)
		if !ok {
			return fmt.Errorf("%s: kubeadm holds none", kind)
		}
		objects[string(kind)] = written
		if err := refusedByComponent(string(kind), written); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}
