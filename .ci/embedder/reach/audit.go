package reach

import (
	"context"
	"sync"

	"github.com/quorate-dev/quorate/transport"
)

// Audit is a decorator: it notes which programs run on which hosts, and leaves
// everything else to the transport inside.
type Audit struct {
	Inside transport.Transport

	mu   sync.Mutex
	runs []string
}

// Dial implements transport.Transport.
func (a *Audit) Dial(ctx context.Context, host string) (transport.Conn, error) {
	conn, err := a.Inside.Dial(ctx, host)
	if err != nil {
		return nil, err
	}
	return &audited{Conn: conn, host: host, audit: a}, nil
}

// Log returns "HOST PROGRAM" of every command so far.
func (a *Audit) Log() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.runs...)
}

type audited struct {
	transport.Conn
	host  string
	audit *Audit
}

// Run implements transport.Conn.
func (c *audited) Run(ctx context.Context, cmd transport.Cmd) error {
	if len(cmd.Argv) > 0 {
		c.audit.mu.Lock()
		c.audit.runs = append(c.audit.runs, c.host+" "+cmd.Argv[0])
		c.audit.mu.Unlock()
	}
	return c.Conn.Run(ctx, cmd)
}

// Unwrap leads to the abilities of the connection inside.
func (c *audited) Unwrap() transport.Conn { return c.Conn }
