package members

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
)

// Dead are members whose hosts are gone for good. They are known by their names alone: nobody
// describes them any more.
type Dead struct {
	// Others are the members that are described: Self and Peers.
	Others
	// Names of the hosts that are gone.
	Names []string
}

// all are the described members, the new ones among them.
func (d Dead) all() Others {
	return Others{TLS: d.TLS, Peers: append(slices.Clone(d.Peers), d.Self)}
}

// look returns which members of etcd are dead. A dead one that
// answers is a *plan.HostError, and a *QuorumError says that another is not healthy: planned
// work starts from a cluster in which everybody else is well.
func (d Dead) look(ctx context.Context, h *plan.Host) (dead []etcdclient.Member, err error) {
	everybody := d.all()
	list, err := everybody.list(ctx, h)
	if err != nil {
		return nil, &QuorumError{Member: strings.Join(d.Names, ", "), Err: err}
	}
	if dead = d.among(list); len(dead) == 0 {
		return nil, nil
	}
	asked := everybody
	for _, m := range dead {
		for _, u := range m.ClientURLs {
			asked.Peers = append(asked.Peers, Peer{Name: m.Name, client: u})
		}
	}
	var status etcdclient.Status
	err = asked.ask(h, false, func(client *etcdclient.Client) (err error) {
		status, err = client.Status(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, at := range status.Endpoints {
		if p := asked.Peers[i]; at.Answered && i >= len(everybody.Peers) {
			return nil, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
				Found: "etcd member " + termsafe.Line(p.Name) + " answers at " + termsafe.Line(p.client) + ", and its host is to be gone for good",
				Do:    "reset it by the description that has it (PlanReset), or take the power from its host, and run again",
			}}}
		}
	}
	return dead, d.judge(status, dead)
}

func (d Dead) among(list []etcdclient.Member) []etcdclient.Member {
	return slices.DeleteFunc(slices.Clone(list), func(m etcdclient.Member) bool { return !slices.Contains(d.Names, m.Name) })
}

// judge wants every voter to be healthy that stays.
func (d Dead) judge(s etcdclient.Status, dead []etcdclient.Member) error {
	e := &QuorumError{Member: dead[0].Name, All: true, Err: s.Err()}
	for _, m := range s.Members {
		if m.Learner || slices.Contains(d.Names, m.Name) {
			continue
		}
		e.Voters++
		if slices.ContainsFunc(s.Endpoints, func(at etcdclient.EndpointStatus) bool { return at.Healthy && at.ID == m.ID }) {
			e.Healthy = append(e.Healthy, m.Name)
		}
	}
	e.Majority = e.Voters
	if e.Voters == 0 || len(e.Healthy) < e.Voters || !s.Quorum() {
		return e
	}
	return nil
}

func (d Dead) describe(kind string) plan.Description {
	out := d.Others.describe(kind)
	out.Inputs = append(out.Inputs, plan.InputText(d.Names...))
	return out
}

// Bearable refuses, before anything is done to any host, to go on without the dead: it only
// looks. Its host is to act for the cluster.
type Bearable struct {
	Dead
	// API is where the API server of this host reports its health, VIP says that keepalived has to
	// run here.
	API string
	VIP bool
}

// Check returns a *QuorumError or a *plan.HostError, and no Diff.
func (b Bearable) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	if err := acts(ctx, h, b.API, b.VIP); err != nil {
		return nil, err
	}
	_, err := b.look(ctx, h)
	return nil, err
}

// Apply is never called: Check finds either nothing or an error.
func (Bearable) Apply(context.Context, *plan.Host, plan.Diff) error { return nil }

// Describe returns the members.
func (b Bearable) Describe() plan.Description {
	d := b.describe("quorate/etcd-bearable")
	d.Inputs = append(d.Inputs, plan.InputText(b.API, strconv.FormatBool(b.VIP)))
	return d
}

// RemoveDead takes the members of dead hosts out of etcd, by their IDs.
type RemoveDead struct{ Dead }

// deadID is a member that is to be removed.
type deadID uint64

// Check reads which of them etcd still has.
func (r RemoveDead) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	list, err := r.all().list(ctx, h)
	if err != nil {
		return nil, err
	}
	var diff plan.Diff
	for _, m := range r.among(list) {
		diff = append(diff, plan.Change{
			Verb: "remove", Subject: "etcd member " + termsafe.Line(m.Name), Detail: fmt.Sprintf("%x of %d, for good", m.ID, len(list)), Disruptive: true, Data: deadID(m.ID),
		})
	}
	return diff, nil
}

// Apply removes those that Check has found and that are still dead. Before each, everybody else
// is healthy: else it is a *QuorumError.
func (r RemoveDead) Apply(ctx context.Context, h *plan.Host, diff plan.Diff) error {
	for _, id := range plan.DataOf[deadID](diff) {
		dead, err := r.look(ctx, h)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(dead, func(m etcdclient.Member) bool { return m.ID == uint64(id) }) {
			continue
		}
		err = r.all().ask(h, false, func(client *etcdclient.Client) error { return client.RemoveMember(ctx, uint64(id)) })
		if err != nil {
			return err
		}
	}
	return nil
}

// Describe returns the members.
func (r RemoveDead) Describe() plan.Description { return r.describe("quorate/etcd-remove-dead") }

// Backup finds no way back: a member that has left may not come back as it was.
func (RemoveDead) Backup(context.Context, *plan.Host, plan.Diff, string) error {
	return &plan.IrreversibleError{Reason: "etcd lets no member in again that was removed: describe its host, and it joins as a new one"}
}

// Undo is never called.
func (RemoveDead) Undo(context.Context, *plan.Host, string) error { return nil }
