package main

import "k8s.io/kubernetes/cmd/kubeadm/app/util/config"

func migrateFile(path string, _ []document) ([]byte, error) {
	cfg, err := config.AnyConfigFileAndDefaultsToInternal(path)
	if err != nil {
		return nil, err
	}
	return config.MarshalKubeadmConfigObject(cfg)
}
