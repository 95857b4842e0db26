package etcdjournal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-dev/quorate/internal/termsafe"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/journal"
)

var (
	errExpired = errors.New("the lease has run out, or etcd could not be reached for as long as that takes")
	errTaken   = errors.New("the lock's key is gone or somebody else's")
	errEnded   = errors.New("etcd journal: the session has ended")
)

// session holds the lock that was made at revision.
type session struct {
	journal  *Journal
	holder   plan.Holder
	lease    *concurrency.Session
	revision int64
	lost     chan error
	// ended is closed by End, watched once nobody watches the lease any more.
	ended, watched chan struct{}

	mu   sync.Mutex
	next int64
	// over is why nothing more is written.
	over error
}

// watch reports that the lease has run out. It compares nothing: a lock that
// somebody has deleted is found by the next record.
func (s *session) watch() {
	defer close(s.watched)
	select {
	case <-s.lease.Done():
		_ = s.lose(errExpired) // Lost reports it
	case <-s.ended:
	}
}

// lose ends the session because somebody else may have the journal.
func (s *session) lose(how error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over == nil {
		s.over = &plan.LockLostError{Holder: s.holder, Err: how}
		s.lost <- s.over
	}
	return s.over
}

// Append writes a record on the condition that the lock is still this
// session's. It returns once a majority of etcd's members has it on disk.
func (s *session) Append(ctx context.Context, r plan.Record) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if value = termsafe.JSON(value); len(value) > journal.MaxRecord {
		return fmt.Errorf("etcd journal: a record of %d bytes is longer than %d", len(value), journal.MaxRecord)
	}
	key, err := s.number()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.journal.config.Timeout)
	defer cancel()
	for {
		kept, err := s.put(ctx, key, string(value))
		switch {
		case err == nil && !kept:
			return s.lose(errTaken)
		case err == nil:
			return nil
		case !passes(err) && !errors.Is(err, context.DeadlineExceeded), !pause(ctx):
			return failed(ctx, "write a record", err)
		}
	}
}

// put writes a record, and reports whether it is there and the lock still this
// session's. It may be put again when nobody knows what became of the first
// time: what is found under its number then is the record itself.
func (s *session) put(ctx context.Context, key, value string) (bool, error) {
	// A member whose leader has died keeps what it was sent for seven seconds,
	// and then refuses it: putting it again after the election is faster.
	ctx, cancel := context.WithTimeout(ctx, s.journal.config.Timeout/4)
	defer cancel()
	held := clientv3.Compare(clientv3.CreateRevision(s.journal.lockKey()), "=", s.revision)
	got, err := s.journal.client.Txn(ctx).
		If(held, clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpTxn([]clientv3.Cmp{held}, []clientv3.Op{clientv3.OpGet(key)}, nil)).
		Commit()
	if err != nil || got.Succeeded {
		return err == nil, err
	}
	still := got.Responses[0].GetResponseTxn()
	return still.Succeeded && string(still.Responses[0].GetResponseRange().Kvs[0].Value) == value, nil
}

// passes reports whether an error is that of a member that is being restarted,
// or of an election.
func passes(err error) bool {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code() == codes.Unavailable
	}
	return status.Code(err) == codes.Unavailable
}

// retryPoll is the time between two attempts, a heartbeat of etcd's own
// settings.
const retryPoll = 100 * time.Millisecond

// pause waits before another attempt, and reports whether ctx let it.
func pause(ctx context.Context) bool {
	t := time.NewTimer(retryPoll)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// number returns the next record's key. Records that are written side by side are
// in no order; a number whose record could not be written stays free.
func (s *session) number() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over != nil {
		return "", s.over
	}
	key := s.journal.recordKey(s.next)
	s.next++
	return key, nil
}

// Lost reports that the lease has run out or the lock was taken away.
func (s *session) Lost() <-chan error { return s.lost }

// End returns the lock back. Should that fail, the lock goes when its lease runs
// out.
func (s *session) End(ctx context.Context) error {
	s.mu.Lock()
	if errors.Is(s.over, errEnded) {
		s.mu.Unlock()
		return nil
	}
	expired := errors.Is(s.over, errExpired)
	s.over = errEnded
	s.mu.Unlock()
	close(s.ended)
	<-s.watched
	s.lease.Orphan()
	if expired {
		return nil // no lease is left to revoke, or no member to revoke it
	}
	if err := s.journal.revoke(ctx, s.lease.Lease()); !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return err
	}
	return nil
}
