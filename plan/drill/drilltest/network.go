package drilltest

import (
	"context"
	"net"
	"sync"
)

// listener accepts connections in memory, and can drop them.
type listener struct {
	accept chan net.Conn
	closed chan struct{}

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]string
	once  sync.Once
}

func newListener() *listener {
	return &listener{accept: make(chan net.Conn), closed: make(chan struct{}), conns: map[net.Conn]string{}}
}

// dial connects from an address by which drop finds the connection.
func (l *listener) dial(ctx context.Context, to string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.accept <- far:
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &conn{Conn: near, listener: l}
	l.conns[c] = to
	return c, nil
}

// conn is the dialler's end.
type conn struct {
	net.Conn
	listener *listener
}

// Close forgets the connection.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

// drop breaks connections.
func (l *listener) drop(which func(to string) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, to := range l.conns {
		if which(to) {
			_ = c.(*conn).Conn.Close() // a pipe's Close does not fail
			delete(l.conns, c)
		}
	}
}

// Accept, Close and Addr make it a net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept; it may be called more than once.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.drop(func(string) bool { return true })
	return nil
}

// Addr has no meaning.
func (l *listener) Addr() net.Addr { return address{} }

type address struct{}

// Network and String are placeholders.
func (address) Network() string { return "memory" }
func (address) String() string  { return "memory" }
