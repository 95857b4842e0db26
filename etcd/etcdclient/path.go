package etcdclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/quorate-dev/quorate/internal/guard"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// path is the way to one member, and remembers why it does not lead there. gRPC
// itself has the reason only as text, or not at all where a time limit ends the
// call.
type path struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)

	mu sync.Mutex
	// what is being done, empty once there is a connection.
	doing string
	// failed is what went wrong last, nil since there is a connection.
	failed error
}

func (p *path) note(doing string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doing = doing
	if err != nil || doing == "" {
		p.failed = err
	}
}

// gaveUp notes why there is no connection. That the time was up is no reason beside
// what it was spent on.
func (p *path) gaveUp(ctx context.Context, err error) {
	if ctx.Err() == nil {
		p.note("its connection is to be opened again", err)
	}
}

// connect opens a connection; gRPC's dialer.
func (p *path) connect(ctx context.Context, address string) (net.Conn, error) {
	p.note("its connection is still being opened", nil)
	conn, err := p.dial(ctx, "tcp", address)
	if err != nil {
		p.gaveUp(ctx, err)
		return nil, err
	}
	return conn, nil
}

// handshakes notes how those of TLS end, and what reading from the connection
// said afterwards: a member that refuses a client's certificate says so only then.
type handshakes struct {
	credentials.TransportCredentials
	path *path
}

func (h *handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	h.path.note("its TLS handshake is going on", nil)
	conn, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		err = fmt.Errorf("TLS handshake: %w", err)
		h.path.gaveUp(ctx, err)
		return nil, nil, err
	}
	h.path.note("nothing has been heard from it", nil)
	return &noted{Conn: conn, path: h.path}, info, nil
}

func (h *handshakes) Clone() credentials.TransportCredentials {
	return &handshakes{TransportCredentials: h.TransportCredentials.Clone(), path: h.path}
}

// noted is a connection that notes what was read from it.
type noted struct {
	net.Conn
	path *path
}

func (n *noted) Read(b []byte) (int, error) {
	got, err := n.Conn.Read(b)
	switch {
	case got > 0 && err == nil:
		n.path.note("", nil) // the member speaks
	case err != nil && !errors.Is(err, net.ErrClosed): // not by this side
		n.path.note("its connection is to be opened again", fmt.Errorf("the connection broke: %w", err))
	}
	return got, err
}

// unreadTime is how long a connection that takes no more data is read for what the
// other side may have sent before it broke.
const unreadTime = time.Second

// Write notes why it failed. The member's reason, a TLS alert, may have arrived and
// not been read when its end of the connection is gone already, and gRPC closes the
// connection after a failed write: so it is read here.
func (n *noted) Write(b []byte) (int, error) {
	put, err := n.Conn.Write(b)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		reason := err
		_ = n.SetReadDeadline(time.Now().Add(unreadTime))
		for unread := make([]byte, 512); ; {
			_, readErr := n.Conn.Read(unread)
			if readErr == nil {
				continue
			}
			if !errors.Is(readErr, net.ErrClosed) && !errors.Is(readErr, os.ErrDeadlineExceeded) && !errors.Is(readErr, io.EOF) {
				reason = readErr
			}
			break
		}
		n.path.note("its connection is to be opened again", fmt.Errorf("the connection broke: %w", reason))
	}
	return put, err
}

// explain returns a call's error with the reason that gRPC does not have: why
// there is no connection, or what went on when the time was up.
func (p *path) explain(ctx context.Context, err error) error {
	var cut *SnapshotError
	if err == nil || errors.As(err, &cut) {
		return err
	}
	p.mu.Lock()
	doing, failed := p.doing, p.failed
	p.mu.Unlock()
	switch late := tooLate(ctx, err); {
	case late != nil && failed != nil:
		return fmt.Errorf("no answer in time: %w: %w", late, failed)
	case late != nil && doing != "":
		return fmt.Errorf("no answer in time, %s: %w", doing, late)
	case late != nil:
		return fmt.Errorf("no answer in time: %w", late)
	case failed != nil && status.Code(err) == codes.Unavailable:
		return fmt.Errorf("no connection: %w", failed)
	case doing != "" && status.Code(err) == codes.Unavailable: // the attempt has the same time limit
		return fmt.Errorf("no answer in time, %s: %w", doing, context.DeadlineExceeded)
	}
	return err
}

// tooLate is why a call was given up, nil if it was not: ctx's own reason, or the
// other end's, which has the same time limit.
func tooLate(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case status.Code(err) == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	}
	return nil
}

// DialPanicError is a panic of Config.Dial, or a return of neither a connection nor an
// error. The member could not be reached.
type DialPanicError struct {
	// Value is what it panicked with, or that it returned nothing, as text.
	Value string
	// Stack is the goroutine's, as runtime/debug.Stack has it; empty without a panic.
	Stack string
}

func (e *DialPanicError) Error() string {
	if e.Stack == "" {
		return "the dialer is broken: " + termsafe.Line(e.Value)
	}
	return "the dialer panicked: " + termsafe.Line(e.Value)
}

// recovered makes an error of a panic, or of the end of the goroutine: it is called on gRPC's goroutines, where a panic is
// the end of the process.
func recovered(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		fault := guard.Call(func() { conn, err = dial(ctx, network, address) })
		switch {
		case fault != nil:
			return nil, &DialPanicError{Value: termsafe.Cut(fault.Value, maxPanic, "..."), Stack: fault.Stack}
		case conn == nil && err == nil:
			return nil, &DialPanicError{Value: "it returned neither a connection nor an error"}
		}
		return conn, err
	}
}

// maxPanic bounds what is kept of a panic's value, in bytes.
const maxPanic = 4 << 10
