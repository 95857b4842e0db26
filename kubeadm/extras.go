package kubeadm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// What a description may set and not every version of kubeadm's API has:
// volumes, environments, taints, patches, timeouts.

func timeouts(t quorate.KubeadmTimeouts) Timeouts {
	set := func(d quorate.Duration) *quorate.Duration {
		if d == 0 {
			return nil
		}
		return &d
	}
	return Timeouts{
		ControlPlane: set(t.ControlPlane), Kubelet: set(t.Kubelet), APICall: set(t.APICall),
		EtcdCall: set(t.EtcdCall), TLSBootstrap: set(t.TLSBootstrap), Discovery: set(t.Discovery),
	}
}

func envOf(values map[string]string) []EnvVar {
	var env []EnvVar
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, EnvVar{Name: name, Value: values[name]})
	}
	return env
}

// expressibleTimeouts are those that the Config's own documents have: before
// v1beta4 some are of kubeadm init alone, and some of join. checkExtras refuses
// what neither has.
func (c Config) expressibleTimeouts() Timeouts {
	a, _ := chooseAPI(c.APIVersion, c.Version)
	for _, m := range fieldMappings {
		if _, why := m.location(&c, a); why == "" {
			continue
		}
		switch m.field {
		case "timeouts.controlPlane":
			c.Timeouts.ControlPlane = nil
		case "timeouts.discovery":
			c.Timeouts.Discovery = nil
		}
	}
	return c.Timeouts
}

// checkExtras refuses what no document of the description's version can express,
// by the description's paths.
func checkExtras(p *quorate.Problems, c quorate.Cluster) {
	if len(c.ControlPlanes()) == 0 {
		return // refused elsewhere
	}
	// Every version has a place for these, and what they hold is judged elsewhere.
	c.Kubeadm.Kubelet, c.Kubeadm.KubeProxy = nil, nil
	said := map[string]bool{}
	for i, n := range c.Nodes {
		cfg := wholeConfig(c, n, Secrets{})
		cfg.Timeouts = cfg.expressibleTimeouts()
		a, _ := chooseAPI(cfg.APIVersion, cfg.Version)
		var refused quorate.Problems
		encoding{config: &cfg, api: a, out: documents{}, problems: &refused}.encode()
		for _, r := range refused {
			at := describedAt(r.Path, i)
			if at != "" && !said[at] {
				said[at] = true
				p.Refuse(at, "%s", r.Message)
			}
		}
	}
	if c.Kubeadm.Timeouts.ControlPlane != 0 && !anyHas(c, "timeouts.controlPlane") {
		p.Refuse("kubeadm.timeouts.controlPlane", "kubeadm of Kubernetes %s cannot express it: leave it out", c.Version)
	}
	if c.Kubeadm.Timeouts.Discovery != 0 && !anyHas(c, "timeouts.discovery") {
		p.Refuse("kubeadm.timeouts.discovery", "kubeadm of Kubernetes %s cannot express it: leave it out", c.Version)
	}
}

// anyHas reports whether kubeadm init or join of the version can express a field.
func anyHas(c quorate.Cluster, field string) bool {
	a, _ := chooseAPI(c.Kubeadm.APIVersion, c.Version)
	for _, cfg := range []Config{{Version: c.Version, Init: &Init{}}, {Version: c.Version, Join: &Join{}}} {
		for _, m := range fieldMappings {
			if m.field != field {
				continue
			}
			if _, why := m.location(&cfg, a); why == "" {
				return true
			}
		}
	}
	return false
}

// describedAt is where the description sets a field of the i-th node's Config,
// "" for those that other rules are about.
func describedAt(field string, i int) string {
	for component, name := range map[string]string{"init.apiServer": "apiServer", "init.controllerManager": "controllerManager", "init.scheduler": "scheduler"} {
		switch field {
		case component + ".volumes":
			return "kubeadm." + name + "Volumes"
		case component + ".env":
			return "kubeadm." + name + "Env"
		}
	}
	switch {
	case field == "registration.taints":
		return fmt.Sprintf("nodes[%d].taints", i)
	case field == "patches.directory":
		return "kubeadm.patchesDir"
	case strings.HasPrefix(field, "timeouts."):
		return "kubeadm." + field
	}
	return ""
}
