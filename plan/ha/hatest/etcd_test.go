package hatest_test

import (
	"net/netip"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// server is a member that may end by itself.
type server struct{ crashed, stopped atomic.Bool }

func (s *server) Running() bool { return !s.crashed.Load() && !s.stopped.Load() }

func (s *server) Stop() error { s.stopped.Store(true); return nil }

// A member brought by UseEtcd is started by systemctl alone; when it ends by
// itself its unit has failed, and the same plan starts it again.
func TestUseEtcdFollowsWhatItsMembersDo(t *testing.T) {
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "api.example.org", External: true},
		Nodes: []quorate.Node{{
			Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")},
		}},
	}
	hosts, err := hatest.New(c)
	require.NoError(t, err)
	var started []*server
	hosts.UseEtcd(func(h *faketransport.Host) (hatest.Member, error) {
		require.Equal(t, "cp-1", h.Name())
		started = append(started, new(server))
		return started[len(started)-1], nil
	})
	p, err := plan.New(plan.Step{ID: "etcd", Host: "cp-1", Action: plan.Deploy{
		Name:  "etcd",
		Files: []quorate.File{{Path: "/etc/systemd/system/etcd.service", Mode: 0o644, Content: quorate.Public([]byte("[Service]\n"))}},
		Units: []plan.Unit{{Name: "etcd.service", NoBlock: true}},
	}})
	require.NoError(t, err)
	run := func() bool {
		sum, err := (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		require.NoError(t, err)
		return sum.Changed()
	}
	require.True(t, run())
	require.False(t, run())
	require.Len(t, started, 1)

	started[0].crashed.Store(true)
	require.False(t, hosts.Active("cp-1", "etcd.service"))
	require.True(t, run())
	require.Len(t, started, 2)
	require.True(t, hosts.Active("cp-1", "etcd.service"))

	systemctl := func(verb string) {
		conn, err := hosts.Dial(t.Context(), "cp-1")
		require.NoError(t, err)
		require.NoError(t, conn.Run(t.Context(), transport.Cmd{Argv: []string{"systemctl", verb, "etcd.service"}}))
		require.NoError(t, conn.Close())
	}
	systemctl("start")
	require.Len(t, started, 2, "starting what runs does nothing")
	systemctl("stop")
	require.True(t, started[1].stopped.Load())
	systemctl("start")
	require.Len(t, started, 3)
	require.NoError(t, hosts.Close())
	require.True(t, started[2].stopped.Load())
}
