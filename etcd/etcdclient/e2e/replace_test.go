package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// A member that has lost its data is removed and comes back as a new one, a
// learner until it has caught up; the others serve all the while.
func TestReplaceMember(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	c := newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})
	before, err := c.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, before, 3)

	lost := servers[0]
	lost.kill(t)
	require.NoError(t, os.RemoveAll(lost.member.Etcd.DataDir))
	require.NoError(t, c.RemoveMember(t.Context(), before[0].ID))
	require.Error(t, c.RemoveMember(t.Context(), before[0].ID), "it is gone")
	require.Equal(t, []int{2, 2, 2}, counts(t, c))

	var added etcdclient.Member
	require.Eventually(t, func() bool {
		var err error
		added, err = c.AddMember(t.Context(), true, lost.member.PeerURL())
		require.True(t, err == nil || etcdclient.Settling(err), "%v", err)
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	require.Empty(t, added.Name, "it has not been started")
	require.NotEqual(t, before[0].ID, added.ID)
	_, err = c.AddMember(t.Context(), true, lost.member.PeerURL())
	require.ErrorContains(t, err, "already exist") // the ID within the same second, then the URL
	require.True(t, etcdclient.NotReady(c.PromoteMember(t.Context(), added.ID)), "nothing runs there yet")
	require.Equal(t, []int{2, 2, 2}, counts(t, c), "a learner has no vote")

	lost.member.State = etcd.Existing
	ready := lost.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case <-ready:
	case <-ctx.Done():
		require.FailNow(t, "a learner never reports that it is ready")
	}
	require.Eventually(t, func() bool {
		err := c.PromoteMember(t.Context(), added.ID)
		require.True(t, err == nil || etcdclient.NotReady(err), "%v", err)
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	require.Eventually(t, func() bool { return status(t, c).Healthy() == 3 }, 30*time.Second, 50*time.Millisecond)
	require.Equal(t, []int{3, 3, 2}, counts(t, c))

	// It goes on with the flags of a new cluster.
	lost.kill(t)
	lost.member.State = etcd.New
	<-lost.start(t)
	require.Eventually(t, func() bool { return status(t, c).Healthy() == 3 }, 30*time.Second, 50*time.Millisecond)
}

// Leadership goes to the member that was named, and nobody has to be elected for want of a
// leader: the term is the next, and every member answers at once.
func TestMoveLeadership(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	c := newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})
	before := status(t, c)
	leader, ok := before.Leader()
	require.True(t, ok)
	for _, m := range before.Members {
		if m.ID == leader.ID {
			continue
		}
		require.NoError(t, c.MoveLeader(t.Context(), m.ID))
		s := status(t, c)
		require.NoError(t, s.Err())
		now, ok := s.Leader()
		require.True(t, ok)
		require.Equal(t, m.Name, now.Name)
	}
	require.Equal(t, before.Endpoints[0].Term+2, status(t, c).Endpoints[0].Term, "an election more than asked for")
	require.Error(t, c.MoveLeader(t.Context(), 4711), "no such member")
}

// What needs a majority says so without one.
func TestNoChangeWithoutMajority(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	c := newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})
	list, err := c.Members(t.Context())
	require.NoError(t, err)
	servers[0].kill(t)
	servers[1].kill(t)
	_, err = c.Members(t.Context())
	var one *etcdclient.EndpointError
	require.ErrorAs(t, err, &one)
	require.ErrorContains(t, err, "needs a majority")
	require.Error(t, c.RemoveMember(t.Context(), list[0].ID))
}

func counts(t *testing.T, c *etcdclient.Client) []int {
	t.Helper()
	s := status(t, c)
	return []int{s.Healthy(), s.Voters(), s.Majority()}
}

// A member whose host was gone while it was removed ends by itself when the host comes back with its data:
// the others do not let it in, their quorum is their own, and it answers nobody.
func TestReturnOfARemovedMember(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	c := newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})
	before, err := c.Members(t.Context())
	require.NoError(t, err)
	gone := servers[0]
	gone.kill(t)
	logs, err := filepath.Glob(filepath.Join(gone.member.Etcd.DataDir, "member", "wal", "*.wal"))
	require.NoError(t, err)
	head, err := os.ReadFile(logs[0])
	require.NoError(t, err)
	own, err := etcd.ParseWAL(head[:etcd.WALHead])
	require.NoError(t, err)
	i := slices.IndexFunc(before, func(m etcdclient.Member) bool { return m.Name == gone.member.Name })
	require.Equal(t, before[i].ID, own.Member, "its log is its own")
	require.NoError(t, c.RemoveMember(t.Context(), before[i].ID))
	require.Equal(t, []int{2, 2, 2}, counts(t, c))

	gone.start(t)
	ended := make(chan struct{})
	go func() {
		_ = gone.cmd.Wait() // with whichever status it ends
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		require.FailNow(t, "a member that was removed goes on running")
	}
	require.Contains(t, gone.output.String(), "removed")
	require.Equal(t, []int{2, 2, 2}, counts(t, c))
	list, err := c.Members(t.Context())
	require.NoError(t, err)
	require.Len(t, list, 2)
}
