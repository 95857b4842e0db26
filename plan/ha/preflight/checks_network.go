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
	VIP    plan.Check = "vip"
	VRID   plan.Check = "vrid"
	Disk   plan.Check = "disk"
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
			Finds: "A control plane does not get through to another's 6443, 2379 or 2380, or a worker to a 6443",
			Notes: "Before a run nothing listens at the other end, and a listener of one's own would need a program there. So a refusal is taken " +
				"as proof: the packet came to the host, and its answer came back. No answer, or an ICMP message that there is no way (as " +
				"firewalld sends), is a finding. A firewall that refuses as a host does, with a reset or \"port unreachable\", cannot be told " +
				"from a host on which nothing listens; where something does listen it can. Paths are tried with bash and timeout, or else with " +
				"curl. Only TCP is tried, and not what the pod network needs.",
			judge: paths,
		},
	}
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

// targets are where a host must be able to connect to: the other control planes'
// etcd from a control plane, and their API servers from every host.
func (j Judge) targets(from quorate.Node) []netip.AddrPort {
	var to []netip.AddrPort
	for _, n := range j.Cluster.ControlPlanes() {
		if n.Name == from.Name {
			continue
		}
		ports := []uint16{j.APIPorts[n.Name]}
		if from.Role == quorate.ControlPlane {
			ports = append(ports, uint16(j.Cluster.Etcd.ClientPort), uint16(j.Cluster.Etcd.PeerPort))
		}
		for _, p := range ports {
			to = append(to, netip.AddrPortFrom(n.Address(), p))
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
			Finds: "Something answers at the VIP, and no control plane of the cluster has it",
			Notes: "The connection makes each control plane ask its neighbours who has the address; who has it must answer that, whatever its " +
				"firewall does. What the host had cached of that one address is forgotten first. An address beyond a router answers only by TCP.",
			judge: vipTaken,
		},
		{
			Name: VRID, Severities: []quorate.Severity{quorate.Refused, quorate.Unchecked}, needs: []fact{factListened, factRouter, factAddress},
			Finds: "A router that is none of the hosts advertises VRRP with the cluster's VRID",
			Notes: "Listening takes a tcpdump on a control plane; without one the finding says \"not checked\". VRRP that others send to each other " +
				"by unicast is not heard at all, and a switch that withholds multicast hides the rest.",
			judge: vrid,
		},
	}
}

// holders are the hosts that may have the VIP and have it.
func (v view) holders() []string {
	var names []string
	for _, h := range v.hosts {
		if vipInterface(v.Cluster, h.node) != "" && h.facts.holds(vipAddress(v.Cluster)) {
			names = append(names, h.node.Name)
		}
	}
	return names
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
		return []plan.Finding{finding(quorate.Refused, "something on the network already has the VIP "+vip+", and no control plane does",
			"choose an address that is free, or take it from whatever has it", answered...)}
	case len(untried) > 0 && len(answered) == 0:
		return []plan.Finding{finding(quorate.Unchecked, "not checked: neither bash and timeout nor curl on the host", "make sure that nothing has the VIP "+vip, untried...)}
	}
	return nil
}

func vrid(v view) []plan.Finding {
	if v.ignored(VRID) {
		return nil // nobody has listened
	}
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
