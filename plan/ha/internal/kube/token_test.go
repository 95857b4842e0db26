package kube

import (
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/internal/shelltest"
)

// kubectl prints by the template what is read, for nodes as the API server
// has them.
func TestReadNodeLines(t *testing.T) {
	v := quorate.Version{Major: 1, Minor: 37}
	list := ListNodes("https://192.0.2.11:6443", v)
	tmpl, err := template.New("").Parse(strings.TrimPrefix(list[len(list)-1], "go-template="))
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, ready string, labels map[string]any, taints ...any) map[string]any {
		conditions := []any{map[string]any{"type": "DiskPressure", "status": "False"}}
		version := ""
		if ready != "" {
			conditions = append(conditions, map[string]any{"type": "Ready", "status": ready})
			version = "v1.37.2"
		}
		return map[string]any{
			"kind":     "Node",
			"metadata": map[string]any{"name": name, "labels": labels},
			"spec":     map[string]any{"taints": taints},
			"status":   map[string]any{"conditions": conditions, "nodeInfo": map[string]any{"kubeletVersion": version}},
		}
	}
	labelled := map[string]any{"a": "b", "node-role.kubernetes.io/control-plane": ""}
	taint := map[string]any{"key": "x", "effect": "NoSchedule"}
	var out strings.Builder
	err = tmpl.Execute(&out, map[string]any{"items": []any{
		node("cp-1", "True", labelled, taint, map[string]any{"key": "y", "value": "v", "effect": "NoExecute"}), node("cp-2", "True", nil), node("cp-3", "Unknown", labelled, taint),
		node("worker-1", "True", map[string]any{"a": "b"}), node("worker-2", "", nil), node("worker-10", "True", nil),
		map[string]any{"kind": "Node", "metadata": map[string]any{"name": "bare"}, "spec": map[string]any{"unschedulable": true}, "status": map[string]any{
			"nodeInfo":  map[string]any{"kubeletVersion": ""},
			"addresses": []any{map[string]any{"type": "Hostname", "address": "bare"}, map[string]any{"type": "InternalIP", "address": "2001:db8::1"}},
		}},
		map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": "empty"}},
		map[string]any{"kind": "ConfigMap", "metadata": map[string]any{"name": "kube-proxy"}, "data": map[string]any{"config.conf": "mode: \"\"\n", "kubeconfig.conf": "left out"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const role = "node-role.kubernetes.io/control-plane= "
	const want = "cp-1 v1.37.2 True role x y\ta=b " + role + "\tx=:NoSchedule y=v:NoExecute \t\t\n" +
		"cp-2 v1.37.2 True \t\t\t\t\ncp-3 v1.37.2 Unknown role x\ta=b " + role + "\tx=:NoSchedule \t\t\n" +
		"worker-1 v1.37.2 True \ta=b \t\t\t\nworker-2   \t\t\t\t\nworker-10 v1.37.2 True \t\t\t\t\nbare   \t\t\t2001:db8::1 \tcordoned\n" +
		`configmap "kube-proxy" "config.conf" "mode: \"\"\n"` + "\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	state := ReadCluster([]byte(out.String()))
	if got := state.ConfigMaps["kube-proxy"]["config.conf"]; got != "mode: \"\"\n" {
		t.Errorf("read %q", got)
	}
	if got := state.Nodes[len(state.Nodes)-1]; !got.Cordoned || len(got.Addresses) != 1 || got.Name != "bare" {
		t.Errorf("read %+v", got)
	}
	if got := state.Nodes[0].Taints; len(got) != 2 || got[1] != (quorate.Taint{Key: "y", Value: "v", Effect: "NoExecute"}) {
		t.Errorf("read %+v", got)
	}
	nodes := readNodes([]byte(out.String()))
	if got := nodes["cp-1"]; len(nodes) != 7 || got.version != "v1.37.2" || got.ready != "True" || !got.labelled || !slices.Equal(got.taints, []string{"x", "y"}) {
		t.Errorf("read %+v", nodes)
	}
	if got := nodes["worker-2"]; got.version != "" || got.ready != "" || got.labelled || len(got.taints) > 0 {
		t.Errorf("read %+v", got)
	}
	b := &Token{}
	for _, name := range []string{"cp-1", "cp-2", "cp-3", "worker-1", "worker-2", "worker-3"} {
		role := quorate.Worker
		if strings.HasPrefix(name, "cp") {
			role = quorate.ControlPlane
		}
		b.Joining = append(b.Joining, quorate.Node{Name: name, Role: role})
	}
	if pending, want := b.pending(nodes), []string{"cp-2", "cp-3", "worker-2", "worker-3"}; !slices.Equal(pending, want) {
		t.Errorf("got %v, want %v", pending, want)
	}
}

const kubectlOfToken = `case "$*" in
*" get secret bootstrap-token-abcdef "*) [ -e DIR/gone ] || echo "bootstrap-token-abcdef MjAyNg==" ;;
*" get configmap cluster-info "*) if [ -e DIR/slept ]; then echo "map[jws-kubeconfig-abcdef:x]"; else echo "map[kubeconfig:x]"; fi ;;
*" create -f -") cat > DIR/created; echo "$*" >> DIR/calls ;;
*) echo "$*" >> DIR/calls ;;
esac`

func TestTokenScriptsInDash(t *testing.T) {
	programs := map[string]string{"kubectl": kubectlOfToken, "date": "echo 2026-01-01T00:00:00Z", "sleep": ": > DIR/slept"}
	out := shelltest.Run(t, tokenState, programs, map[string]string{"API_URL": "https://192.0.2.11:6443", "SECRET": "bootstrap-token-abcdef"})
	if want := "now=2026-01-01T00:00:00Z\nfound=bootstrap-token-abcdef MjAyNg==\n"; out != want {
		t.Errorf("got %q", out)
	}
	out = shelltest.Run(t, ": > DIR/gone\n"+tokenState, programs, map[string]string{"API_URL": "https://192.0.2.11:6443", "SECRET": "bootstrap-token-abcdef"})
	if want := "now=2026-01-01T00:00:00Z\nfound=\n"; out != want {
		t.Errorf("got %q", out)
	}
	// What the script reads from its standard input reaches kubectl create.
	script := "echo secret | (\n" + renewToken + ")\ncat DIR/created DIR/calls\n"
	out = shelltest.Run(t, script, programs, map[string]string{
		"API_URL": "https://192.0.2.11:6443", "SECRET": "bootstrap-token-abcdef", "TOKEN_ID": "abcdef",
	})
	const flags = "--kubeconfig /etc/kubernetes/admin.conf --server https://192.0.2.11:6443 --request-timeout=10s "
	if want := "secret\n" + flags + "-n kube-system delete secret bootstrap-token-abcdef --ignore-not-found\n" + flags + "create -f -\n"; out != want {
		t.Errorf("got %q", out)
	}
}
