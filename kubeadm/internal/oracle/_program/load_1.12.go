package main

import (
	"bytes"
	"errors"

	"gopkg.in/yaml.v3"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/APIVERSION"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

func loadInit(path string) (*kubeadm.InitConfiguration, error) {
	return config.ConfigFileAndDefaultsToInternalConfig(path, &APIVERSION.InitConfiguration{})
}

func loadJoin(path string) (*kubeadm.JoinConfiguration, error) {
	return config.NodeConfigFileAndDefaultsToInternalConfig(path, &APIVERSION.JoinConfiguration{})
}

func loadOther(_, kind string, _ map[string]interface{}) error {
	return errors.New(kind + " is not for a file")
}

// forLoader returns a worker that joins an address, which 1.12 does not use but
// looks for on the host (reserved for documentation, RFC 5737).
func forLoader(data string, docs []document) string {
	const placeholder = "192.0.2.1"
	var all bytes.Buffer
	for _, d := range docs {
		var err error
		switch {
		case d.kind == "JoinConfiguration" && d.at("apiEndpoint") == nil:
			err = d.add("apiEndpoint", map[string]string{"advertiseAddress": placeholder})
		case d.kind == "NodeConfiguration" && d.at("advertiseAddress") == nil:
			err = d.add("advertiseAddress", placeholder)
		}
		if err != nil {
			return data
		}
		text, err := yaml.Marshal(d.root)
		if err != nil {
			return data
		}
		all.WriteString("---\n")
		all.Write(text)
	}
	return all.String()
}

func (d document) add(name string, value interface{}) error {
	var of yaml.Node
	if err := of.Encode(value); err != nil {
		return err
	}
	d.root.Content = append(d.root.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: name}, &of)
	return nil
}
