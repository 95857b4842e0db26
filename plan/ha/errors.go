package ha

import (
	"github.com/quorate-dev/quorate/plan/ha/internal/holder"
	"github.com/quorate-dev/quorate/plan/ha/internal/kube"
	"github.com/quorate-dev/quorate/plan/ha/internal/members"
	"github.com/quorate-dev/quorate/plan/ha/internal/settings"
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

// ComponentError reports that a component, or a kubelet, did not come back with its new settings
// on the first host where they were tried (PlanReconfigure). It runs with its old ones again,
// unless Back says why not, and no other host was touched after it.
type ComponentError = settings.ComponentError

// DrainError reports pods that have not left a node in time (ResetConfig.Drain): a budget does not let
// them, or they do not end. The node is cordoned, and nothing else has been done to it.
type DrainError = kube.DrainError
