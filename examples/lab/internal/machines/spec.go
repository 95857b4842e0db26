package machines

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
)

// Role is the kind of a host.
type Role string

// The roles, by the words of the cluster description.
const (
	ControlPlane Role = "control-plane"
	Worker       Role = "worker"
)

// Interface is the name of every host's one network interface.
const Interface = "host0"

// Spec says how many hosts there are and where they live. The zero Spec has
// three control planes and one worker.
type Spec struct {
	// ControlPlanes and Workers count the hosts. If both are zero they are 3
	// and 1.
	ControlPlanes int `json:"controlPlanes"`
	Workers       int `json:"workers"`
	// Network holds the machine's own address, the hosts' and the VIP. An IPv4
	// range of at least /24. Default 10.177.0.0/24.
	Network netip.Prefix `json:"network"`
	// Pods is cut into one /24 for each host. Default 10.244.0.0/16.
	Pods netip.Prefix `json:"pods"`
	// Bridge is the network interface made for the hosts. Default "quorate0".
	Bridge string `json:"bridge"`
	// EtcdDisk is the size in MiB of a disk for etcd's data alone, one for each
	// host, so that it can be full. It needs loop devices. 0 leaves the data on
	// the machine's own disk.
	EtcdDisk int `json:"etcdDisk,omitempty"`
}

// Host is one booted or bootable host.
type Host struct {
	Name    string     `json:"name"`
	Role    Role       `json:"role"`
	Address netip.Addr `json:"address"`
	// Pods is the part of the cluster's pod range that is routed to this host.
	Pods netip.Prefix `json:"pods"`
}

// Places of the addresses inside Spec.Network, and how many hosts of a role
// fit between two of them.
const (
	gatewayOffset      = 1
	controlPlaneOffset = 10
	workerOffset       = 50
	vipOffset          = 100
	maxPerRole         = 40
)

// WithDefaults fills in what was left zero.
func (s Spec) WithDefaults() Spec {
	if s.ControlPlanes == 0 && s.Workers == 0 {
		s.ControlPlanes, s.Workers = 3, 1
	}
	if !s.Network.IsValid() {
		s.Network = netip.MustParsePrefix("10.177.0.0/24")
	}
	if !s.Pods.IsValid() {
		s.Pods = netip.MustParsePrefix("10.244.0.0/16")
	}
	s.Bridge = cmp.Or(s.Bridge, "quorate0")
	return s
}

// Validate returns every reason why hosts cannot be made from the Spec.
func (s Spec) Validate() error {
	s = s.WithDefaults()
	var errs []error
	if s.ControlPlanes < 1 || s.ControlPlanes > maxPerRole {
		errs = append(errs, fmt.Errorf("%d control planes: want 1 to %d", s.ControlPlanes, maxPerRole))
	}
	if s.Workers < 0 || s.Workers > maxPerRole {
		errs = append(errs, fmt.Errorf("%d workers: want 0 to %d", s.Workers, maxPerRole))
	}
	if !s.Network.Addr().Is4() || s.Network.Bits() > 24 || s.Network != s.Network.Masked() {
		errs = append(errs, fmt.Errorf("network %s: want an IPv4 range of at least /24 without host bits", s.Network))
	}
	if !s.Pods.Addr().Is4() || s.Pods.Bits() > 16 || s.Pods != s.Pods.Masked() {
		errs = append(errs, fmt.Errorf("pods %s: want an IPv4 range of at least /16 without host bits", s.Pods))
	}
	if s.Network.Overlaps(s.Pods) {
		errs = append(errs, fmt.Errorf("network %s and pods %s overlap", s.Network, s.Pods))
	}
	if s.EtcdDisk != 0 && s.EtcdDisk < minEtcdDisk {
		errs = append(errs, fmt.Errorf("a disk of %d MiB for etcd: want %d at least", s.EtcdDisk, minEtcdDisk))
	}
	if len(s.Bridge) > maxInterfaceName {
		errs = append(errs, fmt.Errorf("bridge %q: want at most %d characters", s.Bridge, maxInterfaceName))
	}
	return errors.Join(errs...)
}

// minEtcdDisk holds two of etcd's logs of 64 MiB and its database.
const minEtcdDisk = 256

// maxInterfaceName is the kernel's IFNAMSIZ less the terminating zero.
const maxInterfaceName = 15

// Hosts returns the control planes cp-1, cp-2 ... and the workers worker-1 ...,
// in this order.
func (s Spec) Hosts() []Host {
	s = s.WithDefaults()
	var hosts []Host
	add := func(role Role, prefix string, count, offset int) {
		for i := 1; i <= count; i++ {
			hosts = append(hosts, Host{
				Name:    fmt.Sprintf("%s-%d", prefix, i),
				Role:    role,
				Address: nth(s.Network.Addr(), offset+i),
				Pods:    netip.PrefixFrom(nth(s.Pods.Addr(), (len(hosts)+1)<<8), 24),
			})
		}
	}
	add(ControlPlane, "cp", s.ControlPlanes, controlPlaneOffset)
	add(Worker, "worker", s.Workers, workerOffset)
	return hosts
}

// Gateway is the machine's own address on the bridge.
func (s Spec) Gateway() netip.Addr { return nth(s.WithDefaults().Network.Addr(), gatewayOffset) }

// VIP is an address in the network that no host has.
func (s Spec) VIP() netip.Addr { return nth(s.WithDefaults().Network.Addr(), vipOffset) }

// nth counts from an IPv4 address.
func nth(a netip.Addr, n int) netip.Addr {
	b := a.As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += uint32(n)
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
