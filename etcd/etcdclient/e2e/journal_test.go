package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/etcdjournal"
	"github.com/quorate-dev/quorate/plan/journaltest"
	"github.com/quorate-dev/quorate/transport"
)

// shortTTL is the shortest that a journal takes.
const shortTTL = 5 * time.Second

// wire reaches the members until it is cut.
type wire struct {
	mu    sync.Mutex
	open  []net.Conn
	dials int
	isCut bool
}

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dials++
	if w.isCut {
		return nil, errors.New("the wire is cut")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		w.open = append(w.open, c)
	}
	return c, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isCut = true
	for _, c := range w.open {
		_ = c.Close() // closed already by some members' ends
	}
}

func newJournal(t *testing.T, servers []*server, bundle *pki.Bundle, w *wire, prefix string) *etcdjournal.Journal {
	t.Helper()
	return newKeeping(t, servers, bundle, w, prefix, 0)
}

func newKeeping(t *testing.T, servers []*server, bundle *pki.Bundle, w *wire, prefix string, runs int) *etcdjournal.Journal {
	t.Helper()
	config, err := bundle.EtcdClient(context.Background())
	require.NoError(t, err)
	j, err := etcdjournal.New(etcdjournal.Config{
		Endpoints: endpoints(servers), TLS: config, Dial: w.dial, Prefix: prefix, TTL: shortTTL, KeepRuns: runs,
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = j.Close() }) // closed already by some tests
	return j
}

// newRaw is etcd's own client, for what an administrator would do.
func newRaw(t *testing.T, servers []*server, bundle *pki.Bundle) *clientv3.Client {
	t.Helper()
	config, err := bundle.EtcdClient(context.Background())
	require.NoError(t, err)
	raw, err := clientv3.New(clientv3.Config{Endpoints: endpoints(servers), TLS: config, Logger: zap.NewNop()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	return raw
}

func records(t *testing.T, j plan.Journal) []plan.Record {
	t.Helper()
	var out []plan.Record
	for r, err := range j.Records(t.Context()) {
		require.NoError(t, err)
		out = append(out, r)
	}
	return out
}

// free waits until the journal can be begun.
func free(t *testing.T, j plan.Journal) {
	t.Helper()
	require.Eventually(t, func() bool {
		s, err := j.Begin(t.Context(), plan.Holder{Run: "waiting"})
		if err != nil {
			var locked *plan.LockedError
			require.ErrorAs(t, err, &locked)
			return false
		}
		require.NoError(t, s.End(t.Context()))
		return true
	}, 6*shortTTL, 50*time.Millisecond)
}

func TestJournalConforms(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	n := 0
	journaltest.Run(t, journaltest.Harness{
		New: func(*testing.T) func(*testing.T) plan.Journal {
			n++
			prefix := fmt.Sprintf("/test/%d/", n)
			return func(t *testing.T) plan.Journal { return newJournal(t, servers, bundle, &wire{}, prefix) }
		},
		NewKeeping: func(_ *testing.T, runs int) func(*testing.T) plan.Journal {
			n++
			prefix := fmt.Sprintf("/test/%d/", n)
			return func(t *testing.T) plan.Journal { return newKeeping(t, servers, bundle, &wire{}, prefix, runs) }
		},
		Crash: func(t *testing.T, j plan.Journal, _ plan.JournalSession) {
			require.NoError(t, j.(*etcdjournal.Journal).Close())
			free(t, newJournal(t, servers, bundle, &wire{}, fmt.Sprintf("/test/%d/", n)))
		},
	})
}

// A trim that is cut off anywhere has removed nothing that anybody needs, and the
// next one goes on.
func TestInterruptedTrim(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	const prefix, runs = "/trim/", 300
	all := newKeeping(t, servers, bundle, &wire{}, prefix, -1)
	s, err := all.Begin(t.Context(), plan.Holder{Run: "R"})
	require.NoError(t, err)
	// Records that stay lie between those that go, each of which is a range of its own.
	for i := range runs {
		run := fmt.Sprintf("R%03d", i)
		for _, r := range []plan.Record{
			{Kind: plan.RecordIntent, Step: "again"}, {Kind: plan.RecordIntent, Step: plan.ID("left/" + run)},
			{Kind: plan.RecordOutcome, Step: "again", Outcome: plan.Changed},
		} {
			r.Schema, r.Run = plan.RecordSchema, run
			require.NoError(t, s.Append(t.Context(), r))
		}
	}
	require.NoError(t, s.End(t.Context()))
	want, err := plan.UnfinishedOf(all.Records(t.Context()))
	require.NoError(t, err)
	require.Len(t, want, runs)

	short := newKeeping(t, servers, bundle, &wire{}, prefix, 4)
	cut := 0
	for patience := 8 * time.Millisecond; ; patience = patience * 3 / 2 {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := short.Begin(ctx, plan.Holder{Run: "trims"})
		cancel()
		got, readErr := plan.UnfinishedOf(all.Records(t.Context()))
		require.NoError(t, readErr)
		require.Equal(t, want, got)
		if err == nil {
			require.NoError(t, s.End(t.Context()))
			break
		}
		var failed *etcdjournal.Error // ctx's, or the member's that saw it end
		require.ErrorAs(t, err, &failed)
		cut++
		free(t, all) // whose lease may not have been revoked
	}
	require.Positive(t, cut)
	require.Len(t, records(t, all), 3*4+(runs-4))
	t.Logf("cut off %d times", cut)
}

var (
	alice = plan.Operator{Name: "alice", Machine: "laptop", Process: "4711"}
	bob   = plan.Operator{Name: "bob"}
)

// slow is an Action whose applying waits for ctx, or for release.
type slow struct{ applying, release chan struct{} }

func newSlow() slow { return slow{make(chan struct{}), make(chan struct{})} }

func (s slow) Check(context.Context, *plan.Host) (plan.Diff, error) {
	select {
	case <-s.release:
		return nil, nil
	default:
		return plan.Diff{{Verb: "restart", Subject: "unit etcd.service"}}, nil
	}
}

func (s slow) Apply(ctx context.Context, _ *plan.Host, _ plan.Diff) error {
	close(s.applying)
	select {
	case <-s.release:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// nowhere reaches hosts on which nothing is done.
type nowhere struct{}

func (nowhere) Dial(context.Context, string) (transport.Conn, error) { return nowhere{}, nil }
func (nowhere) Run(context.Context, transport.Cmd) error             { return nil }
func (nowhere) Close() error                                         { return nil }

type ran struct {
	sum plan.Summary
	err error
}

// start runs one step and returns once it is being applied.
func start(t *testing.T, j plan.Journal, by plan.Operator, work slow) <-chan ran {
	t.Helper()
	p, err := plan.New(plan.Step{ID: "restart", Host: "cp-1", Action: work}, plan.Step{ID: "next", Host: "cp-1", After: []plan.ID{"restart"}, Action: work})
	require.NoError(t, err)
	done := make(chan ran, 1)
	go func() {
		sum, err := (&plan.Runner{Transport: nowhere{}, Journal: j, Operator: by}).Run(t.Context(), p)
		done <- ran{sum, err}
	}()
	select {
	case <-work.applying:
	case r := <-done:
		t.Fatal("ended before it began: ", r.err)
	}
	return done
}

// One operator runs, the other's error says who holds the journal and since
// when. The first is then stopped by the loss of its lease, and the second goes
// on and gets what was left.
func TestRealTwoOperatorsAndALostLease(t *testing.T) {
	tier.Host(t)
	servers, bundle := newServers(t)
	startAll(t, servers)
	w := &wire{}
	mine, theirs := newJournal(t, servers, bundle, w, "/c/"), newJournal(t, servers, bundle, &wire{}, "/c/")
	raw := newRaw(t, servers, bundle)

	revoke := func() {
		leases, err := raw.Leases(t.Context())
		require.NoError(t, err)
		require.Len(t, leases.Leases, 1)
		_, err = raw.Revoke(t.Context(), leases.Leases[0].ID)
		require.NoError(t, err)
	}
	for _, c := range []struct {
		name string
		lose func()
	}{{"the lease is revoked", revoke}, {"the operator is cut off", w.cut}} {
		before := time.Now()
		first := start(t, mine, alice, newSlow())
		_, err := (&plan.Runner{Transport: nowhere{}, Journal: theirs, Operator: bob}).Run(t.Context(), mustPlan(t))
		var locked *plan.LockedError
		require.ErrorAs(t, err, &locked, c.name)
		require.Equal(t, alice, locked.Holder.Operator)
		require.WithinRange(t, locked.Holder.Since, before, time.Now())

		c.lose()
		free(t, theirs)
		freed := time.Now()
		r := <-first
		require.Less(t, time.Since(freed), shortTTL, "%s: the run went on", c.name)
		var lost *plan.LockLostError
		require.ErrorAs(t, r.err, &lost, c.name)
		require.Equal(t, alice, lost.Holder.Operator)
		require.Equal(t, map[plan.Outcome]int{plan.Failed: 1, plan.NotReached: 1}, r.sum.Outcomes)

		work := newSlow()
		second := start(t, theirs, bob, work)
		close(work.release)
		r = <-second
		require.NoError(t, r.err, c.name)
		require.Len(t, r.sum.Unfinished, 1)
		require.Equal(t, alice, r.sum.Unfinished[0].Operator)
		require.Equal(t, plan.ID("restart"), r.sum.Unfinished[0].Step)
		require.Empty(t, r.sum.Unfinished[0].Outcome, "who has lost the lease writes nothing")
	}
	leases, err := raw.Leases(t.Context())
	require.NoError(t, err)
	require.Empty(t, leases.Leases, "a lease was left behind")
}

func mustPlan(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := plan.New(plan.Step{ID: "s", Host: "h", Action: newSlow()})
	require.NoError(t, err)
	return p
}

// Who takes the lock from somebody by deleting its key stops that run before it
// applies anything more.
func TestLockTakenAway(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	j := newJournal(t, servers, bundle, &wire{}, "/c/")
	s, err := j.Begin(t.Context(), plan.Holder{Operator: alice, Run: "A"})
	require.NoError(t, err)
	r := plan.Record{Schema: 1, Run: "A", Kind: plan.RecordIntent, Step: "one", Host: "h"}
	require.NoError(t, s.Append(t.Context(), r))
	_, err = newRaw(t, servers, bundle).Delete(t.Context(), "/c/lock")
	require.NoError(t, err)
	other, err := j.Begin(t.Context(), plan.Holder{Operator: bob, Run: "B"})
	require.NoError(t, err)
	var lost *plan.LockLostError
	require.ErrorAs(t, s.Append(t.Context(), r), &lost)
	require.ErrorAs(t, <-s.Lost(), &lost)
	require.NoError(t, s.End(t.Context()))
	r.Step = "two"
	require.NoError(t, other.Append(t.Context(), r), "the first one's end has ended the other's")
	require.NoError(t, other.End(t.Context()))
	require.Len(t, records(t, j), 2)
}

// quick is an Action that calls back when it is applied.
type quick struct {
	applied *bool
	do      func()
}

func (q quick) Check(context.Context, *plan.Host) (plan.Diff, error) {
	if *q.applied {
		return nil, nil
	}
	return plan.Diff{{Verb: "run", Subject: "it"}}, nil
}

func (q quick) Apply(context.Context, *plan.Host, plan.Diff) error {
	q.do()
	*q.applied = true
	return nil
}

// The journal outlives any one member, also the leader, without a step noticing.
func TestRealMembersDieDuringARun(t *testing.T) {
	tier.Host(t)
	servers, bundle := newServers(t)
	startAll(t, servers)
	w := &wire{}
	j := newJournal(t, servers, bundle, w, "/c/")
	leader, ok := status(t, newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})).Leader()
	require.True(t, ok)
	var steps []plan.Step
	for i := range 60 {
		do := func() {}
		if i == 20 {
			do = func() {
				for _, s := range servers {
					if s.member.Name == leader.Name {
						_ = s.cmd.Process.Kill()
					}
				}
			}
		}
		steps = append(steps, plan.Step{ID: plan.ID(fmt.Sprint(i)), Host: "h", Action: quick{new(bool), do}})
	}
	p, err := plan.New(steps...)
	require.NoError(t, err)
	begin := time.Now()
	_, err = (&plan.Runner{Transport: nowhere{}, Journal: j, Operator: alice}).Run(t.Context(), p)
	require.NoError(t, err)
	t.Logf("%d steps, a leader lost: %v", len(steps), time.Since(begin))
	all := records(t, j)
	require.Len(t, all, 2*len(steps)+2)
	seen := map[string]bool{}
	for _, r := range all {
		key := fmt.Sprint(r.Kind, r.Step)
		require.False(t, seen[key], "%s twice", key)
		seen[key] = true
	}
	require.NotZero(t, w.dials)
}

// An unreachable journal is reported within its time limit.
func TestRealNoMemberAnswers(t *testing.T) {
	tier.Host(t)
	servers, bundle := newServers(t) // and none is started
	config, err := bundle.EtcdClient(context.Background())
	require.NoError(t, err)
	j, err := etcdjournal.New(etcdjournal.Config{Endpoints: endpoints(servers), TLS: config, Timeout: time.Second})
	require.NoError(t, err)
	begin := time.Now()
	_, err = j.Begin(t.Context(), plan.Holder{})
	var failed *etcdjournal.Error
	require.ErrorAs(t, err, &failed)
	require.Less(t, time.Since(begin), 10*time.Second)
	require.NoError(t, j.Close())
}

// No key or value in etcd shows a secret of the files that a run has written.
func TestEtcdReceivesNoSecrets(t *testing.T) {
	const marker = "aPlantedMarkerOfASecret"
	servers, bundle := newServers(t)
	startAll(t, servers)
	j := newJournal(t, servers, bundle, &wire{}, "/c/")
	p, err := plan.New(plan.Step{ID: "s", Host: "h", Action: plan.Deploy{Files: []quorate.File{{
		Path: "/etc/secret", Content: quorate.Sensitive([]byte(marker)),
	}}}})
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: nowhere{}, Journal: j, Operator: alice}).Run(t.Context(), p)
	require.Error(t, err, "the host does nothing")
	got, err := newRaw(t, servers, bundle).Get(t.Context(), "", clientv3.WithPrefix())
	require.NoError(t, err)
	require.NotEmpty(t, got.Kvs)
	sum := quorate.Sensitive([]byte(marker)).SHA256()
	for _, kv := range got.Kvs {
		require.NotContains(t, string(kv.Value), marker)
		require.NotContains(t, string(kv.Value), fmt.Sprintf("%x", sum))
		require.True(t, strings.HasPrefix(string(kv.Key), "/c/records/"))
	}
}

// A record takes a round trip and a majority's disks.
func TestRealCostOfRecords(t *testing.T) {
	tier.Host(t)
	servers, bundle := newServers(t)
	startAll(t, servers)
	s, err := newJournal(t, servers, bundle, &wire{}, "/c/").Begin(t.Context(), plan.Holder{Operator: alice, Run: "A"})
	require.NoError(t, err)
	const n = 200
	begin := time.Now()
	for i := range n {
		require.NoError(t, s.Append(t.Context(), plan.Record{Schema: 1, Run: "A", Kind: plan.RecordIntent, Step: plan.ID(fmt.Sprint(i)), Host: "h"}))
	}
	each := time.Since(begin) / n
	require.NoError(t, s.End(t.Context()))
	t.Logf("%v a record", each)
	require.Less(t, each, time.Second)
}
