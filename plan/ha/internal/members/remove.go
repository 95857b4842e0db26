package members

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan"
)

// Remove takes a member out of etcd, if the others can act without it.
type Remove struct{ Others }

// Check reads from the others whether they know the member.
func (r Remove) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	list, err := r.list(ctx, h)
	if err != nil {
		return nil, err
	}
	m, ok := r.find(list)
	if !ok {
		return nil, nil
	}
	return plan.Diff{{Verb: "remove", Subject: "etcd member " + r.Self.Name, Detail: fmt.Sprintf("%x of %d", m.ID, len(list))}}, nil
}

// Apply reads every member's health just before: a *QuorumError if it
// is not enough.
func (r Remove) Apply(ctx context.Context, h *plan.Host, _ plan.Diff) error { return r.remove(ctx, h) }

func (o Others) remove(ctx context.Context, h *plan.Host) error {
	return o.ask(h, false, func(client *etcdclient.Client) error { return o.removeBy(ctx, h, client) })
}

func (o Others) removeBy(ctx context.Context, h *plan.Host, client *etcdclient.Client) error {
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if !s.Quorum() {
		return &QuorumError{Member: o.Self.Name, Err: s.Err()}
	}
	m, ok := o.find(s.Members)
	if !ok {
		return nil
	}
	if err := spares(s, m); err != nil {
		return err
	}
	if leader, ok := s.Leader(); ok && leader.ID == m.ID {
		if err := o.handOver(ctx, h, s); err != nil {
			h.Report("%v; an election follows", err)
		}
	}
	return client.RemoveMember(ctx, m.ID)
}

// handOver has the member, which leads, make another the leader that is well and
// votes: this host's, which stays, if it is such a one. etcd has it from 3.3 on.
func (o Others) handOver(ctx context.Context, h *plan.Host, s etcdclient.Status) error {
	able := slices.DeleteFunc(slices.Clone(s.Endpoints), func(e etcdclient.EndpointStatus) bool { return !e.Healthy || e.Learner })
	if len(able) == 0 {
		return errors.New("nobody else could lead etcd")
	}
	to := able[max(0, slices.IndexFunc(able, func(e etcdclient.EndpointStatus) bool { return e.Name == h.Name }))]
	h.Report("handing over etcd's leadership to %s", to.Name)
	return o.ask(h, true, func(client *etcdclient.Client) error { return client.MoveLeader(ctx, to.ID) })
}

// Describe returns the members.
func (r Remove) Describe() plan.Description { return r.describe("quorate/etcd-remove") }
