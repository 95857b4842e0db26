package preflight

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
	"github.com/quorate-dev/quorate/plan/internal/shelltest"
	"github.com/quorate-dev/quorate/transport"
)

var compareFacts = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	cmp.AllowUnexported(factSheet{}, sysctlLine{}, probed{}, proxies{}, resolved{}),
	cmp.Comparer(func(a, b addresses.Own) bool { return a == b }),
}

// judged is what one check finds.
func judged(v view, name plan.Check) []plan.Finding {
	return slices.DeleteFunc(v.findings(), func(f plan.Finding) bool { return f.Check != name })
}

// readAs reads what a script printed.
func readAs[T any](t *testing.T, parse func(context.Context, []byte) (T, error), out []byte) T {
	t.Helper()
	read, err := parse(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

func TestParseFacts(t *testing.T) {
	got := readAs(t, parseFacts, []byte(`time=1700000000.000000007
uid=0
init=systemd
hostname=cp-1
machine-id=0123
product-uuid=4C4C-AB
mark=done
address=eth0 192.0.2.11/24
address=tun0 192.0.2.99
address=nonsense
bridge-nf=iptables 1
bridge-nf=nonsense 1
selinux=1
sebool=haproxy_connect_any 0 0
sebool=nonsense
search-path=/usr/bin:/bin
hidden=/usr/local/bin/kubeadm
shell=/bin/bash
cni=/etc/cni/net.d/10-flannel.conflist
proxy=/etc/environment HTTPS_PROXY="http://user:s3cret@192.0.2.9:3128"
proxy=/etc/environment no_proxy=localhost, 10.0.0.0/8
proxy=/etc/systemd/system/kubelet.service.d/proxy.conf Environment="http_proxy=http://x" 'NO_PROXY=a,b'
proxy=/etc/environment # HTTP_PROXY=x
missing=ip
interface=yes
listen=0100007F:0016
listen=B80D0120000000000000000001000000:094B
listen=0000000000000000FFFF00000B0200C0:192B
listen=zz:1
listen=0100007F
memory=4028440
swap=/dev/sda2
left=/etc/kubernetes/admin.conf
sysctl=/etc/sysctl.conf net/ipv4/ip_forward = 0
sysctl=/etc/sysctl.conf nonsense
runtime=no
cgroup=v2
file=/etc/etcd/pki/ca.crt
text=-----BEGIN CERTIFICATE-----
text=MII=
text=  -----END CERTIFICATE-----
file=/etc/empty
and what nobody asked for
`))
	want := factSheet{
		uid: "0", init: "systemd", hostname: "cp-1", time: time.Unix(1700000000, 7), precision: time.Nanosecond,
		machineID: "0123", productUUID: "4c4c-ab", mark: "done", iface: "yes", missing: []string{"ip"},
		addresses: []addresses.Own{{Device: "eth0", Prefix: netip.MustParsePrefix("192.0.2.11/24")}, {Device: "tun0", Prefix: netip.MustParsePrefix("192.0.2.99/32")}},
		bridge:    map[string]string{"iptables": "1"}, enforcing: true, booleans: map[string]bool{"haproxy_connect_any": false},
		searchPath: []string{"/usr/bin", "/bin"}, hidden: []string{"/usr/local/bin/kubeadm"}, shell: "/bin/bash", cni: []string{"/etc/cni/net.d/10-flannel.conflist"},
		proxies: map[string]proxies{
			"/etc/environment": {set: []string{"HTTPS_PROXY"}, none: []string{"localhost", "10.0.0.0/8"}},
			"kubelet.service":  {set: []string{"HTTP_PROXY"}, none: []string{"a", "b"}},
		},
		listening: []netip.AddrPort{
			netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("[2001:db8::1]:2379"), netip.MustParseAddrPort("192.0.2.11:6443"),
		},
		memoryKiB: 4028440, swaps: []string{"/dev/sda2"}, left: []string{"/etc/kubernetes/admin.conf"}, runtime: "no", cgroup: "v2",
		sysctls: []sysctlLine{{"/etc/sysctl.conf", "net.ipv4.ip_forward", "0"}},
		texts: map[string]string{
			"/etc/etcd/pki/ca.crt": "-----BEGIN CERTIFICATE-----\nMII=\n  -----END CERTIFICATE-----\n", "/etc/empty": "",
		},
	}
	if diff := cmp.Diff(want, got, compareFacts); diff != "" {
		t.Error(diff)
	}
	// BusyBox's date has no fractions of a second: it prints nothing for %N, or
	// the letters.
	for _, line := range []string{"time=1700000000.\n", "time=1700000000.%N\n", "time=1700000000\n"} {
		if f := readAs(t, parseFacts, []byte(line)); !f.time.Equal(time.Unix(1700000000, 0)) || f.precision != time.Second {
			t.Errorf("%q: %v within %v", line, f.time, f.precision)
		}
	}
}

func TestParseProbes(t *testing.T) {
	got := readAs(t, parseProbes, []byte(`path=192.0.2.12 2380 refused
path=2001:db8::2 6443 blocked
path=192.0.2.13 2379 strange
path=192.0.2.13 70000 refused
vip=192.0.2.10 6443 blocked
neighbour=192.0.2.10 dev eth0 lladdr 02:00:00:00:00:01 STALE
vrrp=yes
disabled= ["cri", "other"]
sandbox= "registry.k8s.io/pause:3.8"
endpoint=192.0.2.200 routed
endpoint=unresolved none
router=12:00:00.000000 IP 192.0.2.77 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, prio 100
router=12:00:00.000000 IP6 fe80::2 > ff02::12: VRRPv3, Advertisement, vrid 51, prio 100, intvl 100cs, length 24
router=nonsense
dd=2300 bytes (2.3 kB, 2.2 KiB) copied, 0.00123 s, 1.9 MB/s
dd=2300 bytes (2.3 kB) copied, 5e-05 s, 46 MB/s
dd=2300 bytes (2.2KB) copied, 0.000415 seconds, 5.3MB/s
dd=2300 bytes copied, 1e999 s
dd=nonsense
`))
	want := probed{
		paths: map[netip.AddrPort]pathState{
			netip.MustParseAddrPort("192.0.2.12:2380"): pathRefused, netip.MustParseAddrPort("[2001:db8::2]:6443"): pathBlocked,
			netip.MustParseAddrPort("192.0.2.13:2379"): pathUnknown,
		},
		disabled: []string{"cri", "other"}, sandbox: "registry.k8s.io/pause:3.8", endpoint: []resolved{{netip.MustParseAddr("192.0.2.200"), true}, {}},
		vip: pathBlocked, vrrp: true, routers: []netip.Addr{netip.MustParseAddr("192.0.2.77"), netip.MustParseAddr("fe80::2")},
		syncs: []time.Duration{50 * time.Microsecond, 415 * time.Microsecond, 1230 * time.Microsecond},
	}
	if diff := cmp.Diff(want, got, compareFacts); diff != "" {
		t.Error(diff)
	}
	for line, want := range map[string]bool{
		"vip=192.0.2.10 6443 refused\n": true, "vip=192.0.2.10 6443 connected\n": true, "vip=192.0.2.10 6443 unknown\n": false,
		"neighbour=192.0.2.10 dev eth0 lladdr 02:00:00:00:00:01 REACHABLE\n": true, "neighbour=192.0.2.10 dev eth0 FAILED\n": false,
	} {
		if got := readAs(t, parseProbes, []byte(line)).vipAnswers; got != want {
			t.Errorf("%q: the VIP answers: %v", line, got)
		}
	}
}

// Whatever a host prints, parsing ends, and what is read makes sense.
func FuzzParseFacts(f *testing.F) {
	f.Add([]byte("time=1.5\nlisten=0100007F:0016\nfile=x\ntext=-----BEGIN CERTIFICATE-----\ntext=-----END CERTIFICATE-----\nsysctl=/a b=c\naddress=::1/128\n"))
	for k := range factReaders {
		for _, h := range hostile {
			f.Add([]byte(string(k) + "=" + h + "\n" + string(k) + "=eth0 " + h + " = 1\n"))
		}
	}
	f.Add([]byte(strings.Repeat("text=\n", 5000)))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, form := range reported(hostsThatPrint([][]byte{out, out}, [][]byte{nil, nil}), errors.New(string(out))) {
			if err := readable(form); err != nil {
				t.Error(err)
			}
		}
		facts := readAs(t, parseFacts, out)
		for _, l := range facts.listening {
			if !l.IsValid() {
				t.Errorf("listener %v", l)
			}
		}
		for path, text := range facts.texts {
			for _, sum := range CertificatesIn(text) {
				if len(sum) != 64 {
					t.Errorf("%s: sum %q", path, sum)
				}
			}
		}
		if !facts.time.IsZero() && facts.precision == 0 || facts.precision > time.Second {
			t.Errorf("%v within %v", facts.time, facts.precision)
		}
	})
}

func FuzzParseProbes(f *testing.F) {
	f.Add([]byte("path=192.0.2.1 1 refused\ndd=1 copied, 0.5 s\nrouter=x 192.0.2.1 > y\nneighbour=a REACHABLE\n"))
	for k := range probeReaders {
		for _, h := range hostile {
			f.Add([]byte(string(k) + "=" + h + "\n" + string(k) + "=192.0.2.1 " + h + " x\n"))
		}
	}
	f.Add([]byte(strings.Repeat("router=x 192.0.2.1 > y\n", 5000)))
	f.Fuzz(func(t *testing.T, out []byte) {
		for _, form := range reported(hostsThatPrint([][]byte{nil, nil}, [][]byte{out, out}), errors.New(string(out))) {
			if err := readable(form); err != nil {
				t.Error(err)
			}
		}
		p := readAs(t, parseProbes, out)
		if !slices.IsSorted(p.syncs) || len(p.syncs) > 0 && (p.syncs[0] < 0 || p.syncs[len(p.syncs)-1] > time.Hour) {
			t.Errorf("%v", p.syncs)
		}
		for at := range p.paths {
			if !at.IsValid() {
				t.Errorf("path to %v", at)
			}
		}
	})
}

func TestPercentile(t *testing.T) {
	var syncs []time.Duration
	for i := range 200 {
		syncs = append(syncs, time.Duration(i+1))
	}
	for share, want := range map[int]time.Duration{99: 198, 50: 100, 100: 200, 0: 1} {
		if got := percentile(syncs, share); got != want {
			t.Errorf("%d %%: %d, want %d", share, got, want)
		}
	}
	if got := percentile(syncs[:1], 99); got != 1 {
		t.Errorf("of one: %d", got)
	}
}

// A difference that the round trips may explain is none.
func TestCertain(t *testing.T) {
	for _, c := range []struct{ aLow, aHigh, bLow, bHigh, want time.Duration }{
		{0, 5, 3, 8, 0}, {0, 5, 5, 8, 0}, {0, 5, 7, 8, 2}, {7, 8, 0, 5, 2}, {-9, -8, 0, 0, 8},
	} {
		if got := certain(c.aLow, c.aHigh, c.bLow, c.bHigh); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Of hosts that differ in nothing but their clocks, a clock is found only if it is
// off whatever the round trips took, and always if it is off by more than they did.
func TestClocksAreFoundIfCertain(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		asked := time.Unix(1_700_000_000, 0)
		seconds := func(name string, least, most float64) time.Duration {
			return time.Duration(rapid.Float64Range(least, most).Draw(r, name) * float64(time.Second))
		}
		off := map[string]time.Duration{}
		trip := map[string]time.Duration{}
		var all []hostFacts
		for i := range rapid.IntRange(1, 5).Draw(r, "hosts") {
			n := quorate.Node{Name: fmt.Sprint("n", i)}
			off[n.Name] = seconds("off", -400, 400)
			if rapid.Bool().Draw(r, "right") {
				off[n.Name] = seconds("off a little", -0.4, 0.4)
			}
			there, back := seconds("there", 0, 3), seconds("back", 0, 3)
			precision := rapid.SampledFrom([]time.Duration{time.Nanosecond, time.Second}).Draw(r, "precision")
			trip[n.Name] = there + back + precision
			all = append(all, hostFacts{
				node: n, sent: asked, received: asked.Add(there + back),
				facts: factSheet{time: asked.Add(there + off[n.Name]).Truncate(precision), precision: precision},
			})
		}
		found := map[string]bool{}
		pair := false
		for _, f := range clocks(view{hosts: all}) {
			pair = pair || len(f.Hosts) == 2
			if len(f.Hosts) == 1 {
				name := f.Hosts[0]
				found[name] = true
				if off[name].Abs() <= clockWarning {
					r.Errorf("%s is off by %s: %s", name, off[name], f.Found)
				}
				if f.Severity == quorate.Refused && off[name].Abs() <= clockError {
					r.Errorf("%s is off by %s: %s", name, off[name], f.Severity)
				}
			} else if d := off[f.Hosts[0]] - off[f.Hosts[1]]; d.Abs() <= clockWarning {
				r.Errorf("%v differ by %s: %s", f.Hosts, d, f.Found)
			}
		}
		for name, by := range off {
			if by.Abs() > clockWarning+trip[name] && !found[name] {
				r.Errorf("%s is off by %s, the round trip took %s, and it was not found", name, by, trip[name])
			}
			for other, otherBy := range off {
				if found[name] || found[other] {
					continue
				}
				if d := by - otherBy; d > clockWarning+trip[name]+trip[other] && !pair {
					r.Errorf("%s and %s differ by %s, and that was not found", name, other, d)
				}
			}
		}
	})
}

// Values that two hosts share are found, all who share one together, and no other.
func TestDuplicatesAreFound(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var all []hostFacts
		by := map[string][]string{}
		for i := range rapid.IntRange(1, 9).Draw(r, "hosts") {
			n := quorate.Node{Name: fmt.Sprint("n", i)}
			id := rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(r, "id")
			by[id] = append(by[id], n.Name)
			all = append(all, hostFacts{node: n, facts: factSheet{machineID: id}})
		}
		for _, f := range judged(view{hosts: all}, MachineID) {
			_, id, _ := strings.Cut(f.Found, ": ")
			if id == "" || !slices.Equal(f.Hosts, by[id]) || len(f.Hosts) < 2 {
				r.Errorf("%+v of %v", f, by)
			}
			delete(by, id)
		}
		delete(by, "") // a host that does not tell
		for id, hosts := range by {
			if len(hosts) > 1 {
				r.Errorf("%s on %v is not found", id, hosts)
			}
		}
	})
}

// A CA that is being replaced is this cluster's as long as one certificate is, in
// whichever form a program has written it.
func TestWhoseAHostIs(t *testing.T) {
	certificate := func(body string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte(body)}))
	}
	n := quorate.Node{Name: "cp-1", Role: quorate.ControlPlane}
	j := Judge{Authorities: map[string]map[string][]string{n.Name: {
		KubernetesCA: CertificatesIn(certificate("one") + certificate("two")), EtcdCA: CertificatesIn(certificate("etcd")),
	}}}
	without := Judge{Units: map[string]string{n.Name: "[Unit]\n"}}
	texts := func(path, text string) factSheet { return factSheet{texts: map[string]string{path: text}} }
	marked := func(f factSheet) factSheet { f.mark = "begun"; return f }
	for name, tt := range map[string]struct {
		j                  Judge
		f                  factSheet
		kubernetes, member bool
	}{
		"bare":                         {j, factSheet{}, false, false},
		"the old CA":                   {j, texts(KubernetesCA, certificate("one")), true, true},
		"the new CA, and a comment":    {j, texts(KubernetesCA, "# two\n"+certificate("three")+certificate("two")), true, true},
		"another's CA":                 {j, texts(KubernetesCA, certificate("three")), false, false},
		"another's CA, and a mark":     {j, marked(texts(KubernetesCA, certificate("three"))), false, false},
		"a worker that has begun":      {j, marked(factSheet{}), true, true},
		"etcd's CA":                    {j, texts(EtcdCA, certificate("etcd")), false, true},
		"another etcd's CA":            {j, texts(EtcdCA, certificate("one")), false, false},
		"etcd without TLS":             {without, texts(etcd.UnitPath, "[Unit]\n"), false, true},
		"a unit of another":            {without, texts(etcd.UnitPath, "[Unit]\nX=1\n"), false, false},
		"no CA known, and no mark":     {without, texts(KubernetesCA, certificate("one")), false, false},
		"no CA known, but it is begun": {without, marked(texts(KubernetesCA, certificate("one"))), true, true},
	} {
		if kubernetes, member := tt.j.ours(n, tt.f); kubernetes != tt.kubernetes || member != tt.member {
			t.Errorf("%s: %v %v", name, kubernetes, member)
		}
	}
}

// shells are those that scripts must run in, as far as this machine has them.
func shells(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{"dash": {tier.Program(t, "dash")}}
	for name, argv := range map[string][]string{"busybox": {"busybox", "sh"}, "bash": {"bash", "--posix"}} {
		if path, err := exec.LookPath(argv[0]); err == nil {
			found[name] = append([]string{path}, argv[1:]...)
		} else if os.Getenv("QUORATE_CI") == "1" {
			t.Fatal(err)
		}
	}
	return found
}

// The script finds out of this very machine what Go knows of it.
func TestPreflightScriptOnThisMachine(t *testing.T) {
	if _, err := os.Stat("/proc/net/tcp"); err != nil {
		t.Skip("needs Linux: ", err)
	}
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for shell, argv := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			before := time.Now()
			cmd := exec.Command(argv[0], append(argv[1:], plan.Script(factsScript, map[string]string{
				"VIP_INTERFACE": "lo", "DATA_DIR": "/nonexistent", "RUNTIME": "sh",
			}, "/proc/version", "/nonexistent").Argv[1:]...)...)
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			f := readAs(t, parseFacts, out)
			if f.hostname != name || f.uid == "" || f.init == "" || f.memoryKiB == 0 {
				t.Errorf("%+v\n%s", f, out)
			}
			if f.time.Add(f.precision).Before(before) || f.time.After(time.Now()) {
				t.Errorf("time %v", f.time)
			}
			if !f.holds(netip.MustParseAddr("127.0.0.1")) || f.iface != "yes" || f.runtime != "yes" || len(f.texts) != 1 || !strings.HasPrefix(f.texts["/proc/version"], "Linux ") {
				t.Errorf("%+v\n%s", f, out)
			}
		})
	}
}

// The way to what listens is proved by an answer, to what does not by a
// refusal; the disk is measured call by call, and nothing is left.
func TestProbesScriptOnThisMachine(t *testing.T) {
	taken, free := listen(t), unused(t)
	for shell, argv := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			dir := t.TempDir()
			run := func(q transport.Query) []byte {
				cmd := exec.Command(argv[0], append(argv[1:], q.Argv[1:]...)...)
				var stderr strings.Builder
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil || stderr.Len() > 0 {
					t.Fatalf("%v: %s", err, stderr.String())
				}
				return out
			}
			out := run(plan.Script(probesScript, probing(0), "127.0.0.1", taken.port(), "127.0.0.1", free))
			p := readAs(t, parseProbes, out)
			p.syncs = readAs(t, parseProbes, run(plan.Script(diskScript, map[string]string{"DISK_DIR": dir + "/not/yet"}))).syncs
			if diff := cmp.Diff(pathsTo(taken.port(), pathConnected, free, pathRefused), p.paths, compareFacts); diff != "" {
				t.Errorf("%s\n%s", diff, out)
			}
			if len(p.syncs) != 200 || p.syncs[0] <= 0 {
				t.Errorf("%d writes: %v", len(p.syncs), p.syncs)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// The test of the disk writes through no link that another user may have put
// where its file could be expected, and removes what is its own only.
func TestDiskTestFollowsNoLink(t *testing.T) {
	for shell, argv := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			dir, victim := t.TempDir(), t.TempDir()+"/shadow"
			if err := os.WriteFile(victim, []byte("root's own"), 0o600); err != nil {
				t.Fatal(err)
			}
			script := "# measure\n" + `ln -s "$VICTIM" "$DISK_DIR/.quorate-preflight.$$"` + "\n" + diskScript
			args := plan.Script(script, map[string]string{"DISK_DIR": dir}).Argv[1:]
			cmd := exec.Command(argv[0], append(argv[1:], args...)...)
			cmd.Env = append(os.Environ(), "VICTIM="+victim)
			if out, err := cmd.CombinedOutput(); err != nil || len(readAs(t, parseProbes, out).syncs) == 0 {
				t.Errorf("%v: %s", err, out)
			}
			if b, err := os.ReadFile(victim); err != nil || string(b) != "root's own" {
				t.Errorf("the link's target is %d bytes now, %v", len(b), err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("left: %v, %v", left, err)
			}
		})
	}
}

// A directory that is another one by the time the disk test enters it is left alone.
func TestDiskTestThatLeadsElsewhere(t *testing.T) {
	mktemp := tier.Program(t, "mktemp")
	for shell, argv := range shells(t) {
		t.Run(shell, func(t *testing.T) {
			dir, vault, bin := t.TempDir(), t.TempDir(), t.TempDir()
			if err := os.Chmod(vault, 0o700); err != nil { //nolint:gosec // a directory
				t.Fatal(err)
			}
			if err := os.WriteFile(vault+"/test", []byte("root's own"), 0o600); err != nil {
				t.Fatal(err)
			}
			swap := "#!/bin/sh\ndir=$(" + mktemp + " \"$@\") || exit\nprintf '%s\\n' \"$dir\"\nmv \"$dir\" \"$dir.aside\"\nln -s \"$VICTIM\" \"$dir\"\n"
			if err := os.WriteFile(bin+"/mktemp", []byte(swap), 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			args := plan.Script(diskScript, map[string]string{"DISK_DIR": dir}).Argv[1:]
			cmd := exec.Command(argv[0], append(argv[1:], args...)...)
			cmd.Env = append(os.Environ(), "VICTIM="+vault, "PATH="+bin+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if b, err := os.ReadFile(vault + "/test"); err != nil || string(b) != "root's own" {
				t.Errorf("the file there is %d bytes now, %v", len(b), err)
			}
		})
	}
}

// A disk test that is ended leaves nothing behind, also where a second signal finds it cleaning up, and
// where the first comes as the directory is made.
func TestDiskTestAfterSignals(t *testing.T) {
	for shell, argv := range shells(t) {
		for name, programs := range map[string]map[string]string{
			"while it writes, and removes": {"dd": "kill -TERM \"$PPID\"\nexec %s \"$@\"\n", "rm": "kill -TERM \"$PPID\"\nexec %s \"$@\"\n"},
			"while it leaves":              {"dd": "kill -TERM \"$PPID\"\nexec %s \"$@\"\n", "rmdir": "kill -INT \"$PPID\"\nexec %s \"$@\"\n"},
			"as the directory is made":     {"mktemp": "kill -TERM \"$SHELL_PID\" \"$PPID\" 2>/dev/null\nexec %s \"$@\"\n"},
		} {
			t.Run(shell+", "+name, func(t *testing.T) {
				dir, bin := t.TempDir(), t.TempDir()
				for program, text := range programs {
					text = "#!/bin/sh\n" + fmt.Sprintf(text, tier.Program(t, program))
					if err := os.WriteFile(bin+"/"+program, []byte(text), 0o755); err != nil { //nolint:gosec // a program
						t.Fatal(err)
					}
				}
				args := plan.Script("# measure\nSHELL_PID=$$; export SHELL_PID\n"+diskScript, map[string]string{"DISK_DIR": dir}).Argv[1:]
				cmd := exec.Command(argv[0], append(argv[1:], args...)...)
				cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 1 {
					t.Errorf("%v: %s", err, out)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left: %v, %v", left, err)
				}
			})
		}
	}
}

// probing are the variables of probesScript.
func probing(seconds int) map[string]string {
	return map[string]string{"VIP": "", "VIP_PORT": "", "VIP_INTERFACE": "eth7", "VRID": "51", "LISTEN_SECONDS": strconv.Itoa(seconds), "SPEAK_SECONDS": "0", "SPEAK_PYTHON": "", "SPEAK_PERL": "", "SPEAK_FROM": "", "SPEAK_TO": "", "RUNTIME": "", "ENDPOINT": ""}
}

func pathsTo(port string, s pathState, port2 string, s2 pathState) map[netip.AddrPort]pathState {
	return map[netip.AddrPort]pathState{netip.MustParseAddrPort("127.0.0.1:" + port): s, netip.MustParseAddrPort("127.0.0.1:" + port2): s2}
}

// Whatever the host has to connect with, real bash or real curl, it comes to the
// same, and without both it is not known.
func TestProbesScriptTriesPathsWithWhatThereIs(t *testing.T) {
	path := func(name string) string {
		p, err := exec.LookPath(name)
		if err != nil {
			if os.Getenv("QUORATE_CI") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
		return "exec " + p + ` "$@"`
	}
	taken, free := listen(t), unused(t)
	for name, tt := range map[string]struct {
		programs map[string]string
		want     map[netip.AddrPort]pathState
	}{
		"bash":    {map[string]string{"bash": path("bash"), "timeout": path("timeout")}, pathsTo(taken.port(), pathConnected, free, pathRefused)},
		"curl":    {map[string]string{"curl": path("curl")}, pathsTo(taken.port(), pathConnected, free, pathRefused)},
		"nothing": {nil, pathsTo(taken.port(), pathUnknown, free, pathUnknown)},
	} {
		p := readAs(t, parseProbes, []byte(shelltest.Run(t, probesScript, tt.programs, probing(0), "127.0.0.1", taken.port(), "127.0.0.1", free)))
		if diff := cmp.Diff(tt.want, p.paths, compareFacts); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// What bash and curl say of a path, in their own words, and what it means.
func TestProbesScriptReadsWhatProgramsSay(t *testing.T) {
	const pass = "shift; exec \"$@\""
	for _, tt := range []struct {
		program, does string
		want          pathState
	}{
		{"bash", "exit 0", pathConnected},
		{"bash", "echo 'bash: connect: Connection refused' >&2; exit 1", pathRefused},
		{"bash", "echo 'bash: connect: No route to host' >&2; exit 1", pathBlocked},
		{"bash", "echo 'bash: connect: Network is unreachable' >&2; exit 1", pathBlocked},
		{"bash", "echo 'bash: connect: Operation not permitted' >&2; exit 1", pathBlocked},
		{"bash", "echo 'bash: connect: Connection timed out' >&2; exit 1", pathBlocked},
		{"bash", "exit 124", pathBlocked}, // timeout's own status
		{"bash", "echo 'bash: /dev/tcp/192.0.2.1/1: No such file or directory' >&2; exit 1", pathUnknown},
		{"curl", "echo connect=0.000123; exit 52", pathConnected},
		{"curl", "echo connect=0.000123; exit 28", pathConnected}, // it said nothing for long
		{"curl", "echo connect=0.000123; exit 0", pathConnected},
		{"curl", "echo connect=0.000000; exit 28", pathBlocked},
		{"curl", "echo '* connect to 192.0.2.1 port 1 failed: Connection refused' >&2; echo connect=0.000000; exit 7", pathRefused},
		{"curl", "echo 'curl: (7) Failed connect to 192.0.2.1:1; Connection refused' >&2; echo connect=0.000; exit 7", pathRefused},
		{"curl", "echo '* connect to 192.0.2.1 port 1 failed: No route to host' >&2; echo connect=0.000000; exit 7", pathBlocked},
		{"curl", "echo 'curl: option --noproxy: is unknown' >&2; exit 2", pathUnknown},
	} {
		programs := map[string]string{tt.program: tt.does}
		if tt.program == "bash" {
			programs["timeout"] = pass
		}
		p := readAs(t, parseProbes, []byte(shelltest.Run(t, probesScript, programs, probing(0), "192.0.2.1", "1")))
		if got := p.paths[netip.MustParseAddrPort("192.0.2.1:1")]; got != tt.want {
			t.Errorf("%s: %s: %s, want %s", tt.program, tt.does, got, tt.want)
		}
	}
}

// A stranger's VRID is heard, another number is not.
func TestProbesScriptHearsTheVRID(t *testing.T) {
	tcpdump := `case "$*" in *"-i eth7 (ip proto 112 and"*"= 51)"*) ;; *) exit 1 ;; esac
echo "12:00:00.1 IP 192.0.2.77 > 224.0.0.18: VRRPv2, Advertisement, vrid 51, prio 100"
echo "12:00:00.2 IP 192.0.2.78 > 224.0.0.18: VRRPv2, Advertisement, vrid 151, prio 100"`
	out := shelltest.Run(t, probesScript, map[string]string{"tcpdump": tcpdump, "timeout": `[ "$1" = 4 ] || exit 9; shift; exec "$@"`}, probing(4))
	p := readAs(t, parseProbes, []byte(out))
	if !p.vrrp || !slices.Equal(p.routers, []netip.Addr{netip.MustParseAddr("192.0.2.77")}) {
		t.Errorf("%+v", p)
	}
	// One that cannot listen has not listened.
	out = shelltest.Run(t, probesScript, map[string]string{"tcpdump": "echo no permission >&2; exit 1", "timeout": `shift; exec "$@"`}, probing(4))
	if p := readAs(t, parseProbes, []byte(out)); p.vrrp || len(p.routers) > 0 {
		t.Errorf("%+v", p)
	}
}

// Of a host that has nothing, the script still tells what is missing.
func TestPreflightInDash(t *testing.T) {
	f := readAs(t, parseFacts, []byte(shelltest.Run(t, factsScript, map[string]string{"id": "echo 0"}, map[string]string{
		"VIP_INTERFACE": "eth0", "DATA_DIR": "/nonexistent", "RUNTIME": "",
	})))
	if !slices.Equal(f.missing, []string{"ip", "systemctl"}) || f.uid != "0" || !f.time.IsZero() || f.iface != "no" {
		t.Errorf("%+v", f)
	}
	faults := view{hosts: []hostFacts{{node: node(), facts: f}}}.findings()
	if !slices.ContainsFunc(faults, func(f plan.Finding) bool {
		return f.Check == Commands && f.Severity == quorate.Refused && strings.Contains(f.Found, "ip systemctl") && strings.Contains(f.Do, "iproute2")
	}) {
		t.Errorf("%+v", faults)
	}
}

func node() quorate.Node { return quorate.Node{Name: "a", Role: quorate.Worker} }

// listener accepts connections and says nothing.
type listener struct{ net.Listener }

func (l listener) port() string { return strconv.Itoa(l.Addr().(*net.TCPAddr).Port) }

func listen(t *testing.T) listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return listener{l}
}

// unused returns a port on which nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer func() { _ = l.Close() }()
	return l.port()
}
