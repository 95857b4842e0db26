package ssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// client is one live connection to a host.
type client struct {
	ssh  *ssh.Client
	hop  hop
	room chan struct{} // one element for each session

	mu   sync.Mutex
	err  error // why it was lost
	gone chan struct{}
}

func newClient(c *ssh.Client, h hop, sessions int) *client {
	return &client{ssh: c, hop: h, room: make(chan struct{}, sessions), gone: make(chan struct{})}
}

// watch ends with the connection and notes why.
func (c *client) watch() {
	err := c.ssh.Wait()
	if err == nil {
		err = errors.New("the host closed the connection")
	}
	c.lose(err)
}

// lose closes the connection, for the first reason given.
func (c *client) lose(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = why
		close(c.gone)
		_ = c.ssh.Close()
	}
}

// lost is why the connection is gone, nil while it stands.
func (c *client) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// lostError prefers what is known about the connection to the given symptom.
func (c *client) lostError(symptom error) error {
	if err := c.lost(); err != nil {
		symptom = err
	}
	return c.hop.dialError(transport.Lost, symptom, "")
}

// failed makes an error of what went wrong over the connection without the host's
// having said why. The sessions of a connection that breaks end before it says so
// itself: it is asked, for no longer than patience, so that whoever dials next is not
// given a dead one.
func (c *client) failed(symptom error, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-c.ping():
		if err != nil {
			c.lose(symptom)
		}
	case <-c.gone:
	case <-timer.C: // it stands still, which is for keepAlive to judge
	}
	return c.lostError(symptom)
}

// ping asks for a sign of life. Any answer is one, also that the request is unknown; an
// error says that there is no connection any more.
func (c *client) ping() <-chan error {
	answer := make(chan error, 1)
	go func() {
		_, _, err := c.ssh.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	return answer
}

// keepAlive asks for signs of life and loses the connection when none comes.
func (c *client) keepAlive(interval time.Duration, most int) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-c.gone:
			return
		case <-tick.C:
		}
		patience := time.NewTimer(interval * time.Duration(most))
		select {
		case <-c.ping(): //nolint:errcheck // an error too: then the connection has ended by itself
		case <-patience.C:
			c.lose(fmt.Errorf("no sign of life for %v", interval*time.Duration(most)))
		}
		patience.Stop()
	}
}

// enter waits for room for one more session; leave gives it back.
func (c *client) enter(ctx context.Context, closed <-chan struct{}) error {
	select {
	case c.room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", c.hop.name, ctx.Err())
	case <-closed:
		return c.hop.dialError(transport.Lost, net.ErrClosed, "")
	case <-c.gone:
		return c.lostError(nil)
	}
}

func (c *client) leave() { <-c.room }
