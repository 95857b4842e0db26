package ha_test

import (
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
)

// adminConf is what a kubeadm init that began has left behind.
func adminConf() transport.File { return fixture.File("/etc/kubernetes/admin.conf", "x") }
