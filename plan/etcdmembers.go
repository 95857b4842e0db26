package plan

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
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// etcdPeer is a member of the description, whether systemd or kubeadm runs it.
type etcdPeer struct{ name, client, peer string }

func etcdPeers(c quorate.Cluster) []etcdPeer {
	scheme := "https"
	if c.Etcd.PlainHTTP {
		scheme = "http"
	}
	at := func(n quorate.Node, port int) string {
		return scheme + "://" + net.JoinHostPort(n.Address().String(), strconv.Itoa(port))
	}
	var out []etcdPeer
	for _, n := range c.ControlPlanes() {
		out = append(out, etcdPeer{n.Name, at(n, c.Etcd.ClientPort), at(n, c.Etcd.PeerPort)})
	}
	return out
}

// others are what a member's fate is decided by: all members of the description
// but this one, which may be gone, or wrong about what it is part of.
type others struct {
	tls   *tls.Config
	self  etcdPeer
	peers []etcdPeer
}

func (r *recipe) othersOf(name string) others {
	o := others{tls: r.etcdTLS}
	for _, p := range etcdPeers(r.c) {
		if p.name == name {
			o.self = p
		} else {
			o.peers = append(o.peers, p)
		}
	}
	return o
}

// ask asks the others by a host's network; with all, the member itself too, as
// the last of the endpoints.
func (o others) ask(h *Host, all bool, do func(*etcdclient.Client) error) error {
	var endpoints []string
	for _, p := range o.peers {
		endpoints = append(endpoints, p.client)
	}
	if all {
		endpoints = append(endpoints, o.self.client)
	}
	client, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: o.tls, Dial: h.DialContext, Timeout: etcdPatience})
	if err != nil {
		return err
	}
	return errors.Join(do(client), client.Close())
}

// find looks for the member by its name and, since one that was never started
// has none, by where it is reached.
func (o others) find(list []etcdclient.Member) (etcdclient.Member, bool) {
	i := slices.IndexFunc(list, func(m etcdclient.Member) bool {
		return m.Name == o.self.name || m.Name == "" && slices.Contains(m.PeerURLs, o.self.peer)
	})
	if i < 0 {
		return etcdclient.Member{}, false
	}
	return list[i], true
}

// list is what a majority knows.
func (o others) list(ctx context.Context, h *Host) (list []etcdclient.Member, err error) {
	err = o.ask(h, false, func(client *etcdclient.Client) (err error) {
		list, err = client.Members(ctx)
		return err
	})
	return list, err
}

func (o others) describe() Description {
	texts := []string{o.self.name, o.self.client, o.self.peer}
	for _, p := range o.peers {
		texts = append(texts, p.name, p.client, p.peer)
	}
	return Description{Inputs: []quorate.Content{input(texts...)}}
}

// QuorumError refuses to take a member out of etcd, because those that would be
// left could not act: fewer than a majority of them are healthy. Nothing has been
// changed.
type QuorumError struct {
	// Member that was to go.
	Member string
	// Voters would be left, of which Healthy, by name, answered; it takes
	// Majority of them to act. Voters is 0 if nobody could be asked.
	Voters, Majority int
	Healthy          []string
	// Err joins what was wrong with the others, nil if they are simply too few.
	Err error
}

const quorumAdvice = "bring the other members back first, or reset the whole cluster"

// Error says what would be left, and what to do.
func (e *QuorumError) Error() string {
	var b strings.Builder
	switch {
	case e.Voters == 0 && e.Err != nil:
		fmt.Fprintf(&b, "etcd member %s stays: no majority of etcd answers without it", e.Member)
	case e.Voters == 0:
		fmt.Fprintf(&b, "etcd member %s stays: it is the last", e.Member)
	default:
		fmt.Fprintf(&b, "etcd member %s stays: of the %d that would be left %d are healthy (%s), and it takes %d",
			e.Member, e.Voters, len(e.Healthy), strings.Join(e.Healthy, ", "), e.Majority)
	}
	b.WriteString(": " + quorumAdvice)
	if e.Err != nil {
		b.WriteString("\n" + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives what was wrong with the others.
func (e *QuorumError) Unwrap() error { return e.Err }

// spares judges whether those that would be left can do without the members that
// go, one after another in this order.
func spares(s etcdclient.Status, going ...etcdclient.Member) error {
	gone := map[uint64]bool{}
	for _, m := range going {
		gone[m.ID] = true
		if m.Learner {
			continue
		}
		e := &QuorumError{Member: m.Name, Err: s.Err()}
		for _, v := range s.Members {
			if v.Learner || gone[v.ID] {
				continue
			}
			e.Voters++
			if slices.ContainsFunc(s.Endpoints, func(at etcdclient.EndpointStatus) bool { return at.Healthy && at.ID == v.ID }) {
				e.Healthy = append(e.Healthy, v.Name)
			}
		}
		e.Majority = e.Voters/2 + 1
		if e.Voters == 0 || len(e.Healthy) < e.Majority {
			return e
		}
	}
	return nil
}

// removeMember takes a member out of etcd, if the others can act without it.
type removeMember struct{ others }

// Check asks the others whether they know the member.
func (r removeMember) Check(ctx context.Context, h *Host) (Diff, error) {
	list, err := r.list(ctx, h)
	if err != nil {
		return nil, err
	}
	m, ok := r.find(list)
	if !ok {
		return nil, nil
	}
	return Diff{{Verb: "remove", Subject: "etcd member " + r.self.name, Detail: fmt.Sprintf("%x of %d", m.ID, len(list))}}, nil
}

// Apply asks for everybody's health in the moment before: a *QuorumError if it
// is not enough.
func (r removeMember) Apply(ctx context.Context, h *Host, _ Diff) error { return r.remove(ctx, h) }

func (o others) remove(ctx context.Context, h *Host) error {
	return o.ask(h, false, func(client *etcdclient.Client) error { return o.removeBy(ctx, h, client) })
}

func (o others) removeBy(ctx context.Context, h *Host, client *etcdclient.Client) error {
	s, err := client.Status(ctx)
	if err != nil {
		return err
	}
	if !s.Quorum() {
		return &QuorumError{Member: o.self.name, Err: s.Err()}
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
func (o others) handOver(ctx context.Context, h *Host, s etcdclient.Status) error {
	able := slices.DeleteFunc(slices.Clone(s.Endpoints), func(e etcdclient.EndpointStatus) bool { return !e.Healthy || e.Learner })
	if len(able) == 0 {
		return errors.New("nobody else could lead etcd")
	}
	to := able[max(0, slices.IndexFunc(able, func(e etcdclient.EndpointStatus) bool { return e.Name == h.Name }))]
	h.Report("handing over etcd's leadership to %s", to.Name)
	return o.ask(h, true, func(client *etcdclient.Client) error { return client.MoveLeader(ctx, to.ID) })
}

// Describe gives the members.
func (r removeMember) Describe() Description { return r.describe() }

// joinMember brings a member into a cluster that runs without it: one whose host
// is new, was reset, or has lost its disk. Where no cluster answers there is
// nothing to join, and the members come into being together.
type joinMember struct {
	others
	member etcd.Member
	deploy Deploy
}

// memberScript tells how this host's member stands. $1 is its data directory,
// $2 the drop-in of one that joins.
const memberScript = `# how does this host's member of etcd stand?
if [ -n "$(ls -A "$1/member" 2>/dev/null)" ]; then echo data=yes; fi
if [ -e "$2" ]; then echo joining=yes; fi
echo "unit=$(systemctl is-active etcd.service 2>/dev/null)"
`

// Check asks the others whether they are a cluster without the member, unless it
// runs: etcd itself ends one that has been removed. A member that the cluster
// knows to have run, and whose data is gone, is a new one too.
func (j joinMember) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Script(ctx, memberScript, j.member.Etcd.DataDir, etcd.JoinPath)
	if err != nil {
		return nil, err
	}
	own := fields(out)
	joining, data := own["joining"] == "yes", own["data"] == "yes"
	if len(j.peers) == 0 || own["unit"] == "active" && !joining {
		return nil, nil
	}
	list, err := j.list(ctx, h)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	m, ok := j.find(list)
	switch {
	case err != nil && !joining:
		return nil, nil // nobody to join; etcd-health says who does not answer
	case err != nil:
		return j.diff(verbJoin, "an earlier run has begun it, and the others wait for it"), nil //nolint:nilerr // they cannot answer before it runs
	case !ok:
		return j.diff(verbJoin, "the cluster runs without it"), nil
	case m.Name == "":
		return j.diff(verbJoin, "it has been added and not started"), nil
	case m.Learner:
		return j.diff(verbJoin, "it has no vote yet"), nil
	case !data && len(m.ClientURLs) > 0:
		return j.diff(verbReplace, "the cluster knows it, and its data is gone"), nil
	case joining:
		return j.diff(verbJoin, "an earlier run has begun it"), nil
	}
	return nil, nil
}

const (
	verbJoin    = "join"
	verbReplace = "replace"
)

func (j joinMember) diff(verb, why string) Diff {
	return Diff{{Verb: verb, Subject: "etcd member " + j.self.name, Detail: why, Disruptive: verb == verbReplace}}
}

// keptSuffix ends the name of what was put aside: DATADIR/member.kept.
const keptSuffix = ".kept"

// asideScript stops etcd and puts away what is left of an earlier member, whose
// data is of no use to a new one. $1 is the data directory; it stays where it
// is, since it may be a disk of its own.
const asideScript = `# put the data of an earlier etcd member aside
set -e
if [ -e /etc/systemd/system/etcd.service ]; then systemctl stop etcd.service; fi
if ! [ -e "$1/member" ]; then exit 0; fi
rm -rf "$1/member.kept"
mv "$1/member" "$1/member.kept"
`

// learners came with etcd 3.4.
func (j joinMember) learners() bool { return j.member.Etcd.Version.AtLeast(3, 4) }

// Apply adds the member, as a learner if etcd has them, so that it weighs nothing
// in votes until it has caught up; starts it; and gives it its vote. One that has
// lost its data is removed first, if the others can do without it: else it is a
// *QuorumError.
func (j joinMember) Apply(ctx context.Context, h *Host, d Diff) error {
	if d[0].Verb == verbReplace {
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
// and then nobody could be asked any more.
func (j joinMember) join(ctx context.Context, h *Host) error {
	list, err := j.list(ctx, h)
	if err != nil {
		return j.bring(ctx, h)
	}
	m, added := j.find(list)
	if !added {
		if _, err := h.Script(ctx, asideScript, j.member.Etcd.DataDir); err != nil {
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

// add asks the others alone: the member itself cannot speak yet. Without
// learners the new member counts before it runs, and the majority of one more
// has to stand without it.
func (j joinMember) add(ctx context.Context, h *Host) error {
	return j.ask(h, false, func(client *etcdclient.Client) error { return j.addBy(ctx, h, client) })
}

func (j joinMember) addBy(ctx context.Context, h *Host, client *etcdclient.Client) error {
	if !j.learners() {
		s, err := client.Status(ctx)
		if err != nil {
			return err
		}
		// A cluster of one has to go this way; etcd permits it too.
		if majority := (s.Voters()+1)/2 + 1; s.Healthy() < majority && s.Voters() > 1 {
			return fmt.Errorf("etcd member %s is not added: %d of %d others are healthy, and it would take %d until it runs: %w",
				j.self.name, s.Healthy(), s.Voters(), majority, s.Err())
		}
	}
	for {
		_, err := client.AddMember(ctx, j.learners(), j.self.peer)
		if !etcdclient.Settling(err) {
			return err
		}
		h.Report("etcd wants its members connected for a while: %v", err)
		if !wait(ctx, etcdPoll) {
			return err
		}
	}
}

// prepare puts in place what the member is started with as one that joins. What
// runs with another list of members would never come up.
func (j joinMember) prepare(ctx context.Context, h *Host, list []etcdclient.Member) error {
	m := j.member
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
	diff, err := fileDiff(ctx, h, []quorate.File{file})
	if err != nil || len(diff) == 0 {
		return err
	}
	if _, err := h.Script(ctx, stopMember); err != nil {
		return err
	}
	return h.Write(ctx, asTransport([]quorate.File{file})...)
}

const stopMember = `# stop etcd
if [ -e /etc/systemd/system/etcd.service ]; then systemctl stop etcd.service; fi
`

// bring has the unit run.
func (j joinMember) bring(ctx context.Context, h *Host) error {
	diff, err := j.deploy.Check(ctx, h)
	if err != nil || len(diff) == 0 {
		return err
	}
	return j.deploy.Apply(ctx, h, diff)
}

// peerOf is a member as the flag initial-cluster has it. What has not started yet
// has its name from the description or, since etcd goes by the URL, a made-up one.
func (o others) peerOf(m etcdclient.Member) (etcd.Peer, error) {
	if len(m.PeerURLs) != 1 {
		return etcd.Peer{}, fmt.Errorf("etcd member %q (%x) has %d peer URLs: want one", m.Name, m.ID, len(m.PeerURLs))
	}
	name := m.Name
	for _, p := range append(slices.Clone(o.peers), o.self) {
		if name == "" && p.peer == m.PeerURLs[0] {
			name = p.name
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

// promote waits until the member is healthy and has its vote.
func (j joinMember) promote(ctx context.Context, h *Host) error {
	return j.ask(h, true, func(client *etcdclient.Client) error { return j.promoteBy(ctx, h, client) })
}

func (j joinMember) promoteBy(ctx context.Context, h *Host, client *etcdclient.Client) error {
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
			last = fmt.Errorf("etcd member %s is not among the members: %w", j.self.name, errors.Join(own.Err, s.Err()))
		case m.Learner:
			h.Report("etcd member %s catches up", j.self.name)
			if last = client.PromoteMember(ctx, m.ID); last != nil && !etcdclient.NotReady(last) && ctx.Err() == nil {
				h.Report("%v", last)
			}
		case own.Healthy && m.Name != "":
			return nil
		default:
			last = own.Err
		}
		if !wait(ctx, etcdPoll) {
			return errors.Join(last, ctx.Err())
		}
	}
}

// Describe gives the members, and what the new one is started with.
func (j joinMember) Describe() Description {
	d := j.deploy.Describe()
	d.Unchecked, d.Files = d.Files, nil
	d.Inputs = append(d.Inputs, j.describe().Inputs...)
	return d
}

// Commands starts the unit.
func (j joinMember) Commands(context.Context, *Host, Diff) ([]Command, error) {
	return []Command{command("systemctl", "daemon-reload"), command("systemctl", "start", "--no-block", etcd.UnitName)}, nil
}
