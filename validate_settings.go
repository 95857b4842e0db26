package quorate

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/internal/settings"
	"github.com/quorate-dev/quorate/internal/syntax"
)

// settings of the components hold for every host at once: refused is what can
// only suit one of them, and what contradicts the rest of the description. That
// a component has such a setting, and which follow from elsewhere, is package
// kubeadm's to say.
func (v *validator) settings() {
	k := v.c.Kubeadm
	for _, s := range []settingsOf{
		{v, "kube-apiserver", "kubeadm.apiServerArgs", settings.APIServerArgs},
		{v, "kube-controller-manager", "kubeadm.controllerManagerArgs", settings.ControllerManagerArgs},
		{v, "kube-scheduler", "kubeadm.schedulerArgs", settings.SchedulerArgs},
	} {
		args := map[string]map[string]string{
			"kube-apiserver": k.APIServerArgs, "kube-controller-manager": k.ControllerManagerArgs, "kube-scheduler": k.SchedulerArgs,
		}[s.component]
		for _, name := range slices.Sorted(maps.Keys(args)) {
			s.setting(key(s.at, name), name, args[name])
		}
	}
	settingsOf{v, "kubelet", "kubeadm.kubelet", settings.KubeletFields}.object("kubeadm.kubelet", "", k.Kubelet, 0)
	settingsOf{v, "kube-proxy", "kubeadm.kubeProxy", settings.KubeProxyFields}.object("kubeadm.kubeProxy", "", k.KubeProxy, 0)
}

// settingsOf goes over what is set for one component.
type settingsOf struct {
	*validator
	component, at string
	table         settings.Table
}

// object goes down to the values that are none of an object's or a list's.
func (s settingsOf) object(at, path string, fields map[string]any, depth int) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		s.field(key(at, name), strings.TrimPrefix(path+"."+name, "."), fields[name], depth)
	}
}

func (s settingsOf) field(at, path string, value any, depth int) {
	if depth > maxDepth {
		return // refused by its form
	}
	switch x := value.(type) {
	case nil:
	case map[string]any:
		s.object(at, path, x, depth+1)
	case []any:
		for i, item := range x {
			s.field(index(at, i), path+"[]", item, depth+1)
		}
	case []string:
		for i, item := range x {
			s.field(index(at, i), path+"[]", item, depth+1)
		}
	default:
		s.setting(at, path, fmt.Sprint(x))
	}
}

func (s settingsOf) setting(at, name, value string) {
	switch class := s.table.Class(name); class {
	case settings.PerHost:
		s.Refuse(at, "%q: it belongs to one host, and this setting holds for every one", value)
	case settings.ListenPublic, settings.ListenAny:
		s.listen(at, value, class == settings.ListenPublic)
	case settings.ListenAnyPort:
		s.listenPort(at, value)
	case settings.Port, settings.PortOrOff:
		s.port(at, value, class == settings.PortOrOff)
	case settings.ProbePort:
		s.probePort(at, value)
	case settings.InsecurePort:
		s.insecurePort(at, value)
	case settings.KubeletPort:
		if own := s.c.kubeletPort(); value != own {
			s.Refuse(at, "%q: kubelets serve at %s, %s: leave it out", value, own, key("kubeadm.kubelet", "port"))
		}
	case settings.NodePorts:
		s.nodePorts(at, value)
	case settings.OwnFile:
		if own := s.table.File(name); value != own {
			s.Refuse(at, "%q: what kubeadm writes, and Quorate renews, goes by %s: leave it out%s", value, own, instead[name])
		}
	case settings.InputFile:
		s.inputFile(at, value)
	case settings.OwnName:
		s.ownName(at, value)
	case settings.Controllers:
		s.controllers(at, value)
	case settings.Ends:
		s.Refuse(at, "%s exits when it has done that: leave it out", s.component)
	case settings.On, settings.Off:
		s.toggle(at, value, class == settings.On)
	case settings.ClusterDNS:
		s.clusterDNS(at, value)
	case settings.NodeRanges:
		s.nodeRange(at, value)
	case settings.ControlPlanes:
		if n := len(s.c.ControlPlanes()); value != strconv.Itoa(n) {
			s.Refuse(at, "%q: there are %d control planes, and so API servers: leave it out", value, n)
		}
	case settings.OneFamily:
		if dualStack(s.c.Pods) {
			s.Refuse(at, "pods is dual-stack, and the two families have masks of their own: set node-cidr-mask-size-ipv4 and node-cidr-mask-size-ipv6")
		}
	case settings.Plain, settings.Unknown:
		s.ofOneNode(at, value)
	}
}

// instead says what else an argument may have been meant for.
var instead = map[string]string{
	"tls-cert-file":        ", and set tls-sni-cert-key for names with a certificate of their own",
	"tls-private-key-file": ", and set tls-sni-cert-key for names with a certificate of their own",
	"client-ca-file":       "; for users of another authority set authentication-config or a proxy",
}

func (c Cluster) kubeletPort() string {
	if port := c.Kubeadm.Kubelet["port"]; port != nil {
		return fmt.Sprint(port)
	}
	return strconv.Itoa(kubeletPort)
}

// nodePorts checks the range of Services' ports.
func (s settingsOf) nodePorts(at, value string) {
	if _, _, ok := parsePortRange(value); !ok {
		s.Refuse(at, "%q is no range of ports: want %s, or leave it out", value, usualNodePorts)
	}
	refuseTaken(&s.Problems, at, s.taken[at])
}

// inputFile checks files that a component reads when it starts: its pod has those that
// kubeadm or a volume mounts, and what a patch mounts is not known.
func (s settingsOf) inputFile(at, value string) {
	if value == "" || s.c.Kubeadm.PatchesDir != "" {
		return
	}
	mounts, field := s.mounts()
	below := ", or keep it below " + hostpath.KubernetesPKI
	if !slices.Contains(mounts, hostpath.KubernetesPKI) {
		below = ""
	}
	named := false
	for file := range strings.FieldsFuncSeq(value, func(r rune) bool { return r == ',' || r == ':' }) {
		if !strings.HasPrefix(file, "/") {
			continue // a name for which a certificate is
		}
		named = true
		if !slices.ContainsFunc(mounts, func(m string) bool { return file == m || strings.HasPrefix(file, m+"/") }) {
			s.Refuse(at, "the pod of %s does not have the host's %s, and would not start: mount it by %s%s", s.component, file, field, below)
		}
	}
	if !named {
		s.Refuse(at, "%q is no absolute path of a file in the pod of %s", value, s.component)
	}
}

// mounts are what the component's pod has of the host's files, and the field that adds some.
func (s settingsOf) mounts() (paths []string, field string) {
	var volumes []Volume
	switch k := s.c.Kubeadm; s.component {
	case "kube-apiserver":
		paths, volumes, field = ownMounts, k.APIServerVolumes, "kubeadm.apiServerVolumes"
	case "kube-controller-manager":
		paths, volumes, field = append(slices.Clone(ownMounts), hostpath.ControllerManagerConf), k.ControllerManagerVolumes, "kubeadm.controllerManagerVolumes"
	default:
		paths, volumes, field = []string{hostpath.SchedulerConf}, k.SchedulerVolumes, "kubeadm.schedulerVolumes"
	}
	paths = slices.Clone(paths)
	for _, v := range volumes {
		paths = append(paths, v.MountPath)
	}
	return paths, field
}

// ownName checks a name by which all API servers say that they are found.
func (s settingsOf) ownName(at, value string) {
	a, err := netip.ParseAddr(value)
	switch known := slices.Concat([]string{s.c.Endpoint.Host}, s.c.Kubeadm.CertSANs); {
	case localName(value) || err == nil && (a.IsLoopback() || a.IsUnspecified()):
		s.Refuse(at, "%q is every host itself: set endpoint.host %s, or leave it out", value, s.c.Endpoint.Host)
	case s.ofOneNode(at, value), s.nodeNamed(at, value):
	case !slices.ContainsFunc(known, func(name string) bool { return matchesSAN(name, value) }):
		s.Warn(at, "%q is neither endpoint.host nor in kubeadm.certSANs: the API servers' certificates do not have it", value)
	}
}

// matchesSAN reports whether a certificate for a name, which may have a wildcard, is for a host.
func matchesSAN(name, host string) bool {
	if rest, wild := strings.CutPrefix(name, "*."); wild {
		_, of, _ := strings.Cut(host, ".")
		return strings.EqualFold(of, rest)
	}
	return strings.EqualFold(name, host)
}

// controllers checks that those run without which no node joins: tokens are signed for
// (bootstrapsigner), and kubelets' certificates approved and signed. Their longer names are
// there from 1.28 on.
func (s settingsOf) controllers(at, value string) {
	listed := strings.Split(value, ",")
	all := slices.Contains(listed, "*")
	for _, c := range []struct {
		names     []string
		byDefault bool
	}{
		{[]string{"bootstrapsigner", "bootstrap-signer-controller"}, false},
		{[]string{"csrapproving", "certificatesigningrequest-approving-controller"}, true},
		{[]string{"csrsigning", "certificatesigningrequest-signing-controller"}, true},
	} {
		on := all && c.byDefault
		for _, name := range c.names {
			if slices.Contains(listed, name) {
				on = true
			} else if slices.Contains(listed, "-"+name) {
				on = false
				break
			}
		}
		if !on {
			s.Refuse(at, "%q leaves out %s, without which no node joins: want *,bootstrapsigner,tokencleaner with what is to be added or left out", value, c.names[0])
		}
	}
}

// listen checks an address to listen on. Where it is for other hosts, loopback
// keeps those away.
func (s settingsOf) listen(at, value string, public bool) {
	a, err := netip.ParseAddr(value)
	want := "0.0.0.0 or ::"
	if !public {
		want += " or a loopback address"
	}
	primary := len(s.c.Pods) > 0 && s.c.Pods[0].Addr().Is6()
	switch {
	case err != nil:
		s.Refuse(at, "%q is no address: want %s, or leave it out", value, want)
	case a.IsUnspecified() && a.Is4() && primary && public:
		s.Refuse(at, "%s is IPv4 alone, but pods[0] is IPv6: want ::, or leave it out", a)
	case a.IsUnspecified(), a.IsLoopback() && !public:
	case a.IsLoopback():
		s.Refuse(at, "%s: no other host would reach %s: want %s, or leave it out", a, s.component, want)
	default:
		s.Refuse(at, "%s is at most one host's address%s, and %s of every host would listen on it: want %s, or leave it out", a, s.whose(a), s.component, want)
	}
}

// listenPort checks an address with a port, or without, to listen on.
func (s settingsOf) listenPort(at, value string) {
	host, port, err := net.SplitHostPort(value)
	if err != nil {
		host, port = value, ""
	}
	if host != "" {
		s.listen(at, host, false)
	}
	if port != "" {
		s.port(at, port, true)
	}
}

// port checks a port that another program of the host may have.
func (s settingsOf) port(at, value string, off bool) {
	n, err := strconv.Atoi(value)
	switch {
	case err == nil && n == 0 && off:
	case err == nil && n == 0 && s.component == "kubelet":
		s.Refuse(at, "0 turns it off, and kubeadm waits for the kubelet's answer there, the API server for its logs: want 1 to 65535, or leave it out")
	case err != nil || !syntax.IsPort(n):
		s.Refuse(at, "%q is no port: want 1 to 65535", value)
	default:
		refuseTaken(&s.Problems, at, s.taken[at])
	}
}

// probePort checks a port that kubeadm writes into a static pod's probes
// whatever the arguments say: the kubelet would restart the component for ever.
func (s settingsOf) probePort(at, value string) {
	if !s.c.Version.Has(SecureProbes) {
		s.port(at, value, true)
		return
	}
	own := Kubeadm{}.portUses(s.c.Version)
	if !slices.ContainsFunc(own, func(u portUse) bool { return u.path == at && strconv.Itoa(u.port) == value }) {
		s.Refuse(at, "%q: the probes that kubeadm writes ask %s at its default port, and would have it restarted: leave it out", value, s.component)
	}
}

// insecurePort checks a port without TLS, which the probes ask until SecureProbes.
func (s settingsOf) insecurePort(at, value string) {
	own := Kubeadm{}.portUses(s.c.Version)
	if i := slices.IndexFunc(own, func(u portUse) bool { return u.path == at && u.port > 0 }); i >= 0 && strconv.Itoa(own[i].port) != value {
		s.Refuse(at, "%q: the probes that kubeadm writes ask %s at %d, and would have it restarted: leave it out", value, s.component, own[i].port)
		return
	}
	s.port(at, value, true)
}

func (s settingsOf) toggle(at, value string, on bool) {
	if set, err := strconv.ParseBool(value); err == nil && set != on {
		s.Refuse(at, "%s: no cluster that kubeadm makes works with it: leave it out", value)
	}
}

// clusterDNS checks where pods look for names: a service, or a cache of the host
// at a link-local address, which every host can have.
func (s settingsOf) clusterDNS(at, value string) {
	a, err := netip.ParseAddr(value)
	if err != nil {
		s.Refuse(at, "%q is no address", value)
		return
	}
	if a.IsLinkLocalUnicast() {
		return
	}
	for _, r := range s.c.Services {
		if !usable(r) || !r.Contains(a) {
			continue
		}
		if a == r.Addr() || a == r.Addr().Next() {
			s.Refuse(at, "%s is no address for a DNS service: of %s the first is none's and the second the API's", a, r)
		} else if own := nth(r, dnsService); a != own {
			s.Warn(at, "%s is not where kubeadm puts the DNS service, %s: set the address of that service yourself", a, own)
		}
		return
	}
	s.Refuse(at, "%s lies outside services %s: no pod would find a name; leave it out, kubeadm sets it", a, joinRanges(s.c.Services))
}

// dnsService is which address of the services' range kubeadm assigns to DNS
// (constants.GetDNSIP).
const dnsService = 10

func nth(r netip.Prefix, n int) netip.Addr {
	a := r.Addr()
	for range n {
		a = a.Next()
	}
	return a
}

func joinRanges(ranges []netip.Prefix) string {
	texts := make([]string, len(ranges))
	for i, r := range ranges {
		texts[i] = r.String()
	}
	return strings.Join(texts, ", ")
}

// nodeRange checks a range that kube-proxy takes a node's addresses from for
// node ports.
func (s settingsOf) nodeRange(at, value string) {
	if value == "primary" {
		return
	}
	r, err := netip.ParsePrefix(value)
	if err != nil {
		s.Refuse(at, "%q is no range: want an address and a prefix length, as in 192.0.2.0/24", value)
		return
	}
	if r.IsSingleIP() && !r.Addr().IsLoopback() {
		s.Refuse(at, "%s is one host's address%s: no other host would answer at node ports; set the range of them all", r, s.whose(r.Addr()))
	}
}

// ofOneNode warns of a value that is, or has in a list, one node's address, or its name
// in a URL: in settings that may well name another host, but not a node that can go away.
func (s settingsOf) ofOneNode(at, value string) bool {
	const gone = ", and this setting holds for every host: it is gone when that node is"
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return strings.ContainsRune(",;# ", r) }) {
		_, rest, isURL := strings.Cut(word, "://")
		if isURL {
			word, _, _ = strings.Cut(rest, "/")
		}
		if h, _, err := net.SplitHostPort(word); err == nil {
			word = h
		}
		if a, err := netip.ParseAddr(word); err == nil {
			if whose := s.whose(a); whose != "" {
				s.Warn(at, "%s is one node's address%s"+gone, a, whose)
				return true
			}
		} else if isURL && s.nodeNamed(at, word) {
			return true
		}
	}
	return false
}

// nodeNamed warns of a node's name, with or without a domain.
func (s settingsOf) nodeNamed(at, host string) bool {
	i := slices.IndexFunc(s.c.Nodes, func(n Node) bool { return n.Name != "" && (n.Name == host || strings.HasPrefix(host, n.Name+".")) })
	if i >= 0 {
		s.Warn(at, "%s is one node's name, %s, and this setting holds for every host: it is gone when that node is", host, index("nodes", i)+".name")
	}
	return i >= 0
}

// whose names the node that has an address, as an aside.
func (s settingsOf) whose(a netip.Addr) string {
	for i, n := range s.c.Nodes {
		if j := slices.Index(n.Addresses, a); j >= 0 {
			return ", " + index(index("nodes", i)+".addresses", j)
		}
	}
	return ""
}
