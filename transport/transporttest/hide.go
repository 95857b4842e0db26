package transporttest

import (
	"context"
	"net"

	"github.com/quorate-dev/quorate/transport"
)

// WithoutFiler hides the Filer of t's connections, so that FilesOf makes them
// one from commands. The ability to dial stays.
func WithoutFiler(t transport.Transport) transport.Transport { return hiding{t} }

type hiding struct{ transport.Transport }

func (h hiding) Has(host string) error {
	if below, ok := h.Transport.(transport.Inventory); ok {
		return below.Has(host)
	}
	return nil
}

func (h hiding) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := h.Transport.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	if d, ok := transport.As[transport.Dialer](conn); ok {
		return dialing{bare{conn}, d}, nil
	}
	return bare{conn}, nil
}

type bare struct{ conn transport.Conn }

func (b bare) Run(ctx context.Context, c transport.Cmd) error { return b.conn.Run(ctx, c) }
func (b bare) Close() error                                   { return b.conn.Close() }

type dialing struct {
	bare
	dialer transport.Dialer
}

func (d dialing) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d.dialer.DialContext(ctx, network, addr)
}
