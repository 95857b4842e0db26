package quorate

import (
	"net/netip"
	"strconv"

	"github.com/quorate-dev/quorate/internal/syntax"
)

const (
	// The API server and kubeadm take service ranges of at most 20 host bits,
	// and kubeadm of at least 10 addresses, since the tenth is the DNS
	// service's (kubeadm's constants.MaximumBitsForServiceSubnet and
	// MinimumAddressesInServiceSubnet).
	maxServiceBits = 20
	minServiceBits = 4
	// The controller manager cuts a pod range into at most 2^16 node ranges
	// (pkg/controller/nodeipam/ipam/cidrset, clusterSubnetMaxDiff).
	maxPodBits = 16
)

// ranges checks the pod ranges, or the service ranges against the pods'.
func (v *validator) ranges(path string, ranges, pods []netip.Prefix) {
	services := path == "services"
	if services && dualStack(ranges) != dualStack(pods) {
		v.Refuse(path, "pods and services must both be single-stack or both be dual-stack: pods has %d, services %d", len(pods), len(ranges))
	}
	if k := v.c.Version; supported(k) && !k.Has(DualStackServices) && dualStack(ranges) {
		v.Refuse(path, "Kubernetes %s has no dual-stack Services as they are %s: set one range", k, DualStackServices.When())
	}
	for i, r := range ranges {
		at := index(path, i)
		if i == 2 {
			v.Refuse(at, "too many ranges: want one, or one of each family")
			return
		}
		if !rangeForm(&v.Problems, at, r) {
			continue
		}
		if i == 1 && ranges[0].IsValid() && is4(ranges[0]) == is4(r) {
			v.Refuse(at, "is %s like %s[0]: a dual-stack cluster has one range of each family", familyName(is4(r)), path)
			continue
		}
		if services {
			v.serviceSize(at, r)
			v.servicesAgainstPods(at, i, r, pods)
			continue
		}
		v.podSize(at, r)
	}
}

// rangeForm checks a range by itself.
func rangeForm(p *Problems, at string, r netip.Prefix) bool {
	switch {
	case !r.IsValid():
		p.Refuse(at, "is no range: want an address and a prefix length, as in 10.244.0.0/16")
	case r.Addr().Is4In6():
		p.Refuse(at, "%s is an IPv4 range in IPv6 form: write it as IPv4", r)
	case r != r.Masked():
		p.Refuse(at, "%s has bits set beyond its prefix length: did you mean %s?", r, r.Masked())
	case syntax.Unusable(r.Addr()) != "" || r.Addr().IsLoopback():
		p.Refuse(at, "%s is not a range of ordinary unicast addresses", r)
	default:
		return true
	}
	return false
}

func (v *validator) serviceSize(at string, r netip.Prefix) {
	switch hostBits := r.Addr().BitLen() - r.Bits(); {
	case hostBits > maxServiceBits:
		v.Refuse(at, "%s is too large: the API server takes /%d or longer", r, r.Addr().BitLen()-maxServiceBits)
	case hostBits < minServiceBits:
		v.Refuse(at, "%s is too small: kubeadm wants at least ten addresses, so /%d or shorter", r, r.Addr().BitLen()-minServiceBits)
	}
}

func (v *validator) servicesAgainstPods(at string, i int, r netip.Prefix, pods []netip.Prefix) {
	for j, p := range pods {
		if usable(p) && p.Overlaps(r) {
			v.Refuse(at, "%s overlaps pods[%d] %s", r, j, p)
		}
	}
	if i == 0 && usable(pods[0]) && is4(pods[0]) != is4(r) {
		v.Refuse(at, "is %s but pods[0] is %s: the first of both names the primary family", familyName(is4(r)), familyName(is4(pods[0])))
	}
}

// podSize checks that every node gets its share of a pod range.
func (v *validator) podSize(at string, r netip.Prefix) {
	args := v.c.Kubeadm.ControllerManagerArgs
	if args["allocate-node-cidrs"] == "false" {
		return
	}
	mask := nodeMask(args, is4(r), dualStack(v.c.Pods))
	switch bits := mask - r.Bits(); {
	case bits < 0 || bits < maxPodBits && 1<<bits < len(v.c.Nodes):
		v.Refuse(at, "%s is too small: each of the %d nodes takes a /%d of it", r, len(v.c.Nodes), mask)
	case bits > maxPodBits:
		v.Refuse(at, "%s is too large: the controller manager cuts it into /%d, of which it manages at most %d; want /%d or longer", r, mask, 1<<maxPodBits, mask-maxPodBits)
	}
}

// nodeMask is the prefix length of a node's pod range: the controller
// manager's defaults, or what its arguments say.
func nodeMask(args map[string]string, v4, dual bool) int {
	mask, flag := 64, "node-cidr-mask-size-ipv6"
	if v4 {
		mask, flag = 24, "node-cidr-mask-size-ipv4"
	}
	names := []string{flag}
	if !dual {
		names = append(names, "node-cidr-mask-size")
	}
	for _, name := range names {
		if n, err := strconv.Atoi(args[name]); err == nil {
			return n
		}
	}
	return mask
}

// inRanges refuses an address of the nodes' network that pods or services have.
func inRanges(p *Problems, c Cluster, at string, a netip.Addr) {
	c.eachRange(func(path string, r netip.Prefix) {
		if r.Contains(a) {
			p.Refuse(at, "%s lies in %s %s", a, path, r)
		}
	})
}

func (c Cluster) eachRange(visit func(path string, r netip.Prefix)) {
	for i, r := range c.Pods {
		if usable(r) {
			visit(index("pods", i), r)
		}
	}
	for i, r := range c.Services {
		if usable(r) {
			visit(index("services", i), r)
		}
	}
}

// usable reports whether a range is well enough formed to compare others to.
func usable(r netip.Prefix) bool { return r.IsValid() && r == r.Masked() && !r.Addr().Is4In6() }

func is4(r netip.Prefix) bool { return r.Addr().Is4() }

func dualStack(ranges []netip.Prefix) bool { return len(ranges) >= 2 }
