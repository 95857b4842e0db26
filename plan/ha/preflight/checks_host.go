package preflight

import (
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
)

// Names of the checks of one host by itself.
const (
	Reachable plan.Check = "reachable"
	Root      plan.Check = "root"
	Init      plan.Check = "init"
	Commands  plan.Check = "commands"
	// SearchPath is about PATH.
	SearchPath plan.Check = "search-path"
	LoginShell plan.Check = "login-shell"
	Address    plan.Check = "address"
	Interface  plan.Check = "interface"
	Hostname   plan.Check = "hostname"
	Memory     plan.Check = "memory"
	Swap       plan.Check = "swap"
	Sysctl     plan.Check = "sysctl"
	// Bridge is about br_netfilter.
	Bridge  plan.Check = "bridge"
	SELinux plan.Check = "selinux"
	Proxy   plan.Check = "proxy"
)

// minMemoryKiB is kubeadm's ControlPlaneMem, 1700 MB.
const minMemoryKiB = 1700 * 1000 * 1000 / 1024

func hostChecks() []Check {
	return []Check{
		{
			Name: Reachable, Severities: []quorate.Severity{quorate.Refused},
			Finds: "A host that cannot be reached, or is lost on the way (`ha.Cluster.Preflight` only: in a run the step fails)",
			judge: func(view) []plan.Finding { return nil }, // there are no facts: Verdict reports it
		},
		{
			Name: Root, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factUID},
			Finds: "Commands that do not run as root",
			judge: each(func(_ view, h hostFacts) []plan.Finding {
				if h.facts.uid == "0" {
					return nil
				}
				return one(quorate.Refused, "commands run as uid "+h.facts.uid+", not as root", "connect as root or decorate the transport with sudo")
			}),
		},
		{
			Name: Init, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factInit},
			Finds: "A process 1 that is not systemd",
			judge: each(func(_ view, h hostFacts) []plan.Finding {
				if h.facts.init == "systemd" {
					return nil
				}
				return one(quorate.Refused, "process 1 is "+h.facts.init+", not systemd", "use a distribution that systemd starts")
			}),
		},
		{
			Name: Commands, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factMissing},
			Finds: "`ip` or `systemctl` missing",
			judge: each(func(_ view, h hostFacts) []plan.Finding {
				if len(h.facts.missing) == 0 {
					return nil
				}
				return one(quorate.Refused, "commands missing: "+strings.Join(h.facts.missing, " "), "install them (packages iproute2, systemd)")
			}),
		},
		{
			Name: SearchPath, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factSearchPath, factHidden},
			Finds: "A program that is on the host and not found, or one that the recipe will bring to a directory where it is not found: PATH, or sudo's `secure_path`, lacks it",
			judge: each(searchPath),
		},
		{
			Name: LoginShell, Severities: []quorate.Severity{quorate.Warned}, needs: []fact{factShell},
			Finds: "A login shell that is none of those that Quorate is tried with (sh, dash, bash, ash, busybox, ksh, mksh, zsh, csh, tcsh, fish)",
			Notes: "Of the user who connects, also under sudo, if /etc/passwd has it. A shell that runs nothing (nologin) is what a host that cannot be read reports.",
			judge: each(func(_ view, h hostFacts) []plan.Finding {
				if h.facts.shell == "" || slices.Contains(triedShells, path.Base(h.facts.shell)) {
					return nil
				}
				return one(quorate.Warned, "the login shell is "+h.facts.shell+", which Quorate is not tried with", "chsh -s /bin/sh for this user, or try what you do on a host that may break")
			}),
		},
		{
			Name: Address, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factAddress},
			Finds: "An address of the node that the host does not have",
			judge: each(func(_ view, h hostFacts) []plan.Finding {
				var found []plan.Finding
				for _, a := range h.node.Addresses {
					if !h.facts.holds(a) {
						found = append(found, finding(quorate.Refused, "the host does not have "+a.String()+", it has "+h.facts.addressList(),
							"correct the node's addresses, or where ssh leads"))
					}
				}
				return found
			}),
		},
		{
			Name: Interface, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factInterface},
			Finds: "The VIP's interface missing on a control plane, or down (without a carrier or not set up), or described by an alternative name",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				switch own := h.facts.iface; own {
				case "down":
					return one(quorate.Refused, "the interface "+vipInterface(v.Cluster, h.node)+" is down, where keepalived cannot hold the VIP",
						"connect it and set it up (ip link set up), or set the node's interface to the one that shall carry the VIP")
				case "yes", "":
					return nil
				case "no":
				default:
					return one(quorate.Refused, vipInterface(v.Cluster, h.node)+" is an alternative name of the interface "+own+", which keepalived does not look for",
						"set endpoint.vip.interface or the node's interface to "+own)
				}
				return one(quorate.Refused, "no interface "+vipInterface(v.Cluster, h.node),
					"set endpoint.vip.interface or the node's interface to the one that shall carry the VIP")
			}),
		},
		{
			Name: Hostname, Severities: []quorate.Severity{quorate.Refused, quorate.Warned}, needs: []fact{factHostname},
			Finds: "The host calls itself as another node of the cluster is named; or otherwise than its node",
			judge: each(hostname),
		},
	}
}

// triedShells are those of docs/hosts.md.
var triedShells = []string{"sh", "dash", "bash", "ash", "busybox", "ksh", "ksh93", "mksh", "zsh", "csh", "tcsh", "fish"}

func searchPath(v view, h hostFacts) []plan.Finding {
	var found []plan.Finding
	find := func(what, dir string) {
		found = append(found, finding(quorate.Refused, what+", which is not in PATH ("+strings.Join(h.facts.searchPath, ":")+")",
			"add "+dir+" to PATH; with sudo: to secure_path, or Defaults !secure_path, in a file of /etc/sudoers.d"))
	}
	var dirs []string
	for _, program := range h.facts.hidden {
		if dir := path.Dir(program); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
			find(program+" is in a directory", dir)
		}
	}
	for _, program := range v.Programs {
		if dir := path.Dir(program); len(h.facts.searchPath) > 0 && !slices.Contains(h.facts.searchPath, dir) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
			find(program+" will be brought to a directory", dir)
		}
	}
	return found
}

func hostname(v view, h hostFacts) []plan.Finding {
	called := h.facts.hostname
	short, _, _ := strings.Cut(strings.ToLower(called), ".")
	is := func(name string) bool {
		name = strings.ToLower(name)
		return short == name || strings.EqualFold(called, name)
	}
	if called == "" || is(h.node.Name) {
		return nil
	}
	if slices.ContainsFunc(v.Cluster.Nodes, func(other quorate.Node) bool { return is(other.Name) }) {
		return one(quorate.Refused, "the host calls itself "+called+", as another node is named", "correct where ssh leads for these two, or the host's name")
	}
	return one(quorate.Warned, "the host calls itself "+called, "hostnamectl set-hostname "+h.node.Name+", unless the node's name is meant to differ")
}

func systemChecks() []Check {
	return []Check{
		{
			Name: Memory, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factMemory}, ownership...),
			Finds: "Less than kubeadm's 1700 MB on a control plane, unless kubeadm's `Mem` is ignored",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				kib := h.facts.memoryKiB
				if h.node.Role != quorate.ControlPlane || kib <= 0 || kib >= minMemoryKiB || v.kubeadmIgnores("Mem") {
					return nil
				}
				return one(v.start(h), fmt.Sprintf("the host has %d MiB of memory, kubeadm wants 1700 MB on a control plane", kib/1024),
					"give it more, or ignore kubeadm's own check too (kubeadm.ignorePreflightErrors: [Mem])")
			}),
		},
		{
			Name: Swap, Severities: []quorate.Severity{quorate.Refused, quorate.Warned}, Lenient: true, needs: append([]fact{factSwap, factSwapAtBoot}, ownership...),
			Finds: "Swap is on, unless `kubelet.failSwapOn` is false; or is off, and comes back by /etc/fstab (warning)",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				if fail, set := v.Cluster.Kubeadm.Kubelet["failSwapOn"].(bool); set && !fail {
					return nil
				}
				if len(h.facts.swaps) == 0 {
					if len(h.facts.swapsAtBoot) == 0 {
						return nil
					}
					return one(quorate.Warned, "swap comes back at the next boot ("+strings.Join(h.facts.swapsAtBoot, " ")+"), and then the kubelet does not start",
						"take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false")
				}
				return one(v.start(h), "swap is on ("+strings.Join(h.facts.swaps, " ")+"), with which the kubelet does not start",
					"swapoff -a and take it out of /etc/fstab, or set kubeadm.kubelet.failSwapOn to false")
			}),
		},
		{
			Name: Sysctl, Severities: []quorate.Severity{quorate.Warned}, needs: []fact{factSysctl},
			Finds: "A line in /etc/sysctl.conf, or in a later file by name of /etc/sysctl.d, /run/sysctl.d, /usr/local/lib/sysctl.d or /usr/lib/sysctl.d, that undoes a setting of the recipe at the next boot",
			judge: each(sysctls),
		},
		{
			Name: Bridge, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factBridge}, ownership...),
			Finds: "Before Kubernetes 1.30: br_netfilter is not loaded, or bridged packets do not pass iptables (ip6tables for an IPv6 range), which kubeadm wants",
			judge: each(bridge),
		},
		{
			Name: SELinux, Severities: []quorate.Severity{quorate.Refused, quorate.Warned}, needs: []fact{factSELinux, factSEBool},
			Finds: "SELinux is enforcing and keeps haproxy from the API servers' ports; or keepalived's check of the API server (warning)",
			Notes: "By the booleans of the policy that Fedora's family has, haproxy_connect_any and keepalived_connect_any. A policy without them does not confine the two. Tried with these files alone, not on a host that enforces.",
			judge: each(selinux),
		},
		{
			Name: Proxy, Severities: []quorate.Severity{quorate.Warned}, needs: []fact{factProxy, factEnvFile},
			Finds: "Variables of proxies that also send what is for the endpoint, nodes, pods or services to the proxy: in the environment of commands, in /etc/environment, in systemd's DefaultEnvironment, in units and drop-ins of the kubelet and container runtimes wherever systemd reads them, in files that these name by EnvironmentFile, in /etc/default/kubelet and /etc/sysconfig/kubelet",
			Notes: "NO_PROXY is read as Go programs read it: addresses, ranges, names and what they end with, `*`. A unit has systemd's DefaultEnvironment beside its own, and a file takes the place of those of its name in later directories, as systemd has it. Values that go on in another line are not read. The proxies' own addresses, which may hold passwords, are not kept.",
			judge: each(proxy),
		},
	}
}

// sysctls finds settings of the host that undo the recipe's at the next boot,
// by the order of sysctl.d(5): the last file by name wins, and /etc/sysctl.conf
// after all of them.
func sysctls(v view, h hostFacts) []plan.Finding {
	var found []plan.Finding
	for _, want := range hostsetup.KernelOf(v.Cluster).Settings {
		for _, line := range h.facts.sysctls {
			later := path.Base(line.file) > path.Base(hostpath.Sysctl) || line.file == "/etc/sysctl.conf"
			if line.key == want.Key && line.value != want.Value && later {
				found = append(found, finding(quorate.Warned, fmt.Sprintf("%s sets %s = %s and is read after %s", line.file, line.key, line.value, hostpath.Sysctl),
					"take the line out: it undoes "+want.Key+" = "+want.Value+" at the next boot"))
			}
		}
	}
	return found
}

func bridge(v view, h hostFacts) []plan.Finding {
	if !v.Cluster.Version.Has(quorate.BridgeFilterChecked) {
		return nil
	}
	table := "iptables"
	if len(v.Cluster.Pods) > 0 && !v.Cluster.Pods[0].Addr().Is4() {
		table = "ip6tables"
	}
	name := "bridge-nf-call-" + table
	if state := h.facts.bridge[table]; state == "" || state == "1" || v.kubeadmIgnores("FileContent--proc-sys-net-bridge-"+name) {
		return nil
	} else if state == "missing" {
		return one(v.start(h), "br_netfilter is not loaded, which kubeadm wants before Kubernetes 1.30", "modprobe br_netfilter, and name it in a file of /etc/modules-load.d")
	}
	return one(v.start(h), "net.bridge."+name+" is not 1, as kubeadm wants before Kubernetes 1.30", "set it in a file of /etc/sysctl.d, and sysctl --system")
}

func selinux(v view, h hostFacts) []plan.Finding {
	if !h.facts.enforcing || h.node.Role != quorate.ControlPlane {
		return nil
	}
	var found []plan.Finding
	off := func(name string) bool { on, known := h.facts.booleans[name]; return known && !on }
	if v.Cluster.Endpoint.LoadBalancer == quorate.HAProxy && off("haproxy_connect_any") {
		found = append(found, finding(quorate.Refused, "SELinux is enforcing and does not let haproxy use the API's ports", "setsebool -P haproxy_connect_any 1"))
	}
	if vipInterface(v.Cluster, h.node) != "" && off("keepalived_connect_any") {
		found = append(found, finding(quorate.Warned, "SELinux is enforcing and may keep keepalived's check from the API server", "setsebool -P keepalived_connect_any 1"))
	}
	return found
}

// proxy finds where a proxy would get what is the cluster's own.
func proxy(v view, h hostFacts) []plan.Finding {
	var found []plan.Finding
	for _, source := range slices.Sorted(maps.Keys(h.facts.proxies)) {
		p := h.facts.proxies[source]
		if len(p.set) == 0 {
			continue
		}
		var missing []string
		if !p.spares(v.Cluster.Endpoint.Host) {
			missing = append(missing, "the endpoint "+v.Cluster.Endpoint.Host)
		}
		for _, n := range v.Cluster.Nodes {
			for _, a := range n.Addresses {
				if !p.spares(a.String()) {
					missing = append(missing, n.Name+" "+a.String())
				}
			}
		}
		for _, r := range v.Cluster.Pods {
			if !p.sparesRange(r) {
				missing = append(missing, "pods "+r.String())
			}
		}
		for _, r := range v.Cluster.Services {
			if !p.sparesRange(r) {
				missing = append(missing, "services "+r.String())
			}
		}
		if len(missing) > 0 {
			found = append(found, finding(quorate.Warned, fmt.Sprintf("%s sets %s, and NO_PROXY there lacks %s", source, strings.Join(p.set, " and "), strings.Join(missing, ", ")),
				"add them to NO_PROXY, as ranges where they are many, and restart what reads it"))
		}
	}
	return found
}

// spares reports whether connections to a host, an address or a name, do not go to the proxy.
func (p proxies) spares(host string) bool {
	addr, err := netip.ParseAddr(host)
	return slices.ContainsFunc(p.none, func(entry string) bool {
		entry = strings.ToLower(entry)
		if entry == "*" {
			return true
		}
		if err == nil {
			if r, rangeErr := netip.ParsePrefix(entry); rangeErr == nil {
				return r.Contains(addr)
			}
			one, oneErr := netip.ParseAddr(strings.Trim(entry, "[]"))
			return oneErr == nil && one == addr
		}
		entry = strings.TrimPrefix(entry, "*")
		name := strings.ToLower(host)
		return entry != "" && (name == strings.TrimPrefix(entry, ".") && !strings.HasPrefix(entry, ".") || strings.HasSuffix(name, "."+strings.TrimPrefix(entry, ".")))
	})
}

// sparesRange reports whether connections to all of a range do not go to the proxy.
func (p proxies) sparesRange(want netip.Prefix) bool {
	return slices.ContainsFunc(p.none, func(entry string) bool {
		if entry == "*" {
			return true
		}
		have, err := netip.ParsePrefix(entry)
		return err == nil && have.Bits() <= want.Bits() && have.Masked().Contains(want.Addr())
	})
}

// Names of the checks that take several hosts to judge.
const (
	Clock       plan.Check = "clock"
	MachineID   plan.Check = "machine-id"
	ProductUUID plan.Check = "product-uuid"
)

// The figures that clocks are held against.
const (
	// clockWarning is etcd's own: a member warns of a peer whose clock differs by
	// more (maxClockDifference, server/etcdserver/api/rafthttp/probing_status.go
	// has 1 s).
	clockWarning = time.Second
	// clockError is how far Kubernetes' and Quorate's own certificates are dated
	// back (kubeadm's CertificateBackdate, pki.Config.Backdate): beyond it a
	// host takes new certificates for not valid yet.
	clockError = 5 * time.Minute
)

func manyChecks() []Check {
	return []Check{
		{
			Name: Clock, Severities: []quorate.Severity{quorate.Refused, quorate.Warned}, needs: []fact{factTime},
			Finds: "A clock off by more than 5 minutes, by more than 1 second; from the operator's, or between two hosts",
			Notes: "The host's clock is read at some moment between question and answer. What that leaves open, and the whole second of a " +
				"BusyBox `date`, is allowed for: only a difference that is certain is reported. 1 second is where etcd's members warn of each " +
				"other, 5 minutes is how far new certificates are dated back. Containers on one machine share the kernel: its clock, swap, " +
				"memory and product_uuid are then the machine's.",
			judge: clocks,
		},
		{
			Name: MachineID, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factMachineID}, ownership...),
			Finds: "The same /etc/machine-id on several hosts",
			judge: func(v view) []plan.Finding {
				s := quorate.Refused
				if !v.fresh(v.hosts) {
					s = quorate.Warned
				}
				return v.shared(s, func(f factSheet) string { return f.machineID }, "the same /etc/machine-id",
					"these hosts were cloned: rm /etc/machine-id /var/lib/dbus/machine-id, systemd-machine-id-setup and reboot, on all but one")
			},
		},
		{
			Name: ProductUUID, Severities: []quorate.Severity{quorate.Warned}, needs: []fact{factProductUUID},
			Finds: "The same firmware UUID on several hosts",
			judge: func(v view) []plan.Finding {
				return v.shared(quorate.Warned, func(f factSheet) string { return f.productUUID }, "the same product_uuid",
					"give each virtual machine a UUID of its own; containers on one machine always share it")
			},
		},
	}
}

// offset bounds how far the host's clock is ahead of the operator's.
func (h hostFacts) offset() (low, high time.Duration) {
	return h.facts.time.Sub(h.received), h.facts.time.Add(h.facts.precision).Sub(h.sent)
}

// certain is how far two intervals are apart: the smallest difference of two
// values in them, 0 if they overlap.
func certain(aLow, aHigh, bLow, bHigh time.Duration) time.Duration {
	return max(0, aLow-bHigh, bLow-aHigh)
}

// clocks reports only what is certain whatever the round trips took.
func clocks(v view) []plan.Finding {
	var found []plan.Finding
	find := func(by time.Duration, what string, hosts ...string) {
		s := quorate.Warned
		if by > clockError {
			s = quorate.Refused
		}
		found = append(found, finding(s, fmt.Sprintf("%s by at least %s", what, by.Truncate(100*time.Millisecond)),
			"run a time service (chrony, systemd-timesyncd) and wait until it is in step", hosts...))
	}
	var reported []hostFacts
	for _, h := range v.hosts {
		if !h.facts.time.IsZero() {
			reported = append(reported, h)
		}
	}
	off := map[string]bool{}
	for _, h := range reported {
		low, high := h.offset()
		if by := certain(low, high, 0, 0); by > clockWarning {
			off[h.node.Name] = true
			way := "ahead of"
			if high < 0 {
				way = "behind"
			}
			find(by, "the clock is "+way+" the operator's", h.node.Name)
		}
	}
	// One that is off is off from all others too. Of the rest the two that are
	// furthest apart stand for all.
	var first, last *hostFacts
	for i, h := range reported {
		if off[h.node.Name] {
			continue
		}
		low, high := h.offset()
		if first == nil {
			first, last = &reported[i], &reported[i]
			continue
		}
		if other, _ := first.offset(); low > other {
			first = &reported[i]
		}
		if _, other := last.offset(); high < other {
			last = &reported[i]
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

// shared finds hosts that have a value in common which must be unique.
func (v view) shared(s quorate.Severity, of func(factSheet) string, what, do string) []plan.Finding {
	hosts := map[string][]string{}
	var values []string
	for _, h := range v.hosts {
		if value := of(h.facts); value != "" {
			if hosts[value] == nil {
				values = append(values, value)
			}
			hosts[value] = append(hosts[value], h.node.Name)
		}
	}
	var found []plan.Finding
	for _, value := range values {
		if len(hosts[value]) > 1 {
			found = append(found, finding(s, what+": "+value, do, hosts[value]...))
		}
	}
	return found
}
