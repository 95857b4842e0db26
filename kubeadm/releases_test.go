package kubeadm

import (
	"testing"

	"github.com/quorate-dev/quorate"
)

// The last minor of the newest version of the API is the newest that is
// supported, and each version but the newest ends before it only if kubeadm
// dropped it. Where this fails, see which versions kubeadm of the new minor reads
// and writes (cmd/kubeadm/app/apis/kubeadm/scheme), and what its types have that
// mappings.go has no place for.
func TestTheNewestAPIReachesTheNewestMinor(t *testing.T) {
	if last := apis[v1beta4].last; last != quorate.MaxMinor {
		t.Errorf("quorate.MaxMinor is 1.%d, and this ends at 1.%d: api.go, apis", quorate.MaxMinor, last)
	}
	for a := v1alpha1; a < v1beta4; a++ {
		if apis[a].last >= quorate.MaxMinor || apis[a].write < apis[a].first {
			t.Errorf("%s: %+v", a, apis[a])
		}
	}
}

// A field, argument, gate or check of the tables begins and ends within the
// supported minors.
func TestTablesKeepToTheSupportedMinors(t *testing.T) {
	for name, table := range map[string]map[string]lifetime{
		"kubelet": lifetimes(kubeletFields), "kube-proxy": lifetimes(kubeProxyFields), "gates": featureGates, "checks": preflightChecks,
		"API server": apiServerFlags.flags, "controller manager": controllerManagerFlags.flags, "scheduler": schedulerFlags.flags, "kubelet's": kubeletFlags.flags,
	} {
		for entry, life := range table {
			if life.first < quorate.MinMinor || max(life.first, life.last) > quorate.MaxMinor {
				t.Errorf("%s, %s: %+v", name, entry, life)
			}
		}
	}
}
