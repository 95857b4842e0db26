package transporttest

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

func tunnels(t *testing.T, h Harness) {
	conn := h.dial(t)
	dialer, ok := conn.dialer()
	if !ok {
		t.Skip("the connection makes no tunnels")
	}
	listen := h.Listen
	if listen == nil {
		listen = Echo
	}
	ctx, cancel := context.WithTimeout(t.Context(), h.Patience)
	defer cancel()

	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := listen(t, network)
			data := noise(1 << 20)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					c, err := dialer.DialContext(ctx, network, addr)
					if err != nil {
						t.Errorf("DialContext: %v", err)
						return
					}
					defer func() { _ = c.Close() }()
					go func() { _, _ = c.Write(data) }()
					got := make([]byte, len(data))
					if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, data) {
						t.Errorf("the echo differs: %v", err)
					}
				})
			}
			all.Wait()
		})
	}

	t.Run("nobody listens", func(t *testing.T) {
		c, err := dialer.DialContext(ctx, "unix", h.Dir+"/nobody.sock")
		if err == nil {
			_ = c.Close()
			t.Error("no error")
		}
	})

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if c, err := dialer.DialContext(ctx, "tcp", listen(t, "tcp")); err == nil {
			_ = c.Close()
			t.Error("no error")
		}
	})

	t.Run("closed", func(t *testing.T) {
		other := h.dial(t)
		check(t, other.Close())
		dialer, _ := other.dialer()
		if c, err := dialer.DialContext(ctx, "tcp", listen(t, "tcp")); err == nil {
			_ = c.Close()
			t.Error("no error")
		}
	})
}

// Echo starts an echo server on this machine, "tcp" on the loopback or "unix"
// in a temporary directory, until the test ends. It is the default of
// Harness.Listen.
func Echo(t *testing.T, network string) string {
	t.Helper()
	addr := "127.0.0.1:0"
	if network == "unix" {
		addr = filepath.Join(t.TempDir(), "echo.sock")
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	return l.Addr().String()
}
