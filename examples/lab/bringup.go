package main

import (
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/internal/progress"
	"github.com/quorate-dev/quorate/examples/lab/internal/images"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/examples/lab/internal/payload"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/sshtargets"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// bringUp runs the recipe against the hosts over SSH, as any installer would,
// and keeps the administrator's kubeconfig.
func bringUp(ctx context.Context, o options, l *machines.Lab, p prepared, out io.Writer) (plan.Summary, error) {
	hosts, config, err := recipe(ctx, l, p)
	if err != nil {
		return plan.Summary{}, err
	}
	defer func() { _ = hosts.Close() }() // every connection has been used up
	cluster, err := ha.New(ctx, config)
	if err != nil {
		return plan.Summary{}, err
	}
	steps, err := cluster.Plan()
	if err != nil {
		return plan.Summary{}, err
	}
	view := progress.New(out, steps)
	defer view.Close()
	runner := plan.Runner{Transport: hosts, Observe: view.Observe}
	summary, err := runner.Run(ctx, steps)
	if err != nil {
		return summary, err
	}
	o.phase("cluster", summary.Elapsed)
	kubeconfig, err := ha.Kubeconfig(ctx, ha.KubeconfigConfig{Transport: hosts, Cluster: config.Cluster})
	if err != nil {
		return summary, err
	}
	return summary, statedir.WriteFile(ctx, filepath.Join(l.Dir(), kubeconfigFile), kubeconfig, 0o600)
}

// recipe is the description that the lab wrote, the keys and certificates kept
// beside it, and the images that every host has on its disk.
func recipe(ctx context.Context, l *machines.Lab, p prepared) (*ssh.Transport, ha.Config, error) {
	c, err := operator.ReadCluster(filepath.Join(l.Dir(), clusterFile))
	if err != nil {
		return nil, ha.Config{}, err
	}
	config, err := operator.Config(ctx, c, filepath.Join(l.Dir(), keysDir))
	if err != nil {
		return nil, ha.Config{}, err
	}
	config.Prerequisites = imagesOn(p.archives).Prerequisites()
	hosts, err := sshtargets.New(c, ssh.Config{
		Auth:     ssh.Auth{KeyFiles: []string{l.KeyFile()}},
		HostKeys: ssh.HostKeys{KnownHostsFiles: []string{l.KnownHostsFile()}},
	})
	if err != nil {
		return nil, ha.Config{}, fmt.Errorf("%s: %w", l.Dir(), err)
	}
	return hosts, config, nil
}

// imagesOn lists the archives as every host sees them.
func imagesOn(a images.Archives) operator.Images {
	list := func(one images.Archive) map[string][]string {
		return map[string][]string{path.Join(payload.ImageDir, one.File): one.Tags}
	}
	return operator.Images{Node: list(a.Node), ControlPlane: list(a.ControlPlane)}
}
