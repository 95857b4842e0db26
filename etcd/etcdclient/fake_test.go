package etcdclient_test

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// fakes are members reached by the address in their endpoint, in memory.
type fakes map[string]*fake

// fake is a member that speaks etcd's protocol and answers what the test sets.
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
	// version of the member, 3.6.16 if empty; old ones do not know every call.
	version string
	// snapshot is sent in these pieces; then, if it is set, the stream fails with
	// snapshotErr, or hangs.
	snapshot      []*pb.SnapshotResponse
	snapshotErr   error
	snapshotHangs bool
	// done are the changes that were asked for.
	mu   sync.Mutex
	done []string
}

func (f *fake) did(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, fmt.Sprintf(format, args...))
}

// since refuses a call as a release before 3.MINOR does.
func (f *fake) since(minor int) error {
	var own int
	if _, err := fmt.Sscanf(f.version, "3.%d", &own); err == nil && own < minor {
		return status.Error(codes.Unimplemented, "unknown method")
	}
	return nil
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
// starts with "hang".
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
		Header: f.header(), Version: cmp.Or(f.version, "3.6.16"), StorageVersion: "3.6.0", DbSize: 4096, DbSizeInUse: 1024, Leader: f.leader,
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
	if f.noQuorum {
		return nil, rpctypes.ErrGRPCNoLeader
	}
	if r.Action == pb.AlarmRequest_DEACTIVATE {
		f.did("disarm %s %d", r.Alarm, r.MemberID)
	}
	return &pb.AlarmResponse{Header: f.header(), Alarms: f.alarms}, nil
}

func (f *fake) MoveLeader(_ context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if err := f.since(3); err != nil {
		return nil, err
	}
	if f.leader != f.id {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	if r.TargetID > 3 {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	f.movedTo.Store(r.TargetID)
	return &pb.MoveLeaderResponse{Header: f.header()}, nil
}

func (f *fake) MemberAdd(_ context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	f.did("add %v %t", r.PeerURLs, r.IsLearner)
	return &pb.MemberAddResponse{Header: f.header(), Member: &pb.Member{ID: 9, PeerURLs: r.PeerURLs, IsLearner: r.IsLearner && f.since(4) == nil}}, nil
}

func (f *fake) MemberPromote(context.Context, *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	return &pb.MemberPromoteResponse{Header: f.header()}, f.since(4)
}

func (f *fake) Compact(_ context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error) {
	if r.Revision <= 10 {
		return nil, rpctypes.ErrGRPCCompacted
	}
	f.did("compact %d %t", r.Revision, r.Physical)
	return &pb.CompactionResponse{Header: f.header()}, nil
}

func (f *fake) HashKV(_ context.Context, r *pb.HashKVRequest) (*pb.HashKVResponse, error) {
	if r.Revision > 42 {
		return nil, rpctypes.ErrGRPCFutureRev
	}
	answer := &pb.HashKVResponse{Header: f.header(), Hash: 7, CompactRevision: 5}
	if f.since(5) == nil {
		answer.HashRevision = cmp.Or(r.Revision, 42)
	}
	return answer, f.since(3)
}

func (f *fake) Defragment(context.Context, *pb.DefragmentRequest) (*pb.DefragmentResponse, error) {
	f.did("defragment")
	return &pb.DefragmentResponse{Header: f.header()}, nil
}

func (f *fake) Downgrade(_ context.Context, r *pb.DowngradeRequest) (*pb.DowngradeResponse, error) {
	if err := f.since(5); err != nil {
		return nil, err
	}
	if r.Version == "3.4" {
		return nil, rpctypes.ErrGRPCInvalidDowngradeTargetVersion
	}
	f.did("%s %s", r.Action, r.Version)
	return &pb.DowngradeResponse{Header: f.header(), Version: "3.6.0"}, nil
}

func (f *fake) Snapshot(_ *pb.SnapshotRequest, stream pb.Maintenance_SnapshotServer) error {
	f.did("snapshot")
	for _, piece := range f.snapshot {
		if err := stream.Send(piece); err != nil {
			return err
		}
	}
	if f.snapshotHangs {
		<-stream.Context().Done()
	}
	return f.snapshotErr
}
