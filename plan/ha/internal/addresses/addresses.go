// Package addresses is how every look at a host reads which addresses it has, and so
// whether it holds the VIP: before a run, after it, and of a cluster that runs.
package addresses

import (
	_ "embed"
	"net/netip"
	"slices"
	"strings"
)

//go:embed scripts/addresses.sh
var function string

// Into returns a script that has the shell function addresses, by which it prints a line
// "address=..." for each address of the host. The script exports LC_ALL before it does.
func Into(script string) string {
	const after = "export LC_ALL\n"
	return strings.Replace(script, after, after+function, 1)
}

// Own is an address of a host's, with its network, and the interface that has it.
type Own struct {
	Device string
	netip.Prefix
}

// Parse reads what follows "address=" in a line; false if that is no address.
func Parse(value string) (Own, bool) {
	device, text, ok := strings.Cut(value, " ")
	if p, err := netip.ParsePrefix(text); err == nil {
		return Own{device, p}, ok && device != ""
	}
	// ip shows the address of a point-to-point link without a network.
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		return Own{}, false
	}
	return Own{device, netip.PrefixFrom(a, a.BitLen())}, ok && device != ""
}

// Devices are the interfaces that have an address, each once, in the host's order.
func Devices(all []Own, a netip.Addr) []string {
	var names []string
	for _, o := range all {
		if o.Addr() == a && !slices.Contains(names, o.Device) {
			names = append(names, o.Device)
		}
	}
	return names
}
