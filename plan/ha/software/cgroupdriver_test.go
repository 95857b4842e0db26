package software_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// The runtime's cgroup driver is compared where the kubelet does not ask for it
// by itself, for each runtime that Quorate knows.
func TestCgroupDrivers(t *testing.T) {
	for _, tt := range []struct {
		minor           int
		socket, program string
		says, want      string
	}{
		{10, "", "docker", "cgroupfs", "docker manages cgroups by cgroupfs, the kubelet will by systemd"},
		{23, "", "docker", "systemd", ""},
		{24, "", "containerd", "  SystemdCgroup = false", "containerd manages cgroups by cgroupfs"},
		{24, "", "containerd", "  SystemdCgroup = true", ""},
		{33, "unix:///run/crio/crio.sock", "crio", `cgroup_manager = "cgroupfs"`, "crio manages cgroups by cgroupfs"},
		{33, "unix:///run/crio/crio.sock", "crio", `cgroup_manager = "systemd"`, ""},
	} {
		c := hafixture.Three()
		c.Name, c.Version, c.Kubeadm.CRISocket = "", quorate.Version{Major: 1, Minor: tt.minor}, tt.socket
		tr, h := fixture.FakeHost(t)
		h.Handle(faketransport.Prefix(tt.program), faketransport.Reply(tt.says+"\n"))
		_, err := hafixture.RunOne(t, tr, hafixture.Preparation(t, hafixture.Preparations(t, software.Present{}, c), "cgroup-driver"), false)
		if tt.want == "" {
			require.NoError(t, err)
			continue
		}
		var host *plan.HostError
		require.ErrorAs(t, err, &host)
		require.Contains(t, host.Error(), tt.want)
	}
	require.NotContains(t, preparationNames(hafixture.Preparations(t, software.Present{}, hafixture.Three())), "cgroup-driver", "1.37 reads it by itself")
}
