package drilltest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Flaw is a guarantee that a cluster breaks.
type Flaw string

// The flaws.
const (
	// LosesWrites: with the leader's power goes what it acknowledged in the last
	// second.
	LosesWrites Flaw = "loses-writes"
	// GoesBack: with the leader's power etcd's index falls.
	GoesBack Flaw = "goes-back"
	// TwoOwners: a host whose API server is not ready keeps the VIP when another
	// takes it.
	TwoOwners Flaw = "two-owners"
	// KeepsVIP: a host that is cut off keeps the VIP.
	KeepsVIP Flaw = "keeps-vip"
	// AcceptsCutOff: an API server that is cut off acknowledges writes.
	AcceptsCutOff Flaw = "accepts-cut-off"
	// NoElection: no other member of etcd takes over from a leader.
	NoElection Flaw = "no-election"
	// NoTakeOver: no other host takes the VIP over.
	NoTakeOver Flaw = "no-take-over"
	// StaysDown: a host that was off comes back without its services.
	StaysDown Flaw = "stays-down"
	// LosesMember: a host that was off is no member of etcd any more.
	LosesMember Flaw = "loses-member"
	// StaleList: the API server of a host that was broken lists what was there
	// before.
	StaleList Flaw = "stale-list"
)

// How soon the fake cluster acts.
const (
	tick        = 20 * time.Millisecond
	noticeAPI   = 3 * time.Second         // of a dead API server by its own host
	noticeHost  = 3500 * time.Millisecond // of a dead holder by the others
	election    = 1200 * time.Millisecond
	bootTime    = 4 * time.Second
	serviceTime = 5 * time.Second // from the boot on
)

// Cluster is a fake cluster. It is safe for concurrent use.
type Cluster struct {
	// Transport reaches the hosts.
	Transport *faketransport.Transport
	hosts     []*host
	flaws     []Flaw
	ca        []byte
	stop      context.CancelFunc
	work      sync.WaitGroup

	mu sync.Mutex // guards what follows, and the hosts
	// leader of etcd, nil if none; leaderless since when.
	leader     *host
	leaderless time.Time
	// unheld: since when no host that clients reach has held the VIP.
	unheld      time.Time
	term, index uint64
	store       store
	breaks      []string
}

// host is one control plane.
type host struct {
	drill.Host
	cluster  *Cluster
	fake     *faketransport.Host
	listener *listener
	server   *http.Server
	id       uint64
	// Guarded by the cluster's mu.
	on, up        bool
	boots         int
	readyAt       time.Time
	broken        map[drill.Fault]bool
	holds, member bool
	// unwell: since when the host has not been eligible for the VIP.
	unwell time.Time
	// stale is what the host lists if it is not up to date.
	stale map[string]*item
}

var (
	vip   = netip.MustParseAddr("192.0.2.100")
	token = "the-bearer-token-of-a-drill-test"
)

// Port of the API.
const port = "6443"

// New makes a cluster of control planes cp-1, cp-2 and so on that all work, with
// these flaws. Close it when done.
func New(controlPlanes int, flaws ...Flaw) (*Cluster, error) {
	certificate, ca, err := newCertificate()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	c := &Cluster{
		Transport: faketransport.New(), flaws: flaws, ca: ca, stop: stop,
		term: 2, index: 1e6, store: newStore(),
	}
	for i := range controlPlanes {
		h := &host{
			Host:    drill.Host{Name: fmt.Sprintf("cp-%d", i+1), Address: fmt.Sprintf("192.0.2.%d", i+11)},
			cluster: c, id: uint64(i + 1), on: true, up: true, member: true, boots: 1,
			broken: map[drill.Fault]bool{}, listener: newListener(),
		}
		h.script(c.Transport.Host(h.Name))
		h.server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
		config := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
		c.work.Go(func() { _ = h.server.Serve(tls.NewListener(h.listener, config)) }) // ends with Close
		c.hosts = append(c.hosts, h)
	}
	c.leader, c.hosts[0].holds = c.hosts[len(c.hosts)-1], true
	c.work.Go(func() { c.run(ctx) })
	return c, nil
}

// Close ends everything that runs in the cluster.
func (c *Cluster) Close() error {
	c.stop()
	var errs []error
	for _, h := range c.hosts {
		errs = append(errs, h.server.Close(), h.listener.Close())
	}
	c.work.Wait()
	return errors.Join(errs...)
}

// Config is that of a drill on the cluster.
func (c *Cluster) Config() drill.Config {
	cfg := drill.Config{
		API: drill.API{
			Endpoint: net.JoinHostPort(vip.String(), port), CA: quorate.Public(c.ca),
			Token: quorate.Sensitive([]byte(token)), ServerName: "drilltest", Dial: c.dial,
		},
		VIP: vip, Transport: c.Transport, Etcd: drill.Etcd{Ask: c.ask},
		Breaker: breaker{c}, Power: breaker{c},
	}
	for _, h := range c.hosts {
		cfg.Hosts = append(cfg.Hosts, h.Host)
	}
	return cfg
}

// Broken lists what is broken now, as "HOST: FAULT", in the hosts' order.
func (c *Cluster) Broken() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, h := range c.hosts {
		if !h.on {
			out = append(out, h.Name+": "+string(drill.PowerOff))
		}
		for _, f := range []drill.Fault{drill.StopAPIServer, drill.StopKeepalived, drill.StopEtcd, drill.Partition, drill.PartitionEtcd, drill.FillDisk} {
			if h.broken[f] {
				out = append(out, h.Name+": "+string(f))
			}
		}
	}
	return out
}

// Breaks lists every break so far, as "HOST: FAULT", in their order.
func (c *Cluster) Breaks() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.breaks)
}

// Namespaces lists the API's namespaces.
func (c *Cluster) Namespaces() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.store.names()
}

func (c *Cluster) has(f Flaw) bool { return slices.Contains(c.flaws, f) }

// run lets time pass.
func (c *Cluster) run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			c.mu.Lock()
			c.elect(now)
			c.moveVIP(now)
			c.mu.Unlock()
		}
	}
}

// votes reports whether a host's member reaches the others.
func (h *host) votes() bool {
	return h.up && h.member && !h.broken[drill.StopEtcd] && !h.broken[drill.Partition] && !h.broken[drill.PartitionEtcd]
}

func (c *Cluster) majority() bool {
	n := 0
	for _, h := range c.hosts {
		if h.votes() {
			n++
		}
	}
	return n > len(c.hosts)/2
}

func (c *Cluster) quorum() bool { return c.leader != nil && c.leader.votes() && c.majority() }

func (c *Cluster) elect(now time.Time) {
	if c.quorum() {
		c.leaderless = time.Time{}
		return
	}
	if c.leaderless.IsZero() {
		c.leaderless = now
	}
	if now.Sub(c.leaderless) < election || !c.majority() {
		return
	}
	for _, h := range c.hosts {
		if h.votes() && (!c.has(NoElection) || h == c.leader) {
			c.leader = h
			c.term++
			return
		}
	}
}

// reachesQuorum reports whether a host's API server can read and write.
func (h *host) reachesQuorum() bool {
	return !h.broken[drill.Partition] && !h.broken[drill.PartitionEtcd] && h.cluster.quorum()
}

// serves reports whether the API server runs, ready or not.
func (h *host) serves(now time.Time) bool {
	return h.up && !h.broken[drill.StopAPIServer] && !now.Before(h.readyAt)
}

func (h *host) eligible(now time.Time) bool {
	return h.serves(now) && h.reachesQuorum() && !h.broken[drill.StopKeepalived]
}

func (c *Cluster) moveVIP(now time.Time) {
	held := false
	for _, h := range c.hosts {
		cut := h.broken[drill.Partition]
		if h.eligible(now) {
			h.unwell = time.Time{}
		} else if h.unwell.IsZero() {
			h.unwell = now
		}
		keeps := c.has(TwoOwners) && !cut || c.has(KeepsVIP) && cut
		if !h.on || h.broken[drill.StopKeepalived] || !keeps && !h.unwell.IsZero() && now.Sub(h.unwell) >= noticeAPI {
			h.setHolds(false)
		}
		held = held || h.holds && !cut && (h.unwell.IsZero() || !c.has(TwoOwners))
	}
	if held {
		c.unheld = time.Time{}
		return
	}
	if c.unheld.IsZero() {
		c.unheld = now
	}
	if now.Sub(c.unheld) < noticeHost || c.has(NoTakeOver) {
		return
	}
	for _, h := range c.hosts {
		if h.eligible(now) {
			h.setHolds(true)
			return
		}
	}
}

// setHolds moves the VIP's connections with it.
func (h *host) setHolds(holds bool) {
	if h.holds && !holds {
		h.listener.drop(func(to string) bool { return to == vip.String() })
	}
	h.holds = holds
}

// ask is how a drill reaches members.
func (c *Cluster) ask(ctx context.Context, of drill.Host) (etcdclient.Status, error) {
	h := c.byName(of.Name)
	c.mu.Lock()
	up, stopped := h.up, h.broken[drill.StopEtcd] || !h.member
	s := etcdclient.Status{}
	for _, m := range c.hosts {
		if m.member {
			s.Members = append(s.Members, etcdclient.Member{ID: m.id, Name: m.Name})
		}
	}
	e := etcdclient.EndpointStatus{Endpoint: "https://" + h.Address + ":2379", ID: h.id, Answered: true, Term: c.term, Index: c.index}
	if h.votes() && c.quorum() {
		e.Healthy, e.Leader = true, c.leader.id
	} else {
		e.Err = errors.New("no leader")
	}
	c.mu.Unlock()
	if !up {
		if err := pause(ctx, time.Second); err != nil {
			return etcdclient.Status{}, err
		}
		return silent(h, "no route to host"), nil
	}
	if stopped {
		return silent(h, "connection refused"), nil
	}
	s.Endpoints = []etcdclient.EndpointStatus{e}
	return s, nil
}

// silent is the status of a member that does not answer.
func silent(h *host, why string) etcdclient.Status {
	return etcdclient.Status{Endpoints: []etcdclient.EndpointStatus{{Endpoint: "https://" + h.Address + ":2379", Err: errors.New(why)}}}
}

func (c *Cluster) byName(name string) *host {
	i := slices.IndexFunc(c.hosts, func(h *host) bool { return h.Name == name })
	return c.hosts[i]
}

// dial is the clients' network: what does not answer lets them wait.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	var found *host
	for _, h := range c.hosts {
		if (h.Address == to || h.holds && to == vip.String()) && h.on && !h.broken[drill.Partition] {
			found = h
			break
		}
	}
	c.mu.Unlock()
	if found == nil {
		<-ctx.Done()
		return nil, &net.OpError{Op: "dial", Net: network, Err: ctx.Err()}
	}
	return found.connect(ctx, network, to)
}

// connect reaches the host's API server.
func (h *host) connect(ctx context.Context, network, to string) (net.Conn, error) {
	h.cluster.mu.Lock()
	serves := h.serves(time.Now())
	h.cluster.mu.Unlock()
	if !serves {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("connection refused")}
	}
	return h.listener.dial(ctx, to)
}

// script makes what a drill runs on hosts.
func (h *host) script(fake *faketransport.Host) {
	h.fake = fake
	fake.HandleDial(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return h.connect(ctx, network, "itself")
	})
	is := func(first string) faketransport.Match {
		return faketransport.MatchFunc("sh -c '"+first+"...'", func(argv []string) bool {
			return len(argv) > 2 && argv[0] == "sh" && strings.HasPrefix(argv[2], first)
		})
	}
	fake.Handle(is("# follow who holds the VIP"), h.follow)
	fake.Handle(is("# stop watching who holds the VIP"), faketransport.Reply(""))
	fake.Handle(faketransport.Exact("date", "+%s%N"), func(_ context.Context, in faketransport.Invocation) error {
		_, err := fmt.Fprintln(in.Stdout, time.Now().UnixNano())
		return err
	})
	fake.Handle(faketransport.Exact("systemctl", "is-active", "keepalived.service"), func(_ context.Context, in faketransport.Invocation) error {
		h.cluster.mu.Lock()
		stopped := h.broken[drill.StopKeepalived] || time.Now().Before(h.readyAt.Add(bootTime-serviceTime))
		h.cluster.mu.Unlock()
		if stopped {
			return faketransport.Exit(3)
		}
		_, err := fmt.Fprintln(in.Stdout, "active")
		return err
	})
}

// follow reports who holds the VIP as the script would.
func (h *host) follow(ctx context.Context, in faketransport.Invocation) error {
	h.cluster.mu.Lock()
	boot := h.boots
	h.cluster.mu.Unlock()
	if _, err := fmt.Fprintf(in.Stdout, "boot %d 0\n", boot); err != nil {
		return err
	}
	last, said := time.Time{}, false
	for {
		now := time.Now()
		h.cluster.mu.Lock()
		holds, same := h.holds, h.boots == boot && h.on
		h.cluster.mu.Unlock()
		if !same {
			return faketransport.Exit(255)
		}
		if holds != said || now.Sub(last) >= 500*time.Millisecond {
			line := fmt.Sprintf("%d 0\n", now.UnixNano())
			if holds {
				line = fmt.Sprintf("%d 1\n", now.UnixNano())
			}
			if _, err := in.Stdout.Write([]byte(line)); err != nil {
				return err
			}
			last, said = now, holds
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// newCertificate makes a server's certificate that verifies itself.
func newCertificate() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"drilltest"}, IsCA: true, BasicConstraintsValid: true,
		// Also for a clock that starts in 2000, as in a synctest bubble.
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, ca, nil
}
