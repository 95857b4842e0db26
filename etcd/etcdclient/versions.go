package etcdclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Versions of one member.
type Versions struct {
	// Endpoint is the URL of the call.
	Endpoint string
	// MemberID of the member.
	MemberID uint64
	// Server is the release that runs there, "3.6.16".
	Server string
	// Cluster is the version that all members agree on, "3.6.0": what the oldest of
	// them knows. Empty where the client's URL serves no HTTP, which etcd can be configured for.
	Cluster string
	// Storage is the version of the database file, "3.6.0"; empty before etcd 3.6.
	Storage string
	// DowngradeTo is the version that the cluster is being downgraded to, empty if it
	// is not; always empty before etcd 3.6.
	DowngradeTo string
	// Err is an *EndpointError if the member did not answer; then the others are
	// empty.
	Err error
}

// Versions reads every member at once, and takes no longer than Config.Timeout. They
// are in the order of Config.Endpoints; the error is only that ctx ended first.
func (c *Client) Versions(ctx context.Context) ([]Versions, error) {
	out := make([]Versions, len(c.members))
	asked, cancel := c.within(ctx)
	defer cancel()
	var wait sync.WaitGroup
	for i, m := range c.members {
		wait.Go(func() { out[i] = m.versions(asked) })
	}
	wait.Wait()
	if ctx.Err() != nil {
		return out, fmt.Errorf("ask etcd's members for their versions: %w", context.Cause(ctx))
	}
	return out, nil
}

func (m *member) versions(ctx context.Context) Versions {
	v := Versions{Endpoint: m.endpoint}
	v.Err = m.do(ctx, "ask for its version", func(ctx context.Context, client *clientv3.Client) error {
		r, err := maintenance(client).Status(ctx, m.endpoint)
		if err != nil {
			return err
		}
		v.MemberID, v.Server, v.Storage = r.Header.GetMemberId(), cleaned(r.Version), cleaned(r.StorageVersion)
		if r.DowngradeInfo.GetEnabled() {
			v.DowngradeTo = cleaned(r.DowngradeInfo.GetTargetVersion())
		}
		return nil
	})
	if v.Err == nil {
		v.Cluster = m.clusterVersion(ctx)
	}
	return v
}

// cleaned is a version that a member sent: a word, whatever it is.
func cleaned(version string) string { return termsafe.Cut(termsafe.Line(version), 64, "...") }

// maxVersions bounds an answer to /version in bytes.
const maxVersions = 64 << 10

// clusterVersion reads by HTTP, since gRPC does not have it; empty if there is no
// answer.
func (m *member) clusterVersion(ctx context.Context) string {
	body, err := m.get(ctx, "/version")
	if err != nil {
		return ""
	}
	var said struct {
		Cluster string `json:"etcdcluster"`
	}
	if strictjson.Decode(body, &said, strictjson.Options{MaxSize: maxVersions, AllowUnknown: true}) != nil {
		return ""
	}
	return cleaned(said.Cluster)
}

// get sends one request of HTTP/1.1 on a connection of its own. It is not
// http.Transport's to do: that prints to the standard logger when a member, which
// speaks HTTP/2 alone, does so unasked.
func (m *member) get(ctx context.Context, path string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.endpoint+path, nil)
	if err != nil {
		return nil, err
	}
	request.Close = true
	raw, err := m.config.Dial(ctx, "tcp", request.URL.Host)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }() // read, or given up
	defer context.AfterFunc(ctx, func() { _ = raw.Close() })()
	conn := raw
	if request.URL.Scheme == "https" {
		config := m.config.TLS.Clone()
		config.NextProtos = nil
		if config.ServerName == "" {
			config.ServerName = request.URL.Hostname()
		}
		conn = tls.Client(raw, config)
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	// The header counts too.
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, 2*maxVersions)), request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // the connection is closed anyway
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxVersions))
}
