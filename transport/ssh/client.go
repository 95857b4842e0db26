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
	cfg  limits
	room chan struct{} // one element for each command
	// retrying is held by the one command that asks again after the host has
	// refused it a session; others line up behind it.
	retrying chan struct{}
	killer   killer
	work     *sync.WaitGroup
	backlog  *backlog

	mu      sync.Mutex
	err     error // why it was lost
	gone    chan struct{}
	pinging *ping         // under way, nil if none is
	running int           // commands that are not known to have ended
	ended   chan struct{} // closed and replaced when one ends
}

// limits is what a connection needs to know of Config.
type limits struct {
	sessions       int
	sessionTimeout time.Duration
	keepAlive      time.Duration
	keepAliveMax   int
}

func newClient(c *ssh.Client, h hop, l limits, work *sync.WaitGroup, b *backlog) *client {
	made := &client{
		ssh: c, hop: h, cfg: l, work: work, backlog: b,
		room: make(chan struct{}, l.sessions), retrying: make(chan struct{}, 1),
		gone: make(chan struct{}), ended: make(chan struct{}),
	}
	made.killer.client = made
	return made
}

// spawn starts a goroutine that Transport.Close waits for. Once the connection
// is lost it is not waited for: it ends by itself, and Close may be waiting already.
func (c *client) spawn(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return
	}
	c.work.Go(f)
}

// watch ends with the connection and notes why.
func (c *client) watch() {
	err := c.ssh.Wait()
	if err == nil {
		err = errors.New("the host closed the connection")
	}
	c.lose(hostError{err})
}

// lose closes the connection, and keeps the first reason.
func (c *client) lose(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = why
		close(c.gone)
		_ = c.ssh.Close()
		go drain(c.ssh.Conn)
	}
}

// lost is why the connection is gone, nil while it lives.
func (c *client) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// lostError prefers what is known about the connection to the symptom.
func (c *client) lostError(symptom error) error {
	if err := c.lost(); err != nil {
		symptom = err
	}
	return c.hop.dialError(transport.Lost, symptom, "")
}

// alive asks for a sign of life, for no longer than patience. Sessions of a
// connection that breaks end before the connection says so itself. One that
// hangs is not judged here; keepAlive does that.
func (c *client) alive(symptom error, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	p := c.ping()
	select {
	case <-p.answered:
		if p.err != nil {
			c.broken(symptom, timer)
		}
	case <-c.gone:
	case <-timer.C:
	}
	return c.lost() == nil
}

// broken loses a connection over which nothing can be sent. Why, it says itself soon, unless the
// library waits for itself.
func (c *client) broken(symptom error, patience *time.Timer) {
	select {
	case <-c.gone:
	case <-patience.C:
	}
	c.lose(symptom)
}

// ping asks for a sign of life, once for all who ask at a time. Any answer is one, also that
// the request is unknown; an error says that there is no connection any more.
func (c *client) ping() *ping {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pinging == nil {
		p := &ping{answered: make(chan struct{})}
		c.pinging = p
		send := func() {
			_, _, p.err = c.ssh.SendRequest("keepalive@openssh.com", true, nil)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.pinging = nil
			close(p.answered)
		}
		if c.err != nil {
			go send()
		} else {
			c.work.Go(send)
		}
	}
	return c.pinging
}

// ping is one sign of life that was asked for; err is set once answered is closed.
type ping struct {
	answered chan struct{}
	err      error
}

// probe loses the connection if it shows no sign of life within patience.
func (c *client) probe(patience time.Duration) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	p := c.ping()
	select {
	case <-p.answered:
		if p.err != nil {
			c.broken(hostError{p.err}, timer)
		}
	case <-c.gone:
	case <-timer.C:
		c.lose(fmt.Errorf("no sign of life for %v", patience))
	}
}

// keepAlive asks for signs of life and loses the connection when none comes.
func (c *client) keepAlive() {
	tick := time.NewTicker(c.cfg.keepAlive)
	defer tick.Stop()
	for {
		select {
		case <-c.gone:
			return
		case <-tick.C:
		}
		c.probe(c.cfg.keepAlive * time.Duration(c.cfg.keepAliveMax))
	}
}

// enter waits for room for one more command; leave frees it.
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

// settle is how long a host may go on refusing sessions when no command of
// ours runs there: OpenSSH frees a session only some time after the client has
// learned of its end.
const settle = 2 * time.Second

// errStopped reports that a session is no longer wanted.
var errStopped = errors.New("stopped")

// open opens a session. A host that refuses it is asked again for as long as
// commands of ours run there, and settle beyond that. It returns early when
// stopped is closed; a request that is under way is then closed when it is answered.
func (c *client) open(stopped <-chan struct{}) (*session, error) {
	if len(c.retrying) == 0 {
		s, err := c.openOnce(stopped)
		if !isRefused(err) {
			return s, err
		}
	}
	select {
	case c.retrying <- struct{}{}:
		defer func() { <-c.retrying }()
	case <-stopped:
		return nil, errStopped
	case <-c.gone:
		return nil, c.lostError(nil)
	}
	var patience <-chan time.Time
	settled := false
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 30*time.Second) {
		s, err := c.openOnce(stopped)
		if !isRefused(err) {
			return s, err
		}
		running, ended := c.runs()
		switch {
		case running > 0:
			patience, settled = nil, false
		case settled: // asked a last time when the time was up
			return nil, err
		case patience == nil:
			patience = time.After(settle)
			fallthrough
		default:
			pause = min(pause, settle/10)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ended:
			pause = 5 * time.Millisecond
		case <-patience:
			settled = true
		case <-stopped:
			return nil, errStopped
		case <-c.gone:
			return nil, c.lostError(nil)
		}
		timer.Stop()
	}
}

func isRefused(err error) bool {
	var refused *ssh.OpenChannelError
	return errors.As(err, &refused)
}

// openOnce opens a session, for no longer than sessionTimeout: a host that
// does not answer within it has lost track of the connection, which is given up.
func (c *client) openOnce(stopped <-chan struct{}) (*session, error) {
	type opened struct {
		*session
		err error
	}
	answer := make(chan opened, 1)
	resolved := make(chan struct{})
	c.spawn(func() {
		defer close(resolved)
		channel, requests, err := c.ssh.OpenChannel("session", nil)
		if err != nil {
			answer <- opened{nil, err}
			return
		}
		answer <- opened{newSession(channel, requests), nil}
	})
	c.spawn(func() { c.answered(resolved, "a request for a session") })
	select {
	case o := <-answer:
		return o.session, o.err
	case <-stopped:
		c.spawn(func() {
			if o := <-answer; o.session != nil {
				o.close()
			}
		})
		return nil, errStopped
	}
}

// exec asks for a command in a session, for no longer than sessionTimeout.
func (c *client) exec(s *session, line string) error {
	resolved := make(chan struct{})
	defer close(resolved)
	c.spawn(func() { c.answered(resolved, "a request to run a command") })
	return s.exec(line)
}

// answered loses the connection if the host has not answered within
// sessionTimeout.
func (c *client) answered(resolved <-chan struct{}, what string) {
	timer := time.NewTimer(c.cfg.sessionTimeout)
	defer timer.Stop()
	select {
	case <-resolved:
	case <-c.gone:
	case <-timer.C:
		c.lose(fmt.Errorf("%s was not answered within %v", what, c.cfg.sessionTimeout))
	}
}

// began counts a command that runs; the function returned, that it has ended.
func (c *client) began() (ended func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running++
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.running--
		close(c.ended)
		c.ended = make(chan struct{})
	})
}

// runs is how many commands run, and a channel that is closed when one ends.
func (c *client) runs() (int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.running, c.ended
}
