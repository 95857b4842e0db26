package preflight

import (
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
const preflightScript = `# look at the host
LC_ALL=C
export LC_ALL
echo "time=$(date +%s.%N 2>/dev/null)"
echo "uid=$(id -u)"
echo "init=$(cat /proc/1/comm 2>/dev/null)"
echo "hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname 2>/dev/null)"
echo "machine-id=$(cat /etc/machine-id 2>/dev/null)"
echo "product-uuid=$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do echo "address=$address"; done
for c in ip systemctl; do command -v "$c" >/dev/null 2>&1 || echo "missing=$c"; done
if [ -n "$1" ]; then
	ip link show dev "$1" >/dev/null 2>&1 && echo "interface=yes" || echo "interface=no"
fi
if [ -n "$3" ]; then
	command -v "$3" >/dev/null 2>&1 && echo "runtime=yes" || echo "runtime=no"
fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	echo "cgroup=v2"
elif [ -d /sys/fs/cgroup ]; then
	echo "cgroup=v1"
fi
for f in /proc/net/tcp /proc/net/tcp6; do
	[ -r "$f" ] || continue
	# A shell reads byte by byte: only the listeners of what may be thousands of lines.
	grep ' 0A' "$f" | while read -r _ local _ state _; do
		[ "$state" != 0A ] || echo "listen=$local"
	done
done
if [ -r /proc/meminfo ]; then
	while read -r key value _; do
		case "$key" in MemTotal:) echo "memory=$value"; break ;; esac
	done </proc/meminfo
fi
if [ -r /proc/swaps ]; then
	while read -r file _; do
		case "$file" in /*) echo "swap=$file" ;; esac
	done </proc/swaps
fi
for f in /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/manifests/*.yaml; do
	[ ! -e "$f" ] || echo "left=$f"
done
for f in "$2"/member/*; do # an empty directory is no data
	[ ! -e "$f" ] || { echo "left=$2/member"; break; }
done
for f in /etc/sysctl.d/*.conf /etc/sysctl.conf; do
	[ -r "$f" ] || continue
	while read -r line || [ -n "$line" ]; do
		case "$line" in net*forward*) echo "sysctl=$f $line" ;; esac
	done <"$f"
done
shift 3
for f in "$@"; do
	[ -r "$f" ] || continue
	echo "file=$f"
	while IFS= read -r line || [ -n "$line" ]; do
		echo "text=$line"
	done <"$f"
done
exit 0
`

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

// listener gives what listens on a port at one of the addresses, or at all.
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
// megabyte in $5 or the nearest parent that is there, and removes it.
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
const probesScript = `# look around the host
LC_ALL=C
export LC_ALL
have() { command -v "$1" >/dev/null 2>&1; }
probe() {
	said=unknown
	if have bash && have timeout; then
		out=$(timeout "$4" bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>&1)
		case "$?,$out" in
		0,*) said=connected ;;
		124,*|143,*) said=blocked ;;
		esac
	elif have curl; then
		case "$1" in *:*) at="[$1]" ;; *) at=$1 ;; esac
		out=$(curl --noproxy '*' --silent --verbose --output /dev/null --write-out 'connect=%{time_connect}' --connect-timeout "$4" --max-time 3 "http://$at:$2/" 2>&1 </dev/null)
		case "$?,$out" in
		28,*connect=0?000000|28,*connect=0) said=blocked ;;
		7,*|2,*|3,*|127,*|*connect=0?000000|*connect=0) ;;
		*connect=*) said=connected ;;
		esac
	else
		out=
	fi
	case "$said,$out" in
	connected,*|blocked,*) ;;
	*"onnection refused"*) said=refused ;;
	*"imed out"*|*"o route to host"*|*nreachable*|*"ermission denied"*|*"not permitted"*) said=blocked ;;
	esac
	printf '%s\n' "$3=$1 $2 $said" # one write: others print at the same moment
}
listen() {
	heard=$(timeout "$3" tcpdump -nn -l -c 16 -i "$1" "(ip proto 112 and ip[((ip[0] & 15) << 2) + 1] = $2) or (ip6 proto 112 and ip6[41] = $2)" 2>/dev/null)
	# Ended by time or by count; anything else is a tcpdump that did not listen.
	case $? in 0|124|143) printf 'vrrp=yes\n' ;; esac
	echo "$heard" | while read -r line; do
		case "$line" in *"vrid $2,"*) printf 'router=%s\n' "$line" ;; esac
	done
}
vip=$1 interface=$2 vrid=$3 patience=$4 disk=$5
shift 5
if [ "$patience" -gt 0 ] && have tcpdump && have timeout; then
	listen "$interface" "$vrid" "$patience" &
fi
while [ "$#" -ge 2 ]; do
	probe "$1" "$2" path 2 &
	shift 2
done
if [ -n "$vip" ]; then
	ip neigh flush to "$vip" dev "$interface" >/dev/null 2>&1
	probe "$vip" 6443 vip 1
	printf 'neighbour=%s\n' "$(ip neigh show to "$vip" 2>/dev/null)"
fi
wait
[ -n "$disk" ] || exit 0
while [ ! -d "$disk" ]; do
	disk=$(dirname "$disk")
done
file=$disk/.quorate-preflight.$$
trap 'rm -f "$file"' EXIT
trap 'exit 1' HUP INT TERM
umask 077
dd if=/dev/zero of="$file" bs=2300 count=200 conv=fsync 2>/dev/null || exit 0
i=0
while [ "$i" -lt 200 ]; do
	dd if=/dev/zero of="$file" bs=2300 count=1 seek="$i" conv=notrunc oflag=dsync 2>&1 | while read -r line; do
		case "$line" in *copied*) echo "dd=$line" ;; esac
	done
	i=$((i + 1))
done
exit 0
`

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
