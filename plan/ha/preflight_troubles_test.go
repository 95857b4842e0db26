package ha_test

import (
	"maps"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// hasFile is trouble of one host that has a file.
func hasFile(check plan.Check, severity quorate.Severity, host, path, text, found, do string, cluster ...func(*quorate.Cluster)) trouble {
	return trouble{check: check, severity: severity, hosts: []string{host}, found: found, do: do, cause: func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host(host), path, text)
	}, cluster: func(c *quorate.Cluster) {
		for _, change := range cluster {
			change(c)
		}
	}}
}

// says is trouble of one host on which a program answers something.
func says(check plan.Check, severity quorate.Severity, host string, program faketransport.Match, answer, found, do string, cluster ...func(*quorate.Cluster)) trouble {
	tr := hasFile(check, severity, host, "/nonexistent", "", found, do, cluster...)
	tr.cause = func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host(host).Handle(program, faketransport.Reply(answer))
	}
	return tr
}

// listening is a table of the kernel with one listener.
func listening(address string) string {
	return "  sl  local_address rem_address   st\n   0: " + address + " 00000000:0000 0A\n"
}

var (
	addresses = faketransport.Exact("ip", "-o", "addr", "show")
	balanced  = func(c *quorate.Cluster) { c.Endpoint.LoadBalancer = quorate.HAProxy }
	outside   = func(c *quorate.Cluster) { c.Endpoint = quorate.Endpoint{Host: "lb.example.org", External: true} }
	minor29   = func(c *quorate.Cluster) { c.Version = quorate.Version{Major: 1, Minor: 29} }
	minor12   = func(c *quorate.Cluster) { c.Version = quorate.Version{Major: 1, Minor: 16} }
	ownImages = func(c *quorate.Cluster) { c.Kubeadm.ImageRepository = "registry.example.org/k8s" }
	withCRIO  = func(c *quorate.Cluster) { c.Kubeadm.CRISocket = "unix:///run/crio/crio.sock" }
	ipv6      = func(c *quorate.Cluster) {
		c.Endpoint.Host, c.Endpoint.VIP.Subnet = "2001:db8::10", netip.MustParsePrefix("2001:db8::/64")
		c.Pods, c.Services = []netip.Prefix{netip.MustParsePrefix("fd00:1::/56")}, []netip.Prefix{netip.MustParsePrefix("fd00:2::/112")}
		for i := range c.Nodes {
			c.Nodes[i].Addresses = []netip.Addr{netip.MustParseAddr("2001:db8::1:" + string(rune('0'+i)))}
		}
	}
)

const goodProxy = "NO_PROXY=localhost,192.0.2.0/24,10.244.0.0/16,10.96.0.0/12\n"

// vipTroubles are about where the VIP is: the interface, its networks, several holders.
var vipTroubles = map[string]trouble{
	"VIP on another interface": says(preflight.VIPInterface, quorate.Refused, "cp-2", addresses,
		"2: eth0    inet 198.51.100.2/24 scope global eth0\n3: eth1    inet 192.0.2.12/24 scope global eth1\n", "eth0 does not carry the node's address, eth1 does", "endpoint.vip.interface"),
	"VIP on a bridge's port": says(preflight.VIPInterface, quorate.Refused, "cp-3", addresses,
		"3: br0    inet 192.0.2.13/24 scope global br0\n", "br0 does", "endpoint.vip.interface"),
	"VIP outside of a /32": says(preflight.VIPInterface, quorate.Refused, "cp-1", addresses,
		"2: eth0    inet 192.0.2.11/32 scope global eth0\n", "in none of the networks of eth0 (192.0.2.11/32)", "netmask"),
	"VIP outside of a small network": says(preflight.VIPInterface, quorate.Refused, "cp-3", addresses,
		"2: eth0    inet 192.0.2.13/30 scope global eth0\n", "192.0.2.12/30", "netmask"),
	"VIP of a point-to-point link": says(preflight.VIPInterface, quorate.Refused, "cp-2", addresses,
		"2: eth0    inet 192.0.2.12 peer 192.0.2.1/32 scope global eth0\n", "192.0.2.12/32", "netmask"),
	"VIP held on another interface": says(preflight.VIPInterface, quorate.Refused, "cp-1", addresses,
		"2: eth0    inet 192.0.2.11/24 scope global eth0\n3: dummy0    inet 192.0.2.10/32 scope global dummy0\n", "the VIP 192.0.2.10 is on dummy0", "ip addr del"),
	"VIP of IPv6 in no network": says(preflight.VIPInterface, quorate.Refused, "cp-1", addresses,
		"2: eth0    inet6 2001:db8::1:0/112 scope global \n2: eth0    inet6 fe80::1/64 scope link \n", "in none of the networks of eth0", "netmask", ipv6),
	"an interface without a carrier": says(preflight.Interface, quorate.Refused, "cp-2", faketransport.Prefix("ip", "link", "show", "dev"),
		"2: eth0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc mq state DOWN mode DEFAULT group default qlen 1000\n", "eth0 is down", "ip link set up"),
	"a bond's interface that is not set up": says(preflight.Interface, quorate.Refused, "cp-1", faketransport.Prefix("ip", "link", "show", "dev"),
		"4: eth0@bond0: <BROADCAST,MULTICAST,UP,M-DOWN> mtu 1500 qdisc noqueue state LOWERLAYERDOWN\n", "eth0 is down", "ip link set up"),
	"an alternative name": says(preflight.Interface, quorate.Refused, "cp-3", faketransport.Prefix("ip", "link", "show", "dev"),
		"2: enp1s0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 state UP mode DEFAULT\n    altname eth0\n", "eth0 is an alternative name of the interface enp1s0", "to enp1s0"),
	"a worker alone": {preflight.VIPHolders, quorate.Refused, []string{"worker-1"}, "has the VIP 192.0.2.10, and is no control plane", "ip addr del", holding("worker-1"), nil},
	"a worker that answers at the VIP": {preflight.VIPHolders, quorate.Refused, []string{"worker-1"}, "is no control plane", "describe it as a control plane", func(t *testing.T, hosts *hatest.Cluster) {
		holding("worker-1")(t, hosts)
		for _, name := range []string{"cp-1", "cp-2", "cp-3"} {
			curlSays(hosts.Host(name), "192.0.2.10:6443", 7, "* connect to 192.0.2.10 port 6443 failed: Connection refused\nconnect=0.000000\n")
		}
	}, nil},
	"a worker's other interface": {preflight.VIPHolders, quorate.Refused, []string{"worker-1"}, "is no control plane", "ip addr del", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("worker-1").Handle(addresses, faketransport.Reply("2: eth0    inet 192.0.2.14/24 scope global eth0\n5: br-lan    inet 192.0.2.10/24 scope global br-lan\n"))
	}, nil},
	"two holders":           {preflight.VIPHolders, quorate.Refused, []string{"cp-1", "cp-3"}, "all have the VIP 192.0.2.10", "protocol 112", holding("cp-1", "cp-3"), nil},
	"three holders":         {preflight.VIPHolders, quorate.Refused, []string{"cp-1", "cp-2", "cp-3"}, "all have the VIP", "protocol 112", holding("cp-1", "cp-2", "cp-3"), nil},
	"a holder and a worker": {preflight.VIPHolders, quorate.Refused, []string{"cp-2", "worker-1"}, "all have the VIP", "ip addr del", holding("cp-2", "worker-1"), nil},
	"two holders with other masks": {preflight.VIPHolders, quorate.Refused, []string{"cp-1", "cp-2"}, "all have the VIP", "one interface", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-1").Handle(addresses, faketransport.Reply("2: eth0    inet 192.0.2.11/24 scope global eth0\n2: eth0    inet 192.0.2.10/24 scope global secondary eth0\n"))
		hosts.Host("cp-2").Handle(addresses, faketransport.Reply("2: eth0    inet 192.0.2.12/24 scope global eth0\n2: eth0    inet 192.0.2.10/32 scope global eth0\n"))
	}, nil},
}

// deaf makes a host not hear some others' VRRP.
func deaf(names map[string][]string) func(*testing.T, *hatest.Cluster) {
	return func(_ *testing.T, hosts *hatest.Cluster) {
		for name, but := range names {
			hearing(hosts.Host(name), hafixture.Three(), append(but, name)...)
		}
	}
}

// vrrpTroubles are about protocol 112 between control planes.
var vrrpTroubles = map[string]trouble{
	"VRRP dropped one way":       {preflight.VRRP, quorate.Refused, []string{"cp-1", "cp-2"}, "does not get from cp-1 to cp-2", "docs/hosts.md", deaf(map[string][]string{"cp-2": {"cp-1"}}), nil},
	"VRRP dropped the other way": {preflight.VRRP, quorate.Refused, []string{"cp-1", "cp-3"}, "does not get from cp-3 to cp-1", "firewalls", deaf(map[string][]string{"cp-1": {"cp-3"}}), nil},
	"VRRP dropped between two":   {preflight.VRRP, quorate.Refused, []string{"cp-2", "cp-3"}, "does not get between cp-2 and cp-3", "firewalls", deaf(map[string][]string{"cp-2": {"cp-3"}, "cp-3": {"cp-2"}}), nil},
	"VRRP dropped at one host":   {preflight.VRRP, quorate.Refused, []string{"cp-1", "cp-2", "cp-1", "cp-3"}, "to cp-1", "firewalls", deaf(map[string][]string{"cp-1": {"cp-2", "cp-3"}}), nil},
	"VRRP to the group dropped":  {preflight.VRRP, quorate.Refused, []string{"cp-1", "cp-2"}, "does not get from cp-2 to cp-1", "firewalls", deaf(map[string][]string{"cp-1": {"cp-2"}}), func(c *quorate.Cluster) { c.Endpoint.VIP.Multicast = true }},
	"no Python": {preflight.VRRP, quorate.Unchecked, []string{"cp-2"}, "not checked: the host has no Python or Perl", "install python3", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-2").Handle(faketransport.Prefix("python3"), faketransport.Fail(127, ""))
	}, nil},
	"no raw sockets": {preflight.VRRP, quorate.Unchecked, []string{"cp-1", "cp-3"}, "may open no raw socket", "protocol 112", func(_ *testing.T, hosts *hatest.Cluster) {
		for _, name := range []string{"cp-1", "cp-3"} {
			hosts.Host(name).Handle(faketransport.Prefix("python3"), faketransport.Fail(1, "PermissionError: [Errno 1] Operation not permitted\n"))
		}
	}, nil},
}

// holding makes hosts have the VIP.
func holding(names ...string) func(*testing.T, *hatest.Cluster) {
	return func(_ *testing.T, hosts *hatest.Cluster) {
		for _, name := range names {
			n, _ := hafixture.Three().Node(name)
			hosts.Host(name).Handle(addresses, faketransport.Reply("2: eth0    inet "+n.Address().String()+"/24 scope global eth0\n2: eth0    inet 192.0.2.10/32 scope global eth0\n"))
		}
	}
}

// portTroubles are ports that are taken, and paths that are blocked.
var portTroubles = map[string]trouble{
	"haproxy's port":                                  hasFile(preflight.Port, quorate.Refused, "cp-1", "/proc/net/tcp", listening("0100007F:20FB"), "127.0.0.1:8443 is in use, which haproxy needs", "sport = :8443", balanced),
	"haproxy's port elsewhere described":              hasFile(preflight.Port, quorate.Refused, "cp-2", "/proc/net/tcp", listening("0100007F:1F90"), "127.0.0.1:8080 is in use, which haproxy needs", "8080", balanced, func(c *quorate.Cluster) { c.Endpoint.Port = 8080 }),
	"etcd's metrics":                                  hasFile(preflight.Port, quorate.Refused, "cp-3", "/proc/net/tcp", listening("0100007F:094D"), "127.0.0.1:2381 is in use, which etcd's metrics", "2381"),
	"the kubelet":                                     hasFile(preflight.Port, quorate.Refused, "worker-1", "/proc/net/tcp", listening("0100007F:280A"), "10250", "10250"),
	"the kubelet's port for reading":                  hasFile(preflight.Port, quorate.Refused, "worker-1", "/proc/net/tcp", listening("00000000:280F"), "10255 is in use, which the kubelet's port for reading", "10255", func(c *quorate.Cluster) { c.Kubeadm.Kubelet = map[string]any{"readOnlyPort": 10255} }),
	"the kubelet's health":                            hasFile(preflight.Port, quorate.Refused, "worker-1", "/proc/net/tcp", listening("0100007F:2808"), "127.0.0.1:10248 is in use, which the kubelet's health", "10248"),
	"kube-proxy's health":                             hasFile(preflight.Port, quorate.Refused, "cp-1", "/proc/net/tcp6", listening("00000000000000000000000000000000:2810"), "[::]:10256 is in use, which kube-proxy's health", "10256"),
	"kube-proxy's metrics":                            hasFile(preflight.Port, quorate.Refused, "cp-2", "/proc/net/tcp", listening("0100007F:2809"), "10249", "10249"),
	"the controller manager":                          hasFile(preflight.Port, quorate.Refused, "cp-2", "/proc/net/tcp", listening("0100007F:2811"), "127.0.0.1:10257 is in use, which the controller manager", "10257"),
	"the scheduler":                                   hasFile(preflight.Port, quorate.Refused, "cp-3", "/proc/net/tcp", listening("0100007F:2813"), "10259", "10259"),
	"the scheduler of 1.16":                           hasFile(preflight.Port, quorate.Refused, "cp-3", "/proc/net/tcp", listening("0100007F:280B"), "10251", "10251", minor12),
	"the way to haproxy is blocked":                   blocked("worker-1", "cp-2", "192.0.2.12:8443", "worker-1 does not get through to cp-2 on TCP 8443", balanced),
	"the way to a worker's kubelet is blocked":        blocked("cp-1", "worker-1", "192.0.2.14:10250", "cp-1 does not get through to worker-1 on TCP 10250"),
	"the way to a control plane's kubelet is blocked": blocked("cp-3", "cp-1", "192.0.2.11:10250", "on TCP 10250"),
	"the way to the API is blocked":                   blocked("worker-1", "cp-1", "192.0.2.11:6443", "on TCP 6443"),
	"the way behind haproxy is blocked":               blocked("cp-2", "cp-1", "192.0.2.11:6443", "on TCP 6443", balanced),
}

func blocked(from, to, target, found string, cluster ...func(*quorate.Cluster)) trouble {
	tr := hasFile(preflight.Path, quorate.Refused, from, "/nonexistent", "", found, "firewalls", cluster...)
	tr.hosts = []string{from, to}
	tr.cause = func(_ *testing.T, hosts *hatest.Cluster) { curlSays(hosts.Host(from), target, 28, curlTimesOut) }
	return tr
}

// softwareTroubles are of runtimes, leftovers and the system around them.
var softwareTroubles = map[string]trouble{
	"CRI disabled by Docker's packages": says(preflight.CRIPlugin, quorate.Refused, "cp-2", faketransport.Prefix("containerd"), "disabled_plugins = [\"cri\"]\nSystemdCgroup = true\n", "plugin cri", "disabled_plugins"),
	"CRI disabled by its long name":     says(preflight.CRIPlugin, quorate.Refused, "worker-1", faketransport.Prefix("containerd"), "disabled_plugins = [\"io.containerd.snapshotter.v1.aufs\", \"io.containerd.grpc.v1.cri\"]\nSystemdCgroup = true\n", "io.containerd.grpc.v1.cri", "restart containerd"),
	"CRI disabled in version 3":         says(preflight.CRIPlugin, quorate.Refused, "cp-1", faketransport.Prefix("containerd"), "disabled_plugins = ['io.containerd.cri.v1.runtime']\nSystemdCgroup = true\n", "io.containerd.cri.v1.runtime", "restart containerd"),
	"CRI's images disabled":             says(preflight.CRIPlugin, quorate.Refused, "cp-3", faketransport.Prefix("containerd"), "  disabled_plugins=['io.containerd.cri.v1.images']\nSystemdCgroup = true\n", "io.containerd.cri.v1.images", "restart containerd"),

	"CRI disabled over many lines": says(preflight.CRIPlugin, quorate.Refused, "cp-1", faketransport.Prefix("containerd"), "version = 2\ndisabled_plugins = [\n  \"io.containerd.snapshotter.v1.aufs\",\n  \"io.containerd.grpc.v1.cri\", # no\n]\nSystemdCgroup = true\n", "io.containerd.grpc.v1.cri", "restart containerd"),
	"CRI disabled by an imported file": {preflight.CRIPlugin, quorate.Refused, []string{"cp-3"}, "plugin cri", "disabled_plugins", func(t *testing.T, hosts *hatest.Cluster) {
		h := hosts.Host("cp-3")
		h.Handle(faketransport.Prefix("containerd"), faketransport.Fail(1, "No help topic for 'dump'\n"))
		seed(t, h, "/etc/containerd/config.toml", "imports = [\"/etc/containerd/conf.d/*.toml\"]\n[plugins.cri.containerd.default_runtime.options]\nSystemdCgroup = true\n")
		seed(t, h, "/etc/containerd/conf.d/docker.toml", "disabled_plugins = [\n  \"cri\"\n]\n")
	}, nil},
	"CRI disabled in Flatcar's file": {preflight.CRIPlugin, quorate.Refused, []string{"worker-1"}, "io.containerd.grpc.v1.cri", "disabled_plugins", func(_ *testing.T, hosts *hatest.Cluster) {
		h := hosts.Host("worker-1")
		h.Handle(faketransport.Prefix("systemctl", "show"), faketransport.Reply("ExecStart={ path=/usr/bin/containerd ; argv[]=/usr/bin/containerd --config ${CONTAINERD_CONFIG} ; }\nEnvironment=CONTAINERD_CONFIG=/usr/share/containerd/config.toml\n"))
		h.Handle(faketransport.Prefix("containerd", "--config", "/usr/share/containerd/config.toml"), faketransport.Reply("disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\nSystemdCgroup = true\n"))
	}, nil},

	"sandbox image of the public registry": says(preflight.SandboxImage, quorate.Warned, "cp-2", faketransport.Prefix("containerd"), "    sandbox_image = \"registry.k8s.io/pause:3.8\"\nSystemdCgroup = true\n", "registry.k8s.io/pause:3.8, not from registry.example.org/k8s", "sandbox_image", ownImages),
	"sandbox image of a mirror":            says(preflight.SandboxImage, quorate.Warned, "worker-1", faketransport.Prefix("containerd"), "    sandbox_image = \"mirror.example.org:5000/pause:3.8\"\nSystemdCgroup = true\n", "mirror.example.org:5000/pause:3.8", "sandbox_image"),
	"sandbox image of containerd 2":        says(preflight.SandboxImage, quorate.Warned, "cp-1", faketransport.Prefix("containerd"), "      sandbox = 'registry.k8s.io/pause:3.10'\nSystemdCgroup = true\n", "registry.k8s.io/pause:3.10", "pinned_images.sandbox", ownImages),
	"sandbox image of CRI-O": {preflight.SandboxImage, quorate.Warned, []string{"cp-3"}, "quay.io/example/pause:1", "pause_image", func(_ *testing.T, hosts *hatest.Cluster) {
		for host, image := range map[string]string{"cp-1": "registry.k8s.io/pause:3.10", "cp-2": "k8s.gcr.io/pause:3.6", "cp-3": "quay.io/example/pause:1", "worker-1": "registry.k8s.io/pause:3.9"} {
			hosts.Host(host).Handle(faketransport.Prefix("crio"), faketransport.Reply("pause_image = \""+image+"\"\ncgroup_manager = \"systemd\"\n"))
		}
	}, withCRIO},

	"a later sysctl of a package": hasFile(preflight.Sysctl, quorate.Warned, "cp-3", "/usr/lib/sysctl.d/99-zz-hardening.conf", "-net.ipv4.conf.all.forwarding = 0\n", "/usr/lib/sysctl.d/99-zz-hardening.conf sets net.ipv4.ip_forward = 0", "next boot"),
	"swap at the next boot":       hasFile(preflight.Swap, quorate.Warned, "cp-1", "/etc/fstab", "/swap.img none swap sw 0 0\n", "swap comes back at the next boot (/swap.img)", "/etc/fstab"),
	"a worker of another cluster": hasFile(preflight.Leftovers, quorate.Refused, "worker-1", "/etc/kubernetes/pki/ca.crt", "another's\n", "/etc/kubernetes/pki/ca.crt", "kubeadm reset"),

	"flannel left":     hasFile(preflight.CNI, quorate.Warned, "cp-1", "/etc/cni/net.d/10-flannel.conflist", "{}", "/etc/cni/net.d/10-flannel.conflist", "first file by name"),
	"calico left":      hasFile(preflight.CNI, quorate.Warned, "worker-1", "/etc/cni/net.d/10-calico.conflist", "{}", "10-calico.conflist", "remove it"),
	"podman's bridge":  hasFile(preflight.CNI, quorate.Warned, "cp-2", "/etc/cni/net.d/87-podman-bridge.conflist", "{}", "87-podman-bridge.conflist", "remove it"),
	"an old bridge":    hasFile(preflight.CNI, quorate.Warned, "cp-3", "/etc/cni/net.d/bridge.conf", "{}", "bridge.conf", "remove it"),
	"a network's JSON": hasFile(preflight.CNI, quorate.Warned, "cp-3", "/etc/cni/net.d/00-multus.json", "{}", "00-multus.json", "remove it"),

	"SELinux against haproxy":              selinux("cp-1", quorate.Refused, "haproxy_connect_any", "0 0\n", "haproxy use the API's ports", balanced),
	"SELinux against haproxy until booted": selinux("cp-3", quorate.Refused, "haproxy_connect_any", "0 1\n", "haproxy use the API's ports", balanced),
	"SELinux against haproxy on its port":  selinux("cp-2", quorate.Refused, "haproxy_connect_any", "0 0\n", "setsebool", balanced, func(c *quorate.Cluster) { c.Endpoint.Port = 7443 }),
	"SELinux against keepalived":           selinux("cp-2", quorate.Warned, "keepalived_connect_any", "0 0\n", "keepalived's check"),

	"a proxy in /etc/environment":                  hasFile(preflight.Proxy, quorate.Warned, "cp-1", "/etc/environment", "HTTPS_PROXY=http://user:s3cret@192.0.2.9:3128\n", "/etc/environment sets HTTPS_PROXY, and NO_PROXY there lacks the endpoint 192.0.2.10, cp-1 192.0.2.11", "NO_PROXY"),
	"a proxy for pods":                             hasFile(preflight.Proxy, quorate.Warned, "cp-2", "/etc/environment", "http_proxy=http://192.0.2.9:3128\nno_proxy=192.0.2.0/24,10.96.0.0/12\n", "lacks pods 10.244.0.0/16", "ranges"),
	"a proxy for some services":                    hasFile(preflight.Proxy, quorate.Warned, "cp-3", "/etc/systemd/system/kubelet.service.d/proxy.conf", "[Service]\nEnvironment=\"HTTPS_PROXY=http://192.0.2.9\" \"NO_PROXY=192.0.2.0/24,10.244.0.0/16,10.96.0.0/16\"\n", "kubelet.service sets HTTPS_PROXY, and NO_PROXY there lacks services 10.96.0.0/12", "NO_PROXY"),
	"a proxy for the VIP":                          hasFile(preflight.Proxy, quorate.Warned, "worker-1", "/etc/systemd/system/containerd.service.d/http-proxy.conf", "[Service]\nEnvironment=HTTP_PROXY=http://192.0.2.9\nEnvironment=NO_PROXY=192.0.2.11,192.0.2.12,192.0.2.13,192.0.2.14,10.0.0.0/8\n", "containerd.service sets HTTP_PROXY, and NO_PROXY there lacks the endpoint 192.0.2.10", "restart"),
	"a proxy for all units":                        hasFile(preflight.Proxy, quorate.Warned, "cp-1", "/etc/systemd/system.conf", "[Manager]\n#DefaultEnvironment=HTTP_PROXY=x NO_PROXY=*\nDefaultEnvironment=HTTP_PROXY=http://192.0.2.9\n", "systemd's DefaultEnvironment", "NO_PROXY"),
	"a proxy in Debian's arguments of the kubelet": hasFile(preflight.Proxy, quorate.Warned, "cp-2", "/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--v=2\nHTTPS_PROXY=http://192.0.2.9\n", "kubelet.service sets HTTPS_PROXY, and NO_PROXY there lacks the endpoint", "NO_PROXY"),
	"a proxy in RHEL's arguments of the kubelet":   hasFile(preflight.Proxy, quorate.Warned, "worker-1", "/etc/sysconfig/kubelet", "HTTP_PROXY=http://192.0.2.9\nNO_PROXY=192.0.2.0/24\n", "lacks pods 10.244.0.0/16, services 10.96.0.0/12", "NO_PROXY"),
	"a proxy in a package's drop-in":               hasFile(preflight.Proxy, quorate.Warned, "cp-3", "/usr/lib/systemd/system/containerd.service.d/50-proxy.conf", "[Service]\nEnvironment=HTTP_PROXY=http://192.0.2.9\n", "containerd.service sets HTTP_PROXY", "restart"),
	"a proxy for all units until the next boot":    hasFile(preflight.Proxy, quorate.Warned, "cp-1", "/run/systemd/system.conf.d/10.conf", "[Manager]\nDefaultEnvironment=\"HTTPS_PROXY=http://192.0.2.9\"\n", "systemd's DefaultEnvironment sets HTTPS_PROXY", "NO_PROXY"),
	"a proxy in a file that a unit names": {preflight.Proxy, quorate.Warned, []string{"cp-2"}, "containerd.service sets HTTPS_PROXY", "NO_PROXY", func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host("cp-2"), "/etc/systemd/system/containerd.service.d/env.conf", "[Service]\nEnvironmentFile=-/etc/proxy.env\n")
		seed(t, hosts.Host("cp-2"), "/etc/proxy.env", "https_proxy=http://192.0.2.9\n")
	}, nil},
	"a proxy for the endpoint's name": hasFile(preflight.Proxy, quorate.Warned, "cp-1", "/etc/environment", "https_proxy=http://192.0.2.9\n"+strings.ToLower("NO_PROXY=.example.com,192.0.2.0/24,10.244.0.0/16,10.96.0.0/12\n"), "lacks the endpoint lb.example.org", "NO_PROXY", outside),

	"br_netfilter not loaded":      bridge("cp-2", "", "br_netfilter is not loaded", "modprobe", minor29),
	"bridged packets pass":         bridge("worker-1", "0\n", "bridge-nf-call-iptables is not 1", "sysctl", minor29),
	"bridged packets pass in 1.16": bridge("cp-1", "0\n", "bridge-nf-call-iptables is not 1", "sysctl", minor12),
	"bridged packets of IPv6 pass": func() trouble {
		tr := hasFile(preflight.Bridge, quorate.Refused, "cp-3", "/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0\n", "bridge-nf-call-ip6tables", "sysctl", minor29, ipv6)
		return tr
	}(),

	"the endpoint is another host's on two": {preflight.Endpoint, quorate.Warned, []string{"cp-1", "cp-3"}, "lb.example.org is 198.51.100.10 on the first host and 203.0.113.7 on the second", "DNS", func(_ *testing.T, hosts *hatest.Cluster) {
		for host, at := range map[string]string{"cp-1": "198.51.100.10", "cp-2": "198.51.100.10", "cp-3": "203.0.113.7", "worker-1": "198.51.100.10"} {
			hosts.Host(host).Handle(faketransport.Prefix("getent"), faketransport.Reply(at+" STREAM lb\n"))
		}
	}, outside},
	"the endpoint does not resolve":        says(preflight.Endpoint, quorate.Refused, "worker-1", faketransport.Prefix("getent"), "", "lb.example.org does not resolve", "DNS", outside),
	"the endpoint is the host itself":      says(preflight.Endpoint, quorate.Refused, "cp-1", faketransport.Prefix("getent"), "127.0.1.1 STREAM lb.example.org\n127.0.1.1 DGRAM\n", "resolves to 127.0.1.1", "/etc/hosts", outside),
	"the endpoint is the IPv6 host itself": says(preflight.Endpoint, quorate.Refused, "cp-2", faketransport.Prefix("getent"), "::1 STREAM lb.example.org\n198.51.100.10 STREAM\n", "resolves to ::1", "/etc/hosts", outside),
	"no route to the endpoint": {preflight.Endpoint, quorate.Refused, []string{"cp-3"}, "no route to lb.example.org (198.51.100.10)", "route", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-3").Handle(faketransport.Prefix("ip", "route", "get"), faketransport.Fail(2, "RTNETLINK answers: Network is unreachable\n"))
	}, outside},
	"no route to the endpoint's address": {preflight.Endpoint, quorate.Refused, []string{"cp-1"}, "no route to 198.51.100.77", "route", func(_ *testing.T, hosts *hatest.Cluster) {
		hosts.Host("cp-1").Handle(faketransport.Prefix("ip", "route", "get"), faketransport.Fail(2, "RTNETLINK answers: Network is unreachable\n"))
	}, func(c *quorate.Cluster) { c.Endpoint = quorate.Endpoint{Host: "198.51.100.77", External: true} }},

	"xonsh":      hasFile(preflight.LoginShell, quorate.Warned, "cp-1", "/etc/passwd", "daemon:x:1:1::/:/usr/sbin/nologin\nroot:x:0:0:root:/root:/usr/bin/xonsh\n", "/usr/bin/xonsh", "chsh"),
	"nushell":    hasFile(preflight.LoginShell, quorate.Warned, "cp-2", "/etc/passwd", "root:x:0:0:root:/root:/usr/bin/nu\n", "/usr/bin/nu", "chsh"),
	"PowerShell": hasFile(preflight.LoginShell, quorate.Warned, "cp-3", "/etc/passwd", "root:x:0:0:root:/root:/usr/bin/pwsh\n", "/usr/bin/pwsh", "chsh"),
	"a script":   hasFile(preflight.LoginShell, quorate.Warned, "worker-1", "/etc/passwd", "root:x:0:0:root:/root:/usr/local/bin/menu\n", "/usr/local/bin/menu", "chsh"),

	"secure_path without /usr/local/bin": hidden("cp-1", "/usr/local/bin/crictl", "/usr/sbin:/usr/bin:/sbin:/bin", "/usr/local/bin/crio"),
	"secure_path without /opt/bin":       hidden("cp-2", "", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "/opt/bin/crio"),
	"PATH without sbin":                  hidden("cp-3", "", "/usr/local/bin:/usr/bin:/bin", "/usr/sbin/crio"),
	"PATH of a user":                     hidden("worker-1", "", "/usr/bin:/bin:/usr/games", "/usr/local/sbin/crio"),
}

func selinux(host string, severity quorate.Severity, boolean, state, found string, cluster ...func(*quorate.Cluster)) trouble {
	tr := hasFile(preflight.SELinux, severity, host, "", "", "SELinux is enforcing", "setsebool -P "+boolean+" 1", cluster...)
	if found != "setsebool" {
		tr.found = found
	}
	tr.cause = func(t *testing.T, hosts *hatest.Cluster) {
		seed(t, hosts.Host(host), "/sys/fs/selinux/enforce", "1")
		seed(t, hosts.Host(host), "/sys/fs/selinux/booleans/"+boolean, state)
	}
	return tr
}

func bridge(host, state, found, do string, cluster ...func(*quorate.Cluster)) trouble {
	tr := hasFile(preflight.Bridge, quorate.Refused, host, "/proc/sys/net/bridge/bridge-nf-call-iptables", state, found, do, cluster...)
	if state == "" {
		tr.cause = func(_ *testing.T, hosts *hatest.Cluster) { hosts.Host(host).Delete("/proc/sys/net/bridge") }
	}
	return tr
}

func hidden(host, other, path, program string) trouble {
	tr := hasFile(preflight.SearchPath, quorate.Refused, host, program, "x", program, "secure_path")
	tr.cause = func(t *testing.T, hosts *hatest.Cluster) {
		hosts.Host(host).SetPath(path)
		seed(t, hosts.Host(host), program, "x")
		if other != "" {
			seed(t, hosts.Host(host), other, "not looked for")
		}
	}
	return tr
}

// allTroubles are those of all tables.
func allTroubles(t *testing.T) map[string]trouble {
	t.Helper()
	all := maps.Clone(troubles)
	for _, more := range []map[string]trouble{vipTroubles, vrrpTroubles, portTroubles, softwareTroubles} {
		for name, tr := range more {
			require.NotContains(t, all, name)
			all[name] = tr
		}
	}
	return all
}

// What looks like trouble and is none has no finding.
func TestPreflightOfHostsThatAreFine(t *testing.T) {
	for name, fine := range tier.Samples(map[string]struct {
		cluster func(*quorate.Cluster)
		cause   func(t *testing.T, h *faketransport.Host)
	}{
		"a proxy that spares the cluster": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/environment", "HTTPS_PROXY=http://192.0.2.9\n"+goodProxy)
			seed(t, h, "/etc/systemd/system/containerd.service.d/10.conf", "[Service]\nEnvironment=\"HTTPS_PROXY=http://192.0.2.9\"\n")
			seed(t, h, "/etc/systemd/system/containerd.service.d/20.conf", "[Service]\nEnvironment=\""+strings.TrimSpace(goodProxy)+"\"\n")
		}},
		"a proxy in a drop-in that another takes the place of": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/usr/lib/systemd/system/kubelet.service.d/proxy.conf", "[Service]\nEnvironment=HTTPS_PROXY=http://192.0.2.9\n")
			seed(t, h, "/etc/systemd/system/kubelet.service.d/proxy.conf", "[Service]\n")
		}},
		"a proxy of a unit, spared by systemd's own": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/default/kubelet", "HTTPS_PROXY=http://192.0.2.9\n")
			seed(t, h, "/etc/systemd/system.conf.d/no.conf", "[Manager]\nDefaultEnvironment=\""+strings.TrimSpace(goodProxy)+"\"\n")
		}},
		"no proxy in the kubelet's arguments": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--node-ip=192.0.2.12\n")
			seed(t, h, "/etc/sysconfig/kubelet", "# HTTPS_PROXY=http://192.0.2.9\nKUBELET_EXTRA_ARGS=\n")
		}},
		"plugins of containerd that are disabled and not needed": {nil, func(_ *testing.T, h *faketransport.Host) {
			h.Handle(faketransport.Prefix("containerd"), faketransport.Reply("disabled_plugins = [\n  \"io.containerd.snapshotter.v1.aufs\",\n  # \"io.containerd.grpc.v1.cri\",\n]\nSystemdCgroup = true\n"))
		}},
		"an earlier sysctl of a package, and swap that is mounted by hand": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/usr/lib/sysctl.d/50-default.conf", "net.ipv4.ip_forward = 0\n")
			seed(t, h, "/etc/fstab", "/dev/sdb none swap noauto 0 0\n")
		}},
		"a proxy that spares everything": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/environment", "HTTPS_PROXY=http://192.0.2.9\nNO_PROXY=*\n")
		}},
		"a proxy that spares the endpoint's domain": {outside, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/environment", "HTTPS_PROXY=http://192.0.2.9\nNO_PROXY=example.org,192.0.2.0/24,10.0.0.0/8\n")
		}},
		"SELinux with booleans": {balanced, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/sys/fs/selinux/enforce", "1")
			seed(t, h, "/sys/fs/selinux/booleans/haproxy_connect_any", "1 1")
			seed(t, h, "/sys/fs/selinux/booleans/keepalived_connect_any", "1 1")
		}},
		"SELinux that permits": {balanced, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/sys/fs/selinux/enforce", "0")
			seed(t, h, "/sys/fs/selinux/booleans/haproxy_connect_any", "0 0")
		}},
		"a loopback's CNI":        {nil, func(t *testing.T, h *faketransport.Host) { seed(t, h, "/etc/cni/net.d/99-loopback.conf", "{}") }},
		"no br_netfilter in 1.30": {func(c *quorate.Cluster) { c.Version = quorate.Version{Major: 1, Minor: 30} }, func(_ *testing.T, h *faketransport.Host) { h.Delete("/proc/sys/net/bridge") }},
		"fish": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/etc/passwd", "root:x:0:0:root:/root:/usr/bin/fish\n")
		}},
		"ports of others": {nil, func(t *testing.T, h *faketransport.Host) {
			seed(t, h, "/proc/net/tcp", listening("00000000:20FB")) // 8443, and no haproxy
		}},
		"an endpoint with one route of two": {outside, func(_ *testing.T, h *faketransport.Host) {
			h.Handle(faketransport.Prefix("getent"), faketransport.Reply("2001:db8::99 STREAM lb\n198.51.100.10 STREAM lb\n"))
			h.Handle(faketransport.Exact("ip", "route", "get", "2001:db8::99"), faketransport.Fail(2, ""))
		}},
	}) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := hafixture.Three()
			if fine.cluster != nil {
				fine.cluster(&c)
			}
			hosts := soundHosts(t, c)
			fine.cause(t, hosts.Host("cp-2"))
			report := preflightOf(t, hosts, config(t, c))
			require.Empty(t, report.Findings, report.Text())
		})
	}
}
