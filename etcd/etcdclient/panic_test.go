package etcdclient_test

import (
	"context"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/etcd/etcdclient"
)

// A dialer that panics, which gRPC calls on goroutines of its own, is the error of the members
// that it was to reach, and so is one that returns nothing.
func TestDialThatPanics(t *testing.T) {
	for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
		"a broken dialer": func(context.Context, string, string) (net.Conn, error) { panic("a broken dialer") },
		"neither a connection nor an error": func(context.Context, string, string) (net.Conn, error) {
			return nil, nil //nolint:nilnil // what is tried
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := etcdclient.New(etcdclient.Config{Endpoints: []string{"http://192.0.2.11:2379", "http://192.0.2.12:2379"}, Dial: dial})
			require.NoError(t, err)
			defer func() { require.NoError(t, c.Close()) }()
			status, err := c.Status(t.Context())
			require.NoError(t, err)
			for _, at := range status.Endpoints {
				var panicked *etcdclient.DialPanicError
				require.ErrorAs(t, at.Err, &panicked)
				require.Contains(t, panicked.Error(), name)
			}
		})
	}
}
