package hostsetup

import (
	_ "embed"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// Runtime is a container runtime as distributions package it.
type Runtime struct {
	// Unit is systemd's unit, "containerd.service"; empty for a runtime that Quorate does not know.
	Unit string
	// Package is empty where distributions do not agree on its name.
	Package string
}

// RuntimeOf returns the runtime behind the cluster's CRI socket. It is zero for one
// that Quorate does not know, and leaves to whoever set it up.
func RuntimeOf(c quorate.Cluster) Runtime {
	switch socket := c.Kubeadm.CRISocket; {
	case strings.Contains(socket, "containerd"):
		return Runtime{Unit: "containerd.service", Package: "containerd"}
	case strings.Contains(socket, "crio"):
		return Runtime{Unit: "crio.service", Package: "cri-o"}
	case quorate.IsDockershim(socket):
		return Runtime{Unit: "docker.service"} // packaged under many names
	}
	return Runtime{}
}

// Program is the runtime's program, "containerd"; empty for an unknown runtime.
func (r Runtime) Program() string { return strings.TrimSuffix(r.Unit, ".service") }

// CgroupDriver returns the driver that the kubelet is configured with: systemd,
// unless the description has another.
func CgroupDriver(c quorate.Cluster) string {
	if described, ok := c.Kubeadm.Kubelet["cgroupDriver"].(string); ok {
		return described
	}
	return "systemd"
}

//go:embed scripts/cgroupdriver.sh
var cgroupDriverScript string

// CgroupDriverQuery reads the cgroup driver of a runtime's program, docker, containerd
// or crio. The host answers with the line driver=systemd or driver=cgroupfs.
func CgroupDriverQuery(program string) transport.Query {
	return plan.Script(cgroupDriverScript, map[string]string{"RUNTIME": program})
}
