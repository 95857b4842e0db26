package main

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletscheme "k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	kubeproxy "k8s.io/kubernetes/pkg/proxy/apis/config"
	kubeproxyscheme "k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	kubeproxyvalidation "k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

// components gives what kubeadm writes for the kubelet and kube-proxy, and
// refuses what those refuse when they read it: from 1.19 on kubeadm does not
// look into them.
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
		if kind == "KubeletConfiguration" {
			err = refusedByKubelet(written.DeepCopyObject())
		} else {
			err = refusedByKubeProxy(written.DeepCopyObject())
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func refusedByKubelet(written runtime.Object) error {
	scheme, _, err := kubeletscheme.NewSchemeAndCodecs()
	if err != nil {
		return err
	}
	scheme.Default(written)
	cfg := &kubelet.KubeletConfiguration{}
	if err := scheme.Convert(written, cfg, nil); err != nil {
		return err
	}
	// The kubelet judges these two by the cgroup version of the host it runs
	// on. Not every release has them.
	for _, name := range []string{"FailCgroupV1", "SingleProcessOOMKill"} {
		if f := reflect.ValueOf(cfg).Elem().FieldByName(name); f.IsValid() {
			f.Set(reflect.Zero(f.Type()))
		}
	}
	return validateKubelet(cfg)
}

func refusedByKubeProxy(written runtime.Object) error {
	kubeproxyscheme.Scheme.Default(written)
	cfg := &kubeproxy.KubeProxyConfiguration{}
	if err := kubeproxyscheme.Scheme.Convert(written, cfg, nil); err != nil {
		return err
	}
	return kubeproxyvalidation.Validate(cfg).ToAggregate()
}
