package ha_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// Two hosts that hold the VIP at once end a run with an error, also one that finds
// nothing to do; one that moved is no fault.
func TestVIPHolder(t *testing.T) {
	_, hosts, p := created(t)
	r := &plan.Runner{Transport: hosts}
	require.Equal(t, "cp-1", hosts.VIPHolder())

	hosts.Host("cp-2").Handle(faketransport.Prefix("ip", "-o", "addr", "show"), func(_ context.Context, in faketransport.Invocation) error {
		_, err := fmt.Fprintln(in.Stdout, "2: eth0    inet 192.0.2.12/24 scope global eth0\n2: eth0    inet 192.0.2.10/32 scope global eth0")
		return err
	})
	_, err := r.Run(t.Context(), p)
	var split *ha.VIPError
	require.ErrorAs(t, err, &split)
	require.Equal(t, []string{"cp-1 (eth0)", "cp-2 (eth0)"}, split.Holders)
	require.ErrorContains(t, err, "VRRP (IP protocol 112)")
	var step *plan.StepError
	require.ErrorAs(t, err, &step)
	require.Equal(t, plan.ID("vip-holder"), step.Step)
}
