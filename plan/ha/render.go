package ha

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan/ha/internal/certcheck"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/software"
	"github.com/quorate-dev/quorate/vip"
)

// recipe is an HAConfig with everything rendered.
type recipe struct {
	Config
	c                 quorate.Cluster
	first             quorate.Node
	etcdFiles         map[string][]quorate.File
	haproxyFiles      map[string][]quorate.File
	vipFiles          map[string][]quorate.File
	controlPlaneCerts map[string][]quorate.File
	kubeadmFiles      map[string][]quorate.File
	kubeadm           map[string]kubeadm.Node
	// rejoin has the first control plane join a cluster that runs without it; nil
	// where it is the only one, or where all are initialised.
	rejoin      *kubeadm.Node
	rejoinFiles []quorate.File
	certs       *certcheck.Set
	etcdTLS     *tls.Config
	members     []etcd.Member
	// preparations of each node, the kernel's last.
	preparations map[string][]software.Preparation
}

func newRecipe(ctx context.Context, cfg Config) (*recipe, error) {
	if err := cfg.Cluster.Validate(); err != nil {
		return nil, err
	}
	var problems quorate.Problems
	if cfg.Certs == nil {
		problems.Refuse("certs", "missing: set a *pki.Bundle or your own source of certificates")
	}
	seen := map[string]bool{}
	for i, m := range cfg.Manifests {
		if m.Name == "" || seen[m.Name] {
			problems.Refuse(fmt.Sprintf("manifests[%d].name", i), "%q: every manifest needs a name of its own", m.Name)
		}
		seen[m.Name] = true
	}
	if cfg.Kubeadm.CertificateKey.Len() > 0 {
		problems.Refuse("kubeadm.certificateKey", "leave it out: the recipe places every control plane's certificates itself, and what kubeadm "+
			"uploads expires after two hours and would put the first one's own on all others")
	}
	for i, c := range cfg.IgnorePreflight {
		if !slices.Contains(preflight.Names(), c) {
			problems.Refuse(fmt.Sprintf("ignorePreflight[%d]", i), "%q is no name of a check: there are %v", c, preflight.Names())
		}
	}
	if err := problems.Err("recipe"); err != nil {
		return nil, err
	}
	r := &recipe{
		Config:       cfg,
		c:            cfg.Cluster.WithDefaults(),
		etcdFiles:    map[string][]quorate.File{},
		haproxyFiles: map[string][]quorate.File{},
		vipFiles:     map[string][]quorate.File{},
		kubeadmFiles: map[string][]quorate.File{},
		kubeadm:      map[string]kubeadm.Node{},
		preparations: map[string][]software.Preparation{},
	}
	if r.Prerequisites == nil {
		r.Prerequisites = software.Present{}
	}
	r.first = r.c.ControlPlanes()[0]
	var err error
	if r.certs, err = certcheck.Collect(ctx, r.c, cfg.Certs); err != nil {
		return nil, err
	}
	r.controlPlaneCerts = r.certs.ControlPlane
	r.etcdTLS = r.certs.EtcdClient
	if err := errors.Join(r.renderEtcd(), r.renderVIP(), r.renderKubeadm(), r.renderHAProxy()); err != nil {
		return nil, err
	}
	if err := r.renderPreparations(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *recipe) renderEtcd() (err error) {
	if r.c.Etcd.Stacked {
		return nil // kubeadm's
	}
	if r.members, err = etcd.Members(r.c); err != nil {
		return err
	}
	for _, m := range r.members {
		files, err := m.Files()
		if err != nil {
			return err
		}
		r.etcdFiles[m.Name] = slices.Concat(r.certs.EtcdMember[m.Name], files)
	}
	return nil
}

func (r *recipe) renderVIP() error {
	if r.c.Endpoint.External {
		return nil
	}
	instances, err := vip.Instances(r.c, r.VIPAuth)
	if err != nil {
		return err
	}
	for _, i := range instances {
		if r.vipFiles[i.Node], err = i.Files(); err != nil {
			return err
		}
	}
	return nil
}

func (r *recipe) renderHAProxy() error {
	if r.c.Endpoint.LoadBalancer != quorate.HAProxy {
		return nil
	}
	certs := r.controlPlaneCerts[r.first.Name]
	at := slices.IndexFunc(certs, func(f quorate.File) bool { return f.Path == preflight.KubernetesCA })
	haproxies, err := vip.HAProxies(r.c, certs[at].Content)
	if err != nil {
		return err
	}
	for _, h := range haproxies {
		if r.haproxyFiles[h.Node], err = h.Files(); err != nil {
			return err
		}
	}
	return nil
}

func (r *recipe) renderKubeadm() error {
	secrets := r.Kubeadm
	secrets.CAHashes = r.certs.CAHashes
	nodes, err := kubeadm.Nodes(r.c, secrets)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if r.kubeadmFiles[n.Name], err = n.Files(); err != nil {
			return err
		}
		r.kubeadm[n.Name] = n
	}
	return r.renderRejoin(secrets)
}

// renderRejoin renders the first control plane as if it came after another.
func (r *recipe) renderRejoin(secrets kubeadm.Secrets) error {
	if planes := r.c.ControlPlanes(); len(planes) == 1 || kubeadm.ControlPlanesInit(r.c.Version) {
		return nil
	}
	c := r.c
	c.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n quorate.Node) bool { return n.Name == r.first.Name })
	c.Nodes = append(c.Nodes, r.first)
	nodes, err := kubeadm.Nodes(c, secrets)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(nodes, func(n kubeadm.Node) bool { return n.Name == r.first.Name })
	r.rejoin = &nodes[i]
	r.rejoinFiles, err = r.rejoin.Files()
	return err
}

// renderPreparations makes the preparations of each node, the kernel's among
// them.
func (r *recipe) renderPreparations() error {
	for _, n := range r.c.Nodes {
		preparations, err := r.Prerequisites.Prepare(r.c, n)
		if err != nil {
			return err
		}
		r.preparations[n.Name] = append(preparations, software.Preparation{
			Name: PrerequisiteKernel, Title: "set what the kernel must do", Action: hostsetup.KernelOf(r.c),
		})
	}
	return nil
}
