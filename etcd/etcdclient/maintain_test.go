package etcdclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

func client(t *testing.T, all fakes, timeout time.Duration) *etcdclient.Client {
	t.Helper()
	all.start(t)
	c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, Dial: all.dial, Timeout: timeout})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func old(version string) fakes {
	all := three()
	for _, f := range all {
		f.version = version
	}
	return all
}

// done is what was asked of each member.
func done(all fakes) map[string][]string {
	out := map[string][]string{}
	for address, f := range all {
		f.mu.Lock()
		if len(f.done) > 0 {
			out[address] = append([]string(nil), f.done...)
		}
		f.mu.Unlock()
	}
	return out
}

func TestHashKV(t *testing.T) {
	for version, revision := range map[string]int64{"3.6.16": 42, "3.4.1": 42} {
		c := client(t, old(version), time.Minute)
		h, err := c.HashKV(t.Context(), endpoints[1], 0)
		require.NoError(t, err)
		require.Equal(t, etcdclient.Hash{MemberID: 2, Hash: 7, Revision: revision, CompactRevision: 5}, h, version)
		h, err = c.HashKV(t.Context(), endpoints[1], 20)
		require.NoError(t, err)
		require.EqualValues(t, 20, h.Revision, version)
		_, err = c.HashKV(t.Context(), endpoints[1], 43)
		require.ErrorIs(t, err, rpctypes.ErrFutureRev)
		_, err = c.HashKV(t.Context(), "http://10.0.0.9:2379", 0)
		require.ErrorContains(t, err, "none of the client's endpoints")
	}
}

func TestCompact(t *testing.T) {
	all := old("3.6.16")
	delete(all, "10.0.0.1:2379")
	delete(all, "10.0.0.3:2379")
	c := client(t, all, time.Minute)
	require.NoError(t, c.Compact(t.Context(), 40, false))
	require.NoError(t, c.Compact(t.Context(), 41, true))
	err := c.Compact(t.Context(), 10, true)
	require.True(t, etcdclient.Compacted(err), err)
	require.False(t, etcdclient.Compacted(errors.New("another")))
	require.Equal(t, map[string][]string{"10.0.0.2:2379": {"compact 40 false", "compact 41 true"}}, done(all))
}

func TestDefragmentOneMember(t *testing.T) {
	all := three()
	c := client(t, all, time.Minute)
	require.NoError(t, c.Defragment(t.Context(), endpoints[2]))
	require.Equal(t, map[string][]string{"10.0.0.3:2379": {"defragment"}}, done(all))
	require.ErrorContains(t, c.Defragment(t.Context(), "http://10.0.0.9:2379"), "none of the client's endpoints")
}

// An alarm without a kind or a member would be all of them to etcd.
func TestDisarm(t *testing.T) {
	all := fakes{"10.0.0.1:2379": {id: 1, leader: 1}}
	c := client(t, all, time.Minute)
	require.NoError(t, c.Disarm(t.Context(), etcdclient.Alarm{Kind: etcdclient.NoSpace, MemberID: 2}, etcdclient.Alarm{Kind: etcdclient.Corrupt, MemberID: 3}))
	for _, bad := range []etcdclient.Alarm{{}, {Kind: etcdclient.NoSpace}, {MemberID: 2}, {Kind: "OTHER", MemberID: 2}} {
		require.ErrorContains(t, c.Disarm(t.Context(), bad), "no such alarm")
	}
	require.Equal(t, []string{"disarm NOSPACE 2", "disarm CORRUPT 3"}, all["10.0.0.1:2379"].done)
	require.NoError(t, c.Disarm(t.Context()))
}

func TestDowngrade(t *testing.T) {
	all := fakes{"10.0.0.1:2379": {id: 1, leader: 1}}
	c := client(t, all, time.Minute)
	for _, action := range []etcdclient.DowngradeAction{etcdclient.DowngradeValidate, etcdclient.DowngradeEnable, etcdclient.DowngradeCancel} {
		version, err := c.Downgrade(t.Context(), action, "3.5")
		require.NoError(t, err)
		require.Equal(t, "3.6.0", version)
	}
	_, err := c.Downgrade(t.Context(), etcdclient.DowngradeEnable, "3.4")
	require.ErrorIs(t, err, rpctypes.ErrInvalidDowngradeTargetVersion)
	for _, target := range []string{"", "3", "3.5.0", "v3.5", "3.x"} {
		_, err = c.Downgrade(t.Context(), etcdclient.DowngradeValidate, target)
		require.ErrorContains(t, err, "want a minor release", target)
	}
	_, err = c.Downgrade(t.Context(), "other", "3.5")
	require.ErrorContains(t, err, "no action")
	require.Equal(t, []string{"VALIDATE 3.5", "ENABLE 3.5", "CANCEL 3.5"}, all["10.0.0.1:2379"].done)
}

// What a member's release does not know is a typed error, and nothing was done.
func TestOldReleases(t *testing.T) {
	for version, calls := range map[string]map[string]func(*etcdclient.Client) error{
		"3.1.20": {
			"3.3": func(c *etcdclient.Client) error { _, err := c.HashKV(t.Context(), endpoints[0], 0); return err },
			"3.4": func(c *etcdclient.Client) error { return c.PromoteMember(t.Context(), 4) },
			"3.5": func(c *etcdclient.Client) error {
				_, err := c.Downgrade(t.Context(), etcdclient.DowngradeValidate, "3.0")
				return err
			},
		},
		"3.2.32": {"3.3": func(c *etcdclient.Client) error { return c.MoveLeader(t.Context(), 3) }},
		"3.3.10": {"3.4": func(c *etcdclient.Client) error {
			_, err := c.AddMember(t.Context(), true, "https://10.0.0.9:2380")
			return err
		}},
		"3.4.34": {"3.5": func(c *etcdclient.Client) error {
			_, err := c.Downgrade(t.Context(), etcdclient.DowngradeEnable, "3.3")
			return err
		}},
	} {
		all := old(version)
		c := client(t, all, time.Minute)
		for since, call := range calls {
			err := call(c)
			var unsupported *etcdclient.UnsupportedError
			require.ErrorAs(t, err, &unsupported, "%s: %v", version, err)
			require.Equal(t, since, unsupported.Since)
			var at *etcdclient.EndpointError
			require.ErrorAs(t, err, &at)
		}
		require.Empty(t, done(all), "%s: a learner that etcd does not know would have been added with a vote", version)
		s, err := c.Status(t.Context())
		require.NoError(t, err)
		require.True(t, s.Quorum(), version)
	}
	c := client(t, old("3.3.10"), time.Minute)
	_, err := c.AddMember(t.Context(), false, "https://10.0.0.9:2380")
	require.NoError(t, err)
	added, err := client(t, old("3.4.0"), time.Minute).AddMember(t.Context(), true, "https://10.0.0.9:2380")
	require.NoError(t, err)
	require.True(t, added.Learner)
}

func TestVersions(t *testing.T) {
	all := three()
	all["10.0.0.2:2379"].version = "3.5.21\x1b[2J"
	delete(all, "10.0.0.3:2379")
	c := client(t, all, 2*time.Second)
	v, err := c.Versions(t.Context())
	require.NoError(t, err)
	require.Equal(t, etcdclient.Versions{Endpoint: endpoints[0], MemberID: 1, Server: "3.6.16", Storage: "3.6.0"}, v[0], "a member without HTTP has no cluster version")
	require.Equal(t, `3.5.21\x1b[2J`, v[1].Server)
	require.ErrorIs(t, v[2].Err, errRefused)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Versions(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// database is what a member sends: pages, and their checksum.
func database(pages int) []byte {
	b := bytes.Repeat([]byte("page"), pages*4096/4)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// pieces cuts a database into messages as a member of etcd 3.6 does: the checksum in
// one of its own, which is no part of what remains.
func pieces(b []byte, size int) []*pb.SnapshotResponse {
	var out []*pb.SnapshotResponse
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	for len(body) > 0 {
		n := min(size, len(body))
		out = append(out, &pb.SnapshotResponse{Blob: body[:n], RemainingBytes: uint64(len(body) - n)})
		body = body[n:]
	}
	out = append(out, &pb.SnapshotResponse{Blob: sum})
	out[0].Header, out[0].Version = &pb.ResponseHeader{MemberId: 3, Revision: 44}, "3.6.16"
	return out
}

func TestSnapshot(t *testing.T) {
	want := database(5)
	all := three()
	for _, f := range all {
		f.snapshot = pieces(want, 1000)
	}
	c := client(t, all, time.Minute)
	var got bytes.Buffer
	s, err := c.Snapshot(t.Context(), &got, etcdclient.SnapshotConfig{})
	require.NoError(t, err)
	require.Equal(t, want, got.Bytes())
	require.Equal(t, etcdclient.Snapshot{
		Endpoint: endpoints[0], MemberID: 3, Size: int64(len(want)), SHA256: sha256.Sum256(want[:len(want)-sha256.Size]), Revision: 44, Version: "3.6.16",
	}, s)
	require.NotContains(t, done(all), "10.0.0.2:2379", "the leader has enough to do")

	got.Reset()
	s, err = c.Snapshot(t.Context(), &got, etcdclient.SnapshotConfig{Endpoint: endpoints[1], MaxSize: int64(len(want))})
	require.NoError(t, err)
	require.Equal(t, endpoints[1], s.Endpoint)
	_, err = c.Snapshot(t.Context(), &got, etcdclient.SnapshotConfig{Endpoint: "http://10.0.0.9:2379"})
	require.ErrorContains(t, err, "none of the client's endpoints")
}

// Before etcd 3.6 the stream names neither revision nor version.
func TestSnapshotOfAnOldRelease(t *testing.T) {
	want := database(1)
	all := old("3.2.32")
	for _, f := range all {
		f.snapshot = pieces(want, 1<<20)
		f.snapshot[0].Header, f.snapshot[0].Version = nil, ""
	}
	var got bytes.Buffer
	s, err := client(t, all, time.Minute).Snapshot(t.Context(), &got, etcdclient.SnapshotConfig{})
	require.NoError(t, err)
	require.Equal(t, []any{int64(42), "3.2.32", uint64(1)}, []any{s.Revision, s.Version, s.MemberID})
}

func TestUnusableSnapshots(t *testing.T) {
	whole := database(4)
	flipped := bytes.Clone(whole)
	flipped[5000] ^= 1
	lied := pieces(whole, 1000)
	lied[0].RemainingBytes = 1 << 60
	for name, c := range map[string]struct {
		sends []*pb.SnapshotResponse
		fails error
		limit int64
		want  string
	}{
		"a bit is another":     {sends: pieces(flipped, 1000), want: "its checksum does not fit, after 16416 bytes"},
		"no checksum":          {sends: pieces(whole, 1000)[:17], want: "there is no checksum at its end, after 16384 bytes"},
		"nothing":              {want: "there is no checksum at its end, after 0 bytes"},
		"a checksum alone":     {sends: pieces(whole, 1<<20)[1:], want: "there is no checksum at its end, after 32 bytes"},
		"the end is missing":   {sends: pieces(whole, 1000)[:9], want: "the stream ended with 7384 bytes left to send"},
		"it fails in between":  {sends: pieces(whole, 1000)[:2], fails: rpctypes.ErrGRPCNoLeader, want: "the stream ended early, after 2000 bytes: it must not be kept: etcdserver: no leader"},
		"larger than allowed":  {sends: pieces(whole, 1000), limit: 16415, want: "more than the 16415 bytes that are allowed"},
		"it says it is larger": {sends: lied, want: "more than the 17179869184 bytes that are allowed"},
	} {
		t.Run(name, func(t *testing.T) {
			all := fakes{"10.0.0.1:2379": {id: 1, leader: 1, snapshot: c.sends, snapshotErr: c.fails}}
			var got bytes.Buffer
			s, err := client(t, all, time.Minute).Snapshot(t.Context(), &got, etcdclient.SnapshotConfig{Endpoint: endpoints[0], MaxSize: c.limit})
			require.ErrorContains(t, err, c.want)
			var bad *etcdclient.SnapshotError
			require.ErrorAs(t, err, &bad)
			require.EqualValues(t, got.Len(), bad.Size)
			var at *etcdclient.EndpointError
			require.ErrorAs(t, err, &at)
			require.Equal(t, endpoints[0], at.Endpoint)
			require.Zero(t, s)
		})
	}
}

func TestSnapshotErrors(t *testing.T) {
	hangs := func() fakes {
		return fakes{"10.0.0.1:2379": {id: 1, leader: 1, snapshot: pieces(database(1), 1000)[:1], snapshotHangs: true}}
	}
	from := etcdclient.SnapshotConfig{Endpoint: endpoints[0]}
	_, err := client(t, hangs(), 50*time.Millisecond).Snapshot(t.Context(), &bytes.Buffer{}, from)
	require.ErrorContains(t, err, "the member sends nothing any more for 50ms")
	var bad *etcdclient.SnapshotError
	require.ErrorAs(t, err, &bad)

	why := errors.New("the user has had enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err = client(t, hangs(), time.Minute).Snapshot(ctx, writer(func(b []byte) (int, error) { cancel(why); return len(b), nil }), from)
	require.ErrorIs(t, err, why)
	require.ErrorAs(t, err, &bad)

	full := errors.New("no space left")
	_, err = client(t, hangs(), time.Minute).Snapshot(t.Context(), writer(func([]byte) (int, error) { return 0, full }), from)
	require.ErrorIs(t, err, full)
	var at *etcdclient.EndpointError
	require.False(t, errors.As(err, &at), "it is not the member's fault")

	_, err = client(t, fakes{}, time.Minute).Snapshot(t.Context(), &bytes.Buffer{}, etcdclient.SnapshotConfig{})
	require.ErrorContains(t, err, "no member is healthy")
	require.ErrorIs(t, err, errRefused)
	_, err = client(t, fakes{}, time.Minute).Snapshot(t.Context(), &bytes.Buffer{}, from)
	require.ErrorIs(t, err, errRefused)
}

// A writer that is slow is no member that is silent.
func TestSnapshotToASlowWriter(t *testing.T) {
	want := database(1)
	all := fakes{"10.0.0.1:2379": {id: 1, leader: 1, snapshot: pieces(want, 4096)}}
	_, err := client(t, all, 100*time.Millisecond).Snapshot(t.Context(), writer(func(b []byte) (int, error) {
		time.Sleep(150 * time.Millisecond)
		return len(b), nil
	}), etcdclient.SnapshotConfig{Endpoint: endpoints[0]})
	require.NoError(t, err)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

func TestErrorsEscapeControlCharacters(t *testing.T) {
	err := &etcdclient.EndpointError{Endpoint: "http://10.0.0.1:2379", Op: "ask", Err: errors.New("\x1b[2J\u202e")}
	require.Equal(t, `etcd member http://10.0.0.1:2379: ask: \x1b[2J\u202e`, err.Error())
}

func TestClosedClient(t *testing.T) {
	c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, Dial: fakes{}.dial})
	require.NoError(t, err)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, s.Err(), "the client is closed")
	require.Len(t, strings.Split(s.Err().Error(), "\n"), 3)
}
