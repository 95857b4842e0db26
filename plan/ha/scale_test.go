package ha_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	cryptossh "golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// TestScale runs the recipe against clusters of hosts in this process, each
// behind an SSH server of its own on the loopback, that are as described. What a
// host costs in round trips does not depend on how many there are, and nothing is
// left running. What it costs in time and memory is printed: servers and hosts
// included, since they are in this process too.
//
// The sizes are 3 and 30, or what QUORATE_SCALE lists: see "make scale".
func TestScale(t *testing.T) {
	sizes := os.Getenv("QUORATE_SCALE")
	if sizes == "" {
		sizes = "3,30"
	}
	t.Logf("%6s %6s %10s %10s %10s %12s %12s %12s %12s %11s", "hosts", "steps", "plan", "run", "run/host",
		"allocs/host", "KiB/host", "live KiB/host", "goroutines", "round trips")
	for size := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(size)
		require.NoError(t, err)
		scale(t, n)
	}
}

func scale(t *testing.T, n int) {
	before := goleak.IgnoreCurrent()
	c := many(n)
	cfg := config(t, c)
	start := time.Now()
	p, err := planFor(cfg)
	require.NoError(t, err)
	planned := time.Since(start)

	hosts, err := hatest.New(c)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p) // without SSH: it is not what is measured
	require.NoError(t, err)
	remote, stop := serveAll(t, c, hosts)

	idle := live()
	var was, is runtime.MemStats
	runtime.ReadMemStats(&was)
	most, sampled := sample()
	start = time.Now()
	// However slow the machine, what was read ahead counts: what is held here is
	// the number of round trips.
	sum, err := (&plan.Runner{Transport: remote, ReadAhead: time.Hour}).Run(t.Context(), p)
	took := time.Since(start)
	runtime.ReadMemStats(&is)
	sampled()
	require.NoError(t, err)
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: p.Len()}, sum.Outcomes)
	require.Len(t, sum.RoundTrips, n)
	for host, trips := range sum.RoundTrips {
		want := 1
		if host == "cp-1" {
			want += 3 // a tunnel to each member of etcd
		}
		require.Equal(t, want, trips, host)
	}

	stop()
	require.NoError(t, hosts.Close())
	goleak.VerifyNone(t, before)
	per := func(total uint64) uint64 { return total / uint64(n) }
	t.Logf("%6d %6d %10v %10v %10v %12d %12d %12d %12d %11s", n, p.Len(), planned.Round(time.Millisecond), took.Round(time.Millisecond),
		(took / time.Duration(n)).Round(10*time.Microsecond), per(is.Mallocs-was.Mallocs), per(is.TotalAlloc-was.TotalAlloc)>>10,
		per(max(*most, idle)-idle)>>10, runtime.NumGoroutine(), "1, cp-1: 4")
}

// many is three control planes, and workers.
func many(n int) quorate.Cluster {
	c := hafixture.Three()
	c.Nodes = nil
	c.Pods = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	c.Services = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16")}
	for i := range n {
		node := quorate.Node{
			Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})},
		}
		if i >= 3 {
			node = quorate.Node{
				Name: fmt.Sprintf("worker-%d", i-2), Role: quorate.Worker,
				Addresses: []netip.Addr{netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})},
			}
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

// serveAll puts an SSH server before each host; stop ends them and the transport.
func serveAll(t *testing.T, c quorate.Cluster, hosts *hatest.Cluster) (remote *ssh.Transport, stop func()) {
	t.Helper()
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	authorized, err := cryptossh.NewPublicKey(public)
	require.NoError(t, err)
	cfg := ssh.Config{Targets: map[string]ssh.Target{}, Auth: ssh.Auth{Signers: []ssh.Signer{ssh.NewSigner(key)}}}
	var closers []func() error
	for _, n := range c.Nodes {
		console, err := hosts.Dial(t.Context(), n.Name)
		require.NoError(t, err)
		server, err := sshtest.Start(sshtest.Config{Conn: console, AuthorizedKeys: []cryptossh.PublicKey{authorized}})
		require.NoError(t, err)
		cfg.Targets[n.Name] = server.Target()
		cfg.HostKeys.KnownHosts = append(cfg.HostKeys.KnownHosts, server.KnownHosts()...)
		closers = append(closers, server.Close, console.Close)
	}
	remote, err = ssh.New(cfg)
	require.NoError(t, err)
	return remote, func() {
		require.NoError(t, remote.Close())
		for _, c := range closers {
			require.NoError(t, c())
		}
	}
}

// live is the memory in use after a collection.
func live() uint64 {
	runtime.GC()
	return read("/gc/heap/live:bytes")
}

func read(name string) uint64 {
	s := []metrics.Sample{{Name: name}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// sample looks at the memory in use, by each collection, until it is stopped.
func sample() (most *uint64, stop func()) {
	most = new(uint64)
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			*most = max(*most, read("/gc/heap/live:bytes"))
			<-tick.C
		}
	})
	return most, func() {
		cancel()
		done.Wait()
	}
}
