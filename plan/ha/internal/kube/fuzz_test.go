package kube

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What kubectl lists of the nodes, or whoever answers in its place: a node is only
// what a whole line says.
func FuzzReadNodes(f *testing.F) {
	for _, s := range []string{
		"", "cp-1 v1.37.2 True role node-role.kubernetes.io/control-plane\n", "cp-1 v1.37.2 True role", "a  b", "a b c d e\na b", hostiletest.Text + " v1 True role x\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		for name, n := range readNodes(out) {
			if !strings.Contains(string(out), name+" "+n.version+" "+n.ready+" ") {
				t.Errorf("%q has no node %q: %+v", out, name, n)
			}
		}
	})
}

// What kubectl lists of the nodes and the ConfigMaps, or whoever answers in its place.
func FuzzReadCluster(f *testing.F) {
	for _, s := range []string{
		"", `configmap "kubeadm-config" "ClusterConfiguration" "a: b\n"` + "\n", `configmap "a" "b"`, `configmap "a" "b" "c`, "configmap " + hostiletest.Text, "node \"cp-1\"\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		s := ReadCluster(out)
		if lines := strings.Count(string(out), "\n") + 1; len(s.Nodes)+len(s.ConfigMaps) > lines {
			t.Errorf("%d lines are %d nodes and %d maps", lines, len(s.Nodes), len(s.ConfigMaps))
		}
	})
}
