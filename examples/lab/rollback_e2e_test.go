package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

// rollBackAChange has a run change keepalived and etcd on every control plane of a
// cluster that serves, and undoes that run: every file of Quorate's has its bytes,
// mode and owner back, and the cluster is what the first description says.
func rollBackAChange(ctx context.Context, t *testing.T, l *machines.Lab, installer string) {
	t.Helper()
	c, err := operator.ReadCluster(filepath.Join(l.Dir(), clusterFile))
	if err != nil {
		t.Fatal(err)
	}
	c = c.WithDefaults()
	c.Endpoint.VIP.Rise++
	c.Etcd.SnapshotCount += 1000
	text, err := clusterfile.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed.yaml")
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	before := placed(ctx, t, l)
	install(ctx, t, l, installer, "a change", "-cluster", changed, "-keep", "change")
	for host, files := range placed(ctx, t, l) {
		if plane := !strings.HasPrefix(host, "worker"); plane == (files == before[host]) {
			t.Errorf("%s: the change is not where it should be:\n%s", host, files)
		}
	}
	install(ctx, t, l, installer, "and back", "-cluster", changed, "-rollback", "change")
	for host, files := range placed(ctx, t, l) {
		if files != before[host] {
			t.Errorf("%s after the rollback:\n%s\nand before the change:\n%s", host, files, before[host])
		}
	}
	install(ctx, t, l, installer, unchanged)
	if err := checkMembers(ctx, l); err != nil {
		t.Error(err)
	}
}

// placed returns, for each host, what is there of Quorate's, and which of its
// units run.
func placed(ctx context.Context, t *testing.T, l *machines.Lab) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range l.Hosts() {
		files, err := l.SSH(ctx, h.Name, "cd / && find etc/etcd etc/etcd.env etc/systemd/system/etcd.service* etc/keepalived etc/kubernetes/pki etc/sysctl.d/99-quorate.conf "+
			"var/lib/quorate -path var/lib/quorate/etcd -prune -o -type f -printf '%p %m %u:%g ' -exec sh -c 'sha256sum <\"$1\"' sh {} ';' 2>/dev/null | sort; "+
			"systemctl is-active etcd keepalived kubelet")
		if err != nil && !strings.HasPrefix(h.Name, "worker") { // which has neither etcd nor keepalived
			t.Fatalf("%s: %v", h.Name, err)
		}
		out[h.Name] = files
	}
	return out
}

// rollBackAJoin undoes a run that added the worker, which then is as clean as after a
// reset, and adds it again at once: kubeadm refuses until the cluster has noticed that
// the node which it knows of that name is no more, and the run waits for that.
func rollBackAJoin(ctx context.Context, t *testing.T, l *machines.Lab, installer string) {
	t.Helper()
	const worker = "worker-1"
	install(ctx, t, l, installer, "reset", "-reset", worker)
	install(ctx, t, l, installer, worker+" comes back", "-keep", "added")
	install(ctx, t, l, installer, "and goes", "-rollback", "added")
	assertClean(ctx, t, l, worker)
	install(ctx, t, l, installer, "the rollback again", "-rollback", "added")
	install(ctx, t, l, installer, worker+" comes back at once")
	if _, err := kubectl(ctx, l, l.Hosts()[0].Name, "wait --for=condition=Ready nodes --all --timeout=60s"); err != nil {
		t.Error(err)
	}
	install(ctx, t, l, installer, unchanged)
}
