package members

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/internal/keyval"
	"github.com/quorate-dev/quorate/plan/internal/poll"
	"github.com/quorate-dev/quorate/transport"
)

// Join brings a member into a cluster that runs without it: one whose host
// is new, was reset, or has lost its disk. Where no cluster answers there is
// nothing to join, and the members come into being together.
type Join struct {
	Others
	Member etcd.Member
	Deploy plan.Deploy
}

// memberScript prints the state of this host's member.
//
//go:embed scripts/member.sh
var memberScript string

func (j Join) state() transport.Query {
	return plan.Script(memberScript, map[string]string{"DATA_DIR": j.Member.Etcd.DataDir, "JOIN_PATH": etcd.JoinPath})
}

// Check reads from the others whether they are a cluster without the member, unless it
// runs: etcd itself ends one that has been removed. A member that the cluster
// knows to have run, and whose data is gone, is a new one too.
func (j Join) Check(ctx context.Context, h *plan.Host) (plan.Diff, error) {
	out, err := h.Ask(ctx, j.state())
	if err != nil {
		return nil, err
	}
	own := keyval.Parse(out)
	joining, data := own["joining"] == "yes", own["data"] == "yes"
	if len(j.Peers) == 0 || own["unit"] == "active" && !joining {
		return nil, nil
	}
	list, err := j.list(ctx, h)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m, ok := j.find(list)
	switch {
	case plan.Transient(err): // it says nothing of the others: a member must not start as one of a new cluster
		return nil, err
	case err != nil && !joining:
		return nil, nil // nobody to join; etcd-health says who does not answer
	case err != nil:
		return j.diff(adding, "an earlier run has begun it, and the others wait for it"), nil //nolint:nilerr // they cannot answer before it runs
	case !ok && len(j.strays(list)) > 0:
		return nil, &plan.HostError{Host: h.Name, Findings: []plan.Finding{{
			Found: "etcd has members that are not described, " + strings.Join(j.strays(list), ", ") + ": with one more it would take more of them to act",
			Do:    "describe them, or take them out first (PlanReset, or PlanReplace where the host is gone for good)",
		}}}
	case !ok:
		return j.diff(adding, "the cluster runs without it"), nil
	case m.Name == "":
		return j.diff(adding, "it has been added and not started"), nil
	case m.Learner && !data:
		return j.diff(replacing, "it had no vote yet, and its data is gone"), nil
	case m.Learner:
		return j.diff(adding, "it has no vote yet"), nil
	case !data && len(m.ClientURLs) > 0:
		return j.diff(replacing, "the cluster knows it, and its data is gone"), nil
	case joining:
		return j.diff(adding, "an earlier run has begun it"), nil
	case own["unit"] != "active" && data && j.another(ctx, h, own["wal"], m.ID):
		return j.diff(replacing, "the data on its host is another member's, and etcd lets that one in no more"), nil
	case own["unit"] != "active" && data:
		// Before any other is restarted, who has stopped runs again.
		return plan.Diff{{Verb: "start", Subject: "etcd member " + j.Self.Name, Detail: "it has stopped, and the others run", Data: starting}}, nil
	}
	return nil, nil
}

// another reports whether the log on the host is of another member than the one that the cluster knows: of
// one that was removed before this one was added. A log that cannot be read says nothing.
func (j Join) another(ctx context.Context, h *plan.Host, wal string, id uint64) bool {
	if !strings.HasPrefix(wal, j.Member.Etcd.DataDir+"/member/wal/") {
		return false
	}
	head, err := h.Run(ctx, "head", "-c", strconv.Itoa(etcd.WALHead), wal)
	if err != nil {
		return false
	}
	found, err := etcd.ParseWAL(head)
	return err == nil && found.Member != id
}

// strays are the members that nobody described, by name or address.
func (j Join) strays(list []etcdclient.Member) []string {
	var names []string
	for _, m := range list {
		known := slices.ContainsFunc(append(slices.Clone(j.Peers), j.Self), func(p Peer) bool {
			return m.Name == p.Name || slices.Contains(m.PeerURLs, p.peer)
		})
		if !known {
			names = append(names, termsafe.Line(cmp.Or(m.Name, strings.Join(m.PeerURLs, " "))))
		}
	}
	return names
}

// joining is how a member comes into the cluster.
type joining int

const (
	// adding is of one that the cluster does not count yet, or has counted and not
	// seen.
	adding joining = iota + 1
	// replacing is of one that has lost its data, and is removed first.
	replacing
	// starting is of one that has its data and its vote, and does not run.
	starting
)

func (j Join) diff(how joining, why string) plan.Diff {
	c := plan.Change{Verb: "join", Subject: "etcd member " + j.Self.Name, Detail: why, Data: how}
	if how == replacing {
		c.Verb, c.Disruptive = "replace", true
	}
	return plan.Diff{c}
}

// KeptSuffix ends the name of what was put aside: DATADIR/member.kept.
const KeptSuffix = ".kept"

// asideScript stops etcd and puts away what is left of an earlier member, whose
// data is of no use to a new one.
//
//go:embed scripts/aside.sh
var asideScript string

// learners came with etcd 3.4.
func (j Join) learners() bool { return j.Member.Etcd.Version.Has(quorate.EtcdLearners) }

// Apply adds the member, as a learner if etcd has them, so that it weighs nothing
// in votes until it has caught up; starts it; and makes it a voter. One that has
// lost its data is removed first, if the others can do without it: else it is a
// *QuorumError.
func (j Join) Apply(ctx context.Context, h *plan.Host, d plan.Diff) error {
	if slices.Contains(plan.DataOf[joining](d), starting) {
		if err := j.bring(ctx, h); err != nil {
			return err
		}
		return j.promote(ctx, h)
	}
	if slices.Contains(plan.DataOf[joining](d), replacing) {
		if err := j.remove(ctx, h); err != nil {
			return err
		}
	}
	if err := j.join(ctx, h); err != nil {
		return err
	}
	if err := j.promote(ctx, h); err != nil {
		return err
	}
	if err := h.Remove(ctx, etcd.JoinPath); err != nil {
		return err
	}
	_, err := h.Run(ctx, "systemctl", "daemon-reload")
	return err
}

// join adds the member and has it run. All that it starts with is in place
// before it is added: without learners two members may need it to act at all,
// and then no member could be reached any more.
func (j Join) join(ctx context.Context, h *plan.Host) error {
	list, err := j.list(ctx, h)
	if err != nil {
		return j.bring(ctx, h)
	}
	m, added := j.find(list)
	if !added {
		if _, err := h.Script(ctx, asideScript, map[string]string{"DATA_DIR": j.Member.Etcd.DataDir}); err != nil {
			return err
		}
		if err := j.prepare(ctx, h, list); err != nil {
			return err
		}
		if err := j.add(ctx, h); err != nil {
			return err
		}
	} else if m.Name == "" { // it has never run: only then does it matter how it starts
		if err := j.prepare(ctx, h, list); err != nil {
			return err
		}
	}
	return j.bring(ctx, h)
}

// add calls the others alone: the member itself cannot answer yet. Without
// learners the new member counts before it runs, and the majority of one more
// has to hold without it.
func (j Join) add(ctx context.Context, h *plan.Host) error {
	return j.ask(h, false, func(client *etcdclient.Client) error { return j.addBy(ctx, h, client) })
}

func (j Join) addBy(ctx context.Context, h *plan.Host, client *etcdclient.Client) error {
	if !j.learners() {
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		// A cluster of one has to go this way; etcd permits it too.
		if majority := (s.Voters()+1)/2 + 1; s.Healthy() < majority && s.Voters() > 1 {
			return fmt.Errorf("etcd member %s is not added: %d of %d others are healthy, and it would take %d until it runs: %w",
				j.Self.Name, s.Healthy(), s.Voters(), majority, s.Err())
		}
	}
	for {
		_, err := client.AddMember(ctx, j.learners(), j.Self.peer)
		if !etcdclient.Settling(err) {
			return err
		}
		h.Report("etcd wants its members connected for a while: %v", err)
		if !poll.Wait(ctx, etcdPoll) {
			return err
		}
	}
}

// prepare puts in place what the member is started with as one that joins. What
// runs with another list of members would never come up.
func (j Join) prepare(ctx context.Context, h *plan.Host, list []etcdclient.Member) error {
	m := j.Member
	m.Peers = nil
	for _, one := range list {
		p, err := j.peerOf(one)
		if err != nil {
			return err
		}
		m.Peers = append(m.Peers, p)
	}
	if !slices.ContainsFunc(m.Peers, func(p etcd.Peer) bool { return p.Name == m.Name }) {
		m.Peers = append(m.Peers, etcd.Peer{Name: m.Name, Address: m.Addresses[0]})
	}
	file, err := m.JoinFile()
	if err != nil {
		return err
	}
	diff, err := h.DiffFiles(ctx, file)
	if err != nil || len(diff) == 0 {
		return err
	}
	if _, err := h.Script(ctx, stopMember, nil); err != nil {
		return err
	}
	return h.WriteFiles(ctx, file)
}

//go:embed scripts/stop.sh
var stopMember string

//go:embed scripts/restart.sh
var restartMember string

// bring has the unit run.
func (j Join) bring(ctx context.Context, h *plan.Host) error {
	diff, err := j.Deploy.Check(ctx, h)
	if err != nil || len(diff) == 0 {
		return err
	}
	return j.Deploy.Apply(ctx, h, diff)
}

// promote waits until the member is healthy and has its vote.
func (j Join) promote(ctx context.Context, h *plan.Host) error {
	return j.ask(h, true, func(client *etcdclient.Client) error { return j.promoteBy(ctx, h, client) })
}

func (j Join) promoteBy(ctx context.Context, h *plan.Host, client *etcdclient.Client) error {
	var last error
	for {
		s, err := client.Status(ctx)
		if err != nil {
			return errors.Join(last, err)
		}
		m, ok := j.find(s.Members)
		own := s.Endpoints[len(s.Endpoints)-1]
		switch {
		case !ok:
			last = fmt.Errorf("etcd member %s is not among the members: %w", j.Self.Name, errors.Join(own.Err, s.Err()))
		case m.Learner && (!own.Answered || own.ID != m.ID):
			// etcd goes by what the leader last heard, which may be of a disk that is gone.
			last = errors.Join(fmt.Errorf("etcd member %s does not answer, and gets no vote", j.Self.Name), own.Err)
		case m.Learner && behind(s, own):
			h.Report("etcd member %s catches up", j.Self.Name)
		case m.Learner:
			h.Report("etcd member %s has caught up", j.Self.Name)
			if last = client.PromoteMember(ctx, m.ID); last != nil && !etcdclient.NotReady(last) && ctx.Err() == nil {
				h.Report("%v", last)
			}
		case own.Healthy && m.Name != "":
			return nil
		default:
			last = own.Err
		}
		if !poll.Wait(ctx, etcdPoll) {
			return errors.Join(last, ctx.Err())
		}
	}
}

// maxBehind is how many entries of the log a member may lack that is to vote: what a busy
// cluster writes in a second or two.
const maxBehind = 1000

// behind reports whether a member lacks more of the log than that.
func behind(s etcdclient.Status, own etcdclient.EndpointStatus) bool {
	newest := uint64(0)
	for _, e := range s.Endpoints {
		newest = max(newest, e.AppliedIndex)
	}
	return newest > own.AppliedIndex+maxBehind
}

// Describe returns the members, and what the new one is started with.
func (j Join) Describe() plan.Description {
	d := j.Deploy.Describe()
	d.Kind, d.Unchecked, d.Files = "quorate/etcd-join", d.Files, nil
	d.Inputs = append(d.Inputs, j.describe(d.Kind).Inputs...)
	return d
}

// Commands starts the unit.
func (j Join) Commands(context.Context, *plan.Host, plan.Diff) ([]plan.Command, error) {
	return []plan.Command{{Argv: []string{"systemctl", "daemon-reload"}}, {Argv: []string{"systemctl", "start", "--no-block", etcd.UnitName}}}, nil
}

// Prefetch returns the script.
func (j Join) Prefetch() plan.Prefetch {
	return plan.Prefetch{Queries: []transport.Query{j.state()}}
}

// Backup finds no way back: a member that has left may not come back as it was.
func (j Join) Backup(context.Context, *plan.Host, plan.Diff, string) error {
	return &plan.IrreversibleError{Reason: "the member has joined etcd; a reset of the node removes it"}
}

// Undo is never called.
func (j Join) Undo(context.Context, *plan.Host, string) error { return nil }
