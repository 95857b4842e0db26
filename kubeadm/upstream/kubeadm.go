package upstream

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeadmscheme "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/validation"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

// Each check follows the release's own loader step by step instead of calling
// it: the loader stops at the first error and fills gaps from the host. A test
// holds the outcome against the loader's.

func (c *checker) checkInit() {
	input := c.result.Input
	if input.Init == nil && input.Cluster == nil {
		return
	}
	init, cluster := &v1beta4.InitConfiguration{}, &v1beta4.ClusterConfiguration{}
	if input.Init != nil {
		init = input.Init.DeepCopy()
	}
	if input.Cluster != nil {
		cluster = input.Cluster.DeepCopy()
	}
	cfg := &kubeadm.InitConfiguration{}
	if !c.internalize("InitConfiguration", init, cfg) ||
		!c.internalize("ClusterConfiguration", cluster, &cfg.ClusterConfiguration) {
		return
	}
	c.refuse("", "", componentconfigs.FetchFromDocumentMap(&cfg.ClusterConfiguration, c.docs))

	c.assumeName("InitConfiguration", &cfg.NodeRegistration)
	c.assumeAddress("InitConfiguration", "localAPIEndpoint", &cfg.LocalAPIEndpoint)
	c.assumeVersion(&cfg.ClusterConfiguration)

	c.refuse("InitConfiguration", "bootstrapTokens", config.SetBootstrapTokensDynamicDefaults(&cfg.BootstrapTokens))
	c.refuse("InitConfiguration", "nodeRegistration", config.SetNodeRegistrationDynamicDefaults(&cfg.NodeRegistration, true, true))
	c.refuse("InitConfiguration", "localAPIEndpoint", config.SetAPIEndpointDynamicDefaults(&cfg.LocalAPIEndpoint))
	c.refuse("ClusterConfiguration", "", config.SetClusterDynamicDefaults(&cfg.ClusterConfiguration, &cfg.LocalAPIEndpoint, &cfg.NodeRegistration))
	c.refuseFields(initOrCluster, validation.ValidateInitConfiguration(cfg))
	c.result.Effective.Init = cfg
}

func (c *checker) checkJoin() {
	if c.result.Input.Join == nil {
		return
	}
	const kind = "JoinConfiguration"
	cfg := &kubeadm.JoinConfiguration{}
	if !c.internalize(kind, c.result.Input.Join.DeepCopy(), cfg) {
		return
	}
	c.assumeName(kind, &cfg.NodeRegistration)
	if cfg.ControlPlane != nil {
		c.assumeAddress(kind, "controlPlane.localAPIEndpoint", &cfg.ControlPlane.LocalAPIEndpoint)
	}
	c.assumeDiscoveryFile(&cfg.Discovery)

	c.refuse(kind, "nodeRegistration", config.SetNodeRegistrationDynamicDefaults(&cfg.NodeRegistration, cfg.ControlPlane != nil, true))
	c.refuse(kind, "controlPlane", config.SetJoinControlPlaneDefaults(cfg.ControlPlane))
	c.refuseFields(only(kind), validation.ValidateJoinConfiguration(cfg))
	c.result.Effective.Join = cfg
}

func (c *checker) checkReset() {
	if c.result.Input.Reset == nil {
		return
	}
	const kind = "ResetConfiguration"
	cfg := &kubeadm.ResetConfiguration{}
	if !c.internalize(kind, c.result.Input.Reset.DeepCopy(), cfg) {
		return
	}
	c.refuse(kind, "", config.SetResetDynamicDefaults(cfg, true))
	c.refuseFields(only(kind), validation.ValidateResetConfiguration(cfg))
	c.result.Effective.Reset = cfg
}

func (c *checker) checkUpgrade() {
	if c.result.Input.Upgrade == nil {
		return
	}
	const kind = "UpgradeConfiguration"
	cfg := &kubeadm.UpgradeConfiguration{}
	if !c.internalize(kind, c.result.Input.Upgrade.DeepCopy(), cfg) {
		return
	}
	c.refuseFields(only(kind), validation.ValidateUpgradeConfiguration(cfg))
	c.result.Effective.Upgrade = cfg
}

// internalize defaults an object and converts it to the internal type.
func (c *checker) internalize(kind string, external runtime.Object, internal any) bool {
	kubeadmscheme.Scheme.Default(external)
	if err := kubeadmscheme.Scheme.Convert(external, internal, nil); err != nil {
		c.refuse(kind, "", err)
		return false
	}
	return true
}
