package plantest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Member is a member of etcd that has been started.
type Member interface {
	// Running reports whether it has ended neither by Stop nor by itself.
	Running() bool
	// Stop ends it and waits until it has ended.
	Stop() error
}

// members are those that were started and not stopped, in the order of their
// starts. They have a lock of their own: simulated ones look at each other while
// one of them is being stopped.
type members struct {
	mu    sync.Mutex
	list  []hosted
	start func(*faketransport.Host) (Member, error)
}

type hosted struct {
	Member
	host string
}

// UseEtcd has systemctl start and stop other members than the simulated ones,
// real servers for example. start begins to run a host's member with the files
// that stand there and does not wait for the other members; it is called for
// one host at a time. Where tunnels then end, Host.HandleDial says. Call it
// before the first member is started.
func (c *Cluster) UseEtcd(start func(*faketransport.Host) (Member, error)) { c.members.start = start }

func (ms *members) add(host string, m Member) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.list = append(ms.list, hosted{m, host})
}

// stop ends one host's member, if it has one.
func (ms *members) stop(host string) error {
	ms.mu.Lock()
	i := slices.IndexFunc(ms.list, func(m hosted) bool { return m.host == host })
	if i < 0 {
		ms.mu.Unlock()
		return nil
	}
	m := ms.list[i]
	ms.list = slices.Delete(ms.list, i, i+1)
	ms.mu.Unlock()
	return m.Stop()
}

// running are those that have not ended.
func (ms *members) running() []hosted {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ms.list), func(m hosted) bool { return !m.Running() })
}

func (ms *members) runs(host string) bool {
	return slices.ContainsFunc(ms.running(), func(m hosted) bool { return m.host == host })
}

// hasQuorum reports whether enough members run.
func (c *Cluster) hasQuorum() bool { return len(c.members.running()) > len(c.c.ControlPlanes())/2 }

// member answers what etcd/etcdclient asks, over mutual TLS, in memory.
type member struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer

	cluster  *Cluster
	name     string
	address  string
	id       uint64
	listener *bufconn.Listener
	server   *grpc.Server
	ended    sync.WaitGroup
	err      error
}

// simulate serves a host's member with the certificates that stand there.
func (h *host) simulate(*faketransport.Host) (Member, error) {
	config, err := h.memberTLS()
	if err != nil {
		return nil, err
	}
	c := h.cluster
	m := &member{
		cluster: c, name: h.node.Name,
		address:  net.JoinHostPort(h.node.Address().String(), strconv.Itoa(c.c.Etcd.ClientPort)),
		listener: bufconn.Listen(1 << 16),
		server:   grpc.NewServer(grpc.Creds(credentials.NewTLS(config))),
	}
	for i, n := range c.c.Nodes {
		if n.Name == m.name {
			m.id = uint64(i) + 1
		}
	}
	pb.RegisterKVServer(m.server, m)
	pb.RegisterMaintenanceServer(m.server, m)
	pb.RegisterClusterServer(m.server, m)
	m.ended.Go(func() { m.err = m.server.Serve(m.listener) })
	return m, nil
}

// Running is true until it is stopped: nothing else ends it.
func (m *member) Running() bool { return true }

// Stop ends the server and whatever it is answering.
func (m *member) Stop() error {
	m.server.Stop()
	m.ended.Wait()
	return m.err
}

func (h *host) memberTLS() (*tls.Config, error) {
	read := func(name string) []byte {
		f, err := h.File(etcd.PKIDir + "/" + name)
		if err != nil {
			return nil
		}
		return f.Data.Bytes()
	}
	cert, err := tls.X509KeyPair(read("server.crt"), read("server.key"))
	if err != nil {
		return nil, err
	}
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM(read("ca.crt")) {
		return nil, errors.New("no trusted authority in " + etcd.PKIDir + "/ca.crt")
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert},
		ClientCAs: trusted, ClientAuth: tls.RequireAndVerifyClientCert,
	}, nil
}

func (m *member) header() *pb.ResponseHeader {
	return &pb.ResponseHeader{MemberId: m.id, Revision: 1, RaftTerm: 2}
}

// quorum reports whether enough members run, and who leads: the first.
func (m *member) quorum() (leader uint64, ok bool) {
	if !m.cluster.hasQuorum() {
		return 0, false
	}
	if first, simulated := m.cluster.members.running()[0].Member.(*member); simulated {
		leader = first.id
	}
	return leader, true
}

// Range is the linearizable read of a health check.
func (m *member) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	if _, ok := m.quorum(); !ok {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return &pb.RangeResponse{Header: m.header()}, nil
}

// Status is what the member says of itself.
func (m *member) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	leader, _ := m.quorum()
	return &pb.StatusResponse{
		Header: m.header(), Version: m.cluster.c.Etcd.Version.Number(), DbSize: 1 << 14, DbSizeInUse: 1 << 13,
		Leader: leader, RaftIndex: 1, RaftTerm: 2, RaftAppliedIndex: 1,
	}, nil
}

// MemberList is every member of the description.
func (m *member) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	r := &pb.MemberListResponse{Header: m.header()}
	for i, n := range m.cluster.c.Nodes {
		if n.Role == quorate.ControlPlane {
			r.Members = append(r.Members, &pb.Member{ID: uint64(i) + 1, Name: n.Name})
		}
	}
	return r, nil
}

// Alarm has none to tell.
func (m *member) Alarm(context.Context, *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return &pb.AlarmResponse{Header: m.header()}, nil
}
