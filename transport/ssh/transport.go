package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/quorate-dev/quorate/internal/secret"
	"github.com/quorate-dev/quorate/transport"
)

// Transport reaches hosts over SSH. It is safe for concurrent use, and Close
// ends it. No output of it shows what it holds.
type Transport struct{ held secret.Value[*state] }

// state is a Transport's.
type state struct {
	cfg         Config // without Auth
	credentials *credentials
	hosts       *verifier
	life        context.Context //nolint:containedctx // ends with Close
	end         context.CancelFunc

	mu    sync.Mutex
	links map[string]*link
	work  sync.WaitGroup
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
	credentials, authErr := cfg.Auth.read(cfg.Algorithms)
	hosts, hostErr := cfg.HostKeys.verifier(cfg.Algorithms, cfg.Now)
	if err := errors.Join(cfg.validate(), authErr, hostErr); err != nil {
		return nil, fmt.Errorf("ssh: %w", err)
	}
	cfg.Auth = Auth{}
	s := &state{cfg: cfg, credentials: credentials, hosts: hosts, links: map[string]*link{}}
	s.life, s.end = context.WithCancel(context.Background())
	return &Transport{secret.Hide(s)}, nil
}

// Dial returns a Conn over the host's connection, which is made if there is none
// or it was lost. Errors are *transport.DialError: Unreachable, HostKey, Auth with an
// *AuthError, or Incompatible, with Host the hop it failed at; or wrap ctx's. Closing the Conn ends its commands and
// tunnels; the connection stays for the next Dial until the Transport is
// closed.
func (t *Transport) Dial(ctx context.Context, host string) (transport.Conn, error) {
	return t.held.Reveal().dial(ctx, host)
}

func (t *state) dial(ctx context.Context, host string) (transport.Conn, error) {
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

// Has is that of transport.Inventory: it returns why a name is neither a target nor, unless
// Config.OnlyTargets is set, an address.
func (t *Transport) Has(host string) error {
	_, err := t.held.Reveal().cfg.route(host)
	return err
}

// Close ends every connection and waits until nothing of them is left. Commands
// that still run are not ended on their hosts: end their ctx first. Close may
// be called more than once.
func (t *Transport) Close() error {
	s := t.held.Reveal()
	s.mu.Lock()
	s.end()
	for _, l := range s.links {
		if l.client != nil {
			l.client.lose(net.ErrClosed)
		}
	}
	s.mu.Unlock()
	s.work.Wait()
	return nil
}

// connect returns the live connection of a route. Dials by the same route take
// turns, each under its own ctx.
func (t *state) connect(ctx context.Context, route []hop) (*client, error) {
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
		dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			t, err := via.tunnel(ctx, network, addr)
			if err != nil {
				return nil, err // no nil *tunnel in an interface
			}
			return t, nil
		}
	}
	c, err := t.handshake(ctx, last, dial)
	if err != nil {
		return nil, err
	}
	c.killer.redial = func(ctx context.Context) (*client, error) { return t.handshake(ctx, last, dial) }
	return c, t.keep(l, c)
}

func (t *state) link(key string) *link {
	t.mu.Lock()
	defer t.mu.Unlock()
	l, ok := t.links[key]
	if !ok {
		l = &link{turn: make(chan struct{}, 1)}
		t.links[key] = l
	}
	return l
}

// live returns the link's connection if it still lives.
func (t *state) live(l *link) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.client == nil || l.client.lost() != nil {
		return nil
	}
	return l.client
}

// keep watches over a new connection, unless the Transport was closed
// meanwhile.
func (t *state) keep(l *link, c *client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.life.Err() != nil {
		c.lose(net.ErrClosed)
		return c.lostError(net.ErrClosed)
	}
	l.client = c
	t.work.Go(c.watch)
	if t.cfg.KeepAlive > 0 {
		t.work.Go(c.keepAlive)
	}
	return nil
}
