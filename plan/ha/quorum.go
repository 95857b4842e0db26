package ha

import "github.com/quorate-dev/quorate/plan/ha/internal/members"

// QuorumError refuses to take a member out of etcd, because those that would be
// left could not act: fewer than a majority of them are healthy. Nothing has been
// changed.
type QuorumError = members.QuorumError
