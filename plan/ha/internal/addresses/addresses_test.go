package addresses_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/plan/ha/internal/addresses"
	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

func TestScripts(t *testing.T) {
	for path, text := range shelltest.Files(t, "scripts") {
		shelltest.Check(t, path, text)
	}
}

// Each script that is handed to a host with the function has it, and calls it.
func TestScriptsThatReadAddresses(t *testing.T) {
	for _, path := range []string{"preflight/scripts/facts.sh", "survey/scripts/state.sh", "internal/holder/scripts/vipholder.sh"} {
		text, err := os.ReadFile(filepath.Join("../..", path))
		if err != nil {
			t.Fatal(err)
		}
		whole := addresses.Into(string(text))
		if !strings.Contains(whole, "\naddresses() {\n") || !strings.Contains(whole, "\naddresses\n") && !strings.Contains(whole, "$(addresses)") {
			t.Errorf("%s does not read addresses", path)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if !strings.HasPrefix(whole, first+"\n") {
			t.Errorf("%s: errors show another first line", path)
		}
		if strings.Contains(string(text), "ip -o addr") {
			t.Errorf("%s reads addresses by itself", path)
		}
	}
}

// What ip prints, as hosts of all kinds have it.
func TestAddressesOfAHost(t *testing.T) {
	const ip = `cat <<'X'
1: lo    inet 127.0.0.1/8 scope host lo\       valid_lft forever preferred_lft forever
2: eth0@if7    inet 192.0.2.11/24 brd 192.0.2.255 scope global eth0\       valid_lft forever
2: eth0    inet 192.0.2.10/32 scope global secondary eth0:vip
3: wg0    inet 198.51.100.1 peer 198.51.100.2/32 scope global wg0
4: bond0.12@bond0    inet6 2001:db8::1/64 scope global dynamic mngtmpaddr
4: bond0.12@bond0    inet6 2001:db8::bad/64 scope global dadfailed tentative
5: eth1    inet 192.0.2.10/24 scope global eth1
X`
	out := shelltest.Run(t, addresses.Into("# read\nLC_ALL=C\nexport LC_ALL\naddresses\n"), map[string]string{"ip": ip}, nil)
	var got []addresses.Own
	for line := range strings.Lines(out) {
		o, ok := addresses.Parse(strings.TrimPrefix(strings.TrimSpace(line), "address="))
		if !ok {
			t.Errorf("%q", line)
		}
		got = append(got, o)
	}
	p := netip.MustParsePrefix
	want := []addresses.Own{
		{Device: "lo", Prefix: p("127.0.0.1/8")}, {Device: "eth0", Prefix: p("192.0.2.11/24")}, {Device: "eth0", Prefix: p("192.0.2.10/32")}, {Device: "wg0", Prefix: p("198.51.100.1/32")},
		{Device: "bond0.12", Prefix: p("2001:db8::1/64")}, {Device: "eth1", Prefix: p("192.0.2.10/24")},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if on := addresses.Devices(got, netip.MustParseAddr("192.0.2.10")); !slices.Equal(on, []string{"eth0", "eth1"}) {
		t.Errorf("%v", on)
	}
}

// Whatever follows, what is read is an address of an interface with a name.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"eth0 192.0.2.1/24", "wg0 192.0.2.1", "eth0 fe80::1%eth0", " 192.0.2.1/24", "eth0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if o, ok := addresses.Parse(s); ok && (!o.IsValid() || o.Device == "" || o.Addr().Zone() != "") {
			t.Errorf("%q: %v", s, o)
		}
	})
}
