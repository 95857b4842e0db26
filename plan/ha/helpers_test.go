package ha_test

import (
	"runtime/debug"

	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
)

// Clusters in memory are made by the hundred and dropped: a fifth of the tests' time
// went into collecting them, and never more than a few are alive.
func init() { debug.SetGCPercent(400) }

// adminConf is what a kubeadm init that began has left behind.
func adminConf() transport.File { return fixture.File("/etc/kubernetes/admin.conf", "x") }
