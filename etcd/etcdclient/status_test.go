package etcdclient_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.uber.org/goleak"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/tier"
)

var errRefused = errors.New("refused in this test")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// three healthy members, the second of which leads.
func three() fakes {
	return fakes{
		"10.0.0.1:2379": {id: 1, leader: 2},
		"10.0.0.2:2379": {id: 2, leader: 2},
		"10.0.0.3:2379": {id: 3, leader: 2},
	}
}

var endpoints = []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"}

func ask(t *testing.T, all fakes, endpoints []string, timeout time.Duration) etcdclient.Status {
	t.Helper()
	all.start(t)
	c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, Dial: all.dial, Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	return s
}

func TestEveryMemberHealthy(t *testing.T) {
	all := three()
	all["10.0.0.1:2379"].alarms = []*pb.AlarmMember{
		{MemberID: 3, Alarm: pb.AlarmType_NOSPACE}, {MemberID: 2, Alarm: pb.AlarmType_NOSPACE}, {MemberID: 1, Alarm: pb.AlarmType_CORRUPT},
	}
	s := ask(t, all, endpoints, time.Minute)
	require.NoError(t, s.Err())
	require.True(t, s.Quorum())
	require.Equal(t, []int{3, 3, 2, 1}, []int{s.Healthy(), s.Voters(), s.Majority(), s.Spare()})
	leader, ok := s.Leader()
	require.True(t, ok)
	require.Equal(t, "cp-2", leader.Name)
	require.Equal(t, []etcdclient.Alarm{{etcdclient.Corrupt, 1}, {etcdclient.NoSpace, 2}, {etcdclient.NoSpace, 3}}, s.Alarms)
	require.Equal(t, []etcdclient.Member{
		{ID: 1, Name: "cp-1", PeerURLs: []string{"https://10.0.0.1:2380"}, ClientURLs: []string{"https://10.0.0.1:2379"}},
		{ID: 2, Name: "cp-2", PeerURLs: []string{"https://10.0.0.2:2380"}, ClientURLs: []string{"https://10.0.0.2:2379"}},
		{ID: 3, Name: "cp-3", PeerURLs: []string{"https://10.0.0.3:2380"}, ClientURLs: []string{"https://10.0.0.3:2379"}},
		{ID: 4, Name: "cp-4", PeerURLs: []string{"https://10.0.0.4:2380"}, Learner: true},
	}, s.Members)
	first := s.Endpoints[0]
	require.Positive(t, first.Latency)
	first.Latency = 0
	require.Equal(t, etcdclient.EndpointStatus{
		Endpoint: "http://10.0.0.1:2379", ID: 1, Name: "cp-1", Healthy: true, Answered: true, Version: "3.6.16", Leader: 2,
		Revision: 42, Term: 7, Index: 100, AppliedIndex: 99, Size: 4096, SizeInUse: 1024,
	}, first)
}

func TestUnreachableMember(t *testing.T) {
	all := three()
	delete(all, "10.0.0.3:2379")
	s := ask(t, all, endpoints, time.Minute)
	require.True(t, s.Quorum())
	require.Equal(t, []int{2, 3, 0}, []int{s.Healthy(), s.Voters(), s.Spare()})
	require.NoError(t, s.Endpoints[0].Err)
	gone := s.Endpoints[2]
	require.False(t, gone.Healthy || gone.Answered)
	var failed *etcdclient.EndpointError
	require.ErrorAs(t, gone.Err, &failed)
	require.Equal(t, "http://10.0.0.3:2379", failed.Endpoint)
	require.ErrorIs(t, gone.Err, errRefused, "the dialer's own error, not only its text")
	require.ErrorContains(t, s.Err(), errRefused.Error())
}

func TestRealHangingMember(t *testing.T) {
	tier.Host(t)
	all := three()
	delete(all, "10.0.0.3:2379")
	begin := time.Now()
	s := ask(t, all, []string{"http://hang:2379", "http://10.0.0.1:2379", "http://10.0.0.2:2379"}, 300*time.Millisecond)
	require.Less(t, time.Since(begin), 3*time.Second)
	require.Equal(t, 2, s.Healthy())
	require.ErrorContains(t, s.Endpoints[0].Err, "http://hang:2379")
}

func TestStatusWithoutQuorum(t *testing.T) {
	s := ask(t, fakes{"10.0.0.1:2379": {id: 1, noQuorum: true}}, endpoints, 300*time.Millisecond)
	require.False(t, s.Quorum())
	require.Equal(t, []int{0, 3, -2}, []int{s.Healthy(), s.Voters(), s.Spare()})
	require.True(t, s.Endpoints[0].Answered)
	require.Equal(t, "cp-1", s.Endpoints[0].Name)
	require.ErrorIs(t, s.Endpoints[0].Err, context.DeadlineExceeded)
	require.ErrorContains(t, s.Endpoints[0].Err, "needs a majority")
	_, ok := s.Leader()
	require.False(t, ok)
}

func TestNoAnswer(t *testing.T) {
	s := ask(t, fakes{}, endpoints, time.Minute)
	require.False(t, s.Quorum())
	require.Equal(t, []int{0, 0, 0}, []int{s.Healthy(), s.Voters(), s.Majority()})
	require.Empty(t, s.Members)
	require.Error(t, s.Err())
}

// A member drops the reads that an election catches; it is healthy all the same
// once there is a leader, and unhealthy with that reason if there is none.
func TestReadDuringAnElection(t *testing.T) {
	all := three()
	all["10.0.0.1:2379"].elections.Store(2)
	s := ask(t, all, endpoints, time.Minute)
	require.NoError(t, s.Err())
	require.GreaterOrEqual(t, s.Endpoints[0].Latency, 200*time.Millisecond)

	all = three()
	all["10.0.0.1:2379"].elections.Store(1 << 20)
	s = ask(t, all, endpoints, 300*time.Millisecond)
	require.Equal(t, 2, s.Healthy())
	require.Error(t, s.Endpoints[0].Err)
}

// A user without the right to read has still had an answer through raft.
func TestPermissionDenied(t *testing.T) {
	all := three()
	all["10.0.0.1:2379"].readErr = rpctypes.ErrGRPCPermissionDenied
	require.Equal(t, 3, ask(t, all, endpoints, time.Minute).Healthy())
}

// With corrupt data every read is refused, and the alarm is what one must see.
func TestCorruptAlarm(t *testing.T) {
	all := three()
	for _, f := range all {
		f.readErr = rpctypes.ErrGRPCCorrupt
		f.alarms = []*pb.AlarmMember{{MemberID: 3, Alarm: pb.AlarmType_CORRUPT}}
	}
	s := ask(t, all, endpoints, time.Minute)
	require.Zero(t, s.Healthy())
	require.Equal(t, []etcdclient.Alarm{{etcdclient.Corrupt, 3}}, s.Alarms)
}

func TestQuorumIgnoresLearners(t *testing.T) {
	all := three()
	all["10.0.0.4:2379"] = &fake{id: 4, leader: 2, learner: true}
	all["192.0.2.1:2379"] = &fake{id: 1, leader: 2}
	s := ask(t, all, append([]string{"http://10.0.0.4:2379", "http://192.0.2.1:2379"}, endpoints...), time.Minute)
	require.NoError(t, s.Err())
	require.Equal(t, []int{3, 3}, []int{s.Healthy(), s.Voters()})
}

// A member that comes back is seen by the Client that saw it gone.
func TestMemberThatRecovers(t *testing.T) {
	all := three()
	all.start(t)
	var up atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if !up.Load() {
			return nil, errRefused
		}
		return all.dial(ctx, network, address)
	}
	c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints[2:], Dial: dial})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, s.Err(), errRefused.Error())
	up.Store(true)
	require.Eventually(t, func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Err() == nil
	}, 30*time.Second, 20*time.Millisecond)
}

func TestStatusEndsWithItsContext(t *testing.T) {
	c, err := etcdclient.New(etcdclient.Config{Endpoints: []string{"http://hang:2379"}, Dial: fakes{}.dial, Timeout: time.Hour})
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	why := errors.New("the user has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err = c.Status(ctx)
	require.ErrorIs(t, err, why)
}

func TestConfigRefusedWithEveryProblem(t *testing.T) {
	_, err := etcdclient.New(etcdclient.Config{
		Endpoints: []string{
			"10.0.0.1:2379", "https://10.0.0.1", "https://10.0.0.1:2379/health", "unix:///run/etcd", "https://user:pw@10.0.0.1:2379",
			"https://[fd00::1]:2379", "http://10.0.0.1:2379", "http://10.0.0.1:2379", "https://10.0.0.1:99999", "https://10.0.0.1:2379?x=1",
		},
		Timeout: -1,
	})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Equal(t, []string{
		"endpoints[0]", "endpoints[1]", "endpoints[2]", "endpoints[3]", "endpoints[4]", "tls", "endpoints[7]", "endpoints[8]", "endpoints[9]", "timeout",
	}, paths)
	require.NotContains(t, err.Error(), "user:pw", "a password in a URL is not repeated")
	_, err = etcdclient.New(etcdclient.Config{})
	require.ErrorContains(t, err, "endpoints: is required")
	c, err := etcdclient.New(etcdclient.Config{Endpoints: []string{"https://[fd00::1]:2379"}, TLS: &tls.Config{}})
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

// The leader is asked, and only the leader.
func TestMoveLeadership(t *testing.T) {
	client := func(all fakes, endpoints []string) *etcdclient.Client {
		all.start(t)
		c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, Dial: all.dial, Timeout: 5 * time.Second})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, c.Close()) })
		return c
	}
	all := three()
	c := client(all, endpoints)
	require.NoError(t, c.MoveLeader(t.Context(), 2), "it leads already")
	require.Zero(t, all["10.0.0.2:2379"].movedTo.Load())
	require.NoError(t, c.MoveLeader(t.Context(), 3))
	require.EqualValues(t, 3, all["10.0.0.2:2379"].movedTo.Load())
	var one *etcdclient.EndpointError
	require.ErrorAs(t, c.MoveLeader(t.Context(), 4), &one, "a learner")
	require.Equal(t, endpoints[1], one.Endpoint)

	require.ErrorContains(t, client(three(), []string{endpoints[0], endpoints[2]}).MoveLeader(t.Context(), 3), "cp-2 (2) leads, and none of the endpoints is its")
	require.ErrorContains(t, client(fakes{}, endpoints).MoveLeader(t.Context(), 3), "nobody leads")
}
