package survey

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// The script runs in dash: a host says what it has, and that it has nothing else.
func TestRunningInDash(t *testing.T) {
	script := strings.ReplaceAll(runningScript, "/proc/[0-9]*", "DIR/proc/[0-9]*")
	script = strings.ReplaceAll(script, `"$ETCD_UNIT"`, "DIR/unit")
	out := shelltest.Run(t, "# try\nseed\n"+script, map[string]string{
		"seed": "PATH=$PATH:/usr/bin:/bin\nmkdir -p DIR/proc/7 DIR/data/member/wal DIR/data/member/snap\n" +
			"echo kubelet > DIR/proc/7/comm\nprintf '/usr/bin/kubelet\\0--config=/x\\0' > DIR/proc/7/cmdline\n" +
			"printf 'ExecStart=/usr/local/bin/etcd \\\\\\n  --data-dir=%s/data \\\\\\n  --name=cp-1\\n' DIR > DIR/unit\n: > DIR/data/member/wal/0.wal\necho text > DIR/file\n",
	}, nil)
	r := parseReport([]byte(out))
	require.Empty(t, r.mark)
	require.True(t, strings.HasSuffix(r.data, "/data"), r.data)
	require.Contains(t, out, "/unit:  --name=cp-1\n")
	require.Equal(t, map[string][]string{"kubelet": {"/usr/bin/kubelet", "--config=/x"}}, r.processes)
}

// Whatever a host says of its state, nothing panics, what is kept is bounded, and no control
// character is in it.
func FuzzHostState(f *testing.F) {
	f.Add("address=eth0 192.0.2.10/32\nunit=etcd active\nversion=etcd etcd Version: 3.6.16\nready=ok\nleft=/etc/kubernetes/tmp/a\n/etc/kubernetes/pki/ca.crt:-----BEGIN\n")
	f.Add("/etc/kubernetes/admin.conf:    client-certificate-data: AAAA\n\x1b[31m=\x1b\n")
	f.Fuzz(func(t *testing.T, state string) {
		l := look{node: quorate.Node{Name: "cp-1", Role: quorate.ControlPlane}, state: parseState([]byte(state))}
		h := l.host(Described{})
		require.LessOrEqual(t, len(h.Units)+len(h.Installed)+len(h.Left)+len(h.Aside), 4*64)
		s := Survey{Hosts: []Host{h}}
		s.judge(quorate.Cluster{})
		require.NotContains(t, s.Text(), "\x1b")
		require.NotContains(t, string(s.JSON()), "\x1b")
	})
}
