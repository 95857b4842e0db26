package ssh

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate/transport"
)

// A host's own words, as it ends the connection or refuses a channel, are told from
// what this side knows of it.
func TestFilterWords(t *testing.T) {
	hide := func(text string) string { return strings.ReplaceAll(text, "MARKER", "-") }
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"disconnect": {errors.New("ssh: disconnect, reason 2: MARKER: more"), "ssh: disconnect, reason 2: -: more"},
		"channel":    {&ssh.OpenChannelError{Reason: ssh.Prohibited, Message: "MARKER"}, `ssh: rejected: administratively prohibited ("-")`},
		"our own":    {errors.New("read tcp MARKER: connection reset"), "read tcp MARKER: connection reset"},
	} {
		err := transport.FilterWords(hop{name: "h"}.dialError(transport.Lost, hostError{c.err}, ""), hide)
		var dial *transport.DialError
		require.ErrorAs(t, err, &dial, name)
		require.Equal(t, c.want, dial.Err.Error(), name)
		require.Equal(t, isRefused(c.err), isRefused(err), name)
	}
}

// The name of a signal is no place for a host's own words.
func TestSignalNames(t *testing.T) {
	for sent, want := range map[string]string{"KILL": "KILL", "SEGV": "SEGV", "SIG@openssh.com": "SIG@openssh.com", "MARKER-OF-A-KEY": "?", "\x1b[2J": "?", "kill": "?"} {
		var s session
		s.note(&ssh.Request{Type: "exit-signal", Payload: ssh.Marshal(struct {
			Signal  string
			Core    bool
			Message string
			Lang    string
		}{Signal: sent, Message: "MARKER"})})
		require.Equal(t, exit{known: true, code: -1, signal: want}, s.result(), "%q", sent)
	}
}
