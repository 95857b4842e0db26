package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/pki"
)

// What etcdclient does to keep a cluster well, on real members: versions, hashes that
// agree, compaction, defragmentation that returns space, an alarm that is taken down,
// a snapshot that carries its checksum, and a downgrade that is enabled and cancelled.
func TestMaintenance(t *testing.T) {
	servers, bundle := newServers(t)
	startAll(t, servers)
	c := newClient(t, servers, bundle, &tunnel{dials: map[string]int{}})
	all := endpoints(servers)

	var versions []etcdclient.Versions
	require.EventuallyWithT(t, func(t *assert.CollectT) { // the leader decides the cluster's
		var err error
		versions, err = c.Versions(context.Background())
		require.NoError(t, err)
		for _, v := range versions {
			require.NoError(t, v.Err)
			require.Regexp(t, `^3\.6\.[0-9]+$`, v.Server)
			require.Equal(t, "3.6.0", v.Cluster)
			require.Equal(t, "3.6.0", v.Storage)
			require.Empty(t, v.DowngradeTo)
		}
	}, 20*time.Second, 50*time.Millisecond)

	revision := fill(t, servers, bundle, 200)
	before := status(t, c).Endpoints[0]
	require.NoError(t, c.Compact(t.Context(), revision, true))
	require.True(t, etcdclient.Compacted(c.Compact(t.Context(), revision-1, false)))
	var first etcdclient.Hash
	for i, e := range all {
		// Compact has waited for one member, not for all.
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			h, err := c.HashKV(context.Background(), e, revision)
			require.NoError(t, err)
			require.Equal(t, revision, h.Revision)
			if i == 0 {
				first = h
			}
			require.Equal(t, versions[i].MemberID, h.MemberID)
			h.MemberID = first.MemberID
			require.Equal(t, first, h)
		}, 20*time.Second, 50*time.Millisecond)
	}
	require.NoError(t, c.Defragment(t.Context(), all[0]))
	after := status(t, c).Endpoints[0]
	require.Less(t, after.Size, before.Size)

	var written bytes.Buffer
	s, err := c.Snapshot(t.Context(), &written, etcdclient.SnapshotConfig{})
	require.NoError(t, err)
	require.EqualValues(t, written.Len(), s.Size)
	require.Equal(t, sha256.Sum256(written.Bytes()[:written.Len()-sha256.Size]), s.SHA256)
	require.GreaterOrEqual(t, s.Revision, revision)
	require.Equal(t, versions[0].Server, s.Version)
	leader, ok := status(t, c).Leader()
	require.True(t, ok)
	require.NotEqual(t, leader.ID, s.MemberID)
	written.Reset()
	_, err = c.Snapshot(t.Context(), &written, etcdclient.SnapshotConfig{MaxSize: 4096})
	var tooLarge *etcdclient.SnapshotError
	require.ErrorAs(t, err, &tooLarge)
	require.LessOrEqual(t, written.Len(), 4096)

	// Nobody raised it, and etcd says so by an empty answer.
	require.NoError(t, c.Disarm(t.Context(), etcdclient.Alarm{Kind: etcdclient.NoSpace, MemberID: leader.ID}))

	_, err = c.Downgrade(t.Context(), etcdclient.DowngradeValidate, "3.4")
	require.ErrorContains(t, err, "downgrade target version")
	cluster, err := c.Downgrade(t.Context(), etcdclient.DowngradeValidate, "3.5")
	require.NoError(t, err)
	require.Equal(t, "3.6", cluster)
	_, err = c.Downgrade(t.Context(), etcdclient.DowngradeEnable, "3.5")
	require.NoError(t, err)
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		v, err := c.Versions(context.Background())
		require.NoError(t, err)
		require.Equal(t, "3.5.0", v[0].DowngradeTo)
	}, 20*time.Second, 50*time.Millisecond)
	_, err = c.Downgrade(t.Context(), etcdclient.DowngradeCancel, "")
	require.NoError(t, err)
}

// fill writes values that are replaced, and returns the last revision.
func fill(t *testing.T, servers []*server, bundle *pki.Bundle, writes int) int64 {
	t.Helper()
	config, err := bundle.EtcdClient(t.Context())
	require.NoError(t, err)
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints(servers), TLS: config, Logger: zap.NewNop()})
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Close()) }()
	var revision int64
	value := string(bytes.Repeat([]byte("v"), 16<<10))
	for range writes {
		r, err := client.Put(t.Context(), "key", value)
		require.NoError(t, err)
		revision = r.Header.Revision
	}
	return revision
}
