package etcd

import (
	"encoding/binary"
	"errors"
)

// WALHead is how many bytes of a member's first file in DATADIR/member/wal ParseWAL needs.
const WALHead = 512

// Identity is who a member is, by its own log: its name and its directory may be another's.
type Identity struct{ Member, Cluster uint64 }

// errWAL is the error of ParseWAL.
var errWAL = errors.New("no beginning of an etcd member's log (WAL)")

// The kinds of records with which a log begins, as etcd has them (server/storage/wal).
const (
	walMetadata = 1
	walCRC      = 4
)

// ParseWAL reads from the beginning of a member's first log file whose it is, of every release of etcd 3. The
// error says that it is none.
func ParseWAL(head []byte) (Identity, error) {
	const frame, padded = 8, 0x80
	for range 2 { // a checksum, and then the metadata
		if len(head) < frame {
			break
		}
		length := binary.LittleEndian.Uint64(head)
		size, pad := length&(1<<56-1), uint64(0)
		if top := length >> 56; top&padded != 0 {
			pad = top & 7
		}
		head = head[frame:]
		if size+pad > uint64(len(head)) {
			break
		}
		kind, data, ok := walRecord(head[:size])
		switch {
		case !ok || kind != walCRC && kind != walMetadata:
			return Identity{}, errWAL
		case kind == walMetadata:
			fields, ok := protobufFields(data)
			if !ok || fields[1].number == 0 {
				return Identity{}, errWAL
			}
			return Identity{Member: fields[1].number, Cluster: fields[2].number}, nil
		}
		head = head[size+pad:]
	}
	return Identity{}, errWAL
}

func walRecord(b []byte) (kind uint64, data []byte, ok bool) {
	fields, ok := protobufFields(b)
	return fields[1].number, fields[3].bytes, ok
}

// protobufField is a number, or bytes.
type protobufField struct {
	number uint64
	bytes  []byte
}

// protobufFields reads the first fields of a message by their numbers.
func protobufFields(b []byte) (fields [4]protobufField, ok bool) {
	const number, text = 0, 2
	for len(b) > 0 {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 {
			return fields, false
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		if n <= 0 {
			return fields, false
		}
		b = b[n:]
		f := protobufField{number: value}
		switch tag & 7 {
		case number:
		case text:
			if value > uint64(len(b)) {
				return fields, false
			}
			f = protobufField{bytes: b[:value]}
			b = b[value:]
		default:
			return fields, false
		}
		if at := tag >> 3; at < uint64(len(fields)) {
			fields[at] = f
		}
	}
	return fields, true
}
