package transport

import (
	"context"
	"errors"
	"net"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Dialer is the ability to open connections from the host: a tunnel. Not every
// Conn has it, and not every host lets it be used: CheckTunnels finds out.
type Dialer interface {
	// DialContext connects to addr as seen from the host. Networks: "tcp" and
	// "unix". A host that does not let connections be made through it is a
	// *TunnelError with reason TunnelForbidden.
	DialContext(ctx context.Context, network, addr string) (net.Conn, error)
}

// TunnelReason is the kind of a TunnelError.
type TunnelReason string

const (
	// NoTunnels: the Conn is no Dialer.
	NoTunnels TunnelReason = "the transport makes no tunnels"
	// TunnelForbidden: the host's configuration does not allow the connection.
	TunnelForbidden TunnelReason = "the host forbids tunnels"
	// TunnelFailed: the host tried, and got no connection.
	TunnelFailed TunnelReason = "no connection from the host"
)

// TunnelError reports that a connection from a host did not come about.
type TunnelError struct {
	// Host is empty when the Conn does not say.
	Host          string
	Network, Addr string
	Reason        TunnelReason
	// Advice says what to do about it, empty if nothing general can be said.
	Advice string
	Err    error
}

func (e *TunnelError) Error() string {
	s := "tunnel to " + e.Addr + ": " + string(e.Reason)
	if e.Host != "" {
		s = e.Host + ": " + s
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	if e.Advice != "" {
		s += "; " + e.Advice
	}
	return termsafe.Indented(s)
}

// Unwrap returns the cause.
func (e *TunnelError) Unwrap() error { return e.Err }

// CheckTunnels reports whether connections to addr can be made from the host of
// a Conn. Nobody need listen there: nil means that the host would try. The error is
// a *TunnelError with reason NoTunnels or TunnelForbidden, or ctx's, or the
// *DialError of a connection that was lost.
func CheckTunnels(ctx context.Context, conn Conn, network, addr string) error {
	dialer, ok := As[Dialer](conn)
	if !ok {
		return &TunnelError{
			Network: network, Addr: addr, Reason: NoTunnels,
			Advice: "use a transport whose Conn is a transport.Dialer; a Conn around another needs Unwrap or DialContext",
		}
	}
	c, err := dialer.DialContext(ctx, network, addr)
	if err == nil {
		_ = c.Close()
		return nil
	}
	var tunnel *TunnelError
	var lost *DialError
	if ctx.Err() != nil || errors.As(err, &lost) || errors.As(err, &tunnel) && tunnel.Reason != TunnelFailed {
		return err
	}
	return nil
}
