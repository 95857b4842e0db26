package members

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
)

// Peer is a member of the description, whether systemd or kubeadm runs it.
type Peer struct{ Name, client, peer string }

// Peers returns the members of a description, in the order of its control planes.
func Peers(c quorate.Cluster) []Peer {
	scheme := "https"
	if c.Etcd.PlainHTTP {
		scheme = "http"
	}
	at := func(n quorate.Node, port int) string {
		return scheme + "://" + net.JoinHostPort(n.Address().String(), strconv.Itoa(port))
	}
	var out []Peer
	for _, n := range c.ControlPlanes() {
		out = append(out, Peer{n.Name, at(n, c.Etcd.ClientPort), at(n, c.Etcd.PeerPort)})
	}
	return out
}

// Others are what a member's fate is decided by: all members of the description
// but this one, which may be gone, or wrong about what it is part of.
type Others struct {
	TLS   *tls.Config
	Self  Peer
	Peers []Peer
}

// ask calls the others by a host's network; with all, the member itself too, as
// the last of the endpoints.
func (o Others) ask(h *plan.Host, all bool, do func(*etcdclient.Client) error) error {
	var endpoints []string
	for _, p := range o.Peers {
		endpoints = append(endpoints, p.client)
	}
	if all {
		endpoints = append(endpoints, o.Self.client)
	}
	client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: o.TLS, Dial: h.DialContext, Timeout: etcdPatience})
	if err != nil {
		return err
	}
	return errors.Join(do(client), client.Close())
}

// find looks for the member by its name and, since one that was never started
// has none, by where it is reached.
func (o Others) find(list []etcdclient.Member) (etcdclient.Member, bool) {
	i := slices.IndexFunc(list, func(m etcdclient.Member) bool {
		return m.Name == o.Self.Name || m.Name == "" && slices.Contains(m.PeerURLs, o.Self.peer)
	})
	if i < 0 {
		return etcdclient.Member{}, false
	}
	return list[i], true
}

// list is what a majority knows.
func (o Others) list(ctx context.Context, h *plan.Host) (list []etcdclient.Member, err error) {
	err = o.ask(h, false, func(client *etcdclient.Client) (err error) {
		list, err = client.Members(ctx)
		return err
	})
	return list, err
}

func (o Others) describe(kind string) plan.Description {
	texts := []string{o.Self.Name, o.Self.client, o.Self.peer}
	for _, p := range o.Peers {
		texts = append(texts, p.Name, p.client, p.peer)
	}
	return plan.Description{Kind: kind, Inputs: []quorate.Content{plan.InputText(texts...)}}
}

// peerOf is a member as the flag initial-cluster has it. What has not started yet
// has its name from the description or, since etcd goes by the URL, a made-up one.
func (o Others) peerOf(m etcdclient.Member) (etcd.Peer, error) {
	if len(m.PeerURLs) != 1 {
		return etcd.Peer{}, fmt.Errorf("etcd member %q (%x) has %d peer URLs: want one", m.Name, m.ID, len(m.PeerURLs))
	}
	name := m.Name
	for _, p := range append(slices.Clone(o.Peers), o.Self) {
		if name == "" && p.peer == m.PeerURLs[0] {
			name = p.Name
		}
	}
	if name == "" {
		name = fmt.Sprintf("unstarted-%x", m.ID)
	}
	u, err := url.Parse(m.PeerURLs[0])
	if err != nil {
		return etcd.Peer{}, fmt.Errorf("etcd member %s: %w", name, err)
	}
	address, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return etcd.Peer{}, fmt.Errorf("etcd member %s: %w", name, err)
	}
	return etcd.Peer{Name: name, Address: address}, nil
}
