package members

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Run keeps a member running with its files. One that runs is restarted only if the others
// can act meanwhile, and is waited for; where it does not come back, its old unit is put in
// place again. So a setting that etcd does not start with stops at the first member.
type Run struct {
	plan.Deploy
	Others Others
}

// restartPatience is how long a member may take to be healthy after a restart: it replays
// its log, and an election may be due.
const restartPatience = time.Minute

// Apply returns a *QuorumError if the others could not act without the member, and a
// *RestartError if it does not come back.
func (r Run) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	restarts := slices.ContainsFunc(d, func(c plan.Change) bool { return c.Disruptive })
	if !restarts || len(r.Others.Peers) == 0 {
		return r.Deploy.Apply(ctx, h, d)
	}
	well, err := r.spare(ctx, h)
	if err != nil {
		return err
	}
	old, err := h.ReadAll(ctx, maxUnit, etcd.UnitPath)
	if err != nil {
		return err
	}
	err = r.Deploy.Apply(ctx, h, d)
	if err == nil && well {
		err = r.healthy(ctx, h)
	}
	if err == nil || !well || ctx.Err() != nil {
		return err
	}
	failed := &RestartError{Member: r.Others.Self.Name, Err: err}
	failed.Back = r.back(ctx, h, old[0])
	return failed
}

const maxUnit = 64 << 10

// RestartError reports that a member of etcd did not come back with its new files. The
// others were not restarted.
type RestartError struct {
	Member string
	// Err is why, and Back why its old unit could not be put back; nil if the member runs
	// with it again.
	Err, Back error
}

func (e *RestartError) Error() string {
	s := fmt.Sprintf("etcd member %s does not come back with its new settings: %v\n", e.Member, e.Err)
	if e.Back != nil {
		return termsafe.Indented(s + fmt.Sprintf("its old unit does not bring it back either: %v: look at journalctl -u etcd on its host", e.Back))
	}
	return termsafe.Indented(s + "its old unit is in place again, and it runs: look at journalctl -u etcd on its host, and correct the description")
}

// DescribeEvent returns what was tried, and what to do.
func (e *RestartError) DescribeEvent() events.Error {
	return events.Error{Kind: events.KindRestart, Tried: "restart etcd member " + e.Member, Do: "look at journalctl -u etcd on its host, and correct the description"}
}

// Unwrap returns what failed.
func (e *RestartError) Unwrap() []error { return []error{e.Err, e.Back} }

// back puts the old unit in place, and waits for the member. Certificates stay as they are
// now: etcd reads them again by itself.
func (r Run) back(ctx context.Context, h *plan.Host, old transport.Data) error {
	h.Report("etcd member %s does not come back: putting its old unit in place", r.Others.Self.Name)
	file := transport.File{Path: etcd.UnitPath, Mode: 0o644, Owner: "root", Group: "root", Data: old}
	if err := h.Write(ctx, file); err != nil {
		return err
	}
	if _, err := h.Script(ctx, restartMember, nil); err != nil {
		return err
	}
	return r.healthy(ctx, h)
}

// Undo puts the member's old files in place and restarts it where that is what they were
// for. One that was healthy and still has a unit is waited for before the next host's turn:
// a rollback that restarts members faster than they come back leaves etcd without quorum, or
// with a member that answers no linearizable read.
func (r Run) Undo(ctx context.Context, h *plan.Host, dir string) error {
	if len(r.Others.Peers) == 0 {
		return r.Deploy.Undo(ctx, h, dir)
	}
	well := false
	err := r.Others.ask(h, true, func(client *etcdclient.Client) error {
		s, err := client.Status(ctx)
		well = err == nil && s.Endpoints[len(s.Endpoints)-1].Healthy
		return nil
	})
	if err != nil && ctx.Err() != nil {
		return err
	}
	if err := r.Deploy.Undo(ctx, h, dir); err != nil || !well {
		return err
	}
	unit, err := h.Stat(ctx, etcd.UnitPath)
	if err != nil || !unit[0].Exists {
		return err
	}
	return r.healthy(ctx, h)
}

// emptyRevision is that of an etcd in which nothing was ever written.
const emptyRevision = 1

// spare reports whether the member is healthy, and refuses to restart one that is where the
// others could not act meanwhile. With everybody well any member may be restarted, also one
// of two; and so may those of an etcd that holds nothing yet, whose other members may not
// have been started.
func (r Run) spare(ctx context.Context, h *plan.Host) (well bool, err error) {
	err = r.Others.ask(h, true, func(client *etcdclient.Client) error {
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		own := s.Endpoints[len(s.Endpoints)-1]
		if well = own.Healthy; !well || own.Revision <= emptyRevision {
			return nil
		}
		e := &QuorumError{Member: r.Others.Self.Name, Restart: true, Voters: s.Voters(), Majority: s.Voters()/2 + 1, Err: s.Err()}
		for _, at := range s.Endpoints {
			if at.Healthy && !at.Learner && at.ID != own.ID {
				e.Healthy = append(e.Healthy, at.Name)
			}
		}
		if len(e.Healthy) < e.Majority && len(e.Healthy)+1 < e.Voters {
			return e
		}
		return nil
	})
	return well, err
}

// healthy waits until the member answers a linearizable read.
func (r Run) healthy(ctx context.Context, h *plan.Host) error {
	ctx, cancel := context.WithTimeout(ctx, restartPatience)
	defer cancel()
	return r.Others.ask(h, true, func(client *etcdclient.Client) error {
		for {
			s, err := client.Status(ctx)
			if err != nil {
				return err
			}
			own := s.Endpoints[len(s.Endpoints)-1]
			if own.Healthy {
				return nil
			}
			if !poll.Wait(ctx, etcdPoll) {
				return errors.Join(own.Err, context.Cause(ctx))
			}
		}
	})
}

// Describe returns the member's files, and the others.
func (r Run) Describe() plan.Description {
	d := r.Deploy.Describe()
	d.Kind = "quorate/etcd-run"
	d.Inputs = append(d.Inputs, r.Others.describe(d.Kind).Inputs...)
	return d
}
