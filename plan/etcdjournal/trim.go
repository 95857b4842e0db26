package etcdjournal

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-dev/quorate/plan/journal"
)

// maxRanges is how many ranges one transaction removes; etcd takes 128
// operations by default.
const maxRanges = 64

// span is records that go, one behind the other, from the first key to before
// the end.
type span struct{ first, end string }

// trim removes what is too old to keep, oldest first, on the condition that the
// lock is still this session's: cut off anywhere, it has removed nothing that
// says what is unfinished, and the next session goes on.
func (s *session) trim(ctx context.Context) error {
	t, err := journal.NewTrim(s.journal.Records(ctx), s.journal.config.KeepRuns)
	if err != nil || t.Drops() == 0 {
		return err
	}
	var spans []span
	n, joined := 0, false
	for e, err := range s.journal.entries(ctx) {
		if err != nil {
			return err
		}
		switch {
		case t.Keeps(n, e.record):
			joined = false
		case joined:
			spans[len(spans)-1].end = after(e.key)
		default:
			spans = append(spans, span{e.key, after(e.key)})
			joined = true
		}
		n++
	}
	for len(spans) > 0 {
		some := spans[:min(len(spans), maxRanges)]
		if err := s.remove(ctx, some); err != nil {
			return err
		}
		spans = spans[len(some):]
	}
	return nil
}

func (s *session) remove(ctx context.Context, spans []span) error {
	ctx, cancel := context.WithTimeout(ctx, s.journal.config.Timeout)
	defer cancel()
	ops := make([]clientv3.Op, 0, len(spans))
	for _, sp := range spans {
		ops = append(ops, clientv3.OpDelete(sp.first, clientv3.WithRange(sp.end)))
	}
	got, err := s.journal.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(s.journal.lockKey()), "=", s.revision)).
		Then(ops...).
		Commit()
	if err != nil {
		return failed(ctx, "remove old records", err)
	}
	if !got.Succeeded {
		return s.lose(errTaken)
	}
	return nil
}
