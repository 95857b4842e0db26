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
	"github.com/quorate-dev/quorate/plan/ha/internal/guard"
	"github.com/quorate-dev/quorate/transport"
)

// Config says how a survey is made.
type Config struct {
	// Transport reaches the hosts. Required.
	Transport transport.Transport
	// Timeout bounds what one host, and then etcd, may take. Default 30 seconds.
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
	// Verb is "create" (ha.Cluster.Plan), "reset" (PlanReset) or, for what no plan does,
	// "host", "description" or "by hand".
	Verb string `json:"verb"`
	Do   string `json:"do"`
}

//go:embed scripts/state.sh
var stateScript string

func (d Described) stateQuery(n quorate.Node) transport.Query {
	c := d.Cluster
	vars := map[string]string{
		"API_URL": "", "ETCD": c.Etcd.Binary,
		"VIP_URL": "https://" + c.Endpoint.HostPort(), "READY": quorate.ReadyPath(c.Version),
	}
	if n.Role == quorate.ControlPlane {
		vars["API_URL"] = "https://" + netip.AddrPortFrom(n.Address(), uint16(c.Endpoint.APIServerPort())).String()
	}
	return plan.Script(stateScript, vars)
}

// look is one host's part.
type look struct {
	node  quorate.Node
	conn  transport.Conn
	err   error
	state []byte
	run   report
	list  []byte
}

const defaultTimeout = 30 * time.Second

// Run surveys a cluster: one round trip to each host, side by side, and one tunnel to each
// member of etcd, from the first control plane that can be reached. It changes nothing. A
// host that does not answer is a finding. The error is that of a Config without a Transport,
// or ctx's.
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
	looks := make([]look, len(d.Cluster.Nodes))
	defer func() {
		for _, l := range looks {
			if l.conn != nil {
				_ = guard.Do(l.conn.Close) // it has been used up
			}
		}
	}()
	const parallel = 64
	places := make(chan struct{}, parallel)
	var all sync.WaitGroup
	for i, n := range d.Cluster.Nodes {
		looks[i].node = n
		places <- struct{}{}
		all.Go(func() {
			defer func() { <-places }()
			l := &looks[i]
			l.err = errEnded // unless gather returns
			l.err = l.gather(ctx, cfg, d)
		})
	}
	all.Wait()
	s := &Survey{At: cfg.Now().UTC().Truncate(time.Second), Cluster: d.Cluster.Name, Version: d.Cluster.Version.String()}
	reports := map[string]report{}
	var api *settings
	for _, l := range looks {
		s.Hosts = append(s.Hosts, l.host(d))
		if l.err != nil {
			continue
		}
		reports[l.node.Name] = l.run
		if api == nil && len(l.list) > 0 {
			found := parseSettings(l.list)
			api, s.API = &found, apiOf(l.node.Name, found, d.Cluster)
		}
	}
	s.etcd(ctx, cfg, d, looks)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s.vip(d.Cluster)
	s.Differences = d.compare(reports, api)
	s.Settings = d.settings(reports, api)
	s.judge(d.Cluster)
	return s, nil
}

// errEnded is of a host whose transport has ended the goroutine that asked it.
var errEnded = errors.New("the transport ended the goroutine that called it")

// gather reads the host. A panic of the transport is an error like any other.
func (l *look) gather(ctx context.Context, cfg Config, d Described) (err error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	if l.conn, err = guard.Dial(ctx, cfg.Transport, l.node.Name); err != nil {
		return err
	}
	queries := []transport.Query{runningQuery(), d.stateQuery(l.node)}
	if list := d.API[l.node.Name]; list != nil {
		queries = append(queries, transport.Query{Argv: list, Needs: hostpath.AdminConf})
	}
	var got transport.Gathered
	err = guard.Do(func() (err error) {
		got, err = transport.GathererOf(l.conn).Gather(ctx, nil, queries)
		return err
	})
	var fault *plan.PanicError
	switch {
	case errors.As(err, &fault):
		return fmt.Errorf("read %s by the transport: %w", l.node.Name, err)
	case err != nil:
		return err
	case len(got.Answers) != len(queries):
		return fmt.Errorf("%s: the transport returned %d answers to %d queries", l.node.Name, len(got.Answers), len(queries))
	case !got.Answers[0].OK:
		return fmt.Errorf("%s: the host did not answer by a POSIX shell", l.node.Name)
	}
	l.run, l.state = parseReport(got.Answers[0].Stdout), got.Answers[1].Stdout
	if text := parseReport(l.state).texts[keepalivedConf]; text != "" {
		l.run.texts[keepalivedConf] = text
	}
	if len(got.Answers) > 2 {
		l.list = got.Answers[2].Stdout
	}
	return nil
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
	vip := ""
	if !d.Cluster.Endpoint.External {
		vip = d.Cluster.Endpoint.Address().String()
	}
	files := map[string]string{}
	const most = 64
	for line := range strings.Lines(string(l.state)) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "/") {
			if file, text, ok := strings.Cut(line, ":"); ok && file != keepalivedConf && len(files[file])+len(text) < maxText && (files[file] != "" || len(files) < most) {
				files[file] += text + "\n"
			}
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		value = termsafe.Line(value)
		first, rest, _ := strings.Cut(value, " ")
		switch key {
		case "address":
			h.HoldsVIP = h.HoldsVIP || value == vip && vip != ""
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
	for _, file := range slices.Sorted(keys(files)) {
		h.Certificates = append(h.Certificates, certificates(termsafe.Line(file), files[file])...)
	}
	return h
}

func keys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
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

// etcd reads every member that is described, from one control plane.
func (s *Survey) etcd(ctx context.Context, cfg Config, d Described, looks []look) {
	if d.Cluster.Etcd.Stacked || d.EtcdTLS == nil {
		return
	}
	var via transport.Conn
	for _, l := range looks {
		if l.err == nil && l.node.Role == quorate.ControlPlane {
			via = l.conn
			break
		}
	}
	if via == nil {
		return
	}
	s.Etcd = &Etcd{}
	var dial transport.Dialer
	ok := false
	if err := guard.Do(func() error {
		dial, ok = transport.As[transport.Dialer](via)
		return nil
	}); err != nil {
		s.Etcd.unasked(d, err)
		return
	}
	var endpoints []string
	for _, n := range d.Cluster.ControlPlanes() {
		endpoints = append(endpoints, d.memberURL(n))
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	presented := &presented{}
	config := d.EtcdTLS.Clone()
	config.VerifyConnection = presented.note
	if !ok {
		s.Etcd.unasked(d, errNoTunnels)
		return
	}
	client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: config, Dial: dial.DialContext, Timeout: cfg.Timeout / 4})
	if err != nil {
		s.Etcd.unknown(d, err)
		return
	}
	defer func() { _ = client.Close() }() // it has been used up
	status, err := client.Status(ctx)
	if err != nil {
		s.Etcd.unknown(d, err)
		return
	}
	if why := untunnelled(status); why != nil {
		s.Etcd.unasked(d, why)
		return
	}
	s.Etcd.read(ctx, d, client, status, presented)
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
