package kube

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// What an interrupted kubeadm has left is distinguished from what may still become
// complete, which alone is worth a wait.
func TestHalfFinishedInDash(t *testing.T) {
	const refused = "The connection to the server 192.0.2.10:6443 was refused - did you specify the right host or port?"
	const missing = `Error from server (NotFound): nodes "cp-1" not found`
	const labelled, bare = "cp-1   Ready   <none>   1m   v1.37.2   a=b,role=", "cp-1   Ready   <none>   1m   v1.37.2   a=b"
	for name, tt := range map[string]struct {
		script         string
		args           map[string]string
		objects, node  string // what kubectl prints; errors are such by their first words
		kubelet        string
		want, alsoWant string
	}{
		"init, all there":                {initState, nil, "configmap/cluster-info", labelled, "active", "state=done", ""},
		"init, no API yet":               {initState, nil, refused, refused, "active", "state=partial", ""},
		"init, no API, no kubelet":       {initState, nil, refused, refused, "inactive", "state=partial", "final=yes"},
		"init, cut before its end":       {initState, nil, `Error from server (NotFound): configmaps "cluster-info" not found`, labelled, "active", "state=partial", "final=yes"},
		"init, not labelled":             {initState, nil, "configmap/cluster-info", bare, "active", "state=partial", "final=yes"},
		"join, all there":                {joinState, map[string]string{"NODE": "cp-1", "ROLE": "control-plane", "LABEL": "role"}, "", labelled, "active", "state=done", ""},
		"join, not labelled":             {joinState, map[string]string{"NODE": "cp-1", "ROLE": "control-plane", "LABEL": "role"}, "", bare, "active", "state=partial", "final=yes"},
		"join, not registered":           {joinState, map[string]string{"NODE": "cp-1", "ROLE": "control-plane", "LABEL": "role"}, "", missing, "active", "state=partial", "final=yes"},
		"join, no API":                   {joinState, map[string]string{"NODE": "cp-1", "ROLE": "control-plane", "LABEL": "role"}, "", refused, "active", "state=partial", ""},
		"worker, all there":              {joinState, map[string]string{"NODE": "cp-1", "ROLE": "worker", "LABEL": "role"}, "", bare, "active", "state=done", ""},
		"worker, not registered yet":     {joinState, map[string]string{"NODE": "cp-1", "ROLE": "worker", "LABEL": "role"}, "", missing, "active", "state=partial", ""},
		"worker, will not be registered": {joinState, map[string]string{"NODE": "cp-1", "ROLE": "worker", "LABEL": "role"}, "", missing, "inactive", "state=partial", "final=yes"},
	} {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if args == nil {
				args = map[string]string{"API_URL": "https://192.0.2.11:6443", "ENDPOINT_HEALTH": "https://192.0.2.10:6443/readyz", "NODE": "cp-1", "LABEL": "role", "ANYWAY": ""}
			}
			say := func(text string) string {
				if strings.HasPrefix(text, "Error") || strings.HasPrefix(text, "The connection") {
					return "echo '" + text + "' >&2; exit 1"
				}
				return "echo '" + text + "'"
			}
			programs := map[string]string{
				"kubectl":   "case \"$*\" in *cluster-info*) " + say(tt.objects) + " ;; *) " + say(tt.node) + " ;; esac",
				"systemctl": "[ " + tt.kubelet + " = active ]",
			}
			for _, f := range []string{"admin.conf", "kubelet.conf", "state"} {
				tt.script = strings.ReplaceAll(tt.script, "/etc/kubernetes/"+f, "DIR/kubectl") // a file that is there
			}
			tt.script = strings.ReplaceAll(tt.script, "/var/lib/quorate/", "DIR/")
			tt.script = strings.ReplaceAll(tt.script, "/proc/[0-9]*/comm", "DIR/comm*")
			for process, running := range map[string]bool{"kubeadm": true, "kubeadm-wrapper": false} {
				begun := "echo begun >DIR/kubeadm.state\necho systemd >DIR/comm1\necho " + process + " >DIR/comm2\n"
				out := shelltest.Run(t, begun+tt.script, programs, args)
				for _, line := range []string{"mark=begun", tt.want, tt.alsoWant} {
					if !strings.Contains(out, line) {
						t.Errorf("no %s in %q", line, out)
					}
				}
				if tt.alsoWant == "" && strings.Contains(out, "final") {
					t.Errorf("it may still be complete: %q", out)
				}
				if running != strings.Contains(out, "running=yes") {
					t.Errorf("%s at work: %q", process, out)
				}
			}
		})
	}
}
