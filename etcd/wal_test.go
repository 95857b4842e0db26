package etcd_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/etcd"
)

// wal is the beginning of a log, of one member.
func wal(member, cluster uint64) []byte {
	record := func(kind uint64, data []byte) []byte {
		b := binary.AppendUvarint([]byte{1 << 3}, kind)
		b = append(b, 2<<3, 0)
		if data != nil {
			b = append(binary.AppendUvarint(append(b, 3<<3|2), uint64(len(data))), data...)
		}
		size, pad := uint64(len(b)), (8-len(b)%8)%8
		if pad > 0 {
			size |= uint64(0x80|pad) << 56
		}
		return append(append(binary.LittleEndian.AppendUint64(nil, size), b...), make([]byte, pad)...)
	}
	metadata := binary.AppendUvarint([]byte{1 << 3}, member)
	metadata = binary.AppendUvarint(append(metadata, 2<<3), cluster)
	return append(record(4, nil), record(1, metadata)...)
}

// A member's log says whose it is; real ones are read in etcdclient/e2e.
func TestParseWAL(t *testing.T) {
	id, err := etcd.ParseWAL(append(wal(0xfeedfeedfeedfeed, 7), make([]byte, 100)...))
	require.NoError(t, err)
	require.Equal(t, etcd.Identity{Member: 0xfeedfeedfeedfeed, Cluster: 7}, id)
	for _, bad := range [][]byte{nil, []byte("elsewhere\n"), make([]byte, etcd.WALHead), wal(1, 2)[:20], wal(0, 2)} {
		_, err := etcd.ParseWAL(bad)
		require.Error(t, err, "%q", bad)
	}
}

// Whatever a host says is its log, reading it ends.
func FuzzParseWAL(f *testing.F) {
	f.Add(wal(1, 2))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if id, err := etcd.ParseWAL(head); err == nil && id.Member == 0 {
			t.Fatal("nobody")
		}
	})
}
