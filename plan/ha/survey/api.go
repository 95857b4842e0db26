package survey

import (
	"cmp"
	"fmt"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/boundedyaml"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
)

// settings are what the API says. The zero settings say nothing.
type settings struct {
	// cluster is what kubeadm keeps of its configuration, nil if it keeps none that can
	// be read; then why says what is wrong with it.
	cluster *kubeadm.Config
	why     string
	// kubelet and kubeProxy are the fields of their ConfigMaps, nil without one.
	kubelet, kubeProxy map[string]any
	nodes              []kube.Node
}

const kubeadmConfig = "kubeadm-config"

// parseSettings reads an answer to kube.ListNodes.
func parseSettings(out []byte) settings {
	state := kube.ReadCluster(out)
	s := settings{nodes: state.Nodes}
	m := state.ConfigMaps[kubeadmConfig]
	// MasterConfiguration is up to Kubernetes 1.11.
	c, _, err := kubeadm.Parse([]byte(cmp.Or(m["ClusterConfiguration"], m["MasterConfiguration"])), quorate.Version{})
	switch {
	case m == nil:
		s.why = "there is none in kube-system"
	case err != nil:
		s.why = err.Error()
	case c.Init == nil:
		s.why = "it holds no cluster's configuration"
	default:
		s.cluster = &c
		byMinor := fmt.Sprintf("kubelet-config-%d.%d", c.Version.Major, c.Version.Minor)
		s.kubelet = fieldsOf(cmp.Or(state.ConfigMaps["kubelet-config"]["kubelet"], state.ConfigMaps[byMinor]["kubelet"]))
		s.kubeProxy = fieldsOf(state.ConfigMaps["kube-proxy"]["config.conf"])
	}
	return s
}

// fieldsOf reads a document of YAML, nil if it is none.
func fieldsOf(text string) map[string]any {
	var fields map[string]any
	if err := boundedyaml.Unmarshal([]byte(text), &fields); err != nil {
		return nil
	}
	return fields
}
