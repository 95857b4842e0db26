package ha_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
)

// dialFunc is a transport of a Dial alone.
type dialFunc func(ctx context.Context, host string) (transport.Conn, error)

func (f dialFunc) Dial(ctx context.Context, host string) (transport.Conn, error) { return f(ctx, host) }
func (dialFunc) Close() error                                                    { return nil }

// brokenConn panics in whatever it is asked.
type brokenConn struct{}

func (*brokenConn) Run(context.Context, transport.Cmd) error { panic("a broken connection") }
func (*brokenConn) Close() error                             { panic("a broken connection") }

// embedded is a transport that is used by its address: a nil one panics.
type embedded struct{ inner transport.Transport }

func (e *embedded) Dial(ctx context.Context, host string) (transport.Conn, error) {
	return e.inner.Dial(ctx, host)
}

// brokenTunnels has a tunnel that panics.
type brokenTunnels struct{ transport.Conn }

func (b brokenTunnels) Unwrap() transport.Conn { return b.Conn }
func (brokenTunnels) DialContext(context.Context, string, string) (net.Conn, error) {
	panic("a broken tunnel")
}

// only has one host's connection made by f, and all others' as they are.
func only(t transport.Transport, host string, f dialFunc) transport.Transport {
	return dialFunc(func(ctx context.Context, name string) (transport.Conn, error) {
		if name == host {
			return f(ctx, name)
		}
		return t.Dial(ctx, name)
	})
}

// A transport that panics, or returns no connection, is that host's finding: in a survey, in a
// preflight and where the kubeconfig is read. The other hosts are read as ever, and the
// process goes on.
func TestABrokenTransportEndsNoProcess(t *testing.T) {
	hosts, cfg := surveyed(t)
	c, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	for name, one := range map[string]struct {
		dial dialFunc
		said string
	}{
		"Dial panics":        {func(context.Context, string) (transport.Conn, error) { panic("a broken transport") }, "a broken transport"},
		"no connection":      {func(context.Context, string) (transport.Conn, error) { return nil, nil }, "neither a connection nor an error"},
		"a nil connection":   {func(context.Context, string) (transport.Conn, error) { return (*brokenConn)(nil), nil }, "a broken connection"},
		"Run, Close panic":   {func(context.Context, string) (transport.Conn, error) { return &brokenConn{}, nil }, "a broken connection"},
		"Dial ends":          {func(context.Context, string) (transport.Conn, error) { runtime.Goexit(); return nil, nil }, "ended"},
		"a nil transport":    {(*embedded)(nil).Dial, "nil pointer"},
		"a panic in colours": {func(context.Context, string) (transport.Conn, error) { panic("\x1b[31mred") }, "red"},
	} {
		t.Run(name, func(t *testing.T) {
			broken := only(hosts, "cp-2", one.dial)
			s, err := c.Survey(t.Context(), survey.Config{Transport: broken})
			require.NoError(t, err)
			require.Contains(t, s.Hosts[1].Unreachable, one.said)
			require.NotContains(t, s.Text(), "\x1b")
			for i, h := range s.Hosts {
				require.Equal(t, i == 1, h.Unreachable != "", "%s: %s", h.Name, h.Unreachable)
			}
			require.True(t, s.Etcd.Quorum)

			if name != "Dial ends" { // the goroutine is the Runner's
				report, err := c.Preflight(t.Context(), preflight.Config{Transport: broken})
				require.NoError(t, err)
				require.Contains(t, report.Text(), one.said)
				require.NotContains(t, report.Text(), "\x1b")

				_, err = ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{Transport: only(hosts, "cp-1", one.dial), Cluster: cfg.Cluster})
				require.NoError(t, err, "another control plane has it")
				_, err = ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{Transport: one.dial, Cluster: cfg.Cluster})
				require.ErrorContains(t, err, one.said)
				var none *ha.KubeconfigError
				require.ErrorAs(t, err, &none)
				require.Equal(t, name != "no connection", asPanic(err))
			}
		})
	}
	var none *embedded
	s, err := c.Survey(t.Context(), survey.Config{Transport: transport.Transport(none)})
	require.NoError(t, err)
	require.False(t, s.Sound())
}

func asPanic(err error) bool {
	var fault *plan.PanicError
	return errors.As(err, &fault)
}

// Etcd that was not asked, since the transport makes no tunnels, is no etcd without quorum.
func TestSurveyWithoutTunnels(t *testing.T) {
	hosts, cfg := surveyed(t)
	c, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	for name, dial := range map[string]struct {
		dial dialFunc
		why  string
	}{
		"none": {func(ctx context.Context, host string) (transport.Conn, error) {
			conn, err := hosts.Dial(ctx, host)
			return runAlone{conn}, err
		}, "the transport makes no tunnels"},
		"broken": {func(ctx context.Context, host string) (transport.Conn, error) {
			conn, err := hosts.Dial(ctx, host)
			return brokenTunnels{conn}, err
		}, "a broken tunnel"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := c.Survey(t.Context(), survey.Config{Transport: dial.dial})
			require.NoError(t, err)
			require.Contains(t, s.Etcd.Unchecked, dial.why)
			require.NotContains(t, s.Text(), "quorum")
			require.NotContains(t, s.Text(), "nothing: the cluster is as described")
			of := found(s, survey.Members)
			require.Len(t, of, 1)
			require.Contains(t, of[0], "etcd was not looked at")
			require.True(t, s.Sound(), "%v", s.Findings)
			i := len(s.Findings) - 1
			for ; s.Findings[i].Check != survey.Members; i-- {
				continue
			}
			require.Equal(t, quorate.Unchecked, s.Findings[i].Severity)
			require.True(t, strings.Contains(s.Text(), "transport.Dialer"), s.Text())
		})
	}
}

// runAlone is a connection of which commands are all there is.
type runAlone struct{ conn transport.Conn }

func (r runAlone) Run(ctx context.Context, cmd transport.Cmd) error { return r.conn.Run(ctx, cmd) }
func (r runAlone) Close() error                                     { return r.conn.Close() }
