// Package guard calls what an embedder has handed in, where no plan.Runner does: a panic in
// it is the error of the one host that was asked, and never the end of the process.
package guard

import (
	"context"
	"errors"
	"fmt"

	"github.com/quorate-dev/quorate/internal/guard"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// maxValue bounds what is kept of a panic's value, in bytes.
const maxValue = 4 << 10

// Do calls f on a goroutine of its own. A panic in it, or the end of its goroutine, is a
// *plan.PanicError.
func Do(f func() error) error {
	var err error
	if fault := guard.Call(func() { err = f() }); fault != nil {
		return &plan.PanicError{Value: termsafe.Cut(fault.Value, maxValue, "..."), Stack: fault.Stack}
	}
	return err
}

// Dial connects to a host. A transport that panics, or returns neither a connection nor an
// error, is an error.
func Dial(ctx context.Context, t transport.Transport, host string) (conn transport.Conn, err error) {
	fault := Do(func() error {
		conn, err = t.Dial(ctx, host)
		return nil
	})
	switch {
	case fault != nil:
		return nil, fmt.Errorf("connect to %s by the transport: %w", host, fault)
	case err != nil:
		return nil, err
	case conn == nil:
		return nil, fmt.Errorf("host %s: %w", host, errNothing)
	}
	return conn, nil
}

var errNothing = errors.New("the transport's Dial returned neither a connection nor an error")
