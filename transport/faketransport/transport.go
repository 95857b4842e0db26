package faketransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport/internal/posixsh"
)

// Transport holds fake hosts. It is safe for concurrent use; make it with New.
type Transport struct {
	mu    sync.Mutex
	hosts map[string]*Host
	calls []Call

	scripts posixsh.Scripts
}

// New has no hosts yet.
func New() *Transport { return &Transport{hosts: map[string]*Host{}} }

// Host returns the host of that name, made at its first use.
func (t *Transport) Host(name string) *Host {
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.hosts[name]
	if !ok {
		h = newHost(t, name)
		t.hosts[name] = h
	}
	return h
}

// Has is that of transport.Inventory: it refuses every host that Host has not made.
func (t *Transport) Has(name string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.hosts[name]; !ok {
		return fmt.Errorf("%s: %w: make it with Host before it is dialled", name, transport.ErrNoHost)
	}
	return nil
}

// Dial connects to a host that Host has made; any other is Unreachable. The
// Conn is a transport.Filer and a transport.Dialer.
func (t *Transport) Dial(ctx context.Context, name string) (transport.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t.mu.Lock()
	h, ok := t.hosts[name]
	t.mu.Unlock()
	if !ok {
		return nil, &transport.DialError{Host: name, Reason: transport.Unreachable, Err: transport.ErrNoHost, Advice: "make it with Host before it is dialled"}
	}
	c := &conn{host: h, closed: make(chan struct{})}
	err := h.call(ctx, Op{Kind: Dial}, func(context.Context, Op) error {
		if h.isDown() {
			return &transport.DialError{Host: name, Reason: transport.Unreachable, Err: errors.New("the host is down")}
		}
		h.enlist(c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// Calls returns every call to any host so far, in the order they began.
func (t *Transport) Calls() []Call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.calls)
}

// Log is Calls as text, a line each: comparable to a golden file when the calls
// came in a fixed order.
func (t *Transport) Log() string {
	var b strings.Builder
	for _, c := range t.Calls() {
		b.WriteString(c.String() + "\n")
	}
	return b.String()
}

// begin records a call; end fills in the record at the returned index.
func (t *Transport) begin(host string, op Op) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls = append(t.calls, Call{Host: host, Op: op})
	return len(t.calls) - 1
}

func (t *Transport) end(i int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls[i].Done, t.calls[i].Err = true, err
}

// conn is a connection to a fake host.
type conn struct {
	host   *Host
	once   sync.Once
	closed chan struct{}

	mu  sync.Mutex
	why error // why it is closed
}

// Close ends what runs over it.
func (c *conn) Close() error {
	c.end(net.ErrClosed)
	return nil
}

func (c *conn) end(why error) {
	c.once.Do(func() {
		c.mu.Lock()
		c.why = why
		c.mu.Unlock()
		close(c.closed)
		c.host.dismiss(c)
	})
}

func (c *conn) lost() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return &transport.DialError{Host: c.host.name, Reason: transport.Lost, Err: c.why}
}

// do runs one call under a ctx that ends with the connection. An error that
// says the connection was lost ends the connection.
func (c *conn) do(ctx context.Context, op Op, f func(context.Context, Op) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", c.host.name, err)
	}
	select {
	case <-c.closed:
		return c.lost()
	default:
	}
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-c.closed:
			cancel()
		case <-stop:
		}
	}()
	err := c.host.call(inner, op, f)
	var dial *transport.DialError
	switch {
	case errors.As(err, &dial) && dial.Reason == transport.Lost:
		c.end(dial.Err)
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", c.host.name, ctx.Err())
	}
	select {
	case <-c.closed:
		return c.lost()
	default:
		return err
	}
}

// DialContext connects by what Host.HandleDial has set.
func (c *conn) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	var opened net.Conn
	err := c.do(ctx, Op{Kind: Tunnel, Argv: []string{network, addr}}, func(ctx context.Context, _ Op) error {
		dial := c.host.dialer()
		if dial == nil {
			return fmt.Errorf("%s: nothing listens at %s %s: no Host.HandleDial", c.host.name, network, addr)
		}
		var err error
		opened, err = dial(ctx, network, addr)
		return err
	})
	if err != nil && opened != nil {
		_ = opened.Close()
	}
	if err != nil {
		return nil, err
	}
	return opened, nil
}
