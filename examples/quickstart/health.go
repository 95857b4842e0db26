package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/transport"
)

// What is written while a member is down.
const key, value = "/quickstart/written-while", "one of three was down"

// patience is how long etcd may take to come to a wanted state.
const patience = 30 * time.Second

func allHealthy(s etcdclient.Status) bool { return s.Voters() == members && s.Healthy() == members }

// door is the host whose tunnels lead to etcd: all members are reached by one.
func (d *demo) door() string { return d.config.Cluster.Nodes[0].Name }

// ask reads all members until their answers are as wanted.
func (d *demo) ask(ctx context.Context, wanted func(etcdclient.Status) bool) (s etcdclient.Status, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err = d.throughTunnel(ctx, func(dial dialer) error {
		endpoints, err := d.endpoints()
		if err != nil {
			return err
		}
		tls, err := d.config.Certs.EtcdClient(ctx)
		if err != nil {
			return err
		}
		client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: tls, Dial: dial, Timeout: 2 * time.Second})
		if err != nil {
			return err
		}
		s, err = poll(ctx, client, wanted)
		return errors.Join(err, client.Close())
	})
	return s, err
}

func poll(ctx context.Context, client *etcdclient.Client, wanted func(etcdclient.Status) bool) (etcdclient.Status, error) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		s, err := client.Status(ctx)
		if err == nil && wanted(s) {
			return s, nil
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return s, fmt.Errorf("etcd did not come to the state it should have: %d of %d members healthy: %w",
				s.Healthy(), members, errors.Join(ctx.Err(), s.Err()))
		}
	}
}

type dialer = func(ctx context.Context, network, addr string) (net.Conn, error)

// throughTunnel calls use with connections as seen from the door.
func (d *demo) throughTunnel(ctx context.Context, use func(dialer) error) error {
	conn, err := d.ssh.Dial(ctx, d.door())
	if err != nil {
		return err
	}
	tunnels, ok := transport.As[transport.Dialer](conn)
	if !ok {
		return errors.Join(errors.ErrUnsupported, conn.Close())
	}
	return errors.Join(use(tunnels.DialContext), conn.Close())
}

// endpoints are the members' client URLs, in the order of the nodes.
func (d *demo) endpoints() ([]string, error) {
	members, err := etcd.Members(d.config.Cluster)
	return etcd.ClientEndpoints(members), err
}

// put writes through whichever members are there.
func (d *demo) put(ctx context.Context, key, value string) (revision int64, err error) {
	endpoints, err := d.endpoints()
	if err != nil {
		return 0, err
	}
	err = d.keyValues(ctx, endpoints, func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Put(ctx, key, value)
		if err == nil {
			revision = r.Header.Revision
		}
		return err
	})
	return revision, err
}

// getFrom reads what one member has on its own disk, without asking the others.
func (d *demo) getFrom(ctx context.Context, name, key string) (value string, err error) {
	endpoints, err := d.endpoints()
	if err != nil {
		return "", err
	}
	for i, n := range d.config.Cluster.Nodes {
		if n.Name == name {
			endpoints = endpoints[i : i+1]
		}
	}
	err = d.keyValues(ctx, endpoints, func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Get(ctx, key, clientv3.WithSerializable())
		if err == nil && len(r.Kvs) == 1 {
			value = string(r.Kvs[0].Value)
		}
		return err
	})
	return value, err
}

// keyValues calls use with etcd's own client, through the tunnel.
func (d *demo) keyValues(ctx context.Context, endpoints []string, use func(context.Context, *clientv3.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tls, err := d.config.Certs.EtcdClient(ctx)
	if err != nil {
		return err
	}
	return d.throughTunnel(ctx, func(dial dialer) error {
		c, err := clientv3.New(clientv3.Config{
			Endpoints: endpoints, TLS: tls, Context: ctx, Logger: zap.NewNop(),
			DialOptions: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				return dial(ctx, "tcp", addr)
			})},
		})
		if err != nil {
			return err
		}
		return errors.Join(use(ctx, c), c.Close())
	})
}

// table shows what every member said.
func table(out io.Writer, d *demo, s etcdclient.Status) {
	say(out, "  %-6s %-9s %-9s %-8s %-9s %-9s %s\n", "member", "state", "role", "answer", "database", "revision", "raft index")
	leader, _ := s.Leader()
	for i, e := range s.Endpoints {
		name := d.config.Cluster.Nodes[i].Name
		if !e.Healthy {
			say(out, "  %-6s %s\n", name, "down")
			continue
		}
		role := "follower"
		if e.ID == leader.ID {
			role = "leader"
		}
		say(out, "  %-6s %-9s %-9s %-8s %-9s %-9d %d\n", name, "healthy", role, short(e.Latency),
			fmt.Sprintf("%d kB", e.Size>>10), e.Revision, e.Index)
	}
	say(out, "  etcd %s: %d of %d members healthy, %d needed\n", version(s), s.Healthy(), s.Voters(), s.Majority())
}

func version(s etcdclient.Status) string {
	for _, e := range s.Endpoints {
		if e.Answered {
			return e.Version
		}
	}
	return ""
}

func short(d time.Duration) string { return d.Round(100 * time.Microsecond).String() }
