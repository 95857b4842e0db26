// Package sshtest is an SSH server for tests and demonstrations: it listens on
// the loopback, in this process, and hands every command to a transport.Conn,
// such as a fake host or this machine.
//
// It speaks real SSH with golang.org/x/crypto/ssh: public keys, exec with exit
// status and signals, direct-tcpip and direct-streamlocal, keepalive. It is not
// a server for anything but tests.
package sshtest

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/quorate-dev/quorate/transport"
	quoratessh "github.com/quorate-dev/quorate/transport/ssh"
)

// Config says what is served.
type Config struct {
	// Conn runs the commands, as sh -c LINE. Tunnels are opened by it if it is
	// a transport.Dialer, else by this process. The server does not close it.
	Conn transport.Conn
	// HostKey is the server's key; nil makes a new ed25519 key.
	HostKey crypto.Signer
	// HostCertificate is shown besides the bare key, for tests of host CAs.
	HostCertificate *ssh.Certificate
	// AuthorizedKeys may log in, as any user. None means the key that
	// Server.ClientKey returns.
	AuthorizedKeys []ssh.PublicKey
	// MaxSessions on one connection; 0 means 10, as sshd has.
	MaxSessions int
	// SessionLag is how long a session counts after the client has learned of
	// its end, as it does in sshd.
	SessionLag time.Duration
	// NoSignals says that SSH's signals are not delivered, as sshd does not to root's commands:
	// they are ended by kill only.
	NoSignals bool
	// InMemory opens no socket: the server is reached by its DialContext only.
	InMemory bool
	// Library changes the configuration of the library's server before the
	// start: other ways to log in, other algorithms.
	Library func(*ssh.ServerConfig)
	// Fault breaks the server in a way of its own; empty for none.
	Fault Fault
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	conn        transport.Conn
	listener    net.Listener
	hostKey     ssh.PublicKey
	signer      ssh.Signer
	clientKey   crypto.Signer
	maxSessions int
	cfg         Config
	life        context.Context //nolint:containedctx // ends with Close
	ssh         *ssh.ServerConfig
	work        sync.WaitGroup
	end         context.CancelFunc

	mu       sync.Mutex
	conns    map[*wire]struct{}
	accepted int
	refusing bool
	closed   bool
}

// Start listens on a free port of 127.0.0.1 and serves until Close.
func Start(cfg Config) (*Server, error) {
	if cfg.Conn == nil {
		return nil, errors.New("sshtest: Config.Conn is nil")
	}
	hostKey, err := orNewKey(cfg.HostKey)
	if err != nil {
		return nil, err
	}
	clientKey, err := orNewKey(nil)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromSigner(hostKey)
	if err != nil {
		return nil, fmt.Errorf("sshtest: host key: %w", err)
	}
	s := &Server{
		conn: cfg.Conn, cfg: cfg, hostKey: signer.PublicKey(), signer: signer, clientKey: clientKey,
		maxSessions: cfg.MaxSessions, conns: map[*wire]struct{}{},
	}
	if s.maxSessions == 0 {
		s.maxSessions = 10
	}
	allowed := cfg.AuthorizedKeys
	if len(allowed) == 0 {
		public, err := ssh.NewPublicKey(clientKey.Public())
		if err != nil {
			return nil, fmt.Errorf("sshtest: client key: %w", err)
		}
		allowed = []ssh.PublicKey{public}
	}
	s.ssh = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, a := range allowed {
			if string(a.Marshal()) == string(key.Marshal()) {
				return &ssh.Permissions{}, nil
			}
		}
		return nil, errors.New("not an authorized key")
	}}
	if cfg.HostCertificate != nil {
		cert, err := ssh.NewCertSigner(cfg.HostCertificate, signer)
		if err != nil {
			return nil, fmt.Errorf("sshtest: host certificate: %w", err)
		}
		s.ssh.AddHostKey(cert)
	}
	other, err := orNewKey(nil)
	if err != nil {
		return nil, err
	}
	then, err := ssh.NewSignerFromSigner(other)
	if err != nil {
		return nil, fmt.Errorf("sshtest: host key: %w", err)
	}
	s.ssh.AddHostKey(s.hostSigner(signer, then))
	if cfg.Library != nil {
		cfg.Library(s.ssh)
	}
	s.breakLogin()
	if !cfg.InMemory {
		if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("sshtest: %w", err)
		}
	}
	// The server's life is Close's to end, not a caller's ctx.
	ctx, cancel := context.WithCancel(context.Background())
	s.life, s.end = ctx, cancel
	if s.listener != nil {
		s.work.Go(s.accept)
	}
	return s, nil
}

// DialContext connects to the server without a socket, whatever the address:
// set as ssh.Config.DialContext it makes tests that run on a clock of their own
// (testing/synctest).
func (s *Server) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	near, far := pipe()
	if !s.take(far) {
		_ = near.Close()
		return nil, net.ErrClosed
	}
	return near, nil
}

func orNewKey(key crypto.Signer) (crypto.Signer, error) {
	if key != nil {
		return key, nil
	}
	_, made, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("sshtest: %w", err)
	}
	return made, nil
}

// Addr is the address listened on, host:port; that of a server in memory is one of
// documentation (RFC 5737).
func (s *Server) Addr() string {
	if s.listener == nil {
		return "192.0.2.1:22"
	}
	return s.listener.Addr().String()
}

// Target is the server as ssh.Config.Targets takes it, with user root.
func (s *Server) Target() quoratessh.Target {
	target, _ := quoratessh.ParseTarget(s.Addr()) // which is one
	target.User = "root"
	return target
}

// HostKey is the server's public key.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey }

// KnownHosts is the server's line of a known_hosts file.
func (s *Server) KnownHosts() []byte {
	return []byte(knownhosts.Line([]string{s.Addr()}, s.hostKey) + "\n")
}

// ClientKey may log in unless Config.AuthorizedKeys says who else.
func (s *Server) ClientKey() crypto.Signer { return s.clientKey }

// Accepted is the number of TCP connections taken since the start.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// Drop breaks all connections there are, as a crash would; new ones are taken.
func (s *Server) Drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.conns {
		_ = w.Close()
	}
}

// Hang makes the present connections hang, as a pulled cable would:
// nothing is read, nothing sent, nothing closed. New ones work.
func (s *Server) Hang() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.conns {
		w.hang()
	}
}

// RefuseSessions makes the server grant no sessions, or grant them again.
func (s *Server) RefuseSessions(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusing = refuse
}

func (s *Server) refusesSessions() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusing
}

// Close ends every connection and command, and waits for them. It may be
// called more than once.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	s.end()
	s.Drop()
	s.work.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.take(c) {
			return
		}
	}
}

// take serves a connection, unless the server is closed.
func (s *Server) take(c net.Conn) bool {
	w := newWire(c)
	if !s.add(w) {
		_ = w.Close()
		return false
	}
	s.work.Go(func() {
		defer s.remove(w)
		s.serve(s.life, w)
	})
	return true
}

func (s *Server) add(w *wire) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.accepted++
	s.conns[w] = struct{}{}
	return true
}

func (s *Server) remove(w *wire) {
	_ = w.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, w)
}

// serve speaks SSH on one connection until it ends.
func (s *Server) serve(ctx context.Context, w *wire) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if raw, ok := rawFaults[s.cfg.Fault]; ok {
		raw(ctx, w)
		return
	}
	if slices.Contains(handFaults, s.cfg.Fault) {
		s.byHand(ctx, w)
		return
	}
	// A client that says nothing is not waited for.
	_ = w.SetDeadline(time.Now().Add(30 * time.Second))
	conn, chans, reqs, err := ssh.NewServerConn(w, s.ssh)
	if err != nil {
		return
	}
	_ = w.SetDeadline(time.Time{})
	var work sync.WaitGroup
	work.Go(func() { ssh.DiscardRequests(reqs) }) // answers keepalives
	work.Go(func() { s.breakConnection(conn, w) })
	room := make(chan struct{}, s.maxSessions)
	for ch := range chans {
		work.Go(func() { s.channel(ctx, ch, room) })
	}
	cancel()
	_ = conn.Close()
	work.Wait()
}

func (s *Server) channel(ctx context.Context, ch ssh.NewChannel, room chan struct{}) {
	switch ch.ChannelType() {
	case "session":
		select {
		case room <- struct{}{}:
		default:
			_ = ch.Reject(ssh.ResourceShortage, "too many sessions")
			return
		}
		leave := func() {
			if s.cfg.SessionLag == 0 {
				<-room
				return
			}
			time.AfterFunc(s.cfg.SessionLag, func() { <-room })
		}
		if s.cfg.Fault == SessionHangs {
			<-ctx.Done()
			leave()
			return
		}
		if s.refusesSessions() || s.cfg.Fault == SessionRefused {
			_ = ch.Reject(ssh.Prohibited, "open failed")
			leave()
			return
		}
		s.session(ctx, ch, leave)
	case "direct-tcpip", "direct-streamlocal@openssh.com":
		s.tunnel(ctx, ch)
	default:
		_ = ch.Reject(ssh.UnknownChannelType, ch.ChannelType())
	}
}

// wire is a connection that can be made to hang.
type wire struct {
	net.Conn
	once, closing sync.Once
	hung, closed  chan struct{}
}

func newWire(c net.Conn) *wire {
	return &wire{Conn: c, hung: make(chan struct{}), closed: make(chan struct{})}
}

func (w *wire) hang() { w.once.Do(func() { close(w.hung) }) }

// stall blocks while the wire hangs.
func (w *wire) stall() {
	select {
	case <-w.hung:
		<-w.closed
	default:
	}
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.stall()
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	w.stall()
	return w.Conn.Write(p)
}

func (w *wire) Close() error {
	w.closing.Do(func() { close(w.closed) })
	return w.Conn.Close()
}
