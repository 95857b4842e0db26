package holder

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/vip"
)

// realHosts are three network namespaces on one segment, eth0, each with another
// interface, eth1, that nobody else is on, a keepalived and something that answers
// at the API server's port.
type realHosts struct {
	vip       netip.Addr
	cluster   quorate.Cluster
	names     []string
	processes []*exec.Cmd // the keepaliveds
}

// Real keepaliveds whose VIP has no holder, one, or several: the script and the
// verdict say which.
func TestRealHolder(t *testing.T) {
	tier.Host(t, "ip", "nft", "busybox", "curl")
	tier.Root(t)
	keepalived := tier.Program(t, "keepalived")
	for name, c := range map[string]struct {
		iface string // the VIP's
		do    func(*testing.T, *realHosts)
		want  string
	}{
		"well": {iface: "eth0"},
		"VRRP dropped": {iface: "eth0", want: "3 hosts hold the VIP at once: cp-1 (eth0), cp-2 (eth0), cp-3 (eth0): let VRRP", do: func(t *testing.T, h *realHosts) {
			for _, host := range h.names {
				h.inside(t, host, "nft", "add table inet drops; add chain inet drops in { type filter hook input priority 0; }; add rule inet drops in meta l4proto 112 drop")
			}
		}},
		"VIP on an interface without neighbours": {iface: "eth1", want: "3 hosts hold the VIP at once: cp-1 (eth1), cp-2 (eth1), cp-3 (eth1)"},
		"no keepalived": {iface: "eth0", want: "no control plane holds the VIP", do: func(t *testing.T, h *realHosts) {
			for _, p := range h.processes {
				require.NoError(t, p.Process.Signal(syscall.SIGTERM))
			}
		}},
		"left on a host": {iface: "eth0", want: "2 hosts hold the VIP at once", do: func(t *testing.T, h *realHosts) {
			h.settles(t, "")
			for _, host := range h.names {
				if v := h.view(t, host); len(v.held) == 0 {
					h.inside(t, host, "ip", "addr", "add", h.vip.String()+"/32", "dev", "eth0")
					return
				}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newRealHosts(t, keepalived, c.iface)
			if c.do != nil {
				c.do(t, h)
			}
			h.settles(t, c.want)
		})
	}
}

func newRealHosts(t *testing.T, keepalived, iface string) *realHosts {
	t.Helper()
	h := &realHosts{vip: netip.MustParseAddr("10.83.0.100"), cluster: quorate.Cluster{
		Name: "real", Version: quorate.MustVersion("1.37.2"),
		Pods: []netip.Prefix{netip.MustParsePrefix("10.244.0.0/16")}, Services: []netip.Prefix{netip.MustParsePrefix("10.96.0.0/12")},
	}}
	h.cluster.Endpoint.Host = h.vip.String()
	h.cluster.Endpoint.VIP.Interface, h.cluster.Endpoint.VIP.Subnet = iface, netip.MustParsePrefix("10.83.0.0/24")
	for i := range 3 {
		h.cluster.Nodes = append(h.cluster.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.83.0.%d", i+1))},
		})
	}
	h.cluster.Endpoint.VIP.Multicast = iface != "eth0" // unicast finds its way by eth0, and the kernel answers there
	h.cluster = h.cluster.WithDefaults()
	middle := fmt.Sprintf("quorate-%d-holder", os.Getpid())
	namespace := func(name string) {
		h.run(t, "ip", "netns", "add", name)
		t.Cleanup(func() { h.run(t, "ip", "netns", "del", name) })
		h.inside(t, name, "ip", "link", "set", "lo", "up")
	}
	namespace(middle)
	h.inside(t, middle, "ip", "link", "add", "br0", "type", "bridge")
	h.inside(t, middle, "ip", "link", "set", "br0", "up")
	instances, err := vip.Instances(h.cluster, quorate.Sensitive([]byte("secret12")))
	require.NoError(t, err)
	for i, n := range h.cluster.Nodes {
		name := fmt.Sprintf("quorate-%d-%s", os.Getpid(), n.Name)
		h.names = append(h.names, name)
		namespace(name)
		port := fmt.Sprintf("port%d", i)
		h.inside(t, middle, "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", name)
		h.inside(t, middle, "ip", "link", "set", port, "master", "br0", "up")
		h.inside(t, name, "ip", "link", "add", "eth1", "type", "veth", "peer", "name", "nobody")
		h.inside(t, name, "ip", "link", "set", "nobody", "up")
		h.inside(t, name, "ip", "link", "set", "eth0", "up")
		h.inside(t, name, "ip", "link", "set", "eth1", "up")
		h.inside(t, name, "ip", "addr", "add", n.Address().String()+"/24", "dev", "eth0")
		h.inside(t, name, "ip", "addr", "add", fmt.Sprintf("10.84.%d.1/24", i), "dev", "eth1")
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "readyz"), []byte("ok"), 0o600))
		h.start(t, name, "busybox", "httpd", "-f", "-p", "6443", "-h", dir)
		files, err := instances[i].Files()
		require.NoError(t, err)
		for _, f := range files {
			if !strings.HasSuffix(f.Path, "keepalived.conf") {
				continue
			}
			conf := filepath.Join(dir, "keepalived.conf")
			check := filepath.Join(dir, "check")
			require.NoError(t, os.WriteFile(check, []byte("#!/bin/sh\nexit 0\n"), 0o700))
			require.NoError(t, os.WriteFile(conf, bytes.ReplaceAll(f.Content.Bytes(), []byte(vip.CheckPath), []byte(check)), 0o600))
			h.processes = append(h.processes, h.start(t, name, keepalived, "--dont-fork", "--vrrp", "--use-file", conf, "--pid", filepath.Join(dir, "pid"), "--vrrp_pid", filepath.Join(dir, "vrrp.pid")))
		}
	}
	require.Len(t, h.processes, 3)
	return h
}

// view reads what a host sees.
func (h *realHosts) view(t *testing.T, host string) view {
	t.Helper()
	q := plan.Script(script, map[string]string{"VIP": h.vip.String(), "URL": "http://" + h.vip.String() + ":6443/readyz", "CA": "/dev/null"})
	return parse(h.vip, []byte(h.inside(t, host, q.Argv[0], q.Argv[1:]...)))
}

// settles waits until the verdict is this one, empty for none.
func (h *realHosts) settles(t *testing.T, want string) {
	t.Helper()
	a, last := Verdict{VIP: h.vip, Nodes: h.cluster.Nodes}, ""
	require.Eventually(t, func() bool {
		seen := map[string]view{}
		for i, n := range h.cluster.Nodes {
			seen[n.Name] = h.view(t, h.names[i])
		}
		err, _ := a.judge(seen)
		if last = ""; err != nil {
			last = err.Error()
		}
		return want == "" && err == nil || want != "" && strings.Contains(last, want)
	}, 40*time.Second, 200*time.Millisecond, "the last verdict differs")
	t.Logf("verdict: %s", last)
}

func (h *realHosts) inside(t *testing.T, host, name string, args ...string) string {
	t.Helper()
	return h.run(t, "ip", append([]string{"netns", "exec", host, name}, args...)...)
}

func (h *realHosts) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
	return string(out)
}

// start runs a program in a namespace until the test ends.
func (h *realHosts) start(t *testing.T, host, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ip", append([]string{"netns", "exec", host, name}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // however it ended
	return cmd
}
