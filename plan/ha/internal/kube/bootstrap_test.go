package kube

import (
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// What a kubeadm that was cut off has left is told from what may still come to be
// complete, which alone is worth a wait.
func TestHalfFinishedInDash(t *testing.T) {
	const refused = "The connection to the server 192.0.2.10:6443 was refused - did you specify the right host or port?"
	const missing = `Error from server (NotFound): nodes "cp-1" not found`
	const labelled, bare = "cp-1   Ready   <none>   1m   v1.37.2   a=b,role=", "cp-1   Ready   <none>   1m   v1.37.2   a=b"
	for name, tt := range map[string]struct {
		script         string
		args           []string
		objects, node  string // what kubectl prints; errors are such by their first words
		kubelet        string
		want, alsoWant string
	}{
		"init, all there":                {InitState, nil, "configmap/cluster-info", labelled, "active", "state=done", ""},
		"init, no API yet":               {InitState, nil, refused, refused, "active", "state=partial", ""},
		"init, no API, no kubelet":       {InitState, nil, refused, refused, "inactive", "state=partial", "final=yes"},
		"init, cut before its end":       {InitState, nil, `Error from server (NotFound): configmaps "cluster-info" not found`, labelled, "active", "state=partial", "final=yes"},
		"init, not labelled":             {InitState, nil, "configmap/cluster-info", bare, "active", "state=partial", "final=yes"},
		"join, all there":                {JoinState, []string{"cp-1", "control-plane", "role"}, "", labelled, "active", "state=done", ""},
		"join, not labelled":             {JoinState, []string{"cp-1", "control-plane", "role"}, "", bare, "active", "state=partial", "final=yes"},
		"join, not registered":           {JoinState, []string{"cp-1", "control-plane", "role"}, "", missing, "active", "state=partial", "final=yes"},
		"join, no API":                   {JoinState, []string{"cp-1", "control-plane", "role"}, "", refused, "active", "state=partial", ""},
		"worker, all there":              {JoinState, []string{"cp-1", "worker", "role"}, "", bare, "active", "state=done", ""},
		"worker, not registered yet":     {JoinState, []string{"cp-1", "worker", "role"}, "", missing, "active", "state=partial", ""},
		"worker, will not be registered": {JoinState, []string{"cp-1", "worker", "role"}, "", missing, "inactive", "state=partial", "final=yes"},
	} {
		t.Run(name, func(t *testing.T) {
			args := tt.args
			if args == nil {
				args = []string{"https://192.0.2.11:6443", "https://192.0.2.10:6443/readyz", "cp-1", "role"}
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
				out := shelltest.Run(t, begun+tt.script, programs, args...)
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
