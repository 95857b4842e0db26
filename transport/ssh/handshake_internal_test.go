package ssh

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/transport"
)

// A server that wants a new password says so by a message that the library does
// not know.
func TestPasswordChangeRequest(t *testing.T) {
	s, err := New(Config{
		Auth:     Auth{Password: func(context.Context, Login) (transport.Data, error) { return transport.Data{}, nil }},
		HostKeys: HostKeys{Pinned: map[string][]string{"h": {"SHA256:x"}}},
	})
	require.NoError(t, err)
	defer func() { _ = s.Close() }()
	state := s.held.Reveal()
	limit := startLimit(t.Context(), time.Minute)
	defer limit.end()
	h := &handshake{t: state, h: hop{name: "h", user: "u", target: Target{Addr: "h"}}, caller: t.Context(), limit: limit, wire: &wire{backlog: &backlog{}}}
	h.auth = state.credentials.login(t.Context(), Login{User: "u"}, h.wire.failure, limit.pause)
	h.auth.exhausted = true
	h.auth.report.Attempts = []Attempt{{Method: "password"}}
	err = h.failed(errors.New("ssh: handshake failed: ssh: unexpected message type 60 (expected 52)"))
	var dial *transport.DialError
	require.ErrorAs(t, err, &dial)
	require.Equal(t, transport.Auth, dial.Reason)
	require.ErrorIs(t, err, ErrPasswordExpired)
	require.Contains(t, dial.Advice, "change the password")
}
