package vip_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

// What the defaults promise, and an advertisement interval of a second, VRRP
// version 2's least. Two hosts may hold the VIP for less than the one interval in
// which the lower one hears the other: more is a failure.
const (
	apiServerLoss = 6 * time.Second
	hostLoss      = 4 * time.Second
	// With a weight a node with a dead API server is waited for like a dead host.
	weightedLoss = 9 * time.Second
	// answerLimit is for neighbours to learn where the VIP is, and for a probe
	// on a busy machine.
	answerLimit = time.Second
)

// nobody holds the VIP.
const nobody = -1

// Three real keepaliveds, each in a network namespace of its own with an API
// server beside it, on one segment that nothing outside can see. The holder is
// watched all the time.
func TestRealFailover(t *testing.T) {
	tier.Host(t, "ip")
	tier.Root(t)
	t.Parallel()
	keepalived := tier.Program(t, "keepalived")
	unicast4 := cluster(3, "10.77.0.100", "10.77.0.%d")
	unicast4.Endpoint.VIP.Subnet = netip.MustParsePrefix("10.77.0.0/24")
	unicast6 := cluster(3, "fd77::100", "fd77::%d")
	multicast := cluster(3, "10.78.0.100", "10.78.0.%d")
	multicast.Endpoint.VIP.Multicast = true
	multicast.Endpoint.VIP.AdvertInterval = quorate.Duration(time.Second)
	for name, c := range map[string]quorate.Cluster{"unicast IPv4": unicast4, "unicast IPv6": unicast6, "multicast IPv4, VRRP version 2": multicast} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failover(t, newLab(t, keepalived, c))
		})
	}
}

func failover(t *testing.T, l *lab) {
	t.Log("boot, no API server is ready: nobody may hold the VIP")
	l.stays(t, nobody, 5*time.Second)

	t.Log("the first ready one takes it, and keeps it when those of higher priority become ready")
	l.servers[2].set(ready)
	l.moves(t, "first API server ready", 10*time.Second)
	l.servers[0].set(ready)
	l.servers[1].set(ready)
	l.stays(t, 2, 6*time.Second)

	t.Log("the holder's API server fails, and is ready again")
	l.servers[2].set(failing)
	second := l.moves(t, "API server answers 500", apiServerLoss)
	l.servers[2].set(ready)
	l.stays(t, second, 5*time.Second)

	t.Log("the holder's API server hangs, and is ready again")
	l.servers[second].set(hanging)
	third := l.moves(t, "API server hangs", apiServerLoss)
	l.servers[second].set(ready)
	l.stays(t, third, 5*time.Second)

	t.Log("the holder's host is cut off, and comes back")
	l.cable(t, third, "down")
	fourth := l.moves(t, "host cut off", hostLoss)
	l.cable(t, third, "up")
	l.stays(t, fourth, 6*time.Second)

	t.Log("the holder's keepalived is stopped")
	l.stop(t, fourth)
	l.moves(t, "keepalived stopped", hostLoss)

	t.Log("every API server is down: nobody may hold it")
	for _, s := range l.servers {
		s.set(failing)
	}
	l.givenUp(t, apiServerLoss)
}

// With a weight the VIP follows the least bad node, and goes back to the first.
func TestRealFailoverByWeight(t *testing.T) {
	tier.Host(t, "ip")
	tier.Root(t)
	t.Parallel()
	c := cluster(3, "10.79.0.100", "10.79.0.%d")
	c.Endpoint.VIP.Weight = -2
	l := newLab(t, tier.Program(t, "keepalived"), c)

	t.Log("boot, no API server is ready: the first node holds the VIP all the same")
	l.settles(t, "boot", 0, 10*time.Second)

	t.Log("a ready one outbids it, although its own priority is lower")
	l.servers[2].set(ready)
	l.settles(t, "another API server ready", 2, weightedLoss)

	t.Log("the first takes it back once it is ready, and loses it when it fails")
	l.servers[0].set(ready)
	l.settles(t, "first API server ready", 0, weightedLoss)
	l.servers[0].set(failing)
	l.settles(t, "API server answers 500", 2, weightedLoss)

	t.Log("every API server is down: somebody holds it all the same")
	l.servers[2].set(failing)
	l.settles(t, "every API server down", 0, weightedLoss)
	l.stays(t, 0, 5*time.Second)
}

// The VIP's holder reads other peers and another priority by a reload, and keeps the VIP meanwhile; a
// host that is no longer among the peers, and whose API server is down, does not claim it.
func TestRealReload(t *testing.T) {
	tier.Host(t, "ip")
	tier.Root(t)
	t.Parallel()
	c := cluster(3, "10.82.0.100", "10.82.0.%d")
	l := newLab(t, tier.Program(t, "keepalived"), c)
	l.servers[1].set(ready)
	l.moves(t, "first API server ready", 10*time.Second)
	l.servers[0].set(ready)

	left := c
	left.AllowEvenControlPlanes = true
	left.Nodes = slices.DeleteFunc(slices.Clone(c.Nodes), func(n quorate.Node) bool { return n.Name == c.ControlPlanes()[2].Name })
	slices.Reverse(left.Nodes) // other priorities
	instances, err := vip.Instances(left, auth)
	require.NoError(t, err)
	for _, i := range instances {
		host := slices.IndexFunc(c.ControlPlanes(), func(n quorate.Node) bool { return n.Name == i.Node })
		_, config := files(t, i)
		args := l.keepalive[host].Args
		path := args[slices.Index(args, "--use-file")+1]
		text := bytes.ReplaceAll(config.Content.Bytes(), []byte(vip.CheckPath), []byte(filepath.Join(filepath.Dir(path), "check.sh")))
		require.NoError(t, os.WriteFile(path, text, 0o600))
		require.NoError(t, l.keepalive[host].Process.Signal(syscall.SIGHUP))
	}
	l.stays(t, 1, 8*time.Second)
	for _, i := range instances {
		host := slices.IndexFunc(c.ControlPlanes(), func(n quorate.Node) bool { return n.Name == i.Node })
		require.Contains(t, strings.ToLower(l.logs[host].String()), "reload", "it has read nothing again")
	}
	l.servers[1].set(failing)
	require.Equal(t, 0, l.moves(t, "API server answers 500", apiServerLoss))
	l.servers[0].set(failing)
	require.Eventually(t, func() bool { holder, _ := l.now(); return holder == nobody }, apiServerLoss, 10*time.Millisecond)
	l.stays(t, nobody, 3*time.Second)
}

// lab is the three hosts, and what is seen of them.
type lab struct {
	segment
	vip       netip.Addr
	overlap   time.Duration
	port      uint16
	haproxies []*exec.Cmd
	servers   []*apiServer
	keepalive []*exec.Cmd
	logs      []*lockedBuffer

	mu      sync.Mutex
	holder  int
	changed chan struct{}
	// since when two hosts have held the VIP, and the longest they ever did.
	since   time.Time
	longest time.Duration
}

func newLab(t *testing.T, keepalived string, c quorate.Cluster) *lab {
	t.Helper()
	return newLabWith(t, c, func(l *lab, host *namespace, i vip.Instance) { l.start(t, keepalived, host, i) })
}

// newLabWith has start run keepalived on each host.
func newLabWith(t *testing.T, c quorate.Cluster, start func(l *lab, host *namespace, i vip.Instance)) *lab {
	t.Helper()
	all, err := vip.Instances(c, auth)
	require.NoError(t, err)
	bits := all[0].Source.BitLen() - 16
	prefix := func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, bits) }
	l := &lab{vip: c.Endpoint.Address(), overlap: c.WithDefaults().Endpoint.VIP.AdvertInterval.Std(), holder: nobody, changed: make(chan struct{})}
	l.segment = newSegment(t, prefix(l.vip.Next()), prefix(all[0].Source), prefix(all[1].Source), prefix(all[2].Source))
	l.port = uint16(c.WithDefaults().Endpoint.Port)
	own := newAuthority(t)
	ca := own.file(t, placeFor(t))
	haproxies, err := vip.HAProxies(c, own.content())
	require.NoError(t, err)
	for i := range all {
		named := []netip.Addr{l.vip, all[0].APIServer, all[1].APIServer, all[2].APIServer}
		l.servers = append(l.servers, newAPIServer(t, l.hosts[i], own, all[i].APIServer, named...))
		if haproxies != nil {
			l.startHAProxy(t, l.hosts[i], haproxies[i])
		}
		all[i].CAFile = ca
		start(l, l.hosts[i], all[i])
	}
	l.watch(t)
	return l
}

// start runs keepalived as it is rendered, but for the place of the script.
func (l *lab) start(t *testing.T, keepalived string, host *namespace, i vip.Instance) {
	t.Helper()
	check, config := files(t, i)
	dir := placeFor(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.WriteFile(in("check.sh"), check.Content.Bytes(), 0o755))
	text := bytes.ReplaceAll(config.Content.Bytes(), []byte(vip.CheckPath), []byte(in("check.sh")))
	require.NoError(t, os.WriteFile(in("keepalived.conf"), text, 0o600))
	output := &lockedBuffer{}
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", host.name, keepalived, "--dont-fork", "--log-console", "--log-detail", "--vrrp",
		"--use-file", in("keepalived.conf"), "--pid", in("pid"), "--vrrp_pid", in("vrrp.pid"))
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	l.keepalive, l.logs = append(l.keepalive, cmd), append(l.logs, output)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // already gone after stop
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("keepalived on %s:\n%s", i.Node, output.String())
		}
	})
}

// startHAProxy runs haproxy as it is rendered, but for the place of the
// authority.
func (l *lab) startHAProxy(t *testing.T, host *namespace, h vip.HAProxy) {
	t.Helper()
	output := &lockedBuffer{}
	cmd := exec.CommandContext(t.Context(), "ip", "netns", "exec", host.name, tier.Program(t, "haproxy"), "-db", "-f", place(t, h))
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	require.NoError(t, cmd.Start())
	l.haproxies = append(l.haproxies, cmd)
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // already gone if the test ended it
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy on %s:\n%s", h.Node, output.String())
		}
	})
}

func (l *lab) stop(t *testing.T, host int) {
	t.Helper()
	require.NoError(t, l.keepalive[host].Process.Signal(syscall.SIGTERM))
}

// watch looks who holds the VIP every few milliseconds until the test ends.
func (l *lab) watch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.look(t)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		t.Logf("two hosts at once for at most %s", l.longest.Round(time.Millisecond))
		if l.longest >= l.overlap {
			t.Error("two hosts held the VIP at once")
		}
	})
}

func (l *lab) look(t *testing.T) {
	holders := []int{}
	for i, h := range l.hosts {
		has, err := h.has(l.vip)
		if err != nil {
			t.Errorf("addresses of %s: %v", h.name, err)
		}
		if has {
			holders = append(holders, i)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	holder := nobody
	if len(holders) > 0 {
		holder = holders[0]
	}
	if slices.Contains(holders, l.holder) {
		holder = l.holder
	}
	switch {
	case len(holders) < 2:
		l.since = time.Time{}
	case l.since.IsZero():
		l.since = time.Now()
		l.longest = max(l.longest, time.Millisecond)
	default:
		l.longest = max(l.longest, time.Since(l.since))
	}
	if holder != l.holder {
		l.holder = holder
		close(l.changed)
		l.changed = make(chan struct{})
	}
}

func (l *lab) now() (holder int, changed <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder, l.changed
}

// moves waits until another host than now holds the VIP, no longer than the
// limit, and until the API answers there, and returns that host.
func (l *lab) moves(t *testing.T, why string, limit time.Duration) int {
	t.Helper()
	begin := time.Now()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	from, changed := l.now()
	holder := from
	for holder == from || holder == nobody {
		select {
		case <-changed:
			holder, changed = l.now()
		case <-timeout.C:
			require.FailNowf(t, "the VIP did not move", "%s: host %d holds it after %s", why, holder, limit)
		}
	}
	took := time.Since(begin)
	require.Eventually(t, func() bool { return l.serves(t, holder) }, answerLimit, 10*time.Millisecond, "%s: the API does not answer at the VIP", why)
	t.Logf("%s: host %d holds the VIP after %s, the API answers there after %s", why, holder, took.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
	return holder
}

// settles waits until a host holds the VIP and the API answers there, no longer
// than the limit. Others may hold it before: with a weight the first to bid
// takes it until one of higher priority does, whichever keepalived is up first.
func (l *lab) settles(t *testing.T, why string, want int, limit time.Duration) {
	t.Helper()
	begin := time.Now()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for holder, changed := l.now(); holder != want; holder, changed = l.now() {
		select {
		case <-changed:
		case <-timeout.C:
			require.FailNowf(t, "the VIP is elsewhere", "%s: host %d holds it after %s, want %d", why, holder, limit, want)
		}
	}
	// Of two that bid at once both announce the VIP, in any order; the holder announces it again a second later.
	require.Eventually(t, func() bool { return l.answers(t) == fmt.Sprint(want) }, answerLimit+time.Second, 10*time.Millisecond, "%s: the API does not answer at the VIP", why)
	t.Logf("%s: host %d holds the VIP after %s", why, want, time.Since(begin).Round(time.Millisecond))
}

// givenUp sees that from the limit on nobody holds the VIP. Before, a host whose
// own check has not yet failed often enough may take it for a moment.
func (l *lab) givenUp(t *testing.T, limit time.Duration) {
	t.Helper()
	begin, last := time.Now(), time.Duration(0)
	over := time.NewTimer(limit)
	defer over.Stop()
	for waiting := true; waiting; {
		_, changed := l.now()
		select {
		case <-changed:
			last = time.Since(begin)
		case <-over.C:
			waiting = false
		}
	}
	t.Logf("every API server down: nobody after %s", last.Round(time.Millisecond))
	l.stays(t, nobody, 5*time.Second)
}

// stays sees that nobody but want holds the VIP for a while.
func (l *lab) stays(t *testing.T, want int, while time.Duration) {
	t.Helper()
	over := time.NewTimer(while)
	defer over.Stop()
	holder, changed := l.now()
	require.Equal(t, want, holder)
	select {
	case <-changed:
		holder, _ := l.now()
		require.FailNowf(t, "the VIP moved", "to host %d", holder)
	case <-over.C:
	}
}

// serves reports whether the API answers at the VIP: the holder's own server,
// or with haproxy any.
func (l *lab) serves(t *testing.T, holder int) bool {
	answer := l.answers(t)
	return answer == fmt.Sprint(holder) || l.haproxies != nil && slices.Contains([]string{"0", "1", "2"}, answer)
}

// answers is who serves the API at the VIP, seen from the segment.
func (l *lab) answers(t *testing.T) string {
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	client := http.Client{Transport: &http.Transport{DialContext: l.middle.dial, TLSClientConfig: l.servers[0].trust, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+netip.AddrPortFrom(l.vip, l.port).String()+"/name", nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error()
	}
	return strings.TrimPrefix(string(body), "host ")
}

// lockedBuffer takes a process's output while the test may read it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
