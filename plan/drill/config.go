package drill

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
)

// Host is one control plane.
type Host struct {
	// Name is what the transport dials, and what the report calls it.
	Name string
	// Address at which its API server and its member of etcd answer: an IP
	// address, or a name that resolves.
	Address string
}

// Config says what a drill breaks and how. Hosts, API and Transport are required.
type Config struct {
	// Hosts are all control planes, three at least, each with a member of etcd.
	Hosts []Host
	API   API
	// VIP that keepalived holds on the hosts; zero where a load balancer is the
	// endpoint. Then owners are not watched and nothing breaks keepalived.
	VIP netip.Addr
	// Transport reaches the hosts with root's rights. It should notice a dead
	// host soon: transport/ssh with a KeepAlive of a second.
	Transport transport.Transport
	Etcd      Etcd
	// Breaker breaks all but power. Default: an SSHBreaker over Transport.
	Breaker Breaker
	// Power cuts hosts' power. Without it nothing that needs it is run.
	Power PowerBreaker
	// Scenarios in the order of the run. Default: all of Scenarios that Breaker
	// and Power can do and the cluster is large enough for.
	Scenarios  []Scenario
	Thresholds Thresholds
	// Rate of the writes a second. Default 20.
	Rate float64
	// Namespace that the writes go to, made for the drill and deleted after it.
	// One that is there and not an earlier drill's is refused. Default
	// "quorate-drill".
	Namespace string
	// Settle is how long the load runs before a break and after redundancy is
	// back. Default 2 s.
	Settle time.Duration
	// Patience is how long the cluster may take to be found fully redundant
	// before anything is broken. Default 15 s.
	Patience time.Duration
	// Heal bounds all healing after a violation or the end of ctx. Default 5 min.
	Heal time.Duration
	// Observe is called with each event, by one goroutine at a time. Optional.
	Observe func(Event)
	// Now is the clock for what is recorded. Default time.Now.
	Now func() time.Time
}

// ForCluster returns the Config for a cluster that ha.Cluster.Plan made, and what an
// administrator's kubeconfig says of its API: see ha.Kubeconfig. Power, and
// whatever else is not default, is the caller's to add.
func ForCluster(c quorate.Cluster, t transport.Transport, kubeconfig quorate.Content) (Config, error) {
	if err := c.Validate(); err != nil {
		return Config{}, err
	}
	api, err := FromKubeconfig(kubeconfig)
	if err != nil {
		return Config{}, err
	}
	c = c.WithDefaults()
	api.ServerPort = c.Endpoint.APIServerPort()
	cfg := Config{API: api, Transport: t, Etcd: Etcd{Port: c.Etcd.ClientPort}}
	for _, n := range c.ControlPlanes() {
		cfg.Hosts = append(cfg.Hosts, Host{Name: n.Name, Address: n.Address().String()})
	}
	if !c.Endpoint.External {
		if cfg.VIP, err = netip.ParseAddr(c.Endpoint.Host); err != nil {
			return Config{}, fmt.Errorf("the endpoint %q is no VIP: %w", c.Endpoint.Host, err)
		}
	}
	cfg.Breaker = &SSHBreaker{
		Transport: t, VIP: cfg.VIP, EtcdData: c.Etcd.DataDir,
		EtcdPorts: []int{c.Etcd.ClientPort, c.Etcd.PeerPort},
	}
	return cfg, nil
}

// prepared is a Config with its defaults, and what was made of it.
type prepared struct {
	Config
	tls *tls.Config
	// addresses of the API servers by host.
	addresses map[string]string
	// skipped says why scenarios that were not named are left out.
	skipped []Skipped
}

// prepare fills in defaults and returns every problem at once.
func (c Config) prepare() (prepared, error) {
	p := prepared{Config: c, addresses: map[string]string{}}
	var problems quorate.Problems
	c.checkRequired(&problems)
	if c.Breaker == nil && c.Transport != nil {
		p.Breaker = &SSHBreaker{Transport: c.Transport, VIP: c.VIP}
	}
	if p.Rate == 0 {
		p.Rate = 20
	}
	defaults := map[*time.Duration]time.Duration{
		&p.Settle: 2 * time.Second, &p.Patience: 15 * time.Second, &p.Heal: 5 * time.Minute, &p.API.Timeout: time.Second,
	}
	for field, value := range defaults {
		if *field == 0 {
			*field = value
		}
	}
	if p.Namespace == "" {
		p.Namespace = "quorate-drill"
	}
	if p.Observe == nil {
		p.Observe = func(Event) {}
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.API.Dial == nil {
		p.API.Dial = (&net.Dialer{}).DialContext
	}
	p.Etcd, p.Thresholds = p.Etcd.withDefaults(), p.Thresholds.withDefaults()
	p.tls = c.API.tlsConfig(&problems)
	_, port, err := net.SplitHostPort(c.API.Endpoint)
	if err != nil {
		problems.Refuse("api.endpoint", "%q: want host and port: %v", c.API.Endpoint, err)
	}
	if c.API.ServerPort < 0 || c.API.ServerPort > 65535 {
		problems.Refuse("api.serverPort", "%d: want 1 to 65535, or 0 for the endpoint's", c.API.ServerPort)
	}
	if c.API.ServerPort != 0 {
		port = strconv.Itoa(c.API.ServerPort)
	}
	for _, h := range c.Hosts {
		p.addresses[h.Name] = net.JoinHostPort(h.Address, port)
	}
	p.chooseScenarios(&problems)
	return p, problems.Err("drill")
}

func (c Config) checkRequired(p *quorate.Problems) {
	if c.Transport == nil {
		p.Refuse("transport", "missing")
	}
	if len(c.Hosts) < 3 {
		p.Refuse("hosts", "%d control planes: a cluster that may lose one has three at least", len(c.Hosts))
	}
	seen := map[string]bool{}
	for i, h := range c.Hosts {
		path := fmt.Sprintf("hosts[%d]", i)
		if h.Name == "" || seen[h.Name] {
			p.Refuse(path+".name", "%q: every host needs a name of its own", h.Name)
		}
		if h.Address == "" || seen["at "+h.Address] {
			p.Refuse(path+".address", "%q: every host needs an address of its own", h.Address)
		}
		seen[h.Name], seen["at "+h.Address] = true, true
	}
	for _, d := range []struct {
		path string
		time.Duration
	}{{"api.timeout", c.API.Timeout}, {"settle", c.Settle}, {"patience", c.Patience}, {"heal", c.Heal}} {
		if d.Duration < 0 {
			p.Refuse(d.path, "%s: want a positive time", d.Duration)
		}
	}
	if c.Rate < 0 || c.Rate > maxRate {
		p.Refuse("rate", "%g writes a second: want at most %d", c.Rate, maxRate)
	}
}

// maxRate keeps a drill from being what breaks the cluster.
const maxRate = 200

// Skipped is a scenario that is left out, and why.
type Skipped struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// chooseScenarios takes those that can be done. One that was named and cannot
// be done is a problem.
func (p *prepared) chooseScenarios(problems *quorate.Problems) {
	asked := p.Scenarios
	if len(asked) == 0 {
		asked = Scenarios()
	}
	var chosen []Scenario
	seen := map[string]bool{}
	for i, s := range asked {
		s = s.withDefaults()
		why := p.impossible(s)
		path := "scenarios[" + strconv.Itoa(i) + "]"
		switch {
		case s.Name == "" || seen[s.Name]:
			problems.Refuse(path+".name", "%q: every scenario needs a name of its own", s.Name)
		case s.Fault == "" || s.Target == "":
			problems.Refuse(path, "no scenario %q: there are %s", s.Name, strings.Join(scenarioNames(), ", "))
		case s.Down < 0:
			problems.Refuse(path+".down", "%s: want a positive time", s.Down)
		case why != "" && len(p.Scenarios) > 0:
			problems.Refuse(path, "%s: %s", s.Name, why)
		case why != "":
			p.skipped = append(p.skipped, Skipped{s.Name, why})
		default:
			chosen = append(chosen, s)
		}
		seen[s.Name] = true
	}
	p.Scenarios = chosen
}

// impossible says why a scenario cannot be run here, "" if it can.
func (p *prepared) impossible(s Scenario) string {
	switch {
	case s.Fault == PowerOff && p.Power == nil:
		return "nothing is set that cuts power: see Config.Power"
	case s.Fault != PowerOff && (p.Breaker == nil || !slices.Contains(p.Breaker.Faults(), s.Fault)):
		return fmt.Sprintf("the breaker does not know %q", s.Fault)
	case s.needsVIP() && !p.VIP.IsValid():
		return "there is no VIP: see Config.VIP"
	case s.Target == Minority && len(p.Hosts) < 5:
		return fmt.Sprintf("of %d control planes only one may fail at a time", len(p.Hosts))
	}
	return ""
}

func scenarioNames() []string {
	var names []string
	for _, s := range Scenarios() {
		names = append(names, s.Name)
	}
	return names
}
