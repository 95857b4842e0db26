package etcdclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Members returns the members of the cluster, ordered by name, by the word of the
// first endpoint that answers a linearizable read: what a majority knows. It
// reads all endpoints at once, and takes as long as the fastest, or at most
// Config.Timeout when none answers; the error then joins an *EndpointError for
// each.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	_, list, err := c.majority(ctx)
	return list, err
}

// AddMember adds a member that peers will reach at these URLs, before it is
// started for the first time. As a learner it has no vote until PromoteMember; else
// it counts for the majority at once, although it does not run yet. The error is an
// *EndpointError: of etcd's own, ErrPeerURLExist or ErrMemberExist when there is such
// a member already, ErrMemberNotEnoughStarted or ErrUnhealthy, which Settling
// reports, when etcd finds that too dangerous; for a learner before etcd 3.4 an
// *UnsupportedError, since such a member would make it a voter.
func (c *Client) AddMember(ctx context.Context, learner bool, peerURLs ...string) (Member, error) {
	var added Member
	err := c.change(ctx, "add member "+strings.Join(peerURLs, ","), func(ctx context.Context, client *clientv3.Client) error {
		add := client.MemberAdd
		if learner {
			add = client.MemberAddAsLearner
			if err := knowsLearners(ctx, client); err != nil {
				return err
			}
		}
		r, err := add(ctx, peerURLs)
		if err == nil {
			added = memberOf(r.Member)
		}
		return err
	})
	return added, err
}

// knowsLearners reads the member's version: before etcd 3.4 a member ignores that the
// new one is to be a learner.
func knowsLearners(ctx context.Context, client *clientv3.Client) error {
	s, err := maintenance(client).Status(ctx, "")
	if err != nil {
		return err
	}
	if major, minor, ok := majorMinor(s.Version); ok && (major < 3 || major == 3 && minor < 4) {
		return &UnsupportedError{Version: s.Version, Since: "3.4"}
	}
	return nil
}

// PromoteMember makes a learner a voter. Until it has caught up with the leader
// the error is an *EndpointError with ErrLearnerNotReady, which NotReady reports;
// before etcd 3.4 with an *UnsupportedError.
func (c *Client) PromoteMember(ctx context.Context, id uint64) error {
	return c.change(ctx, fmt.Sprintf("promote member %x", id), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberPromote(ctx, id)
		return supported(err, "3.4")
	})
}

// RemoveMember removes a member for ever: it stops, and its data is of no use to
// it any more. Whether that leaves a majority, Status says; etcd itself refuses
// only what would lose it at once. The error is an *EndpointError; that there is
// no such member is one too.
func (c *Client) RemoveMember(ctx context.Context, id uint64) error {
	return c.change(ctx, fmt.Sprintf("remove member %x", id), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MemberRemove(ctx, id)
		return err
	})
}

// MoveLeader has the member that leads hand over to another voting member, which
// takes a heartbeat or two; without it an election starts only when the others have
// missed the leader for their election timeout. It calls the leader itself, which must
// be among the endpoints; that the member leads already is no error. The error is an
// *EndpointError, an *UnsupportedError in one before etcd 3.3, or says that nobody
// leads or that no endpoint reaches the leader.
func (c *Client) MoveLeader(ctx context.Context, to uint64) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	leader, ok := s.Leader()
	switch {
	case !ok:
		return errors.Join(errors.New("move etcd's leadership: nobody leads"), s.Err())
	case leader.ID == to:
		return nil
	}
	i := slices.IndexFunc(s.Endpoints, func(e EndpointStatus) bool { return e.Answered && e.ID == leader.ID })
	if i < 0 {
		return fmt.Errorf("move etcd's leadership: %s (%x) leads, and none of the endpoints is its", leader.Name, leader.ID)
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	return c.members[i].do(ctx, fmt.Sprintf("move the leadership to member %x", to), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.MoveLeader(ctx, to)
		return supported(err, "3.3")
	})
}

// Settling reports whether etcd refused a change because its members have not
// been connected to each other for long enough, which takes 5 s after one has
// started: try again.
func Settling(err error) bool { return errors.Is(err, rpctypes.ErrUnhealthy) }

// NotReady reports whether a learner could not be promoted because it has yet to
// catch up: try again.
func NotReady(err error) bool { return errors.Is(err, rpctypes.ErrMemberLearnerNotReady) }

// change calls a member that a majority follows, which forwards to the leader what only
// that one may do. Nothing is tried twice: after an error, Members shows what holds.
func (c *Client) change(ctx context.Context, op string, call func(context.Context, *clientv3.Client) error) error {
	m, _, err := c.majority(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := c.within(ctx)
	defer cancel()
	return m.do(ctx, op, call)
}

// majority finds a member that has quorum, and the list that it has then. Before
// etcd 3.5 lists are each member's own, so the read that goes before is what
// brings it up to date.
func (c *Client) majority(ctx context.Context) (*member, []Member, error) {
	type answer struct {
		m    *member
		list []Member
		err  error
	}
	asked, cancel := c.within(ctx)
	defer cancel()
	answers := make(chan answer, len(c.members))
	for _, m := range c.members {
		go func() {
			a := answer{m: m}
			if _, a.err = m.read(asked); a.err == nil {
				a.list, a.err = m.list(asked)
			}
			answers <- a
		}()
	}
	var failed []error
	for range c.members {
		a := <-answers
		if a.err == nil {
			return a.m, a.list, nil
		}
		failed = append(failed, a.err)
	}
	if ctx.Err() != nil {
		return nil, nil, fmt.Errorf("ask etcd for its members: %w", context.Cause(ctx))
	}
	slices.SortFunc(failed, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return nil, nil, errors.Join(failed...)
}

func memberOf(m *pb.Member) Member {
	return Member{ID: m.GetID(), Name: m.GetName(), PeerURLs: m.GetPeerURLs(), ClientURLs: m.GetClientURLs(), Learner: m.GetIsLearner()}
}
