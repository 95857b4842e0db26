package vip

import (
	"bytes"
	"cmp"
	"crypto/x509"
	_ "embed" // the template
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"text/template"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/syntax"
)

// Where the files of a HAProxy are on its host.
const (
	// HAProxyConfigPath is what the distributions' haproxy.service reads.
	HAProxyConfigPath = "/etc/haproxy/haproxy.cfg"
	// HAProxyCAPath holds the authority of the API servers' certificates. It is
	// haproxy's own copy: with one below /etc/kubernetes/pki haproxy would not
	// start on a host that `kubeadm reset` has cleared, and a new authority would
	// not restart it.
	HAProxyCAPath = "/etc/haproxy/kubernetes-ca.crt"
	// HAProxyDropInPath has systemd start haproxy again whatever ended it, which
	// not every distribution's unit does.
	HAProxyDropInPath = hostpath.SystemdUnits + "/haproxy.service.d/quorate.conf"
)

// The oldest haproxy that takes the configuration: 2.4, of 2021,
// is what Ubuntu 22.04 and RHEL 9 have. The tests run 2.6.
const (
	MinHAProxyMajor = 2
	MinHAProxyMinor = 4
)

// The figures of a HAProxy; the package comment has their reasons.
const (
	haproxyInterval     = time.Second
	haproxyFastInterval = 300 * time.Millisecond
	haproxyCheckTimeout = 800 * time.Millisecond
	haproxyFall         = 3
	haproxyRise         = 2
)

// DefaultMaxConn is what 2000 nodes need at connectionsPerNode each, and takes
// 16 thousand open files, as many as root may have anywhere. Kubernetes is made
// for 5000 nodes: for more than 2000, HAProxies sets more.
const DefaultMaxConn = 8000

// connectionsPerNode are those of kubelet, kube-proxy, the pod network and one
// more. The VIP's holder has them all.
const connectionsPerNode = 4

var (
	//go:embed haproxy.cfg.tmpl
	haproxyText     string
	haproxyTemplate = template.Must(template.New(HAProxyConfigPath).Option("missingkey=error").Parse(haproxyText))
)

const haproxyDropIn = `# All that reaches the Kubernetes API comes through here.
[Unit]
StartLimitIntervalSec=0

[Service]
Restart=always
RestartSec=100ms
`

// HAProxy is haproxy on one control plane, in front of all API servers.
// HAProxies makes it from a Cluster; a program may as well fill it in by hand.
// It is a quorate.Artifact, a value, and safe for concurrent use while nobody
// changes it.
type HAProxy struct {
	// Node is the host's name, one of the Backends. Required.
	Node string
	// Endpoint whose LoadBalancer is quorate.HAProxy, the same on every node.
	// haproxy listens on its Port, on every address of the host.
	Endpoint quorate.Endpoint
	// Addresses of the host: haproxy listens on all addresses of their families.
	// Required.
	Addresses []netip.Addr
	// Backends are all API servers, the node's own among them, in the same order
	// on every node. Required.
	Backends []Backend
	// Kubernetes is the version of the API servers, which decides what the check
	// requires of them. Zero means the newest.
	Kubernetes quorate.Version
	// CA holds the certificates, in PEM, of the authority that signed the API
	// servers'. Required.
	CA quorate.Content
	// MaxConn is how many connections there may be at once. haproxy needs twice
	// as many open files, and does not start where it may not have them. Default
	// DefaultMaxConn.
	MaxConn int
}

// Backend is one API server.
type Backend struct {
	// Name of its node, which its certificate has as a DNS name. Required.
	Name string
	// Address of its node that it listens on, at Endpoint.APIServerPort.
	// Required.
	Address netip.Addr
}

var _ quorate.Artifact = HAProxy{}

// HAProxies returns the haproxy of each control plane, in the order of the nodes,
// and none unless c's endpoint has it as its LoadBalancer. ca holds the
// certificates of the authority that signs the API servers'. The error is the
// *quorate.InvalidError of c.Validate, or of the instances where they know more.
func HAProxies(c quorate.Cluster, ca quorate.Content) ([]HAProxy, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.WithDefaults()
	if c.Endpoint.LoadBalancer != quorate.HAProxy {
		return nil, nil
	}
	nodes := c.ControlPlanes()
	backends := make([]Backend, len(nodes))
	for i, n := range nodes {
		backends[i] = Backend{n.Name, n.Address()}
	}
	out := make([]HAProxy, len(nodes))
	for i, n := range nodes {
		out[i] = HAProxy{
			Node: n.Name, Endpoint: c.Endpoint, Addresses: n.Addresses,
			Backends: slices.Clone(backends), Kubernetes: c.Version, CA: ca,
			MaxConn: max(DefaultMaxConn, connectionsPerNode*len(c.Nodes)),
		}
		if err := out[i].Validate(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Validate returns nil or a *quorate.InvalidError with every error that Problems
// finds.
func (h HAProxy) Validate() error { return h.Problems().Err(fmt.Sprintf("haproxy on %q", h.Node)) }

// Problems is everything that is wrong with it, warnings included, by the names
// of its fields in lower camel case.
func (h HAProxy) Problems() quorate.Problems {
	var p quorate.Problems
	if !syntax.IsSubdomain(h.Node) {
		p.Refuse("node", "%q is no RFC 1123 subdomain", h.Node)
	}
	if h.Endpoint.LoadBalancer == "" {
		p.Refuse("endpoint.loadBalancer", "is required: want %s", quorate.HAProxy)
	}
	checkEndpoint(&p, h.Endpoint)
	if len(h.Addresses) == 0 {
		p.Refuse("addresses", "none: of which families is haproxy to listen?")
	}
	for i, a := range h.Addresses {
		usable(&p, fmt.Sprintf("addresses[%d]", i), a)
	}
	h.backends(&p)
	h.ca(&p)
	if h.MaxConn < 0 {
		p.Refuse("maxConn", "%d: want 1 or more, or 0 for %d", h.MaxConn, DefaultMaxConn)
	}
	return p
}

func (h HAProxy) backends(p *quorate.Problems) {
	for i, b := range h.Backends {
		at := fmt.Sprintf("backends[%d]", i)
		if !syntax.IsSubdomain(b.Name) {
			p.Refuse(at+".name", "%q is no RFC 1123 subdomain", b.Name)
		}
		if usable(p, at+".address", b.Address) && b.Address == h.Endpoint.Address() {
			p.Refuse(at+".address", "%s is the VIP: a VIP is nobody's own address", b.Address)
		}
		for j, earlier := range h.Backends[:i] {
			if earlier.Name == b.Name {
				p.Refuse(at+".name", "%q is that of backends[%d]", b.Name, j)
			}
			if earlier.Address == b.Address && b.Address.IsValid() {
				p.Refuse(at+".address", "%s is that of backends[%d]", b.Address, j)
			}
		}
	}
	if _, there := h.own(); !there {
		p.Refuse("backends", "%q is not among them", h.Node)
	}
}

func (h HAProxy) ca(p *quorate.Problems) {
	rest := h.CA.Bytes()
	if h.CA.IsSensitive() {
		p.Refuse("ca", "is marked as a secret: pass the authority's certificate alone, without its key")
		return
	}
	for n := 0; ; n++ {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if n == 0 {
				p.Refuse("ca", "holds no certificate in PEM: without it any server would pass for an API server")
			} else if len(bytes.TrimSpace(rest)) > 0 {
				p.Refuse("ca", "holds something else than PEM after %d certificates", n)
			}
			return
		}
		if block.Type != "CERTIFICATE" {
			p.Refuse("ca", "block %d is %q, want certificates alone", n+1, block.Type)
		} else if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			p.Refuse("ca", "certificate %d: %v", n+1, err)
		}
	}
}

func (h HAProxy) own() (Backend, bool) {
	i := slices.IndexFunc(h.Backends, func(b Backend) bool { return b.Name == h.Node })
	if i < 0 {
		return Backend{}, false
	}
	return h.Backends[i], true
}

// Files returns HAProxyConfigPath, HAProxyCAPath and HAProxyDropInPath, all 0644:
// nothing in them is secret. The error is the *quorate.InvalidError of Validate.
func (h HAProxy) Files() ([]quorate.File, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	h.Endpoint = h.Endpoint.WithDefaults()
	address := func(b Backend) string {
		return netip.AddrPortFrom(b.Address, uint16(h.Endpoint.APIServerPort())).String()
	}
	type server struct{ Name, Address string }
	var servers []server
	for _, b := range h.Backends {
		servers = append(servers, server{b.Name, address(b)})
	}
	own, _ := h.own() // Validate has found it
	text, err := render(haproxyTemplate, map[string]any{
		"Endpoint": h.Endpoint.HostPort(), "Binds": h.binds(), "MaxConn": cmp.Or(h.MaxConn, DefaultMaxConn),
		"ReadyPath": quorate.ReadyPath(h.Kubernetes), "CAFile": HAProxyCAPath,
		"CheckTimeout": milliseconds(haproxyCheckTimeout), "Interval": milliseconds(haproxyInterval),
		"FastInterval": milliseconds(haproxyFastInterval), "Fall": haproxyFall, "Rise": haproxyRise,
		"Own": address(own), "Backends": servers,
	})
	if err != nil {
		return nil, err
	}
	return []quorate.File{
		{Path: HAProxyCAPath, Mode: 0o644, Content: h.CA},
		{Path: HAProxyConfigPath, Mode: 0o644, Content: quorate.Public(text)},
		{Path: HAProxyDropInPath, Mode: 0o644, Content: quorate.Public([]byte(haproxyDropIn))},
	}, nil
}

// binds are every address of each family that the host has.
func (h HAProxy) binds() []string {
	port := strconv.Itoa(h.Endpoint.Port)
	var out []string
	if slices.ContainsFunc(h.Addresses, netip.Addr.Is4) {
		out = append(out, "0.0.0.0:"+port)
	}
	if slices.ContainsFunc(h.Addresses, netip.Addr.Is6) {
		out = append(out, ":::"+port+" v6only")
	}
	return out
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) + "ms" }

// BackendLossBound is the longest for which an API server that is dead still
// gets connections of clients: one that hangs after it answered, with a host
// that still accepts for it. An interval passes before the first check that
// fails, each takes its timeout, and FastInterval lies between them. Of one that
// refuses connections, or whose host is gone, clients notice less: the second
// connection that fails takes it out.
func (h HAProxy) BackendLossBound() time.Duration {
	return haproxyInterval + haproxyFall*haproxyCheckTimeout + (haproxyFall-1)*haproxyFastInterval
}
