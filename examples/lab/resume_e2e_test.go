package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// death is a moment of a run at which the operator's program is killed.
type death struct {
	name string
	// host and when: a condition of the shell there that finds the moment.
	host, when string
	// cut halts kubeadm on the host at that moment, and kills it once the operator
	// is dead; without it what the operator began there goes on by itself.
	cut bool
}

// kubeadmRuns is about init and join alone: the run reads kubeadm's version
// too, and such a process is gone before a signal reaches it.
const (
	kubeadmWorks = "pgrep -f '^([^ ]*/)?kubeadm (init|join)'"
	kubeadmRuns  = kubeadmWorks + " >/dev/null"
)

// deaths in the order of a run. Each follows what the ones before have left.
var deaths = []death{
	{name: "images imported", host: "cp-2", when: "pgrep -x ctr >/dev/null"},
	{name: "etcd's files written", host: "cp-1", when: "[ -e /etc/systemd/system/etcd.service ]"},
	{name: "etcd started", host: "cp-3", when: "pgrep -x etcd >/dev/null"},
	{name: "keepalived's files written", host: "cp-2", when: "[ -e /etc/keepalived/check_apiserver.sh ]"},
	{name: "keepalived started", host: "cp-1", when: "pgrep -x keepalived >/dev/null"},
	{name: "authorities placed", host: "cp-3", when: "[ -e /etc/kubernetes/pki/ca.key ]"},
	{name: "init cut", host: "cp-1", when: "[ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] && " + kubeadmRuns, cut: true},
	{name: "init goes on alone", host: "cp-1", when: "[ -e /etc/kubernetes/admin.conf ] && " + kubeadmRuns},
	{name: "join cut", host: "cp-2", when: "[ -e /etc/kubernetes/manifests/kube-apiserver.yaml ] && " + kubeadmRuns, cut: true},
	{name: "join goes on alone", host: "cp-2", when: "[ -e /etc/kubernetes/admin.conf ] && " + kubeadmRuns},
	{name: "another join begun", host: "cp-3", when: kubeadmRuns},
	{name: "another join cut", host: "cp-3", when: "[ -e /etc/kubernetes/kubelet.conf ] && " + kubeadmRuns, cut: true},
	{name: "worker's join cut", host: "worker-1", when: kubeadmRuns, cut: true},
	{name: "worker's join goes on alone", host: "worker-1", when: "[ -e /etc/kubernetes/kubelet.conf ] && " + kubeadmRuns},
}

// TestFullResume kills the operator's program over and over while it brings up a
// cluster, kubeadm half-way among it, and runs it again each time. The end is the
// cluster that an undisturbed run makes.
func TestFullResume(t *testing.T) {
	o := labOptions(t)
	l, _ := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	installer := buildInstaller(t)
	hit := 0
	cut := map[string]bool{}
	for _, d := range deaths {
		if killAt(ctx, t, l, installer, d) {
			hit++
			if d.cut {
				cut[d.name] = true
			}
		}
	}
	begin := time.Now()
	out, err := exec.CommandContext(ctx, installer, installerArgs(l)...).CombinedOutput()
	if err != nil {
		t.Fatalf("the last run: %v\n%s", err, out)
	}
	t.Logf("%d of %d deaths hit their moment, %d of them with kubeadm half-way; the last run took %.1fs\n%s",
		hit, len(deaths), len(cut), time.Since(begin).Seconds(), out)
	if hit < 12 || !cut["init cut"] || !cut["join cut"] {
		t.Errorf("too few moments were hit for this to prove anything; with kubeadm half-way: %v", cut)
	}
	if err := checkCluster(ctx, t, l); err != nil {
		t.Error(err)
	}
	if err := checkMembers(ctx, l); err != nil {
		t.Error(err)
	}
	for _, h := range l.Hosts() {
		if out, err := l.SSH(ctx, h.Name, kubeadmRuns); err == nil {
			t.Errorf("%s: a kubeadm is left behind: %s", h.Name, out)
		}
	}
	installAgain(t, l, installer)
}

// watching is there while a host looks out for a moment: a run that ends before
// takes it away, so that nothing waits on for the next one.
const watching = "/run/watching"

// halted names the kubeadm that halt has stopped, and halt holds only if there
// was one and it has come to a stop.
const (
	halted = "/run/halted"
	halt   = "pid=$(" + kubeadmWorks + " -o) && kill -STOP $pid && sleep 0.02 && grep -q '^State:.T' /proc/$pid/status && echo $pid >" + halted
)

// killAt runs the installer and kills it, as the machine it runs on might, when
// the moment has come; false if the run came to its end before.
func killAt(ctx context.Context, t *testing.T, l *machines.Lab, installer string, d death) bool {
	t.Helper()
	when := d.when
	if d.cut {
		when += " && " + halt
	}
	watch := "touch " + watching + "; until " + when + "; do [ -e " + watching + " ] || exit 3; sleep 0.02; done"
	begin := time.Now()
	moment := make(chan error, 1)
	go func() {
		_, err := l.SSH(ctx, d.host, watch)
		moment <- err
	}()
	var output bytes.Buffer
	run := exec.CommandContext(ctx, installer, installerArgs(l)...)
	run.Stdout, run.Stderr = &output, &output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	var how error
	hit := false
	select {
	case err := <-moment:
		if err != nil {
			t.Fatalf("%s: %v", d.name, err)
		}
		if err := run.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		how = <-ended
		hit = killed(how)
		if d.cut {
			// The kernel may have been first: it hangs up a halted process whose
			// session has ended.
			if _, err := l.SSH(ctx, d.host, "pid=$(cat "+halted+"); kill -KILL $pid; while [ -e /proc/$pid ]; do sleep 0.02; done"); err != nil {
				t.Fatalf("%s: %v", d.name, err)
			}
		}
	case how = <-ended:
		if _, err := l.SSH(ctx, d.host, "rm -f "+watching); err != nil {
			t.Fatal(err)
		}
		watched := <-moment
		t.Logf("%s: the look-out ended with %v", d.name, watched)
	}
	if !hit && how != nil {
		t.Fatalf("%s: the run failed by itself: %v\n%s", d.name, how, output.String())
	}
	verdict := "missed: the run ended"
	if hit {
		verdict = "killed"
	}
	t.Logf("%-28s %s after %.1fs", d.name, verdict, time.Since(begin).Seconds())
	return hit
}

// killed reports whether SIGKILL ended a process, or it ended by itself.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
