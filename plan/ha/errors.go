package ha

import (
	"github.com/quorate-dev/quorate/plan/ha/internal/holder"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
)

// QuorumError refuses to take a member out of etcd, because those that would be
// left could not act: fewer than a majority of them are healthy. Nothing has been
// changed.
type QuorumError = members.QuorumError

// VIPError reports that at the end of a run not exactly one host holds the VIP, or
// that a control plane does not reach it there: VRRP that is dropped between
// hosts, or an address somebody has set on another. What the run did is done.
type VIPError = holder.Error

// RestartError reports that a member of etcd did not come back with its new files. The others
// were not restarted.
type RestartError = members.RestartError
