package transport

import (
	"context"
	"errors"
)

// Inventory is the ability of a Transport to say which hosts it has. A plan.Runner asks
// one before it reaches any host, so that a step on a host that nobody has described is
// refused at once. A decorator of a Transport that is to keep the ability implements it.
type Inventory interface {
	// Has returns why Dial would refuse the name itself, nil if it would not. It reaches
	// no host and does no other I/O.
	Has(host string) error
}

// ErrNoHost reports a name of a host that a transport does not have. Errors of an
// Inventory, and of Dial for such a name, wrap it.
var ErrNoHost = errors.New("no host of that name")

// Wrapper is a Conn around another, such as one that counts or logs. As finds
// the abilities of what it wraps:
//
//	type counting struct {
//		transport.Conn
//		runs atomic.Int64
//	}
//
//	func (c *counting) Run(ctx context.Context, cmd transport.Cmd) error {
//		c.runs.Add(1)
//		return c.Conn.Run(ctx, cmd)
//	}
//
//	func (c *counting) Unwrap() transport.Conn { return c.Conn }
//
// A Wrapper whose commands mean something else than the inner Conn's, as with
// sudo, must not have Unwrap, or files would be written past it: it implements
// those abilities that it passes on.
type Wrapper interface {
	Conn
	// Unwrap returns the inner Conn.
	Unwrap() Conn
}

// As returns an ability of a connection: Filer, Gatherer, Dialer, or another
// interface. It looks at the Conn itself, and at what it wraps if it is a
// Wrapper, and returns the outermost that has it. A type assertion on a Conn
// looks at that Conn alone.
func As[T any](conn Conn) (T, bool) {
	for conn != nil {
		if ability, ok := conn.(T); ok {
			return ability, true
		}
		w, ok := conn.(Wrapper)
		if !ok {
			break
		}
		conn = w.Unwrap()
	}
	var none T
	return none, false
}

// BatchReader is the ability of a Filer to read several files in one round
// trip. Every Filer in this module has it. It is safe for concurrent use.
type BatchReader interface {
	// ReadAll returns the content of the regular files at the paths, in their
	// order. Each may have limit bytes at most. A file that is larger, is not
	// there or cannot be read is an error as that of Filer.Read, and then
	// nothing is returned.
	ReadAll(ctx context.Context, limit int64, paths ...string) ([]Data, error)
}
