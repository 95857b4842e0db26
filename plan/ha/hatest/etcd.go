package hatest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/test/bufconn"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/transport"
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
	// refused is a flag that etcd does not start with.
	refused string

	// known is the cluster's own list, of simulated members; generation counts
	// the clusters that have come into being, and added the members added to them.
	known      []*pb.Member
	generation int
	added      uint64
	// leader is the member that leadership was moved to last.
	leader uint64
}

// all is a copy of the cluster's own list.
func (ms *members) all() []*pb.Member {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	out := make([]*pb.Member, len(ms.known))
	for i, m := range ms.known {
		out[i] = &pb.Member{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, ClientURLs: m.ClientURLs, IsLearner: m.IsLearner}
	}
	return out
}

// change works on one entry of the list, and reports whether there is one.
func (ms *members) change(id uint64, do func(*pb.Member)) bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	i := slices.IndexFunc(ms.known, func(m *pb.Member) bool { return m.ID == id })
	if i >= 0 && do != nil {
		do(ms.known[i])
	}
	return i >= 0
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

// RefuseEtcdFlag has etcd end at its start where its unit has this flag, as it does with one
// that it does not take.
func (c *Cluster) RefuseEtcdFlag(flag string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members.refused = flag
}

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
	list := slices.Clone(ms.list)
	ms.mu.Unlock() // a simulated member looks at what the lock guards
	return slices.DeleteFunc(list, func(m hosted) bool { return !m.Running() })
}

func (ms *members) runs(host string) bool {
	return slices.ContainsFunc(ms.running(), func(m hosted) bool { return m.host == host })
}

// hasQuorum reports whether enough members run.
func (c *Cluster) hasQuorum() bool {
	running, voters := c.votes()
	return running > voters/2
}

// votes counts the voting members, and those of them that run.
func (c *Cluster) votes() (running, voters int) {
	if c.members.start != nil { // real servers keep their own list
		return len(c.members.running()), len(c.c.ControlPlanes())
	}
	runs := map[uint64]bool{}
	for _, m := range c.members.running() {
		runs[m.Member.(*member).id] = true
	}
	for _, m := range c.members.all() {
		if m.IsLearner {
			continue
		}
		voters++
		if runs[m.ID] {
			running++
		}
	}
	return running, voters
}

// Members returns the names of etcd's simulated members, in the order in which they
// became so. One that was added and has not been started has no name.
func (c *Cluster) Members() []string {
	var names []string
	for _, m := range c.members.all() {
		names = append(names, m.Name)
	}
	return names
}

// Quorum returns how many voting members etcd has, and how many of them run: it
// can act while that is more than half. Both are 0 before the first has been started.
func (c *Cluster) Quorum() (running, voters int) { return c.votes() }

// member answers what etcd/etcdclient asks, over mutual TLS, in memory.
type member struct {
	pb.UnimplementedKVServer
	pb.UnimplementedMaintenanceServer
	pb.UnimplementedClusterServer

	cluster *Cluster
	name    string
	// version of the program when it was started.
	version  string
	address  string
	id       uint64
	listener *bufconn.Listener
	server   *grpc.Server
	ended    sync.WaitGroup
	err      error
}

// memberData is what a simulated member keeps in its data directory: a log that begins as etcd's
// does, with its ID and that of the cluster it is of.
const memberData = "/member/wal/0000000000000000-0000000000000000.wal"

// memberLog is the beginning of a log.
func memberLog(id, generation uint64) []byte {
	metadata := binary.AppendUvarint([]byte{1 << 3}, id)
	metadata = binary.AppendUvarint(append(metadata, 2<<3), generation)
	var log []byte
	for kind, data := range [][]byte{4: {}, 1: metadata} {
		if kind == 1 || kind == 4 {
			record := append([]byte{1 << 3, byte(kind), 2 << 3, 0, 3<<3 | 2, byte(len(data))}, data...)
			log = slices.Insert(log, 0, slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(record))), record)...)
		}
	}
	return log
}

// logged is who a log is of; the zero value if it is none.
func (h *host) logged() etcd.Identity {
	f, err := h.File(h.dataPath())
	if err != nil {
		return etcd.Identity{}
	}
	id, err := etcd.ParseWAL(f.Data.Bytes())
	if err != nil {
		return etcd.Identity{}
	}
	return id
}

// refusedData is all that one leaves that etcd has refused to start: it opens its
// database before it looks at the other members, and begins a log after that.
const refusedData = "/member/snap/db"

func (h *host) dataPath() string { return h.cluster.c.Etcd.DataDir + memberData }

func (h *host) peerURL() string {
	scheme := "https://"
	if h.cluster.c.Etcd.PlainHTTP {
		scheme = "http://"
	}
	return scheme + net.JoinHostPort(h.node.Address().String(), strconv.Itoa(h.cluster.c.Etcd.PeerPort))
}

// identify finds who the member is, as etcd does: by its data; or as one of a
// cluster that comes into being; or as one that has been added. Zero is a member
// that would end at once.
func (h *host) identify() uint64 {
	ms := &h.cluster.members
	if h.has(h.dataPath()) {
		own := h.logged()
		if own.Member == 0 || own.Cluster != uint64(ms.generation) || !ms.change(own.Member, nil) {
			return 0 // removed for ever, or of another cluster
		}
		return own.Member
	}
	joins := h.has(etcd.JoinPath)
	if !joins && !h.cluster.anyData() {
		h.cluster.newGeneration()
	}
	ms.mu.Lock()
	defer ms.mu.Unlock()
	i := slices.IndexFunc(ms.known, func(m *pb.Member) bool { return slices.Contains(m.PeerURLs, h.peerURL()) })
	if i < 0 || len(ms.known[i].ClientURLs) > 0 || ms.known[i].ID >= firstAdded && !joins {
		return 0 // never added, bootstrapped already, or of a cluster with another ID
	}
	return ms.known[i].ID
}

// firstAdded is the ID from which on members were added to a running cluster.
const firstAdded = 100

// anyData reports whether any host holds data of the cluster that came last.
func (c *Cluster) anyData() bool {
	for _, h := range c.hosts {
		if own := h.logged(); own.Member != 0 && own.Cluster == uint64(c.members.generation) {
			return true
		}
	}
	return false
}

// newGeneration begins a cluster of which nothing is known yet, by anybody.
func (c *Cluster) newGeneration() {
	ms := &c.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.generation++
	ms.known, ms.leader = nil, 0
	for i, n := range c.c.Nodes {
		if n.Role == quorate.ControlPlane {
			ms.known = append(ms.known, &pb.Member{ID: uint64(i) + 1, Name: n.Name, PeerURLs: []string{c.hosts[n.Name].peerURL()}})
		}
	}
	c.written.Store(false)
	c.initialised, c.nodes, c.manifests, c.configMaps = false, map[string]*node{}, map[string]bool{}, nil
}

// simulate serves a host's member with the certificates that stand there.
func (h *host) simulate(*faketransport.Host) (Member, error) {
	config, err := h.memberTLS()
	if err != nil {
		return nil, err
	}
	c := h.cluster
	id := h.identify()
	if err := h.put(c.c.Etcd.DataDir+refusedData, []byte("simulated\n")); err != nil {
		return nil, err
	}
	if id != 0 {
		c.members.change(id, func(m *pb.Member) {
			m.Name, m.ClientURLs = h.node.Name, []string{"https://" + net.JoinHostPort(h.node.Address().String(), strconv.Itoa(c.c.Etcd.ClientPort))}
		})
		if err := h.Put(transport.File{Path: h.dataPath(), Mode: 0o600, Data: transport.Bytes(memberLog(id, uint64(c.members.generation)))}); err != nil {
			return nil, err
		}
	}
	m := &member{
		cluster: c, name: h.node.Name, id: id, version: strings.TrimPrefix(h.version("etcd"), "v"),
		address:  net.JoinHostPort(h.node.Address().String(), strconv.Itoa(c.c.Etcd.ClientPort)),
		listener: bufconn.Listen(1 << 16),
		server:   grpc.NewServer(grpc.Creds(credentials.NewTLS(config))),
	}
	pb.RegisterKVServer(m.server, m)
	pb.RegisterMaintenanceServer(m.server, m)
	pb.RegisterClusterServer(m.server, m)
	m.ended.Go(func() { m.err = m.server.Serve(m.listener) })
	return m, nil
}

// Running is false for one that is no member, or no more: etcd ends then.
func (m *member) Running() bool { return m.id != 0 && m.cluster.members.change(m.id, nil) }

// Stop ends the server and whatever it is answering.
func (m *member) Stop() error {
	m.server.Stop()
	m.ended.Wait()
	if errors.Is(m.err, grpc.ErrServerStopped) { // before it had begun to serve
		return nil
	}
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

// writtenRevision is the revision of an etcd that holds a cluster.
const writtenRevision = 1000

func (m *member) header() *pb.ResponseHeader {
	revision := int64(1) // of an etcd in which nothing was ever written
	if m.cluster.written.Load() {
		revision = writtenRevision
	}
	return &pb.ResponseHeader{MemberId: m.id, Revision: revision, RaftTerm: 2}
}

// learner reports whether the member has no vote yet.
func (m *member) learner() (learner bool) {
	m.cluster.members.change(m.id, func(one *pb.Member) { learner = one.IsLearner })
	return learner
}

// quorum reports whether enough members run, and who leads: the one it was moved
// to, if that runs, or the first that votes.
func (m *member) quorum() (leader uint64, ok bool) {
	if !m.Running() || !m.cluster.hasQuorum() {
		return 0, false
	}
	wanted := m.cluster.members.wantedLeader()
	for _, one := range m.cluster.members.running() {
		if other, simulated := one.Member.(*member); simulated && !other.learner() {
			if leader == 0 || other.id == wanted {
				leader = other.id
			}
		}
	}
	return leader, leader != 0
}

// MoveLeader is for the leader alone to answer.
func (m *member) MoveLeader(ctx context.Context, r *pb.MoveLeaderRequest) (*pb.MoveLeaderResponse, error) {
	if err := m.act(ctx); err != nil {
		return nil, err
	}
	if leader, _ := m.quorum(); leader != m.id {
		return nil, rpctypes.ErrGRPCNotLeader
	}
	learner := true
	if !m.cluster.members.change(r.TargetID, func(one *pb.Member) { learner = one.IsLearner }) || learner {
		return nil, rpctypes.ErrGRPCBadLeaderTransferee
	}
	ms := &m.cluster.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	ms.leader = r.TargetID
	return &pb.MoveLeaderResponse{Header: m.header()}, nil
}

func (ms *members) wantedLeader() uint64 {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.leader
}

// act waits for ever without a majority, as a request does that raft has to carry.
func (m *member) act(ctx context.Context) error {
	if _, ok := m.quorum(); !ok {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

// Range is the linearizable read of a health check.
func (m *member) Range(ctx context.Context, _ *pb.RangeRequest) (*pb.RangeResponse, error) {
	if m.learner() {
		return nil, rpctypes.ErrGRPCNotSupportedForLearner
	}
	if err := m.act(ctx); err != nil {
		return nil, err
	}
	return &pb.RangeResponse{Header: m.header()}, nil
}

// Status is what the member says of itself.
func (m *member) Status(context.Context, *pb.StatusRequest) (*pb.StatusResponse, error) {
	leader, _ := m.quorum()
	return &pb.StatusResponse{
		Header: m.header(), Version: m.version, DbSize: 1 << 14, DbSizeInUse: 1 << 13,
		Leader: leader, RaftIndex: 1, RaftTerm: 2, RaftAppliedIndex: 1, IsLearner: m.learner(),
	}, nil
}

// MemberList is the cluster's own list.
func (m *member) MemberList(context.Context, *pb.MemberListRequest) (*pb.MemberListResponse, error) {
	return &pb.MemberListResponse{Header: m.header(), Members: m.cluster.members.all()}, nil
}

// MemberAdd refuses what etcd refuses: a second learner, and an address that is
// a member's.
func (m *member) MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error) {
	if err := m.act(ctx); err != nil {
		return nil, err
	}
	ms := &m.cluster.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, one := range ms.known {
		if slices.Equal(one.PeerURLs, r.PeerURLs) {
			return nil, rpctypes.ErrGRPCPeerURLExist
		}
		if one.IsLearner && r.IsLearner {
			return nil, rpctypes.ErrGRPCTooManyLearners
		}
	}
	added := &pb.Member{ID: firstAdded + ms.added, PeerURLs: r.PeerURLs, IsLearner: r.IsLearner}
	ms.added++
	ms.known = append(ms.known, added)
	return &pb.MemberAddResponse{Header: m.header(), Member: added, Members: ms.known}, nil
}

// MemberPromote wants the learner to run.
func (m *member) MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error) {
	if err := m.act(ctx); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(m.cluster.members.running(), func(one hosted) bool { return one.Member.(*member).id == r.ID }) {
		return nil, rpctypes.ErrGRPCLearnerNotReady
	}
	learner := false
	found := m.cluster.members.change(r.ID, func(one *pb.Member) { learner, one.IsLearner = one.IsLearner, false })
	switch {
	case !found:
		return nil, rpctypes.ErrGRPCMemberNotFound
	case !learner:
		return nil, rpctypes.ErrGRPCMemberNotLearner
	}
	return &pb.MemberPromoteResponse{Header: m.header(), Members: m.cluster.members.all()}, nil
}

// MemberRemove ends the member too: whoever runs it sees it as failed.
func (m *member) MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error) {
	if err := m.act(ctx); err != nil {
		return nil, err
	}
	ms := &m.cluster.members
	ms.mu.Lock()
	defer ms.mu.Unlock()
	i := slices.IndexFunc(ms.known, func(one *pb.Member) bool { return one.ID == r.ID })
	if i < 0 {
		return nil, rpctypes.ErrGRPCMemberNotFound
	}
	ms.known = slices.Delete(ms.known, i, i+1)
	return &pb.MemberRemoveResponse{Header: m.header(), Members: ms.known}, nil
}

// Alarm has none to tell.
func (m *member) Alarm(context.Context, *pb.AlarmRequest) (*pb.AlarmResponse, error) {
	return &pb.AlarmResponse{Header: m.header()}, nil
}
