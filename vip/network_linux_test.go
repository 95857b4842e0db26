package vip_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// namespace is a network namespace and the one goroutine that lives in it, on
// a thread of its own that dies with it.
type namespace struct {
	name string
	work chan func()
}

func newNamespace(t *testing.T, name string) *namespace {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	t.Cleanup(func() { run(t, "ip", "netns", "del", name) })
	n := &namespace{name: name, work: make(chan func())}
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		handle, err := os.Open("/run/netns/" + name)
		if err == nil {
			err = errors.Join(unix.Setns(int(handle.Fd()), unix.CLONE_NEWNET), handle.Close())
		}
		ready <- err
		for f := range n.work {
			f()
		}
	}()
	require.NoError(t, <-ready)
	t.Cleanup(func() { close(n.work); <-done })
	return n
}

// in runs f in the namespace and waits for it.
func (n *namespace) in(f func()) {
	done := make(chan struct{})
	n.work <- func() { defer close(done); f() }
	<-done
}

func (n *namespace) listen(t *testing.T, address netip.AddrPort) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	n.in(func() { l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", address.String()) })
	require.NoError(t, err)
	return l
}

// dial connects from the namespace. The address is an IP, so that it is this
// very thread that makes the socket.
func (n *namespace) dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	n.in(func() { conn, err = (&net.Dialer{Timeout: 300 * time.Millisecond}).DialContext(ctx, network, address) })
	return conn, err
}

// has reports whether an interface of the namespace has the address.
func (n *namespace) has(a netip.Addr) (has bool, err error) {
	n.in(func() {
		var all []net.Addr
		all, err = net.InterfaceAddrs()
		has = slices.ContainsFunc(all, func(one net.Addr) bool {
			ip, _ := netip.ParsePrefix(one.String())
			return ip.Addr() == a
		})
	})
	return has, err
}

// segment is a switch, a namespace with a bridge, and hosts on it, each with
// an eth0 and an address. Nothing of it is outside the namespaces.
type segment struct {
	middle *namespace
	hosts  []*namespace
}

func newSegment(t *testing.T, middle netip.Prefix, hosts ...netip.Prefix) segment {
	t.Helper()
	prefix := fmt.Sprintf("quorate-%d-%s", os.Getpid(), middle.Addr())
	s := segment{middle: newNamespace(t, prefix+"-m")}
	inside(t, s.middle, "link", "add", "br0", "type", "bridge")
	inside(t, s.middle, "addr", "add", middle.String(), "dev", "br0", "nodad")
	inside(t, s.middle, "link", "set", "br0", "up")
	for i, h := range hosts {
		n := newNamespace(t, fmt.Sprintf("%s-%d", prefix, i))
		s.hosts = append(s.hosts, n)
		inside(t, s.middle, "link", "add", s.port(i), "type", "veth", "peer", "name", "eth0", "netns", n.name)
		inside(t, s.middle, "link", "set", s.port(i), "master", "br0", "up")
		inside(t, n, "link", "set", "lo", "up")
		inside(t, n, "addr", "add", h.String(), "dev", "eth0", "nodad")
		inside(t, n, "link", "set", "eth0", "up")
	}
	return s
}

func (s segment) port(host int) string { return fmt.Sprintf("port%d", host) }

// cable pulls a host's cable, or plugs it in again.
func (s segment) cable(t *testing.T, host int, state string) {
	t.Helper()
	inside(t, s.middle, "link", "set", s.port(host), state)
}

// cutOff leads a host's cable nowhere; its link stays up.
func (s segment) cutOff(t *testing.T, host int) {
	t.Helper()
	inside(t, s.middle, "link", "set", s.port(host), "nomaster")
}

func inside(t *testing.T, n *namespace, args ...string) {
	t.Helper()
	if args[0] == "addr" && args[len(args)-1] == "nodad" && netip.MustParsePrefix(args[2]).Addr().Is4() {
		args = args[:len(args)-1]
	}
	run(t, "ip", append([]string{"-netns", n.name}, args...)...)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	// Cleanups run it too, when t.Context is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}
