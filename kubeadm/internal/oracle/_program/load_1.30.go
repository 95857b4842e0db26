package main

import (
	"errors"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

var options = config.LoadOrDefaultConfigurationOptions{SkipCRIDetect: true}

func loadInit(path string) (*kubeadm.InitConfiguration, error) {
	return config.LoadInitConfigurationFromFile(path, options)
}

func loadJoin(path string) (*kubeadm.JoinConfiguration, error) {
	return config.LoadJoinConfigurationFromFile(path, options)
}

func loadOther(_, kind string, _ map[string]interface{}) error {
	return errors.New(kind + " is not for a file")
}

func forLoader(data string, _ []document) string { return data }
