package etcdclient

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// DefaultMaxSnapshot in bytes is twice the largest database that etcd recommends.
const DefaultMaxSnapshot = 16 << 30

// SnapshotConfig says what Snapshot reads.
type SnapshotConfig struct {
	// Endpoint of the member that is read. Default: of the healthy members the one
	// with the highest revision, and of several rather one that does not lead.
	Endpoint string
	// MaxSize in bytes of what is written. Default DefaultMaxSnapshot.
	MaxSize int64
}

// Snapshot is what Snapshot has written.
type Snapshot struct {
	// Endpoint and MemberID of the member that was read.
	Endpoint string
	MemberID uint64
	// Size in bytes of what was written: the database file and, in its last 32
	// bytes, its checksum. etcdutl restores it as it is.
	Size int64
	// SHA256 of the database file: those last bytes, which were compared with what
	// was read.
	SHA256 [sha256.Size]byte
	// Revision of the key space in it; before etcd 3.6 at least this one, which the
	// member had just before.
	Revision int64
	// Version of the etcd that wrote it, "3.6.16". (That in the stream, from etcd 3.6
	// on, is the minor release alone.)
	Version string
}

// SnapshotError is a snapshot that must not be kept, in an *EndpointError.
type SnapshotError struct {
	// Size in bytes of what had been written.
	Size int64
	// Problem says what is wrong with it.
	Problem string
}

func (e *SnapshotError) Error() string {
	return termsafe.Indented(fmt.Sprintf("%s, after %d bytes: it must not be kept", e.Problem, e.Size))
}

// Snapshot writes one member's database, as it is at one revision, to w as it comes;
// memory is needed for a chunk of it. It lasts as long as ctx lets it, but ends when the
// member sends nothing for Config.Timeout. What was written must not be kept
// unless the error is nil: a stream that ends early, a checksum that is missing or
// does not fit, and more than MaxSize bytes are a *SnapshotError in an
// *EndpointError. An error of w is wrapped, and no EndpointError.
func (c *Client) Snapshot(ctx context.Context, w io.Writer, config SnapshotConfig) (Snapshot, error) {
	config.MaxSize = cmp.Or(config.MaxSize, DefaultMaxSnapshot)
	m, s, err := c.source(ctx, config.Endpoint)
	if err != nil {
		return Snapshot{}, err
	}
	var writeErr error
	err = m.do(ctx, "snapshot", func(ctx context.Context, client *clientv3.Client) error {
		stream := &snapshotStream{to: w, limit: config.MaxSize, idle: c.timeout, taken: &s}
		failed := stream.run(ctx, client)
		if writeErr = stream.writeErr; writeErr != nil {
			failed = nil // it is no fault of the member's, and returned below
		}
		return failed
	})
	if writeErr != nil {
		return Snapshot{}, fmt.Errorf("write the snapshot of etcd member %s: %w", m.endpoint, writeErr)
	}
	if err != nil {
		return Snapshot{}, err
	}
	return s, nil
}

// source chooses the member that is read, and says what is known of it.
func (c *Client) source(ctx context.Context, endpoint string) (*member, Snapshot, error) {
	if endpoint != "" {
		m, err := c.at(endpoint)
		if err != nil {
			return nil, Snapshot{}, err
		}
		var e EndpointStatus
		asked, cancel := c.within(ctx)
		defer cancel()
		if err := m.own(asked, &e); err != nil {
			return nil, Snapshot{}, err
		}
		return m, Snapshot{Endpoint: endpoint, MemberID: e.ID, Revision: e.Revision, Version: cleaned(e.Version)}, nil
	}
	s, err := c.Status(ctx)
	if err != nil {
		return nil, Snapshot{}, err
	}
	best := -1
	for i, e := range s.Endpoints {
		if !e.Healthy || e.Learner {
			continue
		}
		if best < 0 || better(e, s.Endpoints[best]) {
			best = i
		}
	}
	if best < 0 {
		return nil, Snapshot{}, errors.Join(errors.New("snapshot etcd: no member is healthy: name the endpoint of one to read it all the same"), s.Err())
	}
	e := s.Endpoints[best]
	return c.members[best], Snapshot{Endpoint: e.Endpoint, MemberID: e.ID, Revision: e.Revision, Version: cleaned(e.Version)}, nil
}

func better(a, b EndpointStatus) bool {
	if a.Revision != b.Revision {
		return a.Revision > b.Revision
	}
	return a.Leader != a.ID && b.Leader == b.ID
}

// snapshotStream copies what a member sends, all but the checksum at its end hashed.
type snapshotStream struct {
	to    io.Writer
	limit int64
	idle  time.Duration
	taken *Snapshot

	sum      []byte // the last bytes, which may be the checksum
	size     int64
	writeErr error
}

// errSilent ends a stream that has stopped.
var errSilent = errors.New("the member sends nothing any more")

func (s *snapshotStream) run(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(s.idle, func() { cancel(errSilent) })
	defer silence.Stop()
	// etcd's client would try a stream again that has not begun, and its reader does
	// not say how much is left.
	stream, err := pb.NewMaintenanceClient(client.ActiveConnection()).Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return s.failed(ctx, err)
	}
	hash := sha256.New()
	for left := uint64(0); ; {
		silence.Reset(s.idle)
		message, err := stream.Recv()
		silence.Stop()
		switch {
		case errors.Is(err, io.EOF):
			return s.verify(hash.Sum(nil), left)
		case err != nil:
			return s.failed(ctx, err)
		}
		if s.size == 0 {
			s.begin(message)
		}
		left = message.RemainingBytes
		s.size += int64(len(message.Blob))
		if s.size > s.limit || left > uint64(s.limit-s.size) {
			return &SnapshotError{Size: s.size - int64(len(message.Blob)), Problem: fmt.Sprintf("the snapshot has more than the %d bytes that are allowed", s.limit)}
		}
		s.sum = append(s.sum, message.Blob...)
		if body := len(s.sum) - sha256.Size; body > 0 {
			_, _ = hash.Write(s.sum[:body]) // never fails
			s.sum = slices.Delete(s.sum, 0, body)
		}
		if _, s.writeErr = s.to.Write(message.Blob); s.writeErr != nil {
			return s.writeErr
		}
	}
}

// begin takes what the first message says of the data, from etcd 3.6 on.
func (s *snapshotStream) begin(first *pb.SnapshotResponse) {
	s.taken.Revision = cmp.Or(first.Header.GetRevision(), s.taken.Revision)
	s.taken.MemberID = cmp.Or(first.Header.GetMemberId(), s.taken.MemberID)
}

// failed is what ended the stream.
func (s *snapshotStream) failed(ctx context.Context, err error) error {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errSilent):
		err = fmt.Errorf("%w for %s", errSilent, s.idle)
	case cause != nil:
		err = cause
	}
	if s.size > 0 {
		return &cutShort{SnapshotError{Size: s.size, Problem: "the stream ended early"}, rpctypes.Error(err)}
	}
	return rpctypes.Error(err)
}

// cutShort is a SnapshotError with what ended the stream.
type cutShort struct {
	SnapshotError
	err error
}

func (e *cutShort) Error() string {
	return termsafe.Indented(e.SnapshotError.Error() + ": " + e.err.Error())
}
func (e *cutShort) Unwrap() []error { return []error{&e.SnapshotError, e.err} }

// page of the database file in bytes is at least that; its checksum is what is
// left over.
const page = 512

func (s *snapshotStream) verify(sum []byte, left uint64) error {
	refuse := func(problem string) error { return &SnapshotError{Size: s.size, Problem: problem} }
	switch {
	case left != 0:
		return refuse(fmt.Sprintf("the stream ended with %d bytes left to send", left))
	case s.size < page || s.size%page != sha256.Size:
		return refuse("there is no checksum at its end")
	case !bytes.Equal(sum, s.sum):
		return refuse("its checksum does not fit")
	}
	s.taken.Size = s.size
	copy(s.taken.SHA256[:], sum)
	return nil
}
