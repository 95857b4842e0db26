package sshtargets_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha/sshtargets"
	"github.com/quorate-dev/quorate/transport/ssh"
)

func node(name, where string, addresses ...string) quorate.Node {
	n := quorate.Node{Name: name, SSH: where}
	for _, a := range addresses {
		n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
	}
	return n
}

func TestOf(t *testing.T) {
	targets, err := sshtargets.Of(quorate.Cluster{Nodes: []quorate.Node{
		node("a", "", "192.0.2.1", "2001:db8::1"),
		node("b", "", "2001:db8::2"),
		node("c", "admin@bastion.example:2222", "192.0.2.3"),
		node("d", "[2001:db8::4]:22"),
	}})
	require.NoError(t, err)
	require.Equal(t, map[string]ssh.Target{
		"a": {Addr: "192.0.2.1"}, "b": {Addr: "2001:db8::2"},
		"c": {Addr: "bastion.example", Port: 2222, User: "admin"}, "d": {Addr: "2001:db8::4", Port: 22},
	}, targets)
}

// Every node that cannot be reached is named at once.
func TestEveryProblemAtOnce(t *testing.T) {
	_, err := sshtargets.New(quorate.Cluster{Nodes: []quorate.Node{
		node("a", ""), node("b", "@host"), node("c", "host:0x16"), node("d", "d"), node("d", "e"),
	}}, ssh.Config{})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Equal(t, []string{"nodes[0].ssh", "nodes[1].ssh", "nodes[2].ssh", "nodes[4].name"}, paths)
}

// What the caller has said of a host stays, and its own map as it was.
func TestNewKeepsTheCallersTargets(t *testing.T) {
	mine := map[string]ssh.Target{"jump": {Addr: "jump.example"}, "a": {Addr: "other.example"}}
	hosts, err := sshtargets.New(quorate.Cluster{Nodes: []quorate.Node{node("a", "x"), node("b", "y")}}, ssh.Config{
		Targets: mine, Jump: []string{"jump"},
		Auth:     ssh.Auth{AgentSocket: "/nowhere"},
		HostKeys: ssh.HostKeys{Pinned: map[string][]string{"b": {"SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8"}}},
	})
	require.NoError(t, err)
	require.NoError(t, hosts.Close())
	require.Len(t, mine, 2)
}

func ExampleOf() {
	targets, err := sshtargets.Of(quorate.Cluster{Nodes: []quorate.Node{
		{Name: "cp-1", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")}},
		{Name: "cp-2", SSH: "admin@cp-2.example.com:2222"},
	}})
	fmt.Println(targets["cp-1"].Addr, targets["cp-2"].User, targets["cp-2"].Port, err)
	// Output: 192.0.2.11 admin 2222 <nil>
}
