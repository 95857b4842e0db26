package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/internal/secret"
	"github.com/quorate-dev/quorate/transport"
)

// Transport reaches hosts over SSH. It is safe for concurrent use, and Close
// ends it.
type Transport struct {
	cfg     Config
	signers secret.Value[[]ssh.Signer]
	hosts   *verifier

	mu     sync.Mutex
	links  map[string]*link
	closed chan struct{}
	work   sync.WaitGroup
}

// link is the one connection by one route; turn admits one who dials.
type link struct {
	turn   chan struct{}
	client *client
}

// New reads keys and known hosts and makes a Transport; no host is contacted.
// The error joins everything that is wrong, each with its field.
func New(cfg Config) (*Transport, error) {
	cfg = cfg.withDefaults()
	signers, authErr := cfg.Auth.signers()
	hosts, hostErr := cfg.HostKeys.verifier()
	if err := errors.Join(cfg.validate(), authErr, hostErr); err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	return &Transport{
		cfg: cfg, signers: secret.Hide(signers), hosts: hosts,
		links: map[string]*link{}, closed: make(chan struct{}),
	}, nil
}

// Dial gives a Conn over the host's connection, which is made if there is none
// or it was lost. Errors are *transport.DialError: Unreachable, HostKey or
// Auth, with Host the hop it failed at. Closing the Conn ends its commands and
// tunnels; the connection stays for the next Dial until the Transport is
// closed.
func (t *Transport) Dial(ctx context.Context, host string) (transport.Conn, error) {
	route, err := t.cfg.route(host)
	if err != nil {
		return nil, &transport.DialError{Host: host, Reason: transport.Unreachable, Err: err}
	}
	c, err := t.connect(ctx, route)
	if err != nil {
		return nil, err
	}
	return newConn(c, host, t.cfg.Grace), nil
}

// Close ends every connection and waits until nothing of them is left. It may
// be called more than once.
func (t *Transport) Close() error {
	t.mu.Lock()
	select {
	case <-t.closed:
	default:
		close(t.closed)
	}
	for _, l := range t.links {
		if l.client != nil {
			l.client.lose(net.ErrClosed)
		}
	}
	t.mu.Unlock()
	t.work.Wait()
	return nil
}

// connect gives the live connection of a route. Dials by the same route take
// turns, each under its own ctx.
func (t *Transport) connect(ctx context.Context, route []hop) (*client, error) {
	last := route[len(route)-1]
	l := t.link(routeKey(route))
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%s: %w", last.name, ctx.Err())
	}
	if c := t.live(l); c != nil && ctx.Err() == nil {
		return c, nil
	}
	dial := t.cfg.DialContext
	if len(route) > 1 {
		via, err := t.connect(ctx, route[:len(route)-1])
		if err != nil {
			return nil, err
		}
		dial = via.ssh.DialContext
	}
	c, err := t.handshake(ctx, last, dial)
	if err != nil {
		return nil, err
	}
	return c, t.keep(l, c)
}

func (t *Transport) link(key string) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.links[key]
	if !ok {
		l = &link{turn: make(chan struct{}, 1)}
		t.links[key] = l
	}
	return l
}

// live gives the link's connection if it still stands.
func (t *Transport) live(l *link) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.client == nil || l.client.lost() != nil {
		return nil
	}
	return l.client
}

// keep watches over a new connection, unless the Transport was closed
// meanwhile.
func (t *Transport) keep(l *link, c *client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case <-t.closed:
		_ = c.ssh.Close()
		return c.lostError(net.ErrClosed)
	default:
	}
	l.client = c
	t.work.Go(c.watch)
	if t.cfg.KeepAlive > 0 {
		t.work.Go(func() { c.keepAlive(t.cfg.KeepAlive, t.cfg.KeepAliveMax) })
	}
	return nil
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// handshake connects and authenticates within DialTimeout.
func (t *Transport) handshake(caller context.Context, h hop, dial dialFunc) (*client, error) {
	select {
	case <-t.closed:
		return nil, h.dialError(transport.Lost, net.ErrClosed, "")
	default:
	}
	ctx, cancel := context.WithTimeout(caller, t.cfg.DialTimeout)
	defer cancel()
	// The caller's own ctx ending is its own doing, and no DialError.
	failed := func(reason transport.DialReason, err error, advice string) error {
		if caller.Err() != nil {
			return fmt.Errorf("%s: %w", h.name, caller.Err())
		}
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer within %v: %w", t.cfg.DialTimeout, ctx.Err())
		}
		return h.dialError(reason, err, advice)
	}
	raw, err := dial(ctx, "tcp", h.target.hostPort())
	if err != nil {
		return nil, failed(transport.Unreachable, err, "")
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	agentKeys, closeAgent, err := t.cfg.Auth.agentSigners(ctx)
	if err != nil {
		_ = raw.Close()
		return nil, failed(transport.Auth, err, "is the agent running, and Auth.AgentSocket its socket?")
	}
	defer closeAgent()
	signers := append(slices.Clone(t.signers.Reveal()), agentKeys...)
	var hostKeyErr error
	cfg := &ssh.ClientConfig{
		User:              h.user,
		Auth:              []ssh.AuthMethod{ssh.PublicKeys(signers...)},
		HostKeyAlgorithms: t.hosts.algorithms(h),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			hostKeyErr = t.hosts.check(h, key)
			return hostKeyErr
		},
	}
	conn, chans, reqs, err := ssh.NewClientConn(raw, h.target.hostPort(), cfg)
	if err == nil && !stop() {
		err = ctx.Err() // it is being closed
	}
	switch {
	case err == nil:
		return newClient(ssh.NewClient(conn, chans, reqs), h, t.cfg.Sessions), nil
	case hostKeyErr != nil && caller.Err() == nil:
		_ = raw.Close()
		return nil, hostKeyErr
	}
	_ = raw.Close()
	if strings.Contains(err.Error(), "unable to authenticate") { // the library has no type for it
		advice := fmt.Sprintf("does %s have one of our %d keys in authorized_keys?", h.user, len(signers))
		return nil, failed(transport.Auth, err, advice)
	}
	if strings.Contains(err.Error(), "no common algorithm for host key") {
		return nil, failed(transport.HostKey, err, "the host has no key of the types known for it: "+changedAdvice)
	}
	return nil, failed(transport.Unreachable, err, "")
}

func (h hop) dialError(reason transport.DialReason, err error, advice string) *transport.DialError {
	return &transport.DialError{Host: h.name, Addr: h.target.hostPort(), Reason: reason, Err: err, Advice: advice}
}
