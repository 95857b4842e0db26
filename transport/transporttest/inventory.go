package transporttest

import (
	"context"
	"errors"
	"testing"

	"github.com/quorate-dev/quorate/transport"
)

// inventory tries a transport.Inventory: what it has is what it dials.
func inventory(t *testing.T, h Harness) {
	t.Helper()
	able, ok := h.Transport.(transport.Inventory)
	if !ok {
		t.Skip("the transport is no transport.Inventory")
	}
	if err := able.Has(h.Host); err != nil {
		t.Errorf("Has refuses the host that is dialled: %v", err)
	}
	const none = "transporttest-has-no-such-host"
	if able.Has(none) == nil {
		return // it takes every name
	}
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	defer cancel()
	made, err := watched(h.watch, "Dial", func() (transport.Conn, error) { return h.Transport.Dial(ctx, none) })
	if err == nil {
		_ = made.Close()
		t.Fatal("Dial reaches a host that Has refuses")
	}
	var dial *transport.DialError
	if !errors.As(err, &dial) || !errors.Is(err, transport.ErrNoHost) || !errors.Is(able.Has(none), transport.ErrNoHost) {
		t.Errorf("want a *transport.DialError that wraps transport.ErrNoHost, as Has does, got %T: %v", err, err)
	}
}
