package plan

import (
	"context"
	"net/netip"
	"strings"

	"github.com/quorate-dev/quorate"
)

// preflight looks at a host before anything is done to any. It changes
// nothing: its Check is all there is to it.
type preflight struct {
	cluster quorate.Cluster
	node    quorate.Node
}

// preflightScript prints what there is to know in one round trip. $1 is the
// interface of the VIP, empty on a host that carries none.
const preflightScript = `# look at the host
echo "uid=$(id -u)"
echo "init=$(cat /proc/1/comm 2>/dev/null)"
echo "hostname=$(hostname)"
echo "addresses=$(ip -o addr show 2>/dev/null | while read -r _ _ _ address _; do printf '%s ' "$address"; done)"
echo "commands=$(for c in ip systemctl; do command -v "$c" >/dev/null 2>&1 || printf '%s ' "$c"; done)"
if [ -n "$1" ]; then
	ip link show dev "$1" >/dev/null 2>&1 && echo "interface=yes" || echo "interface=no"
fi
`

// Check gives every fault of the host at once in a *HostError.
func (p preflight) Check(ctx context.Context, h *Host) (Diff, error) {
	iface := p.vipInterface()
	out, err := h.Script(ctx, preflightScript, iface)
	if err != nil {
		return nil, err
	}
	f := fields(out)
	var faults []HostFault
	fault := func(found, do string) { faults = append(faults, HostFault{Found: found, Do: do}) }
	if f["uid"] != "0" {
		fault("commands run as uid "+f["uid"]+", not as root", "connect as root or decorate the transport with sudo")
	}
	if f["init"] != "systemd" {
		fault("process 1 is "+f["init"]+", not systemd", "use a distribution that systemd starts")
	}
	if missing := strings.TrimSpace(f["commands"]); missing != "" {
		fault("commands missing: "+missing, "install them (packages iproute2, systemd)")
	}
	found := parseAddresses(f["addresses"])
	for _, a := range p.node.Addresses {
		if !found[a] {
			fault("the host does not have "+a.String()+", it has "+strings.TrimSpace(f["addresses"]),
				"correct the node's addresses, or where ssh leads")
		}
	}
	if iface != "" && f["interface"] == "no" {
		fault("no interface "+iface, "set endpoint.vip.interface or the node's interface to the one that shall carry the VIP")
	}
	if len(faults) > 0 {
		return nil, &HostError{Host: h.Name, Faults: faults}
	}
	return nil, nil
}

// Apply is never called: Check finds either nothing or an error.
func (p preflight) Apply(context.Context, *Host, Diff) error { return nil }

func (p preflight) vipInterface() string {
	if p.cluster.Endpoint.External || p.node.Role != quorate.ControlPlane {
		return ""
	}
	if p.node.Interface != "" {
		return p.node.Interface
	}
	return p.cluster.Endpoint.VIP.Interface
}

func parseAddresses(s string) map[netip.Addr]bool {
	found := map[netip.Addr]bool{}
	for _, word := range strings.Fields(s) {
		if p, err := netip.ParsePrefix(word); err == nil {
			found[p.Addr()] = true
		}
	}
	return found
}
