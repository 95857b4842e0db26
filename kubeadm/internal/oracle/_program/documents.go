package main

import (
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/APIVERSION"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/componentconfigs"
)

// One file of several documents: from v1alpha3 on.

var componentKinds = map[string]string{
	"KubeletConfiguration":   "kubelet.config.k8s.io/v1beta1",
	"KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
}

func newObject(apiVersion, kind string) (interface{}, error) {
	if want, ok := componentKinds[kind]; ok {
		if apiVersion != want {
			return nil, apiOnly(apiVersion, kind, want)
		}
		return newComponent(kind)
	}
	if apiVersion != APIVERSION.SchemeGroupVersion.String() {
		return nil, apiOnly(apiVersion, kind, APIVERSION.SchemeGroupVersion.String())
	}
	return scheme.Scheme.New(APIVERSION.SchemeGroupVersion.WithKind(kind))
}

func newComponent(kind string) (runtime.Object, error) {
	gv, err := schema.ParseGroupVersion(componentKinds[kind])
	if err != nil {
		return nil, err
	}
	return componentconfigs.Scheme.New(gv.WithKind(kind))
}

// newMigrated makes an object of any API version that the release reads.
func newMigrated(apiVersion, kind string) (interface{}, error) {
	if apiVersion == componentKinds[kind] {
		return newComponent(kind)
	}
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	return scheme.Scheme.New(gv.WithKind(kind))
}

func load(path string, docs []document, objects map[string]interface{}) error {
	byKind := map[string]document{}
	for _, d := range docs {
		byKind[d.kind] = d
	}
	loaded := false
	if _, ok := byKind["InitConfiguration"]; ok {
		loaded = true
		cfg, err := loadInit(path)
		if err != nil {
			return err
		}
		init, cluster := &APIVERSION.InitConfiguration{}, &APIVERSION.ClusterConfiguration{}
		if err := scheme.Scheme.Convert(cfg, init, nil); err != nil {
			return err
		}
		if err := scheme.Scheme.Convert(&cfg.ClusterConfiguration, cluster, nil); err != nil {
			return err
		}
		objects["InitConfiguration"], objects["ClusterConfiguration"] = init, cluster
		if err := components(cfg, objects); err != nil {
			return err
		}
	}
	if _, ok := byKind["JoinConfiguration"]; ok {
		loaded = true
		cfg, err := loadJoin(path)
		if err != nil {
			return err
		}
		join := &APIVERSION.JoinConfiguration{}
		if err := scheme.Scheme.Convert(cfg, join, nil); err != nil {
			return err
		}
		objects["JoinConfiguration"] = join
	}
	for kind, d := range byKind {
		switch kind {
		case "InitConfiguration", "ClusterConfiguration", "JoinConfiguration":
		case "KubeletConfiguration", "KubeProxyConfiguration":
			if _, ok := objects[kind]; ok {
				continue
			}
			// kubeadm join leaves it alone: what was written is all there is.
			object, err := newComponent(kind)
			if err != nil {
				return err
			}
			if err := d.decode(object); err != nil {
				return err
			}
			objects[kind] = object
		default:
			if err := loadOther(path, kind, objects); err != nil {
				return err
			}
			loaded = true
		}
	}
	if !loaded {
		return errors.New("no document that kubeadm starts with")
	}
	return nil
}
