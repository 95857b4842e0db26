package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// DialContext opens a connection from the host, "tcp" or "unix". It has
// deadlines, unlike the library's, and no half-close. It ends with the Conn.
func (c *conn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	t, err := c.client.tunnel(ctx, network, addr)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: tunnel to %s: %w", c.host, addr, ctx.Err())
	case errors.As(err, &refused):
		failed := &transport.TunnelError{Host: c.host, Network: network, Addr: addr, Reason: transport.TunnelFailed, Err: hostError{err}}
		if refused.Reason == ssh.Prohibited {
			failed.Reason = transport.TunnelForbidden
			failed.Advice = "allow it in the host's sshd_config: AllowTcpForwarding, AllowStreamLocalForwarding for sockets, PermitOpen, and no DisableForwarding; in authorized_keys no restrict and no no-port-forwarding"
		}
		return nil, failed
	case c.client.lost() == nil:
		return nil, &transport.TunnelError{Host: c.host, Network: network, Addr: addr, Reason: transport.TunnelFailed, Err: err}
	default:
		return nil, c.client.lostError(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		t.hangUp()
		return nil, c.closedError()
	}
	c.tunnels[t] = struct{}{}
	context.AfterFunc(t.life, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.tunnels, t)
	})
	return t, nil
}

// tunnel opens a connection from the host. Its near end is closed and has its
// deadlines without the host's help, so that a host that hangs holds
// nobody up.
func (c *client) tunnel(ctx context.Context, network, addr string) (*tunnel, error) {
	far, err := c.ssh.DialContext(ctx, network, addr)
	if err != nil {
		if ctx.Err() != nil {
			// The request is still open: it ends with the answer, or with a host that
			// shows no sign of life.
			c.spawn(func() { c.probe(c.cfg.sessionTimeout) })
		}
		return nil, err
	}
	near, inner := net.Pipe()
	t := &tunnel{Conn: near, inner: inner, far: far, client: c}
	t.life, t.ended = context.WithCancel(context.Background())
	c.spawn(t.carry)
	return t, nil
}

// tunnel is the near end of a pipe whose other end is copied to and from the
// channel: pipes have deadlines, channels have not.
type tunnel struct {
	net.Conn
	inner, far net.Conn
	client     *client
	life       context.Context //nolint:containedctx // ends with the tunnel
	ended      context.CancelFunc
}

func (t *tunnel) LocalAddr() net.Addr  { return t.far.LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.far.RemoteAddr() }

// carry copies until both ends are done.
func (t *tunnel) carry() {
	defer t.ended()
	defer t.client.backlog.open()()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(t.far, t.inner)
		// A host that hangs takes no close; it is asked for a sign of life.
		unanswered := time.AfterFunc(t.client.cfg.sessionTimeout, func() { t.client.probe(t.client.cfg.sessionTimeout) })
		context.AfterFunc(t.life, func() { unanswered.Stop() })
		_ = t.far.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(t.client.backlog.writer(t.inner), t.far)
		_ = t.inner.Close()
	})
	both.Wait()
}

func (t *tunnel) hangUp() {
	_ = t.inner.Close()
	t.client.spawn(func() { _ = t.far.Close() }) // blocks where the connection does
}
