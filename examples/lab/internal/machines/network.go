package machines

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// vethOf is the machine's end of a host's cable, by systemd-nspawn's rule.
func vethOf(host string) string { return "vb-" + host }

// deleteVeth deletes what is left of a host's cable. One that another lab's
// host is plugged in with is refused.
func deleteVeth(ctx context.Context, bridge, host string) error {
	if err := deleteDelayed(ctx, bridge, host); err != nil {
		return err
	}
	veth := vethOf(host)
	master, err := os.Readlink(filepath.Join("/sys/class/net", veth, "master"))
	if err == nil && filepath.Base(master) != bridge {
		return fmt.Errorf("network interface %s belongs to a host on %s: take that lab down first", veth, filepath.Base(master))
	}
	return deleteLink(ctx, veth)
}

// makeBridge makes the bridge with the machine's own address. The interface's
// alias names its owner. A stale one of the same owner is replaced.
func makeBridge(ctx context.Context, s Spec, owner string) error {
	if err := checkBridgeFree(ctx, s.Bridge, owner); err != nil {
		return err
	}
	if err := deleteLink(ctx, s.Bridge); err != nil {
		return err
	}
	if err := checkRoutes(ctx, s); err != nil {
		return err
	}
	address := netip.PrefixFrom(s.Gateway(), s.Network.Bits()).String()
	mac, err := bridgeMAC()
	if err != nil {
		return err
	}
	for _, args := range [][]string{
		{"link", "add", s.Bridge, "address", mac, "type", "bridge", "stp_state", "0", "forward_delay", "0"},
		{"link", "set", s.Bridge, "alias", owner},
		{"address", "add", address, "dev", s.Bridge},
		{"link", "set", s.Bridge, "up"},
	} {
		if _, err := run(ctx, "ip", args...); err != nil {
			return err
		}
	}
	// Nothing of the hosts leaves this machine, also where it is a router.
	forwarding := filepath.Join("/proc/sys/net/ipv4/conf", s.Bridge, "forwarding")
	return os.WriteFile(forwarding, []byte("0"), 0o644)
}

// bridgeMAC makes a random, locally administered address. A bridge without one
// of its own takes that of a host's cable, and another one when that host loses
// power: the others would then send their answers to nobody for a while.
func bridgeMAC() (string, error) {
	mac := make(net.HardwareAddr, 6)
	if _, err := rand.Read(mac); err != nil {
		return "", err
	}
	mac[0] = mac[0]&^1 | 2 // not a group's, not a manufacturer's
	return mac.String(), nil
}

// checkBridgeFree refuses a bridge that another lab, or somebody else, made.
func checkBridgeFree(ctx context.Context, bridge, owner string) error {
	if !linkExists(bridge) {
		return nil
	}
	out, err := run(ctx, "ip", "-json", "link", "show", "dev", bridge)
	if err != nil {
		return err
	}
	alias, err := parseAlias([]byte(out))
	if err != nil {
		return err
	}
	switch alias {
	case owner:
		return nil
	case "":
		return fmt.Errorf("network interface %s exists and is not the lab's: choose another bridge", bridge)
	}
	return fmt.Errorf("network interface %s belongs to the lab in %s: take that down first", bridge, alias)
}

func parseAlias(linkJSON []byte) (string, error) {
	var links []struct {
		Alias string `json:"ifalias"`
	}
	if err := json.Unmarshal(linkJSON, &links); err != nil {
		return "", fmt.Errorf("read ip's answer: %w", err)
	}
	for _, l := range links {
		if l.Alias != "" {
			return l.Alias, nil
		}
	}
	return "", nil
}

// checkRoutes refuses a network that this machine reaches elsewhere already.
func checkRoutes(ctx context.Context, s Spec) error {
	out, err := run(ctx, "ip", "-4", "-json", "route", "show")
	if err != nil {
		return err
	}
	taken, err := overlappingRoute([]byte(out), s.Network)
	if err != nil {
		return err
	}
	if taken != "" {
		return fmt.Errorf("network %s overlaps this machine's route to %s: choose another", s.Network, taken)
	}
	return nil
}

// overlappingRoute returns the first destination but the default that shares
// addresses with a network.
func overlappingRoute(routesJSON []byte, network netip.Prefix) (string, error) {
	var routes []struct {
		Destination string `json:"dst"`
	}
	if err := json.Unmarshal(routesJSON, &routes); err != nil {
		return "", fmt.Errorf("read ip's answer: %w", err)
	}
	for _, r := range routes {
		dst, err := netip.ParsePrefix(r.Destination)
		if err != nil {
			addr, err := netip.ParseAddr(r.Destination)
			if err != nil {
				continue // "default"
			}
			dst = netip.PrefixFrom(addr, addr.BitLen())
		}
		if dst.Overlaps(network) {
			return r.Destination, nil
		}
	}
	return "", nil
}

func linkExists(name string) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", name))
	return err == nil
}

// deleteLink deletes an interface and waits until the kernel has let go of it:
// one whose other end was in a killed host goes by itself, a moment later.
func deleteLink(ctx context.Context, name string) error {
	return poll(ctx, 20*time.Millisecond, func() (bool, error) {
		if !linkExists(name) {
			return true, nil
		}
		_, err := run(ctx, "ip", "link", "delete", name)
		if err != nil && linkExists(name) {
			return false, err
		}
		return false, nil
	})
}
