package survey

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
	"github.com/quorate-dev/quorate/plan/ha/internal/readonly"
	"github.com/quorate-dev/quorate/transport"
)

// Config says how a survey is made.
type Config struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Timeout bounds what one host, and then etcd, may take. Default one minute.
	Timeout time.Duration
	// Now is the operator's clock. Default time.Now.
	Now func() time.Time
}

// Survey is a cluster as it was found. It is data, holds no secrets, and may be shown and
// kept; what hosts said in it has no control characters.
type Survey struct {
	// At is when it was made.
	At time.Time `json:"at"`
	// Cluster and Version are those of the description.
	Cluster string `json:"cluster"`
	Version string `json:"version"`
	// Hosts in the description's order.
	Hosts []Host `json:"hosts"`
	// API is what an API server said; nil if none answered.
	API *API `json:"api,omitempty"`
	// Etcd is what its members said; nil if none was read, as where kubeadm runs it.
	Etcd *Etcd `json:"etcd,omitempty"`
	// VIP is nil with an external load balancer.
	VIP *VIP `json:"vip,omitempty"`
	// Settings that the components run with, by the description's fields.
	Settings []Setting `json:"settings"`
	// Differences from the description.
	Differences []Difference `json:"differences"`
	// Findings are what is not as it should be, and Next is what to do, by verb.
	Findings []plan.Finding `json:"findings"`
	Next     []Next         `json:"next"`
}

// Host is one host as it was found.
type Host struct {
	Name string       `json:"name"`
	Role quorate.Role `json:"role"`
	// Unreachable says why nothing is known of it; empty if it answered.
	Unreachable string `json:"unreachable,omitempty"`
	// Kubeadm is how far a run of Quorate has come with it: "begun", "done", "reset", or
	// empty.
	Kubeadm string `json:"kubeadm,omitempty"`
	// Installed are versions by program, Running those of static pods by their images.
	Installed map[string]string `json:"installed,omitempty"`
	Running   map[string]string `json:"running,omitempty"`
	// Units by their names, as systemctl is-active says.
	Units map[string]string `json:"units,omitempty"`
	// Ready is what its API server says at its own address.
	Ready string `json:"ready,omitempty"`
	// HoldsVIP says that it has the address, Endpoint what answers it there.
	HoldsVIP bool   `json:"holdsVIP,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	// Certificates that are on it.
	Certificates []Certificate `json:"certificates,omitempty"`
	// Left are paths that an operation leaves which did not come to its end, and Aside
	// static pods whose manifests are not where the kubelet looks.
	Left  []string `json:"left,omitempty"`
	Aside []string `json:"aside,omitempty"`
}

// Certificate is one that is in a file, or that a server has presented.
type Certificate struct {
	Path string `json:"path"`
	// Subject, and SHA256 of the certificate in hex.
	Subject string `json:"subject"`
	SHA256  string `json:"sha256"`
	// Authority says that it signs others; a file with several is a trust set.
	Authority bool      `json:"authority,omitempty"`
	SANs      []string  `json:"sans,omitempty"`
	NotAfter  time.Time `json:"notAfter"`
}

// API is what one API server said.
type API struct {
	// Host whose API server it is.
	Host string `json:"host"`
	// Version in kubeadm-config; empty if that cannot be read, for the reason in Why.
	Version string `json:"version,omitempty"`
	Why     string `json:"why,omitempty"`
	Nodes   []Node `json:"nodes"`
}

// Node is one that the API has.
type Node struct {
	Name string       `json:"name"`
	Role quorate.Role `json:"role"`
	// Described says that the description has it.
	Described bool              `json:"described"`
	Ready     string            `json:"ready"`
	Kubelet   string            `json:"kubelet"`
	Cordoned  bool              `json:"cordoned,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Taints    []quorate.Taint   `json:"taints,omitempty"`
}

// Etcd is what its members said.
type Etcd struct {
	// Unchecked says why no member was asked, as that the transport makes no tunnels: nothing is
	// known of etcd then. Empty if they were asked.
	Unchecked string `json:"unchecked,omitempty"`
	// Quorum says that a majority of the voters is healthy.
	Quorum  bool     `json:"quorum"`
	Members []Member `json:"members"`
	// Alarms that are raised.
	Alarms []string `json:"alarms,omitempty"`
}

// Member is one of etcd's.
type Member struct {
	Name string `json:"name"`
	// ID in hex; empty for one that is described and no member.
	ID string `json:"id,omitempty"`
	// Described says that the description has it.
	Described bool `json:"described"`
	Learner   bool `json:"learner,omitempty"`
	Leader    bool `json:"leader,omitempty"`
	Healthy   bool `json:"healthy"`
	// Why it is not.
	Why     string `json:"why,omitempty"`
	Version string `json:"version,omitempty"`
	// Size of the database in bytes, and how much of it is in use.
	Size  int64 `json:"size,omitempty"`
	InUse int64 `json:"inUse,omitempty"`
	// Revision of its keys, and Hash of them at HashRevision, a revision that all who
	// answered have; two that differ have other data.
	Revision     int64  `json:"revision,omitempty"`
	HashRevision int64  `json:"hashRevision,omitempty"`
	Hash         string `json:"hash,omitempty"`
	// Presented is the certificate that it showed to clients.
	Presented *Certificate `json:"presented,omitempty"`
}

// VIP is who has the endpoint's address.
type VIP struct {
	Address string `json:"address"`
	// Holders are the hosts that have the address: exactly one, in a sound cluster.
	Holders []string `json:"holders"`
	// Answers are the hosts to which an API server answers there.
	Answers []string `json:"answers"`
}

// Setting is one that the description decides, in its stores.
type Setting struct {
	Path      string `json:"path"`
	Described string `json:"described"`
	API       string `json:"api"`
	// Files and Processes are by value: the hosts that have it.
	Files     []Value `json:"files,omitempty"`
	Processes []Value `json:"processes,omitempty"`
}

// Value is what some hosts have.
type Value struct {
	Value string   `json:"value"`
	Hosts []string `json:"hosts"`
}

// Next is something to do.
type Next struct {
	// Verb is "create" (ha.Cluster.Plan), Reconfigure, "reset" (PlanReset) or, for what no plan does,
	// "host", "description" or "by hand".
	Verb string `json:"verb"`
	Do   string `json:"do"`
}

//go:embed scripts/state.sh
var stateScript string

func (d Described) stateQuery(n quorate.Node) transport.Query {
	c := d.Cluster
	return plan.Script(addresses.Into(stateScript), map[string]string{
		"API_URL": d.APIServers[n.Name], "ETCD": c.Etcd.Binary,
		"VIP_URL": "https://" + c.Endpoint.HostPort(), "READY": quorate.ReadyPath(c.Version),
	})
}

// look is one host's part.
type look struct {
	node  quorate.Node
	err   error
	state state
	run   report
	api   *settings
}

const (
	defaultTimeout = time.Minute

	stateStep stepName = "state/"
	etcdStep  stepName = "etcd/"
)

// stepName is what the steps of a survey begin with; the node's name follows.
type stepName string

func (s stepName) on(node string) plan.ID { return plan.ID(string(s) + node) }

// Run surveys a cluster, on a plan.Runner: one round trip to each host, side by side, and one
// tunnel to each member of etcd, from the first control plane that can be reached. It changes
// nothing. A host that does not answer is a finding. The error is a *quorate.InvalidError of a
// Config without a Transport, or ctx's.
func Run(ctx context.Context, cfg Config, d Described) (*Survey, error) {
	if cfg.Transport == nil {
		var problems quorate.Problems
		problems.Refuse("transport", "missing: set the one that reaches the hosts")
		return nil, problems.Err("survey")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Survey{}
	looks := make([]look, len(d.Cluster.Nodes))
	p, err := plan.New(s.steps(cfg, d, looks)...)
	if err != nil {
		return nil, err
	}
	_, err = (&plan.Runner{Transport: unlisted{cfg.Transport}, DryRun: true}).Run(ctx, p)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.unread(d, looks, err)
	s.At, s.Cluster, s.Version = cfg.Now().UTC().Truncate(time.Second), d.Cluster.Name, d.Cluster.Version.String()
	reports := map[string]report{}
	var api *settings
	for _, l := range looks {
		s.Hosts = append(s.Hosts, l.host(d))
		if l.err != nil {
			continue
		}
		reports[l.node.Name] = l.run
		if api == nil && l.api != nil {
			api, s.API = l.api, apiOf(l.node.Name, *l.api, d.Cluster)
		}
	}
	s.vip(d.Cluster)
	s.Differences = d.compare(reports, api)
	s.Settings = d.settings(reports, api)
	s.judge(d.Cluster)
	return s, nil
}

// unlisted is a transport of which it is not asked which hosts it has: one that it has not
// is a finding.
type unlisted struct{ transport.Transport }

// steps read each host, and then etcd from the first control plane that was reached. Each
// step has its own part of looks, and what one fails by is found afterwards.
func (s *Survey) steps(cfg Config, d Described, looks []look) []plan.Step {
	var steps []plan.Step
	var read []plan.ID
	once := plan.Retry{Attempts: 1}
	for i, n := range d.Cluster.Nodes {
		looks[i].node = n
		read = append(read, stateStep.on(n.Name))
		queries := d.queries(n)
		steps = append(steps, plan.Step{
			ID: stateStep.on(n.Name), Title: "read the host", Host: n.Name, Alone: true, Timeout: cfg.Timeout, Retry: once,
			Action: readonly.Action{Kind: "quorate/survey-state", Queries: queries, Look: func(ctx context.Context, h *plan.Host) error {
				return looks[i].read(ctx, h, queries)
			}},
		})
	}
	if d.Cluster.Etcd.Stacked || d.EtcdTLS == nil {
		return steps
	}
	for _, n := range d.Cluster.ControlPlanes() {
		steps = append(steps, plan.Step{
			ID: etcdStep.on(n.Name), Title: "ask etcd", Host: n.Name, After: slices.Clone(read), Alone: true, Timeout: cfg.Timeout, Retry: once,
			Action: readonly.Action{Kind: "quorate/survey-etcd", Look: func(ctx context.Context, h *plan.Host) error {
				if s.Etcd == nil {
					s.Etcd = &Etcd{}
					s.Etcd.ask(ctx, cfg, d, h)
				}
				return nil
			}},
		})
		read = append(read, etcdStep.on(n.Name)) // one after another
	}
	return steps
}

// unread keeps why hosts could not be read, and why etcd could not be asked.
func (s *Survey) unread(d Described, looks []look, err error) {
	var failed *plan.RunError
	if !errors.As(err, &failed) {
		return
	}
	for _, f := range failed.Failed {
		i := slices.IndexFunc(looks, func(l look) bool { return f.Step == stateStep.on(l.node.Name) })
		if i >= 0 {
			looks[i].err = f.Err
			continue
		}
		if s.Etcd == nil || len(s.Etcd.Members) == 0 {
			s.Etcd = &Etcd{}
			s.Etcd.unasked(d, f.Err)
		}
	}
}

// queries are what a host is asked: what runs, in what state it is, and, on a control plane,
// what its API server says.
func (d Described) queries(n quorate.Node) []transport.Query {
	queries := []transport.Query{RunningQuery(), d.stateQuery(n)}
	if d.APIServers[n.Name] != "" {
		queries = append(queries, d.settingsQuery(n.Name))
	}
	return queries
}

// read reads the host, whose answers a Runner has asked for in one round trip.
func (l *look) read(ctx context.Context, h *plan.Host, queries []transport.Query) error {
	running, err := h.Ask(ctx, queries[0])
	if err != nil {
		return err
	}
	out, err := h.Ask(ctx, queries[1])
	if err != nil {
		return err
	}
	l.run, l.state = parseReport(running), parseState(out)
	if text := l.state.files[keepalivedConf]; text != "" {
		l.run.texts[keepalivedConf] = text
		delete(l.state.files, keepalivedConf)
	}
	if len(queries) < 3 || !l.run.has(hostpath.AdminConf) {
		return nil
	}
	list, err := h.Ask(ctx, queries[2])
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || len(list) == 0:
		return nil //nolint:nilerr // an API server that does not answer is a finding
	}
	api := parseSettings(list)
	l.api = &api
	return nil
}

// state is what state.sh printed.
type state struct {
	pairs [][2]string
	files map[string]string
}

// maxPairs bounds what is kept of one host, as maxFiles and maxText do.
const maxPairs = 4096

func parseState(out []byte) state {
	s := state{files: map[string]string{}}
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "/") {
			keepLine(s.files, line)
			continue
		}
		if key, value, _ := strings.Cut(line, "="); len(s.pairs) < maxPairs {
			s.pairs = append(s.pairs, [2]string{key, termsafe.Line(value)})
		}
	}
	return s
}

// host reads what its state says.
func (l *look) host(d Described) Host {
	h := Host{Name: l.node.Name, Role: l.node.Role}
	if l.err != nil {
		h.Unreachable = termsafe.Line(l.err.Error())
		return h
	}
	h.Kubeadm = termsafe.Line(l.run.mark)
	h.Installed, h.Running, h.Units = map[string]string{}, map[string]string{}, map[string]string{}
	for _, name := range []string{apiServer, controllerManager, scheduler, "etcd"} {
		if p, there := l.run.manifest(name); there {
			_, tag, _ := strings.Cut(path.Base(p.image), ":")
			h.Running[name] = termsafe.Line(tag)
		}
	}
	var vip netip.Addr
	if !d.Cluster.Endpoint.External {
		vip = d.Cluster.Endpoint.Address()
	}
	const most = 64
	for _, pair := range l.state.pairs {
		key, value := pair[0], pair[1]
		first, rest, _ := strings.Cut(value, " ")
		switch key {
		case "address":
			if o, ok := addresses.Parse(value); ok {
				h.HoldsVIP = h.HoldsVIP || o.Addr() == vip
			}
		case "unit":
			if len(h.Units) < most && rest != "" {
				h.Units[first] = rest
			}
		case "version":
			if words := strings.Fields(rest); len(words) > 0 && len(h.Installed) < most {
				h.Installed[first] = words[len(words)-1]
			}
		case "ready":
			h.Ready = value
		case "endpoint":
			h.Endpoint = value
		case "left":
			if len(h.Left) < most {
				h.Left = append(h.Left, value)
			}
		case "aside":
			if len(h.Aside) < most {
				h.Aside = append(h.Aside, value)
			}
		}
	}
	for _, file := range slices.Sorted(maps.Keys(l.state.files)) {
		h.Certificates = append(h.Certificates, certificates(termsafe.Line(file), l.state.files[file])...)
	}
	return h
}

// certificates reads those of a file: PEM, or the lines of a kubeconfig.
func certificates(file, text string) []Certificate {
	data := []byte(text)
	if _, encoded, ok := strings.Cut(text, "client-certificate-data: "); ok {
		data, _ = base64.StdEncoding.DecodeString(strings.TrimSpace(encoded)) // what is none has no certificate in it
	}
	var out []Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			return out
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, certificate(file, cert))
		}
	}
}

func certificate(file string, cert *x509.Certificate) Certificate {
	sum := sha256.Sum256(cert.Raw)
	c := Certificate{Path: file, Subject: termsafe.Line(cert.Subject.String()), SHA256: hex.EncodeToString(sum[:]), Authority: cert.IsCA, NotAfter: cert.NotAfter.UTC()}
	for _, name := range cert.DNSNames {
		c.SANs = append(c.SANs, termsafe.Line(name))
	}
	for _, ip := range cert.IPAddresses {
		c.SANs = append(c.SANs, ip.String())
	}
	return c
}

func apiOf(host string, found settings, c quorate.Cluster) *API {
	api := &API{Host: host, Why: termsafe.Line(found.why)}
	if found.cluster != nil {
		api.Version = found.cluster.Version.String()
	}
	for _, n := range found.nodes {
		one := Node{Name: termsafe.Line(n.Name), Role: quorate.Worker, Ready: termsafe.Line(n.Ready), Kubelet: termsafe.Line(n.Kubelet), Cordoned: n.Cordoned, Labels: map[string]string{}}
		if n.ControlPlane {
			one.Role = quorate.ControlPlane
		}
		for key, value := range n.Labels {
			one.Labels[termsafe.Line(key)] = termsafe.Line(value)
		}
		for _, t := range n.Taints {
			one.Taints = append(one.Taints, quorate.Taint{Key: termsafe.Line(t.Key), Value: termsafe.Line(t.Value), Effect: termsafe.Line(t.Effect)})
		}
		_, one.Described = c.Node(n.Name)
		api.Nodes = append(api.Nodes, one)
	}
	return api
}

// ask reads every member that is described, from one control plane.
func (e *Etcd) ask(ctx context.Context, cfg Config, d Described, h *plan.Host) {
	var endpoints []string
	for _, n := range d.Cluster.ControlPlanes() {
		endpoints = append(endpoints, d.memberURL(n))
	}
	presented := &presented{}
	config := d.EtcdTLS.Clone()
	config.VerifyConnection = presented.note
	client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: config, Dial: h.DialContext, Timeout: cfg.Timeout / 4})
	if err != nil {
		e.unknown(d, err)
		return
	}
	defer func() { _ = client.Close() }() // it has been used up
	status, err := client.Status(ctx)
	if err != nil {
		e.unknown(d, err)
		return
	}
	if why := untunnelled(status); why != nil {
		e.unasked(d, why)
		return
	}
	e.read(ctx, d, client, status, presented)
}

var errNoTunnels = errors.New("the transport makes no tunnels")

// untunnelled returns why no tunnel was made to any member, where that is the transport's
// doing and says nothing of etcd; else nil.
func untunnelled(status etcdclient.Status) (why error) {
	for _, at := range status.Endpoints {
		var panicked *etcdclient.DialPanicError
		switch {
		case errors.Is(at.Err, errors.ErrUnsupported):
			why = errNoTunnels
		case errors.As(at.Err, &panicked):
			why = fmt.Errorf("the transport's tunnels are broken: %w", panicked)
		default:
			return nil
		}
	}
	return why
}

// presented are the certificates that members showed: each is good for its own address.
type presented struct {
	mu  sync.Mutex
	all []Certificate
}

func (p *presented) note(state tls.ConnectionState) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(state.PeerCertificates) > 0 {
		p.all = append(p.all, certificate("", state.PeerCertificates[0]))
	}
	return nil
}

func (p *presented) by(address string) *Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.all {
		if slices.Contains(c.SANs, address) {
			return &c
		}
	}
	return nil
}

func (d Described) memberURL(n quorate.Node) string {
	scheme := "https"
	if d.Cluster.Etcd.PlainHTTP {
		scheme = "http"
	}
	return scheme + "://" + net.JoinHostPort(n.Address().String(), strconv.Itoa(d.Cluster.Etcd.ClientPort))
}

// unasked is unknown where the transport is why.
func (e *Etcd) unasked(d Described, err error) {
	e.Unchecked = termsafe.Line(err.Error())
	e.unknown(d, err)
}

// unknown has every member that is described, and why nothing is known of it.
func (e *Etcd) unknown(d Described, err error) {
	for _, n := range d.Cluster.ControlPlanes() {
		e.Members = append(e.Members, Member{Name: n.Name, Described: true, Why: termsafe.Line(err.Error())})
	}
}

func (e *Etcd) read(ctx context.Context, d Described, client *etcdclient.Client, status etcdclient.Status, shown *presented) {
	e.Quorum = status.Quorum()
	for _, a := range status.Alarms {
		e.Alarms = append(e.Alarms, fmt.Sprintf("%s of %x", termsafe.Line(string(a.Kind)), a.MemberID))
	}
	planes := d.Cluster.ControlPlanes()
	common := int64(0)
	for _, at := range status.Endpoints {
		if at.Answered && (common == 0 || at.Revision < common) {
			common = at.Revision
		}
	}
	seen := map[uint64]bool{}
	for i, at := range status.Endpoints {
		m := Member{
			Name: planes[i].Name, Described: true, Learner: at.Learner, Healthy: at.Healthy, Version: termsafe.Line(at.Version), Size: at.Size, InUse: at.SizeInUse,
			Revision: at.Revision, Presented: shown.by(planes[i].Address().String()),
		}
		if at.Err != nil {
			m.Why = termsafe.Line(at.Err.Error())
		}
		for _, known := range status.Members {
			if at.Answered && known.ID == at.ID || !at.Answered && known.Name == planes[i].Name {
				seen[known.ID] = true
				m.ID, m.Learner = strconv.FormatUint(known.ID, 16), known.Learner
			}
		}
		if at.Answered {
			m.Leader = at.Leader == at.ID
			if h, err := client.HashKV(ctx, at.Endpoint, common); err == nil {
				m.Hash, m.HashRevision = fmt.Sprintf("%08x", h.Hash), common
			}
		}
		e.Members = append(e.Members, m)
	}
	for _, known := range status.Members {
		if !seen[known.ID] {
			e.Members = append(e.Members, Member{Name: termsafe.Line(known.Name), ID: strconv.FormatUint(known.ID, 16), Learner: known.Learner,
				Why: termsafe.Line("at " + strings.Join(known.PeerURLs, " "))})
		}
	}
}

func (s *Survey) vip(c quorate.Cluster) {
	if c.Endpoint.External {
		return
	}
	s.VIP = &VIP{Address: c.Endpoint.Host, Holders: []string{}, Answers: []string{}}
	for _, h := range s.Hosts {
		if h.HoldsVIP {
			s.VIP.Holders = append(s.VIP.Holders, h.Name)
		}
		if h.Endpoint == "ok" {
			s.VIP.Answers = append(s.VIP.Answers, h.Name)
		}
	}
}
