package main

import (
	"context"
	"crypto"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	cryptossh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// describe is the cluster. Each node has a loopback address of its own in the
// network, so that etcd's members can listen where their units say.
func describe(network netip.Prefix) quorate.Cluster {
	address := func(last byte) netip.Addr {
		a := network.Addr().As4()
		a[3] = last
		return netip.AddrFrom4(a)
	}
	c := quorate.Cluster{
		Name:    "quickstart",
		Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{
			Host: address(100).String(),
			VIP:  quorate.VIP{Interface: "eth0"},
		},
	}
	for i := range byte(members) {
		c.Nodes = append(c.Nodes, quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane, Addresses: []netip.Addr{address(11 + i)},
		})
	}
	return c
}

// members of etcd, one on each control plane.
const members = 3

// claim finds loopback addresses on which nobody uses etcd's ports. They are
// this quickstart's until the listener is closed: others step around it.
func claim(ctx context.Context) (netip.Prefix, net.Listener, error) {
	var last error
	for third := range 256 {
		network := netip.PrefixFrom(netip.AddrFrom4([4]byte{127, 20, byte(third), 0}), 24)
		flag, err := (&net.ListenConfig{}).Listen(ctx, "tcp", netip.AddrPortFrom(network.Addr().Next(), claimPort).String())
		if err == nil {
			if err = usable(ctx, network); err == nil {
				return network, flag, nil
			}
			_ = flag.Close() // nobody has used it
		}
		last = err
	}
	return netip.Prefix{}, nil, fmt.Errorf("no free loopback addresses for etcd below 127.20.0.0/16 "+
		"(Linux has them all; elsewhere add to the loopback interface 127.20.0.1 and 127.20.0.11 to .13 first): %w", last)
}

// claimPort on a network's first address is held by the quickstart that has it.
const claimPort = 2379

func usable(ctx context.Context, network netip.Prefix) error {
	defaults := quorate.Cluster{}.WithDefaults().Etcd
	for i := range byte(members) {
		a := network.Addr().As4()
		a[3] = 11 + i
		for _, port := range []int{defaults.ClientPort, defaults.PeerPort, defaults.MetricsPort} {
			l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(netip.AddrFrom4(a).String(), strconv.Itoa(port)))
			if err != nil {
				return err
			}
			if err := l.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// serve puts an SSH server before every host, for one operator's key, notes in
// the description where it listens, and returns the known_hosts file.
func (d *demo) serve(ctx context.Context, c quorate.Cluster, operatorKey crypto.PublicKey) ([]byte, error) {
	authorized, err := cryptossh.NewPublicKey(operatorKey)
	if err != nil {
		return nil, err
	}
	var known []byte
	for i, n := range c.Nodes {
		d.hosts.Host(n.Name).HandleDial(dialLoopback)
		console, err := d.hosts.Dial(ctx, n.Name)
		if err != nil {
			return nil, err
		}
		d.consoles = append(d.consoles, console)
		server, err := sshtest.Start(sshtest.Config{Conn: console, AuthorizedKeys: []cryptossh.PublicKey{authorized}})
		if err != nil {
			return nil, err
		}
		d.sshd = append(d.sshd, server)
		known = append(known, server.KnownHosts()...)
		c.Nodes[i].SSH = server.Target().String()
	}
	return known, nil
}

// dialLoopback lets tunnels lead to this machine and nowhere else.
func dialLoopback(ctx context.Context, network, addr string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(addr)
	if err != nil || !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s is no loopback address", addr)
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}
