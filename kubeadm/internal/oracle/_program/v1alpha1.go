package main

import (
	"errors"
	"fmt"
	"io/ioutil"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	_ "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/install"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1alpha1"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/validation"
	config "k8s.io/kubernetes/cmd/kubeadm/app/util/config"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

func newObject(apiVersion, kind string) (interface{}, error) {
	if apiVersion == v1alpha1.SchemeGroupVersion.String() {
		switch kind {
		case "MasterConfiguration":
			return &v1alpha1.MasterConfiguration{}, nil
		case "NodeConfiguration":
			return &v1alpha1.NodeConfiguration{}, nil
		}
	}
	return nil, apiOnly(apiVersion, kind, v1alpha1.SchemeGroupVersion.String())
}

func newMigrated(apiVersion, kind string) (interface{}, error) { return newObject(apiVersion, kind) }

// migrateFile: the command came with 1.11.
func migrateFile(string, []document) ([]byte, error) {
	return nil, errors.New("kubeadm of this release has no config migrate")
}

func forLoader(data string, _ []document) string { return data }

func load(path string, docs []document, objects map[string]interface{}) error {
	if len(docs) != 1 {
		return fmt.Errorf("a file of this API version is one document, not %d", len(docs))
	}
	switch docs[0].kind {
	case "MasterConfiguration":
		cfg, err := config.ConfigFileAndDefaultsToInternalConfig(path, &v1alpha1.MasterConfiguration{})
		if err != nil {
			return err
		}
		external := &v1alpha1.MasterConfiguration{}
		objects["MasterConfiguration"] = external
		return legacyscheme.Scheme.Convert(cfg, external, nil)
	case "NodeConfiguration":
		// The loader of 1.10 is part of the join command, which does more.
		data, err := ioutil.ReadFile(path)
		if err != nil {
			return err
		}
		cfg := &kubeadm.NodeConfiguration{}
		if err := runtime.DecodeInto(legacyscheme.Codecs.UniversalDecoder(), data, cfg); err != nil {
			return err
		}
		if err := validation.ValidateNodeConfiguration(cfg).ToAggregate(); err != nil {
			return err
		}
		external := &v1alpha1.NodeConfiguration{}
		objects["NodeConfiguration"] = external
		return legacyscheme.Scheme.Convert(cfg, external, nil)
	}
	return nil
}
