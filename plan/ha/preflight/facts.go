package preflight

import (
	_ "embed"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// factSheet is what a preflight learns of one host in one round trip, as the host
// tells it. Zero values stand for what it did not tell.
type factSheet struct {
	uid, init, hostname string
	// time is the host's clock when it was asked, exact to precision: then it was
	// between time and time+precision.
	time      time.Time
	precision time.Duration
	machineID string
	// productUUID is the firmware's, in lower case.
	productUUID string
	addresses   []netip.Prefix
	// missing are the commands that the recipe needs and the host lacks.
	missing []string
	// iface says whether the VIP's interface is there, runtime whether the
	// container runtime is: "yes" or "no", empty if it was not asked.
	iface, runtime string
	// cgroup is the version of the hierarchy: "v1", "v2".
	cgroup string
	// listening are the addresses of TCP listeners.
	listening []netip.AddrPort
	// memoryKiB is the kernel's MemTotal.
	memoryKiB int64
	swaps     []string
	// texts, by path, of the files that tell whose the host is.
	texts map[string]string
	// left are paths that a cluster leaves behind.
	left []string
	// mark is how far a run of Quorate has come with kubeadm: empty, "begun", "done".
	mark string
	// sysctls are lines of the host's own settings that the recipe makes too.
	sysctls []sysctlLine
}

// sysctlLine is one line of a file of kernel settings.
type sysctlLine struct{ file, key, value string }

// preflightScript prints what there is to know in one round trip, and only
// reads. $1 is the interface of the VIP, empty on a host that carries none, $2
// the directory of etcd's data, $3 the container runtime's command, empty if it
// need not be there yet, and the rest are public files of which the text is
// wanted. It needs a shell, cat, id, grep and ip; all else it does without. The time
// comes first: what follows takes some.
//
//go:embed scripts/facts.sh
var preflightScript string

// parseFacts reads what preflightScript prints. What it does not understand, it
// leaves out: a host that prints other things is no reason to fail.
func parseFacts(out []byte) factSheet {
	f := factSheet{texts: map[string]string{}}
	file := ""
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if key == "text" {
			f.texts[file] += value + "\n"
			continue
		}
		switch value = strings.TrimSpace(value); key {
		case "time":
			f.time, f.precision = parseTime(value)
		case "uid":
			f.uid = value
		case "init":
			f.init = value
		case "hostname":
			f.hostname = value
		case "machine-id":
			f.machineID = value
		case "product-uuid":
			f.productUUID = strings.ToLower(value)
		case "mark":
			f.mark = value
		case "address":
			if p, err := netip.ParsePrefix(value); err == nil {
				f.addresses = append(f.addresses, p)
			}
		case "missing":
			f.missing = append(f.missing, value)
		case "interface":
			f.iface = value
		case "runtime":
			f.runtime = value
		case "cgroup":
			f.cgroup = value
		case "listen":
			if at, ok := parseListener(value); ok {
				f.listening = append(f.listening, at)
			}
		case "memory":
			f.memoryKiB, _ = strconv.ParseInt(value, 10, 64)
		case "swap":
			f.swaps = append(f.swaps, value)
		case "left":
			f.left = append(f.left, value)
		case "sysctl":
			if s, ok := parseSysctlLine(value); ok {
				f.sysctls = append(f.sysctls, s)
			}
		case "file":
			file = value
			f.texts[file] = ""
		}
	}
	return f
}

// parseTime reads seconds and, where date has them, nanoseconds: BusyBox's has not.
func parseTime(s string) (time.Time, time.Duration) {
	whole, fraction, _ := strings.Cut(s, ".")
	seconds, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, 0
	}
	nanos, err := strconv.ParseUint(fraction, 10, 64)
	if err != nil || len(fraction) != 9 {
		return time.Unix(seconds, 0), time.Second
	}
	return time.Unix(seconds, int64(nanos)), time.Nanosecond
}

// parseListener reads a local address of /proc/net/tcp or tcp6, see proc(5):
// 32-bit words in the byte order of the machine, which is taken for little-endian
// as on every architecture that kubeadm has images for but s390x.
func parseListener(s string) (netip.AddrPort, bool) {
	address, port, ok := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || portErr != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(b, 4) {
		slices.Reverse(word)
	}
	addr, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), true
}

// parseSysctlLine reads "FILE KEY = VALUE", by sysctl.d(5) with slashes or dots.
func parseSysctlLine(s string) (sysctlLine, bool) {
	file, line, _ := strings.Cut(s, " ")
	key, value, ok := strings.Cut(line, "=")
	key = strings.ReplaceAll(strings.TrimSpace(key), "/", ".")
	return sysctlLine{file, key, strings.TrimSpace(value)}, ok && file != "" && key != ""
}

// holds reports whether the host has an address.
func (f factSheet) holds(a netip.Addr) bool {
	return slices.ContainsFunc(f.addresses, func(p netip.Prefix) bool { return p.Addr() == a })
}

func (f factSheet) addressList() string {
	var words []string
	for _, p := range f.addresses {
		words = append(words, p.String())
	}
	return strings.Join(words, " ")
}

// listener returns what listens on a port at one of the addresses, or at all.
func (f factSheet) listener(port uint16, at ...netip.Addr) (netip.AddrPort, bool) {
	for _, l := range f.listening {
		if l.Port() == port && (len(at) == 0 || l.Addr().IsUnspecified() || l.Addr().IsLoopback() || slices.Contains(at, l.Addr())) {
			return l, true
		}
	}
	return netip.AddrPort{}, false
}

// serves reports whether something listens where a connection from elsewhere goes.
func (f factSheet) serves(at netip.AddrPort) bool {
	return slices.ContainsFunc(f.listening, func(l netip.AddrPort) bool {
		return l == at || l.Port() == at.Port() && l.Addr().IsUnspecified() && l.Addr().Is4() == at.Addr().Is4()
	})
}

// probed is what a preflight finds out of one host about what is around it.
type probed struct {
	// paths says what a connection to an address and port led to.
	paths map[netip.AddrPort]pathState
	// vip says what the VIP led to, vipAnswers that something on the network has it.
	vip        pathState
	vipAnswers bool
	// vrrp says that the host has listened for advertisements, routers who
	// sends them with the VRID.
	vrrp    bool
	routers []netip.Addr
	// syncs are how long writes with fdatasync took, shortest first.
	syncs []time.Duration
	// disk says that they were asked for.
	disk bool
	// driver is the container runtime's cgroup driver, or driverUnknown; empty if
	// it was not asked.
	driver string
}

// driverUnknown is a container runtime that does not tell.
const driverUnknown = "unknown"

// pathState is what a TCP connection led to.
type pathState string

// Both an answer and a refusal prove the path: the packet came there, and an
// answer back. A firewall that refuses as a host does cannot be told from one.
const (
	pathConnected pathState = "connected"
	pathRefused   pathState = "refused"
	pathBlocked   pathState = "blocked"
	// pathUnknown is a host with neither bash and timeout nor curl.
	pathUnknown pathState = "unknown"
)

// proves reports whether the other end has answered.
func (s pathState) proves() bool { return s == pathConnected || s == pathRefused }

// probesScript tries what is around the host. $1 is the VIP, empty if it need
// not be tried, $2 its interface, $3 the VRID, $4 for how many seconds to listen
// for it, 0 for not at all, $5 a directory for the test of the disk, empty for
// none, and the rest are pairs of address and port. It writes one file of half a
// megabyte in a directory of its own in $5 or the nearest parent that is there, and
// removes both.
//
// Paths are tried with bash, which connects and sends nothing; else with curl, of
// which every build speaks HTTP: to a member of etcd that is a line in its log. The
// VIP gets a second, all that its neighbours need, and then the neighbour table is
// asked, since what has an address must answer there whatever its firewall does.
// An entry of before is forgotten first: it stays for half a minute after its host.
//
// Of GNU's dd (BusyBox's has no oflag=dsync: then the disk is not measured) each call prints by itself how long it took: "2300
// bytes (2.3 kB) copied, 0.00123 s, 1.9 MB/s". 2300 bytes are what an entry of
// etcd's log takes (etcd's own advice for measuring with fio); the file stands
// already, as etcd's does, so that each call costs one fdatasync.
//
//go:embed scripts/probes.sh
var probesScript string

// parseProbes reads what probesScript prints, and leaves out what it does not
// understand.
func parseProbes(out []byte) probed {
	p := probed{paths: map[netip.AddrPort]pathState{}}
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		words := strings.Fields(value)
		switch {
		case key == "path" && len(words) == 3:
			addr, err := netip.ParseAddr(words[0])
			port, portErr := strconv.ParseUint(words[1], 10, 16)
			if err == nil && portErr == nil {
				p.paths[netip.AddrPortFrom(addr, uint16(port))] = parsePath(words[2])
			}
		case key == "vip" && len(words) == 3:
			p.vip = parsePath(words[2])
			p.vipAnswers = p.vipAnswers || p.vip.proves()
		case key == "neighbour":
			// An answer to ARP or neighbour discovery, just now.
			p.vipAnswers = p.vipAnswers || slices.Contains(words, "REACHABLE")
		case key == "vrrp":
			p.vrrp = value == "yes"
		case key == "router":
			if from, ok := parseRouter(words); ok && !slices.Contains(p.routers, from) {
				p.routers = append(p.routers, from)
			}
		case key == "dd":
			if took, ok := parseDD(value); ok {
				p.syncs = append(p.syncs, took)
			}
		}
	}
	slices.Sort(p.syncs)
	slices.SortFunc(p.routers, netip.Addr.Compare)
	return p
}

func parsePath(s string) pathState {
	switch pathState(s) {
	case pathConnected, pathRefused, pathBlocked:
		return pathState(s)
	}
	return pathUnknown
}

// parseRouter reads the sender in a line of tcpdump's: "12:00:00.000000 IP
// 192.0.2.1 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, ...".
func parseRouter(words []string) (netip.Addr, bool) {
	at := slices.Index(words, ">")
	if at < 1 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(words[at-1])
	return a, err == nil
}

// parseDD reads how long one dd took, by dd itself.
func parseDD(s string) (time.Duration, bool) {
	_, after, ok := strings.Cut(s, "copied, ")
	number, _, _ := strings.Cut(after, " ")
	seconds, err := strconv.ParseFloat(strings.TrimSuffix(number, ","), 64)
	if !ok || err != nil || !(seconds >= 0 && seconds < 3600) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// percentile of what is sorted: the smallest value that share of all do not exceed.
func percentile(sorted []time.Duration, share int) time.Duration {
	return sorted[max(0, (len(sorted)*share+99)/100-1)]
}
