package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
)

// components returns what kubeadm writes for the kubelet and kube-proxy, and
// refuses what those refuse.
func components(cfg *kubeadm.InitConfiguration, objects map[string]interface{}) error {
	for group, kind := range map[string]string{
		componentconfigs.KubeletGroup:   "KubeletConfiguration",
		componentconfigs.KubeProxyGroup: "KubeProxyConfiguration",
	} {
		component, ok := cfg.ComponentConfigs[group]
		if !ok {
			return fmt.Errorf("%s: kubeadm holds none", kind)
		}
		// The file that kubeadm would write: 1.19 and 1.20 show no more.
		text, err := component.Marshal()
		if err != nil {
			return err
		}
		docs, problems := split(string(text))
		if len(docs) != 1 {
			return fmt.Errorf("%s: kubeadm writes no document: %q", kind, problems)
		}
		written, err := newComponent(kind)
		if err != nil {
			return err
		}
		if err := docs[0].decode(written); err != nil {
			return err
		}
		objects[kind] = written
		if err := refusedByComponent(kind, written); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}
