package preflight

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
)

// hostile is what a host may print to a terminal, or to a reader's eye.
var hostile = []string{
	"\x1b[2J\x1b[H", "\x1b]0;owned\x07", "\x1b]8;;http://192.0.2.1/\x1b\\link\x1b]8;;\x1b\\", "\x1bP+q544e\x1b\\", "\u009b31m", "\x9b31m", "\u0085", "\x00", "\x7f", "\b\b\b",
	"good\rbad", "\u202egnp.exe", "\u2066\u2069", "\u200b\ufeff", "\u2028\u2029", "\U000e0041", "\xff\xfe", "\xed\xa0\x80", "日本", "a=b=c", "'; reboot; '", "<script>", "[x](javascript:y)",
}

// hostsThatPrint are control planes of one cluster, new ones and ones that it has.
func hostsThatPrint(facts, probes [][]byte) view {
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 29},
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", LoadBalancer: quorate.HAProxy, VIP: quorate.VIP{Interface: "eth0"}},
	}
	v := view{probes: map[string]probed{}}
	for i := range facts {
		c.Nodes = append(c.Nodes, quorate.Node{Name: fmt.Sprint("cp-", i+1), Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})}})
	}
	v.Judge = Judge{Cluster: c.WithDefaults(), APIPorts: map[string]uint16{}, Driver: "containerd", Runtime: "containerd", Programs: []string{"/opt/bin/kubeadm"}}
	for i, n := range v.Cluster.Nodes {
		f, _ := parseFacts(context.Background(), facts[i])
		v.hosts = append(v.hosts, hostFacts{node: n, facts: f, sent: time.Unix(0, 0), received: time.Unix(1, 0)})
		p, _ := parseProbes(context.Background(), probes[i])
		p.disk = true
		v.probes[n.Name] = p
	}
	return v
}

// reported is all that a preflight says of hosts, in every form.
func reported(v view, away error) []string {
	report := Report{}
	for _, n := range v.Cluster.Nodes {
		report.Hosts = append(report.Hosts, n.Name)
	}
	f := finding(quorate.Refused, away.Error(), "make the host reachable", "cp-1")
	f.Check = Reachable
	report.add(v.Judge, safe(f))
	report.add(v.Judge, v.findings()...)
	forms := []string{report.Text(), report.Err().Error(), string(report.JSON())}
	for _, f := range report.Findings {
		forms = append(forms, f.String()+"\n")
	}
	return forms
}

// readable reports what is wrong with a text that a terminal shows.
func readable(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("not UTF-8: %q", text)
	}
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			return fmt.Errorf("%U in %.300q", r, text)
		}
	}
	return nil
}

// Whatever hosts print, by any key, no form of the report holds what a terminal obeys
// or a reader does not see.
func TestReportIsReadable(t *testing.T) {
	var keys []string
	for k := range factReaders {
		keys = append(keys, string(k))
	}
	for k := range probeReaders {
		keys = append(keys, string(k))
	}
	slices.Sort(keys)
	good := slices.Sorted(maps.Keys(map[string]bool{"0": true, "yes": true, "no": true, "v1": true, "1": true, "eth0 192.0.2.11/24": true, "0100007F:094B": true, "/etc/environment HTTP_PROXY=": true, "iptables ": true}))
	value := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(hostile), rapid.SampledFrom(good), rapid.String()), 1, 3).Draw(t, "parts")
		return strings.Join(parts, "")
	})
	rapid.Check(t, func(t *rapid.T) {
		lines := func(label string) []byte {
			var b strings.Builder
			for range rapid.IntRange(0, 30).Draw(t, label) {
				b.WriteString(rapid.SampledFrom(keys).Draw(t, "key") + "=" + value.Draw(t, "value") + "\n")
			}
			return []byte(b.String())
		}
		facts, probes := [][]byte{lines("facts"), lines("facts")}, [][]byte{lines("probes"), lines("probes")}
		for _, form := range reported(hostsThatPrint(facts, probes), errors.New(value.Draw(t, "away"))) {
			if err := readable(form); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Each hostile text comes back by every fact that a finding quotes, and is told as it is.
func TestReportQuotesWhatHostsPrint(t *testing.T) {
	for _, h := range hostile {
		h = strings.TrimRight(strings.ReplaceAll(h, "\n", ""), "\r\n")
		facts := []byte("uid=" + h + "\ninit=" + h + "\nhostname=" + h + "x\nmissing=" + h + "\nswap=/" + h + "\nleft=/" + h + "\nhidden=/opt/" + h + "/kubeadm\nshell=/bin/" + h +
			"x\ncni=/etc/cni/net.d/" + h + "\nmachine-id=" + h + "x\nsysctl=/etc/sysctl.conf net.ipv4.ip_forward = " + h + "\n")
		probes := []byte("driver=" + h + "\ndisabled=cri\nsandbox=" + h + "/pause\n")
		v := hostsThatPrint([][]byte{facts, facts}, [][]byte{probes, probes})
		for _, form := range reported(v, errors.New(h)) {
			require.NoError(t, readable(form), "%q", h)
		}
		found := map[plan.Check]bool{}
		for _, f := range v.findings() {
			found[f.Check] = true
		}
		for _, c := range []plan.Check{Root, Init, Hostname, Commands, Swap, Leftovers, SearchPath, LoginShell, CNI, MachineID, Sysctl, SandboxImage} {
			require.True(t, found[c], "%q: %s", h, c)
		}
	}
}

// What a host floods its answer with takes bounded memory, and is left where ctx ends.
func TestFloods(t *testing.T) {
	const size = 2 << 20 // of the 16 MiB that an answer may have: what is quadratic does not end here either
	for _, line := range []string{
		"text=", "text=x", "file=/x\ntext=-----BEGIN CERTIFICATE-----", "router=x 192.0.2.1 > y", "heard=192.0.2.1", "hostname=" + strings.Repeat("x", 1<<20),
		"address=eth0 192.0.2.1/24", "listen=0100007F:0016", "swap=/x", "left=/x", "missing=x", "cni=/x", "hidden=/x", "sysctl=/f k=v", "dd=1 copied, 0.5 s",
		"path=192.0.2.1 1 refused", "proxy=/etc/environment NO_PROXY=" + strings.Repeat("a,", 1000), "endpoint=192.0.2.1 routed", "disabled=" + strings.Repeat("a,", 1000), "=", "",
	} {
		out := []byte(strings.Repeat(line+"\n", size/(len(line)+1)))
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		f, err := parseFacts(t.Context(), out)
		require.NoError(t, err)
		p, err := parseProbes(t.Context(), out)
		require.NoError(t, err)
		runtime.GC()
		runtime.ReadMemStats(&after)
		require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(40<<20), "%.40q", line)
		require.LessOrEqual(t, max(len(f.addresses), len(f.listening), len(f.swaps), len(f.left), len(p.routers), len(p.heard), len(p.paths), len(p.syncs), len(p.disabled)), mostValues)
		require.Less(t, len(f.hostname), longestValue+1)
		for _, text := range f.texts {
			require.LessOrEqual(t, len(text), longestFile)
		}
		runtime.KeepAlive(out)

		ended, end := context.WithCancelCause(t.Context())
		end(errors.New("enough"))
		if lines := size / (len(line) + 1); lines > 2*looksAtContext {
			_, err = parseFacts(ended, out)
			require.ErrorContains(t, err, "enough", "%.40q", line)
			_, err = parseProbes(ended, out)
			require.ErrorContains(t, err, "enough", "%.40q", line)
		}
	}
}
