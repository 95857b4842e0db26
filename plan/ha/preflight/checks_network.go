package preflight

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// Names of the checks of what is between hosts, and between them and the operator.
const (
	Tunnel plan.Check = "tunnel"
	Path   plan.Check = "path"
	// Endpoint is about an external one.
	Endpoint plan.Check = "endpoint"
	VIP      plan.Check = "vip"
	// VIPInterface and VIPHolders are about who has the VIP, and where.
	VIPInterface plan.Check = "vip-interface"
	VIPHolders   plan.Check = "vip-holders"
	VRID         plan.Check = "vrid"
	VRRP         plan.Check = "vrrp"
	Disk         plan.Check = "disk"
)

func networkChecks() []Check {
	return []Check{
		{
			Name: Tunnel, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factTunnel},
			Finds: "No connection can be made through a control plane, by which etcd is asked: the transport makes no tunnels, or sshd forbids them (`AllowTcpForwarding`, `PermitOpen`)",
			Notes: "A connection to the control plane's own etcd is tried through it, by the plan's transport. Nobody need listen there.",
			judge: each(tunnel),
		},
		{
			Name: Path, Severities: []quorate.Severity{quorate.Refused, quorate.Unchecked}, needs: []fact{factPath, factAddress, factListen},
			Finds: "A control plane does not get through to another's 6443, 2379 or 2380, or to a node's 10250, or a worker to a control plane's 6443; with haproxy all to its 8443, and workers to that alone",
			Notes: "Before a run nothing listens at the other end, and a listener of one's own would need a program there. So a refusal is taken " +
				"as proof: the packet came to the host, and its answer came back. No answer, or an ICMP message that there is no way (as " +
				"firewalld sends), is a finding. A firewall that refuses as a host does, with a reset or \"port unreachable\", cannot be told " +
				"from a host on which nothing listens; where something does listen it can. Paths are tried with bash and timeout, or else with " +
				"curl. Only TCP is tried, and not what the pod network needs.",
			judge: paths,
		},
		{
			Name: Endpoint, Severities: []quorate.Severity{quorate.Refused, quorate.Warned, quorate.Unchecked}, needs: []fact{factEndpoint},
			Finds: "An external endpoint that does not resolve on a host, resolves to the host itself, or that the host has no route to; or that hosts resolve to addresses of which they have none in common (warning)",
			Notes: "Asked of `getent ahosts` and `ip route get`. Whether something answers there is not tried: before there are API servers, load balancers do as they like.",
			judge: func(v view) []plan.Finding { return append(each(endpoint)(v), disagreement(v)...) },
		},
	}
}

func endpoint(v view, h hostFacts) []plan.Finding {
	p, tried := v.probes[h.node.Name]
	if !tried || !v.Cluster.Endpoint.External {
		return nil
	}
	name := v.Cluster.Endpoint.Host
	if len(p.endpoint) == 0 {
		return one(quorate.Unchecked, "not checked: no getent on the host to resolve "+name+" with", "make sure that it resolves there")
	}
	var loop, unrouted []string
	for _, e := range p.endpoint {
		switch {
		case !e.addr.IsValid():
			return one(quorate.Refused, name+" does not resolve", "give it an address in DNS or in /etc/hosts, on every host")
		case e.addr.IsLoopback() || e.addr.IsUnspecified():
			loop = append(loop, e.addr.String())
		case !e.routed:
			unrouted = append(unrouted, e.addr.String())
		}
	}
	switch {
	case len(loop) > 0:
		return one(quorate.Refused, name+" resolves to "+strings.Join(loop, " ")+", the host itself", "correct /etc/hosts or DNS: the endpoint is one for all hosts")
	case len(unrouted) == len(p.endpoint):
		return one(quorate.Refused, "there is no route to "+name+" ("+strings.Join(unrouted, " ")+")", "give the host a route to it")
	}
	return nil
}

// disagreement finds two hosts that take the endpoint's name for different addresses.
func disagreement(v view) []plan.Finding {
	name := v.Cluster.Endpoint.Host
	if !v.Cluster.Endpoint.External || v.Cluster.Endpoint.Address().IsValid() {
		return nil
	}
	var first string
	var addresses []netip.Addr
	var found []plan.Finding
	v.probedHosts(func(h hostFacts, p probed) {
		var own []netip.Addr
		for _, e := range p.endpoint {
			if e.addr.IsValid() && !e.addr.IsLoopback() && !e.addr.IsUnspecified() {
				own = append(own, e.addr)
			}
		}
		switch {
		case len(own) == 0 || len(found) > 0: // which is a finding
		case first == "":
			first, addresses = h.node.Name, own
		case !slices.ContainsFunc(own, func(a netip.Addr) bool { return slices.Contains(addresses, a) }):
			found = append(found, finding(quorate.Warned, fmt.Sprintf("%s is %s on the first host and %s on the second", name, addrList(addresses), addrList(own)),
				"correct /etc/hosts or DNS, unless both lead to the same load balancer", first, h.node.Name))
		}
	})
	return found
}

func addrList(addrs []netip.Addr) string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}

func tunnel(v view, h hostFacts) []plan.Finding {
	err := v.probes[h.node.Name].tunnel
	if err == nil {
		return nil
	}
	do := "let connections be made through it: etcd is asked by them"
	var refused *transport.TunnelError
	if errors.As(err, &refused) && refused.Advice != "" {
		do = refused.Advice
	}
	what := "no connection can be made through the host"
	if refused != nil {
		what += ": " + string(refused.Reason)
	} else {
		what += ": " + err.Error()
	}
	return one(quorate.Refused, what, do)
}

// targets are where a host must be able to connect to: the API from every host, by
// haproxy's port where there is one; from a control plane also the others' API
// servers and etcd, and every kubelet, by which the API server has logs.
func (j Judge) targets(from quorate.Node) []netip.AddrPort {
	var to []netip.AddrPort
	add := func(n quorate.Node, ports ...uint16) {
		for _, p := range ports {
			to = append(to, netip.AddrPortFrom(n.Address(), p))
		}
	}
	kubelet := number(j.Cluster.Kubeadm.Kubelet["port"], 10250)
	balanced := j.Cluster.Endpoint.LoadBalancer == quorate.HAProxy
	for _, n := range j.Cluster.Nodes {
		if n.Name == from.Name {
			continue
		}
		control := n.Role == quorate.ControlPlane
		if control && balanced {
			add(n, uint16(j.Cluster.Endpoint.Port))
		}
		if control && (!balanced || from.Role == quorate.ControlPlane) {
			add(n, j.APIPorts[n.Name])
		}
		if control && from.Role == quorate.ControlPlane {
			add(n, uint16(j.Cluster.Etcd.ClientPort), uint16(j.Cluster.Etcd.PeerPort))
		}
		if from.Role == quorate.ControlPlane {
			add(n, kubelet)
		}
	}
	return to
}

// owners are the hosts by the addresses that they have.
func (v view) owners() map[netip.Addr]hostFacts {
	own := map[netip.Addr]hostFacts{}
	for _, h := range v.hosts {
		for _, p := range h.facts.addresses {
			own[p.Addr()] = h
		}
	}
	return own
}

// paths finds the ways that are blocked, all ports of one pair in one finding.
func paths(v view) []plan.Finding {
	var found []plan.Finding
	var unable []string
	own := v.owners()
	v.probedHosts(func(from hostFacts, p probed) {
		ports := map[string][]string{}
		var order []string
		for _, to := range v.targets(from.node) {
			target, known := own[to.Addr()]
			state := p.paths[to]
			if state == pathUnknown && !slices.Contains(unable, from.node.Name) {
				unable = append(unable, from.node.Name)
			}
			if known && state == pathRefused && target.facts.serves(to) {
				state = pathBlocked // what listens does not refuse: a firewall does in its name
			}
			if !known || state != pathBlocked {
				continue
			}
			if ports[target.node.Name] == nil {
				order = append(order, target.node.Name)
			}
			ports[target.node.Name] = append(ports[target.node.Name], fmt.Sprint(to.Port()))
		}
		for _, name := range order {
			found = append(found, finding(quorate.Refused,
				fmt.Sprintf("%s does not get through to %s on TCP %s", from.node.Name, name, strings.Join(ports[name], ", ")),
				"let it through in the firewalls of both hosts and of the network between them", from.node.Name, name))
		}
	})
	if len(unable) > 0 {
		found = append(found, finding(quorate.Unchecked, "not checked: neither bash and timeout nor curl on the host", "install curl, which the recipe needs anyhow", unable...))
	}
	return found
}

func vipChecks() []Check {
	return []Check{
		{
			Name: VIP, Severities: []quorate.Severity{quorate.Refused, quorate.Unchecked}, needs: []fact{factVIP, factNeighbour, factAddress},
			Finds: "Something answers at the VIP, and no host of the cluster has it",
			Notes: "The connection makes each control plane ask its neighbours who has the address; who has it must answer that, whatever its " +
				"firewall does. What the host had cached of that one address is forgotten first. An address beyond a router answers only by TCP.",
			judge: vipTaken,
		},
		{
			Name: VIPInterface, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factAddress, factInterface}, ownership...),
			Finds: "The VIP's interface does not carry the node's address, the VIP is in none of its networks, or the VIP is on another interface of the host",
			Notes: "With the VIP on another interface than the one by which control planes hear each other, real keepalived had two and three holders.",
			judge: each(interfaceOfVIP),
		},
		{
			Name: VIPHolders, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factAddress}, ownership...),
			Finds: "Several hosts have the VIP, or one that is no control plane",
			judge: func(v view) []plan.Finding {
				names := v.holders()
				s := quorate.Refused
				if !v.fresh(v.hosts) {
					s = quorate.Warned // a run may be what mends it
				}
				switch len(names) {
				case 0:
					return nil
				case 1:
					return v.stranger(s, names[0])
				}
				return []plan.Finding{finding(s, "these hosts all have the VIP "+vipAddress(v.Cluster).String(),
					"let VRRP (protocol 112) through between control planes, see that keepalived uses one interface, and take the address from who has it for another reason (ip addr del)", names...)}
			},
		},
		{
			Name: VRID, Severities: []quorate.Severity{quorate.Refused, quorate.Unchecked}, needs: []fact{factListened, factRouter, factAddress},
			Finds: "A router that is none of the hosts advertises VRRP with the cluster's VRID",
			Notes: "Listening takes a tcpdump on a control plane; without one the finding says \"not checked\". VRRP that others send to each other " +
				"by unicast is not heard at all, and a switch that withholds multicast hides the rest.",
			judge: vrid,
		},
		{
			Name: VRRP, Severities: []quorate.Severity{quorate.Refused, quorate.Unchecked}, needs: []fact{factRaw, factHeard, factAddress},
			Finds: "VRRP (IP protocol 112) does not get from one control plane to another, with which several would hold the VIP",
			Notes: "Control planes send each other packets of that protocol at the same time, as keepalived will, by unicast or to the group, and hear " +
				"behind their own firewalls. Their VRID is 0, which keepalived ignores. It takes root and a Python (python3, platform-python or python) or a Perl: " +
				"without either, or where hosts were not asked at the same time, the finding says \"not checked\".",
			judge: vrrp,
		},
	}
}

func interfaceOfVIP(v view, h hostFacts) []plan.Finding {
	device, vip := vipInterface(v.Cluster, h.node), vipAddress(v.Cluster)
	own := func(a netip.Addr) bool { return a.Is4() == vip.Is4() && slices.Contains(h.node.Addresses, a) }
	var carriers, networks, strays []string
	within := false
	for _, a := range h.facts.addresses {
		switch {
		case a.Addr() == vip:
			if a.Device != device {
				strays = append(strays, a.Device)
			}
			continue
		case own(a.Addr()):
			carriers = append(carriers, a.Device)
		}
		if a.Device == device && a.Addr().Is4() == vip.Is4() {
			networks = append(networks, a.Masked().String())
			within = within || a.Masked().Contains(vip)
		}
	}
	if device == "" || h.facts.iface != "yes" || len(carriers) == 0 { // other checks report that
		return nil
	}
	do := "set endpoint.vip.interface, or the node's interface, to the one with the node's address"
	switch {
	case len(strays) > 0:
		return one(v.start(h), fmt.Sprintf("the VIP %s is on %s, and keepalived would hold it on %s", vip, strings.Join(strays, " "), device),
			"take it from there (ip addr del), and out of the network's configuration")
	case !slices.Contains(carriers, device):
		return one(v.start(h), fmt.Sprintf("%s does not carry the node's address, %s does", device, strings.Join(carriers, " ")), do)
	case !within:
		return one(v.start(h), fmt.Sprintf("the VIP %s is in none of the networks of %s (%s)", vip, device, strings.Join(networks, " ")),
			"choose a VIP of the network that control planes share, or correct the interface's netmask")
	}
	return nil
}

// holders are the hosts that have the VIP, whether they may or not.
func (v view) holders() []string {
	var names []string
	for _, h := range v.hosts {
		if vip := vipAddress(v.Cluster); vip.IsValid() && h.facts.holds(vip) {
			names = append(names, h.node.Name)
		}
	}
	return names
}

// stranger finds the one holder of the VIP that no keepalived has made one.
func (v view) stranger(s quorate.Severity, name string) []plan.Finding {
	if n, _ := v.Cluster.Node(name); n.Role == quorate.ControlPlane {
		return nil
	}
	return []plan.Finding{finding(s, "the host has the VIP "+vipAddress(v.Cluster).String()+", and is no control plane",
		"take the address from it (ip addr del), and out of its network's configuration; or describe it as a control plane", name)}
}

func vipTaken(v view) []plan.Finding {
	if len(v.holders()) > 0 {
		return nil
	}
	var answered, untried []string
	v.probedHosts(func(h hostFacts, p probed) {
		if p.vipAnswers {
			answered = append(answered, h.node.Name)
		} else if p.vip == pathUnknown {
			untried = append(untried, h.node.Name)
		}
	})
	vip := vipAddress(v.Cluster).String()
	switch {
	case len(answered) > 0 && v.complete(): // a host that was not read may be the one that has it
		return []plan.Finding{finding(quorate.Refused, "something on the network already has the VIP "+vip+", and no host of the cluster does",
			"choose an address that is free, or take it from whatever has it", answered...)}
	case len(untried) > 0 && len(answered) == 0:
		return []plan.Finding{finding(quorate.Unchecked, "not checked: neither bash and timeout nor curl on the host", "make sure that nothing has the VIP "+vip, untried...)}
	}
	return nil
}

func vrid(v view) []plan.Finding {
	var found []plan.Finding
	var unable []string
	own := v.owners()
	routers := map[netip.Addr][]string{}
	v.probedHosts(func(h hostFacts, p probed) {
		if vipInterface(v.Cluster, h.node) != "" && !p.vrrp {
			unable = append(unable, h.node.Name)
		}
		for _, r := range p.routers {
			if _, ours := own[r]; !ours {
				routers[r] = append(routers[r], h.node.Name)
			}
		}
	})
	if v.complete() {
		for _, r := range sortedAddrs(routers) {
			found = append(found, finding(quorate.Refused, fmt.Sprintf("%s advertises VRRP with the VRID %d", r, v.Cluster.Endpoint.VIP.RouterID),
				"set endpoint.vip.routerID to one that nobody on this network has", routers[r]...))
		}
	}
	if len(unable) > 0 {
		found = append(found, finding(quorate.Unchecked, "not checked: the host has no tcpdump to listen for VRRP with",
			fmt.Sprintf("install tcpdump and look again, or make sure that nobody on this network has the VRID %d", v.Cluster.Endpoint.VIP.RouterID), unable...))
	}
	return found
}

// sendEvery is vrrp.py's, with some time to be late.
const sendEvery = 500 * time.Millisecond

// vrrp finds pairs of control planes of which one does not hear the other.
func vrrp(v view) []plan.Finding {
	var found []plan.Finding
	var unable, apart []string
	var able []hostFacts
	note := func(to *[]string, name string) {
		if !slices.Contains(*to, name) {
			*to = append(*to, name)
		}
	}
	v.probedHosts(func(h hostFacts, p probed) {
		switch {
		case vipInterface(v.Cluster, h.node) == "" || len(v.vrrpPeers(h.node)) == 0:
		case !h.facts.holds(v.vrrpAddress(h.node)): // which is the finding
		case p.raw:
			able = append(able, h)
		default:
			note(&unable, h.node.Name)
		}
	})
	hears := func(to, from hostFacts) bool {
		return slices.ContainsFunc(v.probes[to.node.Name].heard, from.facts.holds)
	}
	for i, a := range able {
		for _, b := range able[i+1:] {
			var what string
			switch there, back := hears(b, a), hears(a, b); {
			case there && back:
				continue
			case !v.overlap(a, b):
				note(&apart, a.node.Name)
				note(&apart, b.node.Name)
				continue
			case there:
				what = "from " + b.node.Name + " to " + a.node.Name
			case back:
				what = "from " + a.node.Name + " to " + b.node.Name
			default:
				what = "between " + a.node.Name + " and " + b.node.Name
			}
			found = append(found, finding(quorate.Refused, "VRRP (IP protocol 112) does not get "+what,
				"let the protocol through in the firewalls of both hosts and of the network between them (docs/hosts.md)", a.node.Name, b.node.Name))
		}
	}
	if len(unable) > 0 {
		found = append(found, finding(quorate.Unchecked, "not checked: the host has no Python or Perl to send VRRP with, or may open no raw socket",
			"install python3 and look again, or make sure that IP protocol 112 gets through between control planes", unable...))
	}
	if len(apart) > 0 {
		found = append(found, finding(quorate.Unchecked, "not checked: the hosts did not try VRRP at the same time", "run again, with more hosts side by side (Parallel)", apart...))
	}
	return found
}

// overlap reports whether two hosts have certainly sent and heard at the same time.
// Each did so for listenSeconds at some moment between question and answer.
func (v view) overlap(a, b hostFacts) bool {
	p, q := v.probes[a.node.Name], v.probes[b.node.Name]
	length := time.Duration(v.listenSeconds()) * time.Second
	begin, end := p.received, p.sent
	if q.received.After(begin) {
		begin = q.received
	}
	if q.sent.Before(end) {
		end = q.sent
	}
	return !end.Add(length).Before(begin.Add(-length).Add(sendEvery))
}

func sortedAddrs(m map[netip.Addr][]string) []netip.Addr {
	var addrs []netip.Addr
	for a := range m {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
}

const (
	// slowSync is etcd's advice: the 99th percentile of fdatasync below 10 ms
	// (etcd's FAQ, and etcd_disk_wal_fsync_duration_seconds).
	slowSync = 10 * time.Millisecond
	// fewSyncs are too few for a 99th percentile.
	fewSyncs = 100
)

var disk = Check{
	Name: Disk, Severities: []quorate.Severity{quorate.Warned, quorate.Unchecked}, needs: []fact{factSync},
	Finds: "99 of 100 synchronous writes below etcd's data directory take up to more than 10 ms (`ha.Cluster.Preflight` with `Disk` only)",
	Notes: "200 writes of 2300 bytes, each with its fdatasync, take a second or two, so the figure is a first look. It is the one part that " +
		"writes: half a megabyte, removed again, on control planes without data. etcd's own advice is fio: " +
		"`fio --rw=write --ioengine=sync --fdatasync=1 --directory=DIR --size=22m --bs=2300 --name=etcd`.",
	judge: disks,
}

func disks(v view) []plan.Finding {
	var found []plan.Finding
	var unable []string
	v.probedHosts(func(h hostFacts, p probed) {
		switch p99 := time.Duration(0); {
		case !p.disk:
		case len(p.syncs) < fewSyncs:
			unable = append(unable, h.node.Name)
		default:
			if p99 = percentile(p.syncs, 99); p99 > slowSync {
				found = append(found, finding(quorate.Warned,
					fmt.Sprintf("99 of 100 writes below %s are on the disk within %s, etcd wants %s", v.dataDir(h.node), p99.Round(100*time.Microsecond), slowSync),
					"put etcd's data on a local SSD of its own, and measure longer with fio (docs/preflight.md)", h.node.Name))
			}
		}
	})
	if len(unable) > 0 {
		found = append(found, finding(quorate.Unchecked, "not checked: dd on the host does not measure synchronous writes", "measure with fio (docs/preflight.md)", unable...))
	}
	return found
}
