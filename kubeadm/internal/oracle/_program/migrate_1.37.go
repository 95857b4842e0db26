package main

import (
	"io/ioutil"

	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

// migrateFile does without API versions that are experimental.
func migrateFile(path string, _ []document) ([]byte, error) {
	data, err := ioutil.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return config.MigrateOldConfig(data, false, nil)
}
