package hatest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Cluster is the hosts of one description, and what runs on them. It is safe
// for concurrent use. Close it when done.
type Cluster struct {
	*faketransport.Transport
	c     quorate.Cluster
	hosts map[string]*host
	// members of etcd.
	members members

	// mu guards what follows, and what every host holds.
	mu sync.Mutex
	// initialised and nodes are what the API server would know.
	initialised bool
	// written says that etcd holds something, which its members answer without mu.
	written   atomic.Bool
	nodes     map[string]*node
	manifests map[string]bool
	tokens    map[string]token
	archives  map[string][]string
	// holder of the VIP, by name, see vipHolder.
	holder string
	// configMaps are kubeadm's, by name and key.
	configMaps map[string]map[string]string
	// pods that somebody runs, by NAMESPACE/NAME.
	workloads map[string]*workload
	// refused are texts that programs do not start with, see RefuseSetting.
	refused map[string]refusal
}

// node is a registered node; it is silent when its kubelet is.
type node struct {
	tainted, cordoned, silent bool
	// registered says that its kubelet alone has registered it, and not kubeadm.
	registered bool
	// kubelet's version, of the one that runs.
	kubelet string
	labels  map[string]string
	taints  []quorate.Taint
}

func (n *node) ready() string {
	if n.silent {
		return "Unknown"
	}
	return "True"
}

// host is one simulated host.
type host struct {
	*faketransport.Host
	cluster *Cluster
	node    quorate.Node
	units   map[string]*unit
	// versions of programs that are not the description's.
	versions map[string]string
	// asleep are the processes that CutPower has ended.
	asleep []transport.File
	sysctl map[string]string
	images map[string]bool
	// pods are the static pods that the kubelet has seen, starts how often programs were started.
	pods   map[string]*pod
	starts map[string]int
}

// New makes the hosts that a description names, booted, with every program
// installed and nothing configured.
func New(description quorate.Cluster) (*Cluster, error) {
	if err := description.Validate(); err != nil {
		return nil, err
	}
	c := &Cluster{
		Transport: faketransport.New(),
		c:         description.WithDefaults(),
		hosts:     map[string]*host{},
		nodes:     map[string]*node{},
		manifests: map[string]bool{},
		tokens:    map[string]token{},
		archives:  map[string][]string{},
		workloads: map[string]*workload{},
	}
	for _, n := range c.c.Nodes {
		if err := c.add(n); err != nil {
			return nil, errors.Join(err, c.Close())
		}
	}
	return c, nil
}

// Close ends the members of etcd.
func (c *Cluster) Close() error {
	var errs []error
	for name := range c.hosts {
		errs = append(errs, c.members.stop(name))
	}
	return errors.Join(errs...)
}

// Active reports whether a unit runs on a host.
func (c *Cluster) Active(hostName, unitName string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	return h != nil && h.running(unitName)
}

// Archive says which images an archive holds, by its path on the hosts:
// importing it makes containerd list them.
func (c *Cluster) Archive(path string, images ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.archives[path] = images
}

// Nodes returns the names of the node objects that are in the cluster's data, sorted, whether
// or not an API server runs. A worker that was rolled back (plan.Rollback) is among them until
// it is deleted, as with real ones: a kubelet may not delete its own node.
func (c *Cluster) Nodes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name := range c.nodes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *Cluster) add(n quorate.Node) error {
	h := &host{
		Host: c.Host(n.Name), cluster: c, node: n,
		units: map[string]*unit{}, versions: map[string]string{}, sysctl: map[string]string{}, images: map[string]bool{},
		pods: map[string]*pod{}, starts: map[string]int{},
	}
	c.hosts[n.Name] = h
	for _, name := range []string{"containerd.service", "docker.service", "kubelet.service", "keepalived.service", "haproxy.service"} {
		h.units[name] = &unit{} // as their packages leave them
	}
	h.HandleDial(h.dial)
	h.script("ip", h.ip)
	h.script("systemctl", h.systemctl)
	h.script("sysctl", h.sysctls)
	h.script("ctr", h.ctr)
	h.script("kubeadm", h.kubeadm)
	h.script("kubectl", h.kubectl)
	h.script("curl", h.curl)
	for _, name := range staticPods {
		h.script("/proc/"+strconv.Itoa(slices.Index(processes, name))+"/exe", h.parsesFlags(name))
	}
	driver := "systemd"
	if given, ok := c.c.Kubeadm.Kubelet["cgroupDriver"].(string); ok {
		driver = given
	}
	h.script("docker", print(driver))
	h.script("containerd", print(containerdConfig(c.c, driver)))
	h.script("getent", h.getent)
	h.script("kubelet", h.printVersion("kubelet", "Kubernetes %s"))
	h.script("keepalived", h.printVersion("keepalived", "Keepalived v%s (01/16,2022)"))
	h.script("haproxy", h.printVersion("haproxy", "HAProxy version %s 2025/04/16 - https://haproxy.org/"))
	h.script(c.c.Etcd.Binary, h.printVersion("etcd", "etcd Version: %s"))
	return h.boot()
}

// script handles a program under the cluster's lock: what one command reads and
// writes of the simulated state, it does as one. What it prints is passed on without the
// lock: whoever reads it may wait for a command that needs the lock itself.
func (h *host) script(program string, run func(in faketransport.Invocation, args []string) error) {
	h.Handle(faketransport.Prefix(program), func(_ context.Context, in faketransport.Invocation) error {
		var stdout, stderr bytes.Buffer
		buffered := in
		buffered.Stdout, buffered.Stderr = &stdout, &stderr
		h.cluster.mu.Lock()
		err := func() error { defer h.cluster.mu.Unlock(); h.syncPods(); return run(buffered, in.Argv[1:]) }()
		_, outErr := stdout.WriteTo(in.Stdout)
		_, errErr := stderr.WriteTo(in.Stderr)
		return cmp.Or(err, outErr, errErr)
	})
}

// print answers whatever is asked.
func print(line string) func(faketransport.Invocation, []string) error {
	return func(in faketransport.Invocation, _ []string) error { return say(in, "%s\n", line) }
}

func say(in faketransport.Invocation, format string, args ...any) error {
	_, err := fmt.Fprintf(in.Stdout, format, args...)
	return err
}

// fail is a command that complains and exits with status 1.
func fail(in faketransport.Invocation, format string, args ...any) error {
	if _, err := fmt.Fprintf(in.Stderr, format+"\n", args...); err != nil {
		return err
	}
	return faketransport.Exit(1)
}

// has reports whether a host has a file.
func (h *host) has(path string) bool {
	_, err := h.File(path)
	return err == nil
}

// connect is curl for a preflight that tries a path: nothing listens on the nodes,
// and nobody is at other addresses.
func (h *host) connect(in faketransport.Invocation, to string) error {
	why := "No route to host"
	at, err := netip.ParseAddrPort(strings.Trim(strings.TrimPrefix(to, "http://"), "/"))
	for _, n := range h.cluster.c.Nodes {
		if err == nil && slices.Contains(n.Addresses, at.Addr()) {
			why = "Connection refused"
		}
	}
	if err := say(in, "connect=0.000000\n* connect to %s port %d failed: %s\n", at.Addr(), at.Port(), why); err != nil {
		return err
	}
	return faketransport.Exit(7)
}

func (h *host) interfaceName() string {
	return cmp.Or(h.node.Interface, h.cluster.c.Endpoint.VIP.Interface, "eth0")
}

// sysctls answers "sysctl KEY..." and "sysctl --load=FILE".
func (h *host) sysctls(in faketransport.Invocation, args []string) error {
	if path, ok := strings.CutPrefix(args[0], "--load="); ok {
		f, err := h.File(path)
		if err != nil {
			return fail(in, "sysctl: cannot open %q: %v", path, err)
		}
		for line := range strings.Lines(string(f.Data.Bytes())) {
			if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
				h.sysctl[key] = value
			}
		}
		return nil
	}
	for _, key := range args {
		value := h.sysctl[key]
		if value == "" {
			value = "0"
		}
		if err := say(in, "%s = %s\n", key, value); err != nil {
			return err
		}
	}
	return nil
}

// ctr answers "ctr --namespace k8s.io images ls --quiet" and imports what
// Archive has declared; both want containerd to run.
func (h *host) ctr(in faketransport.Invocation, args []string) error {
	if slices.Contains(args, "--help") {
		return nil
	}
	if !h.running("containerd.service") {
		return fail(in, "ctr: failed to dial containerd: connection refused")
	}
	if slices.Contains(args, "import") {
		names, ok := h.cluster.archives[args[len(args)-1]]
		if !ok {
			return fail(in, "ctr: open %s: no such file or directory", args[len(args)-1])
		}
		for _, name := range names {
			h.images[name] = true
		}
		return nil
	}
	var names []string
	for name := range h.images {
		names = append(names, name)
	}
	slices.Sort(names)
	return say(in, "%s", strings.Join(append(names, ""), "\n"))
}

// dial leads into the simulated network: etcd's members are all there is.
func (h *host) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	var found *member
	for _, m := range h.cluster.members.running() {
		if s, simulated := m.Member.(*member); simulated && s.address == addr {
			found = s
		}
	}
	if found == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: connection refused", addr)}
	}
	return found.listener.DialContext(ctx)
}
