package plan_test

import "github.com/quorate-dev/quorate/transport"

func file(path, text string) transport.File {
	return transport.File{Path: path, Mode: 0o600, Data: transport.Bytes([]byte(text))}
}

// adminConf is what a kubeadm init that began has left behind.
func adminConf() transport.File { return file("/etc/kubernetes/admin.conf", "x") }
