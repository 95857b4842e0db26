package ha

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

func (r *recipe) judge() preflight.Judge {
	j := preflight.Judge{
		Cluster: r.c, Ignore: slices.Clone(r.IgnorePreflight), Authorities: map[string]map[string][]string{},
		Units: map[string]string{}, APIPorts: map[string]uint16{},
	}
	for _, n := range r.c.Nodes {
		own := n.Name
		if n.Role != quorate.ControlPlane {
			own = r.first.Name // kubeadm join brings the same CA
		} else {
			j.APIPorts[n.Name] = uint16(r.kubeadm[n.Name].Config.APIServer.Port)
		}
		j.Authorities[n.Name] = map[string][]string{}
		for _, f := range slices.Concat(r.controlPlaneCerts[own], r.etcdFiles[n.Name]) {
			switch {
			case f.Content.IsSensitive():
			case f.Path == preflight.KubernetesCA || f.Path == preflight.EtcdCA:
				j.Authorities[n.Name][f.Path] = preflight.CertificatesIn(string(f.Content.Bytes()))
			case f.Path == etcd.UnitPath:
				j.Units[n.Name] = string(f.Content.Bytes())
			}
		}
	}
	runtime := hostsetup.RuntimeOf(r.c).Program()
	switch source := r.Prerequisites.(type) {
	case software.Present:
		j.Runtime, j.Driver = runtime, runtime
	case software.Pushed:
		for _, f := range source.Files {
			if strings.HasPrefix(path.Base(f.Path), "kube") { // what is found by its name alone
				j.Programs = append(j.Programs, f.Path)
			}
		}
		j.Driver = runtime
	}
	return j
}

// Preflight checks every host, side by side, and what takes several to see:
// clocks, identities that are not unique, firewalls between hosts, a VIP that
// somebody else has. It takes one command on each host and, unless each is this
// cluster's own already, one more, which takes up to 2 seconds for paths that
// are blocked, and a second and three of keepalived's intervals, 3 seconds at least, to
// hear VRRP, with a connection through each control plane beside it. It changes
// nothing, but see preflight.Config.Disk.
//
// Plan's own first steps are the same, without the disk. Here hosts that
// cannot be reached are findings like all others. What is there of this very
// cluster is distinguished from what is there of another by its authorities; findings of
// Config.IgnorePreflight are left out here too.
//
// The Report holds every finding of every host. The error is that of a
// configuration that has no Transport, or ctx's. Report.Err makes an error of what must stop a run.
func (c *Cluster) Preflight(ctx context.Context, cfg preflight.Config) (*preflight.Report, error) {
	r, err := c.rendered()
	if err != nil {
		return nil, err
	}
	return preflight.Run(ctx, cfg, r.judge(), r.c.Nodes)
}
