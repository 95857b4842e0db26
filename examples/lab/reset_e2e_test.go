package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// TestE2EReset takes the host that holds the VIP, then another, out of a cluster
// that goes on, and brings each back; then takes all of it down, and up again.
// In between it undoes a run that changed settings, and one that added a node.
// Each is done by the real installer, and done a second time it changes nothing.
func TestE2EReset(t *testing.T) {
	o := labOptions(t)
	l, _ := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	installer := buildInstaller(t)
	install(ctx, t, l, installer, "cluster")
	if err := checkCluster(ctx, t, l); err != nil {
		t.Fatal(err)
	}
	for _, node := range []string{"cp-2", l.Hosts()[0].Name} {
		leaveAndComeBack(ctx, t, l, installer, node)
	}
	rollBackAChange(ctx, t, l, installer)
	rollBackAJoin(ctx, t, l, installer)
	if err := checkMembers(ctx, l); err != nil {
		t.Error(err)
	}

	install(ctx, t, l, installer, "reset of the cluster", "-reset-cluster")
	for _, h := range l.Hosts() {
		assertClean(ctx, t, l, h.Name)
	}
	install(ctx, t, l, installer, unchanged, "-reset-cluster")
	install(ctx, t, l, installer, "cluster created again")
	if err := checkCluster(ctx, t, l); err != nil {
		t.Fatal(err)
	}
	if err := checkMembers(ctx, l); err != nil {
		t.Error(err)
	}
	install(ctx, t, l, installer, unchanged)
}

// unchanged names a run that has to change nothing.
const unchanged = "the same again"

func install(ctx context.Context, t *testing.T, l *machines.Lab, installer, what string, args ...string) {
	t.Helper()
	begin := time.Now()
	out, err := exec.CommandContext(ctx, installer, append(installerArgs(l), args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s\n%s", what, err, out, evidence(context.WithoutCancel(ctx), l))
	}
	t.Logf("%8.1fs  %s %v", time.Since(begin).Seconds(), what, args)
	if what == unchanged && !strings.Contains(string(out), "changed nothing: every host is as described") {
		t.Errorf("%v, run again:\n%s", args, out)
	}
}

// etcdLeader returns the host whose member leads.
func etcdLeader(ctx context.Context, t *testing.T, l *machines.Lab) string {
	t.Helper()
	out, err := etcdctl(ctx, l, l.Hosts()[2].Name, "endpoint status --cluster -w json")
	if err != nil {
		t.Fatal(err)
	}
	var members []struct {
		Endpoint string
		Status   struct {
			Header struct {
				ID uint64 `json:"member_id"`
			} `json:"header"`
			Leader uint64 `json:"leader"`
		}
	}
	if err := json.Unmarshal([]byte(out), &members); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, m := range members {
		for _, h := range l.Hosts() {
			if m.Status.Header.ID == m.Status.Leader && strings.Contains(m.Endpoint, "//"+h.Address.String()+":") {
				return h.Name
			}
		}
	}
	t.Fatalf("nobody leads etcd: %s", out)
	return ""
}

// leaveAndComeBack resets a node while another reads the API at the VIP all the
// time: it fails at the most as long as the VIP takes to move, and not at all if
// the node has none. etcd's leadership is handed over, which nobody notices.
func leaveAndComeBack(ctx context.Context, t *testing.T, l *machines.Lab, installer, node string) {
	t.Helper()
	survivor := l.Hosts()[0].Name
	if survivor == node {
		survivor = l.Hosts()[1].Name
	}
	holder, leader := vipHolder(ctx, t, l), etcdLeader(ctx, t, l)
	api := watchAPI(ctx, t, l)
	install(ctx, t, l, installer, "reset", "-reset", node)
	api.stop()
	// Counted and bounded: a VIP that stayed behind would fail for as long as the
	// reset takes, 20 looks and more.
	t.Logf("%s left, the VIP was on %s and %s led etcd: the API did not answer %d times, for %.1fs", node, holder, leader, api.failed(), api.outage.Seconds())
	if failed := api.failed(); failed > 8 || holder != node && failed > 0 {
		t.Errorf("%d reads failed while %s left:\n%s", failed, node, strings.Join(api.why, "\n"))
	}
	assertClean(ctx, t, l, node)
	if out, err := kubectl(ctx, l, survivor, "get nodes -o name"); err != nil || strings.Contains(out, "node/"+node+"\n") {
		t.Errorf("nodes after %s left: %q, %v", node, out, err)
	}
	if got := voters(ctx, t, l, survivor); len(got) != 2 || slices.Contains(got, node) {
		t.Errorf("etcd's members after %s left: %v", node, got)
	}
	install(ctx, t, l, installer, unchanged, "-reset", node)

	install(ctx, t, l, installer, node+" comes back")
	if got := voters(ctx, t, l, survivor); len(got) != 3 || !slices.Contains(got, node) {
		t.Errorf("etcd's members after %s came back: %v", node, got)
	}
	if _, err := kubectl(ctx, l, node, "wait --for=condition=Ready nodes --all --timeout=60s"); err != nil {
		t.Error(err)
	}
	install(ctx, t, l, installer, unchanged)
}

// voters are etcd's started members that are no learners.
func voters(ctx context.Context, t *testing.T, l *machines.Lab, from string) []string {
	t.Helper()
	out, err := etcdctl(ctx, l, from, "member list")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out) { // ID, status, name, peer URL, client URL, learner
		if f := strings.Split(strings.TrimSpace(line), ", "); len(f) == 6 && f[1] == "started" && f[5] == "false" {
			names = append(names, f[2])
		}
	}
	return names
}

// leftovers prints what a reset host should not have: processes, containers,
// files, mounts and the VIP. pgrep knows 15 letters of a name. What is kept is expected on control planes.
const leftovers = `
for p in kubelet kubeadm etcd keepalived kube-apiserver kube-controller kube-scheduler kube-proxy; do pgrep -x "$p" >/dev/null && echo "process $p"; done
for u in etcd keepalived; do systemctl is-active --quiet $u && echo "unit $u is active"; systemctl is-enabled --quiet $u 2>/dev/null && echo "unit $u is enabled"; done
pgrep -f "[c]ontainerd-shim" >/dev/null && echo "containers run"
for f in /etc/kubernetes/*.conf /etc/kubernetes/*.yaml /etc/kubernetes/manifests/* /etc/kubernetes/pki /etc/etcd/pki /etc/etcd.env \
	/etc/systemd/system/etcd.service /etc/systemd/system/etcd.service.d /etc/keepalived/keepalived.conf /etc/keepalived/check_apiserver.sh \
	/etc/sysctl.d/99-quorate.conf /var/lib/kubelet/config.yaml /var/lib/kubelet/pki /var/lib/quorate/*.sha256 /var/lib/quorate/kubeadm.state \
	/var/lib/quorate/etcd/member; do
	[ -e "$f" ] && echo "file $f"
done
grep -E ' /var/lib/kubelet/.+ ' /proc/mounts
ip -brief -4 address show | grep -w VIP
true
`

func assertClean(ctx context.Context, t *testing.T, l *machines.Lab, host string) {
	t.Helper()
	out, err := l.SSH(ctx, host, strings.ReplaceAll(leftovers, "VIP", l.Spec().VIP().String()))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(out) != "" {
		t.Errorf("left on %s after its reset:\n%s", host, out)
	}
	if strings.HasPrefix(host, "worker") {
		return
	}
	kept := fmt.Sprintf("ls -d /var/lib/quorate/etcd/member.kept/wal %[1]s/etcd-pki/ca.crt %[1]s/kubernetes-pki/ca.key && stat -c %%a %[1]s", "/var/lib/quorate/kept")
	if out, err := l.SSH(ctx, host, kept); err != nil || !strings.HasSuffix(strings.TrimSpace(out), "700") {
		t.Errorf("%s does not keep what it should: %q, %v", host, out, err)
	}
}
