package main

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletscheme "k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	kubeproxy "k8s.io/kubernetes/pkg/proxy/apis/config"
	kubeproxyscheme "k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	kubeproxyvalidation "k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

// refusedByComponent says what the kubelet or kube-proxy would refuse when it
// reads what kubeadm writes for it: from 1.17 on kubeadm does not look into that.
func refusedByComponent(kind string, written runtime.Object) error {
	refusedBy := refusedByKubeProxy
	if kind == "KubeletConfiguration" {
		refusedBy = refusedByKubelet
	}
	return refusedBy(written.DeepCopyObject())
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
