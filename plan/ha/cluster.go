package ha

import (
	"context"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
)

// Cluster is a Config with everything rendered: every plan for the cluster is
// made from it. It does not change, and is safe for concurrent use. New makes one: of a nil
// or zero Cluster the methods return a *quorate.InvalidError, and those without an error
// the zero value.
type Cluster struct{ recipe *recipe }

// New renders a Config. The error holds every problem that the
// description's own validation finds or, if it finds none, every problem that
// each of the packages finds. No host is touched; ctx is for cfg.Certs, which may
// ask somebody else.
func New(ctx context.Context, cfg Config) (*Cluster, error) {
	r, err := newRecipe(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Cluster{recipe: r}, nil
}

// rendered returns what New has made.
func (c *Cluster) rendered() (*recipe, error) {
	if c == nil || c.recipe == nil {
		var problems quorate.Problems
		problems.Refuse("cluster", "missing: use the *Cluster that ha.New returned, after its error has been looked at")
		return nil, problems.Err("recipe")
	}
	return c.recipe, nil
}

// Files returns every file that Plan puts on each host, by node and in the
// order of the steps. Prerequisites are not among them.
func (c *Cluster) Files() map[string][]quorate.File {
	r, err := c.rendered()
	if err != nil {
		return nil
	}
	out := map[string][]quorate.File{}
	for _, n := range r.c.Nodes {
		files := []quorate.File{hostsetup.KernelOf(r.c).File()}
		files = append(files, r.etcdFiles[n.Name]...)
		files = append(files, r.haproxyFiles[n.Name]...)
		files = append(files, r.vipFiles[n.Name]...)
		files = append(files, r.controlPlaneCerts[n.Name]...)
		out[n.Name] = append(files, r.kubeadmFiles[n.Name]...)
	}
	return out
}
