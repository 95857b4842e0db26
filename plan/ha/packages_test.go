package ha_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

func TestPackagesProblems(t *testing.T) {
	p := software.Packages{
		Repositories: []quorate.File{{Path: "etc/apt/sources.list"}, {Path: "/fine"}, {Path: "/etc/../key"}},
		Extra:        []string{"fine", "--allow-unauthenticated", "a b", "kubelet=1.36.0-1.1", "x=", "", "y=-o"},
		Runtime:      "containerd;reboot",
		RuntimeFiles: []quorate.File{{Path: ""}},
		Etcd:         "-etcd",
	}
	hosts := fakeCluster(t, hafixture.Three())
	cfg := config(t, hafixture.Three())
	cfg.Prerequisites = p
	_, err := planFor(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, problem := range invalid.Problems {
		paths = append(paths, problem.Path)
	}
	require.Equal(t, []string{
		"repositories[0].path", "repositories[2].path",
		"extra[1]", "extra[2]", "extra[3]", "extra[4]", "extra[5]", "extra[6]", "runtime", "runtimeFiles[0].path", "etcd",
	}, paths)
	require.ErrorContains(t, err, `"--allow-unauthenticated" is no package: write name or name=version`)
	require.ErrorContains(t, err, "kubelet is installed anyhow, at the cluster's version: remove it here")
	require.Empty(t, hosts.Calls(), "no host is contacted")

	worker := hafixture.Three().WithDefaults()
	_, again := p.Prepare(worker, worker.Nodes[3])
	require.Equal(t, err.Error(), again.Error(), "whichever node it is for")
}

// The runtime runs with its configuration, and is restarted when
// that changes.
func TestPackagesConfigureTheRuntime(t *testing.T) {
	hosts := fakeCluster(t, hafixture.Three())
	services := func(text string) plan.Action {
		p := software.Packages{RuntimeFiles: []quorate.File{{Path: "/etc/containerd/config.toml", Content: quorate.Public([]byte(text))}}}
		return hafixture.Preparation(t, hafixture.Preparations(t, p, hafixture.Three()), "services")
	}
	_, err := hafixture.RunOne(t, hosts.Transport, services("version = 2\n"), false)
	require.NoError(t, err)
	require.True(t, hosts.Active("cp-1", "containerd.service"))
	diff, err := hafixture.RunOne(t, hosts.Transport, services("version = 2\n"), false)
	require.NoError(t, err)
	require.Empty(t, diff)
	diff, err = hafixture.RunOne(t, hosts.Transport, services("version = 3\n"), false)
	require.NoError(t, err)
	require.Equal(t, []string{"update /etc/containerd/config.toml (content)", "restart unit containerd.service (runs with other files)"}, hafixture.Changes(diff))
}
