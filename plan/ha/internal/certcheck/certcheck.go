// Package certcheck collects from a source of certificates all that a plan needs, and
// refuses what would fail on the hosts, or later: see plan/ha.Certs.
package certcheck

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-dev/quorate"
)

// Source is ha.Certs.
type Source interface {
	EtcdMember(ctx context.Context, node string) ([]quorate.File, error)
	ControlPlane(ctx context.Context, node string) ([]quorate.File, error)
	CAHashes(ctx context.Context) ([]string, error)
	EtcdClient(ctx context.Context) (*tls.Config, error)
}

// Set is everything that a source has for a cluster.
type Set struct {
	EtcdMember   map[string][]quorate.File // by node
	ControlPlane map[string][]quorate.File
	CAHashes     []string
	EtcdClient   *tls.Config
}

// Collect calls a source, twice, and checks what it returns. The error joins the
// source's own and an *quorate.InvalidError with every problem.
func Collect(ctx context.Context, c quorate.Cluster, source Source) (*Set, error) {
	first, err := ask(ctx, c, source)
	if err != nil {
		return nil, err
	}
	second, err := ask(ctx, c, source)
	if err != nil {
		return nil, fmt.Errorf("second call: %w", err)
	}
	j := &judge{stacked: c.Etcd.Stacked}
	for _, n := range c.ControlPlanes() {
		j.node(n, first)
		j.same("etcdMember", n.Name, first.EtcdMember[n.Name], second.EtcdMember[n.Name])
		j.same("controlPlane", n.Name, first.ControlPlane[n.Name], second.ControlPlane[n.Name])
	}
	j.apart()
	j.hashes(first.CAHashes)
	if !slices.Equal(first.CAHashes, second.CAHashes) {
		j.refuse("caHashes", "differ at the second call")
	}
	j.client(first.EtcdClient)
	if err := j.problems.Err("certificates"); err != nil {
		return nil, err
	}
	return first, nil
}

func ask(ctx context.Context, c quorate.Cluster, source Source) (*Set, error) {
	s := &Set{EtcdMember: map[string][]quorate.File{}, ControlPlane: map[string][]quorate.File{}}
	var errs []error
	for _, n := range c.ControlPlanes() {
		var err error
		if s.EtcdMember[n.Name], err = source.EtcdMember(ctx, n.Name); err != nil {
			errs = append(errs, fmt.Errorf("certificates of %s's etcd member: %w", n.Name, err))
		}
		if s.ControlPlane[n.Name], err = source.ControlPlane(ctx, n.Name); err != nil {
			errs = append(errs, fmt.Errorf("certificates of control plane %s: %w", n.Name, err))
		}
		if len(errs) > 0 && ctx.Err() != nil {
			break
		}
	}
	var err error
	if s.CAHashes, err = source.CAHashes(ctx); err != nil {
		errs = append(errs, fmt.Errorf("hashes of the Kubernetes authority: %w", err))
	}
	if s.EtcdClient, err = source.EtcdClient(ctx); err != nil {
		errs = append(errs, fmt.Errorf("the operator's client certificate for etcd: %w", err))
	}
	return s, errors.Join(errs...)
}
