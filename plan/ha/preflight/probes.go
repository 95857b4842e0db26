package preflight

import (
	"context"
	_ "embed"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a host tries.
const (
	factPath      fact = "path"
	factVIP       fact = "vip"
	factNeighbour fact = "neighbour"
	factListened  fact = "vrrp"
	factRouter    fact = "router"
	factRaw       fact = "raw"
	factHeard     fact = "heard"
	factDriver    fact = "driver"
	factDisabled  fact = "disabled"
	factSandbox   fact = "sandbox"
	factEndpoint  fact = "endpoint"
	// factSync and factTunnel are tried apart from the others: by a script of its
	// own on request, and by a connection through the host.
	factSync   fact = "dd"
	factTunnel fact = "tunnel"
)

// probed is what a host found when it tried its surroundings.
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
	// raw says that the host has sent and heard VRRP itself, heard whose it was, of those
	// who tried it too.
	raw   bool
	heard []netip.Addr
	// sent and received are when that was asked for and answered, by the operator's clock.
	sent, received time.Time
	// driver is the container runtime's cgroup driver, or driverUnknown; empty if
	// it was not asked.
	driver string
	// disabled are plugins that containerd is configured without, sandbox is the image
	// of pods' sandboxes.
	disabled []string
	sandbox  string
	// endpoint is what an external endpoint resolves to; an invalid address is a name
	// that does not resolve.
	endpoint []resolved
	// syncs are how long writes with fdatasync took, shortest first.
	syncs []time.Duration
	// disk says that they were asked for.
	disk bool
	// tunnel is why no connection can be made through the host, nil if one can, or
	// if that was not tried.
	tunnel error
}

// resolved is one address of a name.
type resolved struct {
	addr   netip.Addr
	routed bool
}

// driverUnknown is a container runtime that does not say.
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

// probeReaders has a reader for each fact of the scripts of a probe.
var probeReaders = map[fact]func(p *probed, value string, words []string){
	factPath: func(p *probed, _ string, words []string) {
		if len(words) != 3 || len(p.paths) >= mostValues {
			return
		}
		addr, err := netip.ParseAddr(words[0])
		port, portErr := strconv.ParseUint(words[1], 10, 16)
		if err == nil && portErr == nil {
			p.paths[netip.AddrPortFrom(addr, uint16(port))] = parsePath(words[2])
		}
	},
	factVIP: func(p *probed, _ string, words []string) {
		if len(words) == 3 {
			p.vip = parsePath(words[2])
			p.vipAnswers = p.vipAnswers || p.vip.proves()
		}
	},
	factNeighbour: func(p *probed, _ string, words []string) {
		// An answer to ARP or neighbour discovery, just now.
		p.vipAnswers = p.vipAnswers || slices.Contains(words, "REACHABLE")
	},
	factListened: func(p *probed, value string, _ []string) { p.vrrp = value == "yes" },
	factRouter: func(p *probed, _ string, words []string) {
		if from, ok := parseRouter(words); ok {
			add(&p.routers, from)
		}
	},
	factRaw: func(p *probed, value string, _ []string) { p.raw = value == "yes" },
	factHeard: func(p *probed, value string, _ []string) {
		if from, err := netip.ParseAddr(value); err == nil {
			add(&p.heard, from)
		}
	},
	factDriver: func(p *probed, value string, _ []string) { p.driver = value },
	factDisabled: func(p *probed, value string, _ []string) {
		for _, word := range strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" ,[]\"'", r) }) {
			add(&p.disabled, word)
		}
	},
	factSandbox: func(p *probed, value string, _ []string) {
		if p.sandbox == "" {
			p.sandbox = strings.Trim(value, " \"'")
		}
	},
	factEndpoint: func(p *probed, _ string, words []string) {
		if len(words) == 2 {
			addr, _ := netip.ParseAddr(words[0])
			add(&p.endpoint, resolved{addr, words[1] == "routed"})
		}
	},
	factSync: func(p *probed, value string, _ []string) {
		if took, ok := parseDD(value); ok {
			add(&p.syncs, took)
		}
	},
}

// probesScript tries what is around the host, and asks its container runtime.
//
// Paths are tried with bash, which connects and sends nothing; else with curl, of
// which every build speaks HTTP: to a member of etcd that is a line in its log. The
// VIP gets a second, all that its neighbours need, and then the neighbour table is
// asked, since what has an address must answer there whatever its firewall does.
// An entry of before is forgotten first: it stays for half a minute after its host.
//
//go:embed scripts/probes.sh
var probesScript string

// vrrpPython sends and hears VRRP by a raw socket, behind the host's firewall as
// keepalived does, and so does vrrpPerl. No shell can.
//
//go:embed scripts/vrrp.py
var vrrpPython string

//go:embed scripts/vrrp.pl
var vrrpPerl string

// diskScript writes one file of half a megabyte in a directory of its own in etcd's
// data directory, or in the nearest parent that is there, and removes both.
//
// Of GNU's dd (BusyBox's has no oflag=dsync: then the disk is not measured) each call
// prints by itself how long it took: "2300 bytes (2.3 kB) copied, 0.00123 s, 1.9
// MB/s". 2300 bytes are what an entry of etcd's log takes (etcd's own advice for
// measuring with fio); the file is there already, as etcd's is, so that each call
// costs one fdatasync.
//
//go:embed scripts/disk.sh
var diskScript string

// parseProbes reads what the scripts of a probe print, and leaves out what it does
// not understand. The error is ctx's.
func parseProbes(ctx context.Context, out []byte) (probed, error) {
	p := probed{paths: map[netip.AddrPort]pathState{}}
	err := lines(ctx, out, func(key fact, value string) {
		if read, ok := probeReaders[key]; ok {
			read(&p, value, strings.Fields(value))
		}
	})
	slices.Sort(p.syncs)
	slices.SortFunc(p.routers, netip.Addr.Compare)
	p.routers = slices.Compact(p.routers)
	return p, err
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
