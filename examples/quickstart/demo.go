package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/sshtargets"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// demo is three hosts, and all that an operator needs to make a cluster of them.
type demo struct {
	claim    net.Listener
	hosts    *hatest.Cluster // in memory
	etcd     *servers        // real
	sshd     []*sshtest.Server
	consoles []transport.Conn // what each sshd runs commands on

	config ha.Config
	plan   *plan.Plan
	ssh    *ssh.Transport

	seen record
}

// record is what happened, for tests.
type record struct {
	first, again           plan.Summary
	before, without, after etcdclient.Status
	stopped                string // the member that was
	revision               int64  // of the write without it
}

// newDemo boots the hosts and makes the plan; crashed is called when a member of
// etcd ends by itself. Close it when done.
func newDemo(ctx context.Context, crashed func(error)) (d *demo, err error) {
	d = &demo{}
	defer func() {
		if err != nil {
			d, err = nil, errors.Join(err, d.Close())
		}
	}()
	network, held, err := claim(ctx)
	if err != nil {
		return d, err
	}
	d.claim = held
	c := describe(network)
	if d.hosts, err = hatest.New(c); err != nil {
		return d, err
	}
	if d.etcd, err = newServers(crashed); err != nil {
		return d, err
	}
	d.hosts.UseEtcd(func(h *faketransport.Host) (hatest.Member, error) { return d.etcd.start(ctx, h) })
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return d, err
	}
	known, err := d.serve(ctx, c, key.Public())
	if err != nil {
		return d, err
	}
	// From here on this is what any installer does.
	if d.config, err = operator.Config(ctx, c, ""); err != nil {
		return d, err
	}
	cluster, err := ha.New(ctx, d.config)
	if err != nil {
		return d, err
	}
	if d.plan, err = cluster.Plan(); err != nil {
		return d, err
	}
	d.ssh, err = sshtargets.New(c, ssh.Config{
		Auth:     ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(key)}},
		HostKeys: ssh.HostKeys{KnownHosts: known},
	})
	return d, err
}

// Close ends everything that was started, and waits for it. It may be called
// more than once.
func (d *demo) Close() error {
	var errs []error
	if d.ssh != nil {
		errs = append(errs, d.ssh.Close())
	}
	for _, s := range d.sshd {
		errs = append(errs, s.Close())
	}
	for _, c := range d.consoles {
		errs = append(errs, c.Close())
	}
	if d.etcd != nil {
		errs = append(errs, d.etcd.Close())
	}
	if d.hosts != nil {
		errs = append(errs, d.hosts.Close())
	}
	if d.claim != nil {
		if err := d.claim.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
