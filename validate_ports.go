package quorate

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/internal/syntax"
)

// portUse is a port that a program has on hosts. All of them have those of the kubelet
// and of kube-proxy, so that any two of the table meet on a control plane.
type portUse struct {
	port int
	// program that listens, and what it is for if it has several ports: "kubelet",
	// "the API server's port".
	program string
	// at is the address: the program's own default or what the description sets.
	at string
	// path of the field that the port is from.
	path string
	// set is false for a program's own default, which is never the one at fault.
	set bool
}

// The addresses that programs listen on, where the description does not say.
const (
	atAll      = "all addresses"
	atNode     = "the node's addresses"
	atNodeAnd  = "the node's addresses and loopback"
	atLoopback = "loopback"
)

// Fields with ports of components.
var (
	nodePortsPath = key("kubeadm.apiServerArgs", nodePortsArg)
	nodePortsArg  = "service-node-port-range"
)

// portUses is every port that the description, or a default, has a program listen on,
// in the order of the fields.
func (c Cluster) portUses() []portUse {
	return slices.Concat([]portUse{{22, "sshd", atAll, "nodes[].ssh", false}}, c.Endpoint.portUses(), c.Etcd.portUses(), c.Kubeadm.portUses(c.Version))
}

func (e Endpoint) portUses() []portUse {
	const api = "the API server's port"
	switch {
	case e.External:
		return []portUse{{e.APIServerPort(), api, atAll, "", true}}
	case e.LoadBalancer != "":
		return []portUse{{e.Port, "haproxy's port", atAll, "endpoint.port", true}, {e.APIServerPort(), api, atAll, "", true}}
	}
	return []portUse{{e.Port, api, atAll, "endpoint.port", true}}
}

func (e Etcd) portUses() []portUse {
	return []portUse{
		{e.ClientPort, "etcd's clients' port", atNodeAnd, "etcd.clientPort", true},
		{e.PeerPort, "etcd's peers' port", atNode, "etcd.peerPort", true},
		{e.MetricsPort, "etcd's metrics' port", atLoopback, "etcd.metricsPort", true},
	}
}

// portUses of components: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
// and the components' defaults.
func (k Kubeadm) portUses(v Version) []portUse {
	arg := func(args map[string]string, at, name, program string, otherwise int) portUse {
		u := portUse{otherwise, program, atLoopback, key(at, name), false}
		if value, set := args[name]; set {
			u.set, u.port = true, portNumber(value)
		}
		return u
	}
	number := func(name, address string, otherwise int) portUse {
		u := portUse{otherwise, "kubelet", address, key("kubeadm.kubelet", name), false}
		if value := k.Kubelet[name]; value != nil {
			u.set, u.port = true, portNumber(fmt.Sprint(value))
		}
		return u
	}
	bound := func(name, address string, otherwise int) portUse {
		u := portUse{otherwise, "kube-proxy", address, key("kubeadm.kubeProxy", name), false}
		if value, _ := k.KubeProxy[name].(string); value != "" {
			u.set, u.at = true, value
			if _, port, err := net.SplitHostPort(value); err == nil {
				u.port = portNumber(port)
			}
		}
		return u
	}
	manager, scheduler := 0, 0 // the ports without TLS
	if !v.Has(SecureProbes) {
		manager, scheduler = managerInsecurePort, schedulerInsecurePort
	}
	const api, cm, sched = "kubeadm.apiServerArgs", "kubeadm.controllerManagerArgs", "kubeadm.schedulerArgs"
	health, _ := k.Kubelet["healthzBindAddress"].(string)
	return []portUse{
		arg(k.APIServerArgs, api, "insecure-port", "kube-apiserver", 0),
		arg(k.APIServerArgs, api, "port", "kube-apiserver", 0),
		arg(k.ControllerManagerArgs, cm, "secure-port", "kube-controller-manager", managerPort),
		arg(k.ControllerManagerArgs, cm, "port", "kube-controller-manager", manager),
		arg(k.SchedulerArgs, sched, "secure-port", "kube-scheduler", schedulerPort),
		arg(k.SchedulerArgs, sched, "port", "kube-scheduler", scheduler),
		number("port", atAll, kubeletPort),
		number("healthzPort", cmp.Or(health, atLoopback), kubeletHealthPort),
		number("readOnlyPort", atAll, 0),
		bound("healthzBindAddress", atAll, kubeProxyHealthPort),
		bound("metricsBindAddress", atLoopback, kubeProxyMetricsPort),
	}
}

// portNumber is 0 for what is refused elsewhere.
func portNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// collisions says for the path of each field which ports it has in common with other
// fields, and names those. A port has one program on a host, whatever the addresses are.
func collisions(uses []portUse, nodePorts string, nodePortsSet bool) map[string][]string {
	found := map[string][]string{}
	uses = slices.DeleteFunc(slices.Clone(uses), func(u portUse) bool { return !syntax.IsPort(u.port) })
	for i, later := range uses {
		for _, earlier := range uses[:i] {
			if later.port != earlier.port || later.path == "" {
				continue // the load balancer's own rule refuses the API servers' port
			}
			switch {
			case later.set:
				found[later.path] = append(found[later.path], earlier.also())
			case earlier.set:
				found[earlier.path] = append(found[earlier.path], later.also())
			}
		}
	}
	first, last, ok := parsePortRange(nodePorts)
	if !ok {
		return found
	}
	var within []string
	for _, u := range uses {
		switch {
		case u.port < first || u.port > last:
		case nodePortsSet:
			within = append(within, fmt.Sprintf("%d (%s)", u.port, u.source()))
		case u.set:
			found[u.path] = append(found[u.path], fmt.Sprintf("%d lies in %s %s, of which a Service of type NodePort may get any port on every host", u.port, nodePortsPath, nodePorts))
		}
	}
	if len(within) > 0 {
		found[nodePortsPath] = append(found[nodePortsPath], fmt.Sprintf("%s holds ports of the hosts' own programs, which a Service of type NodePort would take from them: %s; leave it out for %s",
			nodePorts, strings.Join(within, ", "), usualNodePorts))
	}
	return found
}

// also says whose a port is.
func (u portUse) also() string {
	switch {
	case u.path == "":
		return fmt.Sprintf("%d is also %s", u.port, u.program)
	case !u.set:
		return fmt.Sprintf("%d is the port of %s on %s (%s)", u.port, u.program, u.at, u.path)
	}
	return fmt.Sprintf("%d is also %s, %s on %s", u.port, u.path, u.program, u.at)
}

func (u portUse) source() string {
	if u.path == "" {
		return u.program
	}
	return u.program + ", " + u.path
}

// parsePortRange reads "30000-32767", "30000+2767" or one port, as the API server does
// (apimachinery's net.PortRange).
func parsePortRange(s string) (first, last int, ok bool) {
	low, high, dash := strings.Cut(s, "-")
	plus := false
	if !dash {
		low, high, plus = strings.Cut(s, "+")
	}
	first, err := strconv.Atoi(strings.TrimSpace(low))
	last = first
	if dash || plus {
		var highErr error
		last, highErr = strconv.Atoi(strings.TrimSpace(high))
		err = cmp.Or(err, highErr)
	}
	if plus {
		last += first
	}
	return first, last, err == nil && syntax.IsPort(first) && syntax.IsPort(last) && first <= last
}

// nodePorts are the description's range, and whether it has one of its own.
func (c Cluster) nodePorts() (string, bool) {
	if set, ok := c.Kubeadm.APIServerArgs[nodePortsArg]; ok {
		return set, true
	}
	return usualNodePorts, false
}

// collisions of the whole description.
func (c Cluster) collisions() map[string][]string {
	ports, set := c.nodePorts()
	return collisions(c.portUses(), ports, set)
}

// refuseTaken refuses a port that another field has too.
func refuseTaken(p *Problems, at string, taken []string) {
	for _, why := range taken {
		p.Refuse(at, "%s", why)
	}
}
