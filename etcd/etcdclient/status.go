package etcdclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Status is the answers of the members.
type Status struct {
	// Endpoints in the order of Config.Endpoints.
	Endpoints []EndpointStatus
	// Members of the cluster as one of those that answered knows them, ordered
	// by name; also those without an endpoint. Empty if
	// nobody answered.
	Members []Member
	// Alarms that are raised, ordered by kind and member. A cluster without
	// quorum does not list them.
	Alarms []Alarm
}

// EndpointStatus is what one member said.
type EndpointStatus struct {
	// Endpoint is the URL of the call.
	Endpoint string
	// ID and Name of the member; zero if it did not answer.
	ID   uint64
	Name string
	// Healthy says that the member answered a linearizable read.
	Healthy bool
	// Latency of that read; zero if it failed.
	Latency time.Duration
	// Err is an *EndpointError that says why the member is not healthy, nil
	// if it is.
	Err error
	// Answered says that the member spoke for itself, healthy or not: only
	// then do the fields below mean something.
	Answered bool
	// Version of the etcd that runs there, "3.6.16".
	Version string
	// Leader is the ID of the member that leads, zero if there is none.
	Leader uint64
	// Learner members have no vote.
	Learner bool
	// Revision of the key space.
	Revision int64
	// Term, Index and AppliedIndex of raft.
	Term, Index, AppliedIndex uint64
	// Size of the database file in bytes, and how much of it is in use: the
	// rest is what defragmentation returns.
	Size, SizeInUse int64
}

// Member is one member of the cluster as the cluster knows it.
type Member struct {
	ID uint64
	// Name is empty until the member has started for the first time.
	Name       string
	PeerURLs   []string
	ClientURLs []string
	// Learner members have no vote.
	Learner bool
}

// AlarmKind is what an alarm is about.
type AlarmKind string

const (
	// NoSpace: the quota is used up and etcd takes no more writes until it is
	// compacted, defragmented and the alarm disarmed.
	NoSpace AlarmKind = "NOSPACE"
	// Corrupt: the member's data differs from the others'.
	Corrupt AlarmKind = "CORRUPT"
)

// Alarm is raised by a member and holds the whole cluster.
type Alarm struct {
	Kind AlarmKind
	// MemberID raised it.
	MemberID uint64
}

// EndpointError is why one member is not healthy, or why a call to it
// failed. It unwraps to the reason: an error of etcd, the dialer's own, TLS's, ctx's,
// or an *UnsupportedError.
type EndpointError struct {
	// Endpoint that was called, and the operation.
	Endpoint, Op string
	Err          error
}

// Error says which member, what was tried and what came back, with control
// characters escaped.
func (e *EndpointError) Error() string {
	return termsafe.Indented(fmt.Sprintf("etcd member %s: %s: %s", e.Endpoint, e.Op, e.Err))
}

// EventFields returns what plan/events shows of it beside its text.
func (e *EndpointError) EventFields() map[string]string {
	return map[string]string{"kind": "etcd", "address": e.Endpoint, "tried": e.Op}
}

// Unwrap returns what came back.
func (e *EndpointError) Unwrap() error { return e.Err }

// Healthy is the number of voting members that answered a linearizable read.
// Two endpoints of one member count once.
func (s Status) Healthy() int {
	voters := map[uint64]bool{}
	for _, e := range s.Endpoints {
		if e.Healthy && !e.Learner {
			voters[e.ID] = true
		}
	}
	return len(voters)
}

// Voters is the number of members with a vote; zero if nobody answered.
func (s Status) Voters() int {
	n := 0
	for _, m := range s.Members {
		if !m.Learner {
			n++
		}
	}
	return n
}

// Majority is how many voters it takes to act; zero if nobody answered.
func (s Status) Majority() int {
	if s.Voters() == 0 {
		return 0
	}
	return s.Voters()/2 + 1
}

// Quorum reports whether the cluster could act: whether any member answered a
// linearizable read, for which a majority has to confirm the leader.
func (s Status) Quorum() bool {
	return slices.ContainsFunc(s.Endpoints, func(e EndpointStatus) bool { return e.Healthy })
}

// Spare is how many of the healthy voters may fail before quorum is lost;
// negative if fewer than a majority are healthy. Ask it before stopping one.
func (s Status) Spare() int { return s.Healthy() - s.Majority() }

// Leader is the member that leads by the word of a healthy member; false if
// there is none.
func (s Status) Leader() (Member, bool) {
	for _, e := range s.Endpoints {
		if i := slices.IndexFunc(s.Members, func(m Member) bool { return m.ID == e.Leader }); e.Healthy && i >= 0 {
			return s.Members[i], true
		}
	}
	return Member{}, false
}

// Err joins the errors of the members that are not healthy, in the order of the
// endpoints; nil if all are.
func (s Status) Err() error {
	var all []error
	for _, e := range s.Endpoints {
		all = append(all, e.Err)
	}
	return errors.Join(all...)
}

// Status reads every member at once and takes no longer than twice
// Config.Timeout. Members that fail are part of the answer; the error is only
// that ctx ended first.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s := Status{Endpoints: make([]EndpointStatus, len(c.members))}
	lists := make([][]Member, len(c.members))
	var wait sync.WaitGroup
	for i, m := range c.members {
		wait.Go(func() {
			within, cancel := c.within(ctx)
			defer cancel()
			s.Endpoints[i], lists[i] = m.status(within)
		})
	}
	wait.Wait()
	s.Members = membersOf(s.Endpoints, lists)
	for i, e := range s.Endpoints {
		if at := slices.IndexFunc(s.Members, func(m Member) bool { return e.Answered && m.ID == e.ID }); at >= 0 {
			s.Endpoints[i].Name = s.Members[at].Name
		}
	}
	c.addAlarms(ctx, &s)
	if ctx.Err() != nil {
		return s, fmt.Errorf("ask etcd's members for their status: %w", context.Cause(ctx))
	}
	return s, nil
}

// membersOf takes the word of a healthy member before that of one that may have
// been cut off for long.
func membersOf(endpoints []EndpointStatus, lists [][]Member) []Member {
	for _, healthy := range []bool{true, false} {
		for i, list := range lists {
			if endpoints[i].Healthy == healthy && len(list) > 0 {
				return list
			}
		}
	}
	return nil
}

// status reads what one member knows by itself, and one key by a read that needs
// the others, side by side: without quorum the read takes all the time there
// is. After the read the member has caught up, so its list is read again.
func (m *member) status(ctx context.Context) (EndpointStatus, []Member) {
	s := EndpointStatus{Endpoint: m.endpoint}
	var list []Member
	var latency time.Duration
	var statusErr, readErr error
	var wait sync.WaitGroup
	wait.Go(func() { statusErr = m.own(ctx, &s) })
	wait.Go(func() { list, _ = m.list(ctx) })
	wait.Go(func() { latency, readErr = m.read(ctx) })
	wait.Wait()
	s.Healthy = statusErr == nil && readErr == nil
	switch {
	case statusErr != nil:
		s.Err = statusErr
	case readErr != nil:
		s.Err = readErr
	default:
		s.Latency = latency
	}
	if s.Healthy {
		if fresh, err := m.list(ctx); err == nil {
			list = fresh
		}
	}
	return s, list
}

func (m *member) own(ctx context.Context, s *EndpointStatus) error {
	return m.do(ctx, "ask for its status", func(ctx context.Context, client *clientv3.Client) error {
		r, err := maintenance(client).Status(ctx, m.endpoint)
		if err != nil {
			return err
		}
		s.Answered = true
		s.ID, s.Version, s.Leader, s.Learner = r.Header.GetMemberId(), r.Version, r.Leader, r.IsLearner
		s.Revision, s.Term, s.Index, s.AppliedIndex = r.Header.GetRevision(), r.RaftTerm, r.RaftIndex, r.RaftAppliedIndex
		s.Size, s.SizeInUse = r.DbSize, r.DbSizeInUse
		return nil
	})
}

// read does what etcdctl's endpoint health does. A refusal for want of
// permission has passed through raft as well as an answer has. A read that an
// election caught is dropped by the member without waiting for the new leader:
// it is sent again, and the wait for the leader is part of its latency.
func (m *member) read(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	err := m.do(ctx, "linearizable read, which needs a majority", func(ctx context.Context, client *clientv3.Client) error {
		for {
			_, err := client.Get(ctx, "health", clientv3.WithCountOnly())
			switch {
			case errors.Is(err, rpctypes.ErrLeaderChanged) && pause(ctx):
				continue
			case errors.Is(err, rpctypes.ErrPermissionDenied):
				return nil
			}
			return err
		}
	})
	return time.Since(began), err
}

// electionPoll is the time between two reads while a leader is elected, a
// heartbeat of etcd's own settings.
const electionPoll = 100 * time.Millisecond

// pause waits before another read, and reports whether ctx let it.
func pause(ctx context.Context) bool {
	t := time.NewTimer(electionPoll)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// list is the member's own knowledge, which it has without the others too.
func (m *member) list(ctx context.Context) ([]Member, error) {
	var out []Member
	err := m.do(ctx, "list the members", func(ctx context.Context, client *clientv3.Client) error {
		r, err := client.MemberList(ctx, clientv3.WithSerializable())
		if err != nil {
			return err
		}
		for _, one := range r.Members {
			out = append(out, memberOf(one))
		}
		slices.SortFunc(out, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
		return nil
	})
	return out, err
}

// addAlarms reads the first member that answers. Alarms go through raft, so it
// is a healthy one, or one whose data is refused as corrupt; should it fail
// now, it is no longer healthy.
func (c *Client) addAlarms(ctx context.Context, s *Status) {
	i := slices.IndexFunc(s.Endpoints, func(e EndpointStatus) bool {
		return e.Healthy || errors.Is(e.Err, rpctypes.ErrCorrupt)
	})
	if i < 0 {
		return
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	if s.Alarms, s.Endpoints[i].Err = c.members[i].alarms(ctx, s.Endpoints[i].Err); s.Endpoints[i].Err != nil {
		s.Endpoints[i].Healthy, s.Endpoints[i].Latency = false, 0
	}
}

// alarms are those that are raised, ordered by kind and member.
func (m *member) alarms(ctx context.Context, known error) ([]Alarm, error) {
	var out []Alarm
	err := m.do(ctx, "list alarms", func(ctx context.Context, client *clientv3.Client) error {
		r, err := client.AlarmList(ctx)
		if err != nil {
			return err
		}
		for _, a := range r.Alarms {
			out = append(out, Alarm{Kind: AlarmKind(a.Alarm.String()), MemberID: a.MemberID})
		}
		slices.SortFunc(out, func(a, b Alarm) int {
			return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), cmp.Compare(a.MemberID, b.MemberID))
		})
		return nil
	})
	if err == nil {
		err = known
	}
	return out, err
}
