package etcdclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/quorate-dev/quorate"
)

// DefaultTimeout is how long one member may take to answer. A read waits out an
// election, a second with etcd's own settings, and has time left.
const DefaultTimeout = 5 * time.Second

// Config says where the members are and how to reach them.
type Config struct {
	// Endpoints are the members' client URLs, as etcd.ClientEndpoints gives
	// them: scheme, host and port. Required.
	Endpoints []string
	// TLS holds the client certificate that the members ask for and the
	// authority that verifies theirs, against the host of the endpoint also
	// when Dial leads through a tunnel. Required with https. It is cloned.
	TLS *tls.Config
	// Dial opens a connection to a member's "host:port", network "tcp". It is
	// called for several members at once. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout of one member. Default DefaultTimeout.
	Timeout time.Duration
}

// Client asks the members of one cluster. It is safe for concurrent use.
type Client struct {
	members []*member
	timeout time.Duration
}

// member is one endpoint and the connection to it.
type member struct {
	endpoint string
	conn     *grpc.ClientConn
}

// New makes a Client; connections are opened when they are first needed. The
// error is a *quorate.InvalidError, with every problem of the configuration.
// Close the Client when done.
func New(config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	}
	c := &Client{timeout: config.Timeout}
	for _, endpoint := range config.Endpoints {
		conn, err := config.connection(endpoint)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("etcd member %s: prepare a connection: %w", endpoint, err), c.Close())
		}
		c.members = append(c.members, &member{endpoint: endpoint, conn: conn})
	}
	return c, nil
}

// Close closes every connection; what still runs on one fails.
func (c *Client) Close() error {
	var all []error
	for _, m := range c.members {
		if err := m.conn.Close(); err != nil {
			all = append(all, fmt.Errorf("etcd member %s: close: %w", m.endpoint, err))
		}
	}
	return errors.Join(all...)
}

func (c Config) validate() error {
	var p quorate.Problems
	if len(c.Endpoints) == 0 {
		p.Refuse("endpoints", "is required: the members' client URLs")
	}
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d]", i)
		switch u, err := url.Parse(e); {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || !isHostPort(u.Host) || u.String() != u.Scheme+"://"+u.Host:
			// Not repeated: somebody may have put a password into it.
			p.Refuse(at, "is no client URL: want scheme, host and port alone, as in https://10.0.0.1:2379")
		case slices.Contains(c.Endpoints[:i], e):
			p.Refuse(at, "%s is given twice", e)
		case u.Scheme == "https" && c.TLS == nil:
			p.Refuse("tls", "is required for %s", e)
		}
	}
	if c.Timeout < 0 {
		p.Refuse("timeout", "%s is negative", c.Timeout)
	}
	return p.Err("etcd client")
}

func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, portErr := strconv.Atoi(port)
	return err == nil && portErr == nil && host != "" && n > 0 && n < 1<<16
}

// connection prepares the connection to one member. Nothing is retried: what is
// reported is the state now. A member that comes back is dialled within a second.
func (c Config) connection(endpoint string) (*grpc.ClientConn, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	security := insecure.NewCredentials()
	if u.Scheme == "https" {
		security = credentials.NewTLS(c.TLS.Clone())
	}
	return grpc.NewClient("passthrough:///"+u.Host,
		grpc.WithTransportCredentials(security),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return c.Dial(ctx, "tcp", address) }),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: c.Timeout,
		}),
	)
}
