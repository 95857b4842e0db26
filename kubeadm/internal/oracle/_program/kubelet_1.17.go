package main

import (
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
)

func validateKubelet(cfg *kubelet.KubeletConfiguration) error {
	return kubeletvalidation.ValidateKubeletConfiguration(cfg)
}
