package preflight

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
)

// Two hosts that did not certainly try at the same time say nothing of the way
// between them.
func TestVRRPOverlap(t *testing.T) {
	at := func(seconds float64) time.Time { return time.Unix(1_700_000_000, int64(seconds*1e9)) }
	c := quorate.Cluster{
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0", AdvertInterval: quorate.Duration(500 * time.Millisecond)}},
	}
	for i := range 2 {
		c.Nodes = append(c.Nodes, quorate.Node{Name: fmt.Sprint("cp-", i), Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})}})
	}
	for name, tt := range map[string]struct {
		sent, received [2]float64
		want           quorate.Severity
	}{
		"together":                        {[2]float64{0, 0}, [2]float64{3.2, 3.2}, quorate.Refused},
		"one second apart":                {[2]float64{0, 1}, [2]float64{3.2, 4.2}, quorate.Refused},
		"one after the other":             {[2]float64{0, 3.3}, [2]float64{3.2, 6.5}, quorate.Unchecked},
		"one slow, perhaps at its start":  {[2]float64{0, 0}, [2]float64{3.2, 7}, quorate.Unchecked},
		"both long under way, and unsure": {[2]float64{0, 0}, [2]float64{9, 9}, quorate.Unchecked},
	} {
		v := view{Judge: Judge{Cluster: c}, probes: map[string]probed{}}
		for i, n := range c.Nodes {
			own := addresses.Own{Device: "eth0", Prefix: netip.PrefixFrom(n.Address(), 24)}
			v.hosts = append(v.hosts, hostFacts{node: n, facts: factSheet{addresses: []addresses.Own{own}}})
			v.probes[n.Name] = probed{raw: true, sent: at(tt.sent[i]), received: at(tt.received[i])}
		}
		found := vrrp(v)
		if len(found) != 1 || found[0].Severity != tt.want {
			t.Errorf("%s: %v", name, found)
		}
		// Who was heard was heard, whenever that was.
		p := v.probes["cp-1"]
		p.heard = []netip.Addr{c.Nodes[0].Address()}
		v.probes["cp-1"] = p
		p = v.probes["cp-0"]
		p.heard = []netip.Addr{c.Nodes[1].Address()}
		v.probes["cp-0"] = p
		if found := vrrp(v); len(found) > 0 {
			t.Errorf("%s, and heard: %v", name, found)
		}
	}
}

// Real hosts, of network namespaces, hear each other's packets, by unicast and by the
// group of each family, and not through a firewall that drops the protocol.
func TestRealVRRPProgram(t *testing.T) {
	tier.Host(t, "ip", "nft", "python3", "perl")
	languages := [][]string{{tier.Program(t, "python3"), "-c", vrrpPython}, {tier.Program(t, "perl"), "-e", vrrpPerl}}
	run := func(argv ...string) string {
		out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", argv, err, out)
		}
		return string(out)
	}
	spaces := [2]string{fmt.Sprintf("qvrrp%d-0", time.Now().UnixNano()%1e6), ""}
	spaces[1] = strings.TrimSuffix(spaces[0], "0") + "1"
	for _, s := range spaces {
		run("ip", "netns", "add", s)
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", s).Run() })
	}
	run("ip", "link", "add", "eth7", "netns", spaces[0], "type", "veth", "peer", "name", "eth7", "netns", spaces[1])
	addresses := [2][2]string{{"192.0.2.51", "2001:db8::51"}, {"192.0.2.52", "2001:db8::52"}}
	for i, s := range spaces {
		run("ip", "-n", s, "addr", "add", addresses[i][0]+"/24", "dev", "eth7")
		run("ip", "-n", s, "addr", "add", addresses[i][1]+"/64", "dev", "eth7", "nodad")
		run("ip", "-n", s, "link", "set", "eth7", "up")
	}
	// Either speaks what the other hears.
	hears := func(family int, group string, first int) [2]bool {
		var heard [2]bool
		var both sync.WaitGroup
		for i, s := range spaces {
			both.Go(func() {
				to := group
				if to == "" {
					to = addresses[1-i][family]
				}
				argv := append([]string{"netns", "exec", s}, languages[(first+i)%2]...)
				out, err := exec.Command("ip", append(argv, addresses[i][family], "2", "eth7", "51", to)...).Output()
				p := readAs(t, parseProbes, out)
				if err != nil || !p.raw {
					t.Errorf("%v: %s", err, out)
				}
				of := run("ip", "-n", spaces[1-i], "-o", "addr", "show")
				heard[i] = slices.ContainsFunc(p.heard, func(a netip.Addr) bool { return strings.Contains(of, " "+a.String()+"/") })
			})
		}
		both.Wait()
		return heard
	}
	groups := [2]string{"224.0.0.18", "ff02::12"}
	for family := range 2 {
		for _, group := range []string{"", groups[family]} {
			if diff := cmp.Diff([2]bool{true, true}, hears(family, group, family)); diff != "" {
				t.Errorf("family %d, group %q: %s", family, group, diff)
			}
		}
	}
	run("ip", "netns", "exec", spaces[1], "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in meta l4proto 112 drop")
	for family := range 2 {
		for _, group := range []string{"", groups[family]} {
			if diff := cmp.Diff([2]bool{true, false}, hears(family, group, 1-family)); diff != "" {
				t.Errorf("dropped, family %d, group %q: %s", family, group, diff)
			}
		}
	}
}
