package preflight

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/hex"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
)

// fact names one thing that a host reports, as the scripts print it: "KEY=VALUE".
type fact string

// What a host reads of itself.
const (
	factTime        fact = "time"
	factUID         fact = "uid"
	factInit        fact = "init"
	factHostname    fact = "hostname"
	factMachineID   fact = "machine-id"
	factProductUUID fact = "product-uuid"
	factMark        fact = "mark"
	factAddress     fact = "address"
	factMissing     fact = "missing"
	factInterface   fact = "interface"
	factRuntime     fact = "runtime"
	factCgroup      fact = "cgroup"
	factListen      fact = "listen"
	factMemory      fact = "memory"
	factSwap        fact = "swap"
	factLeft        fact = "left"
	factSysctl      fact = "sysctl"
	factSearchPath  fact = "search-path"
	factHidden      fact = "hidden"
	factShell       fact = "shell"
	factCNI         fact = "cni"
	factBridge      fact = "bridge-nf"
	factSELinux     fact = "selinux"
	factSEBool      fact = "sebool"
	factProxy       fact = "proxy"
	factEnvFile     fact = "env-file"
	factSwapAtBoot  fact = "swap-at-boot"
	factFile        fact = "file"
	factText        fact = "text"
)

// ownership are the facts by which a host is known to be the cluster's already.
var ownership = []fact{factMark, factFile, factText}

// factSheet is what a preflight learns of one host in one round trip, as the host
// reports it. Zero values stand for what it did not report.
type factSheet struct {
	uid, init, hostname string
	// time is the host's clock when it was asked, exact to precision: then it was
	// between time and time+precision.
	time      time.Time
	precision time.Duration
	machineID string
	// productUUID is the firmware's, in lower case.
	productUUID string
	addresses   []addresses.Own
	// missing are the commands that the recipe needs and the host lacks.
	missing []string
	// iface says whether the VIP's interface is there, runtime whether the
	// container runtime is: "yes" or "no", empty if it was not asked. An interface may
	// be "down", or have its own name here if it was asked for by an alternative one.
	iface, runtime string
	// cgroup is the version of the hierarchy: "v1", "v2".
	cgroup string
	// listening are the addresses of TCP listeners.
	listening []netip.AddrPort
	// memoryKiB is the kernel's MemTotal.
	memoryKiB int64
	// swaps are on now, swapsAtBoot at the next boot.
	swaps, swapsAtBoot []string
	// texts, by path, of the files that say whose the host is.
	texts map[string]string
	// left are paths that a cluster leaves behind.
	left []string
	// mark is how far a run of Quorate has come with kubeadm: empty, "begun", "done".
	mark string
	// sysctls are lines of the host's own settings that the recipe makes too.
	sysctls []sysctlLine

	// searchPath is PATH, hidden are programs that are on the host and not in it.
	searchPath, hidden []string
	// shell is the login shell of the user who connects.
	shell string
	// cni are configurations of pod networks.
	cni []string
	// bridge says by "iptables" and "ip6tables" whether bridged packets pass them:
	// "0", "1", or "missing".
	bridge map[string]string
	// enforcing: SELinux is. booleans are those of its policy that matter, as they are now.
	enforcing bool
	booleans  map[string]bool
	// proxies are variables of proxies, by what has them.
	proxies map[string]proxies

	// assigned are lines that the proxies are read from.
	assigned []assignment
	// reading is what the parser is in the middle of.
	reading *strings.Builder
	builds  map[string]*strings.Builder
}

// proxies are what environment variables say of proxies. Their own addresses may hold
// passwords, and are not kept.
type proxies struct {
	// set are the variables that name a proxy, in capitals.
	set []string
	// none is what NO_PROXY has.
	none []string
}

// assignment is a line of a file, or of a file that a unit names, that may be about proxies.
type assignment struct{ source, file, line string }

// sysctlLine is one line of a file of kernel settings.
type sysctlLine struct{ file, key, value string }

// factReaders has a reader for each fact of factsScript.
var factReaders = map[fact]func(f *factSheet, value string){
	factTime:        func(f *factSheet, value string) { f.time, f.precision = parseTime(value) },
	factUID:         func(f *factSheet, value string) { f.uid = value },
	factInit:        func(f *factSheet, value string) { f.init = value },
	factHostname:    func(f *factSheet, value string) { f.hostname = value },
	factMachineID:   func(f *factSheet, value string) { f.machineID = value },
	factProductUUID: func(f *factSheet, value string) { f.productUUID = strings.ToLower(value) },
	factMark:        func(f *factSheet, value string) { f.mark = value },
	factAddress: func(f *factSheet, value string) {
		if a, ok := addresses.Parse(value); ok {
			add(&f.addresses, a)
		}
	},
	factMissing:   func(f *factSheet, value string) { add(&f.missing, value) },
	factInterface: func(f *factSheet, value string) { f.iface = value },
	factRuntime:   func(f *factSheet, value string) { f.runtime = value },
	factCgroup:    func(f *factSheet, value string) { f.cgroup = value },
	factListen: func(f *factSheet, value string) {
		if at, ok := parseListener(value); ok {
			add(&f.listening, at)
		}
	},
	factMemory: func(f *factSheet, value string) { f.memoryKiB, _ = strconv.ParseInt(value, 10, 64) },
	factSwap:   func(f *factSheet, value string) { add(&f.swaps, value) },
	factLeft:   func(f *factSheet, value string) { add(&f.left, value) },
	factSysctl: func(f *factSheet, value string) {
		if s, ok := parseSysctlLine(value); ok {
			add(&f.sysctls, s)
		}
	},
	factSearchPath: func(f *factSheet, value string) { f.searchPath = strings.Split(value, ":") },
	factHidden:     func(f *factSheet, value string) { add(&f.hidden, value) },
	factShell:      func(f *factSheet, value string) { f.shell = value },
	factCNI:        func(f *factSheet, value string) { add(&f.cni, value) },
	factBridge: func(f *factSheet, value string) {
		if table, state, _ := strings.Cut(value, " "); table == "iptables" || table == "ip6tables" {
			f.bridge[table] = state
		}
	},
	factSELinux: func(f *factSheet, value string) { f.enforcing = value == "1" },
	factSEBool: func(f *factSheet, value string) {
		if words := strings.Fields(value); len(words) == 3 && len(f.booleans) < mostFiles {
			f.booleans[words[0]] = words[1] == "1"
		}
	},
	factProxy: func(f *factSheet, value string) {
		file, line, _ := strings.Cut(value, " ")
		add(&f.assigned, assignment{sourceOf(file), file, line})
	},
	factEnvFile: func(f *factSheet, value string) {
		unit, rest, _ := strings.Cut(value, " ")
		file, line, _ := strings.Cut(rest, " ")
		add(&f.assigned, assignment{unit, file, line})
	},
	factSwapAtBoot: func(f *factSheet, value string) { add(&f.swapsAtBoot, value) },
	factFile: func(f *factSheet, value string) {
		if f.reading = f.builds[value]; f.reading == nil && len(f.builds) < mostFiles {
			f.reading = &strings.Builder{}
			f.builds[value] = f.reading
		}
	},
	factText: func(f *factSheet, value string) {
		if f.reading != nil && f.reading.Len()+len(value) < longestFile {
			f.reading.WriteString(value)
			f.reading.WriteByte('\n')
		}
	},
}

// What a host may make of a parser's time and memory, whatever it prints.
const (
	// longestValue bounds one value, mostValues those of one kind.
	longestValue, mostValues = 4096, 4096
	// longestFile and mostFiles bound the texts.
	longestFile, mostFiles = 1 << 20, 16
	// looksAtContext is how many lines pass between two looks at a ctx.
	looksAtContext = 1024
)

// add appends a value unless there are too many: then the host is no host that
// a judgement could say anything about.
func add[T any](to *[]T, value T) {
	if len(*to) < mostValues {
		*to = append(*to, value)
	}
}

// lines calls with the key and the value of each line, until ctx ends.
func lines(ctx context.Context, out []byte, do func(key fact, value string)) error {
	n := 0
	for line := range strings.Lines(string(out)) {
		if n++; n%looksAtContext == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		key, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "=")
		if len(value) <= longestValue {
			do(fact(key), value)
		}
	}
	return nil
}

// factsScript prints what there is to know in one round trip, and only reads. It
// needs a shell, cat, id, grep and ip; all else it does without. The time comes
// first: what follows takes some.
//
//go:embed scripts/facts.sh
var factsFile string

var factsScript = addresses.Into(factsFile)

// parseFacts reads what factsScript prints. What it does not understand, it
// leaves out: a host that prints other things is no reason to fail. The error is
// ctx's.
func parseFacts(ctx context.Context, out []byte) (factSheet, error) {
	f := factSheet{texts: map[string]string{}, bridge: map[string]string{}, booleans: map[string]bool{}, builds: map[string]*strings.Builder{}}
	err := lines(ctx, out, func(key fact, value string) {
		if key != factText {
			value = strings.TrimSpace(value)
		}
		if read, ok := factReaders[key]; ok {
			read(&f, value)
		}
	})
	for path, text := range f.builds {
		f.texts[path] = text.String()
	}
	f.proxies = proxiesOf(f.assigned)
	f.reading, f.builds, f.assigned = nil, nil, nil
	return f, err
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

// sysctlAliases are other names of a setting: the kernel writes through from one to the other.
var sysctlAliases = map[string]string{"net.ipv4.conf.all.forwarding": "net.ipv4.ip_forward"}

// parseSysctlLine reads "FILE KEY = VALUE", by sysctl.d(5) with slashes or dots.
func parseSysctlLine(s string) (sysctlLine, bool) {
	file, line, _ := strings.Cut(s, " ")
	key, value, ok := strings.Cut(line, "=")
	key = strings.ReplaceAll(strings.TrimPrefix(strings.TrimSpace(key), "-"), "/", ".")
	if alias, ok := sysctlAliases[key]; ok {
		key = alias
	}
	return sysctlLine{file, key, strings.TrimSpace(value)}, ok && file != "" && key != ""
}

// The sources of variables that are no unit's own.
const (
	fromEnvironment = "/etc/environment"
	fromCommands    = "the environment of commands"
	fromManager     = "systemd's DefaultEnvironment"
	fromAllUnits    = "service.d, for all units,"
)

// sourceOf names what has a file.
func sourceOf(file string) string {
	switch dir, base := path.Split(file); {
	case file == "environment":
		return fromCommands
	case path.Base(dir) == "service.d":
		return fromAllUnits
	case strings.HasSuffix(path.Base(dir), ".service.d"):
		return strings.TrimSuffix(path.Base(dir), ".d")
	case strings.HasSuffix(base, ".service"):
		return base
	case strings.Contains(file, "/systemd/system.conf"):
		return fromManager
	}
	return file
}

// rank is the order in which systemd reads what a unit has: the unit, drop-ins by name
// wherever they are, and then the files that these name.
func (a assignment) rank() (int, string) {
	switch {
	case strings.HasSuffix(path.Dir(a.file), ".d"):
		return 1, path.Base(a.file)
	case strings.HasSuffix(a.source, ".service") && !strings.HasSuffix(a.file, ".service"):
		return 2, ""
	}
	return 0, ""
}

// proxiesOf reads what each source has of proxies. A unit has what systemd hands to all
// of them, unless it says otherwise itself.
func proxiesOf(lines []assignment) map[string]proxies {
	slices.SortStableFunc(lines, func(a, b assignment) int {
		rankA, nameA := a.rank()
		rankB, nameB := b.rank()
		return cmp.Or(cmp.Compare(rankA, rankB), cmp.Compare(nameA, nameB))
	})
	all := map[string]proxies{}
	read := func(of func(source string) bool, from proxies) {
		for _, a := range lines {
			if !of(a.source) {
				continue
			}
			p, known := all[a.source]
			if !known && len(all) >= mostFiles {
				continue
			}
			if !known {
				p = from.clone()
			}
			all[a.source] = a.read(p)
		}
	}
	units := func(s string) bool { return strings.HasSuffix(s, ".service") }
	read(func(s string) bool { return !units(s) && s != fromAllUnits }, proxies{})
	read(func(s string) bool { return s == fromAllUnits }, all[fromManager])
	base, ok := all[fromAllUnits]
	if !ok {
		base = all[fromManager]
	}
	read(units, base)
	if all[fromCommands].equal(all[fromEnvironment]) {
		delete(all, fromCommands) // PAM has read that file
	}
	maps.DeleteFunc(all, func(_ string, p proxies) bool { return p.equal(proxies{}) })
	return all
}

func (p proxies) clone() proxies { return proxies{slices.Clone(p.set), slices.Clone(p.none)} }

func (p proxies) equal(q proxies) bool {
	return slices.Equal(slices.Sorted(slices.Values(p.set)), slices.Sorted(slices.Values(q.set))) && slices.Equal(p.none, q.none)
}

// read returns what is so after a line that assigns a variable of proxies, or several.
func (a assignment) read(p proxies) proxies {
	line := strings.TrimSpace(a.line)
	if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
		return p
	}
	if key, value, _ := strings.Cut(line, "="); strings.TrimSpace(key) == "Environment" && strings.TrimSpace(value) == "" {
		return proxies{} // systemd forgets what was before
	}
	for _, key := range []string{"DefaultEnvironment", "Environment"} {
		if rest, ok := strings.CutPrefix(line, key); ok {
			line = strings.TrimPrefix(strings.TrimSpace(rest), "=")
		}
	}
	assignments := []string{strings.TrimPrefix(line, "export ")}
	if rank, _ := a.rank(); rank < 2 && a.source != fromEnvironment && a.source != fromCommands {
		assignments = words(line)
	}
	for _, a := range assignments {
		name, value, ok := strings.Cut(a, "=")
		name, value = strings.ToUpper(strings.Trim(name, " \t\"'")), strings.Trim(value, " \t\"'")
		switch {
		case !ok:
		case name == "NO_PROXY":
			p.none = nil
			for _, word := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' }) {
				add(&p.none, word)
			}
		case name != "HTTP_PROXY" && name != "HTTPS_PROXY":
		case value == "":
			p.set = slices.DeleteFunc(slices.Clone(p.set), func(s string) bool { return s == name })
		case !slices.Contains(p.set, name):
			p.set = append(slices.Clip(p.set), name)
		}
	}
	return p
}

// words splits a line as systemd does: at spaces outside of quotes.
func words(line string) []string {
	var out []string
	var word strings.Builder
	quote := rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '"' || r == '\''):
			quote = r
		case quote == 0 && (r == ' ' || r == '\t'):
			out = append(out, word.String())
			word.Reset()
		default:
			word.WriteRune(r)
		}
	}
	return append(out, word.String())
}
