package main

import (
	"errors"

	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/APIVERSION"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/scheme"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

var options = config.LoadOrDefaultConfigurationOptions{SkipCRIDetect: true}

func loadInit(path string) (*kubeadm.InitConfiguration, error) {
	return config.LoadInitConfigurationFromFile(path, options)
}

func loadJoin(path string) (*kubeadm.JoinConfiguration, error) {
	return config.LoadJoinConfigurationFromFile(path, options)
}

func loadOther(path, kind string, objects map[string]interface{}) error {
	switch kind {
	case "ResetConfiguration":
		cfg, err := config.LoadResetConfigurationFromFile(path, options)
		if err != nil {
			return err
		}
		reset := &APIVERSION.ResetConfiguration{}
		objects[kind] = reset
		return scheme.Scheme.Convert(cfg, reset, nil)
	case "UpgradeConfiguration":
		cfg, err := config.LoadUpgradeConfigurationFromFile(path, options)
		if err != nil {
			return err
		}
		upgrade := &APIVERSION.UpgradeConfiguration{}
		objects[kind] = upgrade
		return scheme.Scheme.Convert(cfg, upgrade, nil)
	}
	return errors.New(kind + " is not for a file")
}

func forLoader(data string, _ []document) string { return data }
