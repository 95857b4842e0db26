package etcdjournal

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/strictjson"
	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

const (
	// DefaultPrefix is the prefix of a journal's keys.
	DefaultPrefix = "/quorate/journal/"
	// DefaultTTL is how long a dead operator keeps the others waiting. It is
	// longer than a member takes to restart.
	DefaultTTL = 30 * time.Second
	// DefaultTimeout is how long etcd may take for one record, an election
	// included.
	DefaultTimeout = 10 * time.Second
)

// Config says where etcd is, how to reach it, and where in it the journal is.
type Config struct {
	// Endpoints are the members' client URLs, as etcd.ClientEndpoints returns
	// them: scheme, host and port. Required.
	Endpoints []string
	// TLS holds the operator's client certificate and the authority that
	// verifies the members', as Certs.EtcdClient returns them. Required with
	// https. It is cloned.
	TLS *tls.Config
	// Dial opens a connection to a member's "host:port", network "tcp".
	// Default: net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Prefix of every key, a slash at its end: one for each cluster. Default
	// DefaultPrefix.
	Prefix string
	// TTL of the lock once its holder is no longer heard of, in whole seconds,
	// at least 5s. Default DefaultTTL.
	TTL time.Duration
	// Timeout of one operation. Default DefaultTimeout.
	Timeout time.Duration
	// KeepRuns is how many runs are kept whole, and of earlier ones what they left
	// unfinished: see journal.NewTrim. Zero means journal.DefaultKeepRuns, a negative
	// number all. Begin removes the others.
	KeepRuns int
}

// Journal is a plan.Journal in etcd. It is safe for concurrent use.
type Journal struct {
	config Config
	client *clientv3.Client
}

// New makes a Journal; connections are opened when they are first needed. The
// error is a *quorate.InvalidError, with every problem of the configuration.
// Close the Journal when done.
func New(c Config) (*Journal, error) {
	c.Prefix = cmp.Or(c.Prefix, DefaultPrefix)
	c.TTL = cmp.Or(c.TTL, DefaultTTL)
	c.Timeout = cmp.Or(c.Timeout, DefaultTimeout)
	if err := c.validate(); err != nil {
		return nil, err
	}
	if c.TLS != nil {
		c.TLS = c.TLS.Clone()
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: c.Endpoints,
		TLS:       c.TLS,
		Logger:    zap.NewNop(),
		// A connection that is cut off without a word is noticed in time to try
		// another member before a lease of the default's length runs out.
		DialKeepAliveTime:    keepAlive,
		DialKeepAliveTimeout: c.TTL / 5,
		DialOptions: []grpc.DialOption{
			grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) { return c.Dial(ctx, "tcp", address) }),
			grpc.WithNoProxy(),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: c.TTL / 5,
			}),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("etcd journal: prepare a connection: %w", err)
	}
	return &Journal{config: c, client: client}, nil
}

// keepAlive is the shortest time between two of gRPC's pings.
const keepAlive = 10 * time.Second

// leastTTL leaves the client time to renew the lease, which it does three times
// in each TTL.
const leastTTL = 5 * time.Second

func (c Config) validate() error {
	var p quorate.Problems
	if len(c.Endpoints) == 0 {
		p.Refuse("endpoints", "is required: the members' client URLs")
	}
	for i, e := range c.Endpoints {
		at := fmt.Sprintf("endpoints[%d]", i)
		switch u, err := url.Parse(e); {
		case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.String() != u.Scheme+"://"+u.Host:
			// Not repeated: somebody may have put a password into it.
			p.Refuse(at, "is no client URL: want scheme, host and port alone, as in https://10.0.0.1:2379")
		case u.Scheme == "https" && c.TLS == nil:
			p.Refuse("tls", "is required for %s", e)
		}
	}
	if !strings.HasSuffix(c.Prefix, "/") {
		p.Refuse("prefix", "%q does not end in a slash", c.Prefix)
	}
	if c.TTL < leastTTL || c.TTL%time.Second != 0 {
		p.Refuse("ttl", "%v: want whole seconds, at least %v", c.TTL, leastTTL)
	}
	if c.Timeout < 0 {
		p.Refuse("timeout", "%v is negative", c.Timeout)
	}
	return p.Err("etcd journal")
}

// Close closes the connections. A session that has not ended is lost.
func (j *Journal) Close() error { return j.client.Close() }

func (j *Journal) lockKey() string { return j.config.Prefix + "lock" }

func (j *Journal) recordKey(n int64) string { return fmt.Sprintf("%s%020d", j.recordPrefix(), n) }

func (j *Journal) recordPrefix() string { return j.config.Prefix + "records/" }

// Error is what etcd, or the way there, answered to one operation.
type Error struct {
	// Op is what was tried.
	Op  string
	Err error
}

// Error says what was tried and what came back.
func (e *Error) Error() string {
	return termsafe.Indented("etcd journal: " + e.Op + ": " + e.Err.Error())
}

// Unwrap returns what came back: an error of etcd, gRPC's, or ctx's.
func (e *Error) Unwrap() error { return e.Err }

// failed adds ctx's own error where ctx ended, which gRPC reports as one of its.
func failed(ctx context.Context, op string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return &Error{Op: op, Err: err}
}

// Begin takes the lock at once or returns a *plan.LockedError with its holder, in
// one transaction: the lock's value says who has it, so it can never be held by
// nobody known. (For this the lock is not concurrency.Mutex, whose keys are
// empty.) Then it removes old runs, as Config.KeepRuns says; each operation of
// that may take Config.Timeout.
func (j *Journal) Begin(ctx context.Context, h plan.Holder) (plan.JournalSession, error) {
	s, err := j.begin(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := s.trim(ctx); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.config.Timeout)
		defer cancel()
		return nil, errors.Join(err, s.End(ctx))
	}
	return s, nil
}

func (j *Journal) begin(ctx context.Context, h plan.Holder) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.Timeout)
	defer cancel()
	value, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	// A refusal costs no lease.
	found, err := j.client.Get(ctx, j.lockKey())
	if err != nil {
		return nil, failed(ctx, "look at the lock", err)
	}
	if len(found.Kvs) > 0 {
		return nil, lockedBy(found.Kvs[0].Value)
	}
	lease, err := j.client.Grant(ctx, int64(j.config.TTL/time.Second))
	if err != nil {
		return nil, failed(ctx, "get a lease", err)
	}
	s, err := j.take(ctx, lease.ID, h, string(value))
	if err != nil {
		return nil, errors.Join(err, j.revoke(ctx, lease.ID))
	}
	return s, nil
}

// maxHolder bounds what is read of who holds the lock, in bytes.
const maxHolder = 64 << 10

func lockedBy(value []byte) error {
	var h plan.Holder
	if err := strictjson.Decode(value, &h, strictjson.Options{MaxSize: maxHolder, AllowUnknown: true}); err != nil {
		h = plan.Holder{} // held, by whom nobody can say
	}
	return &plan.LockedError{Holder: h}
}

// take makes a session of a lease.
func (j *Journal) take(ctx context.Context, id clientv3.LeaseID, h plan.Holder, value string) (*session, error) {
	got, err := j.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(j.lockKey()), "=", 0)).
		Then(
			clientv3.OpPut(j.lockKey(), value, clientv3.WithLease(id)),
			clientv3.OpGet(j.recordPrefix(), append(clientv3.WithLastKey(), clientv3.WithKeysOnly())...),
		).
		Else(clientv3.OpGet(j.lockKey())).
		Commit()
	if err != nil {
		return nil, failed(ctx, "take the lock", err)
	}
	if !got.Succeeded {
		return nil, lockedBy(got.Responses[0].GetResponseRange().Kvs[0].Value)
	}
	next := int64(0)
	if last := got.Responses[1].GetResponseRange().Kvs; len(last) > 0 {
		if _, err := fmt.Sscanf(strings.TrimPrefix(string(last[0].Key), j.recordPrefix()), "%d", &next); err != nil {
			return nil, fmt.Errorf("etcd journal: %s is no record's key: %w", last[0].Key, err)
		}
		next++
	}
	// The lease outlives ctx: outcomes are written also when a run was stopped.
	kept, err := concurrency.NewSession(j.client, concurrency.WithLease(id))
	if err != nil {
		return nil, failed(ctx, "keep the lease", err)
	}
	s := &session{
		journal: j, holder: h, lease: kept, revision: got.Header.Revision, next: next,
		lost: make(chan error, 1), ended: make(chan struct{}), watched: make(chan struct{}),
	}
	go s.watch()
	return s, nil
}

// revoke returns a lease back, and with it the lock, also when ctx has ended.
func (j *Journal) revoke(ctx context.Context, id clientv3.LeaseID) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), j.config.Timeout)
	defer cancel()
	if _, err := j.client.Revoke(ctx, id); err != nil {
		return failed(ctx, "revoke the lease", err)
	}
	return nil
}

// page bounds how many records are in memory at once; etcd itself bounds how
// large one is.
const page = 16

// Records reads the records in pages, without the lock.
func (j *Journal) Records(ctx context.Context) iter.Seq2[plan.Record, error] {
	return func(yield func(plan.Record, error) bool) {
		for e, err := range j.entries(ctx) {
			if !yield(e.record, err) {
				return
			}
		}
	}
}

// entry is a record and its key.
type entry struct {
	key    string
	record plan.Record
}

// entries stops after its first error.
func (j *Journal) entries(ctx context.Context) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		end := clientv3.GetPrefixRangeEnd(j.recordPrefix())
		for from := j.recordPrefix(); ; {
			got, err := j.read(ctx, from, end)
			if err != nil {
				yield(entry{}, err)
				return
			}
			for _, kv := range got.Kvs {
				r, err := journal.ParseRecord(kv.Value)
				if err != nil {
					err = fmt.Errorf("etcd journal: %s: %w", kv.Key, err)
				}
				if !yield(entry{string(kv.Key), r}, err) || err != nil {
					return
				}
				from = after(string(kv.Key))
			}
			if !got.More {
				return
			}
		}
	}
}

// after is the first key that there may be behind another.
func after(key string) string { return key + "\x00" }

func (j *Journal) read(ctx context.Context, from, end string) (*clientv3.GetResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, j.config.Timeout)
	defer cancel()
	got, err := j.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page))
	if err != nil {
		return nil, failed(ctx, "read records", err)
	}
	return got, nil
}
