package survey

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/internal/hostiletest"
)

// What the API says of the cluster, or whoever answers in its place: a configuration or
// the reason why there is none.
func FuzzParseSettings(f *testing.F) {
	for _, s := range []string{
		"", `configmap "kubeadm-config" "ClusterConfiguration" "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.37.2\n"` + "\n",
		`configmap "kubeadm-config" "ClusterConfiguration" "a: &a [*a]\n"`, `configmap "kubeadm-config" "x" "y"`, hostiletest.Text,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, out []byte) {
		s := parseSettings(out)
		if (s.cluster == nil) == (s.why == "") {
			t.Errorf("%q: %+v, %q", out, s.cluster, s.why)
		}
		if s.cluster != nil && !strings.Contains(string(out), "configmap") {
			t.Errorf("%q is a cluster", out)
		}
	})
}
