// Package sshtargets makes the targets of transport/ssh from a cluster: each node is
// reached by its name at Node.SSH, or else at its first address.
//
// It is no part of plan/ha, so that programs with another transport do not link SSH.
package sshtargets

import (
	"fmt"
	"maps"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport/ssh"
)

// Of returns a target for every node, by its name, for ssh.Config.Targets. The
// error is a *quorate.InvalidError with every node whose ssh field cannot be read,
// or that has neither that field nor an address.
func Of(c quorate.Cluster) (map[string]ssh.Target, error) {
	var problems quorate.Problems
	targets := map[string]ssh.Target{}
	for i, n := range c.Nodes {
		path, where := fmt.Sprintf("nodes[%d].ssh", i), n.SSH
		if where == "" {
			if !n.Address().IsValid() {
				problems.Refuse(path, "missing, and %q has no address either: want [user@]host[:port]", n.Name)
				continue
			}
			where = n.Address().String()
		}
		target, err := ssh.ParseTarget(where)
		if err != nil {
			problems.Refuse(path, "%v: want [user@]host[:port]", err)
			continue
		}
		if _, twice := targets[n.Name]; twice {
			problems.Refuse(fmt.Sprintf("nodes[%d].name", i), "%q is the name of another node too", n.Name)
			continue
		}
		targets[n.Name] = target
	}
	if err := problems.Err("SSH targets"); err != nil {
		return nil, err
	}
	return targets, nil
}

// New is ssh.New for the nodes of a cluster: what Of returns is added to
// cfg.Targets. A target that is there already, of a jump host or of a node by its
// name, stays. No other host is dialled (ssh.Config.OnlyTargets), so that a plan with a step
// on a host that is misspelt is refused before it runs. Errors are those of Of and of ssh.New; no host is contacted.
func New(c quorate.Cluster, cfg ssh.Config) (*ssh.Transport, error) {
	targets, err := Of(c)
	if err != nil {
		return nil, err
	}
	maps.Copy(targets, cfg.Targets)
	cfg.Targets, cfg.OnlyTargets = targets, true
	return ssh.New(cfg)
}
