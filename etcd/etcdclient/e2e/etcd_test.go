package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/pki"
)

// tunnel counts the connections, by address.
type tunnel struct {
	mu    sync.Mutex
	dials map[string]int
}

func (t *tunnel) dial(ctx context.Context, network, address string) (net.Conn, error) {
	t.mu.Lock()
	t.dials[address]++
	t.mu.Unlock()
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

func endpoints(servers []*server) []string {
	var members []etcd.Member
	for _, s := range servers {
		members = append(members, s.member)
	}
	return etcd.ClientEndpoints(members)
}

func newClient(t *testing.T, servers []*server, bundle *pki.Bundle, through *tunnel) *etcdclient.Client {
	t.Helper()
	config, err := bundle.EtcdClient(context.Background())
	require.NoError(t, err)
	c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints(servers), TLS: config, Dial: through.dial, Timeout: 3 * time.Second})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func status(t *testing.T, c *etcdclient.Client) etcdclient.Status {
	t.Helper()
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	return s
}

// Members started from their rendered flags with pki's certificates form a
// cluster; it survives one of them, not two, and recovers.
func TestRealThreeMembers(t *testing.T) {
	tier.Host(t)
	servers, bundle := newServers(t)
	startAll(t, servers)
	through := &tunnel{dials: map[string]int{}}
	c := newClient(t, servers, bundle, through)

	s := status(t, c)
	require.NoError(t, s.Err())
	require.True(t, s.Quorum())
	require.Equal(t, []int{3, 3, 2, 1}, []int{s.Healthy(), s.Voters(), s.Majority(), s.Spare()})
	require.Empty(t, s.Alarms)
	leader, ok := s.Leader()
	require.True(t, ok)
	for i, e := range s.Endpoints {
		require.Equal(t, servers[i].member.Name, e.Name)
		require.Equal(t, leader.ID, e.Leader)
		require.True(t, strings.HasPrefix(e.Version, "3.6."), e.Version)
		require.Positive(t, e.Latency)
		require.Positive(t, e.Revision)
		require.Positive(t, e.SizeInUse)
		require.GreaterOrEqual(t, e.Size, e.SizeInUse)
		require.Equal(t, []string{e.Endpoint}, s.Members[i].ClientURLs)
	}
	require.Len(t, through.dials, 3, "every member is reached through the dialer")

	servers[0].kill(t)
	begin := time.Now()
	s = status(t, c)
	require.Less(t, time.Since(begin), 10*time.Second)
	require.Equal(t, []int{2, 3, 0}, []int{s.Healthy(), s.Voters(), s.Spare()}, "%v", s.Err())
	require.True(t, s.Quorum())
	require.ErrorContains(t, s.Endpoints[0].Err, "connection refused")
	require.False(t, s.Endpoints[0].Answered)

	servers[1].kill(t)
	s = status(t, c)
	require.False(t, s.Quorum())
	require.Equal(t, []int{0, 3, -2}, []int{s.Healthy(), s.Voters(), s.Spare()})
	require.True(t, s.Endpoints[2].Answered, "the last one still speaks for itself")
	require.Error(t, s.Endpoints[2].Err)

	// The same flags again: with data, etcd does not mind initial-cluster-state=new.
	<-servers[0].start(t)
	require.Eventually(t, func() bool {
		s, err := c.Status(t.Context())
		return err == nil && s.Healthy() == 2 && s.Quorum()
	}, 30*time.Second, 50*time.Millisecond)
}

// Neither clients nor peers get in without a certificate of etcd's authority.
func TestClientWithoutCertificate(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	trusted, err := bundle.EtcdClient(context.Background())
	require.NoError(t, err)
	another, err := pki.New(newCluster(t), pki.Config{})
	require.NoError(t, err)
	stranger, err := another.EtcdClient(context.Background())
	require.NoError(t, err)
	stranger.RootCAs = trusted.RootCAs
	for name, config := range map[string]*tls.Config{
		"no certificate":                 {RootCAs: trusted.RootCAs, MinVersion: tls.VersionTLS12},
		"certificate of another cluster": stranger,
	} {
		c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints(servers), TLS: config, Timeout: 3 * time.Second})
		require.NoError(t, err)
		s, err := c.Status(t.Context())
		require.NoError(t, err)
		require.Zero(t, s.Healthy(), name)
		require.Empty(t, s.Members, name)
		require.NoError(t, c.Close())

		peer := &tls.Config{RootCAs: trusted.RootCAs, Certificates: config.Certificates, MinVersion: tls.VersionTLS12}
		transport := &http.Transport{TLSClientConfig: peer}
		url := strings.Split(servers[0].flag(t, "listen-peer-urls"), ",")[0]
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/members", nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		require.Error(t, err, "%s: peers", name)
		transport.CloseIdleConnections()
	}
}

// Metrics and health are on loopback, by plain HTTP.
func TestMetricsListener(t *testing.T) {
	servers, _ := newServers(t)
	startAll(t, servers)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for _, s := range servers {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.flag(t, "listen-metrics-urls")+"/health", nil)
		require.NoError(t, err)
		response, err := transport.RoundTrip(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
}
