package main

import "k8s.io/kubernetes/cmd/kubeadm/app/util/config"

func migrateFile(path string, _ []document) ([]byte, error) {
	return config.MigrateOldConfigFromFile(path)
}
