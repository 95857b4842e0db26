package preflight

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/transport"
)

// The figures that facts are held against.
const (
	// clockWarning is etcd's own: a member warns of a peer whose clock differs by
	// more (maxClockDifference, server/etcdserver/api/rafthttp/probing_status.go
	// has 1 s).
	clockWarning = time.Second
	// clockError is how far Kubernetes' and Quorate's own certificates are dated
	// back (kubeadm's CertificateBackdate, pki.Config.Backdate): beyond it a
	// host takes new certificates for not valid yet.
	clockError = 5 * time.Minute
	// leastMemoryKiB is kubeadm's ControlPlaneMem, 1700 MB.
	leastMemoryKiB = 1700 * 1000 * 1000 / 1024
	// slowSync is etcd's advice: the 99th percentile of fdatasync below 10 ms
	// (etcd's FAQ, and etcd_disk_wal_fsync_duration_seconds).
	slowSync = 10 * time.Millisecond
	// fewSyncs are too few for a 99th percentile.
	fewSyncs = 100
)

// Judge holds facts against a description. It does no I/O.
type Judge struct {
	Cluster quorate.Cluster
	Ignore  []plan.Check
	// authorities of this cluster, by the path of their certificates, per node:
	// what reports whether a host belongs to it already.
	Authorities map[string]map[string][]string
	// unit is each member's unit of etcd, where there are no authorities to tell.
	Units map[string]string
	// apiPorts is where each control plane's API server listens.
	APIPorts map[string]uint16
	// runtime is the command of a container runtime that must be there, and driver
	// the name of one that is taken as it is; empty if the recipe brings it, or if
	// Quorate does not know it.
	Runtime, Driver string
}

// The certificates of the authorities, where they stand on a control plane.
const (
	KubernetesCA = hostpath.KubernetesCA
	EtcdCA       = hostpath.EtcdCA
)

// CertificatesIn are the certificates of a PEM text, each by its SHA-256: two
// programs write one certificate with different line breaks and comments, and a CA
// that is being replaced stands beside its successor.
func CertificatesIn(text string) []string {
	var sums []string
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return sums
		}
		if block.Type == "CERTIFICATE" {
			sum := sha256.Sum256(block.Bytes)
			sums = append(sums, hex.EncodeToString(sum[:]))
		}
	}
}

func (j Judge) ignored(c plan.Check) bool { return slices.Contains(j.Ignore, c) }

// factsQuery is what a host is asked for of itself.
func (j Judge) factsQuery(n quorate.Node) transport.Query {
	return plan.Script(preflightScript, map[string]string{
		"VIP_INTERFACE": vipInterface(j.Cluster, n), "DATA_DIR": j.dataDir(n), "RUNTIME": j.Runtime,
	}, KubernetesCA, EtcdCA, etcd.UnitPath)
}

// dataDir is where a node's etcd keeps its data; a name that no host has for a
// node without.
func (j Judge) dataDir(n quorate.Node) string {
	if n.Role != quorate.ControlPlane {
		return "/nonexistent"
	}
	return j.Cluster.Etcd.DataDir
}

// ours reports whether what Kubernetes, and what etcd has on a host is this
// cluster's: an authority tells clusters apart, and its certificate is the first
// thing that a run puts in place. A worker gets it from kubeadm join, which the
// recipe's mark tells of before.
func (j Judge) ours(n quorate.Node, f factSheet) (kubernetes, member bool) {
	shares := func(path string) bool {
		want := j.Authorities[n.Name][path]
		return slices.ContainsFunc(CertificatesIn(f.texts[path]), func(sum string) bool { return slices.Contains(want, sum) })
	}
	_, there := f.texts[KubernetesCA]
	known := len(j.Authorities[n.Name][KubernetesCA]) > 0
	kubernetes = shares(KubernetesCA) || f.mark != "" && (!there || !known)
	unit, has := j.Units[n.Name]
	return kubernetes, kubernetes || shares(EtcdCA) || has && f.texts[etcd.UnitPath] == unit
}

// fresh reports whether one of the hosts is not this cluster's yet.
func (j Judge) fresh(all []hostFacts) bool {
	return slices.ContainsFunc(all, func(h hostFacts) bool {
		kubernetes, _ := j.ours(h.node, h.facts)
		return !kubernetes
	})
}

// findings judges all hosts, of which those that tell of their surroundings are
// in probes.
func (j Judge) findings(all []hostFacts, probes map[string]probed) []plan.Finding {
	var found []plan.Finding
	for _, h := range all {
		found = append(found, j.host(h.node, h.facts)...)
		found = append(found, j.driverOf(h.node, probes[h.node.Name])...)
	}
	found = append(found, j.clocks(all)...)
	found = append(found, j.duplicates(all)...)
	return append(found, j.around(all, probes)...)
}

// host judges one host by itself.
func (j Judge) host(n quorate.Node, f factSheet) []plan.Finding {
	var found []plan.Finding
	find := func(c plan.Check, s quorate.Severity, what, do string) {
		found = append(found, plan.Finding{Check: c, Severity: s, Hosts: []string{n.Name}, Found: what, Do: do})
	}
	// What keeps a node from coming into being does not stop one that is there.
	start := quorate.Refused
	if kubernetes, _ := j.ours(n, f); kubernetes {
		start = quorate.Warned
	}
	if f.uid != "0" {
		find(Root, quorate.Refused, "commands run as uid "+f.uid+", not as root", "connect as root or decorate the transport with sudo")
	}
	if f.init != "systemd" {
		find(Init, quorate.Refused, "process 1 is "+f.init+", not systemd", "use a distribution that systemd starts")
	}
	if len(f.missing) > 0 {
		find(Commands, quorate.Refused, "commands missing: "+strings.Join(f.missing, " "), "install them (packages iproute2, systemd)")
	}
	for _, a := range n.Addresses {
		if !f.holds(a) {
			find(Address, quorate.Refused, "the host does not have "+a.String()+", it has "+f.addressList(),
				"correct the node's addresses, or where ssh leads")
		}
	}
	if f.iface == "no" {
		find(Interface, quorate.Refused, "no interface "+vipInterface(j.Cluster, n),
			"set endpoint.vip.interface or the node's interface to the one that shall carry the VIP")
	}
	j.hostname(n, f, find)
	if n.Role == quorate.ControlPlane && f.memoryKiB > 0 && f.memoryKiB < leastMemoryKiB && !j.kubeadmIgnores("Mem") {
		find(Memory, start, fmt.Sprintf("the host has %d MiB of memory, kubeadm wants 1700 MB on a control plane", f.memoryKiB/1024),
			"give it more, or ignore kubeadm's own check too (kubeadm.ignorePreflightErrors: [Mem])")
	}
	if failSwapOn, given := j.Cluster.Kubeadm.Kubelet["failSwapOn"].(bool); len(f.swaps) > 0 && (!given || failSwapOn) {
		find(Swap, start, "swap is on ("+strings.Join(f.swaps, " ")+"), with which the kubelet does not start",
			"swapoff -a and take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false")
	}
	j.sysctls(f, find)
	if f.runtime == "no" {
		find(Runtime, quorate.Refused, j.Runtime+" is not installed, the container runtime of "+j.Cluster.Kubeadm.CRISocket,
			"install it, have it installed (Prerequisites: Packages), or set kubeadm.criSocket to the runtime's that is there")
	}
	if fail, given := j.Cluster.Kubeadm.Kubelet["failCgroupV1"].(bool); f.cgroup == "v1" && j.Cluster.Version.Has(quorate.CgroupV1Refused) && (!given || fail) {
		find(Cgroup, start, "the host has cgroup v1, with which the kubelet does not start from Kubernetes 1.35 on",
			"boot it with systemd.unified_cgroup_hierarchy=1, or set kubeadm.kubelet.failCgroupV1 to false")
	}
	j.leftovers(n, f, find)
	return found
}

// driverOf judges the container runtime's cgroup driver, where a host was asked
// for it. From 1.34 on the kubelet follows a runtime that tells it.
func (j Judge) driverOf(n quorate.Node, p probed) []plan.Finding {
	want := hostsetup.CgroupDriver(j.Cluster)
	f := plan.Finding{Check: CgroupDriver, Severity: quorate.Refused, Hosts: []string{n.Name}}
	switch p.driver {
	case "", want:
		return nil
	case driverUnknown:
		f.Severity, f.Found, f.Do = quorate.Unchecked, "not checked: "+j.Driver+" does not tell its cgroup driver", "make sure that it is "+want
		return []plan.Finding{f}
	}
	f.Found = fmt.Sprintf("%s manages cgroups by %s, the kubelet will by %s", j.Driver, p.driver, want)
	f.Do = fmt.Sprintf("set the runtime's configuration to %s, or kubeadm.kubelet.cgroupDriver to %s", want, p.driver)
	if j.Cluster.Version.Has(quorate.CgroupDriverFromRuntime) {
		f.Severity, f.Found = quorate.Warned, f.Found+" unless the runtime tells it (containerd 2.0, CRI-O 1.28 and later)"
	}
	return []plan.Finding{f}
}

func (j Judge) hostname(n quorate.Node, f factSheet, find func(plan.Check, quorate.Severity, string, string)) {
	short, _, _ := strings.Cut(strings.ToLower(f.hostname), ".")
	is := func(name string) bool {
		name = strings.ToLower(name)
		return short == name || strings.EqualFold(f.hostname, name)
	}
	if f.hostname == "" || is(n.Name) {
		return
	}
	for _, other := range j.Cluster.Nodes {
		if is(other.Name) {
			find(Hostname, quorate.Refused, "the host calls itself "+f.hostname+", as another node is named",
				"correct where ssh leads for these two, or the host's name")
			return
		}
	}
	find(Hostname, quorate.Warned, "the host calls itself "+f.hostname, "hostnamectl set-hostname "+n.Name+", unless the node's name is meant to differ")
}

func (j Judge) kubeadmIgnores(check string) bool {
	return slices.ContainsFunc(j.Cluster.Kubeadm.IgnorePreflightErrors, func(s string) bool {
		return strings.EqualFold(s, check) || strings.EqualFold(s, "all")
	})
}

// sysctls finds settings of the host that undo the recipe's at the next boot,
// by the order of sysctl.d(5): the last file by name wins, and /etc/sysctl.conf
// after all of them.
func (j Judge) sysctls(f factSheet, find func(plan.Check, quorate.Severity, string, string)) {
	for _, want := range hostsetup.KernelOf(j.Cluster).Settings {
		for _, line := range f.sysctls {
			later := line.file > hostpath.Sysctl || line.file == "/etc/sysctl.conf"
			if line.key == want.Key && line.value != want.Value && later {
				find(Sysctl, quorate.Warned, fmt.Sprintf("%s sets %s = %s and is read after %s", line.file, line.key, line.value, hostpath.Sysctl),
					"take the line out: it undoes "+want.Key+" = "+want.Value+" at the next boot")
			}
		}
	}
}

// leftovers finds what an earlier cluster has left, and ports that something
// else has. What is this cluster's own is in its place.
func (j Judge) leftovers(n quorate.Node, f factSheet, find func(plan.Check, quorate.Severity, string, string)) {
	kubernetes, member := j.ours(n, f)
	var left []string
	for _, path := range f.left {
		of := kubernetes
		if strings.HasPrefix(path, j.dataDir(n)+"/") {
			of = member
		}
		if !of {
			left = append(left, path)
		}
	}
	if len(left) > 0 {
		find(Leftovers, quorate.Refused, "another cluster has left "+strings.Join(left, " "),
			"if nothing of it is needed, kubeadm reset --force and remove them; if it is this cluster, give its own keys and certificates")
	}
	type use struct {
		port uint16
		by   string
		own  bool
		at   []netip.Addr
	}
	uses := []use{{10250, "the kubelet", kubernetes, nil}}
	if n.Role == quorate.ControlPlane {
		uses = append(uses,
			use{j.APIPorts[n.Name], "the API server", kubernetes, nil},
			use{uint16(j.Cluster.Etcd.ClientPort), "etcd's clients", member, n.Addresses},
			use{uint16(j.Cluster.Etcd.PeerPort), "etcd's peers", member, n.Addresses})
	}
	for _, u := range uses {
		if at, taken := f.listener(u.port, u.at...); taken && !u.own {
			find(Port, quorate.Refused, fmt.Sprintf("%s is in use, which %s need", at, u.by),
				fmt.Sprintf("stop what listens there (ss -ltnp 'sport = :%d')", u.port))
		}
	}
}

// hostFacts are a host's facts and when they were asked: the host's clock was
// read between Sent and Received by the operator's.
type hostFacts struct {
	node           quorate.Node
	facts          factSheet
	sent, received time.Time
}

// offset bounds how far the host's clock is ahead of the operator's.
func (h hostFacts) offset() (least, most time.Duration) {
	return h.facts.time.Sub(h.received), h.facts.time.Add(h.facts.precision).Sub(h.sent)
}

// certain is how far two intervals are apart: the least difference of two
// values in them, 0 if they overlap.
func certain(aLeast, aMost, bLeast, bMost time.Duration) time.Duration {
	return max(0, aLeast-bMost, bLeast-aMost)
}

// clocks reports only what is certain whatever the round trips took.
func (j Judge) clocks(all []hostFacts) []plan.Finding {
	var found []plan.Finding
	find := func(by time.Duration, what string, hosts ...string) {
		s := quorate.Warned
		if by > clockError {
			s = quorate.Refused
		}
		found = append(found, plan.Finding{
			Check: Clock, Severity: s, Hosts: hosts,
			Found: fmt.Sprintf("%s by at least %s", what, by.Truncate(100*time.Millisecond)),
			Do:    "run a time service (chrony, systemd-timesyncd) and wait until it is in step",
		})
	}
	var told []hostFacts
	for _, h := range all {
		if !h.facts.time.IsZero() {
			told = append(told, h)
		}
	}
	off := map[string]bool{}
	for _, h := range told {
		least, most := h.offset()
		if by := certain(least, most, 0, 0); by > clockWarning {
			off[h.node.Name] = true
			way := "ahead of"
			if most < 0 {
				way = "behind"
			}
			find(by, "the clock is "+way+" the operator's", h.node.Name)
		}
	}
	// One that is off is off from all others too. Of the rest the two that are
	// furthest apart stand for all.
	var first, last *hostFacts
	for i, h := range told {
		if off[h.node.Name] {
			continue
		}
		least, most := h.offset()
		if first == nil {
			first, last = &told[i], &told[i]
			continue
		}
		if other, _ := first.offset(); least > other {
			first = &told[i]
		}
		if _, other := last.offset(); most < other {
			last = &told[i]
		}
	}
	if first != nil {
		ahead, _ := first.offset()
		_, behind := last.offset()
		if by := ahead - behind; by > clockWarning {
			find(by, "the first clock is ahead of the second", first.node.Name, last.node.Name)
		}
	}
	return found
}

// duplicates finds what must be unique and is not. On a cluster that runs it has
// done what harm it does already.
func (j Judge) duplicates(all []hostFacts) []plan.Finding {
	var found []plan.Finding
	start := quorate.Refused
	if !j.fresh(all) {
		start = quorate.Warned
	}
	for _, d := range []struct {
		check    plan.Check
		severity quorate.Severity
		of       func(factSheet) string
		what, do string
	}{
		{MachineID, start, func(f factSheet) string { return f.machineID }, "the same /etc/machine-id",
			"these hosts were cloned: rm /etc/machine-id /var/lib/dbus/machine-id, systemd-machine-id-setup and reboot, on all but one"},
		{ProductUUID, quorate.Warned, func(f factSheet) string { return f.productUUID }, "the same product_uuid",
			"give each virtual machine a UUID of its own; containers on one machine always share it"},
	} {
		hosts := map[string][]string{}
		var values []string
		for _, h := range all {
			if v := d.of(h.facts); v != "" {
				if hosts[v] == nil {
					values = append(values, v)
				}
				hosts[v] = append(hosts[v], h.node.Name)
			}
		}
		for _, v := range values {
			if len(hosts[v]) > 1 {
				found = append(found, plan.Finding{Check: d.check, Severity: d.severity, Hosts: hosts[v], Found: d.what + ": " + v, Do: d.do})
			}
		}
	}
	return found
}

// holdsVIP reports whether one of those who may have the VIP has it.
func (j Judge) holdsVIP(all []hostFacts) bool {
	return slices.ContainsFunc(all, func(h hostFacts) bool {
		return vipInterface(j.Cluster, h.node) != "" && h.facts.holds(vipAddress(j.Cluster))
	})
}

// around judges what hosts find out about what is around them.
func (j Judge) around(all []hostFacts, probes map[string]probed) []plan.Finding {
	var found []plan.Finding
	find := func(c plan.Check, s quorate.Severity, what, do string, hosts ...string) {
		found = append(found, plan.Finding{Check: c, Severity: s, Hosts: hosts, Found: what, Do: do})
	}
	own := map[netip.Addr]hostFacts{}
	for _, h := range all {
		for _, p := range h.facts.addresses {
			own[p.Addr()] = h
		}
	}
	vip := vipAddress(j.Cluster)
	held := j.holdsVIP(all)
	// A host that was not reached may be the one that has the VIP, or sends.
	complete := len(all) == len(j.Cluster.Nodes)
	var answered, untried, deaf, blind []string
	routers := map[netip.Addr][]string{}
	for _, h := range all {
		p, asked := probes[h.node.Name]
		if !asked {
			continue
		}
		found = append(found, j.paths(h, p, own)...)
		if p.vipAnswers {
			answered = append(answered, h.node.Name)
		} else if p.vip == pathUnknown {
			untried = append(untried, h.node.Name)
		}
		if vipInterface(j.Cluster, h.node) != "" && !p.vrrp && !j.ignored(VRID) {
			deaf = append(deaf, h.node.Name)
		}
		for _, r := range p.routers {
			if _, ours := own[r]; !ours {
				routers[r] = append(routers[r], h.node.Name)
			}
		}
		for _, s := range p.paths {
			if s == pathUnknown {
				blind = append(blind, h.node.Name)
				break
			}
		}
	}
	if len(answered) > 0 && !held && complete {
		find(VIP, quorate.Refused, "something on the network already has the VIP "+vip.String()+", and no control plane does",
			"choose an address that is free, or take it from whatever has it", answered...)
	}
	if len(untried) > 0 && len(answered) == 0 && !held {
		find(VIP, quorate.Unchecked, "not checked: neither bash and timeout nor curl on the host", "make sure that nothing has the VIP "+vip.String(), untried...)
	}
	if complete {
		for _, r := range sortedAddrs(routers) {
			find(VRID, quorate.Refused, fmt.Sprintf("%s advertises VRRP with the VRID %d", r, j.Cluster.Endpoint.VIP.RouterID),
				"set endpoint.vip.routerID to one that nobody on this network has", routers[r]...)
		}
	}
	if len(deaf) > 0 {
		find(VRID, quorate.Unchecked, "not checked: the host has no tcpdump to listen for VRRP with",
			fmt.Sprintf("install tcpdump and look again, or make sure that nobody on this network has the VRID %d", j.Cluster.Endpoint.VIP.RouterID), deaf...)
	}
	if len(blind) > 0 {
		find(Path, quorate.Unchecked, "not checked: neither bash and timeout nor curl on the host", "install curl, which the recipe needs anyhow", blind...)
	}
	return append(found, j.disks(all, probes)...)
}

func sortedAddrs(m map[netip.Addr][]string) []netip.Addr {
	var addrs []netip.Addr
	for a := range m {
		addrs = append(addrs, a)
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return addrs
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

// paths finds the ways that are blocked, all ports of one pair in one finding.
func (j Judge) paths(from hostFacts, p probed, own map[netip.Addr]hostFacts) []plan.Finding {
	var found []plan.Finding
	ports := map[string][]string{}
	var order []string
	for _, to := range j.targets(from.node) {
		target, known := own[to.Addr()]
		state := p.paths[to]
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
		found = append(found, plan.Finding{
			Check: Path, Severity: quorate.Refused, Hosts: []string{from.node.Name, name},
			Found: fmt.Sprintf("%s does not get through to %s on TCP %s", from.node.Name, name, strings.Join(ports[name], ", ")),
			Do:    "let it through in the firewalls of both hosts and of the network between them",
		})
	}
	return found
}

func (j Judge) disks(all []hostFacts, probes map[string]probed) []plan.Finding {
	var found []plan.Finding
	var unable []string
	for _, h := range all {
		p := probes[h.node.Name]
		if !p.disk {
			continue
		}
		if len(p.syncs) < fewSyncs {
			unable = append(unable, h.node.Name)
			continue
		}
		if p99 := percentile(p.syncs, 99); p99 > slowSync {
			found = append(found, plan.Finding{
				Check: Disk, Severity: quorate.Warned, Hosts: []string{h.node.Name},
				Found: fmt.Sprintf("99 of 100 writes below %s are on the disk within %s, etcd wants %s", j.dataDir(h.node), p99.Round(100*time.Microsecond), slowSync),
				Do:    "put etcd's data on a local SSD of its own, and measure longer with fio (docs/preflight.md)",
			})
		}
	}
	if len(unable) > 0 {
		found = append(found, plan.Finding{
			Check: Disk, Severity: quorate.Unchecked, Hosts: unable,
			Found: "not checked: dd on the host does not measure synchronous writes", Do: "measure with fio (docs/preflight.md)",
		})
	}
	return found
}
