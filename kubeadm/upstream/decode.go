package upstream

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	kubeadmscheme "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
	kubeadmutil "k8s.io/kubernetes/cmd/kubeadm/app/util"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

// split cuts the file as kubeadm does: one document of a kind, each with an
// apiVersion and a kind.
func split(data []byte) (kubeadm.DocumentMap, error) {
	docs, err := kubeadmutil.SplitConfigDocuments(data)
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return nil, errors.New("the file holds no document")
	}
	return docs, nil
}

// decode reads one document strictly and keeps it in Input.
func (c *checker) decode(gvk schema.GroupVersionKind, doc []byte) {
	scheme := schemeOf(gvk)
	if scheme == nil {
		c.refuse(gvk.Kind, "apiVersion", whyUnknown(gvk, doc))
		return
	}
	options := json.SerializerOptions{Yaml: true, Strict: true}
	obj, _, err := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, options).Decode(doc, &gvk, nil)
	if strict, ok := runtime.AsStrictDecodingError(err); ok {
		for _, each := range strict.Errors() {
			c.refuse(gvk.Kind, "", each)
		}
		return
	}
	if err != nil {
		c.refuse(gvk.Kind, "", err)
		return
	}
	c.result.Input.keep(obj)
}

func (g *Input) keep(obj runtime.Object) {
	switch o := obj.(type) {
	case *v1beta4.InitConfiguration:
		g.Init = o
	case *v1beta4.ClusterConfiguration:
		g.Cluster = o
	case *v1beta4.JoinConfiguration:
		g.Join = o
	case *v1beta4.ResetConfiguration:
		g.Reset = o
	case *v1beta4.UpgradeConfiguration:
		g.Upgrade = o
	case *kubeletv1beta1.KubeletConfiguration:
		g.Kubelet = o
	case *kubeproxyv1alpha1.KubeProxyConfiguration:
		g.KubeProxy = o
	}
}

// schemeOf returns the scheme that decodes a kind, nil for a kind that kubeadm
// does not take in a configuration file.
func schemeOf(gvk schema.GroupVersionKind) *runtime.Scheme {
	switch gvk {
	case kubeletv1beta1.SchemeGroupVersion.WithKind("KubeletConfiguration"),
		kubeproxyv1alpha1.SchemeGroupVersion.WithKind("KubeProxyConfiguration"):
		return componentconfigs.Scheme
	}
	if gvk.GroupVersion() == v1beta4.SchemeGroupVersion && kubeadmscheme.Scheme.Recognizes(gvk) {
		return kubeadmscheme.Scheme
	}
	return nil
}

// whyUnknown returns kubeadm's reason to refuse a kind: that comes before it
// looks at anything else, so nothing on the host is touched.
func whyUnknown(gvk schema.GroupVersionKind, doc []byte) error {
	if err := config.ValidateConfig(doc, false, false); err != nil {
		return err
	}
	return fmt.Errorf("kubeadm %s takes no %s of %s", Release, gvk.Kind, gvk.GroupVersion())
}
