package main

import (
	"bytes"
	"errors"

	"gopkg.in/yaml.v3"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/APIVERSION"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/config"
)

const initAddress, joinAddress = "apiEndpoint.advertiseAddress", "apiEndpoint.advertiseAddress"

func loadInit(path string) (*kubeadm.InitConfiguration, error) {
	return config.ConfigFileAndDefaultsToInternalConfig(path, &APIVERSION.InitConfiguration{})
}

func loadJoin(path string) (*kubeadm.JoinConfiguration, error) {
	return config.NodeConfigFileAndDefaultsToInternalConfig(path, &APIVERSION.JoinConfiguration{})
}

func loadOther(_, kind string, _ map[string]interface{}) error {
	return errors.New(kind + " is not for a file")
}

// forLoader gives a worker that joins an address, which 1.12 does not use but
// looks for on the host (reserved for documentation, RFC 5737).
func forLoader(data string, docs []document) string {
	const placeholder = "192.0.2.1"
	var all bytes.Buffer
	for _, d := range docs {
		if d.kind == "JoinConfiguration" && d.at("apiEndpoint") == nil {
			var endpoint yaml.Node
			if endpoint.Encode(map[string]string{"advertiseAddress": placeholder}) != nil {
				return data
			}
			key := yaml.Node{Kind: yaml.ScalarNode, Value: "apiEndpoint"}
			d.root.Content = append(d.root.Content, &key, &endpoint)
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
