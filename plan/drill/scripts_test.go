package drill

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"
)

// Every script sent to hosts is POSIX shell, says in its first line what it does,
// and dash takes it too.
func TestScriptsParse(t *testing.T) {
	paths, err := filepath.Glob("scripts/*.sh")
	require.NoError(t, err)
	embedded := map[string]string{
		"break": breakScript, "heal": healScript, "faults": faultsScript,
		"watch": watchScript, "follow": followScript, "unwatch": unwatchScript,
	}
	require.Len(t, paths, len(embedded))
	for name, text := range embedded {
		require.True(t, strings.HasPrefix(text, "# "), name)
		_, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), name)
		require.NoError(t, err, name)
		if dash, err := exec.LookPath("dash"); err == nil {
			cmd := exec.CommandContext(t.Context(), dash, "-n")
			cmd.Stdin = strings.NewReader(text)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s: %s", name, out)
		}
	}
}

// Each fault that the breaker knows can be checked, broken and healed by the
// script.
func TestScriptHandlesEveryFault(t *testing.T) {
	for _, f := range (&SSHBreaker{}).Faults() {
		for _, do := range []string{"check", "break", "heal"} {
			if f == Reboot && do == "heal" {
				continue // it comes back by itself
			}
			require.Contains(t, faultsScript, string(f)+":"+do, "%s %s", do, f)
		}
	}
}

func FuzzParseNote(f *testing.F) {
	for _, line := range []string{
		"1772366400123456789 1", "1772366400123456789 0", "1772366400123456789 2", "x 1", "",
		"[2026-03-01T12:00:00.123456] 2: eth0    inet 10.0.0.100/32 scope global eth0\\       valid_lft forever preferred_lft forever",
		"[2026-03-01T12:00:00.123456] Deleted 2: eth0    inet 10.0.0.100/32 scope global eth0",
		"[2026-03-01T12:00:00.123456] 2: eth0    inet6 2001:db8::1/128 scope global",
		"[2026-03-01T12:00:00.123456] Deleted",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		h, ok := parseNote(line, "10.0.0.100")
		if ok && strings.HasPrefix(line, "[") && !strings.Contains(line, "10.0.0.100") {
			t.Errorf("%q is about the VIP?", line)
		}
		if ok && h.at.IsZero() && !strings.HasPrefix(line, "[0001") {
			t.Errorf("%q has no time", line)
		}
	})
}

func TestParseNote(t *testing.T) {
	const event = "[2026-03-01T12:00:00.123456] Deleted 2: eth0    inet 10.0.0.100/32 scope global eth0"
	h, ok := parseNote(event, "10.0.0.100")
	require.True(t, ok)
	require.False(t, h.has)
	require.Equal(t, "2026-03-01T12:00:00.123456Z", h.at.Format("2006-01-02T15:04:05.999999999Z07:00"))
	h, ok = parseNote(strings.Replace(event, "Deleted ", "", 1), "10.0.0.100")
	require.True(t, ok)
	require.True(t, h.has)
	_, ok = parseNote(event, "10.0.0.10")
	require.False(t, ok, "another address with the same start")
	h, ok = parseNote("1772366400000000001 1", "10.0.0.100")
	require.True(t, ok)
	require.Equal(t, int64(1772366400000000001), h.at.UnixNano())
}
