package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/transport"
)

// quotingConn answers everything with one error.
type quotingConn struct{ err error }

func (c quotingConn) Run(context.Context, transport.Cmd) error { return c.err }
func (quotingConn) Close() error                               { return nil }

// A plan's secrets are hidden wherever a host's error has them, of whatever kind it
// is and whatever was asked, and the kind stays.
func TestHostErrorsHideSecrets(t *testing.T) {
	const secret = "MARKER-OF-A-SECRET"
	wrapped := fmt.Errorf("it says %s: %w", secret, fs.ErrPermission)
	for name, err := range map[string]error{
		"exit":          &transport.ExitError{Host: "h", Code: 1, Stderr: secret},
		"not started":   &transport.NotStartedError{Host: "h", Said: secret},
		"unknown exit":  &transport.UnknownExitError{Host: "h", Stderr: secret, Err: fs.ErrPermission},
		"lost":          &transport.DialError{Host: "h", Reason: transport.Lost, Err: wrapped},
		"still running": &transport.StillRunningError{Host: "h", Err: context.Canceled, Why: wrapped},
		"another":       wrapped,
	} {
		h := NewHost("h", quotingConn{err})
		h.secrets = newSecretTexts([]string{secret})
		_, runErr := h.Run(t.Context(), "true")
		_, statErr := h.Stat(t.Context(), "/f")
		_, readErr := h.Read(t.Context(), "/f")
		_, readAllErr := h.ReadAll(t.Context(), 10, "/f")
		for op, got := range map[string]error{
			"run": runErr, "stat": statErr, "read": readErr, "read all": readAllErr,
			"write": h.Write(t.Context(), transport.File{Path: "/f"}), "remove": h.Remove(t.Context(), "/f"),
			"upload": h.Upload(t.Context(), transport.File{Path: "/f"}, strings.NewReader("x")),
		} {
			require.NotContains(t, fmt.Sprintf("%v %+v", got, got), secret, "%s, %s", name, op)
			if errors.Is(err, fs.ErrPermission) {
				require.ErrorIs(t, got, fs.ErrPermission, "%s, %s", name, op)
			}
			if name == "exit" || name == "not started" || name == "unknown exit" {
				require.True(t, errors.As(got, reflect.New(reflect.TypeOf(err)).Interface()), "%s, %s: %v", name, op, got)
			}
		}
	}
}
