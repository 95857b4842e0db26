package plan

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/vip"
)

// Certs is where a recipe takes certificates from. *pki.Bundle is one; a
// program with its own authority (Vault, an HSM) writes another and does not
// link cfssl. The files must be the same at every call.
type Certs interface {
	// EtcdMember gives what a node's etcd member needs, as etcd.Paths names it.
	// The etcd CA's key is never among it: it travels only where kubeadm runs
	// stacked members and signs for them itself, see ControlPlane.
	EtcdMember(node string) ([]quorate.File, error)
	// ControlPlane gives what a control plane needs in /etc/kubernetes/pki
	// before kubeadm runs; with stacked members etcd's authority, key and all.
	ControlPlane(node string) ([]quorate.File, error)
	// CAHashes are the discovery hashes of the Kubernetes CA's certificates.
	CAHashes() []string
	// EtcdClient is the operator's own client certificate for etcd.
	EtcdClient() (*tls.Config, error)
}

// HAConfig is everything that goes into a highly available cluster. Nothing in
// it comes from a host: authorities, tokens and hashes are made beforehand, so
// no step hands a value to a later one.
type HAConfig struct {
	Cluster quorate.Cluster
	Certs   Certs
	// Secrets of kubeadm: the bootstrap token, and how long it is valid. While a
	// node has yet to join, a token that has expired, or would within two hours
	// (half of a shorter life), is made anew; give every run the same one. The
	// CertificateKey must be empty: the recipe uploads no certificates.
	Kubeadm kubeadm.Secrets
	// VIPAuth is keepalived's password, of 8 characters (vip.NewAuth). Required
	// for a VIP held by VRRP version 2, not used otherwise: see
	// vip.Instance.Auth.
	VIPAuth quorate.Content
	// Prerequisites default to Present.
	Prerequisites Prerequisites
	// Manifests are applied in order once the API answers: a pod network,
	// first of all. None leaves the network to files on the hosts.
	Manifests []Manifest
	// Untaint lets ordinary pods run on the control planes.
	Untaint bool
	// IgnorePreflight names checks whose findings stop nothing and are not
	// reported, for hosts that are known to be as they are (docs/preflight.md).
	IgnorePreflight []Check
}

// Manifest is YAML for kubectl apply.
type Manifest struct {
	// Name tells manifests apart: "flannel". Required, unique.
	Name    string
	Content quorate.Content
}

// HA makes the plan that turns hosts into the described cluster:
//
//	preflight/NODE          reads every host before anything is done to any
//	looked                  every host has been read
//	surroundings/NODE       has hosts try paths, VIP and VRID if one of them is new
//	preflight               judges all of it, see docs/preflight.md
//	prerequisites/NODE/...  programs, kernel settings, container runtime
//	etcd-join/NODE          a member that a running cluster does without, since its
//	                        host is new, was reset or lost its disk: added as a
//	                        learner (from etcd 3.4 on), caught up, given its vote
//	etcd/NODE               the member's certificates, unit and start
//	etcd-health             quorum, over a tunnel, with the operator's certificate
//	haproxy/NODE            haproxy, where the endpoint has it
//	vip/NODE                keepalived
//	certificates/NODE       kubeadm's authorities
//	token/NODE              the bootstrap token anew if it has expired and the first
//	                        control plane is to join the others
//	init/NODE               kubeadm init on the first control plane, and on
//	                        every one before Kubernetes 1.12; kubeadm join on the
//	                        first too, where this cluster runs without it; the
//	                        bootstrap token anew if it has expired and a node is to join
//	manifest/NAME           the pod network and what else is given
//	join/NODE               kubeadm join; control planes one at a time, since a
//	                        new API server and its caches weigh on etcd, then
//	                        all workers at once
//	untaint                 on request
//	ready                   every node Ready at the described version
//
// Stacked members of etcd are kubeadm's: then there are no steps of etcd's own.
//
// The error holds every problem that the description's own validation finds or,
// if it finds none, every problem that each of the packages finds. No host is
// touched.
func HA(cfg HAConfig) (*Plan, error) {
	r, err := newRecipe(cfg)
	if err != nil {
		return nil, err
	}
	steps := r.preflightSteps()
	for _, n := range r.c.Nodes {
		prepared, err := r.prepare(n)
		if err != nil {
			return nil, err
		}
		steps = append(steps, prepared...)
	}
	steps = append(steps, r.etcdSteps()...)
	steps = append(steps, r.haproxySteps()...)
	steps = append(steps, r.vipSteps()...)
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, Step{
			ID: nodeID("certificates", n), Title: "place the cluster's authorities", Host: n.Name,
			After: []ID{r.prepared(n)}, Action: Deploy{Name: "certificates", Files: r.controlPlaneCerts[n.Name]},
		})
	}
	steps = append(steps, r.readmissions()...)
	for _, n := range r.c.Nodes {
		steps = append(steps, r.bootstrap(n))
	}
	steps = append(steps, r.clusterSteps()...)
	p, err := New(steps...)
	if err != nil {
		return nil, err
	}
	return p.WithSecrets(r.secrets()...), nil
}

// Files gives every file that the HA recipe puts on each host, by node and in
// the order of the recipe. Prerequisites are not among them.
func Files(cfg HAConfig) (map[string][]quorate.File, error) {
	r, err := newRecipe(cfg)
	if err != nil {
		return nil, err
	}
	out := map[string][]quorate.File{}
	for _, n := range r.c.Nodes {
		files := []quorate.File{newKernel(r.c).file()}
		files = append(files, r.etcdFiles[n.Name]...)
		files = append(files, r.haproxyFiles[n.Name]...)
		files = append(files, r.vipFiles[n.Name]...)
		files = append(files, r.controlPlaneCerts[n.Name]...)
		out[n.Name] = append(files, r.kubeadmFiles[n.Name]...)
	}
	return out, nil
}

// recipe is an HAConfig with everything rendered.
type recipe struct {
	HAConfig
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
	etcdTLS     *tls.Config
	members     []etcd.Member
	// lastPrepared is the last preparation of each node.
	lastPrepared map[string]ID
}

func newRecipe(cfg HAConfig) (*recipe, error) {
	if err := cfg.Cluster.Validate(); err != nil {
		return nil, err
	}
	var problems quorate.Problems
	if cfg.Certs == nil {
		problems.Refuse("certs", "missing: give a *pki.Bundle or your own source of certificates")
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
		if !slices.Contains(Checks(), c) {
			problems.Refuse(fmt.Sprintf("ignorePreflight[%d]", i), "%q is no name of a check: there are %v", c, Checks())
		}
	}
	if err := problems.Err("recipe"); err != nil {
		return nil, err
	}
	r := &recipe{
		HAConfig:          cfg,
		c:                 cfg.Cluster.WithDefaults(),
		etcdFiles:         map[string][]quorate.File{},
		haproxyFiles:      map[string][]quorate.File{},
		vipFiles:          map[string][]quorate.File{},
		controlPlaneCerts: map[string][]quorate.File{},
		kubeadmFiles:      map[string][]quorate.File{},
		kubeadm:           map[string]kubeadm.Node{},
		lastPrepared:      map[string]ID{},
	}
	if r.Prerequisites == nil {
		r.Prerequisites = Present{}
	}
	r.first = r.c.ControlPlanes()[0]
	if err := errors.Join(r.renderEtcd(), r.renderVIP(), r.renderKubeadm(), r.renderHAProxy()); err != nil {
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
		certs, err := r.Certs.EtcdMember(m.Name)
		if err != nil {
			return err
		}
		files, err := m.Files()
		if err != nil {
			return err
		}
		r.etcdFiles[m.Name] = append(certs, files...)
	}
	r.etcdTLS, err = r.Certs.EtcdClient()
	return err
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
	certs, err := r.Certs.ControlPlane(r.first.Name)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(certs, func(f quorate.File) bool { return f.Path == kubernetesCA })
	if at < 0 {
		var problems quorate.Problems
		problems.Refuse("certs", "ControlPlane(%q) has no %s, by which haproxy tells an API server from an impostor", r.first.Name, kubernetesCA)
		return problems.Err("recipe")
	}
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
	secrets.CAHashes = r.Certs.CAHashes()
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
	if err := r.renderRejoin(secrets); err != nil {
		return err
	}
	for _, n := range r.c.ControlPlanes() {
		if r.controlPlaneCerts[n.Name], err = r.Certs.ControlPlane(n.Name); err != nil {
			return err
		}
	}
	return nil
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

func nodeID(what string, n quorate.Node) ID { return ID(what + "/" + n.Name) }

func (r *recipe) ids(what string, nodes []quorate.Node) []ID {
	ids := make([]ID, 0, len(nodes))
	for _, n := range nodes {
		ids = append(ids, nodeID(what, n))
	}
	return ids
}

// prepare chains a node's preparations, all after the preflight of every host.
func (r *recipe) prepare(n quorate.Node) ([]Step, error) {
	preparations, err := r.Prerequisites.Prepare(r.c, n)
	if err != nil {
		return nil, err
	}
	preparations = append(preparations, Preparation{
		Name: "kernel", Title: "set what the kernel must do", Action: newKernel(r.c),
	})
	after := []ID{preflightStep}
	var steps []Step
	for _, p := range preparations {
		id := ID("prerequisites/" + n.Name + "/" + p.Name)
		steps = append(steps, Step{
			ID: id, Title: cmp.Or(p.Title, p.Name), Host: n.Name, After: after, Timeout: p.Timeout, Action: p.Action,
		})
		after = []ID{id}
	}
	r.lastPrepared[n.Name] = after[0]
	return steps, nil
}

func (r *recipe) prepared(n quorate.Node) ID { return r.lastPrepared[n.Name] }

// etcdSteps start the members once every control plane has what it needs: the
// cluster could not come into being without all of them anyway. They start
// without waiting, since a member is up only when enough others are; a restart
// of one that runs holds the quorum's lock until it serves again. Who joins a
// cluster that runs goes first, and waits.
func (r *recipe) etcdSteps() []Step {
	if r.c.Etcd.Stacked {
		return nil
	}
	var steps []Step
	var prepared []ID
	for _, n := range r.c.ControlPlanes() {
		prepared = append(prepared, r.prepared(n))
	}
	for i, n := range r.c.ControlPlanes() {
		steps = append(steps, Step{
			ID: nodeID("etcd-join", n), Title: "join etcd, if it runs without this member", Host: n.Name,
			After: prepared, Locks: []string{etcdQuorum},
			Action: joinMember{others: r.othersOf(n.Name), member: r.members[i], deploy: r.etcdDeploy(n)},
		})
	}
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, Step{
			ID: nodeID("etcd", n), Title: "run the etcd member", Host: n.Name,
			After: r.ids("etcd-join", r.c.ControlPlanes()), Locks: []string{etcdQuorum},
			Action: r.etcdDeploy(n),
		})
	}
	return append(steps, Step{
		ID: "etcd-health", Title: "wait for etcd's quorum", Host: r.first.Name, Timeout: 2 * time.Minute,
		After:  r.ids("etcd", r.c.ControlPlanes()),
		Action: etcdHealthy{tls: r.etcdTLS, members: r.members},
	})
}

// haproxySteps restart one at a time: what the VIP's holder has passed on is
// connected anew.
func (r *recipe) haproxySteps() []Step {
	if r.c.Endpoint.LoadBalancer != quorate.HAProxy {
		return nil
	}
	var steps []Step
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, Step{
			ID: nodeID("haproxy", n), Title: "run haproxy", Host: n.Name, After: []ID{r.prepared(n)}, Locks: []string{"haproxy"},
			Action: r.haproxyDeploy(n),
		})
	}
	return steps
}

func (r *recipe) haproxyDeploy(n quorate.Node) Deploy {
	return Deploy{Name: "haproxy", Files: r.haproxyFiles[n.Name], Units: []Unit{{Name: "haproxy.service"}}}
}

// etcdQuorum is held by whatever changes who votes in etcd or stops one who does.
const etcdQuorum = "etcd-quorum"

func (r *recipe) etcdDeploy(n quorate.Node) Deploy {
	return Deploy{
		Name: "etcd", Files: r.etcdFiles[n.Name], Units: []Unit{{Name: etcd.UnitName, NoBlock: true}},
		made: []string{r.c.Etcd.DataDir + "/member"},
	}
}

func (r *recipe) vipSteps() []Step {
	if r.c.Endpoint.External {
		return nil
	}
	var steps []Step
	for _, n := range r.c.ControlPlanes() {
		steps = append(steps, Step{
			ID: nodeID("vip", n), Title: "run keepalived", Host: n.Name, After: []ID{r.prepared(n)},
			Action: r.vipDeploy(n),
		})
	}
	return steps
}

func (r *recipe) vipDeploy(n quorate.Node) Deploy {
	return Deploy{Name: "keepalived", Files: r.vipFiles[n.Name], Units: []Unit{{Name: "keepalived.service"}}}
}

// initialises reports whether a node is told kubeadm init, and not join.
func (r *recipe) initialises(n quorate.Node) bool { return r.kubeadm[n.Name].Config.Init != nil }

func (r *recipe) bootstrapID(n quorate.Node) ID {
	if r.initialises(n) {
		return nodeID("init", n)
	}
	return nodeID("join", n)
}

// bootstrap is kubeadm init or join. The first control plane comes before all
// others, and the others, one after another, before the workers.
func (r *recipe) bootstrap(n quorate.Node) Step {
	b := bootstrap{
		config: r.kubeadmFiles[n.Name], argv: r.kubeadm[n.Name].Command(), endpoint: r.c.Endpoint.HostPort(),
		node: n.Name, reset: resetCommand(r.c), certs: r.controlPlaneCerts[n.Name],
	}
	s := Step{ID: r.bootstrapID(n), Host: n.Name, Timeout: 10 * time.Minute, After: []ID{r.prepared(n)}}
	label := kubeadm.ControlPlaneLabel(r.c.Version)
	if n.Role == quorate.ControlPlane {
		s.After = append(s.After, nodeID("certificates", n))
		if !r.c.Etcd.Stacked {
			s.After = append(s.After, "etcd-health")
		}
		if !r.c.Endpoint.External {
			s.After = append(s.After, nodeID("vip", n))
		}
		if r.c.Endpoint.LoadBalancer == quorate.HAProxy {
			s.After = append(s.After, nodeID("haproxy", n))
		}
	}
	if n.Name != r.first.Name {
		s.After = append(s.After, r.bootstrapID(r.first))
		if n.Role == quorate.ControlPlane {
			s.Locks = []string{"join"}
		} else {
			for _, cp := range r.c.ControlPlanes()[1:] {
				s.After = append(s.After, r.bootstrapID(cp))
			}
		}
	}
	b.needs = adminConf
	switch {
	case n.Name == r.first.Name:
		b.instead = r.instead(b)
		s.Title, b.check = "initialise the cluster", initState
		b.args = []string{r.localURL(n), "https://" + r.c.Endpoint.HostPort() + r.healthPath(), n.Name, label}
		var joining []quorate.Node
		for _, other := range r.c.Nodes {
			if !r.initialises(other) {
				joining = append(joining, other)
			}
		}
		b.nodes, b.token = r.listNodes(n), r.bootstrapToken(joining...)
		s.After = append(s.After, r.ids("token", r.readmitters())...)
	case r.initialises(n):
		s.Title, b.check = "initialise another control plane", initState
		b.args = []string{r.localURL(n), "", n.Name, label}
		b.nodes = r.listNodes(n)
	default:
		s.Title, b.check, b.after = "join the cluster", joinState, registered
		b.args, b.needs = []string{n.Name, string(n.Role), label}, "/etc/kubernetes/kubelet.conf"
	}
	s.Action = b
	return s
}

// instead is how the first control plane comes into a cluster that is there: as
// the others do. Nil without others.
func (r *recipe) instead(b bootstrap) *bootstrap {
	switch {
	case r.rejoin == nil && len(r.c.ControlPlanes()) == 1:
		return nil
	case r.rejoin == nil: // every control plane is initialised
		return &b
	}
	b.config, b.argv, b.after = r.rejoinFiles, r.rejoin.Command(), registered
	b.args = []string{b.node}
	return &b
}

// healthPath is where an API server tells that it is well: /readyz came with 1.16.
func (r *recipe) healthPath() string {
	if r.c.Version.AtLeast(1, 16) {
		return "/readyz"
	}
	return "/healthz"
}

// localURL is the API server of a control plane itself, whatever the endpoint
// leads to.
func (r *recipe) localURL(n quorate.Node) string {
	server := r.kubeadm[n.Name].Config.APIServer
	return "https://" + netip.AddrPortFrom(server.Address, uint16(server.Port)).String()
}

// listNodes asks the API server of a control plane itself for the nodes.
func (r *recipe) listNodes(n quorate.Node) []string { return listNodes(r.localURL(n), r.c.Version) }

// clusterSteps are what the API server does for the recipe, asked from the
// first control plane.
func (r *recipe) clusterSteps() []Step {
	host, initialised := r.first.Name, r.bootstrapID(r.first)
	list := r.listNodes(r.first)
	var all []ID
	for _, n := range r.c.Nodes {
		all = append(all, r.bootstrapID(n))
	}
	var steps []Step
	after := []ID{initialised}
	for _, m := range r.Manifests {
		id := ID("manifest/" + m.Name)
		steps = append(steps, Step{
			ID: id, Title: "apply " + m.Name, Host: host, After: after, Action: applyManifest{m.Name, m.Content, !r.c.Version.AtLeast(1, 18)},
		})
		after = []ID{id}
	}
	if r.Untaint {
		var names []string
		for _, n := range r.c.ControlPlanes() {
			names = append(names, n.Name)
		}
		steps = append(steps, Step{
			ID: "untaint", Title: "let pods run on control planes", Host: host, After: all, Action: untaint{names, kubeadm.ControlPlaneTaints(r.c.Version), list},
		})
	}
	return append(steps, Step{
		ID: "ready", Title: "wait until every node is Ready", Host: host, Timeout: 6 * time.Minute,
		After: slices.Concat(after, all), Action: nodesReady{cluster: r.c, list: list},
	})
}
