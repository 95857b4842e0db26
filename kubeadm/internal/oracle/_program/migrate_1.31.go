package main

import (
	"io/ioutil"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

// migrateFile does without API versions that are experimental. While it reads
// v1beta3 a timeout is kept in the package's state, on the way from one document
// to another: that of the file before must not be found there.
func migrateFile(path string, _ []document) ([]byte, error) {
	data, err := ioutil.ReadFile(path)
	if err != nil {
		return nil, err
	}
	kubeadm.SetConversionTimeoutControlPlane(nil)
	return config.MigrateOldConfig(data, false, nil)
}
