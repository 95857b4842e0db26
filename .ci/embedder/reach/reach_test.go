package reach_test

import (
	"net"
	"testing"
	"time"

	"example.com/importer/embedder/reach"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

// A transport of processes, with a Conn that has no ability but Run.
func TestEnter(t *testing.T) {
	transporttest.Run(t, transporttest.Harness{
		Transport: reach.Enter{Words: func(string) []string { return []string{"nice", "--"} }, Grace: time.Second},
		Host:      "host-1", Dir: t.TempDir(), Grace: time.Second,
	})
}

// A decorator keeps the abilities of what it wraps.
func TestAudit(t *testing.T) {
	hosts := faketransport.New()
	h := hosts.Host("host-1")
	h.HandleDial(new(net.Dialer).DialContext)
	if err := h.Mkdir("/srv/test"); err != nil {
		t.Fatal(err)
	}
	audit := &reach.Audit{Inside: hosts}
	transporttest.Run(t, transporttest.Harness{Transport: audit, Host: "host-1", Dir: "/srv/test", Owner: "nobody", Group: "daemon", Simulated: true})
	if len(audit.Log()) == 0 {
		t.Error("nothing was noted")
	}
}
