package etcdclient

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// UnsupportedError is a call that the member's release of etcd does not know.
type UnsupportedError struct {
	// Version of the member, empty if it was not read.
	Version string
	// Since is the release of etcd that has the call, "3.5".
	Since string
}

func (e *UnsupportedError) Error() string {
	s := "this release of etcd does not know how: it takes etcd " + e.Since + " or later"
	if e.Version != "" {
		s += ", and it is " + e.Version
	}
	return termsafe.Indented(s)
}

// supported returns an *UnsupportedError for an answer that says that a call is
// not known.
func supported(err error, since string) error {
	if status.Code(err) == codes.Unimplemented {
		return &UnsupportedError{Since: since}
	}
	return err
}

// majorMinor reads the first two numbers of a version, as in "3.6.16".
func majorMinor(version string) (major, minor int, ok bool) {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, minorErr := strconv.Atoi(second)
	return major, minor, err == nil && minorErr == nil
}

// at is the member of an endpoint.
func (c *Client) at(endpoint string) (*member, error) {
	i := slices.IndexFunc(c.members, func(m *member) bool { return m.endpoint == endpoint })
	if i < 0 {
		return nil, fmt.Errorf("%q is none of the client's endpoints", endpoint)
	}
	return c.members[i], nil
}

// Hash is the checksum of one member's keys and values at a revision. Members
// whose hashes of one revision differ, with the same CompactRevision, differ in
// their data.
type Hash struct {
	// MemberID of the member that computed it.
	MemberID uint64
	// Hash of all versions of all keys from CompactRevision to Revision.
	Hash uint32
	// Revision of the hash, and that of the compaction before it; -1 if there was
	// none.
	Revision, CompactRevision int64
}

// HashKV has the member at one endpoint compute its hash at a revision, 0 for its
// latest. It reads the whole database and takes as long as ctx lets it. The error
// is an *EndpointError: ErrCompacted or ErrFutureRev of etcd's own for a revision
// that the member no longer or not yet has, an *UnsupportedError before etcd 3.3.
func (c *Client) HashKV(ctx context.Context, endpoint string, revision int64) (Hash, error) {
	m, err := c.at(endpoint)
	if err != nil {
		return Hash{}, err
	}
	var out Hash
	err = m.do(ctx, fmt.Sprintf("hash its data at revision %d", revision), func(ctx context.Context, client *clientv3.Client) error {
		r, err := maintenance(client).HashKV(ctx, endpoint, revision)
		if err != nil {
			return supported(err, "3.3")
		}
		out = Hash{MemberID: r.Header.GetMemberId(), Hash: r.Hash, Revision: r.HashRevision, CompactRevision: r.CompactRevision}
		if out.Revision == 0 { // before etcd 3.5
			out.Revision = revision
			if revision == 0 {
				out.Revision = r.Header.GetRevision()
			}
		}
		return nil
	})
	return out, err
}

// Compact drops all versions of keys that were replaced before a revision, on all
// members: etcd reuses their space, and Defragment returns it. With physical it
// returns once the member that was called has removed them, and takes as long as ctx
// lets it. A revision that is compacted already is an *EndpointError with
// ErrCompacted, which Compacted reports.
func (c *Client) Compact(ctx context.Context, revision int64, physical bool) error {
	m, _, err := c.majority(ctx)
	if err != nil {
		return err
	}
	var options []clientv3.CompactOption
	if physical {
		options = append(options, clientv3.WithCompactPhysical())
	} else {
		var cancel context.CancelFunc
		ctx, cancel = c.within(ctx)
		defer cancel()
	}
	return m.do(ctx, fmt.Sprintf("compact to revision %d", revision), func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Compact(ctx, revision, options...)
		return err
	})
}

// Compacted reports whether a revision was refused because it is compacted.
func Compacted(err error) bool { return errors.Is(err, rpctypes.ErrCompacted) }

// Defragment has the member at one endpoint rewrite its database without the
// space that compaction has freed. Meanwhile that member answers nobody: do it to
// one member at a time, the leader last. It takes seconds for each GiB, as long as
// ctx lets it. The error is an *EndpointError.
func (c *Client) Defragment(ctx context.Context, endpoint string) error {
	m, err := c.at(endpoint)
	if err != nil {
		return err
	}
	return m.do(ctx, "defragment", func(ctx context.Context, client *clientv3.Client) error {
		_, err := maintenance(client).Defragment(ctx, endpoint)
		return err
	})
}

// Disarm takes alarms down, as Status lists them; one that is not raised is no
// error. etcd raises NoSpace again as long as the space is short. The error joins
// an *EndpointError for each that could not be.
func (c *Client) Disarm(ctx context.Context, alarms ...Alarm) error {
	var all []error
	for _, a := range alarms {
		kind, known := pb.AlarmType_value[string(a.Kind)]
		if !known || a.MemberID == 0 {
			// Without a kind or a member etcd would take down all.
			all = append(all, fmt.Errorf("disarm alarm %q of member %x: no such alarm", a.Kind, a.MemberID))
			continue
		}
		all = append(all, c.change(ctx, fmt.Sprintf("disarm %s of member %x", a.Kind, a.MemberID), func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.AlarmDisarm(ctx, &clientv3.AlarmMember{MemberID: a.MemberID, Alarm: pb.AlarmType(kind)})
			return err
		}))
	}
	return errors.Join(all...)
}

// DowngradeAction is what Downgrade does.
type DowngradeAction string

const (
	// DowngradeValidate asks whether the cluster could be downgraded, and changes
	// nothing.
	DowngradeValidate DowngradeAction = "validate"
	// DowngradeEnable lets members of the earlier release join: the cluster's
	// version and the storage's go down to it.
	DowngradeEnable DowngradeAction = "enable"
	// DowngradeCancel ends that.
	DowngradeCancel DowngradeAction = "cancel"
)

// Downgrade validates, enables or cancels the downgrade of the cluster to the
// minor release before its own, as in "3.5", which is not used by DowngradeCancel.
// It returns the cluster's version as the member answers. The error is an
// *EndpointError with etcd's own reason (ErrInvalidDowngradeTargetVersion,
// ErrDowngradeInProcess, ErrNoInflightDowngrade), or an *UnsupportedError before
// etcd 3.5; that release knows the call and cannot bring a downgrade about.
func (c *Client) Downgrade(ctx context.Context, action DowngradeAction, target string) (clusterVersion string, err error) {
	actions := map[DowngradeAction]clientv3.DowngradeAction{
		DowngradeValidate: clientv3.DowngradeValidate, DowngradeEnable: clientv3.DowngradeEnable, DowngradeCancel: clientv3.DowngradeCancel,
	}
	do, known := actions[action]
	if !known {
		return "", fmt.Errorf("downgrade etcd: no action %q: there are validate, enable and cancel", action)
	}
	if action != DowngradeCancel {
		if _, _, ok := majorMinor(target); !ok || strings.Count(target, ".") != 1 {
			return "", fmt.Errorf("downgrade etcd: target %q: want a minor release, as in 3.5", target)
		}
	}
	err = c.change(ctx, strings.TrimSpace(fmt.Sprintf("%s the downgrade %s", action, target)), func(ctx context.Context, client *clientv3.Client) error {
		r, err := client.Downgrade(ctx, do, target)
		if err == nil {
			clusterVersion = r.Version
		}
		return supported(err, "3.5")
	})
	return clusterVersion, err
}
