package transport_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// counting is a Wrapper that counts commands.
type counting struct {
	transport.Conn
	runs int
}

func (c *counting) Run(ctx context.Context, cmd transport.Cmd) error {
	c.runs++
	return c.Conn.Run(ctx, cmd)
}

func (c *counting) Unwrap() transport.Conn { return c.Conn }

// forbidding is a Dialer whose host does not let it dial.
type forbidding struct{ transport.Conn }

func (forbidding) DialContext(_ context.Context, network, addr string) (net.Conn, error) {
	return nil, &transport.TunnelError{Network: network, Addr: addr, Reason: transport.TunnelForbidden}
}

func dial(t *testing.T, tr transport.Transport) transport.Conn {
	t.Helper()
	conn, err := tr.Dial(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// A Conn around another keeps every ability of it, and its own come first.
func TestWrapperKeepsAbilities(t *testing.T) {
	fake := faketransport.New()
	fake.Host("a")
	inner := dial(t, fake)
	once := &counting{Conn: inner}
	conn := transport.Conn(&counting{Conn: once})

	if files := transport.FilesOf(conn); files != inner.(transport.Filer) {
		t.Errorf("files by %T", files)
	}
	if _, ok := transport.FilesOf(conn).(transport.BatchReader); !ok {
		t.Error("no BatchReader")
	}
	if gatherer := transport.GathererOf(conn); gatherer != inner.(transport.Gatherer) {
		t.Errorf("gathers by %T", gatherer)
	}
	if dialer, ok := transport.As[transport.Dialer](conn); !ok || dialer != inner.(transport.Dialer) {
		t.Errorf("dials by %T", dialer)
	}
	if _, err := transport.Output(t.Context(), conn, "true"); err != nil || once.runs != 1 {
		t.Errorf("%d commands, %v", once.runs, err)
	}
	if _, ok := transport.As[transport.Dialer](&counting{Conn: forbidding{inner}}); !ok {
		t.Error("the outer ability is lost")
	}
	if _, ok := transport.As[interface{ Other() }](conn); ok {
		t.Error("an ability that nobody has")
	}
	if _, ok := transport.As[transport.Filer](nil); ok {
		t.Error("an ability of no connection")
	}
}

// A Conn that only runs commands still has files, and no tunnels.
func TestCheckTunnels(t *testing.T) {
	fake := faketransport.New()
	host := fake.Host("a")
	inner := dial(t, fake)
	type bare struct{ transport.Conn }
	lost := &transport.DialError{Host: "a", Reason: transport.Lost}
	for name, c := range map[string]struct {
		conn   transport.Conn
		reason transport.TunnelReason
	}{
		"no ability": {bare{inner}, transport.NoTunnels},
		"forbidden":  {forbidding{inner}, transport.TunnelForbidden},
		"wrapped":    {&counting{Conn: forbidding{inner}}, transport.TunnelForbidden},
		"refused":    {inner, ""},
	} {
		err := transport.CheckTunnels(t.Context(), c.conn, "tcp", "127.0.0.1:1")
		var tunnel *transport.TunnelError
		if (c.reason == "") != (err == nil) || err != nil && (!errors.As(err, &tunnel) || tunnel.Reason != c.reason) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	host.HandleDial(func(context.Context, string, string) (net.Conn, error) { return nil, lost })
	var broken *transport.DialError
	if err := transport.CheckTunnels(t.Context(), inner, "tcp", "127.0.0.1:1"); !errors.As(err, &broken) || broken.Reason != transport.Lost {
		t.Errorf("a lost connection: %v", err)
	}
	host.HandleDial(new(net.Dialer).DialContext)
	if err := transport.CheckTunnels(t.Context(), dial(t, fake), "tcp", transporttest.Echo(t, "tcp")); err != nil {
		t.Error(err)
	}
}
