package main

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"al.essio.dev/pkg/shellescape"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan/ha"
)

// files are what is written, by node. What belongs to no node is under "", and a
// relative path is put beside the host's own files.
type files map[string][]quorate.File

// forms are what -form takes: the files that the recipe puts on the hosts, and
// the two in which docs/guide.md reproduces the walk-through.
var forms = map[string]func(context.Context, ha.Config) (files, error){
	"":             ordinary,
	"guide-exact":  guideExact,
	"guide-secure": guideSecure,
}

func formNames() string {
	return strings.Join(slices.Sorted(maps.Keys(forms))[1:], ", ")
}

func ordinary(ctx context.Context, cfg ha.Config) (files, error) {
	c, err := ha.New(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return c.Files(), nil
}

// guideSecure is what the renderers make of the description, with cfssl's own
// JSON of the certificates beside it and, for each host, the commands that a
// person would type where the recipe's steps do it.
func guideSecure(ctx context.Context, cfg ha.Config) (files, error) {
	out, err := ordinary(ctx, cfg)
	if err != nil {
		return nil, err
	}
	requests, err := pki.CFSSL(cfg.Cluster, pki.Config{})
	if err != nil {
		return nil, err
	}
	for _, f := range requests {
		f.Path = path.Join("cfssl", f.Path)
		out[""] = append(out[""], f)
	}
	secrets := cfg.Kubeadm
	if secrets.CAHashes, err = cfg.Certs.CAHashes(ctx); err != nil {
		return nil, err
	}
	nodes, err := kubeadm.Nodes(cfg.Cluster, secrets)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		var lines []string
		if node, _ := cfg.Cluster.Node(n.Name); node.Role == quorate.ControlPlane {
			lines = append(lines,
				"systemctl daemon-reload",
				"systemctl enable "+etcd.UnitName,
				"systemctl start --no-block "+etcd.UnitName,
				"# once it runs on the other masters too",
				fmt.Sprintf("(set -a && . %s && etcdctl endpoint health)", etcd.EnvPath),
				"systemctl enable keepalived.service",
				"systemctl restart keepalived.service",
			)
		}
		out[n.Name] = append(out[n.Name], commands(append(lines, shellescape.QuoteCommand(n.Command()))...))
	}
	return out, nil
}

// commands is a list of what to run on a host, in order.
func commands(lines ...string) quorate.File {
	text := "#!/bin/sh\nset -eu\n" + strings.Join(lines, "\n") + "\n"
	return quorate.File{Path: "commands.sh", Mode: 0o644, Content: quorate.Public([]byte(text))}
}
