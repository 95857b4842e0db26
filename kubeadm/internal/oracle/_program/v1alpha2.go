package main

import (
	"fmt"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1alpha2"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

func newObject(apiVersion, kind string) (interface{}, error) {
	if apiVersion == v1alpha2.SchemeGroupVersion.String() {
		switch kind {
		case "MasterConfiguration":
			return &v1alpha2.MasterConfiguration{}, nil
		case "NodeConfiguration":
			return &v1alpha2.NodeConfiguration{}, nil
		}
	}
	return nil, apiOnly(apiVersion, kind, v1alpha2.SchemeGroupVersion.String())
}

func hostFields(d document) []string {
	if d.kind == "MasterConfiguration" {
		return []string{"api.advertiseAddress", "nodeRegistration.name"}
	}
	return []string{"nodeRegistration.name"}
}

func forLoader(data string, _ []document) string { return data }

func load(path string, docs []document, objects map[string]interface{}) error {
	if len(docs) != 1 {
		return fmt.Errorf("a file of this API version is one document, not %d", len(docs))
	}
	switch docs[0].kind {
	case "MasterConfiguration":
		cfg, err := config.ConfigFileAndDefaultsToInternalConfig(path, &v1alpha2.MasterConfiguration{})
		if err != nil {
			return err
		}
		external := &v1alpha2.MasterConfiguration{}
		objects["MasterConfiguration"] = external
		return scheme.Scheme.Convert(cfg, external, nil)
	case "NodeConfiguration":
		cfg, err := config.NodeConfigFileAndDefaultsToInternalConfig(path, &v1alpha2.NodeConfiguration{})
		if err != nil {
			return err
		}
		external := &v1alpha2.NodeConfiguration{}
		objects["NodeConfiguration"] = external
		return scheme.Scheme.Convert(cfg, external, nil)
	}
	return nil
}
