package upstream

import (
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	kubelet "k8s.io/kubernetes/pkg/kubelet/apis/config"
	kubeletscheme "k8s.io/kubernetes/pkg/kubelet/apis/config/scheme"
	kubeletvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	kubeproxy "k8s.io/kubernetes/pkg/proxy/apis/config"
	kubeproxyscheme "k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	kubeproxyvalidation "k8s.io/kubernetes/pkg/proxy/apis/config/validation"
)

func (c *checker) checkKubelet() {
	const kind = "KubeletConfiguration"
	input := c.result.Input.Kubelet
	if init := c.result.Effective.Init; init != nil {
		input, _ = init.ComponentConfigs[componentconfigs.KubeletGroup].Get().(*kubeletv1beta1.KubeletConfiguration)
	}
	if input == nil {
		return
	}
	// The kubelet's defaulting panics on a feature gate that it does not know.
	if err := utilfeature.DefaultFeatureGate.DeepCopy().SetFromMap(input.FeatureGates); err != nil {
		c.refuse(kind, "featureGates", err)
		return
	}
	scheme, _, err := kubeletscheme.NewSchemeAndCodecs()
	if err != nil {
		c.refuse(kind, "", err)
		return
	}
	external, cfg := input.DeepCopy(), &kubelet.KubeletConfiguration{}
	scheme.Default(external)
	if err := scheme.Convert(external, cfg, nil); err != nil {
		c.refuse(kind, "", err)
		return
	}
	c.refuse(kind, "", kubeletvalidation.ValidateKubeletConfiguration(anyCgroup(cfg), utilfeature.DefaultFeatureGate))
	c.result.Effective.Kubelet = cfg
}

// anyCgroup is the configuration without the two fields that the kubelet judges
// by the cgroup version of the host it runs on, which here is the wrong host.
func anyCgroup(cfg *kubelet.KubeletConfiguration) *kubelet.KubeletConfiguration {
	portable := cfg.DeepCopy()
	portable.FailCgroupV1 = false
	portable.SingleProcessOOMKill = nil
	return portable
}

func (c *checker) checkKubeProxy() {
	const kind = "KubeProxyConfiguration"
	input := c.result.Input.KubeProxy
	if init := c.result.Effective.Init; init != nil {
		input, _ = init.ComponentConfigs[componentconfigs.KubeProxyGroup].Get().(*kubeproxyv1alpha1.KubeProxyConfiguration)
	}
	if input == nil {
		return
	}
	external, cfg := input.DeepCopy(), &kubeproxy.KubeProxyConfiguration{}
	kubeproxyscheme.Scheme.Default(external)
	if err := kubeproxyscheme.Scheme.Convert(external, cfg, nil); err != nil {
		c.refuse(kind, "", err)
		return
	}
	c.refuseFields(only(kind), kubeproxyvalidation.Validate(cfg))
	c.result.Effective.KubeProxy = cfg
}

// each takes an aggregate apart.
func each(err error) []error {
	if err == nil {
		return nil
	}
	if aggregate, ok := err.(utilerrors.Aggregate); ok { //nolint:errorlint // an aggregate wrapped in context is one problem
		return utilerrors.Flatten(aggregate).Errors()
	}
	return []error{err}
}
