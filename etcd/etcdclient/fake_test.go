package etcdclient_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// fakes are members reached by the address in their endpoint, in memory.
type fakes map[string]*fake

// fake is a member that speaks etcd's protocol and says what it is told to.
type fake struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer

	listener *bufconn.Listener
	id       uint64
	leader   uint64
	learner  bool
	// readErr answers linearizable reads; noQuorum leaves them without an answer.
	readErr  error
	noQuorum bool
	// elections is how many reads are dropped because the leader changed.
	elections atomic.Int32
	alarms    []*pb.AlarmMember
	// movedTo is whom the leadership was handed over to.
	movedTo atomic.Uint64
}

// members of every fake cluster. The last is a learner.
var members = []*pb.Member{
	{ID: 3, Name: "cp-3", PeerURLs: []string{"https://10.0.0.3:2380"}, ClientURLs: []string{"https://10.0.0.3:2379"}},
	{ID: 1, Name: "cp-1", PeerURLs: []string{"https://10.0.0.1:2380"}, ClientURLs: []string{"https://10.0.0.1:2379"}},
	{ID: 2, Name: "cp-2", PeerURLs: []string{"https://10.0.0.2:2380"}, ClientURLs: []string{"https://10.0.0.2:2379"}},
	{ID: 4, Name: "cp-4", PeerURLs: []string{"https://10.0.0.4:2380"}, IsLearner: true},
}

// start serves the fakes until the test ends.
func (all fakes) start(t *testing.T) {
	t.Helper()
	for _, f := range all {
		f.listener = bufconn.Listen(1 << 16)
		server := grpc.NewServer()
		pb.RegisterKVServer(server, f)
		pb.RegisterMaintenanceServer(server, f)
		pb.RegisterClusterServer(server, f)
		done := make(chan error, 1)
		go func() { done <- server.Serve(f.listener) }()
		t.Cleanup(func() {
			server.Stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

// dial reaches a fake, refuses an address that has none, and hangs at one that
// begins with "hang".
func (all fakes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if strings.HasPrefix(address, "hang") {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	f, ok := all[address]
	if !ok {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errRefused}
	}
	return f.listener.DialContext(ctx)
}

func (f *fake) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{MemberId: f.id, Revision: 42, RaftTerm: 7}
}

func (f *fake) Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error) {
	if f.noQuorum && !r.Serializable {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if f.elections.Add(-1) >= 0 {
		return nil, rpctypes.ErrGRPCLeaderChanged
	}
	return &pb.RangeResponse{Header: f.header()}, f.readErr
}

func (f *fake) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	return &pb.StatusResponse{
		Header: f.header(), Version: "3.6.16", DbSize: 4096, DbSizeInUse: 1024, Leader: f.leader,
		RaftIndex: 100, RaftTerm: 7, RaftAppliedIndex: 99, IsLearner: f.learner,
	}, nil
}

func (f *fake) MemberList(_ context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	if r.Linearizable && f.noQuorum {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	return &pb.MemberListResponse{Header: f.header(), Members: members}, nil
}

func (f *fake) Alarm(_ context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	if f.noQuorum || r.Action != pb.AlarmRequest_GET {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	return &pb.AlarmResponse{Header: f.header(), Alarms: f.alarms}, nil
}

func (f *fake) MoveLeader(_ context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if f.leader != f.id {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	if r.TargetID > 3 {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	f.movedTo.Store(r.TargetID)
	return &pb.MoveLeaderResponse{Header: f.header()}, nil
}
