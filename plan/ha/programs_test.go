package ha_test

import (
	"context"
	"path"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// installFiles returns the programs of simulated hosts files, so that there is
// something to know them by again.
func installFiles(t require.TestingT, hosts *hatest.Cluster, c quorate.Cluster) {
	for _, n := range c.WithDefaults().Nodes {
		for _, program := range []string{"kubeadm", "kubelet", "kubectl", "curl", "keepalived", c.WithDefaults().Etcd.Binary} {
			installFile(t, hosts.Host(n.Name), program)
		}
	}
}

func installFile(t require.TestingT, h *faketransport.Host, program string) {
	if !path.IsAbs(program) {
		program = path.Join("/usr/bin", program)
	}
	require.NoError(t, h.Put(transport.File{Path: program, Mode: 0o755, Data: transport.Bytes([]byte("\x7fELF simulated\n"))}))
}

// Programs print their versions once, and again when one of them is another, which
// is judged as ever; a reset leaves nothing of it behind.
func TestRememberedVersions(t *testing.T) {
	const memory = "/var/lib/quorate/versions-binaries"
	c := hafixture.Three()
	cfg := config(t, c)
	p, err := planFor(cfg)
	require.NoError(t, err)
	hosts := fakeCluster(t, c)
	installFiles(t, hosts, c)
	asked := map[string]*atomic.Int64{}
	line := atomic.Value{}
	line.Store("v1.37.2")
	for _, n := range c.Nodes {
		asked[n.Name] = new(atomic.Int64)
		hosts.Host(n.Name).Handle(faketransport.Prefix("kubeadm", "version"), func(_ context.Context, in faketransport.Invocation) error {
			asked[n.Name].Add(1)
			_, err := in.Stdout.Write([]byte(line.Load().(string) + "\n"))
			return err
		})
	}
	preview, err := (&plan.Runner{Transport: hosts}).Preview(t.Context(), p)
	require.NoError(t, err)
	require.Contains(t, preview.Text(), "record the versions of kubeadm, kubelet, kubectl, curl, etcd, keepalived")

	mustRun(t.Context(), t, hosts, p)
	for _, n := range c.Nodes {
		f, err := hosts.Host(n.Name).File(memory)
		require.NoError(t, err)
		require.Contains(t, string(f.Data.Bytes()), "kubeadm=v1.37.2\n")
		asked[n.Name].Store(0)
	}
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
	for name, n := range asked {
		require.Zero(t, n.Load(), "%s was started again", name)
	}

	// The same version from another file is read once more, and recorded.
	installFile(t, hosts.Host("cp-2"), "kubeadm")
	sum := mustRun(t.Context(), t, hosts, p)
	require.Equal(t, 1, sum.Outcomes[plan.Changed])
	require.NotZero(t, asked["cp-2"].Load())
	require.Zero(t, asked["cp-1"].Load())
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())

	// Another version is refused, with what it is.
	installFile(t, hosts.Host("cp-2"), "kubeadm")
	line.Store("v1.36.0")
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
	var host *plan.HostError
	require.ErrorAs(t, err, &host)
	require.Equal(t, "cp-2", host.Host)
	require.Equal(t, "kubeadm is v1.36.0", host.Findings[0].Found)
	line.Store("v1.37.2")

	mustRun(t.Context(), t, hosts, p)
	reset, err := resetFor(cfg, ha.ResetConfig{WholeCluster: true, Data: ha.RemoveData})
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, reset)
	for _, n := range c.Nodes {
		require.NotContains(t, hosts.Host(n.Name).Files(), memory)
	}
}

// A program without a file of its own is started every time, and nothing is recorded.
func TestVersionsOfWrappers(t *testing.T) {
	c := hafixture.Three()
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	hosts := fakeCluster(t, c)
	installFiles(t, hosts, c)
	require.NoError(t, hosts.Host("cp-1").Put(transport.File{Path: "/usr/bin/kubectl", Mode: 0o755, Data: transport.Bytes([]byte("#!/bin/sh\n"))}))
	mustRun(t.Context(), t, hosts, p)
	require.NotContains(t, hosts.Host("cp-1").Files(), "/var/lib/quorate/versions-binaries")
	require.Contains(t, hosts.Host("cp-2").Files(), "/var/lib/quorate/versions-binaries")
	require.False(t, mustRun(t.Context(), t, hosts, p).Changed())
}
