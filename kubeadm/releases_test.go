package kubeadm

import (
	"maps"
	"slices"
	"testing"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/settings"
)

// The last minor of the newest version of the API is the newest that is
// supported, and each version but the newest ends before it only if kubeadm
// dropped it. Where this fails, see which versions kubeadm of the new minor reads
// and writes (cmd/kubeadm/app/apis/kubeadm/scheme), and what its types have that
// mappings.go has no place for.
func TestNewestAPIUpToTheNewestMinor(t *testing.T) {
	if last := apis[v1beta4].last; last != quorate.MaxMinor {
		t.Errorf("quorate.MaxMinor is 1.%d, and this ends at 1.%d: api.go, apis", quorate.MaxMinor, last)
	}
	for a := v1alpha1; a < v1beta4; a++ {
		if apis[a].last >= quorate.MaxMinor || apis[a].write < apis[a].first {
			t.Errorf("%s: %+v", a, apis[a])
		}
	}
}

// A field, argument, gate or check of the tables starts and ends within the
// supported minors.
func TestTablesCoverSupportedMinorsOnly(t *testing.T) {
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

// Every setting of the tables is classed, and nothing else is. Where this fails
// with a new minor, decide for each name whether one value can suit every host
// and what it must agree with (internal/settings, Class), by reading what the
// component does with it.
func TestSettingsHaveAClass(t *testing.T) {
	for name, tt := range map[string]struct {
		table   map[string]lifetime
		classes settings.Table
	}{
		"KubeletFields": {lifetimes(kubeletFields), settings.KubeletFields}, "KubeProxyFields": {lifetimes(kubeProxyFields), settings.KubeProxyFields},
		"APIServerArgs": {apiServerFlags.flags, settings.APIServerArgs}, "ControllerManagerArgs": {controllerManagerFlags.flags, settings.ControllerManagerArgs},
		"SchedulerArgs": {schedulerFlags.flags, settings.SchedulerArgs},
	} {
		for entry := range tt.table {
			if tt.classes.Class(entry) == settings.Unknown {
				t.Errorf("%s: %s has no class", name, entry)
			}
		}
		for _, entry := range tt.classes.Names() {
			if _, known := tt.table[entry]; !known {
				t.Errorf("%s: %s is classed, and no release has it", name, entry)
			}
		}
	}
}

// What the description decides elsewhere is refused here, and what is refused
// here is classed so.
func TestSettingsOwnedElsewhere(t *testing.T) {
	for name, tt := range map[string]struct {
		owned   []string
		classes settings.Table
	}{
		"kubelet":            {slices.Sorted(maps.Keys(kubeletSchema.owned)), settings.KubeletFields},
		"kube-proxy":         {slices.Sorted(maps.Keys(kubeProxySchema.owned)), settings.KubeProxyFields},
		"API server":         {slices.Sorted(maps.Keys(apiServerArgs.owned)), settings.APIServerArgs},
		"controller manager": {slices.Sorted(maps.Keys(controllerManagerArgs.owned)), settings.ControllerManagerArgs},
		"scheduler":          {slices.Sorted(maps.Keys(schedulerArgs.owned)), settings.SchedulerArgs},
	} {
		var elsewhere []string
		for _, entry := range tt.classes.Names() {
			if tt.classes.Class(entry) == settings.Elsewhere {
				elsewhere = append(elsewhere, entry)
			}
		}
		owned := slices.DeleteFunc(tt.owned, func(s string) bool { return s == "apiVersion" || s == "kind" })
		if !slices.Equal(elsewhere, owned) {
			t.Errorf("%s: classed %v, owned %v", name, elsewhere, owned)
		}
	}
}
