package pki_test

import (
	"context"
	"fmt"
	"net/netip"
	"testing/fstest"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/pki"
)

func exampleCluster() quorate.Cluster {
	return quorate.Cluster{Nodes: []quorate.Node{
		{Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
	}}
}

// What belongs on a control plane, with modes and without showing a key.
func ExampleNew() {
	bundle, err := pki.New(exampleCluster(), pki.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	files, err := bundle.EtcdMember(context.Background(), "cp-1")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range files {
		fmt.Printf("%o %s\n", f.Mode, f.Path)
	}
	fmt.Println(files[2].Content)
	// Output:
	// 644 /etc/etcd/pki/ca.crt
	// 644 /etc/etcd/pki/peer.crt
	// 600 /etc/etcd/pki/peer.key
	// 644 /etc/etcd/pki/server.crt
	// 600 /etc/etcd/pki/server.key
	// [sensitive]
}

// A later run loads what the first one stored and adds what is missing. A
// program would write the files to disk and pass os.DirFS.
func ExampleLoad() {
	cluster := exampleCluster()
	first, err := pki.New(cluster, pki.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := fstest.MapFS{}
	for _, f := range first.Store() {
		disk[f.Path] = &fstest.MapFile{Data: f.Content.Bytes()}
	}

	cluster.Nodes = append(cluster.Nodes, quorate.Node{
		Name: "cp-2", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.12")},
	})
	_, changes, err := pki.Load(disk, cluster, pki.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range changes.Issued {
		fmt.Println(c)
	}
	// Output:
	// nodes/cp-2/etcd-server.crt: missing
	// nodes/cp-2/etcd-peer.crt: missing
	// nodes/cp-2/apiserver-etcd-client.crt: missing
}

// The guide's own choices: an RSA authority of five years and its names.
func ExampleCFSSL() {
	files, err := pki.CFSSL(exampleCluster(), pki.Config{
		Keys:                pki.Keys{EtcdCA: pki.RSA2048},
		CAValidity:          pki.DefaultExpiry,
		APIServerClientName: "client",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(files[1].Path)
	fmt.Print(files[1].Content)
	// Output:
	// ca-csr.json
	// {
	//     "CN": "etcd",
	//     "key": {
	//         "algo": "rsa",
	//         "size": 2048
	//     }
	// }
}

// Certificates that end within the next nine years.
func ExampleBundle_Expiry() {
	bundle, err := pki.New(exampleCluster(), pki.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	soon := time.Now().AddDate(9, 0, 0)
	for _, e := range bundle.Expiry() {
		if e.NotAfter.Before(soon) {
			fmt.Println(e.File)
		}
	}
	// Output:
	// nodes/cp-1/apiserver-etcd-client.crt
	// nodes/cp-1/etcd-peer.crt
	// nodes/cp-1/etcd-server.crt
	// operator/etcd-client.crt
}
