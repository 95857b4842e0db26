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
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
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
	// Endpoints are the members' client URLs, as etcd.ClientEndpoints returns
	// them: scheme, host and port. Required.
	Endpoints []string
	// TLS holds the client certificate that the members ask for and the
	// authority that verifies theirs, against the host of the endpoint also
	// when Dial leads through a tunnel. Required with https. It is cloned.
	TLS *tls.Config
	// Dial opens a connection to a member's "host:port", network "tcp". It is
	// called for several members at once. A panic in it is a *DialPanicError of that
	// member. Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout of one member. Default DefaultTimeout.
	Timeout time.Duration
}

// Client reads and changes the members of one cluster. It is safe for concurrent use.
type Client struct {
	members []*member
	timeout time.Duration
}

// member is one endpoint and etcd's client of it alone.
type member struct {
	endpoint string
	config   Config

	mu     sync.Mutex
	client *clientv3.Client
	path   *path
	closed bool
}

// New returns a Client; connections are opened when they are first needed. The
// error is a *quorate.InvalidError, with every problem of the configuration.
// Close the Client when done.
func New(config Config) (*Client, error) {
	if err := config.validate(); err != nil {
		return nil, err
	}
	config.Timeout = cmp.Or(config.Timeout, DefaultTimeout)
	if config.TLS != nil {
		config.TLS = config.TLS.Clone()
	}
	if config.Dial == nil {
		config.Dial = (&net.Dialer{}).DialContext
	} else {
		config.Dial = recovered(config.Dial)
	}
	c := &Client{timeout: config.Timeout}
	for _, endpoint := range config.Endpoints {
		c.members = append(c.members, &member{endpoint: endpoint, config: config})
	}
	return c, nil
}

// Close closes every connection; what still runs on one fails.
func (c *Client) Close() error {
	var all []error
	for _, m := range c.members {
		all = append(all, m.close())
	}
	return errors.Join(all...)
}

func (m *member) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.client == nil {
		return nil
	}
	err := m.client.Close()
	m.client = nil
	if err != nil && !errors.Is(err, context.Canceled) { // the client's own context, which Close ends
		return fmt.Errorf("etcd member %s: close: %w", m.endpoint, err)
	}
	return nil
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
			p.Refuse(at, "%s is there twice", e)
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

// maxAnswer bounds one message of a member in bytes; those of a snapshot have
// 32 KiB.
const maxAnswer = 8 << 20

// keepAlive is the shortest time between two of gRPC's pings: a connection that is
// cut off without a word is noticed where a call has no time limit of its own.
const keepAlive = 10 * time.Second

var errClosed = errors.New("the client is closed")

// open returns etcd's client of the member. It connects at once, hence only when
// it is needed.
func (m *member) open() (*clientv3.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return nil, errClosed
	case m.client != nil:
		return m.client, nil
	}
	u, err := url.Parse(m.endpoint)
	if err != nil {
		return nil, err
	}
	security := insecure.NewCredentials()
	if u.Scheme == "https" {
		security = credentials.NewTLS(m.config.TLS.Clone())
	}
	p := &path{dial: m.config.Dial}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{m.endpoint},
		TLS:       m.config.TLS,
		Context:   context.Background(), // until Close
		Logger:    zap.NewNop(),
		// One attempt: what is reported is the state now, and a change that nobody
		// knows the outcome of is not sent again.
		MaxUnaryRetries:      1,
		MaxCallRecvMsgSize:   maxAnswer,
		DialKeepAliveTime:    keepAlive,
		DialKeepAliveTimeout: m.config.Timeout,
		DialOptions: []grpc.DialOption{
			grpc.WithTransportCredentials(&handshakes{TransportCredentials: security, path: p}),
			grpc.WithContextDialer(p.connect),
			grpc.WithChainUnaryInterceptor(failAtOnce),
			grpc.WithNoProxy(),
			// Of one address nothing is to be balanced: the balancer that etcd's
			// client asks for would connect again without being used.
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: m.config.Timeout,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("prepare a connection: %w", err)
	}
	m.client, m.path = client, p
	return client, nil
}

// failAtOnce makes a call fail when there is no connection. etcd's client makes every
// call wait for one.
func failAtOnce(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, req, reply, conn, append(options, grpc.WaitForReady(false))...)
}

// maintenance is etcd's interface to the member itself, on the connection that
// there is: that of clientv3.Client opens another for each call.
func maintenance(client *clientv3.Client) clientv3.Maintenance {
	return clientv3.NewMaintenanceFromMaintenanceClient(clientv3.RetryMaintenanceClient(client, client.ActiveConnection()), client)
}

// within bounds a call that every member answers at once.
func (c *Client) within(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// do calls etcd's client of the member. The error is an *EndpointError, or an
// *UnsupportedError in one, with the reason why there was no answer.
func (m *member) do(ctx context.Context, op string, call func(context.Context, *clientv3.Client) error) error {
	client, err := m.open()
	if err == nil {
		err = m.path.explain(ctx, call(ctx, client))
	}
	if err != nil {
		return m.failed(op, err)
	}
	return nil
}

func (m *member) failed(op string, err error) error {
	var failed *EndpointError
	if errors.As(err, &failed) {
		return err
	}
	return &EndpointError{Endpoint: m.endpoint, Op: op, Err: err}
}
