package plan

import (
	"slices"
	"strings"
	"testing"
	"text/template"

	"github.com/quorate-dev/quorate"
)

// kubectl prints by the template what pending reads, for nodes as the API server
// has them.
func TestNodeLinesAreRead(t *testing.T) {
	v := quorate.Version{Major: 1, Minor: 37}
	tmpl, err := template.New("").Parse(nodeTemplate(v))
	if err != nil {
		t.Fatal(err)
	}
	node := func(name, ready string, labels map[string]any) map[string]any {
		conditions := []any{map[string]any{"type": "DiskPressure", "status": "False"}}
		if ready != "" {
			conditions = append(conditions, map[string]any{"type": "Ready", "status": ready})
		}
		return map[string]any{"metadata": map[string]any{"name": name, "labels": labels}, "status": map[string]any{"conditions": conditions}}
	}
	labelled := map[string]any{"a": "b", "node-role.kubernetes.io/control-plane": ""}
	var out strings.Builder
	err = tmpl.Execute(&out, map[string]any{"items": []any{
		node("cp-1", "True", labelled), node("cp-2", "True", nil), node("cp-3", "Unknown", labelled),
		node("worker-1", "True", map[string]any{"a": "b"}), node("worker-2", "", nil), node("worker-10", "True", nil),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "node cp-1 True role\nnode cp-2 True\nnode cp-3 Unknown role\nnode worker-1 True\nnode worker-2 \nnode worker-10 True\n"; out.String() != want {
		t.Errorf("got %q", out.String())
	}
	b := &bootstrapToken{joining: []string{"cp-1 True role", "cp-2 True role", "cp-3 True role", "worker-1 True", "worker-2 True", "worker-3 True"}}
	pending := b.pending([]byte("mark=done\nstate=done\n" + out.String()))
	if want := []string{"cp-2", "cp-3", "worker-2", "worker-3"}; !slices.Equal(pending, want) {
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
	out := runInDash(t, tokenState, programs, "https://192.0.2.11:6443", "bootstrap-token-abcdef")
	if want := "now=2026-01-01T00:00:00Z\nfound=bootstrap-token-abcdef MjAyNg==\n"; out != want {
		t.Errorf("got %q", out)
	}
	out = runInDash(t, ": > DIR/gone\n"+tokenState, programs, "https://192.0.2.11:6443", "bootstrap-token-abcdef")
	if want := "now=2026-01-01T00:00:00Z\nfound=\n"; out != want {
		t.Errorf("got %q", out)
	}
	// What the script reads from its standard input reaches kubectl create.
	script := "echo secret | (\n" + renewToken + ")\ncat DIR/created DIR/calls\n"
	out = runInDash(t, script, programs, "https://192.0.2.11:6443", "bootstrap-token-abcdef", "abcdef")
	const flags = "--kubeconfig /etc/kubernetes/admin.conf --server https://192.0.2.11:6443 --request-timeout=10s "
	if want := "secret\n" + flags + "-n kube-system delete secret bootstrap-token-abcdef --ignore-not-found\n" + flags + "create -f -\n"; out != want {
		t.Errorf("got %q", out)
	}
}
