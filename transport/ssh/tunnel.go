package ssh

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"golang.org/x/crypto/ssh"
)

// DialContext opens a connection from the host, "tcp" or "unix". It has
// deadlines, unlike the library's, and no half-close. It ends with the Conn.
func (c *conn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	far, err := c.client.ssh.DialContext(ctx, network, addr)
	var refused *ssh.OpenChannelError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: tunnel to %s: %w", c.host, addr, ctx.Err())
	case errors.As(err, &refused) || c.client.lost() == nil:
		return nil, fmt.Errorf("%s: tunnel to %s: %w", c.host, addr, err)
	default:
		return nil, c.client.lostError(err)
	}
	near, inner := net.Pipe()
	t := &tunnel{Conn: near, inner: inner, far: far}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.shut {
		t.hangUp()
		return nil, c.closedError()
	}
	c.tunnels[t] = struct{}{}
	go t.carry(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.tunnels, t)
	})
	return t, nil
}

// tunnel is the near end of a pipe whose other end is copied to and from the
// channel: pipes have deadlines, channels have not.
type tunnel struct {
	net.Conn
	inner, far net.Conn
}

func (t *tunnel) LocalAddr() net.Addr  { return t.far.LocalAddr() }
func (t *tunnel) RemoteAddr() net.Addr { return t.far.RemoteAddr() }

// carry copies until either end is done.
func (t *tunnel) carry(ended func()) {
	defer ended()
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(t.far, t.inner)
		_ = t.far.Close()
	})
	both.Go(func() {
		_, _ = io.Copy(t.inner, t.far)
		_ = t.inner.Close()
	})
	both.Wait()
}

func (t *tunnel) hangUp() {
	_ = t.inner.Close()
	_ = t.far.Close()
}
