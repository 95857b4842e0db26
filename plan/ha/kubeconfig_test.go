package ha_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// A host that hangs, at connecting or at reading, is left for the next one after its
// time; one that fails at once. All reasons are in the error when nobody returns it.
func TestKubeconfigAsksTheNextHost(t *testing.T) {
	refused := faketransport.Fails(&transport.DialError{Host: "cp-2", Reason: transport.Auth, Err: errors.New("not let in")})
	for name, c := range map[string]struct {
		first  faketransport.Fault
		after  time.Duration
		reason string
	}{
		"hangs at connecting": {faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: faketransport.Hang}, 5 * time.Second, "no answer within 5s"},
		"hangs at reading":    {faketransport.Fault{On: faketransport.OnKind(faketransport.Read), Before: faketransport.Hang}, 5 * time.Second, "no answer within 5s"},
		"fails":               {faketransport.Fault{Before: faketransport.Refuse}, 0, "connection refused"},
	} {
		for _, third := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				bubble.Test(t, func(t *testing.T) {
					hosts := faketransport.New()
					hosts.Host("cp-1").Inject(c.first)
					hosts.Host("cp-2").Inject(faketransport.Fault{On: faketransport.OnKind(faketransport.Dial), Before: refused})
					if third {
						require.NoError(t, hosts.Host("cp-3").Put(transport.File{Path: "/etc/kubernetes/admin.conf", Data: transport.Bytes([]byte("kubeconfig"))}))
					} else {
						hosts.Host("cp-3")
					}
					began := time.Now()
					got, err := ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{Transport: hosts, Cluster: hafixture.Three(), HostTimeout: 5 * time.Second})
					require.Equal(t, c.after, time.Since(began))
					if third {
						require.NoError(t, err)
						require.Equal(t, "kubeconfig", string(got.Bytes()))
						return
					}
					var failed *ha.KubeconfigError
					require.ErrorAs(t, err, &failed)
					require.Equal(t, []string{"cp-1", "cp-2", "cp-3"}, failed.Hosts)
					require.ErrorContains(t, failed.Errs[0], c.reason)
					require.ErrorContains(t, failed.Errs[1], "not let in")
					require.ErrorContains(t, failed.Errs[2], "admin.conf")
					require.ErrorContains(t, err, "not let in")
					require.Equal(t, c.after > 0, errors.Is(err, context.DeadlineExceeded))
				})
			})
		}
	}
}

func TestKubeconfigEndsWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hosts := faketransport.New()
		hosts.Host("cp-1").Inject(faketransport.Fault{Before: faketransport.Hang})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := ha.Kubeconfig(ctx, ha.KubeconfigConfig{Transport: hosts, Cluster: hafixture.Three()})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, hosts.Calls(), 1, "nobody else is asked once there is no time")
	})
}

func TestKubeconfigRefuses(t *testing.T) {
	_, err := ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{HostTimeout: -1})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Problems, 3)
}
