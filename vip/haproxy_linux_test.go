package vip_test

import (
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

// Three real keepaliveds, each with a real haproxy before three API servers. An
// API server that dies moves nothing and costs next to nothing; a haproxy that
// dies moves the VIP; a host that is cut off releases it by itself.
func TestRealFailoverWithHAProxy(t *testing.T) {
	tier.Host(t, "ip", "haproxy")
	tier.Root(t)
	t.Parallel()
	keepalived := tier.Program(t, "keepalived")
	t.Run("IPv4", func(t *testing.T) {
		t.Parallel()
		c := balanced(cluster(3, "10.80.0.100", "10.80.0.%d"))
		c.Endpoint.VIP.Subnet = netip.MustParsePrefix("10.80.0.0/24")
		failoverWithHAProxy(t, newLab(t, keepalived, c))
	})
	t.Run("IPv6", func(t *testing.T) {
		t.Parallel()
		failoverWithHAProxy(t, newLab(t, keepalived, balanced(cluster(3, "fd80::100", "fd80::%d"))))
	})
}

func failoverWithHAProxy(t *testing.T, l *lab) {
	t.Log("no API server is ready: nobody may hold the VIP, whatever haproxy runs")
	l.stays(t, nobody, 4*time.Second)
	for _, s := range l.servers {
		s.set(ready)
	}
	holder := l.moves(t, "API servers ready", 12*time.Second)

	t.Log("the holder's API server says that it is not ready: requests go elsewhere")
	l.servers[holder].set(failing)
	require.Eventually(t, func() bool { return l.servesWithout(t, holder) }, 6*time.Second, 50*time.Millisecond)
	l.servers[holder].set(ready)

	t.Log("the holder's API server dies: the VIP stays, and no request waits for it")
	l.servers[holder].kill(t)
	failed := 0
	for range 100 {
		if answer := l.answers(t); answer == strconv.Itoa(holder) || !l.isHost(answer) {
			failed++
			t.Log(answer)
		}
	}
	require.LessOrEqual(t, failed, 1, "of 100 requests, one may have been under way")
	l.stays(t, holder, 6*time.Second)

	t.Log("the holder's haproxy dies")
	require.NoError(t, l.haproxies[holder].Process.Signal(syscall.SIGKILL))
	second := l.moves(t, "haproxy killed", apiServerLoss)

	t.Log("the new holder is cut off from the others, its API server from the quorum: it releases the VIP by itself")
	l.overlap = apiServerLoss + vip.HAProxy{}.BackendLossBound()
	l.cutOff(t, second)
	l.servers[second].set(failing)
	l.moves(t, "cut off with its link up", l.overlap)
}

// servesWithout reports whether eight requests in a row are answered by others.
func (l *lab) servesWithout(t *testing.T, host int) bool {
	for range 8 {
		if answer := l.answers(t); answer == strconv.Itoa(host) || !l.isHost(answer) {
			return false
		}
	}
	return true
}

func (l *lab) isHost(answer string) bool {
	i, err := strconv.Atoi(answer)
	return err == nil && i >= 0 && i < len(l.servers)
}
