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

// Whatever an answer holds, each pod has one line and a name, and there is an end to them.
func FuzzReadPods(f *testing.F) {
	f.Add([]byte("shop\tweb-0\tRunning\tReplicaSet\t\nkube-system\tetcd\tRunning\tNode\tmirror\n"))
	f.Add([]byte("a\tb\x1b[31m\tPending\t\t\n\t\t\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		pods := readPods(out)
		if len(pods) > maxPods || len(pods) > strings.Count(string(out), "\n")+1 {
			t.Fatalf("%d pods", len(pods))
		}
		for _, p := range pods {
			if !strings.Contains(p.name, "/") || strings.ContainsAny(p.name, "\n\x1b") {
				t.Fatalf("%q", p.name)
			}
		}
	})
}
