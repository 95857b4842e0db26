package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	kubeproxy "k8s.io/kubernetes/pkg/proxy/apis/config"
	kubeproxyvalidation "k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

// components returns what kubeadm writes for the kubelet and kube-proxy, and
// refuses what those refuse, which until 1.15 kubeadm does too. Until 1.16 it
// holds their internal types.
func components(cfg *kubeadm.InitConfiguration, objects map[string]interface{}) error {
	for kind, registration := range componentconfigs.Known {
		internal, ok := registration.GetFromInternalConfig(&cfg.ClusterConfiguration)
		if !ok {
			return fmt.Errorf("%s: kubeadm holds none", kind)
		}
		switch of := internal.(type) {
		case *kubelet.KubeletConfiguration:
			if err := kubeletvalidation.ValidateKubeletConfiguration(of); err != nil {
				return err
			}
		case *kubeproxy.KubeProxyConfiguration:
			if err := kubeproxyvalidation.Validate(of).ToAggregate(); err != nil {
				return err
			}
		}
		external, err := newComponent(string(kind))
		if err != nil {
			return err
		}
		if err := componentconfigs.Scheme.Convert(internal, external, nil); err != nil {
			return err
		}
		objects[string(kind)] = external
	}
	return nil
}
