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
