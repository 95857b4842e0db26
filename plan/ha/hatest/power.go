package hatest

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Add adds a host that the description does not have, booted and bare as New makes them,
// for a node that is to join the cluster. Its name and addresses must be new.
func (c *Cluster) Add(n quorate.Node) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	with := c.c
	with.AllowEvenControlPlanes = true // it may come in another's place
	with.Nodes = append(slices.Clone(c.c.Nodes), n)
	if err := with.Validate(); err != nil {
		return err
	}
	c.c.Nodes = with.WithDefaults().Nodes
	n, _ = c.c.Node(n.Name)
	return c.add(n)
}

// CutPower takes the power from a host, at once: what runs there ends, its member of
// etcd too, connections to it are lost, and it cannot be dialled. Its disk stays.
func (c *Cluster) CutPower(hostName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil {
		return fmt.Errorf("hatest: no host %q", hostName)
	}
	h.SetDown(true)
	var errs []error
	for name, u := range h.units {
		errs = append(errs, h.stop(name, u))
	}
	for _, path := range h.Files() {
		if f, err := h.File(path); err == nil && strings.HasPrefix(path, "/proc/") && isProcess(path) && !strings.HasPrefix(path, etcdProcess) {
			h.asleep = append(h.asleep, f)
			h.Delete(path)
		}
	}
	if n := c.nodes[hostName]; n != nil {
		n.silent = true
	}
	return errors.Join(errs...)
}

// Boot returns the power: the units that are enabled start, and the kubelet of a node
// that kubeadm has been run on, which its package enables.
func (c *Cluster) Boot(hostName string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil {
		return fmt.Errorf("hatest: no host %q", hostName)
	}
	h.SetDown(false)
	in := faketransport.Invocation{Stderr: new(complaint)}
	for _, name := range []string{"containerd.service", etcd.UnitName, "keepalived.service", "haproxy.service", "kubelet.service"} {
		u := h.unit(name)
		if u == nil || !u.enabled && (name != "kubelet.service" || !h.has("/etc/kubernetes/kubelet.conf")) {
			continue
		}
		if err := h.start(in, name, u); err != nil {
			return fmt.Errorf("hatest: %s: %w: %s", hostName, err, in.Stderr)
		}
		if name == "kubelet.service" { // and with it the static pods
			if err := h.Put(h.asleep...); err != nil {
				return err
			}
		}
	}
	h.asleep = nil
	return nil
}

// etcdProcess is what the start of its unit makes again.
const etcdProcess = "/proc/6/"

// isProcess reports whether a file is of a process that process has made.
func isProcess(path string) bool {
	dir, name := filepath.Split(path)
	return (name == "comm" || name == "cmdline" || name == "stat") && dir != "/proc/1/"
}

// complaint is what a unit that did not start has printed.
type complaint []byte

// Write never fails.
func (c *complaint) Write(b []byte) (int, error) { *c = append(*c, b...); return len(b), nil }

func (c *complaint) String() string { return string(*c) }

// SetVersion has a host's program, kubeadm, kubelet, kubectl, etcd, keepalived or haproxy,
// report another version from now on, as after an upgrade of its package: "v1.37.3",
// "3.6.17". A kubelet and a member of etcd that run go on with the version that they
// were started with until they are restarted, and so does what the API server and etcd
// say of them.
func (c *Cluster) SetVersion(hostName, program, version string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[hostName]
	if h == nil || h.defaultVersion(program) == "" {
		return fmt.Errorf("hatest: no host %q, or no program %q whose version is simulated", hostName, program)
	}
	h.versions[program] = version
	return nil
}

// version is what a program reports.
func (h *host) version(program string) string {
	return cmp.Or(h.versions[program], h.defaultVersion(program))
}

func (h *host) defaultVersion(program string) string {
	switch program {
	case "kubeadm", "kubelet", "kubectl":
		return h.cluster.c.Version.String()
	case "etcd":
		return h.cluster.c.Etcd.Version.Number()
	case "keepalived":
		return "2.2.7"
	case "haproxy":
		return "2.6.12-1+deb12u2"
	}
	return ""
}

// printVersion answers whatever is asked.
func (h *host) printVersion(program, format string) func(faketransport.Invocation, []string) error {
	return func(in faketransport.Invocation, _ []string) error { return say(in, format+"\n", h.version(program)) }
}
