package hatest

import (
	"fmt"
	"net/netip"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// boot places what the kernel shows of a host that systemd has started, with the
// module br_netfilter.
func (h *host) boot() error {
	for path, text := range map[string]string{
		"/proc/1/comm": "systemd\n",
		"/proc/sys/net/bridge/bridge-nf-call-iptables":  "1\n",
		"/proc/sys/net/bridge/bridge-nf-call-ip6tables": "1\n",
	} {
		if err := h.Put(transport.File{Path: path, Mode: 0o444, Data: transport.Bytes([]byte(text))}); err != nil {
			return err
		}
	}
	return nil
}

// containerdConfig is the part of "containerd config dump" that anybody asks for.
func containerdConfig(c quorate.Cluster, driver string) string {
	return fmt.Sprintf("disabled_plugins = []\n\n[plugins]\n    sandbox_image = \"%s/pause:3.10\"\n            SystemdCgroup = %v",
		c.Kubeadm.ImageRepository, driver == "systemd")
}

// external is what the name of an external endpoint resolves to.
const external = "198.51.100.10"

// getent answers "getent ahosts NAME": hosts know themselves by address, and the
// endpoint.
func (h *host) getent(in faketransport.Invocation, args []string) error {
	name := args[len(args)-1]
	if a, err := netip.ParseAddr(name); err == nil {
		return say(in, "%s STREAM %s\n%s DGRAM\n", a, name, a)
	}
	if name == h.cluster.c.Endpoint.Host {
		return say(in, "%s STREAM %s\n%s DGRAM\n", external, name, external)
	}
	return faketransport.Exit(2)
}
