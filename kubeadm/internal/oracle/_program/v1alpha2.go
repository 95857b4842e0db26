package main

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1alpha2"
	"k8s.io/kubernetes/cmd/kubeadm/app/util"
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

// newMigrated makes an object of any API version that the release reads.
func newMigrated(apiVersion, kind string) (interface{}, error) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	if err != nil {
		return nil, err
	}
	return scheme.Scheme.New(gv.WithKind(kind))
}

// migrateFile goes the way of NewCmdConfigMigrate in cmd/kubeadm/app/cmd, which
// is not to be called: it ends the program when the file is wrong.
func migrateFile(path string, docs []document) (text []byte, err error) {
	var cfg runtime.Object
	switch kind := docs[0].kind; kind {
	case "MasterConfiguration":
		cfg, err = config.ConfigFileAndDefaultsToInternalConfig(path, &v1alpha2.MasterConfiguration{})
	case "NodeConfiguration":
		cfg, err = config.NodeConfigFileAndDefaultsToInternalConfig(path, &v1alpha2.NodeConfiguration{})
	default:
		err = fmt.Errorf("kind %s is unknown to config migrate", kind)
	}
	if err != nil {
		return nil, err
	}
	return util.MarshalToYamlForCodecs(cfg, v1alpha2.SchemeGroupVersion, scheme.Codecs)
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
